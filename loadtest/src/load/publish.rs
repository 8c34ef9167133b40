//! Publishing: the rows of numbers, and in a closed loop what is under way.

use std::collections::VecDeque;

use super::client::Purpose;
use super::{Command, Load};
use crate::audit::{Publisher, Unconfirmed};
use crate::plan::{Plan, Share};
use crate::settings::Scenario;
use crate::stamp::Stamp;
use crate::template::Fill;

/// A message in a closed loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    sequence: u64,
    sent: u64,
    got: u32,
    wanted: u32,
    confirmed: bool,
}

/// A publisher of this process.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) publisher: Publisher,
    pub(super) room: u32,
    /// The client that publishes, if it is one.
    pub(super) client: Option<u32>,
    /// The number of the last message.
    pub(super) sent: u64,
    pub(super) unconfirmed: Unconfirmed,
    pub(super) flights: VecDeque<Flight>,
}

/// The publishers of a process.
pub(super) fn rows(plan: &Plan, share: Share) -> Vec<Row> {
    let row = |publisher, room, client| Row {
        publisher,
        room,
        client,
        sent: 0,
        unconfirmed: Unconfirmed::default(),
        flights: VecDeque::new(),
    };
    if plan.scenario == Scenario::Emit {
        let rooms = (0..plan.rooms).filter(|room| share.local(*room).is_some());
        return rooms
            .map(|room| row(Publisher::Emitter(room), room, None))
            .collect();
    }
    if !plan.has_publishers() {
        return Vec::new();
    }
    (0..plan.publishers)
        .filter_map(|global| {
            let local = share.local(global)?;
            let room = plan.rooms_of(global).next()?;
            Some(row(Publisher::Client(global), room, Some(local)))
        })
        .collect()
}

/// The room that a publisher publishes in.
pub(super) fn room_of(plan: &Plan, id: u32) -> u32 {
    let room = match Publisher::from_id(id) {
        Publisher::Client(client) => plan.rooms_of(client).next().unwrap_or(0),
        Publisher::Emitter(room) => room,
    };
    // From a ledger of another process, which has the same plan.
    room.min(plan.rooms - 1)
}

impl Load {
    /// The next message of a row, due at `due`; says whether it was sent.
    pub(super) fn publish(&mut self, now: u64, due: u64, row: u32) -> bool {
        let publisher = &self.rows[row as usize];
        let (client, room) = (publisher.client, publisher.room);
        if let Some(client) = client
            && !self.is_ready(client)
        {
            return false;
        }
        let wanted = self.recipients(row);
        let confirms = client.is_some() && self.plan.events.publish_ack;
        let publisher = &mut self.rows[row as usize];
        publisher.sent += 1;
        let sequence = publisher.sent;
        if confirms {
            publisher.unconfirmed.sent(sequence);
        }
        if !self.plan.open_loop {
            publisher.flights.push_back(Flight {
                sequence,
                sent: now,
                got: 0,
                wanted,
                confirmed: !confirms,
            });
        }
        let stamp = Stamp {
            publisher: publisher.publisher.id(),
            sequence,
            due,
        };
        let stamp = stamp.encode();
        let plan = std::sync::Arc::clone(&self.plan);
        let name = plan.room_name(room);
        let fill = Fill {
            room: &name,
            event: &plan.events.name,
            stamp: &stamp,
            data: Some(&plan.data),
            client: client.unwrap_or(0),
        };
        self.count_sent(now, due);
        match client {
            Some(client) => {
                let message = &plan.events.publish;
                let payload = message.args.payload(&message.event, &fill);
                let pending = confirms.then_some((Purpose::Publish(row, sequence), due, now));
                self.send(client, &message.event, &payload, pending);
            }
            None => {
                let payload = plan.events.emit.payload(&plan.events.name, &fill);
                self.commands.push_back(Command::Emit {
                    room,
                    sequence,
                    payload,
                });
            }
        }
        true
    }

