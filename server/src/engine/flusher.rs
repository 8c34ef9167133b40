//! Writes the outboxes that a fan-out has filled, many connections in a row.
//!
//! Waking one task per recipient costs more than the write itself once the recipients no longer fit the caches: the
//! scheduler's queues, the task and its future are all cold. A flusher instead walks a list of connections and writes
//! straight to their sockets. While it walks, further broadcasts add frames to the outboxes it has not reached yet, so
//! that these leave in one write.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::conn::Conn;

/// Connections written between two yields: long enough to matter, short enough (about half a millisecond) that reads,
/// heartbeats and other handlers get their turn during a fan-out to 100 000.
const BATCH: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Flusher {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    dirty: Vec<Arc<Conn>>,
    waker: Option<Waker>,
    closed: bool,
}

impl Flusher {
    /// Adds a connection whose outbox is marked as scheduled.
    pub(crate) fn schedule(&self, conn: Arc<Conn>) {
        let waker = {
            let mut state = self.state.lock();
            state.dirty.push(conn);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends [`run`](Self::run).
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Writes until [`close`](Self::close).
    pub(crate) async fn run(self: Arc<Self>) {
        let mut batch: Vec<Arc<Conn>> = Vec::new();
        let mut next = 0;
        poll_fn(move |cx| {
            if next == batch.len() {
                batch.clear();
                next = 0;
                let mut state = self.state.lock();
                if state.dirty.is_empty() {
                    if state.closed {
                        return Poll::Ready(());
                    }
                    state.waker = Some(cx.waker().clone());
                    // A fan-out to very many leaves a large list behind; an idle server does not keep it.
                    if batch.capacity() > 4096 {
                        batch = Vec::new();
                    }
                    return Poll::Pending;
                }
                std::mem::swap(&mut state.dirty, &mut batch);
            }
            let end = batch.len().min(next + BATCH);
            for conn in &batch[next..end] {
                conn.flush_now();
            }
            next = end;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
