//! Server half of socketio-cluster.

pub mod metrics;

mod client;
mod engine;
mod handshake;
mod http;
mod options;

pub use handshake::Handshake;
pub use options::Options;

pub use http::{
    AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError, Cookie, Cors, CorsOrigin,
    ErrorCode, HttpCompression, Limits, Listener, OriginMatch, OriginPredicate, PeerAddr, SameSite,
    Secure, Tls, TlsError,
};
