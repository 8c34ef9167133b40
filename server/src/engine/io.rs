//! The byte stream below a WebSocket.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::http::ConnectionGuard;

/// Any stream a WebSocket can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A byte stream, with the place among its listener's connections that it takes.
pub(crate) struct Io {
    pub(super) kind: Kind,
    pub(super) place: Option<ConnectionGuard>,
}

/// Plain TCP is kept apart because the flusher can write to it without waking the session task.
pub(super) enum Kind {
    Tcp(TcpStream),
    Other(Pin<Box<dyn Stream>>),
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tcp(stream) => f.debug_tuple("Tcp").field(stream).finish(),
            Kind::Other(_) => f.write_str("Other"),
        }
    }
}

impl Io {
    /// Takes the stream out of an upgraded HTTP connection, with the bytes hyper had read past the request.
    ///
    /// Plain TCP streams of our own listener and of `axum::serve` are recognised; anything else is used through hyper.
    pub(crate) fn from_upgraded(
        upgraded: Upgraded,
        place: Option<ConnectionGuard>,
    ) -> (Self, Bytes) {
        let (kind, leftover) = Kind::from_upgraded(upgraded);
        (Self { kind, place }, leftover)
    }
}

impl Kind {
    fn from_upgraded(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded =
            match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)
            {
                Ok(parts) => return (Self::tcp(parts.io.into_inner()), parts.read_buf),
                Err(upgraded) => upgraded,
            };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (Self::tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => (Self::Other(Box::pin(TokioIo::new(upgraded))), Bytes::new()),
        }
    }

    fn tcp(stream: TcpStream) -> Self {
        // Messages are written whole, so waiting for more bytes only adds latency. A socket that refuses is still usable.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
        Self::Tcp(stream)
    }
}
