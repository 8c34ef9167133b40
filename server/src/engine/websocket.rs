//! One WebSocket below a session: reads through a buffer of the thread, decodes, and writes control frames.
//!
//! An idle connection owns no buffer: bytes are read into one that belongs to the thread, and only an incomplete frame
//! is kept (by the decoder).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use socketio_core::engine::{Packet, PacketError};
use socketio_core::websocket::{FrameDecoder, Role, WsError, WsEvent, close_frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::io::{Io, Kind, Stream};
use super::outbox::{Flushed, Form, Outbox, Writer};
use crate::http::ConnectionGuard;

/// Size of the thread's read buffer: what a socket delivers at once, without waste for small messages.
const READ_BUFFER: usize = 64 * 1024;

/// Most bytes that wait for a WebSocket in its probe phase, where an honest one is sent a dozen.
const MAX_CANDIDATE_OUT: usize = 64 * 1024;

thread_local! {
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A WebSocket stream. For plain TCP the writing half lives in the outbox.
pub(super) struct WebSocket {
    stream: Half,
    decoder: FrameDecoder,
    form: Form,
    /// Bytes that were read but not decoded yet, because the session takes no input for now.
    unread: Bytes,
    /// The stream (TLS) holds written bytes that it has not sent yet.
    unflushed: bool,
    /// Given back when the stream is dropped.
    _place: Option<ConnectionGuard>,
}

enum Half {
    Tcp(OwnedReadHalf),
    Other(Pin<Box<dyn Stream>>),
}

/// What a read turn found.
pub(super) enum Received {
    /// So many bytes were read.
    Bytes(usize),
    /// A packet for the session.
    Packet(Packet),
    /// A valid frame that is no Engine.IO packet.
    Invalid,
    /// A ping to answer.
    Ping(Bytes),
    /// The peer closed, orderly.
    Close,
    /// The peer broke RFC 6455 or the limit; the connection ends with the error's close code.
    Violation(WsError),
    /// End of stream or a broken one.
    Gone,
}

impl WebSocket {
    /// Wraps `io`; the second value goes into the session's outbox.
    pub(super) fn new(io: Io, leftover: &[u8], form: Form, max_message: usize) -> (Self, Writer) {
        let (stream, writer) = match io.kind {
            Kind::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Half::Tcp(read), Writer::Tcp(write))
            }
            Kind::Other(stream) => (Half::Other(stream), Writer::Task),
        };
        let decoder = FrameDecoder::new(Role::Server, max_message);
        // A copy: even empty it would keep hyper's read buffer alive, 16 KiB for each connection.
        let unread = Bytes::copy_from_slice(leftover);
        (
            Self {
                stream,
                decoder,
                form,
                unread,
                unflushed: false,
                _place: io.place,
            },
            writer,
        )
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Reads once and hands what was received to `take`, which returns `false` to stop; the rest is then kept.
    ///
    /// `Ready` means that something was handed over and there may be more.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Received) -> bool,
    ) -> Poll<()> {
        if !self.unread.is_empty() {
            let mut bytes = Vec::from(std::mem::take(&mut self.unread));
            self.decode(&mut bytes, &mut take);
            return Poll::Ready(());
        }
        let mut buffer = READ.take();
        buffer.resize(READ_BUFFER, 0);
        let outcome = self.poll_fill(cx, &mut buffer);
        let outcome = match outcome {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(n)) if n > 0 => {
                take(Received::Bytes(n));
                self.decode(&mut buffer[..n], &mut take);
                Poll::Ready(())
            }
            Poll::Ready(_) => {
                take(Received::Gone);
                Poll::Ready(())
            }
        };
        READ.set(buffer);
        outcome
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        let outcome = match &mut self.stream {
            Half::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Half::Other(stream) => stream.as_mut().poll_read(cx, &mut read),
        };
        ready!(outcome)?;
        Poll::Ready(Ok(read.filled().len()))
    }

    fn decode(&mut self, bytes: &mut [u8], take: &mut impl FnMut(Received) -> bool) {
        let mut at = 0;
        loop {
            let received = match self.decoder.decode(&mut bytes[at..]) {
                Err(error) => Received::Violation(error),
                Ok(decoded) => {
                    at += decoded.consumed;
                    let Some(event) = decoded.event else { return };
                    match event {
                        WsEvent::Text(text) => {
                            packet(Packet::decode_text(self.form.revision, &text))
                        }
                        WsEvent::Binary(bytes) => {
                            packet(Packet::decode_binary(self.form.revision, bytes))
                        }
                        WsEvent::Ping(data) => Received::Ping(data),
                        WsEvent::Pong(_) => continue,
                        WsEvent::Close(_) => Received::Close,
                    }
                }
            };
            let last = matches!(received, Received::Violation(_) | Received::Close);
            let go_on = take(received);
            if last {
                return;
            }
            if !go_on {
                self.unread = Bytes::copy_from_slice(&bytes[at..]);
                return;
            }
        }
    }

    /// Writes the outbox of a stream that only this task can write to, or of a TCP stream that had refused bytes.
    ///
    /// `Pending` when the stream takes no more; the task is woken when it does.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        if outbox.is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Half::Tcp(stream) => loop {
                match outbox.flush_tcp() {
                    Flushed::Empty => return Poll::Ready(Ok(())),
                    Flushed::Failed(error) => return Poll::Ready(Err(error)),
                    Flushed::Blocked => {
                        ready!(AsRef::<TcpStream>::as_ref(stream).poll_write_ready(cx))?
                    }
                }
            },
            Half::Other(stream) => {
                let outcome =
                    outbox.flush_with(|bytes| match stream.as_mut().poll_write(cx, bytes) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                    });
                match outcome {
                    Flushed::Empty => {
                        self.unflushed = true;
                        ready!(stream.as_mut().poll_flush(cx))?;
                        self.unflushed = false;
                        Poll::Ready(Ok(()))
                    }
                    Flushed::Failed(error) => Poll::Ready(Err(error)),
                    Flushed::Blocked => Poll::Pending,
                }
            }
        }
    }

    /// Ends our direction. For TCP that happens when the outbox drops its half.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Half::Tcp(_) => Poll::Ready(Ok(())),
            Half::Other(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }

    /// Reads and throws away until the peer has closed too.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = READ.take();
        buffer.resize(READ_BUFFER, 0);
        let outcome = loop {
            match self.poll_fill(cx, &mut buffer) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => break Poll::Ready(()),
            }
        };
        READ.set(buffer);
        outcome
    }
}

