//! Server half of socketio-cluster.

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

pub use ack::{AckError, AckFuture, AckResponse, AckResponses, BroadcastAcks};
pub use broadcast::{BroadcastOperator, IntoRooms};
pub use events::{AdapterFailure, DisconnectReason, EmitError, RoomEvent};
pub use extensions::Extensions;
pub use handler::Reply;
pub use handshake::Handshake;
pub use listeners::HandlerId;
pub use metrics::{Metrics, Snapshot};
pub use middleware::{ConnectError, EventError};
pub use namespace::{Namespace, NamespaceRequest, ParentNamespace, PatternError};
pub use options::Options;
pub use remote::{
    FetchError, RemoteHandshake, RemoteSocket, ServerEvent, ServerReplies, ServerReply,
};
pub use server::{Server, ServerBuilder};
pub use socket::{Socket, SocketEmitter};
pub use socketio_core::cluster::{Adapter, AdapterError, MembersConfig, MemoryBus};
pub use socketio_core::engine::TransportKind;
pub use socketio_core::ids::{NodeId, Room, SocketId};
pub use socketio_core::packet::ParserKind;
pub use socketio_core::payload::{EncodeError, Payload};
pub use socketio_core::value::{Value, ValueError};

pub use http::{
    AllowRequest, AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError,
    ConnectionErrorHook, Cookie, Cors, CorsOrigin, ErrorCode, HeadersHook, HttpCompression, Limits,
    Listener, NotFound, OriginMatch, OriginPredicate, PeerAddr, SameSite, Secure, SocketIoLayer,
    SocketIoService, Tls, TlsError,
};