    /// Members of this process that should get a message of a row.
    fn recipients(&self, row: u32) -> u32 {
        let row = &self.rows[row as usize];
        let members = self.members_of_room[row.room as usize];
        let own = row.client.is_some() && !self.plan.events.publisher_receives;
        members.saturating_sub(u32::from(own))
    }

    /// Publishes until the window is full again.
    pub(super) fn fill_row(&mut self, now: u64, row: u32) {
        if self.plan.open_loop || !self.is_sending() || self.storming {
            return;
        }
        while self.rows[row as usize].flights.len() < self.plan.window as usize {
            if !self.publish(now, now, row) {
                return;
            }
            // Nobody here would ever say that it came.
            let row = &mut self.rows[row as usize];
            if row
                .flights
                .back()
                .is_some_and(|flight| flight.wanted == 0 && flight.confirmed)
            {
                row.flights.pop_back();
                return;
            }
        }
    }

    pub(super) fn fill_rows_of(&mut self, now: u64, client: u32) {
        for row in 0..self.rows.len() as u32 {
            if self.rows[row as usize].client == Some(client) {
                self.fill_row(now, row);
            }
        }
    }

    /// The server has taken a message.
    pub(super) fn confirmed(&mut self, now: u64, row: u32, sequence: u64) {
        self.rows[row as usize].unconfirmed.confirmed(sequence);
        self.progress(now, row, sequence, |flight| flight.confirmed = true);
    }

    /// A message of a publisher, perhaps of this process, has reached one receiver.
    pub(super) fn arrived(&mut self, now: u64, publisher: u32, sequence: u64) {
        if self.plan.open_loop {
            return;
        }
        let number = match Publisher::from_id(publisher) {
            Publisher::Client(number) | Publisher::Emitter(number) => number,
        };
        // Rows are those of the numbers of this process, in their order.
        if let Some(row) = self.share.local(number) {
            self.progress(now, row, sequence, |flight| flight.got += 1);
        }
    }

    fn progress(&mut self, now: u64, row: u32, sequence: u64, change: impl FnOnce(&mut Flight)) {
        let Some(publisher) = self.rows.get_mut(row as usize) else {
            return;
        };
        let flights = &mut publisher.flights;
        let at = flights.partition_point(|flight| flight.sequence < sequence);
        let Some(flight) = flights
            .get_mut(at)
            .filter(|flight| flight.sequence == sequence)
        else {
            return;
        };
        change(flight);
        if flight.confirmed && flight.got >= flight.wanted {
            flights.remove(at);
            self.fill_row(now, row);
        }
    }

    /// In a closed loop, goes on without what did not arrive everywhere in time.
    pub(super) fn sweep_rows(&mut self, now: u64, patience: u64) {
        for row in 0..self.rows.len() as u32 {
            let flights = &mut self.rows[row as usize].flights;
            let before = flights.len();
            flights.retain(|flight| now.saturating_sub(flight.sent) <= patience);
            let late = before - flights.len();
            for _ in 0..late {
                self.counters
                    .error("a message did not reach all receivers in time");
            }
            // An emitter has no client that tells when to begin again.
            self.fill_row(now, row);
        }
    }

    /// A client is gone: what it published is not waited for.
    pub(super) fn forget_flights_of(&mut self, client: u32) {
        for row in &mut self.rows {
            if row.client == Some(client) {
                row.flights.clear();
            }
        }
    }

    /// A room has one member less, which is not waited for any more. If it had some of the messages
    /// already, those are done one too early, which only makes the window a little larger for a moment.
    pub(super) fn one_member_less(&mut self, now: u64, room: u32) {
        if self.plan.open_loop {
            return;
        }
        for at in 0..self.rows_of_room[room as usize].len() {
            let row = self.rows_of_room[room as usize][at];
            let flights = &mut self.rows[row as usize].flights;
            for flight in flights.iter_mut() {
                flight.wanted = flight.wanted.saturating_sub(1);
            }
            flights.retain(|flight| !flight.confirmed || flight.got < flight.wanted);
            self.fill_row(now, row);
        }
    }
}
