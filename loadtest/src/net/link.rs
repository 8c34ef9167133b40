//! [`Link`]: what the rest of the load tester says to a client's task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socketio_core::frame::Frame;

use super::NetError;
use crate::clock::now;

/// Frames to be sent, and orders to stop.
#[derive(Debug, Default)]
pub struct Link {
    outbox: RefCell<VecDeque<Frame>>,
    waker: RefCell<Option<Waker>>,
    close: Cell<bool>,
    paused: Cell<bool>,
    /// The longest time without a ping, in microseconds, once the session is open; and when the last
    /// one came.
    patience: Cell<u64>,
    heard: Cell<u64>,
    /// It was looked for a ping in vain once; the second time ends the connection.
    silent: Cell<bool>,
    given_up: Cell<bool>,
}

impl Link {
    /// Queues a frame.
    pub fn send(&self, frame: Frame) {
        self.outbox.borrow_mut().push_back(frame);
        self.wake();
    }

    /// Ends the task.
    pub fn close(&self) {
        self.close.set(true);
        self.wake();
    }

    /// Makes the task stop, or start again, to read.
    pub fn pause(&self, paused: bool) {
        self.paused.set(paused);
        // Pings of meanwhile are still to be read.
        self.heard.set(now());
        self.wake();
    }

    /// The session is open, or a ping came: the next is due within `patience`.
    pub(super) fn heard(&self, patience: Duration) {
        let micros = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        self.patience.set(micros);
        self.heard.set(now());
        self.silent.set(false);
    }

    /// Ends the task if the server is silent for too long. One look for all clients, from time to time,
    /// costs less than a timer for each. The first finding only warns: after a pause of this process
    /// pings lie unread.
    pub fn check(&self, now: u64) {
        let patience = self.patience.get();
        let late = now.saturating_sub(self.heard.get()) > patience;
        if patience == 0 || self.is_paused() || !late {
            return;
        }
        if self.silent.replace(true) {
            self.given_up.set(true);
            self.wake();
        }
    }

    /// Frames that wait for the socket.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.borrow().len()
    }

    pub(super) fn pop(&self) -> Option<Frame> {
        self.outbox.borrow_mut().pop_front()
    }

    /// Why the task is to end, if it is.
    pub(super) fn end(&self) -> Option<NetError> {
        match (self.close.get(), self.given_up.get()) {
            (true, _) => Some(NetError::Planned),
            (false, true) => Some(NetError::Silent),
            (false, false) => None,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// The task looks here again when something is said.
    pub(super) fn register(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }

    fn wake(&self) {
        // The waker stays: cloning costs more than waking in vain.
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Waits until there is something to send or to obey, other than `was_paused`.
    pub(super) async fn ready(&self, was_paused: bool) {
        poll_fn(|context| {
            self.register(context);
            let ends = self.end().is_some();
            let news = self.queued() > 0 || ends || self.is_paused() != was_paused;
            if news { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The future's output, or why the task is to end before.
    pub(super) async fn unless_ended<F: Future>(&self, future: F) -> Result<F::Output, NetError> {
        let mut future = pin!(future);
        poll_fn(|context| {
            self.register(context);
            if let Some(end) = self.end() {
                return Poll::Ready(Err(end));
            }
            future.as_mut().poll(context).map(Ok)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_server_is_given_up_at_the_second_look() {
        let link = Link::default();
        link.check(u64::MAX);
        assert!(link.end().is_none(), "the session is not open");
        link.heard(Duration::from_secs(1));
        let began = now();
        link.check(began + 500_000);
        link.check(began + 1_500_000);
        assert!(link.end().is_none(), "the first look only warns");
        link.heard(Duration::from_secs(1));
        link.check(now() + 1_500_000);
        assert!(link.end().is_none(), "a ping came in between");
        link.pause(true);
        link.check(now() + 9_000_000);
        assert!(link.end().is_none(), "who does not read hears no ping");
        link.pause(false);
        link.check(now() + 1_500_000);
        assert!(matches!(link.end(), Some(NetError::Silent)));
        link.close();
        assert!(matches!(link.end(), Some(NetError::Planned)));
    }
}
