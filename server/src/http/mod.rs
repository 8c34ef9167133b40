//! HTTP: from a request to a session of the engine, and back.
//!
//! * [`service`]: what a server mounts; decides by the path whose request it is.
//! * this file: verification, in Node's order; [`polling`] and [`websocket`]: what each transport does then.
//! * [`cors`], [`origin`], [`cookie`], [`compression`], [`hooks`]: the options that concern HTTP.
//! * [`static_client`]: the client bundles.
//! * [`listener`], [`connection`], [`tls`]: the sockets below, for those who bring no HTTP server of their own.

mod body;
mod builder;
mod compression;
mod connection;
mod cookie;
mod cors;
mod error;
mod hooks;
mod listener;
mod origin;
mod polling;
mod query;
mod service;
mod static_client;
mod tls;
mod upgrade;
mod websocket;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use socketio_core::engine::{Revision, TransportKind};
use tracing::Instrument as _;

pub use self::compression::HttpCompression;
pub(crate) use self::connection::ConnectionGuard;
pub use self::connection::{PeerAddr, Secure};
pub use self::cookie::{Cookie, SameSite};
pub use self::cors::{Cors, CorsOrigin};
pub use self::error::{ConnectionError, ErrorCode};
pub use self::hooks::{AllowRequest, ConnectionErrorHook, GenerateId, HeadersHook};
pub use self::listener::{Limits, Listener};
pub use self::origin::{AllowedOrigins, OriginMatch, OriginPredicate};
pub use self::service::{NotFound, SocketIoLayer, SocketIoService};
pub use self::static_client::{ClientFiles, ClientFilesError};
pub use self::tls::{Tls, TlsError};

use self::body::RequestBody;
use crate::engine::{Conn, Engine, Opening};
use crate::handshake::{Handshake, detach_headers};
use crate::options::Options;
use crate::spans;

/// Answers the HTTP requests of one server.
#[derive(Clone)]
pub(crate) struct Http {
    engine: Arc<Engine>,
    /// What a request's path must begin with.
    prefix: Arc<str>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A request with what the engine wants to know of it.
struct Call {
    parts: Parts,
    query: Vec<(String, String)>,
    upgrade: bool,
}

/// The outcome of the checks that all requests have in common.
enum Verified {
    /// The request belongs to a session.
    Session(Arc<Conn>),
    /// The request wants a new session, on the transport that fits it.
    Handshake,
}

impl Http {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let options = engine.options();
        let mut prefix = options.path.trim_end_matches('/').to_owned();
        if !prefix.starts_with('/') {
            prefix.insert(0, '/');
        }
        if options.add_trailing_slash && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Self {
            engine,
            prefix: prefix.into(),
        }
    }

    fn options(&self) -> &Options {
        self.engine.options()
    }

    /// Whether a request for `path` is ours: a test on the raw text, as in Node.
    fn owns(&self, path: &str) -> bool {
        path.starts_with(&*self.prefix)
    }

