//! The handlers of one connection that are waiting for something.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use futures_util::task::noop_waker_ref;

use super::{Client, Slot};
use crate::handler::Running;
use crate::socket::Socket;

/// What a handler handles.
#[derive(Debug)]
pub(super) enum Kind {
    /// An event of so many bytes.
    Event(usize),
    /// The connection of a socket.
    Opening(Socket),
    /// A disconnect or an error.
    Other,
}

/// Handlers at work. An idle connection owns no set.
#[derive(Default)]
pub(super) struct Tasks {
    set: Option<Box<FuturesUnordered<Task>>>,
    events: usize,
    fresh: bool,
}

impl Tasks {
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Handlers that are not for events: of connections, disconnects and errors.
    pub(super) fn others(&self) -> usize {
        let all = self.set.as_ref().map_or(0, |set| set.len());
        all.saturating_sub(self.events)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.as_ref().is_none_or(|set| set.is_empty())
    }

    /// Whether a handler was added that the set has not polled.
    pub(super) fn has_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether a connection handler of the socket is at work.
    fn is_opening(&self, socket: &Socket) -> bool {
        let tasks = self.set.iter().flat_map(|set| set.iter());
        tasks
            .filter_map(|task| task.kind.as_ref())
            .any(|kind| matches!(kind, Kind::Opening(other) if other == socket))
    }

    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.set = None;
        }
    }

    fn push(&mut self, task: Task) {
        if matches!(task.kind, Some(Kind::Event(_))) {
            self.events += 1;
        }
        self.fresh = true;
        self.set.get_or_insert_default().push(task);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Option<Kind> {
        let set = self.set.as_mut()?;
        let Poll::Ready(Some(kind)) = set.poll_next_unpin(cx) else {
            return None;
        };
        if matches!(kind, Kind::Event(_)) {
            self.events -= 1;
        }
        Some(kind)
    }
}

struct Task {
    running: Running<()>,
    kind: Option<Kind>,
}

impl Future for Task {
    type Output = Kind;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Kind> {
        std::task::ready!(Pin::new(&mut self.running).poll(cx));
        Poll::Ready(self.kind.take().unwrap_or(Kind::Other))
    }
}

impl Client {
    /// Starts a handler: it runs now until it first waits. `true` if it has ended already.
    ///
    /// Its waker is nobody's at first; a handler that waits is polled again by the set, in the same
    /// turn of the session task.
    pub(super) fn start(&mut self, mut running: Running<()>, kind: Kind) -> bool {
        let mut cx = Context::from_waker(noop_waker_ref());
        if Pin::new(&mut running).poll(&mut cx).is_ready() {
            return true;
        }
        if let Kind::Event(bytes) = kind {
            self.held += bytes;
        }
        self.tasks.push(Task {
            running,
            kind: Some(kind),
        });
        false
    }

    pub(super) fn poll_tasks(&mut self, cx: &mut Context<'_>) {
        self.tasks.fresh = false;
        while let Some(kind) = self.tasks.poll_next(cx) {
            match kind {
                Kind::Event(bytes) => self.held -= bytes,
                Kind::Opening(socket) => self.opened(&socket),
                Kind::Other => {}
            }
        }
    }

    /// A connection handler has ended.
    fn opened(&mut self, socket: &Socket) {
        for slot in &mut self.slots {
            if let Slot::Joined {
                socket: known,
                waiting: Some(waiting),
            } = slot
                && known == socket
            {
                waiting.opening = waiting.opening.saturating_sub(1);
                socket.set_opening(waiting.opening > 0);
                // The events that waited for it go on in `poll_waiting`, in this same turn.
                return;
            }
        }
        // It disconnected meanwhile. Disconnect handlers that were added since run now, and others may
        // be added as long as another connection handler runs.
        let more = self.tasks.is_opening(socket);
        for handler in socket.take_late(more) {
            let running = Running::new(handler, self.shared().metrics());
            self.start(running, Kind::Other);
        }
    }
}
