//! The engine: Engine.IO sessions, their queues, timers and transports. Nothing here knows rooms or events, and nothing
//! here knows HTTP beyond an upgraded stream.
//!
//! * [`conn`]: the handle of a session that others hold; [`outbox`]: what waits for its client.
//! * [`session`]: the task that owns a session. [`websocket`] and [`polling`]: its two transports.
//! * [`flusher`]: writes many outboxes after a fan-out. [`timers`]: one timer for all. [`pace`]: the closings of a drain.

mod conn;
mod flusher;
mod io;
mod outbox;
mod pace;
mod polling;
mod session;
mod sessions;
mod timers;
mod websocket;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socketio_core::engine::{
    CloseReason, Control, EncodedPayload, OpenPacket, PayloadEncoder, Revision, TransportKind,
};
use socketio_core::frame::{Frame, FrameOptions};
use socketio_core::ids::SessionId;
use socketio_core::trace::TraceContext;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::conn::Conn;
pub(crate) use self::io::Io;
pub(crate) use self::polling::{PendingUpgrade, PendingWebSocket, PollError};

use self::conn::Command;
use self::flusher::Flusher;
use self::outbox::Form;
use self::pace::Pace;
use self::session::SessionTask;
use self::sessions::Sessions;
use self::timers::Timers;
use crate::client::Client;
use crate::handshake::Handshake;
use crate::metrics::Metrics;
use crate::options::Options;

/// How long a closed WebSocket may take to write what is queued, and again to close its own side; and, when the server
/// shuts down, a polling client to come for its close packet.
const LINGER: Duration = Duration::from_secs(3);

/// How long a closed polling session waits for the GET that tells the client, as in Node.
const POLL_LINGER: Duration = Duration::from_secs(30);

/// No session is opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the server is shutting down")]
    Closing,
    /// Only where the application makes the ids.
    #[error("another session has this id")]
    IdTaken,
}

/// What a session begins with.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    pub(crate) revision: Revision,
    /// The client cannot take binary.
    pub(crate) b64: bool,
    /// Of the application; random if there is none.
    pub(crate) id: Option<SessionId>,
    /// The span of the request.
    pub(crate) trace: Option<Box<TraceContext>>,
}

type ClientFactory = Box<dyn Fn(&Arc<Conn>) -> Client + Send + Sync>;

/// All sessions of one server.
pub(crate) struct Engine {
    options: Arc<Options>,
    metrics: Arc<Metrics>,
    sessions: Sessions,
    runtime: OnceLock<Runtime>,
    next_flusher: AtomicU32,
    tracker: TaskTracker,
    new_client: ClientFactory,
    closing: AtomicBool,
}

