//! Functions of the application that take part in requests of the engine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use socketio_core::ids::SessionId;

use super::error::{ConnectionError, ErrorCode};
use crate::handshake::Handshake;

type HeadersFn = dyn Fn(&mut HeaderMap, &Parts) + Send + Sync;
type ErrorFn = dyn Fn(&ConnectionError, &Parts) + Send + Sync;
type Decision = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Generated = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Decides whether a handshake is accepted (`allowRequest` in Node). Called for requests that open a session, not for
/// later ones.
#[derive(Clone)]
pub struct AllowRequest(Arc<dyn Fn(Handshake) -> Decision + Send + Sync>);

impl AllowRequest {
    /// Wraps an async function. The text of an error goes to the client in place of `Forbidden`, unless it is empty.
    #[must_use]
    pub fn new<F, R, E>(decide: F) -> Self
    where
        F: Fn(Handshake) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<String>,
    {
        Self(Arc::new(move |handshake| {
            let decision = decide(handshake);
            Box::pin(async move { decision.await.map_err(Into::into) })
        }))
    }

    pub(super) async fn decide(&self, handshake: Handshake) -> Result<(), ConnectionError> {
        self.0(handshake)
            .await
            .map_err(|text| ConnectionError::forbidden(Some(text).filter(|text| !text.is_empty())))
    }
}

impl fmt::Debug for AllowRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllowRequest(..)")
    }
}

/// Makes the id of a session (`generateId` in Node). An id is as good as a password: nobody may be able to guess it.
#[derive(Clone)]
pub struct GenerateId(Arc<dyn Fn(Handshake) -> Generated + Send + Sync>);

impl GenerateId {
    /// Longest id, in bytes: clients repeat it in the URL of each request.
    pub const MAX_LEN: usize = 128;

    /// Wraps an async function. Where it fails the client is refused as a bad request.
    #[must_use]
    pub fn new<F, R, E>(generate: F) -> Self
    where
        F: Fn(Handshake) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<String>,
    {
        Self(Arc::new(move |handshake| {
            let id = generate(handshake);
            Box::pin(async move { id.await.map_err(Into::into) })
        }))
    }

    pub(super) async fn generate(
        &self,
        handshake: Handshake,
    ) -> Result<SessionId, ConnectionError> {
        let error = match self.0(handshake).await {
            // What clients put into a URL as it is.
            Ok(id) if is_url_safe(&id) && id.len() <= Self::MAX_LEN => return Ok(id.into()),
            Ok(_) => "not an id for a URL".to_owned(),
            Err(error) => error,
        };
        tracing::warn!(error, "no id for a session");
        Err(Self::failed())
    }

    /// There is no id, or not one of its own.
    pub(super) fn failed() -> ConnectionError {
        ConnectionError::new(ErrorCode::BadRequest, "ID_GENERATION_ERROR")
    }
}

fn is_url_safe(id: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !id.is_empty() && id.bytes().all(unreserved)
}

impl fmt::Debug for GenerateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenerateId(..)")
    }
}

/// Changes the headers of answers: of polls, posts and WebSocket handshakes (the events `initial_headers` and `headers`
/// of Node's engine).
#[derive(Clone)]
pub struct HeadersHook(Arc<HeadersFn>);

impl HeadersHook {
    /// Wraps a function of the answer's headers and the request's head.
    #[must_use]
    pub fn new(hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap, request: &Parts) {
        (self.0)(headers, request);
    }
}

impl fmt::Debug for HeadersHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeadersHook(..)")
    }
}

/// Is told of refused requests (the event `connection_error` of Node's engine).
#[derive(Clone)]
pub struct ConnectionErrorHook(Arc<ErrorFn>);

impl ConnectionErrorHook {
    /// Wraps a function of the error and the request's head.
    #[must_use]
    pub fn new(hook: impl Fn(&ConnectionError, &Parts) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(super) fn call(&self, error: &ConnectionError, request: &Parts) {
        (self.0)(error, request);
    }
}

impl fmt::Debug for ConnectionErrorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionErrorHook(..)")
    }
}
