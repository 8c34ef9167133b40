//! Clients connect, join, are acknowledged, are lost and come back.

use socketio_core::frame::FrameOptions;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;

use super::client::{Life, Membership, Pending, Purpose};
use super::{ClientEvent, Command, Load, MAX_CONNECTING};
use crate::measure::{Measure, Stage};
use crate::plan::Message;
use crate::stamp::Stamp;
use crate::template::Fill;

/// A cause of errors.
pub(super) const NOT_JOINED: &str = "joining a room was not acknowledged in time";

impl Load {
    /// Takes what happened to a client.
    pub fn handle(&mut self, now: u64, client: u32, event: ClientEvent) {
        match event {
            ClientEvent::Connected => self.connected(now, client),
            ClientEvent::Upgraded(micros) => self.record(Measure::Upgrade, micros),
            ClientEvent::Event(payload) => {
                self.first(now, client);
                self.delivered(now, client, &payload);
            }
            ClientEvent::Ack(id, payload) => {
                self.first(now, client);
                self.acked(now, client, id, &payload);
            }
            ClientEvent::Ended(cause) => self.ended(now, client, cause),
        }
    }

    fn first(&mut self, now: u64, client: u32) {
        let known = &mut self.clients[client as usize];
        if std::mem::take(&mut known.first) {
            let due = known.due;
            self.record(Measure::First, now.saturating_sub(due));
        }
    }

    fn connected(&mut self, now: u64, client: u32) {
        let known = &mut self.clients[client as usize];
        if known.life != Life::Connecting {
            return;
        }
        known.life = Life::Joining;
        known.attempts = 0;
        known.since = now;
        let due = known.due;
        self.connecting = self.connecting.saturating_sub(1);
        self.counters.connected += 1;
        self.record(Measure::Connect, now.saturating_sub(due));
        for at in 0..self.clients[client as usize].rooms.len() {
            self.join(now, client, at);
        }
        self.check_ready(now, client);
        self.pump(now);
    }

    /// A client takes part once it is in all its rooms.
    pub(super) fn check_ready(&mut self, now: u64, client: u32) {
        let known = &mut self.clients[client as usize];
        if known.life != Life::Joining || !known.rooms.iter().all(Membership::is_in) {
            return;
        }
        known.life = Life::Ready;
        let slow = known.slow;
        self.ready += 1;
        if slow && self.is_sending() {
            self.pause(client);
        }
        if !self.plan.open_loop && self.is_sending() {
            self.fill_echo(now, client);
            self.fill_rows_of(now, client);
        }
    }

    pub(super) fn pause(&mut self, client: u32) {
        self.clients[client as usize].paused = true;
        self.commands.push_back(Command::Pause(client, true));
    }

    /// Sends an event; with an acknowledgement if there is a purpose for one.
    pub(super) fn send(
        &mut self,
        client: u32,
        event: &str,
        payload: &Payload,
        pending: Option<(Purpose, u64, u64)>,
    ) {
        debug_assert!(payload.event_name().is_some_and(|name| name == event));
        let known = &mut self.clients[client as usize];
        let id = pending.map(|(purpose, due, sent)| {
            let id = AckId(known.next_ack);
            known.next_ack += 1;
            known.pending.push_back(Pending {
                id,
                due,
                sent,
                purpose,
            });
            id
        });
        let (parser, namespace) = (self.plan.parser, &self.plan.namespace);
        let frame = parser.encode_event(namespace, id, payload, FrameOptions::default());
        self.commands.push_back(Command::Send(client, frame));
    }

    /// Sends a message about a room.
    pub(super) fn send_about_room(
        &mut self,
        now: u64,
        client: u32,
        room: u32,
        message: &Message,
        purpose: Option<Purpose>,
    ) {
        let name = self.plan.room_name(room);
        let fill = Fill {
            room: &name,
            client: self.clients[client as usize].global,
            ..Fill::default()
        };
        let payload = message.args.payload(&message.event, &fill);
        self.send(
            client,
            &message.event,
            &payload,
            purpose.map(|purpose| (purpose, now, now)),
        );
    }

