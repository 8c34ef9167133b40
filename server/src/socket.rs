//! [`Socket`]: one client in one namespace, as handlers see it.

mod emitter;
mod handlers;
mod listening;
mod send;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::engine::{CloseReason, TransportKind};
use socketio_core::frame::Frame;
use socketio_core::ids::{Room, SocketId};
use socketio_core::rooms::SocketKey;
use socketio_core::value::{self, Value, ValueError};

pub use self::emitter::SocketEmitter;
pub(crate) use self::handlers::Futures;
use crate::ack::{AckTable, PendingAck};
use crate::broadcast::IntoRooms;
use crate::client::ClientCommand;
use crate::engine::Conn;
use crate::events::{DisconnectReason, EmitError};
use crate::extensions::{Extensions, TypeMap};
use crate::extract::AuthError;
use crate::handshake::Handshake;
use crate::listeners::Listeners;
use crate::namespace::Namespace;
use crate::server::Shared;

/// One client in one namespace. A handle: clones mean the same socket.
///
/// It outlives the client: after a disconnect it can still be asked who it was, and sending fails.
///
/// # Example
///
/// ```
/// use socketio_server::{Server, Socket};
/// use socketio_server::extract::Data;
///
/// let io = Server::builder().build();
/// io.on_connect(async |socket: Socket| {
///     socket.join("lobby");
///     socket.on("say", |socket: Socket, Data(text): Data<String>| async move {
///         // To everybody in the lobby but the sender.
///         let _ = socket.to("lobby").emit("said", (socket.id(), text));
///     });
/// });
/// ```
///
/// # Ordering
///
/// What is sent to one socket arrives in the order of the calls, broadcasts included.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    id: SocketId,
    conn: Arc<Conn>,
    namespace: Namespace,
    /// JSON of the CONNECT packet.
    auth: Option<Box<str>>,
    /// Where the namespace keeps it, once it is connected.
    key: OnceLock<SocketKey>,
    state: AtomicU8,
    /// The connection handler runs: a new handler may have events waiting for it.
    opening: AtomicBool,
    has_outgoing: AtomicBool,
    reason: OnceLock<DisconnectReason>,
    listeners: Mutex<Option<Box<Listeners>>>,
    acks: Mutex<AckTable>,
    extensions: Mutex<Option<Box<TypeMap>>>,
    extra: Mutex<Option<Box<Extra>>>,
}

/// What few sockets have.
#[derive(Default)]
struct Extra {
    data: Value,
    /// Rooms while the socket is not among the members: joined before it is connected, or left
    /// because it disconnected and its `disconnecting` handlers still run.
    rooms: Vec<Room>,
    /// Disconnect handlers that the connection handler added after the disconnect.
    late: Vec<BoxFuture<'static, ()>>,
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", self.id())
            .field("namespace", &self.0.namespace.name())
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    /// Whether both are the same socket.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl Socket {
    pub(crate) fn new(
        id: SocketId,
        conn: Arc<Conn>,
        namespace: Namespace,
        auth: Option<Box<str>>,
    ) -> Self {
        Self(Arc::new(Inner {
            id,
            conn,
            namespace,
            auth,
            key: OnceLock::new(),
            state: AtomicU8::new(CONNECTING),
            opening: AtomicBool::new(false),
            has_outgoing: AtomicBool::new(false),
            reason: OnceLock::new(),
            listeners: Mutex::new(None),
            acks: Mutex::default(),
            extensions: Mutex::new(None),
            extra: Mutex::new(None),
        }))
    }

    // What it is

    /// The public id: 20 characters, and never the (secret) session id of the connection, except
    /// for clients of Socket.IO v2, which know no other.
    #[must_use]
    pub fn id(&self) -> &SocketId {
        &self.0.id
    }

