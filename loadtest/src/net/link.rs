//! [`Link`]: what the rest of the load tester says to a client's task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use socketio_core::frame::Frame;

/// Frames to be sent, and orders to stop.
#[derive(Debug, Default)]
pub struct Link {
    outbox: RefCell<VecDeque<Frame>>,
    waker: RefCell<Option<Waker>>,
    close: Cell<bool>,
    paused: Cell<bool>,
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
        self.wake();
    }

    /// Frames that wait for the socket.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.borrow().len()
    }

    pub(super) fn pop(&self) -> Option<Frame> {
        self.outbox.borrow_mut().pop_front()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.close.get()
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
            let news = self.queued() > 0 || self.is_closed() || self.is_paused() != was_paused;
            if news { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The future's output, or none if the link is closed before.
    pub(super) async fn closed_or<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            self.register(context);
            if self.is_closed() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}