/// What needs a running tokio; made when the first session opens.
struct Runtime {
    timers: Arc<Timers>,
    timers_task: AbortHandle,
    flushers: Vec<Arc<Flusher>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// `new_client` makes the Socket.IO half of each session.
    pub(crate) fn new(
        options: Arc<Options>,
        metrics: Arc<Metrics>,
        new_client: impl Fn(&Arc<Conn>) -> Client + Send + Sync + 'static,
    ) -> Arc<Self> {
        let engine = Arc::new(Self {
            options,
            metrics,
            sessions: Sessions::default(),
            runtime: OnceLock::new(),
            next_flusher: AtomicU32::new(0),
            tracker: TaskTracker::new(),
            new_client: Box::new(new_client),
            closing: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&engine);
        engine
            .metrics
            .set_outbox_bytes(move || weak.upgrade().map_or(0, |engine| engine.outbox_bytes()));
        engine
    }

    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The session with the secret id `sid`.
    pub(crate) fn session(&self, sid: &str) -> Option<Arc<Conn>> {
        self.sessions.get(sid)
    }

    /// Bytes that wait for clients, summed over all sessions. Walks them all: meant for a scrape.
    pub(crate) fn outbox_bytes(&self) -> usize {
        self.sessions
            .all()
            .iter()
            .map(|conn| conn.outbox_bytes())
            .sum()
    }

    /// Opens a session on long-polling; the payload is the body of the answer.
    pub(crate) fn open_polling(
        self: &Arc<Self>,
        opening: Opening,
    ) -> Result<(Arc<Conn>, EncodedPayload), OpenError> {
        let mut payload = PayloadEncoder::new(opening.revision, !opening.b64);
        let (conn, open) = self.open(opening, TransportKind::Polling)?;
        open.write_payload(&mut payload);
        self.greet(|greeting| greeting.write_payload(&mut payload));
        self.spawn_session(&conn);
        Ok((conn, payload.finish()))
    }

    /// Opens a session on WebSocket, before the handshake is answered.
    pub(crate) fn open_websocket(
        self: &Arc<Self>,
        opening: Opening,
    ) -> Result<PendingWebSocket, OpenError> {
        let (conn, open) = self.open(opening, TransportKind::WebSocket)?;
        conn.send(&open, false);
        self.greet(|greeting| {
            conn.send(greeting, false);
        });
        self.spawn_session(&conn);
        Ok(PendingWebSocket::new(conn))
    }

    /// Sends the message that follows the open packet, if there is one.
    fn greet(&self, send: impl FnOnce(&Frame)) {
        if let Some(message) = &self.options.initial_packet {
            send(&Frame::message(message, &[], FrameOptions::default()));
        }
    }

    fn open(
        self: &Arc<Self>,
        opening: Opening,
        transport: TransportKind,
    ) -> Result<(Arc<Conn>, Frame), OpenError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(OpenError::Closing);
        }
        let Opening {
            handshake,
            revision,
            b64,
            id,
            trace,
        } = opening;
        let form = Form { revision, b64 };
        let id = id.unwrap_or_else(|| match revision {
            Revision::V4 => SessionId::generate(),
            Revision::V3 => SessionId::generate_eio3(),
        });
        let may_upgrade = transport == TransportKind::Polling
            && self.options.allow_upgrades
            && self.options.transports.contains(&TransportKind::WebSocket);
        let upgrades: &[TransportKind] = if may_upgrade {
            &[TransportKind::WebSocket]
        } else {
            &[]
        };
        let ping_interval = match revision {
            Revision::V4 => (self.options.ping_interval).saturating_add(self.options.ping_grace),
            // Such clients send the pings themselves, and would send them later.
            Revision::V3 => self.options.ping_interval,
        };
        let open = OpenPacket {
            sid: id.as_ref().into(),
            upgrades: upgrades.into(),
            ping_interval,
            ping_timeout: self.options.ping_timeout,
            max_payload: self.options.max_http_buffer_size as u64,
        };
        let open = Frame::control(&Control::Open(open.encode().into()));
        self.runtime();
        let conn = Arc::new(Conn::new(
            Arc::clone(self),
            id,
            form,
            transport,
            (Arc::new(handshake), trace),
        ));
        if !self.sessions.insert(Arc::clone(&conn)) {
            return Err(OpenError::IdTaken);
        }
        if self.closing.load(Ordering::Acquire) {
            // It came into the table after `close_all` had looked.
            conn.close(CloseReason::ServerShuttingDown);
        }
        self.metrics.connection_opened(transport.as_str());
        Ok((conn, open))
    }

    fn spawn_session(&self, conn: &Arc<Conn>) {
        let client = (self.new_client)(conn);
        self.spawn(SessionTask::new(Arc::clone(conn), client, Instant::now()));
    }

    /// Runs `task` as one that shutdown waits for.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    fn remove(&self, conn: &Arc<Conn>) {
        self.sessions.remove(conn.id());
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| {
            let workers = tokio::runtime::Handle::current()
                .metrics()
                .num_workers()
                .max(1);
            let flushers: Vec<_> = (0..workers).map(|_| Arc::new(Flusher::default())).collect();
            for flusher in &flushers {
                tokio::spawn(Arc::clone(flusher).run());
            }
            let timers = Arc::new(Timers::new());
            let timers_task = tokio::spawn(Arc::clone(&timers).run()).abort_handle();
            Runtime {
                timers,
                timers_task,
                flushers,
            }
        })
    }

    fn timers(&self) -> &Timers {
        &self.runtime().timers
    }

    fn flusher(&self, index: u32) -> &Flusher {
        let flushers = &self.runtime().flushers;
        &flushers[index as usize % flushers.len()]
    }

    fn next_flusher(&self) -> u32 {
        self.next_flusher.fetch_add(1, Ordering::Relaxed)
    }

    /// Refuses new sessions from now on.
    pub(crate) fn refuse_new(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Closes every session, evenly spread over `window`, so that the clients do not come back all at once; later than
    /// that rather than in a burst if this machine stood still meanwhile.
    pub(crate) async fn close_all(&self, window: Duration) {
        self.refuse_new();
        let conns = self.sessions.all();
        let mut pace = Pace::new(Instant::now(), window, conns.len());
        for conn in conns {
            let now = Instant::now();
            let due = pace.next(now);
            // Whole milliseconds: a sleep for each of 100 000 sessions would take longer than the window.
            if due > now + Duration::from_millis(1) {
                tokio::time::sleep_until(due).await;
            }
            conn.close(CloseReason::ServerShuttingDown);
        }
    }

    /// Waits until every session has ended and said goodbye.
    pub(crate) async fn closed(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get() {
            runtime.timers_task.abort();
            for flusher in &runtime.flushers {
                flusher.close();
            }
        }
    }
}

#[cfg(test)]
mod tests;

impl Command {
    fn failed() -> Self {
        Self::TransportFailed {
            reason: CloseReason::TransportError,
        }
    }
}
