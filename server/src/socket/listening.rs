//! Catch-all handlers of a socket, and the way back: removing and listing handlers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use socketio_core::payload::Payload;

use super::Socket;
use crate::handler::{EventContext, Handler, erase};
use crate::listeners::{HandlerId, Listener, Listeners};

impl Socket {
    /// Calls `handler` for each event, before middlewares and the event's own handlers.
    pub fn on_any<T: 'static>(&self, handler: impl Handler<EventContext, T>) -> HandlerId {
        self.add(Listener::Any(erase(handler)))
    }

    /// As [`on_any`](Self::on_any), before the handlers that are there already.
    pub fn prepend_any<T: 'static>(&self, handler: impl Handler<EventContext, T>) -> HandlerId {
        let listener = Listener::Any(erase(handler));
        self.change(|listeners| listeners.prepend(listener))
    }

    /// Calls `listener` for each event that is sent to this client, broadcasts included, with its
    /// name and arguments. Acknowledgements are not included. It runs where the event is sent, so it
    /// must be quick.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&str, &Payload) + Send + Sync + 'static,
    ) -> HandlerId {
        let id = self.add(Listener::Outgoing(Arc::new(listener)));
        self.watch_outgoing();
        id
    }

    /// As [`on_any_outgoing`](Self::on_any_outgoing), before the listeners that are there already.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&str, &Payload) + Send + Sync + 'static,
    ) -> HandlerId {
        let listener = Listener::Outgoing(Arc::new(listener));
        let id = self.change(|listeners| listeners.prepend(listener));
        self.watch_outgoing();
        id
    }

    fn watch_outgoing(&self) {
        if !self.0.has_outgoing.swap(true, Ordering::Relaxed) {
            // Never switched off: broadcasts then just look at each socket.
            self.0.namespace.watch_outgoing();
        }
    }

    /// Removes all handlers of an event.
    pub fn off(&self, event: &str) {
        self.remove_where(|listener| listener.is_for(event));
    }

    /// Removes the handlers of all events, the fallback, and those of errors and disconnects (Node's
    /// `removeAllListeners`). Catch-all handlers and middlewares stay, and so does what the namespace
    /// has for all sockets.
    pub fn off_all(&self) {
        self.remove_where(Listener::is_listener);
    }

    /// Removes all catch-all handlers of incoming events.
    pub fn off_any(&self) {
        self.remove_where(Listener::is_any);
    }

    /// Removes all listeners of outgoing events.
    pub fn off_any_outgoing(&self) {
        self.remove_where(Listener::is_outgoing);
    }

    /// Removes one handler of any kind. `false` if it was not there (any more).
    #[expect(clippy::must_use_candidate, reason = "mostly called for its effect")]
    pub fn off_handler(&self, id: HandlerId) -> bool {
        self.with_table(|table| table.remove(id))
            .flatten()
            .is_some()
    }

    /// The handlers of an event, in the order in which they run; those that the namespace has for all
    /// sockets are not among them.
    #[must_use]
    pub fn listeners(&self, event: &str) -> Vec<HandlerId> {
        self.ids(|listener| listener.is_for(event))
    }

    /// The catch-all handlers of incoming events, in the order in which they run.
    #[must_use]
    pub fn listeners_any(&self) -> Vec<HandlerId> {
        self.ids(Listener::is_any)
    }

    /// The listeners of outgoing events, in the order in which they run.
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<HandlerId> {
        self.ids(Listener::is_outgoing)
    }

    /// The names of the events that have handlers, in the order in which their first handlers were
    /// added.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        let listeners = self.0.listeners.lock();
        let table = listeners.as_ref();
        table.map_or_else(Vec::new, |table| table.event_names())
    }

    fn ids(&self, wanted: impl Fn(&Listener) -> bool) -> Vec<HandlerId> {
        let listeners = self.0.listeners.lock();
        let table = listeners.as_ref();
        table.map_or_else(Vec::new, |table| table.ids(wanted))
    }

    fn remove_where(&self, unwanted: impl Fn(&Listener) -> bool) {
        drop(self.with_table(|table| table.remove_where(unwanted)));
    }

    /// Lets `change` remove handlers. What it returns may be what was removed: that can hold the last
    /// handle of another socket, and is dropped outside the lock.
    fn with_table<R>(&self, change: impl FnOnce(&mut Listeners) -> R) -> Option<R> {
        let mut listeners = self.0.listeners.lock();
        let table = listeners.as_mut()?;
        let outcome = change(table);
        let outgoing = table.has_outgoing();
        self.0.has_outgoing.store(outgoing, Ordering::Relaxed);
        Some(outcome)
    }
}
