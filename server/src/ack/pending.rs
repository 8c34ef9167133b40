//! The answers that one socket owes.

use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::{AckError, Collector};
use crate::socket::Socket;

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) enum PendingAck {
    One(oneshot::Sender<Payload>),
    Many(Arc<Collector>),
}

/// The outstanding answers of a socket; empty, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct AckTable {
    waiting: BTreeMap<u64, PendingAck>,
    /// Set when the socket has left: nothing is answered any more.
    closed: bool,
}

/// What became of a request to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Taken,
    Closed,
    Full,
}

impl AckTable {
    pub(crate) fn insert(&mut self, id: AckId, ack: PendingAck, limit: usize) -> Slot {
        if self.closed {
            return Slot::Closed;
        }
        if self.waiting.len() >= limit {
            return Slot::Full;
        }
        self.waiting.insert(id.0, ack);
        Slot::Taken
    }

    pub(crate) fn remove(&mut self, id: AckId) -> Option<PendingAck> {
        self.waiting.remove(&id.0)
    }

    pub(crate) fn close(&mut self) -> BTreeMap<u64, PendingAck> {
        self.closed = true;
        std::mem::take(&mut self.waiting)
    }
}

/// The answer of one client, to be awaited. The event was sent when this was made.
///
/// Ends with [`AckError::Disconnected`] as soon as the socket is gone. Dropping it gives the answer
/// up; it is ignored when it comes.
#[must_use = "to send without waiting for an answer there is `emit`"]
pub struct AckFuture<R> {
    state: State,
    result: PhantomData<fn() -> R>,
}

enum State {
    Failed(Option<AckError>),
    Waiting {
        socket: Socket,
        id: AckId,
        answer: oneshot::Receiver<Payload>,
        deadline: Option<Instant>,
        /// Made at the first poll, as only that is sure to happen in a runtime.
        sleep: Option<Pin<Box<Sleep>>>,
    },
    Done,
}

impl<R> std::fmt::Debug for AckFuture<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

impl<R> AckFuture<R> {
    pub(crate) fn failed(error: impl Into<AckError>) -> Self {
        Self {
            state: State::Failed(Some(error.into())),
            result: PhantomData,
        }
    }

    pub(crate) fn waiting(
        socket: &Socket,
        id: AckId,
        answer: oneshot::Receiver<Payload>,
        timeout: Option<Duration>,
    ) -> Self {
        let state = State::Waiting {
            socket: socket.clone(),
            id,
            answer,
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            sleep: None,
        };
        Self {
            state,
            result: PhantomData,
        }
    }
}

impl<R: DeserializeOwned> Future for AckFuture<R> {
    type Output = Result<R, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Failed(error) => Err(error.take().unwrap_or(AckError::Disconnected)),
            State::Done => Err(AckError::Disconnected),
            State::Waiting {
                answer,
                deadline,
                sleep,
                ..
            } => match Pin::new(answer).poll(cx) {
                Poll::Ready(Ok(payload)) => {
                    payload.deserialize_args(false).map_err(AckError::Decode)
                }
                Poll::Ready(Err(_)) => Err(AckError::Disconnected),
                Poll::Pending => {
                    let Some(deadline) = *deadline else {
                        return Poll::Pending;
                    };
                    let sleep =
                        sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                    std::task::ready!(sleep.as_mut().poll(cx));
                    Err(AckError::Timeout)
                }
            },
        };
        self.give_up();
        Poll::Ready(outcome)
    }
}

impl<R> AckFuture<R> {
    fn give_up(&mut self) {
        if let State::Waiting { socket, id, .. } = std::mem::replace(&mut self.state, State::Done) {
            socket.forget_ack(id);
        }
    }
}

impl<R> Drop for AckFuture<R> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> (PendingAck, oneshot::Receiver<Payload>) {
        let (sender, receiver) = oneshot::channel();
        (PendingAck::One(sender), receiver)
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = AckTable::default();
        let (ack, _first) = one();
        assert_eq!(table.insert(AckId(0), ack, 1), Slot::Taken);
        let (ack, _second) = one();
        assert_eq!(table.insert(AckId(1), ack, 1), Slot::Full);
        assert!(table.remove(AckId(0)).is_some());
        assert!(table.remove(AckId(0)).is_none(), "an answer counts once");
        let (ack, _third) = one();
        assert_eq!(table.insert(AckId(2), ack, 1), Slot::Taken);
    }

    #[test]
    fn a_closed_table_ends_those_who_wait() {
        let mut table = AckTable::default();
        let (ack, mut answer) = one();
        table.insert(AckId(0), ack, 8);
        drop(table.close());
        assert!(answer.try_recv().is_err());
        let (ack, _answer) = one();
        assert_eq!(table.insert(AckId(1), ack, 8), Slot::Closed);
    }
}
