//! The task that owns one session: its state machine, its transport, and the Socket.IO client above.
//!
//! One hand-written future per connection. A turn takes what came in (commands, bytes of the WebSocket, the body of a
//! POST), feeds the state machine of `socketio_core::engine::session`, hands messages to the [`Client`], lets pending
//! handlers go on, and at the end writes what this session sent to itself. Between turns the task owns no buffer.
//!
//! [`upgrade`] is how it gets its WebSocket, [`closing`] how it ends.

mod closing;
mod upgrade;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use socketio_core::engine::{
    CloseReason, Control, Output, PacketKind, PayloadDecoder, Session, SessionConfig, TransportKind,
};
use socketio_core::frame::Frame;
use socketio_core::websocket::{OpCode, frame};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::conn::{Command, Conn, current};
use super::timers::Armed;
use super::websocket::{Candidate, Received, WebSocket};
use crate::client::Client;

/// Rounds of one turn before other tasks get theirs.
const ROUNDS: usize = 16;

pub(super) struct SessionTask {
    conn: Arc<Conn>,
    session: Session,
    client: Client,
    link: Link,
    candidate: Option<Box<Candidate>>,
    posted: Option<Box<Posted>>,
    /// What is armed in the engine's timers.
    armed: Option<Armed>,
    /// A polling client is to be told of the end once it has fetched what is queued.
    farewell: bool,
    /// When a client that joined no namespace is closed.
    connect_by: Option<Instant>,
    phase: Phase,
}

enum Link {
    /// Long-polling: requests come to the [`Conn`], bodies arrive as commands.
    Polling,
    /// A WebSocket was announced and is not here yet.
    Awaited,
    WebSocket(WebSocket),
    /// The WebSocket is in the hands of `receive`, which puts it back.
    Reading,
    Gone,
}

/// A POST whose packets are being dispatched.
struct Posted {
    packets: PayloadDecoder,
    done: oneshot::Sender<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The application was told; what is queued and the farewell are still on their way.
    Closing {
        until: Instant,
    },
    /// Written; waiting for the peer to close its side.
    Draining {
        until: Instant,
    },
    /// No transport left. The task stays until the last handler has ended.
    Over,
}