    /// The namespace that it is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Whether it is connected: past the middlewares, and neither side has disconnected.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == CONNECTED
    }

    /// Whether an earlier connection was restored. Connection state recovery does not exist yet, so
    /// this is `false`.
    #[must_use]
    pub fn recovered(&self) -> bool {
        false
    }

    /// The request that opened the session.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.0.conn.handshake()
    }

    /// The transport that the client uses at this moment.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.0.conn.transport()
    }

    /// What the client sent as `auth`; `{}` when it sent nothing.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, AuthError> {
        let json = self.0.auth.as_deref().unwrap_or("{}");
        serde_json::from_str(json).map_err(|error| AuthError(error.to_string()))
    }

    /// Values that the application attached, for this node only.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions(&self.0.extensions)
    }

    /// Attaches data that [`fetch_sockets`](crate::BroadcastOperator::fetch_sockets) shows, on other nodes
    /// too.
    ///
    /// # Errors
    ///
    /// When the data cannot be serialized.
    pub fn set_data<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        let data = value::to_value(&data)?;
        self.0.extra.lock().get_or_insert_default().data = data;
        Ok(())
    }

    /// What [`set_data`](Self::set_data) attached; `null` when it was not called.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        value::from_value(self.data_value())
    }

    pub(crate) fn data_value(&self) -> Value {
        let extra = self.0.extra.lock();
        extra
            .as_ref()
            .map_or(Value::Null, |extra| extra.data.clone())
    }

    // Rooms

    /// Joins rooms: one, or a list. Does nothing after a disconnect, nor for the room of another
    /// socket ([`private_id_rooms`](crate::Options::private_id_rooms)).
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        if !self.connected() {
            let mut extra = self.0.extra.lock();
            // Looked at under the lock: who connects it takes these rooms afterwards, by the same lock.
            match self.0.state.load(Ordering::Acquire) {
                CONNECTING => return extra.get_or_insert_default().rooms.extend(rooms),
                CONNECTED => {}
                _ => return,
            }
        }
        self.0.namespace.join(self, rooms);
    }

    /// Leaves rooms: one, or a list.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        if self.connected() {
            self.0.namespace.leave(self, &rooms);
        } else if let Some(extra) = self.0.extra.lock().as_mut() {
            extra.rooms.retain(|room| !rooms.contains(room));
        }
    }

    /// The rooms that it is in; the one named by its own id is always among them. Empty after the
    /// disconnect, but `disconnecting` handlers still see them.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room> {
        if self.connected() {
            return self.0.namespace.rooms_of(self);
        }
        let extra = self.0.extra.lock();
        extra
            .as_ref()
            .map_or_else(Vec::new, |extra| extra.rooms.clone())
    }

    // The end

    /// Leaves the namespace: the client is told, and `disconnect` handlers run with
    /// [`ServerNamespaceDisconnect`](DisconnectReason::ServerNamespaceDisconnect).
    ///
    /// Takes effect at once: when this returns, the socket is in no room any more, even if its
    /// client does not read. With `close` the connection with all its namespaces is closed.
    pub fn disconnect(&self, close: bool) {
        if self.send_disconnect() {
            self.0
                .conn
                .client_command(ClientCommand::Left(self.clone()));
        }
        if close {
            self.0.conn.client_command(ClientCommand::Close);
        }
    }

    /// Closes the connection without a word about its namespaces (`socket.conn.close()` in Node): to
    /// the client its transport is lost, so that it connects again by itself. `disconnect` handlers
    /// of all its namespaces run with [`ForcedClose`](DisconnectReason::ForcedClose).
    pub fn close_transport(&self) {
        self.0.conn.close(CloseReason::ForcedClose);
    }

    /// Leaves the namespace and tells the client. `false` if it had left already.
    pub(crate) fn send_disconnect(&self) -> bool {
        let left = self.leave_namespace(DisconnectReason::ServerNamespaceDisconnect);
        if left {
            let frame = self
                .shared()
                .parser()
                .encode_disconnect(self.0.namespace.name());
            self.0.conn.send(&frame, false);
        }
        left
    }

    /// Takes the socket out of its namespace. `false` if it had left already. Its disconnect
    /// handlers are the business of the session task.
    pub(crate) fn leave_namespace(&self, reason: DisconnectReason) -> bool {
        // Whoever sees the new state must find the reason.
        let state = &self.0.state;
        if state.load(Ordering::Acquire) != CONNECTED || self.0.reason.set(reason).is_err() {
            return false;
        }
        state.store(DISCONNECTED, Ordering::Release);
        let rooms = self.0.namespace.remove(self);
        self.0.extra.lock().get_or_insert_default().rooms = rooms;
        let acks = self.0.acks.lock().close();
        for ack in acks.into_values() {
            // The sender of a single answer ends its waiting by being dropped.
            if let PendingAck::Many(collector) = ack {
                collector.lost(self.id());
            }
        }
        self.0.namespace.socket_left(self.id(), reason);
        true
    }

    // For the layers around

    pub(crate) fn conn(&self) -> &Arc<Conn> {
        &self.0.conn
    }

    pub(crate) fn server(&self) -> &Shared {
        self.shared()
    }

    fn shared(&self) -> &Arc<Shared> {
        self.0.namespace.shared()
    }

    pub(crate) fn key(&self) -> Option<SocketKey> {
        self.0.key.get().copied()
    }

    /// From now on it is a member of its namespace. `false` if it was disconnected meanwhile.
    pub(crate) fn set_connected(&self, key: SocketKey) -> bool {
        // A socket becomes a member once, in its session task.
        let _: Result<(), SocketKey> = self.0.key.set(key);
        let state = &self.0.state;
        state
            .compare_exchange(CONNECTING, CONNECTED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The rooms that were joined before the socket was connected.
    pub(crate) fn take_early_rooms(&self) -> Vec<Room> {
        let mut extra = self.0.extra.lock();
        if !self.connected() {
            // Disconnected at once: what is there now is for its `disconnecting` handlers.
            return Vec::new();
        }
        extra
            .as_mut()
            .map_or_else(Vec::new, |extra| std::mem::take(&mut extra.rooms))
    }

    pub(crate) fn send_frame(&self, frame: &Frame, volatile: bool) {
        self.0.conn.send(frame, volatile);
    }
}

#[cfg(test)]
mod size {
    /// Paid by every socket; what only some sockets need is behind a pointer.
    #[test]
    fn a_socket_stays_small() {
        let size = size_of::<super::Inner>();
        assert!(size <= 200, "socket is {size} bytes");
    }
}
