//! HTTP: from a request to a session of the engine, and back.
//!
//! * [`cors`], [`origin`], [`cookie`], [`compression`]: the options that concern HTTP.
//! * [`static_client`]: the client bundles.
//! * [`listener`], [`connection`], [`tls`]: the sockets below, for those who bring no HTTP server of their own.

// The half that speaks to the engine lands with the engine.
#![allow(dead_code)]

mod body;
mod compression;
mod connection;
mod cookie;
mod cors;
mod error;
mod listener;
mod origin;
mod query;
mod static_client;
mod tls;
mod upgrade;

pub use self::compression::HttpCompression;
pub use self::connection::{PeerAddr, Secure};
pub use self::cookie::{Cookie, SameSite};
pub use self::cors::{Cors, CorsOrigin};
pub use self::error::{ConnectionError, ErrorCode};
pub use self::listener::{Limits, Listener};
pub use self::origin::{AllowedOrigins, OriginMatch, OriginPredicate};
pub use self::static_client::{ClientFiles, ClientFilesError};
pub use self::tls::{Tls, TlsError};