    fn acked(&mut self, now: u64, client: u32, id: AckId, payload: &Payload) {
        let known = &mut self.clients[client as usize];
        let Some(at) = known.pending.iter().position(|pending| pending.id == id) else {
            if id.0 < known.next_ack {
                // It came before, or was given up.
                self.audit.duplicated += 1;
            } else {
                self.counters.error("an acknowledgement of nothing");
            }
            return;
        };
        let echo = |pending: &Pending| pending.purpose == Purpose::Echo;
        let overtook = known.pending.iter().take(at).any(echo);
        let Some(pending) = known.pending.remove(at) else {
            return;
        };
        let refused = refusal(payload);
        // Servers that give back what they got give back the right thing.
        let answered = Stamp::find(payload.json()).map_or(id.0 + 1, |stamp| stamp.sequence);
        if let Some(cause) = &refused {
            self.counters.error(format!("the server answered: {cause}"));
        }
        match pending.purpose {
            Purpose::Echo => {
                if answered != id.0 + 1 {
                    self.counters.error("an acknowledgement of another message");
                }
                self.audit.reordered += u64::from(overtook);
                self.count_ack(now, pending.due);
                if !self.plan.open_loop && self.is_sending() {
                    self.fill_echo(now, client);
                }
            }
            Purpose::Join(at) => self.joined(now, client, at as usize),
            Purpose::Leave(at) => self.left(now, client, at as usize),
            Purpose::Publish(row, sequence) => {
                self.count_ack(now, pending.due);
                if refused.is_none() {
                    self.confirmed(now, row, sequence);
                }
            }
        }
    }

    fn count_ack(&mut self, now: u64, due: u64) {
        if self.counts(due) {
            self.counters.acked += 1;
            self.record(Measure::Ack, now.saturating_sub(due));
        }
    }

    /// What took too long.
    pub(super) fn sweep(&mut self, now: u64) {
        let patience = self.plan.ack_timeout.as_micros();
        let joining = self.plan.connect_timeout.as_micros();
        for client in 0..self.clients.len() as u32 {
            let known = &mut self.clients[client as usize];
            let since = now.saturating_sub(known.since);
            let late = match known.life {
                Life::Joining if since > joining => Some(NOT_JOINED),
                // The task has its own limit until the transport is open.
                Life::Connecting if since > 2 * joining => {
                    Some("the namespace was not connected in time")
                }
                _ => None,
            };
            if let Some(cause) = late {
                self.counters.error(cause);
                self.close(now, client);
                continue;
            }
            loop {
                let known = &mut self.clients[client as usize];
                let late = known
                    .pending
                    .front()
                    .filter(|pending| now.saturating_sub(pending.sent) > patience);
                let Some(pending) = late.copied() else { break };
                known.pending.pop_front();
                self.given_up(now, client, pending.purpose);
            }
        }
        self.sweep_rows(now, patience);
    }

    fn given_up(&mut self, now: u64, client: u32, purpose: Purpose) {
        self.counters
            .error("an acknowledgement did not come in time");
        if purpose == Purpose::Echo {
            self.audit.lost += 1;
            if !self.plan.open_loop && self.is_sending() {
                self.fill_echo(now, client);
            }
        }
    }

    /// Closes a connection by plan.
    pub(super) fn close(&mut self, now: u64, client: u32) {
        let known = &mut self.clients[client as usize];
        if !matches!(known.life, Life::Connecting | Life::Joining | Life::Ready) {
            return;
        }
        if known.life == Life::Connecting {
            self.connecting = self.connecting.saturating_sub(1);
        }
        if known.life == Life::Ready {
            self.ready -= 1;
        }
        let known = &mut self.clients[client as usize];
        known.life = Life::Closing;
        known.pending.clear();
        let rooms = known.rooms.len();
        self.forget_flights_of(client);
        for at in 0..rooms {
            self.out_of(now, client, at, true);
        }
        self.commands.push_back(Command::Close(client));
    }

