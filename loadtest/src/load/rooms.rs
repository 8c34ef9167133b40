//! Rooms: joining, leaving, and what comes through them.

use socketio_core::payload::Payload;

use super::client::{Purpose, RoomState};
use super::{Load, publish};
use crate::audit::{Arrival, Publisher, Sent, Window};
use crate::measure::{Measure, Stage};
use crate::stamp::Stamp;

/// Windows with gaps of rooms that were left. Beyond it their gaps count as lost, without asking whether
/// the server had confirmed them.
const MAX_RETIRED: usize = 100_000;

impl Load {
    pub(super) fn join(&mut self, now: u64, client: u32, at: usize) {
        let room = &mut self.clients[client as usize].rooms[at];
        room.state = RoomState::Joining;
        let number = room.number;
        let plan = std::sync::Arc::clone(&self.plan);
        let acks = plan.events.join_ack && plan.events.join.is_some();
        let purpose = acks.then_some(Purpose::Join(at as u32));
        if let Some(join) = &plan.events.join {
            self.send_about_room(now, client, number, join, purpose);
        }
        if !acks {
            self.joined(now, client, at);
        }
    }

    pub(super) fn leave(&mut self, now: u64, client: u32, at: usize) {
        self.out_of(now, client, at, true);
        let room = &mut self.clients[client as usize].rooms[at];
        room.state = RoomState::Leaving;
        let number = room.number;
        let plan = std::sync::Arc::clone(&self.plan);
        let purpose = plan.events.join_ack.then_some(Purpose::Leave(at as u32));
        self.send_about_room(now, client, number, &plan.events.leave, purpose);
        if !plan.events.join_ack {
            self.left(now, client, at);
        }
    }

    pub(super) fn joined(&mut self, now: u64, client: u32, at: usize) {
        let plan = std::sync::Arc::clone(&self.plan);
        let known = &mut self.clients[client as usize];
        let room = &mut known.rooms[at];
        if room.state != RoomState::Joining {
            return;
        }
        room.state = RoomState::In;
        let number = room.number;
        let sending = matches!(self.stage, Stage::Warmup | Stage::Measure);
        if !known.slow {
            self.members_of_room[number as usize] += 1;
            for row in &self.rows_of_room[number as usize] {
                let row = &self.rows[*row as usize];
                if row.client == Some(client) && !plan.events.publisher_receives {
                    continue;
                }
                let id = row.publisher.id();
                match known.windows.binary_search_by_key(&id, |(id, _)| *id) {
                    Ok(at) => self.audit.missed += known.windows[at].1.rejoin(row.sent),
                    // Whoever was there before the first message is judged from there.
                    Err(at) if sending => known.windows.insert(at, (id, Window::new(row.sent))),
                    Err(_) => {}
                }
            }
        }
        self.check_ready(now, client);
    }

    pub(super) fn left(&mut self, now: u64, client: u32, at: usize) {
        if self.clients[client as usize].rooms[at].state == RoomState::Leaving {
            self.clients[client as usize].rooms[at].state = RoomState::Out;
            if self.is_sending() {
                self.join(now, client, at);
            }
        }
    }

    /// A client is not in a room any more; if that was planned, it misses nothing.
    pub(super) fn out_of(&mut self, now: u64, client: u32, at: usize, planned: bool) {
        let known = &mut self.clients[client as usize];
        let room = &mut known.rooms[at];
        let was = std::mem::replace(&mut room.state, RoomState::Out);
        let number = room.number;
        // Of a room that is being left, that was done when it began.
        if known.slow || matches!(was, RoomState::Out | RoomState::Leaving) {
            return;
        }
        let counted = matches!(was, RoomState::Early | RoomState::In);
        self.members_of_room[number as usize] -= u32::from(counted);
        for (id, window) in &mut known.windows {
            if publish::room_of(&self.plan, *id) != number {
                continue;
            }
            if !planned {
                window.leave();
                continue;
            }
            let left = std::mem::replace(window, Window::unknown());
            if self.retired.len() >= MAX_RETIRED {
                self.audit.lost += left.lost(&Sent::default()).confirmed;
            } else if left.has_gaps() {
                let mut left = left;
                left.leave();
                self.retired.push((*id, left));
            }
        }
        if was == RoomState::Early {
            // Of publishers that were never heard there is no window yet.
            for row in &self.rows_of_room[number as usize] {
                let row = &self.rows[*row as usize];
                if row.client == Some(client) && !self.plan.events.publisher_receives {
                    continue;
                }
                let id = row.publisher.id();
                let place = known.windows.binary_search_by_key(&id, |(id, _)| *id);
                if let Err(place) = place {
                    let mut window = if planned {
                        Window::unknown()
                    } else {
                        Window::new(0)
                    };
                    window.leave();
                    known.windows.insert(place, (id, window));
                }
            }
        }
        if counted {
            self.one_member_less(now, number);
        }
    }

    /// An event came: a message of ours, or something else.
    pub(super) fn delivered(&mut self, now: u64, client: u32, payload: &Payload) {
        let Some(stamp) = Stamp::find(payload.json()) else {
            return;
        };
        // Of an earlier run, or of somebody else's.
        if stamp.due.saturating_add(1_000) < self.began || !self.knows(stamp.publisher) {
            return;
        }
        if self.clients[client as usize].slow {
            return;
        }
        if self.counts(stamp.due) {
            self.counters.delivered += 1;
            self.record(Measure::Delivery, now.saturating_sub(stamp.due));
        }
        let number = publish::room_of(&self.plan, stamp.publisher);
        let known = &mut self.clients[client as usize];
        let room = known.rooms.iter().find(|room| room.number == number);
        let Some(state) = room.map(|room| room.state) else {
            self.counters
                .error("a message of a room that the client is not in");
            return;
        };
        if !matches!(state, RoomState::Early | RoomState::In | RoomState::Joining) {
            return;
        }
        let place = known
            .windows
            .binary_search_by_key(&stamp.publisher, |(id, _)| *id);
        let at = place.unwrap_or_else(|at| {
            let early = state == RoomState::Early;
            let window = if early {
                Window::new(0)
            } else {
                Window::unknown()
            };
            known.windows.insert(at, (stamp.publisher, window));
            at
        });
        match known.windows[at].1.receive(stamp.sequence) {
            Arrival::Duplicate => {
                self.audit.duplicated += 1;
                return;
            }
            Arrival::Reordered => self.audit.reordered += 1,
            Arrival::Missed(count) => self.audit.missed += count,
            Arrival::InOrder | Arrival::Gap(_) | Arrival::NotJudged => {}
        }
        if state != RoomState::Joining {
            self.arrived(now, stamp.publisher, stamp.sequence);
        }
    }

    /// Whether a publisher is one of this run.
    fn knows(&self, id: u32) -> bool {
        match Publisher::from_id(id) {
            Publisher::Client(client) => {
                client < self.plan.publishers && self.plan.has_publishers()
            }
            Publisher::Emitter(room) => room < self.plan.rooms && !self.plan.has_publishers(),
        }
    }
}