impl SessionTask {
    pub(super) fn new(conn: Arc<Conn>, client: Client, now: Instant) -> Self {
        let options = conn.engine().options();
        let config = SessionConfig {
            ping_interval: options.ping_interval,
            ping_timeout: options.ping_timeout,
            upgrade_timeout: options.upgrade_timeout,
        };
        let transport = conn.transport();
        let connect_by = now.checked_add(options.connect_timeout);
        Self {
            session: Session::new(conn.revision(), transport, config, now.into_std()),
            client,
            link: match transport {
                TransportKind::Polling => Link::Polling,
                TransportKind::WebSocket => Link::Awaited,
            },
            candidate: None,
            posted: None,
            armed: None,
            farewell: false,
            connect_by,
            phase: Phase::Open,
            conn,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.conn.register(cx.waker());
        let now = Instant::now();
        self.run_timers(now);
        for round in 0.. {
            let mut progress = self.run_commands(now);
            progress |= self.receive_candidate(cx, now);
            progress |= self.receive(cx, now);
            progress |= self.dispatch_posted(now);
            let stalled = !self.client.wants_input();
            self.client.poll(cx);
            if stalled && self.client.wants_input() {
                self.session.handle_reading_resumed(now.into_std());
                progress = true;
            }
            self.drain(now);
            // In each round: the answers to all that a turn reads may be more than the outbox takes.
            self.write(cx, now);
            if !progress {
                break;
            }
            if round == ROUNDS {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.arm(now);
        if self.phase == Phase::Over && !self.client.has_work() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn run_timers(&mut self, now: Instant) {
        if self.armed.is_some_and(|armed| armed.at <= now) {
            self.armed = None;
        }
        match self.phase {
            Phase::Open => {
                if self
                    .session
                    .deadline()
                    .is_some_and(|at| at <= now.into_std())
                {
                    self.session.handle_timeout(now.into_std());
                    self.drain(now);
                }
                if self.connect_by.is_some_and(|at| at <= now) {
                    self.connect_by = None;
                    if !self.client.has_namespace() {
                        self.session.close(CloseReason::ForcedClose);
                        self.drain(now);
                    }
                }
            }
            Phase::Closing { until } | Phase::Draining { until } if until <= now => self.vanish(),
            Phase::Closing { .. } | Phase::Draining { .. } | Phase::Over => {}
        }
    }

    fn run_commands(&mut self, now: Instant) -> bool {
        let commands = self.conn.take_commands();
        let progress = !commands.is_empty();
        for command in commands {
            match command {
                Command::Client(command) => self.client.handle_command(command),
                Command::Close(reason) => self.session.close(reason),
                Command::TransportFailed {
                    reason: CloseReason::TransportError,
                } => {
                    self.session.handle_transport_closed(true);
                }
                Command::TransportFailed { reason } => self.session.close(reason),
                Command::Posted {
                    revision,
                    body,
                    binary,
                    done,
                } => {
                    self.conn.engine().metrics().bytes_in(body.len());
                    let packets = PayloadDecoder::new(revision, body, binary);
                    self.posted = Some(Box::new(Posted { packets, done }));
                    self.dispatch_posted(now);
                }
                Command::Attach { io, leftover } => self.attach(io, &leftover),
                Command::Candidate { io, leftover, form } => {
                    self.take_candidate(io, &leftover, form, now)
                }
            }
            self.drain(now);
        }
        progress
    }

    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.phase != Phase::Open || !self.client.wants_input() {
            return false;
        }
        // Taken out, so that what is received can go through `self`.
        let mut socket = match mem::replace(&mut self.link, Link::Reading) {
            Link::WebSocket(socket) => socket,
            other => {
                self.link = other;
                return false;
            }
        };
        let progress = socket.poll_receive(cx, |received| {
            self.take(received, now);
            self.phase == Phase::Open && self.client.wants_input()
        });
        if self.phase != Phase::Over {
            self.link = Link::WebSocket(socket);
        }
        progress.is_ready()
    }

    fn take(&mut self, received: Received, now: Instant) {
        match received {
            Received::Bytes(n) => self.conn.engine().metrics().bytes_in(n),
            Received::Packet(packet) => self.session.handle_packet(now.into_std(), packet),
            Received::Invalid => self.session.handle_packet_error(),
            Received::Ping(data) => self.conn.send(&Frame::raw(pong(&data)), false),
            Received::Gone => self.session.handle_transport_closed(false),
            Received::Close => {
                self.part(None);
                self.session.handle_transport_closed(false);
            }
            Received::Violation(error) => {
                self.conn
                    .engine()
                    .metrics()
                    .websocket_violation(error.close_code());
                self.part(Some(error.close_code()));
                self.session.handle_transport_closed(true);
            }
        }
        self.drain(now);
    }

    fn dispatch_posted(&mut self, now: Instant) -> bool {
        let Some(mut posted) = self.posted.take() else {
            return false;
        };
        while self.phase == Phase::Open {
            if !self.client.wants_input() {
                self.posted = Some(posted);
                return false;
            }
            match posted.packets.next() {
                Some(Ok(packet)) => self.session.handle_packet(now.into_std(), packet),
                Some(Err(_)) => self.session.handle_packet_error(),
                None => break,
            }
            self.drain(now);
        }
        // The farewell waits for a GET, which this client will not send.
        let mut rest = posted.packets.by_ref().flatten();
        if matches!(self.phase, Phase::Closing { .. })
            && rest.any(|packet| packet.kind == PacketKind::Close)
        {
            self.vanish();
        }
        // The request may have been given up meanwhile.
        let _: Result<(), ()> = posted.done.send(());
        true
    }

    /// Carries out what the state machine decided.
    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Message(message) => {
                    if self.phase == Phase::Open
                        && let Err(error) = self.client.handle_message(message)
                    {
                        tracing::debug!(session = %self.conn.id(), %error, "closing: invalid packet");
                        self.session.close(CloseReason::ForcedClose);
                    }
                }
                // A client acts on the end before it acts on messages of the same payload: it would connect again
                // instead of seeing that it was thrown out. So the end goes into a payload of its own, as in Node.
                Output::Send(Control::Close) if self.conn.outbox().is_empty() => {
                    self.conn.queue_close();
                }
                Output::Send(Control::Close) => self.farewell = true,
                Output::Send(control) => self.conn.send(&Frame::control(&control), false),
                Output::SendCandidate(control) => {
                    if let Some(candidate) = &mut self.candidate {
                        let form = candidate.socket.form();
                        candidate.queue(Frame::control(&control).websocket(form.revision));
                    }
                }
                Output::AnswerPoll => self.conn.answer_poll(),
                Output::Upgraded => self.upgraded(),
                Output::DropCandidate => self.drop_candidate(),
                Output::Closed(reason) => self.end(reason, now),
            }
        }
    }

    /// Arms the engine's timer for the next deadline, unless an earlier one is armed already.
    fn arm(&mut self, now: Instant) {
        let next = match self.phase {
            Phase::Open => {
                let session = self.session.deadline().map(Instant::from_std);
                [session, self.connect_by].into_iter().flatten().min()
            }
            Phase::Closing { until } | Phase::Draining { until } => Some(until),
            Phase::Over => None,
        };
        let Some(next) = next else { return };
        if self.armed.is_none_or(|armed| next < armed.at) {
            // A deadline that has passed meanwhile must still be met in a later turn.
            let next = next.max(now + Duration::from_millis(1));
            self.disarm();
            self.armed = Some(self.conn.engine().timers().arm(&self.conn, next));
        }
    }

    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            self.conn.engine().timers().disarm(&self.conn, armed);
        }
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let conn = Arc::clone(&self.conn);
        let _turn = current::enter(&conn);
        self.turn(cx)
    }
}

impl Drop for SessionTask {
    /// The runtime may drop the task unfinished, at the end of the process.
    fn drop(&mut self) {
        if self.phase != Phase::Over {
            self.conn.set_closed();
            self.vanish();
        }
        self.conn.refuse_commands();
    }
}

fn pong(data: &[u8]) -> Bytes {
    frame(OpCode::Pong, data, None)
}

#[cfg(test)]
mod size {
    /// A connection costs one task of about this size; growth here is paid ten thousand times.
    #[test]
    fn the_task_stays_small() {
        let size = size_of::<super::SessionTask>();
        assert!(size <= 1024, "session task is {size} bytes");
    }
}
