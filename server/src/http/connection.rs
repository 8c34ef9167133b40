//! One accepted connection: TLS, then HTTP, until its last request or its upgrade.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::listener::{Accepted, Limits};
use super::tls::Tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How often an HTTP/2 connection is pinged, and how long it may take to answer. HTTP/1 needs none: its idle
/// connections end with the header timeout.
const HTTP2_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Address of the client, as a request extension.
///
/// [`Listener`](super::Listener) sets it. Where another server mounts the service, it can set it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Request extension that says that the connection is encrypted. [`Listener`](super::Listener) sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secure;

impl Secure {
    /// The extension.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// One place among the [`max_connections`](Limits::max_connections); given back when the last clone is dropped. A request
/// extension, so that a WebSocket can keep the place of the HTTP connection that it came from.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionGuard {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// What all connections of a listener have in common.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
}

struct Shared {
    http: auto::Builder<TokioExecutor>,
    tls: Option<Tls>,
    places: Option<Arc<Semaphore>>,
    header_read_timeout: Duration,
    tls_handshake_timeout: Duration,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    write_timeout: Option<Duration>,
}

impl Connections {
    pub(super) fn new(limits: &Limits, tls: Option<Tls>, draining: watch::Receiver<bool>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new()).title_case_headers(true);
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout)
            .max_headers(limits.max_headers)
            // hyper panics below 8 KiB.
            .max_buf_size(limits.max_header_bytes.max(8 * 1024));
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING.0)
            .keep_alive_timeout(HTTP2_PING.1)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
        let places = limits
            .max_connections
            .map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self {
            shared: Arc::new(Shared {
                http,
                tls,
                places,
                header_read_timeout: limits.header_read_timeout,
                tls_handshake_timeout: limits.tls_handshake_timeout,
                write_timeout: limits.write_timeout,
            }),
            draining,
        }
    }

    /// Waits for a place; `None` when there is no limit.
    pub(super) async fn admit(&self) -> Option<ConnectionGuard> {
        let places = Arc::clone(self.shared.places.as_ref()?);
        // Never closed, so the only answer is a permit.
        let permit = places.acquire_owned().await.ok()?;
        Some(ConnectionGuard {
            _permit: Arc::new(permit),
        })
    }

    /// Serves one connection to its end.
    pub(super) async fn run<S, B>(
        self,
        accepted: Accepted,
        guard: Option<ConnectionGuard>,
        service: S,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        match accepted {
            Accepted::Tcp(stream, peer) => {
                if let Err(error) = self.configure(&stream) {
                    tracing::debug!(%error, "socket option refused");
                }
                let peer = Some(peer);
                match self.shared.tls.clone() {
                    None => {
                        self.drive(
                            TokioIo::new(stream),
                            service,
                            Origin {
                                peer,
                                secure: false,
                                guard,
                            },
                        )
                        .await
                    }
                    Some(tls) => {
                        let Some(stream) = self.handshake(&tls, stream).await else {
                            return;
                        };
                        self.drive(
                            TokioIo::new(stream),
                            service,
                            Origin {
                                peer,
                                secure: true,
                                guard,
                            },
                        )
                        .await;
                    }
                }
            }
            #[cfg(unix)]
            Accepted::Unix(stream) => {
                self.drive(
                    TokioIo::new(stream),
                    service,
                    Origin {
                        peer: None,
                        secure: false,
                        guard,
                    },
                )
                .await;
            }
        }
    }

    fn configure(&self, stream: &TcpStream) -> std::io::Result<()> {
        // Answers are written whole, so waiting for more bytes only adds latency.
        stream.set_nodelay(true)?;
        // hyper has no timeout for writing: a client that reads nothing would keep its answer in our memory for ever.
        #[cfg(target_os = "linux")]
        if let Some(time) = self.shared.write_timeout {
            let milliseconds = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
            rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
        }
        Ok(())
    }

    async fn handshake(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let mut draining = self.draining.clone();
        let handshake = timeout(
            self.shared.tls_handshake_timeout,
            tls.acceptor().accept(stream),
        );
        tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!("TLS handshake took too long");
                    None
                }
            },
            _ = draining.wait_for(|draining| *draining) => None,
        }
    }

    async fn drive<I, S, B>(mut self, io: I, service: S, origin: Origin)
    where
        I: Read + Write + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let requested = Arc::new(AtomicBool::new(false));
        let service = {
            let requested = Arc::clone(&requested);
            service_fn(move |request| {
                requested.store(true, Ordering::Relaxed);
                service.call(origin.mark(request))
            })
        };
        let mut connection = pin!(self.shared.http.serve_connection_with_upgrades(io, service));
        // hyper's own header timeout starts only after the first bytes told HTTP/1 from HTTP/2, and HTTP/2 has none.
        let mut silence = pin!(sleep(self.shared.header_read_timeout));
        let (mut watching, mut draining) = (true, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::trace!(error, "connection ended");
                    }
                    return;
                }
                () = &mut silence, if watching => {
                    if !requested.load(Ordering::Relaxed) {
                        return;
                    }
                    watching = false;
                }
                // An error says that the listener is gone, which ends this task as well.
                _ = self.draining.wait_for(|draining| *draining), if !draining => {
                    connection.as_mut().graceful_shutdown();
                    draining = true;
                }
            }
        }
    }
}

/// Where a connection comes from; every request of it is marked with that.
struct Origin {
    peer: Option<SocketAddr>,
    secure: bool,
    guard: Option<ConnectionGuard>,
}

impl Origin {
    fn mark<T>(&self, mut request: Request<T>) -> Request<T> {
        let extensions = request.extensions_mut();
        if let Some(peer) = self.peer {
            extensions.insert(PeerAddr(peer));
        }
        if self.secure {
            extensions.insert(Secure);
        }
        if let Some(guard) = &self.guard {
            extensions.insert(guard.clone());
        }
        request
    }
}
