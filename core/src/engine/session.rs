//! The life of one session: heartbeat, upgrade and close.
//!
//! A [`Session`] does no IO and reads no clock. The caller feeds it what arrives and the time, and
//! carries out what it says:
//!
//! 1. call one method that changes it (`handle_…` or [`close`](Session::close)),
//! 2. call [`poll_output`](Session::poll_output) until it is `None`, and do each thing in order,
//! 3. arm a timer for [`deadline`](Session::deadline); when it fires call
//!    [`handle_timeout`](Session::handle_timeout).
//!
//! # Where this differs from Node, on purpose
//! * An upgrade never touches the heartbeat. In Node it cancels the running timeout: a silent
//!   client of revision 3 then lives for ever, and so does one of revision 4 that upgrades between
//!   a ping and its pong.
//! * A session that was opened on a WebSocket cannot be taken over by another one.
//! * A close packet over WebSocket closes; Node ignores it there.
//! * Pongs that nobody asked for start nothing; in Node they postpone the next ping.
//! * A second probe neither restarts nor multiplies the timer of the noops.

use std::time::{Duration, Instant};

use bytestring::ByteString;
use smallvec::SmallVec;

use super::{Message, Packet, PacketKind, Revision, TransportKind};

mod control;
#[cfg(test)]
mod tests;

pub use control::{CloseReason, Control};

/// How often a waiting poll is ended during an upgrade, counted from the probe. Node's value; a
/// client test counts the packets of the first 100 ms, so the first noop must not come earlier.
pub const NOOP_PERIOD: Duration = Duration::from_millis(100);

/// The times of a session. Resolution is one millisecond, the longest is 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Time between two pings. 25 s unless set.
    pub ping_interval: Duration,
    /// Time until a ping must be answered. 20 s unless set.
    pub ping_timeout: Duration,
    /// Time until an upgrade must be complete. 10 s unless set.
    pub upgrade_timeout: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Hand this to the layer above.
    Message(Message),
    /// Queue this packet on the session, behind what is queued.
    Send(Control),
    /// Send this packet on the WebSocket that may become the transport.
    SendCandidate(Control),
    /// If a poll is waiting, answer it with a noop. Otherwise nothing.
    AnswerPoll,
    /// The candidate is the transport now: send what is queued on it.
    Upgraded,
    /// Close the candidate. The session goes on as if it had never been there.
    DropCandidate,
    /// The session is over; nothing follows. Close the transport.
    Closed(CloseReason),
}

/// A WebSocket may not become the transport of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeRefused {
    /// Another WebSocket is trying.
    #[error("an upgrade is under way")]
    AlreadyUpgrading,
    /// The session is on a WebSocket, by an upgrade or from its start.
    #[error("the session is on a WebSocket already")]
    AlreadyUpgraded,
    /// The session is over.
    #[error("the session is closed")]
    Closed,
}

/// The state of one session. See the [module](self) for the order of the calls.
#[derive(Debug)]
pub struct Session {
    revision: Revision,
    transport: TransportKind,
    /// `None` once closed.
    heartbeat: Option<Heartbeat>,
    candidate: Option<Candidate>,
    times: Times,
    /// A message makes one output and a close at most four, so messages need no heap.
    outputs: SmallVec<[Output; 1]>,
}

#[derive(Clone, Copy, Debug)]
enum Heartbeat {
    /// Revision 4: we ping at this time.
    PingAt(Instant),
    /// Revision 4: our ping must be answered before this time. Revision 3: the client must ping
    /// before it.
    ExpiresAt(Instant),
}

impl Heartbeat {
    const fn deadline(self) -> Instant {
        match self {
            Self::PingAt(at) | Self::ExpiresAt(at) => at,
        }
    }
}

/// A WebSocket on its way to become the transport.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    expires_at: Instant,
    /// `Some` once it sent its probe.
    noop_at: Option<Instant>,
}

/// [`SessionConfig`] in milliseconds: there is one for each session, so size counts.
#[derive(Clone, Copy, Debug)]
struct Times {
    ping_interval: u32,
    ping_timeout: u32,
    upgrade_timeout: u32,
}

