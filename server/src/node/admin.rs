//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use socketio_server::{Metrics, Server};

/// Whether this node wants new clients. Clones share one state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Answers for probes and for Prometheus.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) server: Server,
    /// Whether a node that does not reach its broker is not ready.
    pub(crate) needs_adapter: bool,
    pub(crate) readiness: Readiness,
}

impl Admin {
    /// The answer to a GET of `path`, if it is one of ours.
    pub(crate) fn get(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        match path {
            // A process that answers is alive; a draining one must not be restarted.
            "/healthz" => Some(text(StatusCode::OK, "ok\n")),
            "/readyz" => Some(self.ready()),
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.server.metrics().encode());
                let content_type = HeaderValue::from_static(Metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                Some(response)
            }
            _ => None,
        }
    }

    /// The first line is the answer, the second one is for people.
    fn ready(&self) -> Response<Full<Bytes>> {
        let name = self.server.adapter_name();
        let up = self.server.adapter_status().is_none_or(|status| status.up);
        let (status, answer) = if self.readiness.get() && (up || !self.needs_adapter) {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        };
        let adapter = if up { "up" } else { "down" };
        text(status, format!("{answer}\nadapter {name}: {adapter}\n"))
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
