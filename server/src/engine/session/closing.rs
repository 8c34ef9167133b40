//! How a session ends: who is told what, and when the transport goes.

use std::mem;
use std::task::{Context, Poll};

use socketio_core::engine::CloseReason;
use socketio_core::frame::Frame;
use socketio_core::websocket::close_frame;
use tokio::time::Instant;

use super::{Link, Phase, SessionTask};
use crate::engine::{LINGER, POLL_LINGER};

impl SessionTask {
    /// The session is closed: tells everybody, then lets the transport finish.
    pub(super) fn end(&mut self, reason: CloseReason, now: Instant) {
        if self.phase != Phase::Open {
            return;
        }
        self.conn.set_closed();
        self.conn
            .engine()
            .metrics()
            .closed(reason.as_str(), self.conn.transport().as_str());
        self.drop_candidate();
        self.client.handle_close(reason);
        if !matches!(self.link, Link::Polling) {
            self.conn.engine().remove(&self.conn);
        }
        match (&self.link, reason) {
            // The close packet is queued, unless the peer is gone; a GET that still waits is answered when the outbox
            // closes.
            (Link::Polling, CloseReason::ForcedClose) => {
                self.phase = Phase::Closing {
                    until: now + POLL_LINGER,
                };
            }
            // A client that lives is back with its next GET within a round trip; one that is gone must not hold up
            // the end of the server.
            (Link::Polling, CloseReason::ServerShuttingDown) => {
                self.phase = Phase::Closing {
                    until: now + LINGER,
                };
            }
            (Link::Polling, _) => {
                self.conn.requests.lock().closed_by_peer = reason == CloseReason::TransportClose;
                self.vanish();
            }
            // It takes nothing, so there is no way to say goodbye.
            (_, CloseReason::OutboxOverflow) | (Link::Awaited | Link::Gone, _) => self.vanish(),
            (Link::WebSocket(_) | Link::Reading, _) => {
                // 1001 tells a client that waits for a reason that the server goes away; Node sends no code otherwise.
                self.part((reason == CloseReason::ServerShuttingDown).then_some(1001));
                self.phase = Phase::Closing {
                    until: now + LINGER,
                };
            }
        }
    }

    /// Queues the close frame, unless one that answers the peer's fault or its own close frame is there already.
    pub(super) fn part(&mut self, code: Option<u16>) {
        let frame = Frame::raw(close_frame(code, "", None));
        self.conn.outbox().push_last(&frame);
    }

    /// Drops the transport and everything queued.
    pub(super) fn vanish(&mut self) {
        let (frames, _) = self.conn.outbox().close();
        self.conn
            .engine()
            .metrics()
            .dropped("closed", frames as u64);
        self.conn.engine().remove(&self.conn);
        let waker = self.conn.requests.lock().post_waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
        self.link = Link::Gone;
        self.posted = None;
        self.disarm();
        self.phase = Phase::Over;
    }

    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Link::WebSocket(socket) = &mut self.link else {
            if matches!(self.phase, Phase::Closing { .. }) && self.conn.outbox().is_empty() {
                if mem::take(&mut self.farewell) {
                    self.conn.queue_close();
                } else {
                    self.vanish();
                }
            }
            return;
        };
        if matches!(self.phase, Phase::Open | Phase::Closing { .. }) {
            let (written, sent) = {
                let mut outbox = self.conn.outbox();
                (socket.poll_flush(cx, &mut outbox), outbox.take_sent())
            };
            self.conn.engine().metrics().bytes_out(sent);
            match (written, self.phase) {
                (Poll::Pending, _) | (Poll::Ready(Ok(())), Phase::Open) => {}
                (Poll::Ready(Ok(())), _) => {
                    // Dropping the writing half ends our direction; the peer closes its own in answer.
                    self.conn.outbox().close();
                    self.phase = Phase::Draining {
                        until: now + LINGER,
                    };
                }
                (Poll::Ready(Err(_)), Phase::Open) => {
                    self.session.handle_transport_closed(true);
                    self.drain(now);
                    self.vanish();
                }
                (Poll::Ready(Err(_)), _) => self.vanish(),
            }
        }
        if let (Phase::Draining { .. }, Link::WebSocket(socket)) = (self.phase, &mut self.link) {
            let shut = socket.poll_shutdown(cx);
            if matches!(shut, Poll::Ready(Err(_))) || socket.poll_drain(cx).is_ready() {
                self.vanish();
            }
        }
    }
}
