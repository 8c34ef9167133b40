//! Sockets and servers elsewhere: what [`fetch_sockets`](crate::Namespace::fetch_sockets) finds, and
//! events between servers.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::{LazyValue, Missing};
use socketio_core::ids::{NodeId, Room, SocketId};
use socketio_core::payload::Payload;
use socketio_core::value::{self, Value, ValueError};
use tokio::sync::oneshot;

use crate::ack::{AckError, BroadcastAcks};
use crate::broadcast::{BroadcastOperator, IntoRooms};
use crate::cluster::remote_handshake;
use crate::events::EmitError;
use crate::handshake::Handshake;
use crate::namespace::Namespace;
use crate::socket::Socket;

/// A socket of any node, as it was when it was fetched.
///
/// Its methods reach the socket wherever it is, and do nothing if it has left.
#[derive(Clone)]
#[non_exhaustive]
pub struct RemoteSocket {
    /// The public id.
    pub id: SocketId,
    /// The request that opened its session.
    pub handshake: LazyHandshake,
    /// The rooms that it is in, the one of its own id included.
    pub rooms: Vec<Room>,
    /// What [`Socket::set_data`] attached.
    pub data: Value,
    pub(crate) namespace: Namespace,
}

/// What other nodes are told of the request that opened a session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RemoteHandshake {
    /// Headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// Address of the client, where the node knows it.
    pub address: String,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Whether it named a foreign `Origin`.
    pub xdomain: bool,
    /// When the session was opened.
    pub issued: SystemTime,
    /// Raw request target.
    pub url: String,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// What the client sent as `auth`.
    pub auth: Value,
}

/// A [`RemoteHandshake`], which this derefs to. It is put together when somebody looks at it, since
/// there may be thousands of sockets and hardly anybody does.
#[derive(Clone)]
pub struct LazyHandshake {
    source: Source,
    read: OnceLock<Arc<RemoteHandshake>>,
}

#[derive(Clone)]
enum Source {
    Here(Arc<Handshake>, Value),
    Elsewhere(LazyValue),
}

impl LazyHandshake {
    fn of(socket: &Socket) -> Self {
        let handshake = Arc::clone(socket.conn().handshake());
        Self::new(Source::Here(handshake, socket.auth().unwrap_or_default()))
    }

    fn new(source: Source) -> Self {
        let read = OnceLock::new();
        Self { source, read }
    }
}

impl From<LazyValue> for LazyHandshake {
    fn from(told: LazyValue) -> Self {
        Self::new(Source::Elsewhere(told))
    }
}

impl Deref for LazyHandshake {
    type Target = RemoteHandshake;

    fn deref(&self) -> &RemoteHandshake {
        self.read.get_or_init(|| {
            Arc::new(match &self.source {
                Source::Here(handshake, auth) => RemoteHandshake::of(handshake, auth.clone()),
                Source::Elsewhere(told) => remote_handshake(told),
            })
        })
    }
}

impl fmt::Debug for LazyHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl RemoteHandshake {
    fn of(handshake: &Handshake, auth: Value) -> Self {
        let headers = handshake.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Self {
            headers: headers.collect(),
            address: handshake
                .address
                .map(|address| address.ip().to_string())
                .unwrap_or_default(),
            secure: handshake.secure,
            xdomain: handshake.xdomain,
            issued: handshake.issued,
            url: handshake.url.clone(),
            query: handshake.query.clone(),
            auth,
        }
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", &self.id)
            .field("rooms", &self.rooms)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl RemoteSocket {
    pub(crate) fn of(socket: &Socket) -> Self {
        Self {
            id: socket.id().clone(),
            handshake: LazyHandshake::of(socket),
            rooms: socket.rooms(),
            data: socket.data_value(),
            namespace: socket.namespace().clone(),
        }
    }

    /// The attached data as a `T`.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        value::from_value(self.data.clone())
    }

    /// Just this socket.
    pub fn operator(&self) -> BroadcastOperator {
        self.namespace.to(&self.id)
    }

    /// Sends it an event.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::emit`].
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.operator().emit(event, data)
    }

