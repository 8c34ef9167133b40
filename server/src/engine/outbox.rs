//! The bounded queue of frames that wait for one client, and its writer.
//!
//! This is what a broadcast touches once per recipient, so it is small and lies in one place. It knows three writers:
//! a TCP stream that anybody who holds the lock can write to without waiting (the [flusher](super::flusher) does, for
//! many connections in a row), the session task (TLS and foreign streams), and a pending poll.

use std::cell::Cell;
use std::io;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;
use socketio_core::engine::Revision;
use socketio_core::frame::Frame;
use tokio::net::tcp::OwnedWriteHalf;

/// Most bytes of small frames that are copied together for one write. Fits the first-level cache beside the frames.
const MAX_JOINED: usize = 16 * 1024;

/// What a queued frame counts beside its bytes: tiny ones take more memory around them than in them, and a client that
/// reads nothing can ask for millions of them (pongs, acknowledgements).
const FRAME_COST: usize = 128;

fn cost(frame: &Frame) -> usize {
    frame.len() + FRAME_COST
}

thread_local! {
    static JOINED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Who empties the outbox.
#[derive(Debug)]
pub(crate) enum Writer {
    /// A long-polling session; the waker belongs to the pending GET, if there is one.
    Polling(Option<Waker>),
    /// A plain TCP stream that carries WebSocket frames.
    Tcp(OwnedWriteHalf),
    /// A stream that only the session task can write to.
    Task,
    /// Nothing will be written any more.
    Closed,
}

/// What the caller of [`Outbox::push`] has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing: somebody will come for it already.
    Queued,
    /// Hand the connection to its flusher.
    Schedule,
    /// Wake the session task.
    WakeTask,
    /// A volatile frame met a busy transport.
    Dropped,
    /// The byte bound is reached: the connection is to be closed.
    Overflow,
    /// The session is over.
    Closed,
}

/// What a poll finds.
#[derive(Debug)]
pub(crate) enum Polled {
    Frames(SmallVec<[Frame; 4]>),
    /// Nothing yet; the waker is called on the next push.
    Wait,
    /// The session has moved to a WebSocket: nothing will come this way any more.
    Upgraded,
    Closed,
}

/// Result of a write turn.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Everything is written.
    Empty,
    /// The stream takes no more for now.
    Blocked,
    /// The stream is broken.
    Failed(io::Error),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: SmallVec<[Frame; 4]>,
    /// [`cost`] of all in `queue`, in full until a frame is written completely.
    bytes: usize,
    /// Bytes of `queue[0]` that are already written.
    written: usize,
    /// Bytes written since [`take_sent`](Self::take_sent).
    sent: usize,
    writer: Writer,
    /// The connection waits in its flusher's list.
    scheduled: bool,
    /// The stream refused bytes; the session task waits for it to become writable.
    blocked: bool,
    /// Nothing is taken any more: the WebSocket's close frame is queued, or the outbox is closed.
    ended: bool,
    /// How frames look on this connection.
    form: Form,
}

/// The two things that decide how a frame is written to a WebSocket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) revision: Revision,
    /// The client asked for base64 instead of binary frames.
    pub(crate) b64: bool,
}

impl Form {
    fn bytes(self, frame: &Frame) -> FrameBytes<'_> {
        if self.b64 {
            FrameBytes::Own(frame.websocket_b64(self.revision))
        } else {
            FrameBytes::Shared(frame.websocket(self.revision))
        }
    }
}

enum FrameBytes<'a> {
    Shared(&'a Bytes),
    Own(Bytes),
}

