//! Server half of socketio-cluster.

pub mod metrics;

mod client;
mod engine;
mod handshake;
// What a `Server` makes lands with it.
#[allow(dead_code)]
mod http;
mod options;

pub use handshake::Handshake;
pub use options::Options;

pub use http::{
    AllowRequest, AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError,
    ConnectionErrorHook, Cookie, Cors, CorsOrigin, ErrorCode, HeadersHook, HttpCompression, Limits,
    Listener, NotFound, OriginMatch, OriginPredicate, PeerAddr, SameSite, Secure, SocketIoLayer,
    SocketIoService, Tls, TlsError,
};