fn packet(decoded: Result<Packet, PacketError>) -> Received {
    match decoded {
        Ok(packet) => Received::Packet(packet),
        Err(_) => Received::Invalid,
    }
}

/// A WebSocket that wants to take over a polling session: the probe phase.
///
/// It owns both directions; what it has to say are a few bytes, kept here until the stream takes them.
pub(super) struct Candidate {
    pub(super) socket: WebSocket,
    writer: CandidateWriter,
    out: Vec<u8>,
}

enum CandidateWriter {
    Tcp(OwnedWriteHalf),
    Task,
}

impl Candidate {
    pub(super) fn new(io: Io, leftover: &[u8], form: Form, max_message: usize) -> Self {
        let (socket, writer) = WebSocket::new(io, leftover, form, max_message);
        let writer = match writer {
            Writer::Tcp(half) => CandidateWriter::Tcp(half),
            Writer::Task | Writer::Polling(_) | Writer::Closed => CandidateWriter::Task,
        };
        Self {
            socket,
            writer,
            out: Vec::new(),
        }
    }

    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// It asks for answers (pings, probes) and does not read them.
    pub(super) fn is_deaf(&self) -> bool {
        self.out.len() > MAX_CANDIDATE_OUT
    }

    /// Writes what is queued.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = match (&mut self.writer, &mut self.socket.stream) {
                (CandidateWriter::Tcp(half), _) => Pin::new(half).poll_write(cx, &self.out),
                (CandidateWriter::Task, Half::Other(stream)) => {
                    stream.as_mut().poll_write(cx, &self.out)
                }
                // A TCP stream always comes with its writing half.
                (CandidateWriter::Task, Half::Tcp(_)) => {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                }
            };
            let n = ready!(written)?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..n);
        }
        match &mut self.socket.stream {
            Half::Tcp(_) => Poll::Ready(Ok(())),
            Half::Other(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    /// Says goodbye to a WebSocket that no session wants.
    pub(super) async fn dismiss(mut self) {
        self.queue(&close_frame(None, "", None));
        // Whether the peer hears it changes nothing.
        let goodbye = poll_fn(|cx| self.poll_flush(cx));
        let _: Result<io::Result<()>, _> = tokio::time::timeout(super::LINGER, goodbye).await;
    }

    /// The candidate becomes the session's transport.
    pub(super) fn accept(self) -> (WebSocket, Writer) {
        let writer = match self.writer {
            CandidateWriter::Tcp(half) => Writer::Tcp(half),
            CandidateWriter::Task => Writer::Task,
        };
        (self.socket, writer)
    }
}
