//! The server as a hyper service, a tower service and a tower layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use futures_util::future::{Either as EitherFuture, MapOk};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Body;

use super::{Http, body};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer<B> = Response<Either<Full<Bytes>, B>>;
type Own<B, E> = Pin<Box<dyn Future<Output = Result<Answer<B>, E>> + Send>>;
type Other<F, B> = MapOk<F, fn(Response<B>) -> Answer<B>>;

/// Answers requests under the server's path and passes all others on to `S` (by default: 404).
///
/// It is a [hyper service](hyper::service::Service), for [`Listener`](super::Listener) or a server of your own, and a
/// [tower service](tower_service::Service).
#[derive(Clone, Debug)]
pub struct SocketIoService<S = NotFound> {
    http: Http,
    inner: S,
}

/// Puts a [`SocketIoService`] in front of another tower service, such as an axum router.
///
/// Put it outside of anything that changes the path, compresses answers or bounds their time: a poll waits for long.
#[derive(Clone, Debug)]
pub struct SocketIoLayer {
    http: Http,
}

/// Answers everything with 404 and no body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NotFound;

impl SocketIoService {
    pub(crate) fn new(http: Http) -> Self {
        Self {
            http,
            inner: NotFound,
        }
    }
}

impl<S> SocketIoService<S> {
    /// Passes requests outside of the server's path on to `inner`.
    #[must_use]
    pub fn with_fallback<T>(self, inner: T) -> SocketIoService<T> {
        SocketIoService {
            http: self.http,
            inner,
        }
    }
}

impl SocketIoLayer {
    pub(crate) fn new(http: Http) -> Self {
        Self { http }
    }
}

impl<S> tower_layer::Layer<S> for SocketIoLayer {
    type Service = SocketIoService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SocketIoService {
            http: self.http.clone(),
            inner,
        }
    }
}

/// Our own answer to a request under the server's path.
fn answer<ReqBody, B, E>(http: &Http, request: Request<ReqBody>) -> Own<B, E>
where
    ReqBody: Body + Send + 'static,
    ReqBody::Error: Into<BoxError>,
    ReqBody::Data: Send,
{
    let http = http.clone();
    let request = request.map(body::erase);
    Box::pin(async move {
        Ok(http
            .handle(request)
            .await
            .map(|body| Either::Left(Full::new(body))))
    })
}

impl<S, ReqBody, B> hyper::service::Service<Request<ReqBody>> for SocketIoService<S>
where
    S: hyper::service::Service<Request<ReqBody>, Response = Response<B>>,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
{
    type Response = Answer<B>;
    type Error = S::Error;
    type Future = EitherFuture<Own<B, S::Error>, Other<S::Future, B>>;

    fn call(&self, request: Request<ReqBody>) -> Self::Future {
        if self.http.owns(request.uri().path()) {
            EitherFuture::Left(answer(&self.http, request))
        } else {
            EitherFuture::Right(self.inner.call(request).map_ok(passed_on))
        }
    }
}

impl<S, ReqBody, B> tower_service::Service<Request<ReqBody>> for SocketIoService<S>
where
    S: tower_service::Service<Request<ReqBody>, Response = Response<B>>,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
{
    type Response = Answer<B>;
    type Error = S::Error;
    type Future = EitherFuture<Own<B, S::Error>, Other<S::Future, B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if self.http.owns(request.uri().path()) {
            EitherFuture::Left(answer(&self.http, request))
        } else {
            EitherFuture::Right(self.inner.call(request).map_ok(passed_on))
        }
    }
}

fn passed_on<B>(answer: Response<B>) -> Answer<B> {
    answer.map(Either::Right)
}

impl NotFound {
    fn answer() -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(answer))
    }
}

impl<ReqBody> hyper::service::Service<Request<ReqBody>> for NotFound {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<ReqBody>) -> Self::Future {
        Self::answer()
    }
}

impl<ReqBody> tower_service::Service<Request<ReqBody>> for NotFound {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReqBody>) -> Self::Future {
        Self::answer()
    }
}
