//! Functions of the application that take part in requests of the engine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

use super::error::ConnectionError;
use crate::handshake::Handshake;

type HeadersFn = dyn Fn(&mut HeaderMap, &Parts) + Send + Sync;
type ErrorFn = dyn Fn(&ConnectionError, &Parts) + Send + Sync;
type Decision = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

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
