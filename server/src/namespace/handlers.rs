//! What the application added to a namespace. A child of a dynamic namespace has handlers of its own
//! and those of its parent.

mod methods;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use socketio_core::ids::Room;

pub(super) use self::methods::handler_methods;
use super::Namespace;
use crate::events::{RoomEvent, RoomPresence};
use crate::handler::{AdmitContext, ConnectContext, Erased, Handler, Running, erase, guarded};
use crate::listeners::{HandlerId, Listener, Listeners};
use crate::middleware::ConnectError;
use crate::remote::{ServerEvent, ServerListener};
use crate::socket::Socket;

type PresenceListener = Arc<dyn Fn(&RoomPresence) + Send + Sync>;
type RoomListener = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Handlers of a namespace, or of all children of a dynamic one.
#[derive(Default)]
pub(crate) struct Handlers {
    middlewares: RwLock<List<Arc<dyn Erased<AdmitContext>>>>,
    connect: RwLock<List<Arc<dyn Erased<ConnectContext>>>>,
    listeners: RwLock<Listeners>,
    /// Most namespaces have no listeners: then no lock is touched for an event.
    has_listeners: AtomicBool,
    rooms: RwLock<List<RoomListener>>,
    has_rooms: AtomicBool,
    occupied: RwLock<Vec<PresenceListener>>,
    vacated: RwLock<Vec<PresenceListener>>,
    has_presence: AtomicBool,
    server_events: RwLock<List<(String, ServerListener)>>,
    /// Ids are given across all the lists.
    next: AtomicU32,
}

type List<T> = Vec<(HandlerId, T)>;

/// Takes the entry of this id out.
fn take<T>(list: &RwLock<List<T>>, id: HandlerId) -> Option<T> {
    let mut list = list.write();
    let at = list.iter().position(|(known, _)| *known == id)?;
    Some(list.remove(at).1)
}

impl Handlers {
    fn next_id(&self) -> HandlerId {
        HandlerId::new(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn add(&self, listener: Listener) -> HandlerId {
        let id = self.next_id();
        self.listeners.write().add_as(id, listener);
        self.has_listeners.store(true, Ordering::Release);
        id
    }

    pub(super) fn add_middleware<T: 'static>(
        &self,
        handler: impl Handler<AdmitContext, T>,
    ) -> HandlerId {
        let id = self.next_id();
        self.middlewares.write().push((id, erase(handler).into()));
        id
    }

    pub(super) fn add_connect<T: 'static>(
        &self,
        handler: impl Handler<ConnectContext, T>,
    ) -> HandlerId {
        let id = self.next_id();
        self.connect.write().push((id, erase(handler).into()));
        id
    }

    pub(super) fn add_rooms(&self, listener: RoomListener) -> HandlerId {
        let id = self.next_id();
        self.rooms.write().push((id, listener));
        self.has_rooms.store(true, Ordering::Release);
        id
    }

    pub(super) fn add_occupied(&self, listener: PresenceListener) {
        self.occupied.write().push(listener);
        self.has_presence.store(true, Ordering::Release);
    }

    pub(super) fn add_vacated(&self, listener: PresenceListener) {
        self.vacated.write().push(listener);
        self.has_presence.store(true, Ordering::Release);
    }

    pub(super) fn add_server_event(&self, event: String, listener: ServerListener) -> HandlerId {
        let id = self.next_id();
        self.server_events.write().push((id, (event, listener)));
        id
    }

    /// What is removed is dropped outside of the locks.
    pub(super) fn remove(&self, id: HandlerId) -> bool {
        let listener = self.listeners.write().remove(id);
        listener.is_some()
            || take(&self.connect, id).is_some()
            || take(&self.middlewares, id).is_some()
            || take(&self.rooms, id).is_some()
            || take(&self.server_events, id).is_some()
    }

    pub(super) fn remove_where(&self, unwanted: impl Fn(&Listener) -> bool) {
        let removed = self.listeners.write().remove_where(unwanted);
        drop(removed);
    }

    pub(super) fn ids(&self, wanted: impl Fn(&Listener) -> bool) -> Vec<HandlerId> {
        self.listeners.read().ids(wanted)
    }

    pub(super) fn event_names(&self) -> Vec<String> {
        self.listeners.read().event_names()
    }

    fn with_listeners(&self, visit: impl FnOnce(&Listeners)) {
        if self.has_listeners.load(Ordering::Acquire) {
            visit(&self.listeners.read());
        }
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
        for (_, middleware) in middlewares {
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
            calls.extend(connect.iter().map(|(_, handler)| {
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
            for (_, listener) in listeners {
                for event in events {
                    guarded(self.shared().metrics(), || listener(event));
                }
            }
        }
    }

    fn enable_presence(&self) {
        if let Some(cluster) = self.shared().cluster() {
            cluster.enable_notices();
        }
    }

    /// Without a cluster this node is all there is.
    pub(super) fn tell_alone(&self, room: &Room, count: u64) {
        let mut all = self.all_handlers();
        if self.shared().cluster().is_none()
            && all.any(|handlers| handlers.has_presence.load(Ordering::Acquire))
        {
            self.tell_presence(&RoomPresence {
                namespace: self.shared_name(),
                room: room.clone(),
                node: self.shared().node_id().clone(),
                count,
            });
        }
    }

    pub(crate) fn tell_presence(&self, presence: &RoomPresence) {
        for handlers in self.all_handlers() {
            let listeners = match presence.count {
                0 => &handlers.vacated,
                _ => &handlers.occupied,
            };
            // Copied, so that a listener may add another one.
            let listeners = listeners.read().clone();
            for listener in listeners {
                guarded(self.shared().metrics(), || listener(presence));
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
            let matching = listeners.iter().filter(|(_, (known, _))| known == name);
            calls.extend(matching.map(|(_, (_, listener))| listener(event.clone())));
        }
        calls
    }
}
