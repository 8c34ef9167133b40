//! Long-polling: what a GET, a POST and a WebSocket handshake of a known session do with it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use socketio_core::engine::{Control, EncodedPayload, PayloadEncoder, Revision, TransportKind};
use socketio_core::frame::Frame;
use tokio::sync::oneshot;

use super::conn::{Command, Conn};
use super::io::Io;
use super::outbox::{Form, Polled};

/// The answer to a GET.
#[derive(Debug)]
pub(crate) struct PollBody {
    pub(crate) payload: EncodedPayload,
    /// At least one of the packets may be compressed.
    pub(crate) compress: bool,
}

/// Why a GET gets no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PollError {
    /// Another GET is pending. The session is closed for it.
    #[error("overlap from client")]
    Overlap,
    /// The session has ended.
    #[error("session closed")]
    Closed,
}

/// A POST came while another was under way. The session is closed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data request overlap from client")]
pub(crate) struct Overlap;

/// A WebSocket may not take over this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session takes no upgrade")]
pub(crate) struct UpgradeRefused;

impl Conn {
    /// Waits for packets and takes them all. Dropping the future while it waits means that the client went away.
    pub(crate) async fn poll(
        self: &Arc<Self>,
        revision: Revision,
        b64: bool,
    ) -> Result<PollBody, PollError> {
        {
            let mut requests = self.requests.lock();
            if requests.polling {
                drop(requests);
                self.request_failed();
                return Err(PollError::Overlap);
            }
            if self.outbox().is_closed() {
                return Err(PollError::Closed);
            }
            requests.polling = true;
        }
        let guard = PollGuard {
            conn: self,
            done: false,
        };
        let polled = poll_fn(|cx| match self.outbox().take_for_poll(cx.waker()) {
            Polled::Wait => Poll::Pending,
            polled => Poll::Ready(polled),
        })
        .await;
        let farewell = guard.done();
        let mut payload = PayloadEncoder::new(revision, !b64);
        let mut compress = false;
        match polled {
            Polled::Frames(frames) => {
                for frame in &frames {
                    frame.write_payload(&mut payload);
                    compress |= frame.compress();
                }
                // The session task may wait for the queue to become empty.
                if !self.is_open() {
                    self.wake();
                }
            }
            Polled::Upgraded => Frame::control(&Control::Noop).write_payload(&mut payload),
            // `Wait` does not come here.
            Polled::Closed | Polled::Wait => Frame::control(&farewell).write_payload(&mut payload),
        }
        let payload = payload.finish();
        self.engine().metrics().bytes_out(payload.body.len());
        Ok(PollBody { payload, compress })
    }

    /// Registers a POST, before its body is read. Dropping the guard unfinished means that the client went away.
    pub(crate) fn begin_post(self: &Arc<Self>) -> Result<PostGuard, Overlap> {
        let mut requests = self.requests.lock();
        if requests.posting {
            drop(requests);
            self.request_failed();
            return Err(Overlap);
        }
        requests.posting = true;
        drop(requests);
        Ok(PostGuard {
            conn: Arc::clone(self),
            failed: true,
        })
    }

    /// Registers a WebSocket that wants to take this session over, before its handshake is answered.
    pub(crate) fn upgrade(
        self: &Arc<Self>,
        revision: Revision,
        b64: bool,
    ) -> Result<PendingUpgrade, UpgradeRefused> {
        let mut requests = self.requests.lock();
        if requests.upgrading || !self.is_open() || self.transport() == TransportKind::WebSocket {
            return Err(UpgradeRefused);
        }
        requests.upgrading = true;
        drop(requests);
        Ok(PendingUpgrade {
            conn: Some(Arc::clone(self)),
            form: Form { revision, b64 },
        })
    }

    /// A request broke off or came out of turn. That ends the session, unless it has moved to a WebSocket meanwhile.
    fn request_failed(&self) {
        if self.transport() == TransportKind::Polling {
            self.command(Command::failed());
        }
    }

