//! A Socket.IO server: Engine.IO 4 and 3, Socket.IO 5 and 4, as a hyper and tower service.
//!
//! ```no_run
//! use socketio_server::extract::Data;
//! use socketio_server::{Listener, Reply, Server, Socket};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::builder().build();
//! io.on_connect(async |socket: Socket| {
//!     socket.join("lobby");
//!     socket.on("say", async |socket: Socket, Data(text): Data<String>| {
//!         let _ = socket.to("lobby").emit("said", (socket.id(), text));
//!         Reply("sent")
//!     });
//! });
//! Listener::bind("127.0.0.1:3000").await?.serve(io.service()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`Server`] and its [builder](ServerBuilder); [`Namespace`] and [`ParentNamespace`]; [`Socket`].
//! * [`handler`]: what a handler is; [`extract`]: what it may ask for.
//! * [`BroadcastOperator`]: whom to send to, and what else to do with many sockets.
//! * [`Server::service`] and [`Server::layer`]: mounting it; [`Listener`]: without an HTTP server of
//!   your own.
//! * [`Options`]: everything that can be set, with Node's names and defaults.
//!
//! # The ways through the code
//!
//! * An event comes in: `http` or `engine::websocket`, `engine::session`, `client`, `namespace`,
//!   `handler`. What the handler sends goes by `socket` to `engine::outbox`.
//! * A broadcast: `broadcast`, `namespace::operators`, then `Namespace::deliver` for this node and
//!   `cluster` for the others.
//! * From another node: `cluster`, then the same `Namespace::deliver`.

pub mod extract;
pub mod handler;

mod ack;
mod broadcast;
mod client;
mod cluster;
mod engine;
mod events;
mod extensions;
mod handshake;
mod http;
mod listeners;
mod metrics;
mod middleware;
mod namespace;
mod options;
mod remote;
mod server;
mod socket;
mod spans;

pub use ack::{AckError, AckFuture, AckResponse, AckResponses, BroadcastAcks};
pub use broadcast::{BroadcastOperator, IntoRooms};
pub use events::{AdapterFailure, DisconnectReason, EmitError, RoomEvent, RoomPresence};
pub use extensions::Extensions;
pub use handler::Reply;
pub use handshake::Handshake;
pub use listeners::HandlerId;
pub use metrics::{Metrics, Snapshot};
pub use middleware::{ConnectError, EventError};
pub use namespace::{
    Namespace, NamespaceRequest, ParentNamespace, PatternError, RoomCount, RoomList,
};
pub use options::Options;
pub use prometheus_client;
pub use remote::{
    FetchError, LazyHandshake, MissingNodes, RemoteHandshake, RemoteSocket, ServerEvent,
    ServerReplies, ServerReply,
};
pub use server::{Server, ServerBuilder};
pub use socket::{Socket, SocketEmitter};
pub use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, MembersConfig, MemoryBus, OccupancyConfig,
};
pub use socketio_core::engine::TransportKind;
pub use socketio_core::ids::{NodeId, Room, SocketId};
pub use socketio_core::metrics::Page as MetricsPage;
pub use socketio_core::packet::ParserKind;
pub use socketio_core::payload::{EncodeError, Payload};
pub use socketio_core::value::{Value, ValueError};

pub use http::{
    AllowRequest, AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError,
    ConnectionErrorHook, Cookie, Cors, CorsOrigin, ErrorCode, GenerateId, HeadersHook,
    HttpCompression, Limits, Listener, NotFound, OriginMatch, OriginPredicate, PeerAddr, SameSite,
    Secure, SocketIoLayer, SocketIoService, Tls, TlsError,
};

/// README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
