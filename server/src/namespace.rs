//! [`Namespace`]: handlers, and the sockets with their rooms under one lock.

mod changes;
mod count;
mod handlers;
mod members;
mod operators;
mod parent;
mod server_side;
mod table;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use socketio_core::ids::{AckId, Room, SocketId};
use socketio_core::rooms::Rooms;
use socketio_core::target::Target;

pub use self::count::{RoomCount, RoomList};
pub(crate) use self::handlers::Handlers;
pub(crate) use self::members::Admission;
use self::members::Member;
pub(crate) use self::parent::Rule;
pub use self::parent::{NamespaceRequest, ParentNamespace, PatternError};
pub(crate) use self::server_side::server_event;
pub(crate) use self::table::{Namespaces, Resolved};
use crate::events::DisconnectReason;
use crate::metrics::NamespaceMetrics;
use crate::server::Shared;
use crate::socket::Socket;

/// A namespace: a part of the application with sockets, rooms and handlers of its own, over the
/// connections that all namespaces share. A handle: clones mean the same namespace.
///
/// ```
/// use socketio_server::{ConnectError, Server, Socket};
/// use socketio_server::extract::Auth;
///
/// #[derive(serde::Deserialize)]
/// struct Login { token: String }
///
/// let io = Server::builder().build();
/// let admin = io.of("/admin");
/// admin.use_middleware(async |Auth(login): Auth<Login>| {
///     if login.token == "secret" { Ok(()) } else { Err(ConnectError::new("not authorized")) }
/// });
/// admin.on_connect(async |socket: Socket| {
///     let _ = socket.broadcast().emit("admin joined", socket.id());
/// });
/// admin.to("reports").emit("refresh", ())?;
/// # Ok::<(), socketio_server::EmitError>(())
/// ```
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    shared: Arc<Shared>,
    table: Weak<Namespaces>,
    metrics: Arc<NamespaceMetrics>,
    parent: Option<ParentNamespace>,
    handlers: Handlers,
    members: Mutex<Members>,
    /// One counter for all sockets, as in Node, so that a broadcast has one id for all.
    next_ack: AtomicU64,
    /// A socket listens to outgoing events: broadcasts have to look.
    outgoing: AtomicBool,
}

#[derive(Default)]
struct Members {
    rooms: Rooms<Member>,
    /// Sockets in `rooms`, and clients on their way through the middlewares.
    users: usize,
    changes: Changes,
    /// It was an empty child and is no longer in the table: nobody may join any more.
    removed: bool,
}

/// What has changed since the other nodes were told last. Stays empty where nobody is told.
#[derive(Default)]
struct Changes {
    rooms: HashSet<Room>,
    /// The cluster knows that there is something.
    noted: bool,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Namespace {
    /// Whether both are the same namespace of the same server.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Namespace {}

impl Namespace {
    fn new(
        name: Arc<str>,
        shared: &Arc<Shared>,
        table: Weak<Namespaces>,
        parent: Option<ParentNamespace>,
    ) -> Self {
        let metrics = match &parent {
            Some(_) => shared.metrics().dynamic_namespaces(),
            None => shared.metrics().namespace(&name),
        };
        Self(Arc::new(Inner {
            name,
            shared: Arc::clone(shared),
            table,
            metrics,
            parent,
            handlers: Handlers::default(),
            members: Mutex::default(),
            next_ack: AtomicU64::new(0),
            outgoing: AtomicBool::new(false),
        }))
    }

    /// The name, with its leading `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The dynamic namespace that it belongs to.
    #[must_use]
    pub fn parent(&self) -> Option<&ParentNamespace> {
        self.0.parent.as_ref()
    }

    /// The socket with this id, if it is connected to this node.
    #[must_use]
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        let members = self.0.members.lock();
        members.rooms.get(id).map(|member| member.socket.clone())
    }

    /// All sockets of this node.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.sockets_of(&Target::all())
    }

    /// Number of sockets of this node.
    #[must_use]
    pub fn socket_count(&self) -> usize {
        self.0.members.lock().rooms.len()
    }

    /// All rooms of this node, those named by a socket's own id included; those of all nodes are told
    /// by [`rooms`](Self::rooms).
    #[must_use]
    pub fn local_rooms(&self) -> Vec<Room> {
        self.0.members.lock().rooms.all_rooms()
    }

    /// The ids of the sockets of this node in a room.
    #[must_use]
    pub fn room_members(&self, room: impl Into<Room>) -> Vec<SocketId> {
        let room = room.into();
        self.0.members.lock().rooms.members(&room)
    }

    /// Number of sockets of this node in a room; cheaper than to list them.
    #[must_use]
    pub fn room_size(&self, room: impl Into<Room>) -> usize {
        let room = room.into();
        self.0.members.lock().rooms.member_count(&room)
    }

    // For the layers around

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.0.name)
    }

    pub(crate) fn next_ack_id(&self) -> AckId {
        AckId(self.0.next_ack.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn watch_outgoing(&self) {
        self.0.outgoing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn socket_left(&self, id: &SocketId, reason: DisconnectReason) {
        tracing::debug!(namespace = self.name(), socket = %id, %reason, "disconnected");
        self.shared()
            .metrics()
            .socket_disconnected(&self.0.metrics, reason.as_str());
    }
}
