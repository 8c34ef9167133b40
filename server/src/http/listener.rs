//! The accept loop: sockets in, HTTP/1.1 and HTTP/2 connections out, within limits, until told to drain.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::connection::{ConnectionGuard, Connections};
use super::tls::Tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connections that the kernel keeps for us while we are busy; it lowers the number to its own limit (`somaxconn`).
const BACKLOG: u32 = 4096;
/// First and longest wait after `accept` failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Bounds on what a connection may use before a request of it was understood.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Time to send the head of a request; also how long an idle HTTP connection is kept. Default 30 s.
    pub header_read_timeout: Duration,
    /// Most header fields of a request. Default 100; beyond it the answer is 431.
    pub max_headers: usize,
    /// Most bytes of a request's head. Default 32 KiB; beyond it the answer is 431. At least 8 KiB.
    pub max_header_bytes: usize,
    /// Time for the TLS handshake. Default 10 s.
    pub tls_handshake_timeout: Duration,
    /// Time that a client may let our bytes wait, unread or unacknowledged, before the connection is cut; `None` leaves
    /// it to the system. Default 60 s. TCP on Linux only, by `TCP_USER_TIMEOUT`.
    pub write_timeout: Option<Duration>,
    /// How often the certificate's files are looked at; `None` leaves it to [`Tls::reload`]. Default 5 s.
    pub tls_check_interval: Option<Duration>,
    /// Most connections at once, WebSockets included; beyond it new ones wait in the kernel's queue. Default no limit.
    pub max_connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_headers: 100,
            max_header_bytes: 32 * 1024,
            tls_handshake_timeout: Duration::from_secs(10),
            write_timeout: Some(Duration::from_secs(60)),
            tls_check_interval: Some(Duration::from_secs(5)),
            max_connections: None,
        }
    }
}

/// A listening socket, TCP or Unix, with or without TLS, that serves a [hyper service](Service).
///
/// ```no_run
/// use socketio_server::{Listener, Server};
///
/// # async fn f() -> std::io::Result<()> {
/// let io = Server::builder().build();
/// let listener = Listener::bind("0.0.0.0:3000").await?;
/// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
/// listener.serve_with_shutdown(io.service(), stop).await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a listener does nothing until it serves"]
pub struct Listener {
    socket: Socket,
    tls: Option<Tls>,
    limits: Limits,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Listens on a TCP address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the name does not resolve or none of its addresses can be bound.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = None;
        for address in tokio::net::lookup_host(address).await? {
            match listen(address) {
                Ok(listener) => return Ok(Self::from_tcp(listener)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")
        }))
    }

    /// Listens on a Unix socket. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// When the path cannot be bound.
    #[cfg(unix)]
    pub async fn bind_unix(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        let path = path.as_ref();
        match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                match UnixStream::connect(path).await {
                    Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                        std::fs::remove_file(path)?
                    }
                    _ => return Err(error),
                }
                UnixListener::bind(path).map(Self::from_unix)
            }
            bound => bound.map(Self::from_unix),
        }
    }

    /// Uses a TCP socket that listens already.
    pub fn from_tcp(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(listener),
            tls: None,
            limits: Limits::default(),
        }
    }

    /// Uses a Unix socket that listens already.
    #[cfg(unix)]
    pub fn from_unix(listener: UnixListener) -> Self {
        Self {
            socket: Socket::Unix(listener),
            tls: None,
            limits: Limits::default(),
        }
    }

    /// Speaks TLS. Without effect on a Unix socket.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// On a Unix socket, or when the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a Unix socket has a path",
            )),
        }
    }

    /// Serves until the future is dropped, which closes all HTTP connections (WebSockets live on with their server).
    pub async fn serve<S, B>(self, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.serve_with_shutdown(service, std::future::pending())
            .await;
    }

    /// Serves until `shutdown` resolves; then accepts nothing more, lets requests that were begun finish, and closes
    /// their connections. Returns when the last one is gone.
    ///
    /// A pending poll counts as a request: close the server's sessions at the same time, so that polls are answered.
    /// WebSockets have left HTTP and are not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all HTTP connections at once; a deadline around it is how to bound the drain.
    pub async fn serve_with_shutdown<S, B, F>(self, service: S, shutdown: F)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
        F: Future<Output = ()>,
    {
        let Self {
            socket,
            tls,
            limits,
        } = self;
        let (drain, draining) = watch::channel(false);
        let connections = Connections::new(&limits, tls.clone(), draining);
        // Owns the connections' tasks: they end with it.
        let mut tasks = JoinSet::new();
        let checked = tls.as_ref().zip(limits.tls_check_interval);
        // Pinned outside of the loop: a new future per turn would register a new waiter each time.
        tokio::pin!(shutdown);
        let mut check = pin!(check(checked));
        loop {
            let (accepted, guard) = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = tasks.join_next() => {
                    report(ended);
                    continue;
                }
                never = &mut check => match never {},
                accepted = accept(&socket, &connections) => accepted,
            };
            tasks.spawn(connections.clone().run(accepted, guard, service.clone()));
        }
        drop(socket);
        // Nobody listening means that no connection is left to tell.
        let _ = drain.send(true);
        drop(connections);
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server must get its port while old connections are in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits for room, then for a connection. Errors are waited out here: none of them is a reason to stop listening.
async fn accept(socket: &Socket, connections: &Connections) -> (Accepted, Option<ConnectionGuard>) {
    let guard = connections.admit().await;
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        let accepted = match socket {
            Socket::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            #[cfg(unix)]
            Socket::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| Accepted::Unix(stream)),
        };
        match accepted {
            Ok(accepted) => return (accepted, guard),
            Err(error) if is_peers(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted")
            }
            Err(error) => {
                // Typically EMFILE: the same connection is still in the queue, and trying at once would spin.
                tracing::warn!(%error, ?pause, "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE.1);
            }
        }
    }
}

/// Whether `accept` failed because of the one connection, not of us.
fn is_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// Looks at the certificate's files now and then.
async fn check(tls: Option<(&Tls, Duration)>) -> Infallible {
    // Not more often than each millisecond: a period of zero is none.
    let Some((tls, period)) = tls.map(|(tls, period)| (tls, period.max(Duration::from_millis(1))))
    else {
        return std::future::pending().await;
    };
    loop {
        sleep(period).await;
        let files = tls.clone();
        // Reading files can block.
        let checked = tokio::task::spawn_blocking(move || files.reload_if_changed()).await;
        match checked {
            Ok(Ok(true)) => tracing::info!(?tls, "certificate reloaded"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "certificate not reloaded, the old one stays in use");
            }
            Err(error) => tracing::error!(%error, "certificate not checked"),
        }
    }
}

/// A connection's task ends by itself; anything else is a fault in a service.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request handler panicked");
    }
}
