//! How a session gets its WebSocket: from its start, or by an upgrade with its probe.

use std::task::{Context, Poll};

use socketio_core::engine::TransportKind;
use tokio::time::Instant;

use super::{Link, Phase, SessionTask, pong};
use crate::engine::io::Io;
use crate::engine::outbox::Form;
use crate::engine::websocket::{Candidate, Received, WebSocket};

impl SessionTask {
    pub(super) fn attach(&mut self, io: Io, leftover: &[u8]) {
        if self.phase != Phase::Open {
            return;
        }
        let form = self.conn.outbox().form();
        let limit = self.conn.engine().options().max_http_buffer_size;
        let (socket, writer) = WebSocket::new(io, leftover, form, limit);
        self.link = Link::WebSocket(socket);
        self.conn.set_writer(writer, form);
    }

    pub(super) fn take_candidate(&mut self, io: Io, leftover: &[u8], form: Form, now: Instant) {
        // The request was let through by `Conn::upgrade`, but the session may have ended since.
        if self.phase != Phase::Open || self.session.handle_upgrade_request(now.into_std()).is_err()
        {
            self.conn
                .engine()
                .spawn(Candidate::new(io, leftover, form, 0).dismiss());
            return;
        }
        let limit = self.conn.engine().options().max_http_buffer_size;
        self.candidate = Some(Box::new(Candidate::new(io, leftover, form, limit)));
    }

    pub(super) fn receive_candidate(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(candidate) = &mut self.candidate else {
            return false;
        };
        let mut received = None;
        // One at a time: the packet after the upgrade belongs to the session already.
        let progress = candidate.socket.poll_receive(cx, |item| {
            let go_on = matches!(item, Received::Bytes(_));
            received = Some(item);
            go_on
        });
        match received {
            None | Some(Received::Bytes(_)) => {}
            Some(Received::Packet(packet)) => {
                self.session.handle_upgrade_packet(now.into_std(), &packet)
            }
            Some(Received::Ping(data)) => candidate.queue(&pong(&data)),
            Some(Received::Close | Received::Gone | Received::Invalid | Received::Violation(_)) => {
                self.session.handle_upgrade_closed();
                self.drop_candidate();
            }
        }
        self.drain(now);
        if let Some(candidate) = &mut self.candidate
            && (matches!(candidate.poll_flush(cx), Poll::Ready(Err(_))) || candidate.is_deaf())
        {
            self.session.handle_upgrade_closed();
            self.drop_candidate();
        }
        progress.is_ready()
    }

    pub(super) fn upgraded(&mut self) {
        let Some(candidate) = self.candidate.take() else {
            return;
        };
        let (socket, writer) = candidate.accept();
        let form = socket.form();
        self.link = Link::WebSocket(socket);
        self.conn.set_transport(TransportKind::WebSocket);
        self.conn.set_writer(writer, form);
        self.conn.engine().metrics().upgraded();
        self.client.handle_upgrade();
    }

    pub(super) fn drop_candidate(&mut self) {
        self.conn.requests.lock().upgrading = false;
        if let Some(candidate) = self.candidate.take() {
            self.conn.engine().spawn(candidate.dismiss());
        }
    }
}
