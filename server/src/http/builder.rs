//! The part of [`ServerBuilder`] that concerns HTTP.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytestring::ByteString;
use http::HeaderMap;
use http::request::Parts;

use super::{
    AllowRequest, AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError,
    ConnectionErrorHook, Cookie, Cors, GenerateId, HeadersHook, HttpCompression,
};
use crate::handshake::Handshake;
use crate::server::ServerBuilder;

impl ServerBuilder {
    /// Lets pages of other origins in: sets [`Options::cors`](crate::Options::cors).
    pub fn cors(mut self, cors: Cors) -> Self {
        self.options.cors = Some(cors);
        self
    }

    /// Refuses pages of other origins, on WebSocket too: sets
    /// [`Options::allowed_origins`](crate::Options::allowed_origins).
    pub fn allowed_origins(mut self, origins: AllowedOrigins) -> Self {
        self.options.allowed_origins = origins;
        self
    }

    /// Sets a cookie at the polling handshake: [`Options::cookie`](crate::Options::cookie).
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.options.cookie = Some(cookie);
        self
    }

    /// When answers to polls are compressed, `None` for never: sets
    /// [`Options::http_compression`](crate::Options::http_compression).
    pub fn http_compression(mut self, compression: impl Into<Option<HttpCompression>>) -> Self {
        self.options.http_compression = compression.into();
        self
    }

    /// Decides about requests that open a session. The text of an error goes to the client.
    ///
    /// ```
    /// use socketio_server::{Handshake, Server};
    ///
    /// let io = Server::builder()
    ///     .allow_request(async |handshake: Handshake| {
    ///         if handshake.headers.contains_key("x-ticket") { Ok(()) } else { Err("no ticket") }
    ///     })
    ///     .build();
    /// ```
    pub fn allow_request<F, R, E>(mut self, decide: F) -> Self
    where
        F: Fn(Handshake) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<String>,
    {
        self.options.allow_request = Some(AllowRequest::new(decide));
        self
    }

    /// Makes the ids of sessions: up to [`GenerateId::MAX_LEN`] letters, digits and `-._~`. An id is as good as a password,
    /// so nobody may be able to guess it. Where this fails, or an id is in use, the client is refused as a bad request.
    ///
    /// ```
    /// use socketio_server::{Handshake, Server};
    /// # fn random() -> u128 { 4 }
    ///
    /// let io = Server::builder()
    ///     .generate_id(async |_: Handshake| Ok::<_, String>(format!("node7-{:032x}", random())))
    ///     .build();
    /// ```
    pub fn generate_id<F, R, E>(mut self, generate: F) -> Self
    where
        F: Fn(Handshake) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<String>,
    {
        self.options.generate_id = Some(GenerateId::new(generate));
        self
    }

    /// Begins each session with a message: sets [`Options::initial_packet`](crate::Options::initial_packet).
    pub fn initial_packet(mut self, message: impl Into<ByteString>) -> Self {
        self.options.initial_packet = Some(message.into());
        self
    }

    /// Changes the headers of the answer that opens a session.
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.options.initial_headers = Some(HeadersHook::new(hook));
        self
    }

    /// Changes the headers of all answers of sessions.
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.options.headers = Some(HeadersHook::new(hook));
        self
    }

    /// Is told of refused requests.
    pub fn on_connection_error(
        mut self,
        hook: impl Fn(&ConnectionError, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.options.connection_error = Some(ConnectionErrorHook::new(hook));
        self
    }

    /// Serves the client bundles out of `dir`, the `dist` folder of an installed `socket.io-client` package.
    ///
    /// # Errors
    ///
    /// As [`ClientFiles::load`].
    pub fn serve_client(mut self, dir: impl AsRef<Path>) -> Result<Self, ClientFilesError> {
        self.options.client_files = Some(ClientFiles::load(dir)?);
        Ok(self)
    }

    /// Time that the body of a POST may take: sets [`Options::body_read_timeout`](crate::Options::body_read_timeout).
    pub fn body_read_timeout(mut self, time: Duration) -> Self {
        self.options.body_read_timeout = time;
        self
    }
}
