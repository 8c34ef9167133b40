//! The handlers of a socket: adding, removing, and finding those of an event.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, join_all};
use smallvec::SmallVec;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;

use super::{DISCONNECTED, Socket};
use crate::ack::Ack;
use crate::events::DisconnectReason;
use crate::handler::{
    BoxHandler, ConnectContext, Context, DisconnectContext, ErrorContext, EventContext, Handler,
    PacketContext, Running, erase, guarded,
};
use crate::listeners::{Call, HandlerId, Listener, Listeners};
use crate::middleware::EventError;

impl Socket {
    /// Calls `handler` for each event of this name, after those that were added before.
    ///
    /// Handlers of one socket start in the order in which its events came; while one waits, the
    /// next ones run. An event that comes while the connection handler still runs waits for its
    /// handler to be added, at the latest until the connection handler has ended.
    ///
    /// For handlers that all sockets share there is [`Namespace::on`](crate::Namespace::on).
    pub fn on<T: 'static>(
        &self,
        event: impl Into<Cow<'static, str>>,
        handler: impl Handler<EventContext, T>,
    ) -> HandlerId {
        self.add(Listener::Event {
            name: event.into(),
            once: false,
            handler: erase(handler),
        })
    }

    /// As [`on`](Self::on), for the next event of this name only.
    pub fn once<T: 'static>(
        &self,
        event: impl Into<Cow<'static, str>>,
        handler: impl Handler<EventContext, T>,
    ) -> HandlerId {
        self.add(Listener::Event {
            name: event.into(),
            once: true,
            handler: erase(handler),
        })
    }

    /// Calls `handler` for each event that has no handler of its own, neither at the socket nor at
    /// its namespace.
    pub fn on_fallback<T: 'static>(&self, handler: impl Handler<EventContext, T>) -> HandlerId {
        self.add(Listener::Fallback(erase(handler)))
    }

    /// Runs `middleware` before the handlers of each event; they do not run when it fails. The
    /// [error handlers](Self::on_error) are then told.
    ///
    /// Events wait for the middlewares of earlier ones, so that their handlers start in order.
    pub fn use_middleware<T: 'static>(
        &self,
        middleware: impl Handler<PacketContext, T>,
    ) -> HandlerId {
        self.add(Listener::Middleware(erase(middleware)))
    }

    /// Calls `handler` when a [middleware](Self::use_middleware) refuses an event.
    pub fn on_error<T: 'static>(&self, handler: impl Handler<ErrorContext, T>) -> HandlerId {
        self.add(Listener::Error(erase(handler)))
    }

    /// Calls `handler` when the socket disconnects, before
    /// [`on_disconnect`](Self::on_disconnect): [`rooms`](Self::rooms) still shows where it was,
    /// though it gets nothing sent there any more.
    pub fn on_disconnecting<T: 'static>(
        &self,
        handler: impl Handler<DisconnectContext, T>,
    ) -> HandlerId {
        self.add_end(erase(handler), true)
    }

    /// Calls `handler` when the socket has disconnected. If that has happened while the connection
    /// handler runs, it is called when the connection handler has ended.
    pub fn on_disconnect<T: 'static>(
        &self,
        handler: impl Handler<DisconnectContext, T>,
    ) -> HandlerId {
        self.add_end(erase(handler), false)
    }

    /// Calls `handler` when the client has moved from long-polling to WebSocket
    /// (`socket.conn.on("upgrade")` in Node). If that has happened already,
    /// [`transport`](Self::transport) says so.
    pub fn on_upgrade<T: 'static>(&self, handler: impl Handler<ConnectContext, T>) -> HandlerId {
        self.add(Listener::Upgrade(erase(handler)))
    }

    pub(super) fn add(&self, listener: Listener) -> HandlerId {
        self.change(|listeners| listeners.add(listener))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Listeners) -> HandlerId) -> HandlerId {
        let id = {
            let mut listeners = self.0.listeners.lock();
            if self.is_disconnected() {
                // The table was dropped, and handlers often hold the socket that holds them: what
                // is added now would never be freed.
                change(&mut Listeners::default())
            } else {
                change(listeners.get_or_insert_default())
            }
        };
        if self.0.opening.load(Ordering::Relaxed) {
            // An event may wait for this handler.
            self.0.conn.wake();
        }
        id
    }

    fn add_end(&self, handler: BoxHandler<DisconnectContext>, before: bool) -> HandlerId {
        // The connection handler may be slower than its client. What it sets up before it adds this
        // handler must be torn down all the same.
        if self.is_disconnected()
            && self.0.opening.load(Ordering::Relaxed)
            && let Some(reason) = self.0.reason.get()
        {
            let call = handler.call(DisconnectContext {
                socket: self.clone(),
                reason: *reason,
            });
            self.0.extra.lock().get_or_insert_default().late.push(call);
            return HandlerId::GONE;
        }
        self.add(if before {
            Listener::Disconnecting(handler)
        } else {
            Listener::Disconnect(handler)
        })
    }

    /// The disconnect handlers that were added after the disconnect; `more` may come.
    pub(crate) fn take_late(&self, more: bool) -> Vec<BoxFuture<'static, ()>> {
        self.set_opening(more);
        self.take_extra_late()
    }

    fn take_extra_late(&self) -> Vec<BoxFuture<'static, ()>> {
        let mut extra = self.0.extra.lock();
        extra
            .as_mut()
            .map_or_else(Vec::new, |extra| std::mem::take(&mut extra.late))
    }

    fn is_disconnected(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == DISCONNECTED
    }

    pub(crate) fn set_opening(&self, opening: bool) {
        self.0.opening.store(opening, Ordering::Relaxed);
    }

    /// Whether a handler for just this event exists.
    pub(crate) fn handles(&self, event: &str) -> bool {
        let own = self
            .0
            .listeners
            .lock()
            .as_ref()
            .is_some_and(|table| table.handles(event));
        own || self.0.namespace.handles(event)
    }

    pub(crate) fn has_middleware(&self) -> bool {
        let listeners = self.0.listeners.lock();
        listeners
            .as_ref()
            .is_some_and(|table| table.has_middleware())
    }

    /// The futures of the catch-all handlers of an event.
    pub(crate) fn call_any(&self, payload: &Payload, ack: &mut Option<Ack>) -> Futures {
        let mut call = self.call(payload, ack.take());
        if let Some(listeners) = self.0.listeners.lock().as_ref() {
            listeners.call_any(&mut call);
        }
        self.0
            .namespace
            .with_listeners(|listeners| listeners.call_any(&mut call));
        *ack = call.ack;
        call.futures
    }

    /// The futures of the handlers of an event; none if nobody handles it.
    pub(crate) fn call_event(&self, event: &str, payload: &Payload, ack: Option<Ack>) -> Futures {
        let mut call = self.call(payload, ack);
        if let Some(listeners) = self.0.listeners.lock().as_mut() {
            listeners.call_event(event, &mut call);
        }
        let namespace = &self.0.namespace;
        namespace.with_listeners(|listeners| listeners.call_shared(event, &mut call));
        if call.futures.is_empty() {
            if let Some(listeners) = self.0.listeners.lock().as_ref() {
                listeners.call_fallback(&mut call);
            }
            namespace.with_listeners(|listeners| listeners.call_fallback(&mut call));
        }
        call.futures
    }

    fn call<'a>(&'a self, payload: &'a Payload, ack: Option<Ack>) -> Call<'a> {
        Call {
            socket: self,
            payload,
            ack,
            futures: SmallVec::new(),
        }
    }

    pub(crate) fn ack(&self, id: Option<AckId>) -> Option<Ack> {
        id.map(|id| Ack::new(self, id))
    }

    /// Runs the middlewares for an event.
    pub(crate) fn run_middlewares(
        &self,
        payload: &Payload,
    ) -> BoxFuture<'static, Result<(), EventError>> {
        let context = || PacketContext {
            socket: self.clone(),
            payload: payload.clone(),
        };
        let calls = self.calls(Listener::middleware, context);
        let metrics = Arc::clone(self.shared().metrics());
        Box::pin(async move {
            for call in calls {
                let outcome = Running::new(call, &metrics).await;
                outcome.unwrap_or_else(|| Err(EventError::new("middleware panicked")))?;
            }
            Ok(())
        })
    }

    /// The futures of the error handlers.
    pub(crate) fn call_error(&self, error: &EventError) -> Vec<BoxFuture<'static, ()>> {
        self.calls(Listener::error, || ErrorContext {
            socket: self.clone(),
            error: error.clone(),
        })
    }

    /// The futures of the handlers of an upgrade.
    pub(crate) fn call_upgrade(&self) -> Vec<BoxFuture<'static, ()>> {
        self.all_calls(Listener::upgrade, || ConnectContext {
            socket: self.clone(),
        })
    }

    /// Runs the handlers of the end, after [`leave_namespace`](Self::leave_namespace). `None` if
    /// there are none.
    pub(crate) fn run_disconnect(&self) -> Option<BoxFuture<'static, ()>> {
        // Set by `leave_namespace`.
        let reason = self
            .0
            .reason
            .get()
            .copied()
            .unwrap_or(DisconnectReason::TransportClose);
        let context = || DisconnectContext {
            socket: self.clone(),
            reason,
        };
        let disconnecting = self.all_calls(Listener::disconnecting, context);
        let mut disconnect = self.all_calls(Listener::disconnect, context);
        // Added behind a `disconnect` of the connection handler itself.
        disconnect.extend(self.take_extra_late());
        if disconnecting.is_empty() && disconnect.is_empty() {
            self.finish();
            return None;
        }
        let socket = self.clone();
        let metrics = Arc::clone(self.shared().metrics());
        Some(Box::pin(async move {
            // They start in order, and none waits for another of its kind: one that never ends would keep the others
            // from running.
            let all = |calls: Vec<BoxFuture<'static, ()>>| {
                join_all(calls.into_iter().map(|call| Running::new(call, &metrics)))
            };
            all(disconnecting).await;
            if let Some(extra) = socket.0.extra.lock().as_mut() {
                extra.rooms = Vec::new();
            }
            all(disconnect).await;
            socket.finish();
        }))
    }

    /// Lets go of everything that the application gave, which may in turn hold the socket.
    fn finish(&self) {
        if let Some(extra) = self.0.extra.lock().as_mut() {
            extra.rooms = Vec::new();
        }
        let listeners = self.0.listeners.lock().take();
        // Dropped outside the lock: it may hold the last handle of another socket.
        drop(listeners);
    }

    /// A socket that was refused: as [`finish`](Self::finish), without having been connected.
    pub(crate) fn refuse(&self) {
        self.0.state.store(DISCONNECTED, Ordering::Release);
        drop(self.0.acks.lock().close());
        self.finish();
    }

    fn calls<C: Context>(
        &self,
        kind: fn(&Listener) -> Option<&BoxHandler<C>>,
        context: impl Fn() -> C,
    ) -> Vec<BoxFuture<'static, C::Outcome>> {
        let listeners = self.0.listeners.lock();
        listeners
            .as_ref()
            .map_or_else(Vec::new, |table| table.calls(kind, context))
    }

    /// As [`calls`](Self::calls), with those that the namespace has for all sockets.
    fn all_calls<C: Context>(
        &self,
        kind: fn(&Listener) -> Option<&BoxHandler<C>>,
        context: impl Fn() -> C,
    ) -> Vec<BoxFuture<'static, C::Outcome>> {
        let mut calls = self.calls(kind, &context);
        let namespace = &self.0.namespace;
        namespace.with_listeners(|listeners| calls.extend(listeners.calls(kind, &context)));
        calls
    }

    /// Shows a sent event to the listeners of outgoing events.
    pub(crate) fn tell_outgoing(&self, payload: &Payload) {
        if !self.0.has_outgoing.load(Ordering::Relaxed) {
            return;
        }
        let listeners = {
            let listeners = self.0.listeners.lock();
            listeners
                .as_ref()
                .map_or_else(Vec::new, |table| table.outgoing())
        };
        let name = payload.event_name().unwrap_or_default();
        for listener in listeners {
            guarded(self.shared().metrics(), || listener(&name, payload));
        }
    }
}

/// Handlers that were found for an event, not started yet.
pub(crate) type Futures = SmallVec<[BoxFuture<'static, ()>; 2]>;