impl Session {
    /// A session that was just opened, on `transport`, at `now`.
    #[must_use]
    pub fn new(
        revision: Revision,
        transport: TransportKind,
        config: SessionConfig,
        now: Instant,
    ) -> Self {
        let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let times = Times {
            ping_interval: milliseconds(config.ping_interval),
            ping_timeout: milliseconds(config.ping_timeout),
            upgrade_timeout: milliseconds(config.upgrade_timeout),
        };
        let mut session = Self {
            revision,
            transport,
            heartbeat: None,
            candidate: None,
            times,
            outputs: SmallVec::new(),
        };
        session.heartbeat = Some(session.next_heartbeat(now));
        session
    }

    /// Takes a packet that came on the current transport.
    pub fn handle_packet(&mut self, now: Instant, packet: Packet) {
        if self.is_closed() {
            return;
        }
        match packet.kind {
            PacketKind::Message => self.output(Output::Message(packet.data)),
            PacketKind::Ping => self.handle_ping(now, packet.data),
            PacketKind::Pong => self.handle_pong(now),
            PacketKind::Close => self.handle_close(),
            // A client has no business with these here; Node ignores them, and so do we.
            PacketKind::Open | PacketKind::Upgrade | PacketKind::Noop => {}
        }
    }

    /// Takes note that something came on the current transport that is no packet.
    pub fn handle_packet_error(&mut self) {
        self.close(CloseReason::ParseError);
    }

    /// Takes note of a WebSocket that names this session, at `now`.
    ///
    /// # Errors
    /// [`UpgradeRefused`] if it may not become the transport: close it, the session is unaffected.
    pub fn handle_upgrade_request(&mut self, now: Instant) -> Result<(), UpgradeRefused> {
        if self.is_closed() {
            return Err(UpgradeRefused::Closed);
        }
        if self.transport == TransportKind::WebSocket {
            return Err(UpgradeRefused::AlreadyUpgraded);
        }
        if self.candidate.is_some() {
            return Err(UpgradeRefused::AlreadyUpgrading);
        }
        self.candidate = Some(Candidate {
            expires_at: now + from_milliseconds(self.times.upgrade_timeout),
            noop_at: None,
        });
        Ok(())
    }