    /// Answers a pending GET with a noop, so that the client can go on with its upgrade.
    pub(super) fn answer_poll(self: &Arc<Self>) {
        if self.requests.lock().polling && self.outbox().is_empty() {
            self.send(&Frame::control(&Control::Noop), false);
        }
    }

    /// The close packet for a polling client: at once when a GET waits, else with the next one, as in Node.
    pub(super) fn queue_close(self: &Arc<Self>) {
        if !self.requests.lock().polling && self.outbox().is_empty() {
            self.send(&Frame::control(&Control::Noop), false);
        }
        self.send(&Frame::control(&Control::Close), false);
    }
}

struct PollGuard<'a> {
    conn: &'a Arc<Conn>,
    done: bool,
}

impl PollGuard<'_> {
    /// The poll has ended orderly. Returns what to say if the session is over.
    fn done(mut self) -> Control {
        self.done = true;
        let mut requests = self.conn.requests.lock();
        requests.polling = false;
        if requests.closed_by_peer {
            Control::Noop
        } else {
            Control::Close
        }
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.conn.requests.lock().polling = false;
            self.conn.outbox().poll_gone();
            self.conn.request_failed();
        }
    }
}

/// A POST under way.
#[derive(Debug)]
pub(crate) struct PostGuard {
    conn: Arc<Conn>,
    failed: bool,
}

impl PostGuard {
    /// Dispatches the packets of `body` and resolves when that is done (or the session has ended).
    pub(crate) async fn finish(mut self, revision: Revision, body: Bytes, binary: bool) {
        let (done, dispatched) = oneshot::channel();
        self.conn.command(Command::Posted {
            revision,
            body,
            binary,
            done,
        });
        // An error means that the session ended first; the client learns that from its GET.
        let _: Result<(), _> = dispatched.await;
        self.failed = false;
    }

    /// Waits for the end of the session: nobody wants the rest of the body then.
    pub(crate) async fn session_ended(&self) {
        poll_fn(|cx| {
            let mut requests = self.conn.requests.lock();
            if self.conn.outbox().is_closed() {
                return Poll::Ready(());
            }
            requests.post_waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The body was too large: the request is refused, the session goes on.
    pub(crate) fn too_large(mut self) {
        self.failed = false;
    }

    /// The content type was none that the client may use: the session is closed.
    pub(crate) fn invalid_content(self) {
        drop(self);
    }
}

impl Drop for PostGuard {
    fn drop(&mut self) {
        {
            let mut requests = self.conn.requests.lock();
            requests.posting = false;
            requests.post_waker = None;
        }
        if self.failed {
            self.conn.request_failed();
        }
    }
}

/// A session on WebSocket whose handshake is being answered.
#[derive(Debug)]
pub(crate) struct PendingWebSocket {
    conn: Option<Arc<Conn>>,
}

impl PendingWebSocket {
    pub(super) fn new(conn: Arc<Conn>) -> Self {
        Self { conn: Some(conn) }
    }

    /// The stream is there; `leftover` was read past the request.
    pub(crate) fn attach(mut self, io: Io, leftover: Bytes) {
        if let Some(conn) = self.conn.take() {
            conn.command(Command::Attach { io, leftover });
        }
    }
}

impl Drop for PendingWebSocket {
    fn drop(&mut self) {
        if let Some(conn) = &self.conn {
            conn.command(Command::failed());
        }
    }
}

/// An upgrade whose handshake is being answered.
#[derive(Debug)]
pub(crate) struct PendingUpgrade {
    conn: Option<Arc<Conn>>,
    form: Form,
}

impl PendingUpgrade {
    /// The stream is there; `leftover` was read past the request.
    pub(crate) fn attach(mut self, io: Io, leftover: Bytes) {
        if let Some(conn) = self.conn.take() {
            conn.command(Command::Candidate {
                io,
                leftover,
                form: self.form,
            });
        }
    }
}

impl Drop for PendingUpgrade {
    fn drop(&mut self) {
        if let Some(conn) = &self.conn {
            conn.requests.lock().upgrading = false;
        }
    }
}
