//! The handle of one Engine.IO session that everybody else holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use socketio_core::engine::{CloseReason, Revision, TransportKind};
use socketio_core::frame::Frame;
use socketio_core::ids::SessionId;
use socketio_core::trace::TraceContext;
use tokio::sync::oneshot;

use super::Engine;
use super::io::Io;
use super::outbox::{Flushed, Form, Outbox, Pushed, Writer};
use crate::client::ClientCommand;
use crate::handshake::Handshake;

/// Something that the session task has to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// The body of a POST; `done` is told when its packets were dispatched.
    Posted {
        revision: Revision,
        body: Bytes,
        binary: bool,
        done: oneshot::Sender<()>,
    },
    /// The WebSocket of a session that was opened on WebSocket.
    Attach { io: Io, leftover: Bytes },
    /// A WebSocket that wants to take the session over.
    Candidate { io: Io, leftover: Bytes, form: Form },
    /// Close from our side.
    Close(CloseReason),
    /// The transport failed outside the session task (aborted request, overlap, broken stream).
    TransportFailed { reason: CloseReason },
    /// For the Socket.IO layer.
    Client(ClientCommand),
}

const OPEN: u8 = 0;
const CLOSED: u8 = 1;

/// One Engine.IO session as seen from outside its task.
///
/// A broadcast touches `outbox`, `engine`, and the reference count of this allocation; `repr(C)` keeps these together at
/// its front. The rest is for slower paths.
#[repr(C)]
pub(crate) struct Conn {
    outbox: Mutex<Outbox>,
    engine: Arc<Engine>,
    flusher: u32,
    transport: AtomicU8,
    state: AtomicU8,
    revision: Revision,
    task: AtomicWaker,
    /// `None` once the session task has ended: nobody would take a command then, and a POST would wait for ever.
    inbox: Mutex<Option<Vec<Command>>>,
    /// Which requests of this session are under way.
    pub(super) requests: Mutex<Requests>,
    id: SessionId,
    handshake: Arc<Handshake>,
    /// The span of the handshake, if there was one.
    trace: Option<Box<TraceContext>>,
}

/// Which requests of a session are under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) polling: bool,
    pub(super) posting: bool,
    /// Wakes the POST that is still reading its body when the session ends.
    pub(super) post_waker: Option<Waker>,
    /// A WebSocket is on its way to take the session over, or in its probe phase.
    pub(super) upgrading: bool,
    /// The peer ended the session itself, so a GET that is still pending is answered with a noop instead of a close.
    pub(super) closed_by_peer: bool,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id)
            .field("transport", &self.transport())
            .finish_non_exhaustive()
    }
}

impl Conn {
    pub(super) fn new(
        engine: Arc<Engine>,
        id: SessionId,
        form: Form,
        transport: TransportKind,
        (handshake, trace): (Arc<Handshake>, Option<Box<TraceContext>>),
    ) -> Self {
        let flusher = engine.next_flusher();
        Self {
            outbox: Mutex::new(Outbox::new(form)),
            engine,
            flusher,
            transport: AtomicU8::new(transport_to_u8(transport)),
            state: AtomicU8::new(OPEN),
            revision: form.revision,
            task: AtomicWaker::new(),
            inbox: Mutex::new(Some(Vec::new())),
            requests: Mutex::default(),
            id,
            handshake,
            trace,
        }
    }

    /// The secret session id.
    pub(crate) fn id(&self) -> &SessionId {
        &self.id
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn handshake(&self) -> &Arc<Handshake> {
        &self.handshake
    }

    /// Where the traces of this connection begin.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn transport(&self) -> TransportKind {
        if self.transport.load(Ordering::Relaxed) == transport_to_u8(TransportKind::WebSocket) {
            TransportKind::WebSocket
        } else {
            TransportKind::Polling
        }
    }

