//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use socketio_server::Metrics;

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
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
}

impl Admin {
    /// The answer to a GET of `path`, if it is one of ours.
    pub(crate) fn get(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        match path {
            // A process that answers is alive; a draining one must not be restarted.
            "/healthz" => Some(text(StatusCode::OK, "ok\n")),
            "/readyz" if self.readiness.get() => Some(text(StatusCode::OK, "ready\n")),
            "/readyz" => Some(text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")),
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.metrics.encode());
                let content_type = HeaderValue::from_static(Metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                Some(response)
            }
            _ => None,
        }
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
