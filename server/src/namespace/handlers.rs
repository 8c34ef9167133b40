//! What the application added to a namespace. A child of a dynamic namespace has handlers of its own
//! and those of its parent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::RwLock;

use super::Namespace;
use crate::events::RoomEvent;
use crate::handler::{AdmitContext, ConnectContext, Erased, Handler, Running, erase, guarded};
use crate::listeners::{HandlerId, Listener, Listeners};
use crate::middleware::ConnectError;
use crate::remote::{ServerEvent, ServerListener};
use crate::socket::Socket;

type RoomListener = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Handlers of a namespace, or of all children of a dynamic one.
#[derive(Default)]
pub(crate) struct Handlers {
    middlewares: RwLock<Vec<Arc<dyn Erased<AdmitContext>>>>,
    connect: RwLock<Vec<Arc<dyn Erased<ConnectContext>>>>,
    listeners: RwLock<Listeners>,
    /// Most namespaces have no listeners: then no lock is touched for an event.
    has_listeners: AtomicBool,
    rooms: RwLock<Vec<RoomListener>>,
    has_rooms: AtomicBool,
    server_events: RwLock<Vec<(String, ServerListener)>>,
}

impl Handlers {
    pub(super) fn add(&self, listener: Listener) -> HandlerId {
        let id = self.listeners.write().add(listener);
        self.has_listeners.store(true, Ordering::Release);
        id
    }

    pub(super) fn add_middleware<T: 'static>(&self, handler: impl Handler<AdmitContext, T>) {
        self.middlewares.write().push(erase(handler).into());
    }

    pub(super) fn add_connect<T: 'static>(&self, handler: impl Handler<ConnectContext, T>) {
        self.connect.write().push(erase(handler).into());
    }

    pub(super) fn add_rooms(&self, listener: RoomListener) {
        self.rooms.write().push(listener);
        self.has_rooms.store(true, Ordering::Release);
    }

    pub(super) fn add_server_event(&self, event: String, listener: ServerListener) {
        self.server_events.write().push((event, listener));
    }

    fn with_listeners(&self, visit: impl FnOnce(&Listeners)) {
        if self.has_listeners.load(Ordering::Acquire) {
            visit(&self.listeners.read());
        }
    }
}

/// The methods that a namespace and a parent of namespaces have in common.
macro_rules! handler_methods {
    () => {
        /// Decides whether a client may join: after the middlewares that were added before, and
        /// before it counts as connected. A client that is refused gets `connect_error`.
        pub fn use_middleware<T: 'static>(
            &self,
            middleware: impl $crate::handler::Handler<$crate::handler::AdmitContext, T>,
        ) {
            self.handlers().add_middleware(middleware);
        }

        /// Calls `handler` for each socket that has joined.
        ///
        /// Events of the socket wait until the handler has added their handlers, or has ended; so it
        /// should end. What shall go on for the life of the socket belongs into a task.
        pub fn on_connect<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::ConnectContext, T>,
        ) {
            self.handlers().add_connect(handler);
        }

        /// Calls `handler` for each event of this name of any socket. Costs the sockets no memory.
        pub fn on<T: 'static>(
            &self,
            event: impl Into<std::borrow::Cow<'static, str>>,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            self.handlers().add($crate::listeners::Listener::Event {
                name: event.into(),
                once: false,
                handler: $crate::handler::erase(handler),
            })
        }

        /// Calls `handler` for each event of any socket, before the event's own handlers.
        pub fn on_any<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Any($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Calls `handler` for each event of any socket that has no handler of its own.
        pub fn on_fallback<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Fallback($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Calls `handler` when any socket disconnects, while it still shows its rooms.
        pub fn on_disconnecting<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::DisconnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            let handler = $crate::handler::erase(handler);
            self.handlers()
                .add($crate::listeners::Listener::Disconnecting(handler))
        }

        /// Calls `handler` when any socket has disconnected.
        pub fn on_disconnect<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::DisconnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Disconnect($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Removes a handler of an event or of disconnects. `false` if it was not there (any more).
        pub fn off_handler(&self, id: $crate::listeners::HandlerId) -> bool {
            self.handlers().remove(id)
        }

        /// Calls `listener` when a room of this node comes into being, gains or loses a member, or
        /// goes. It runs where that happens, so it must be quick.
        pub fn on_room_event(
            &self,
            listener: impl Fn(&$crate::events::RoomEvent) + Send + Sync + 'static,
        ) {
            self.handlers().add_rooms(std::sync::Arc::new(listener));
        }

        /// Calls `handler` for each event that another node sends by
        /// [`server_side_emit`]($crate::Namespace::server_side_emit).
        pub fn on_server_event<F, Fut>(&self, event: impl Into<String>, handler: F)
        where
            F: Fn($crate::remote::ServerEvent) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = ()> + Send + 'static,
        {
            let listener = $crate::remote::server_listener(handler);
            self.handlers().add_server_event(event.into(), listener);
        }
    };
}
pub(super) use handler_methods;

