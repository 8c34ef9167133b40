//! One connection to the broker.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::tcp::AsyncTcpStream;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use parking_lot::Mutex;

use crate::config::Settings;

/// A connection that is cut off when this is dropped. lapin by itself says goodbye to the broker
/// and waits for an answer, in a thread of its own, and does so for ever if the broker is mute.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    _cut: Cut,
}

/// Another handle of a connection's socket, which shuts it down when dropped.
#[derive(Default)]
struct Cut(Arc<CutSocket>);

#[derive(Default)]
struct CutSocket(Mutex<Socket>);

#[derive(Default)]
enum Socket {
    #[default]
    None,
    Open(TcpStream),
    Cut,
}

impl Drop for Cut {
    fn drop(&mut self) {
        let socket = std::mem::replace(&mut *self.0.0.lock(), Socket::Cut);
        if let Socket::Open(socket) = socket {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Link {
    /// Connects. `role` is part of the name that the broker shows.
    pub(crate) async fn open(settings: &Arc<Settings>, role: &str) -> lapin::Result<Self> {
        let cut = Cut::default();
        // The thread that connects must not keep the socket open.
        let sockets = Arc::downgrade(&cut.0);
        let limit = settings.config.connect_timeout;
        let name = format!("socketio {role} {}", settings.config.exchange);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime()?;
        let shared = Arc::clone(settings);
        let connect = Connection::connector(
            settings.uri.clone(),
            runtime,
            async move |uri, runtime| {
                let host = without_brackets(&uri.authority.host);
                let connecting = async {
                    let mut found = Err(io::ErrorKind::AddrNotAvailable.into());
                    for address in tokio::net::lookup_host((host, uri.authority.port)).await? {
                        found = AsyncTcpStream::connect(&runtime, address).await;
                        if found.is_ok() {
                            break;
                        }
                    }
                    let stream = found?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        let socket = second_handle(plain.get_ref())?;
                        let slot = sockets.upgrade().ok_or(io::ErrorKind::Interrupted)?;
                        let mut slot = slot.0.lock();
                        if matches!(*slot, Socket::Cut) {
                            return Err(io::ErrorKind::Interrupted.into());
                        }
                        *slot = Socket::Open(socket);
                    }
                    match &shared.tls {
                        Some(tls) => stream.into_rustls(tls, host).await,
                        None => Ok(stream),
                    }
                };
                let connected = tokio::time::timeout(limit, connecting).await;
                connected
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(Into::into)
            },
            properties,
        );
        // Boxed, because it is large.
        match tokio::time::timeout(limit, Box::pin(connect)).await {
            Ok(connection) => Ok(Self {
                connection: connection?,
                _cut: cut,
            }),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// What the broker tells about the connection itself, from now on.
    pub(crate) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        self.connection.events_listener().boxed()
    }

    /// Whether an error that [`events`](Self::events) told of left this connection and `channel`
    /// unharmed: it was another channel's. lapin changes their state before it tells.
    pub(crate) fn is_sound(&self, channel: &Channel) -> bool {
        self.connection.status().connected() && channel.status().connected()
    }

    /// Says goodbye, so that the broker does not log a lost connection.
    pub(crate) async fn close(self, limit: Duration) {
        let farewell = self.connection.close(200, "OK".into());
        let _ = tokio::time::timeout(limit, farewell).await;
    }
}

#[cfg(unix)]
fn second_handle(stream: &tokio::net::TcpStream) -> io::Result<TcpStream> {
    use std::os::fd::AsFd;
    stream.as_fd().try_clone_to_owned().map(TcpStream::from)
}

#[cfg(windows)]
fn second_handle(stream: &tokio::net::TcpStream) -> io::Result<TcpStream> {
    use std::os::windows::io::AsSocket;
    stream.as_socket().try_clone_to_owned().map(TcpStream::from)
}

/// Literal IPv6 addresses of URLs stand in brackets.
fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}
