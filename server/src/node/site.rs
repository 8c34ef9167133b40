//! The node's own paths beside the Socket.IO endpoint.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::Service;

use super::admin::Admin;
use super::page::Page;

/// What a node answers by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Site {
    pub(crate) admin: Option<Admin>,
    pub(crate) page: Option<Arc<Page>>,
}

impl Site {
    /// `None` for a path that is not ours.
    fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Full<Bytes>>> {
        let admin = self.admin.as_ref().and_then(|admin| admin.get(path));
        let page = || self.page.as_ref().and_then(|page| page.get(path, headers));
        // hyper leaves the body of an answer to HEAD away.
        let found = admin.or_else(page)?;
        if method == Method::GET || method == Method::HEAD {
            return Some(found);
        }
        let mut refused = status(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        Some(refused)
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Nothing but the site: what listens on the internal address.
impl<B> Service<Request<B>> for Site {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let answer = self.answer(request.method(), request.uri().path(), request.headers());
        ready(Ok(answer.unwrap_or_else(|| status(StatusCode::NOT_FOUND))))
    }
}