impl Handlers {
    pub(super) fn remove(&self, id: HandlerId) -> bool {
        self.listeners.write().remove(id)
    }
}

impl Namespace {
    handler_methods!();

    /// The events that sockets of this namespace have shared handlers for.
    pub(crate) fn handles(&self, event: &str) -> bool {
        let mut handles = false;
        self.with_listeners(|listeners| handles |= listeners.handles(event));
        handles
    }

    fn handlers(&self) -> &Handlers {
        &self.0.handlers
    }

    fn all_handlers(&self) -> impl Iterator<Item = &Handlers> {
        let parent = self.0.parent.as_ref().map(|parent| parent.handlers());
        parent.into_iter().chain([&self.0.handlers])
    }

    /// The tables of handlers that all sockets share.
    pub(crate) fn with_listeners(&self, mut visit: impl FnMut(&Listeners)) {
        for handlers in self.all_handlers() {
            handlers.with_listeners(&mut visit);
        }
    }

    pub(crate) fn has_middlewares(&self) -> bool {
        let mut all = self.all_handlers();
        all.any(|handlers| !handlers.middlewares.read().is_empty())
    }

    /// Runs the middlewares for a socket that wants to join.
    pub(crate) async fn run_middlewares(&self, socket: &Socket) -> Result<(), ConnectError> {
        let mut middlewares = Vec::new();
        for handlers in self.all_handlers() {
            middlewares.extend(handlers.middlewares.read().iter().cloned());
        }
        for middleware in middlewares {
            let context = AdmitContext {
                socket: socket.clone(),
            };
            let running = Running::new(middleware.call(context), self.shared().metrics());
            running
                .await
                .unwrap_or_else(|| Err(ConnectError::new("internal server error")))?;
        }
        Ok(())
    }

    /// The futures of the connection handlers, not started yet.
    pub(crate) fn call_connect(&self, socket: &Socket) -> Vec<BoxFuture<'static, ()>> {
        let mut calls = Vec::new();
        for handlers in self.all_handlers() {
            let connect = handlers.connect.read();
            calls.extend(connect.iter().map(|handler| {
                handler.call(ConnectContext {
                    socket: socket.clone(),
                })
            }));
        }
        calls
    }

    pub(super) fn has_room_listeners(&self) -> bool {
        let mut all = self.all_handlers();
        all.any(|handlers| handlers.has_rooms.load(Ordering::Acquire))
    }

    pub(super) fn tell_rooms(&self, events: &[RoomEvent]) {
        if events.is_empty() {
            return;
        }
        for handlers in self.all_handlers() {
            // Copied, so that a listener may add another one.
            let listeners = handlers.rooms.read().clone();
            for listener in listeners {
                for event in events {
                    guarded(self.shared().metrics(), || listener(event));
                }
            }
        }
    }

    /// The handlers of a server-side event, started.
    pub(crate) fn call_server_event(
        &self,
        name: &str,
        event: &ServerEvent,
    ) -> Vec<BoxFuture<'static, ()>> {
        let mut calls = Vec::new();
        for handlers in self.all_handlers() {
            let listeners = handlers.server_events.read();
            let matching = listeners.iter().filter(|(known, _)| known == name);
            calls.extend(matching.map(|(_, listener)| listener(event.clone())));
        }
        calls
    }
}