    fn ended(&mut self, now: u64, client: u32, cause: Option<String>) {
        let before = self.clients[client as usize].life;
        let planned = before == Life::Closing;
        match before {
            Life::Connecting => self.connecting = self.connecting.saturating_sub(1),
            Life::Ready => self.ready -= 1,
            Life::Idle | Life::Waiting | Life::Joining | Life::Closing => {}
        }
        let known = &mut self.clients[client as usize];
        known.life = Life::Idle;
        if !planned {
            let echoes = known
                .pending
                .iter()
                .filter(|pending| pending.purpose == Purpose::Echo);
            self.audit.lost_unconfirmed += echoes.count() as u64;
            known.pending.clear();
            let (slow, rooms) = (known.slow, known.rooms.len());
            self.forget_flights_of(client);
            for at in 0..rooms {
                self.out_of(now, client, at, false);
            }
            if matches!(before, Life::Joining | Life::Ready) {
                self.counters.disconnected += u64::from(!slow);
                self.counters.slow_closed += u64::from(slow);
            }
            if !slow {
                self.counters
                    .error(cause.unwrap_or_else(|| "ended".to_owned()));
            }
            // That was the end that was waited for.
            if slow && self.stage != Stage::Connect {
                self.clients[client as usize].wanted = false;
                self.wanted = self.wanted.saturating_sub(1);
            }
        }
        if self.clients[client as usize].wanted && self.stage != Stage::Drain {
            if planned {
                self.queue.push_back((client, now));
                self.clients[client as usize].life = Life::Waiting;
            } else {
                self.reconnect(now, client);
            }
        }
        self.pump(now);
    }

    /// As Socket.IO's own clients: a delay that doubles, with chance. As behind a balancer, another
    /// target has its turn.
    fn reconnect(&mut self, now: u64, client: u32) {
        let first = self.plan.reconnect_delay.as_micros() as f64;
        let longest = self.plan.reconnect_delay_max.as_micros() as f64;
        let known = &mut self.clients[client as usize];
        let delay = (first * 2f64.powi(known.attempts.min(20) as i32)).min(longest);
        known.attempts += 1;
        known.moves = known.moves.wrapping_add(1);
        known.life = Life::Waiting;
        // Half of it more or less.
        let delay = delay * (0.5 + self.rng.fraction());
        self.timers
            .push(std::cmp::Reverse((now + delay as u64, client)));
    }

    /// Connects who waits, as far as the rate allows.
    pub(super) fn pump(&mut self, now: u64) {
        let storms = self.plan.storm_every.is_some() && self.is_sending();
        while let Some(&(client, due)) = self.queue.front() {
            let due = match self.plan.connect_rate {
                Some(_) if self.next_connect > now => return,
                Some(rate) => {
                    let due = self.next_connect.max(due);
                    self.next_connect = due + (1e6 / (rate * self.share.fraction())) as u64;
                    due
                }
                None if self.connecting >= MAX_CONNECTING && !storms => return,
                // Who had to wait for others of us was not due before its turn.
                None if !storms => now,
                None => due,
            };
            self.queue.pop_front();
            let known = &mut self.clients[client as usize];
            if !matches!(known.life, Life::Idle | Life::Waiting) || !known.wanted {
                continue;
            }
            known.life = Life::Connecting;
            known.first = true;
            known.due = due;
            known.since = now;
            known.next_ack = 0;
            known.paused = false;
            let target = self.plan.target_of(known.global, known.moves);
            self.connecting += 1;
            self.commands.push_back(Command::Connect(client, target));
        }
    }
}

/// What an acknowledgement says went wrong: our stock node answers `{error}`.
fn refusal(payload: &Payload) -> Option<String> {
    if !payload.json().starts_with(r#"[{"error":"#) {
        return None;
    }
    let (answer,): (serde_json::Value,) = payload.deserialize_args(false).ok()?;
    Some(answer.get("error")?.as_str()?.chars().take(80).collect())
}
