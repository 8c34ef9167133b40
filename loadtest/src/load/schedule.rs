//! The clock: what is due when.

use std::cmp::Reverse;

use super::client::{Life, Purpose};
use super::{Load, SWEEP};
use crate::measure::Measure;
use crate::settings::{Churn, Scenario};
use crate::stamp::Stamp;
use crate::template::Fill;

impl Load {
    /// When [`handle_time`](Self::handle_time) is to be called next.
    #[must_use]
    pub fn next_time(&self) -> u64 {
        let mut next = self.next_sweep;
        let others = [
            self.next_publish,
            self.next_echo,
            self.next_churn,
            self.next_storm,
        ];
        for other in others.into_iter().flatten() {
            next = next.min(other);
        }
        if let Some(Reverse((at, _))) = self.timers.peek() {
            next = next.min(*at);
        }
        if self.plan.connect_rate.is_some() && !self.queue.is_empty() {
            next = next.min(self.next_connect);
        }
        next
    }

    /// Does what is due.
    pub fn handle_time(&mut self, now: u64) {
        while let Some(&Reverse((at, client))) = self.timers.peek()
            && at <= now
        {
            self.timers.pop();
            self.queue.push_back((client, at));
        }
        self.pump(now);
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
            if self.is_sending() {
                self.follow_phases(now);
            }
        }
        if !self.is_sending() {
            return;
        }
        while let Some(due) = self.next_publish.filter(|due| *due <= now) {
            self.nth_publish += 1;
            self.next_publish = self.due(self.nth_publish, self.publish_share());
            if !self.rows.is_empty() {
                let row = self.turn_publish % self.rows.len() as u32;
                self.turn_publish = self.turn_publish.wrapping_add(1);
                if !self.publish(now, due, row) {
                    // Whose fault it is: of our own storm, or not.
                    self.counters.error(match self.plan.storm_every {
                        Some(_) => {
                            "a publisher was not connected when a message was due (a storm was on)"
                        }
                        None => "a publisher was not connected when a message was due",
                    });
                }
            }
        }
        while let Some(due) = self.next_echo.filter(|due| *due <= now) {
            self.nth_echo += 1;
            self.next_echo = self.due(self.nth_echo, self.echo_share());
            self.echo_in_turn(now, due);
        }
        while let Some(due) = self.next_churn.filter(|due| *due <= now) {
            let rate = self.plan.churn.map_or(1.0, |(_, rate)| rate) * self.share.fraction();
            self.next_churn = Some(due + (1e6 / rate).max(1.0) as u64);
            self.churn(now);
        }
        if let Some(due) = self.next_storm.filter(|due| *due <= now) {
            self.next_storm = self.storm_after(due);
            self.storm(now);
        }
    }

    pub(super) fn start_schedule(&mut self, now: u64) {
        if self.plan.open_loop {
            if !self.rows.is_empty() {
                self.next_publish = self.due(0, self.publish_share());
            }
            if self.plan.has_echo() {
                self.next_echo = self.due(0, self.echo_share());
            }
        } else {
            for client in 0..self.clients.len() as u32 {
                self.fill_echo(now, client);
            }
            for row in 0..self.rows.len() as u32 {
                self.fill_row(now, row);
            }
        }
        let after = now + self.plan.warmup.as_micros();
        self.next_churn = self.plan.churn.map(|_| after);
        self.next_storm = self.storm_after(after);
        for client in 0..self.clients.len() as u32 {
            if self.clients[client as usize].slow && self.is_ready(client) {
                self.pause(client);
            }
        }
    }

    /// One at the very end would only hide what is still under way, and nobody would see who comes back.
    fn storm_after(&self, at: u64) -> Option<u64> {
        let due = at.saturating_add(self.plan.storm_every?.as_micros());
        let end = self.began + self.plan.timetable.length();
        (due < end).then_some(due)
    }

    /// The part of the rate that the publishers of this process have.
    fn publish_share(&self) -> f64 {
        let emitters = self.plan.scenario == Scenario::Emit;
        let all = if emitters {
            self.plan.rooms
        } else {
            self.plan.publishers
        };
        self.rows.len() as f64 / f64::from(all)
    }

    /// The part of the rate that the clients of this process have.
    fn echo_share(&self) -> f64 {
        self.clients.len() as f64 / f64::from(self.plan.timetable.most_clients())
    }

    /// Counts a message, and how late it is; in a closed loop it is due when it is sent.
    pub(super) fn count_sent(&mut self, now: u64, due: u64) {
        if !self.counts(due) {
            return;
        }
        self.counters.sent += 1;
        if self.plan.open_loop {
            self.record(Measure::Lag, now.saturating_sub(due));
        }
    }

    /// When the message of a number is due, from 0 on, if `share` of all are ours. Processes take turns.
    fn due(&self, number: u64, share: f64) -> Option<u64> {
        // In a mix both kinds share the rate.
        let kinds = if self.plan.has_echo() && self.plan.has_publishers() {
            0.5
        } else {
            1.0
        };
        let before = f64::from(self.share.index) + number as f64 / (share * kinds);
        Some(self.began + self.plan.timetable.due(before)?)
    }

    fn echo_in_turn(&mut self, now: u64, due: u64) {
        for _ in 0..self.clients.len() {
            let client = self.turn_echo % self.clients.len() as u32;
            self.turn_echo = self.turn_echo.wrapping_add(1);
            if self.is_ready(client) {
                self.echo(now, due, client);
                return;
            }
        }
        self.counters
            .error("no client was connected when a message was due");
    }

    fn echo(&mut self, now: u64, due: u64, client: u32) {
        let plan = std::sync::Arc::clone(&self.plan);
        let known = &self.clients[client as usize];
        let stamp = Stamp {
            publisher: known.global,
            sequence: known.next_ack + 1,
            due,
        };
        let stamp = stamp.encode();
        let fill = Fill {
            stamp: &stamp,
            data: Some(&plan.data),
            client: known.global,
            event: &plan.events.name,
            ..Fill::default()
        };
        let message = &plan.events.echo;
        let payload = message.args.payload(&message.event, &fill);
        self.count_sent(now, due);
        self.send(
            client,
            &message.event,
            &payload,
            Some((Purpose::Echo, due, now)),
        );
    }

    /// In a closed loop, sends until the window is full.
    pub(super) fn fill_echo(&mut self, now: u64, client: u32) {
        if self.plan.open_loop || !self.plan.has_echo() || !self.is_ready(client) {
            return;
        }
        let pending = self.clients[client as usize].pending.iter();
        let echoes = pending
            .filter(|pending| pending.purpose == Purpose::Echo)
            .count();
        for _ in echoes..self.plan.window as usize {
            self.echo(now, now, client);
        }
    }

    /// Clients come and go as the phases say.
    fn follow_phases(&mut self, now: u64) {
        let at = now.saturating_sub(self.began);
        let wanted = self.share.of(self.plan.timetable.clients(at));
        // Slow clients that were closed are not wanted any more.
        if self.plan.slow_share > 0.0 || wanted == self.wanted {
            return;
        }
        let (before, after) = (self.wanted, wanted.min(self.clients.len() as u32));
        self.wanted = after;
        for client in before..after {
            let known = &mut self.clients[client as usize];
            known.wanted = true;
            if known.life == Life::Idle {
                known.life = Life::Waiting;
                self.queue.push_back((client, now));
            }
        }
        for client in (after..before).rev() {
            self.clients[client as usize].wanted = false;
            self.close(now, client);
        }
        self.pump(now);
    }

    fn churn(&mut self, now: u64) {
        let Some((what, _)) = self.plan.churn else {
            return;
        };
        let rooms = match what {
            Churn::Rooms => true,
            Churn::Connections => false,
            Churn::Both => self.turn_churn.is_multiple_of(2),
        };
        self.turn_churn = self.turn_churn.wrapping_add(1);
        // A few tries: most clients are neither publishers nor away.
        for _ in 0..20 {
            let client = self.rng.below(self.clients.len() as u64) as u32;
            let publishes = self.clients[client as usize].global < self.plan.publishers;
            if publishes || !self.is_ready(client) {
                continue;
            }
            let count = self.clients[client as usize].rooms.len() as u64;
            if rooms && count > 0 {
                let at = self.rng.below(count) as usize;
                if !self.clients[client as usize].rooms[at].is_in() {
                    continue;
                }
                self.leave(now, client, at);
            } else {
                self.close(now, client);
            }
            self.counters.churned += 1;
            return;
        }
    }

    /// All connections end at once; each client comes back when its own has ended.
    fn storm(&mut self, now: u64) {
        self.storming = true;
        for row in &mut self.rows {
            row.flights.clear();
        }
        for client in 0..self.clients.len() as u32 {
            if self.is_ready(client) {
                self.close(now, client);
                self.counters.churned += 1;
            }
        }
        self.storming = false;
    }
}