    /// Sends it an event and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`AckError::Timeout`] when there is none in time, also because the socket has left.
    pub async fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let operator = self.operator().timeout(timeout).expect_one();
        let mut acks: BroadcastAcks<R> = operator.emit_with_ack(event, data)?;
        match acks.next().await {
            Some(response) => response.data.map_err(AckError::Decode),
            None => Err(AckError::Timeout),
        }
    }

    /// Makes it join rooms.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::join`].
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator().join(rooms)
    }

    /// Makes it leave rooms.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::leave`].
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator().leave(rooms)
    }

    /// Disconnects it; with `close` its connection is closed.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::disconnect`].
    pub fn disconnect(&self, close: bool) -> Result<(), EmitError> {
        self.operator().disconnect(close)
    }
}

/// Nodes of which something is not known: those that did not answer, for instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingNodes {
    /// The ids of those that have one.
    pub nodes: Vec<NodeId>,
    /// How many more there are: members that run other software, such as Node.js, of which only
    /// the number is known.
    pub unnamed: usize,
}

impl MissingNodes {
    pub(crate) fn of(missing: &Missing) -> Self {
        Self {
            nodes: missing.nodes.clone(),
            unnamed: missing.unnamed_nodes,
        }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are, with and without an id.
    #[must_use]
    pub fn len(&self) -> usize {
        self.unnamed.saturating_add(self.nodes.len())
    }

    /// Adds those of another namespace. The numbers without names may mean the same members, so the
    /// larger one counts.
    pub(crate) fn merge(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.nodes.sort();
        self.nodes.dedup();
        self.unnamed = self.unnamed.max(other.unnamed);
    }
}

/// Nodes did not answer in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no answer from {} nodes", missing.len())]
#[non_exhaustive]
pub struct FetchError {
    /// The sockets of the nodes that did answer, this one included.
    pub sockets: Vec<RemoteSocket>,
    /// The nodes that did not.
    pub missing: MissingNodes,
}

/// What the other servers answered to
/// [`server_side_emit_with_ack`](Namespace::server_side_emit_with_ack).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerReplies<R> {
    /// The answers in the order in which they came.
    pub replies: Vec<ServerReply<R>>,
    /// The nodes that did not answer in time.
    pub missing: MissingNodes,
}

impl<R> Default for ServerReplies<R> {
    fn default() -> Self {
        Self {
            replies: Vec::new(),
            missing: MissingNodes::default(),
        }
    }
}

/// The answer of one server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerReply<R> {
    /// Who answered, where the adapter's format says so.
    pub node: Option<NodeId>,
    /// The answer, if it is what was asked for.
    pub data: Result<R, ValueError>,
}

/// An event from another server of the cluster. Shown to handlers that were added by
/// [`Namespace::on_server_event`].
#[derive(Debug, Clone)]
pub struct ServerEvent {
    payload: Payload,
    reply: Arc<Mutex<Option<oneshot::Sender<Payload>>>>,
}

impl ServerEvent {
    pub(crate) fn new(payload: Payload, reply: Option<oneshot::Sender<Payload>>) -> Self {
        let reply = Arc::new(Mutex::new(reply));
        Self { payload, reply }
    }

    /// The arguments: a tuple for all of them, another type for the first.
    ///
    /// # Errors
    ///
    /// When they have another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.payload.deserialize_args(true)
    }

    /// The arguments as they came, the event's name in front.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Answers the server that asked. Only the first answer counts; if none is wanted, nothing
    /// happens.
    ///
    /// # Errors
    ///
    /// When the data cannot be serialized.
    pub fn reply<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        let payload = Payload::args(&data)?;
        if let Some(reply) = self.reply.lock().take() {
            // Who asked may have given up.
            let _: Result<(), Payload> = reply.send(payload);
        }
        Ok(())
    }
}

pub(crate) type ServerListener = Box<dyn Fn(ServerEvent) -> BoxFuture<'static, ()> + Send + Sync>;

pub(crate) fn server_listener<F, Fut>(handler: F) -> ServerListener
where
    F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Box::new(move |event| Box::pin(handler(event)))
}