    pub(super) fn set_transport(&self, transport: TransportKind) {
        self.transport
            .store(transport_to_u8(transport), Ordering::Relaxed);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    pub(super) fn set_closed(&self) {
        self.state.store(CLOSED, Ordering::Release);
    }

    /// Queues `frame` for the client. Never blocks; a closed session ignores it.
    ///
    /// A volatile frame is dropped when the transport is busy. A client whose queue is full is closed as too slow.
    pub(crate) fn send(self: &Arc<Self>, frame: &Frame, volatile: bool) {
        let limit = self.engine.options().max_outbox_bytes;
        let own = current::is(self);
        let pushed = self.outbox.lock().push(frame, volatile, limit, own);
        match pushed {
            Pushed::Queued | Pushed::Closed => {}
            Pushed::Schedule => self.engine.flusher(self.flusher).schedule(Arc::clone(self)),
            Pushed::WakeTask => self.wake(),
            Pushed::Dropped => self.engine.metrics().dropped("volatile", 1),
            Pushed::Overflow => self.overflow(),
        }
    }

    #[cold]
    fn overflow(self: &Arc<Self>) {
        let (frames, _) = self.outbox.lock().close();
        self.engine
            .metrics()
            .dropped("outbox_full", frames as u64 + 1);
        tracing::debug!(session = %self.id, "client reads too slowly, its outbox is full");
        self.command(Command::TransportFailed {
            reason: CloseReason::OutboxOverflow,
        });
    }

    /// Asks the session to close. What is queued is still written where the transport takes it.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.command(Command::Close(reason));
    }

    /// Hands a command to the Socket.IO layer of the session; it runs in the session task.
    pub(crate) fn client_command(&self, command: ClientCommand) {
        self.command(Command::Client(command));
    }

    pub(super) fn command(&self, command: Command) {
        let refused = match &mut *self.inbox.lock() {
            Some(inbox) => {
                inbox.push(command);
                None
            }
            None => Some(command),
        };
        // Outside the lock, as what it holds may end with it.
        drop(refused);
        self.wake();
    }

    pub(super) fn take_commands(&self) -> Vec<Command> {
        let mut inbox = self.inbox.lock();
        inbox.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The session task has ended.
    pub(super) fn refuse_commands(&self) {
        let left = self.inbox.lock().take();
        drop(left);
    }

    /// Wakes the session task.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    pub(super) fn outbox(&self) -> parking_lot::MutexGuard<'_, Outbox> {
        self.outbox.lock()
    }

    /// Bytes that wait for the client.
    pub(crate) fn outbox_bytes(&self) -> usize {
        self.outbox.lock().bytes()
    }

    /// A write turn by the flusher.
    pub(super) fn flush_now(&self) {
        let (outcome, sent) = {
            let mut outbox = self.outbox.lock();
            (outbox.flush_tcp(), outbox.take_sent())
        };
        self.engine.metrics().bytes_out(sent);
        match outcome {
            Flushed::Empty => {}
            // The session task waits for the stream to become writable again, or ends the session.
            Flushed::Blocked => self.wake(),
            Flushed::Failed(_) => self.command(Command::TransportFailed {
                reason: CloseReason::TransportError,
            }),
        }
    }

    pub(super) fn set_writer(&self, writer: Writer, form: Form) {
        self.outbox.lock().set_writer(writer, form);
    }
}

fn transport_to_u8(transport: TransportKind) -> u8 {
    match transport {
        TransportKind::Polling => 0,
        TransportKind::WebSocket => 1,
    }
}

/// Which session's task runs on this thread right now.
///
/// What a session sends to itself (acks, replies) is written by its own task at the end of its turn, so nobody else
/// has to be woken for it.
pub(super) mod current {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::Conn;

    thread_local! {
        static CURRENT: Cell<*const Conn> = const { Cell::new(std::ptr::null()) };
    }

    /// Marks the thread until dropped.
    pub(in crate::engine) struct Turn(*const Conn);

    pub(in crate::engine) fn enter(conn: &Arc<Conn>) -> Turn {
        Turn(CURRENT.replace(Arc::as_ptr(conn)))
    }

    pub(super) fn is(conn: &Arc<Conn>) -> bool {
        CURRENT.get() == Arc::as_ptr(conn)
    }

    impl Drop for Turn {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
}