    /// Takes a packet that came on the candidate.
    pub fn handle_upgrade_packet(&mut self, now: Instant, packet: &Packet) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        match packet.kind {
            PacketKind::Ping if packet.data.as_text() == Some("probe") => {
                candidate.noop_at.get_or_insert(now + NOOP_PERIOD);
                self.output(Output::SendCandidate(Control::PongProbe));
            }
            // Also without a probe before it, as in Node.
            PacketKind::Upgrade => {
                self.candidate = None;
                self.transport = TransportKind::WebSocket;
                // A client should have waited for its poll to end, but not every one does.
                self.output(Output::AnswerPoll);
                self.output(Output::Upgraded);
            }
            _ => self.drop_candidate(),
        }
    }

    /// Takes note that the candidate sent something that is no packet: it is dropped.
    pub fn handle_upgrade_error(&mut self) {
        self.drop_candidate();
    }

    /// Takes note that the candidate went away. The session stays on polling.
    pub fn handle_upgrade_closed(&mut self) {
        self.candidate = None;
    }

    /// Takes note that the transport is gone: orderly, or with an `error` (an aborted poll, a
    /// reset connection, a violation of the transport's protocol).
    pub fn handle_transport_closed(&mut self, error: bool) {
        self.finish(if error {
            CloseReason::TransportError
        } else {
            CloseReason::TransportClose
        });
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.heartbeat {
            None => return,
            Some(Heartbeat::ExpiresAt(at)) if at <= now => {
                return self.close(CloseReason::PingTimeout);
            }
            Some(Heartbeat::PingAt(at)) if at <= now => {
                // From now and not from `at`: a late timer is our fault and not the client's.
                let expires_at = now + from_milliseconds(self.times.ping_timeout);
                self.heartbeat = Some(Heartbeat::ExpiresAt(expires_at));
                self.output(Output::Send(Control::Ping));
            }
            Some(_) => {}
        }
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        if candidate.expires_at <= now {
            self.drop_candidate();
        } else if candidate.noop_at.is_some_and(|at| at <= now) {
            candidate.noop_at = Some(now + NOOP_PERIOD);
            self.output(Output::AnswerPoll);
        }
    }

    /// Takes note that the transport is read again, at `now`, after a time in which it was not.
    ///
    /// A sign of life may wait behind what was not read, so the time that the client has for it
    /// starts again.
    pub fn handle_reading_resumed(&mut self, now: Instant) {
        if let Some(Heartbeat::ExpiresAt(at)) = &mut self.heartbeat {
            let interval = match self.revision {
                Revision::V4 => Duration::ZERO,
                Revision::V3 => from_milliseconds(self.times.ping_interval),
            };
            *at = (*at).max(now + interval + from_milliseconds(self.times.ping_timeout));
        }
    }

    /// Closes the session from our side. On polling the client is told with a close packet.
    pub fn close(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.drop_candidate();
        // Over WebSocket the close frame says it; on polling this also ends a waiting poll.
        if self.transport == TransportKind::Polling {
            self.output(Output::Send(Control::Close));
        }
        self.finish(reason);
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            return None;
        }
        let output = self.outputs.remove(0);
        if self.outputs.is_empty() && self.outputs.spilled() {
            self.outputs = SmallVec::new();
        }
        Some(output)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` once closed.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let mut deadline = self.heartbeat?.deadline();
        if let Some(candidate) = &self.candidate {
            deadline = deadline.min(candidate.expires_at);
            if let Some(noop_at) = candidate.noop_at {
                deadline = deadline.min(noop_at);
            }
        }
        Some(deadline)
    }

    /// Whether the session is over.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.heartbeat.is_none()
    }

    /// Whether a WebSocket is on its way to become the transport.
    #[must_use]
    pub const fn is_upgrading(&self) -> bool {
        self.candidate.is_some()
    }

    /// The transport in use.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// The revision of the protocol.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    fn handle_ping(&mut self, now: Instant, data: Message) {
        if self.revision == Revision::V4 {
            return self.close(CloseReason::TransportError);
        }
        self.heartbeat = Some(self.next_heartbeat(now));
        self.output(Output::Send(Control::Pong(match data {
            Message::Text(text) => text,
            // A pong is text. No client puts bytes into a ping.
            Message::Binary(_) => ByteString::new(),
        })));
    }

    fn handle_pong(&mut self, now: Instant) {
        match (self.revision, self.heartbeat) {
            (Revision::V3, _) => self.close(CloseReason::TransportError),
            (Revision::V4, Some(Heartbeat::ExpiresAt(_))) => {
                self.heartbeat = Some(self.next_heartbeat(now));
            }
            (Revision::V4, _) => {}
        }
    }

    fn handle_close(&mut self) {
        self.drop_candidate();
        if self.transport == TransportKind::Polling {
            self.output(Output::AnswerPoll);
        }
        self.finish(CloseReason::TransportClose);
    }

    /// What to wait for after a sign of life at `now`.
    fn next_heartbeat(&self, now: Instant) -> Heartbeat {
        let interval = from_milliseconds(self.times.ping_interval);
        match self.revision {
            Revision::V4 => Heartbeat::PingAt(now + interval),
            Revision::V3 => {
                Heartbeat::ExpiresAt(now + interval + from_milliseconds(self.times.ping_timeout))
            }
        }
    }

    fn drop_candidate(&mut self) {
        if self.candidate.take().is_some() {
            self.output(Output::DropCandidate);
        }
    }

    /// The only way out.
    fn finish(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.drop_candidate();
        self.heartbeat = None;
        self.output(Output::Closed(reason));
    }

    fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }
}

const fn from_milliseconds(milliseconds: u32) -> Duration {
    Duration::from_millis(milliseconds as u64)
}
