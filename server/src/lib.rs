//! Server half of socketio-cluster.

pub mod metrics;

mod http;

pub use http::{
    AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError, Cookie, Cors, CorsOrigin,
    ErrorCode, HttpCompression, Limits, Listener, OriginMatch, OriginPredicate, PeerAddr, SameSite,
    Secure, Tls, TlsError,
};