    async fn handle(&self, request: Request<RequestBody>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        // HTTP/2 names the host in the request target only; everybody looks for it here.
        if let Some(authority) = parts.uri.authority()
            && !parts.headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            parts.headers.insert(HOST, host);
        }
        let upgrade = upgrade::is_upgrade(&parts);
        let mut shared = HeaderMap::new();
        if let Some(cors) = &self.options().cors {
            if parts.method == Method::OPTIONS && !upgrade {
                shared = cors.preflight_headers(&parts.headers);
                if !cors.preflight_continue {
                    shared.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                    let mut answer = Response::new(Bytes::new());
                    *answer.status_mut() = cors.options_success_status;
                    *answer.headers_mut() = shared;
                    return answer;
                }
            } else {
                shared = cors.headers(&parts.headers);
            }
        }
        if let Some(mut answer) = self.client_file(&parts).await {
            let own = std::mem::replace(answer.headers_mut(), shared);
            append(answer.headers_mut(), own);
            return answer;
        }
        let query = query::parse(parts.uri.query().unwrap_or_default());
        let call = Call {
            parts,
            query,
            upgrade,
        };
        if upgrade {
            self.upgrade(call, shared).await
        } else {
            self.plain(call, shared, body).await
        }
    }

    async fn client_file(&self, parts: &Parts) -> Option<Response<Bytes>> {
        let files = self.options().client_files.as_ref()?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return None;
        }
        // Without its slash the prefix is followed by one.
        let name = parts.uri.path().strip_prefix(&*self.prefix)?;
        files
            .answer(name.strip_prefix('/').unwrap_or(name), &parts.headers)
            .await
    }

    /// A request that stays HTTP.
    async fn plain(&self, call: Call, shared: HeaderMap, body: RequestBody) -> Response<Bytes> {
        let outcome = match self.verify(&call) {
            Ok(Verified::Session(conn)) => self.polling(&call, &conn, body).await,
            Ok(Verified::Handshake) => {
                let span = spans::handshake(&call.parts, TransportKind::Polling.as_str());
                let opened = self.open_polling(&call).instrument(span.clone()).await;
                let refused = |error: &ConnectionError| error.code.status();
                spans::answered(
                    &span,
                    opened.as_ref().map_or_else(refused, Response::status),
                );
                opened
            }
            Err(error) => {
                body::discard(body, &call.parts.headers).await;
                Err(error)
            }
        };
        let answer = outcome.unwrap_or_else(|error| {
            self.refused(&error, &call.parts);
            let mut answer = Response::new(Bytes::from(error.json()));
            *answer.status_mut() = error.code.status();
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        });
        let (mut head, body) = answer.into_parts();
        let own = std::mem::replace(&mut head.headers, shared);
        append(&mut head.headers, own);
        Response::from_parts(head, body)
    }

    /// The checks before anything happens, in Node's order.
    fn verify(&self, call: &Call) -> Result<Verified, ConnectionError> {
        let options = self.options();
        let name = call.value("transport").unwrap_or_default();
        let transport = name
            .parse()
            .ok()
            .filter(|transport: &TransportKind| options.transports.contains(transport))
            .ok_or_else(|| ConnectionError::new(ErrorCode::UnknownTransport, name))?;
        // Control characters in `Origin`, which Node looks for here, do not get through hyper's parser.
        if !options
            .allowed_origins
            .allows(&call.parts.headers, call.secure())
        {
            return Err(ConnectionError::new(
                ErrorCode::BadRequest,
                "INVALID_ORIGIN",
            ));
        }
        if let Some(sid) = call.value("sid").filter(|sid| !sid.is_empty()) {
            let unknown = || ConnectionError::new(ErrorCode::UnknownSid, sid);
            let conn = self.engine.session(sid).ok_or_else(unknown)?;
            if !call.upgrade
                && (conn.transport() != transport || transport != TransportKind::Polling)
            {
                return Err(ConnectionError::new(
                    ErrorCode::BadRequest,
                    "TRANSPORT_MISMATCH",
                ));
            }
            if call.upgrade && transport != TransportKind::WebSocket {
                return Err(ConnectionError::new(
                    ErrorCode::BadRequest,
                    "TRANSPORT_MISMATCH",
                ));
            }
            return Ok(Verified::Session(conn));
        }
        if call.parts.method != Method::GET {
            return Err(ConnectionError::new(
                ErrorCode::BadHandshakeMethod,
                call.parts.method.as_str(),
            ));
        }
        if call.upgrade != (transport == TransportKind::WebSocket) {
            return Err(ConnectionError::new(
                ErrorCode::BadRequest,
                "TRANSPORT_HANDSHAKE_ERROR",
            ));
        }
        Ok(Verified::Handshake)
    }

    /// The part of the handshake that both transports share: the application's consent, the protocol's revision, and the id.
    async fn admit(&self, call: &Call) -> Result<Opening, ConnectionError> {
        let options = self.options();
        let handshake = call.handshake();
        if let Some(allow) = &options.allow_request {
            allow.decide(handshake.clone()).await?;
        }
        let revision = call.revision();
        if revision == Revision::V3 && !options.allow_eio3 {
            let asked = call.value("EIO").unwrap_or_default();
            return Err(ConnectionError::new(
                ErrorCode::UnsupportedProtocolVersion,
                asked,
            ));
        }
        let id = match &options.generate_id {
            Some(generate) => Some(generate.generate(handshake.clone()).await?),
            None => None,
        };
        Ok(Opening {
            handshake,
            revision,
            b64: call.b64(),
            id,
            trace: spans::context(),
        })
    }

    /// Counts a refusal and tells the application.
    fn refused(&self, error: &ConnectionError, request: &Parts) {
        self.engine.metrics().handshake_error(error.code.number());
        tracing::debug!(code = error.code.number(), message = %error, context = error.context, "request refused");
        if let Some(hook) = &self.options().connection_error {
            hook.call(error, request);
        }
    }

    /// Lets the application change the headers of an answer.
    fn apply_hooks(&self, headers: &mut HeaderMap, call: &Call) {
        let options = self.options();
        if let Some(hook) = &options.initial_headers
            && call.value("sid").is_none_or(str::is_empty)
        {
            hook.apply(headers, &call.parts);
        }
        if let Some(hook) = &options.headers {
            hook.apply(headers, &call.parts);
        }
    }
}

impl Call {
    fn value(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    fn revision(&self) -> Revision {
        Revision::from_query(self.value("EIO").unwrap_or_default())
    }

    /// Whether this request's client cannot take binary.
    fn b64(&self) -> bool {
        // An answer by JSONP is a script, so always text.
        self.value("b64").is_some_and(|value| !value.is_empty()) || self.value("j").is_some()
    }

    fn secure(&self) -> bool {
        self.parts.extensions.get::<Secure>().is_some()
            || self.parts.uri.scheme_str() == Some("https")
    }

    fn peer(&self) -> Option<SocketAddr> {
        let extensions = &self.parts.extensions;
        let peer = extensions.get::<PeerAddr>().map(|peer| peer.0);
        #[cfg(feature = "axum")]
        let peer = peer.or_else(|| {
            extensions
                .get::<axum::extract::ConnectInfo<SocketAddr>>()
                .map(|info| info.0)
        });
        peer
    }

    /// What is kept of the request.
    fn handshake(&self) -> Handshake {
        Handshake {
            headers: detach_headers(&self.parts.headers),
            query: self.query.clone(),
            url: self
                .parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            address: self.peer(),
            secure: self.secure(),
            xdomain: self.parts.headers.contains_key(ORIGIN),
            issued: SystemTime::now(),
        }
    }
}

/// Appends `more` to `headers`, so that a `Vary` of both stays complete.
fn append(headers: &mut HeaderMap, more: HeaderMap) {
    let mut last = None;
    for (name, value) in more {
        // `None` stands for "the same name again".
        if name.is_some() {
            last = name;
        }
        if let Some(name) = &last {
            headers.append(name.clone(), value);
        }
    }
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