impl std::ops::Deref for FrameBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl Outbox {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            queue: SmallVec::new(),
            bytes: 0,
            written: 0,
            sent: 0,
            writer: Writer::Polling(None),
            scheduled: false,
            blocked: false,
            ended: false,
            form,
        }
    }

    /// Queues `frame`. `own` says that the caller is the session's own task, which flushes before it goes to sleep.
    pub(crate) fn push(
        &mut self,
        frame: &Frame,
        volatile: bool,
        limit: usize,
        own: bool,
    ) -> Pushed {
        if self.ended {
            return Pushed::Closed;
        }
        if volatile && !self.is_writable() {
            return Pushed::Dropped;
        }
        // One frame always fits: a bound below the size of a single message would make that message impossible.
        if !self.queue.is_empty() && self.bytes + cost(frame) > limit {
            return if volatile {
                Pushed::Dropped
            } else {
                Pushed::Overflow
            };
        }
        self.bytes += cost(frame);
        self.queue.push(frame.clone());
        match &mut self.writer {
            Writer::Polling(waiting) => {
                if let Some(waker) = waiting.take() {
                    waker.wake();
                }
                Pushed::Queued
            }
            Writer::Tcp(_) if self.scheduled || self.blocked || own => Pushed::Queued,
            Writer::Tcp(_) => {
                self.scheduled = true;
                Pushed::Schedule
            }
            Writer::Task if self.scheduled || self.blocked || own => Pushed::Queued,
            Writer::Task => {
                self.scheduled = true;
                Pushed::WakeTask
            }
            Writer::Closed => Pushed::Closed,
        }
    }

    /// Queues the last frame: the close frame of a WebSocket, behind which no other frame may come
    /// ([RFC 6455, 5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)). A fan-out that chose its recipients
    /// before this session ended may still reach it.
    ///
    /// For the session task only, which flushes before it goes to sleep.
    pub(crate) fn push_last(&mut self, frame: &Frame) {
        if !std::mem::replace(&mut self.ended, true) {
            self.bytes += cost(frame);
            self.queue.push(frame.clone());
        }
    }

    /// Whether a volatile frame would leave at once: a pending GET with nothing queued, or a stream that takes bytes.
    pub(crate) fn is_writable(&self) -> bool {
        match &self.writer {
            Writer::Polling(waiting) => waiting.is_some() && self.queue.is_empty(),
            Writer::Tcp(_) | Writer::Task => !self.blocked,
            Writer::Closed => false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes written since the last call, for the metrics.
    pub(crate) fn take_sent(&mut self) -> usize {
        std::mem::take(&mut self.sent)
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.writer, Writer::Closed)
    }

    /// Writes what the TCP stream takes. With another writer this does nothing: its owner comes for the frames.
    pub(crate) fn flush_tcp(&mut self) -> Flushed {
        let writer = std::mem::replace(&mut self.writer, Writer::Closed);
        let outcome = match &writer {
            Writer::Tcp(stream) => self.flush_with(|bytes| stream.try_write(bytes)),
            Writer::Polling(_) | Writer::Task | Writer::Closed => Flushed::Empty,
        };
        self.writer = writer;
        outcome
    }

    /// Writes from the front of the queue until it is empty or the stream, behind `write`, refuses.
    ///
    /// Several small frames leave in one write. Copying them together costs less than a vectored write of as many
    /// slices (by about a tenth of the whole delivery at 16 frames), and a TLS stream makes one record of them.
    pub(crate) fn flush_with(
        &mut self,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> Flushed {
        self.scheduled = false;
        let mut joined = JOINED.take();
        let mut done = 0;
        let outcome = loop {
            let Some(first) = self.queue.get(done) else {
                break Flushed::Empty;
            };
            let first = self.form.bytes(first);
            let first = &first[self.written..];
            let result = if done + 1 == self.queue.len() || first.len() >= MAX_JOINED {
                write(first)
            } else {
                joined.clear();
                joined.extend_from_slice(first);
                for frame in &self.queue[done + 1..] {
                    let next = self.form.bytes(frame);
                    if joined.len() + next.len() > MAX_JOINED {
                        break;
                    }
                    joined.extend_from_slice(&next);
                }
                write(&joined)
            };
            match result {
                Ok(0) => break Flushed::Failed(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent += n;
                    self.written += n;
                    while let Some(frame) = self.queue.get(done)
                        && let Some(rest) = self.written.checked_sub(self.form.bytes(frame).len())
                    {
                        self.written = rest;
                        self.bytes -= cost(frame);
                        done += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Flushed::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Flushed::Failed(error),
            }
        };
        JOINED.set(joined);
        if done < self.queue.len() {
            self.queue.drain(..done);
        } else if self.queue.spilled() {
            // A burst may have made the queue large; an idle connection keeps none of it.
            self.queue = SmallVec::new();
        } else {
            self.queue.clear();
        }
        self.blocked = matches!(outcome, Flushed::Blocked);
        outcome
    }

    /// Takes everything for a poll.
    ///
    /// Only while polling is the transport: afterwards a part of the first frame may be written already.
    pub(crate) fn take_for_poll(&mut self, waker: &Waker) -> Polled {
        match &mut self.writer {
            Writer::Polling(waiting) if self.queue.is_empty() => {
                *waiting = Some(waker.clone());
                Polled::Wait
            }
            Writer::Polling(_) => {
                self.bytes = 0;
                Polled::Frames(std::mem::take(&mut self.queue))
            }
            Writer::Tcp(_) | Writer::Task => Polled::Upgraded,
            Writer::Closed => Polled::Closed,
        }
    }

    /// Replaces the writer, at an upgrade or at the end. A pending poll is woken so that it sees the change.
    pub(crate) fn set_writer(&mut self, writer: Writer, form: Form) {
        if let Writer::Polling(Some(waker)) = std::mem::replace(&mut self.writer, writer) {
            waker.wake();
        }
        self.form = form;
        self.blocked = false;
        self.scheduled = false;
    }

    /// Forgets the pending poll.
    pub(crate) fn poll_gone(&mut self) {
        if let Writer::Polling(waiting) = &mut self.writer {
            *waiting = None;
        }
    }

    /// Ends the outbox and returns how many frames and bytes were still in it.
    pub(crate) fn close(&mut self) -> (usize, usize) {
        let form = self.form;
        self.set_writer(Writer::Closed, form);
        self.ended = true;
        self.written = 0;
        let frames = std::mem::take(&mut self.queue).len();
        (frames, std::mem::take(&mut self.bytes))
    }
}

#[cfg(test)]
mod tests;
