//! [`Load`]: who does what, when. Pure: it is told what happens and the time, and says what to do.
//!
//! All times are microseconds of the machine's monotonic clock, which all processes of a run share.
//! After each call [`Load::next_command`] is to be called until it gives nothing, and
//! [`Load::handle_time`] at [`Load::next_time`].

mod client;
mod life;
mod publish;
mod rooms;
mod schedule;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use socketio_core::frame::Frame;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;

use crate::audit::{AuditTotals, Ledger, Sent, Window};
use crate::measure::{Counters, Hists, Measure, Second, Stage};
use crate::plan::{Plan, Share};
use crate::rng::Rng;

use client::{Client, Life, Purpose};
use publish::Row;

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Connect a client with the target of this number.
    Connect(u32, usize),
    /// Close its connection.
    Close(u32),
    /// Send something for it.
    Send(u32, Frame),
    /// Stop to read for it, or go on.
    Pause(u32, bool),
    /// Publish to a room by the emitter.
    Emit {
        /// The room.
        room: u32,
        /// The number of the message, for [`Load::not_emitted`].
        sequence: u64,
        /// What to publish.
        payload: Payload,
    },
}

/// What happened to a client.
#[derive(Debug, Clone)]
pub enum ClientEvent {
    /// The namespace has it.
    Connected,
    /// It has upgraded; that took so many microseconds.
    Upgraded(u64),
    /// An event came.
    Event(Payload),
    /// An acknowledgement came.
    Ack(AckId, Payload),
    /// Its connection is over; with the cause, if that was not our plan.
    Ended(Option<String>),
}

/// The state of the load of one process.
#[derive(Debug)]
pub struct Load {
    plan: Arc<Plan>,
    share: Share,
    stage: Stage,
    /// When sending began, or will have.
    began: u64,
    clients: Vec<Client>,
    /// Publishers of this process.
    rows: Vec<Row>,
    /// By room: which rows, and how many clients of this process are members and audited.
    rows_of_room: Vec<Vec<u32>>,
    members_of_room: Vec<u32>,
    /// Clients that should connect now, with when they should.
    queue: VecDeque<(u32, u64)>,
    connecting: u32,
    ready: u32,
    /// By how many the phases want more or fewer.
    wanted: u32,
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    next_connect: u64,
    next_publish: Option<u64>,
    next_echo: Option<u64>,
    /// The numbers of the messages that are due then.
    nth_publish: u64,
    nth_echo: u64,
    next_churn: Option<u64>,
    next_storm: Option<u64>,
    next_sweep: u64,
    turn_publish: u32,
    turn_echo: u32,
    turn_churn: u32,
    commands: VecDeque<Command>,
    rng: Rng,
    /// Windows of rooms that were left, with gaps.
    retired: Vec<(u32, Window)>,
    audit: AuditTotals,
    counters: Counters,
    hists: Hists,
    /// Begin of the second that is being counted.
    second: u64,
    /// Errors of all seconds.
    causes: Counters,
    /// Everybody is being closed: nobody publishes in between.
    storming: bool,
}

/// Clients that connect at once, without a rate: a listen queue is short.
const MAX_CONNECTING: u32 = 100;
/// How often it is looked for what took too long.
const SWEEP: u64 = 200_000;

impl Load {
    /// The share of a process, at the time `now`; clients begin to connect at the first
    /// [`handle_time`](Self::handle_time).
    #[must_use]
    pub fn new(plan: Arc<Plan>, share: Share, now: u64) -> Self {
        let most = share.of(plan.timetable.most_clients());
        let rooms = plan.rooms as usize;
        let mut load = Self {
            clients: (0..most)
                .map(|local| Client::new(&plan, share.global(local)))
                .collect(),
            rows: publish::rows(&plan, share),
            rows_of_room: vec![Vec::new(); rooms],
            members_of_room: vec![0; rooms],
            queue: VecDeque::new(),
            connecting: 0,
            ready: 0,
            wanted: share.of(plan.timetable.clients(0)),
            timers: BinaryHeap::new(),
            next_connect: now,
            next_publish: None,
            next_echo: None,
            nth_publish: 0,
            nth_echo: 0,
            next_churn: None,
            next_storm: None,
            next_sweep: now + SWEEP,
            turn_publish: 0,
            turn_echo: 0,
            turn_churn: 0,
            commands: VecDeque::new(),
            rng: Rng::new(plan.seed.wrapping_add(u64::from(share.index) << 32)),
            retired: Vec::new(),
            audit: AuditTotals::default(),
            counters: Counters::default(),
            hists: Hists::new(),
            second: now,
            causes: Counters::default(),
            storming: false,
            stage: Stage::Connect,
            began: u64::MAX,
            share,
            plan,
        };
        for (at, row) in load.rows.iter().enumerate() {
            load.rows_of_room[row.room as usize].push(at as u32);
        }
        for client in 0..load.wanted {
            load.clients[client as usize].wanted = true;
            load.queue.push_back((client, now));
        }
        load
    }

    /// Where the run is.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Clients that are connected and in their rooms, and those that should be.
    #[must_use]
    pub const fn readiness(&self) -> (u32, u32) {
        (self.ready, self.wanted)
    }

    /// Whether clients wait for their rooms.
    #[must_use]
    pub fn has_joining(&self) -> bool {
        let joining = |client: &Client| client.life == Life::Joining;
        self.clients.iter().any(joining) || self.causes.errors.contains_key(life::NOT_JOINED)
    }

    /// The error that has occurred most often.
    #[must_use]
    pub fn most_frequent_error(&self) -> Option<&str> {
        let most = self.causes.errors.iter().max_by_key(|(_, count)| **count);
        most.map(|(cause, _)| cause.as_str())
    }

    /// Sending begins at a time, here and in other processes: what was due from then on is audited. They may be a moment
    /// ahead of this one, so this is to be told as early as possible.
    pub fn expect(&mut self, began: u64) {
        self.began = began;
        for client in &mut self.clients {
            client.begin();
        }
    }

    /// Begins to send.
    pub fn begin(&mut self, now: u64) {
        if self.began != now {
            self.expect(now);
        }
        // What happened since the last second goes with the first of sending.
        self.second = now;
        let warm = !self.plan.warmup.0.is_zero();
        self.stage = if warm { Stage::Warmup } else { Stage::Measure };
        self.start_schedule(now);
    }

    /// Stops to send: what is under way still comes.
    pub fn stop(&mut self) {
        self.stage = Stage::Drain;
        self.next_publish = None;
        self.next_echo = None;
        self.next_churn = None;
        self.next_storm = None;
        self.queue.clear();
        for client in 0..self.clients.len() as u32 {
            let paused = &mut self.clients[client as usize].paused;
            // Only who reads notices that the server has closed.
            if std::mem::take(paused) {
                self.commands.push_back(Command::Pause(client, false));
            }
        }
    }

    /// Whether nothing is awaited of what this process sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let acks = self.clients.iter().all(|client| client.pending.is_empty());
        acks && self.rows.iter().all(|row| row.flights.is_empty())
    }

    /// What the publishers of this process sent.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let sent = |row: &Row| Sent {
            last: row.sent,
            unconfirmed: row.unconfirmed.ranges(),
        };
        self.rows
            .iter()
            .map(|row| (row.publisher.id(), sent(row)))
            .collect()
    }

    /// The sums of the audit, with the publishers of all processes.
    #[must_use]
    pub fn audit(&self, ledger: &Ledger) -> AuditTotals {
        let mut totals = self.audit;
        let none = Sent::default();
        let mut add = |id: &u32, window: &Window| {
            let lost = window.lost(ledger.get(id).unwrap_or(&none));
            totals.lost += lost.confirmed;
            totals.lost_unconfirmed += lost.unconfirmed;
        };
        self.retired.iter().for_each(|(id, window)| add(id, window));
        let fresh = Window::new(0);
        let mut publishers: Vec<Vec<u32>> = vec![Vec::new(); self.plan.rooms as usize];
        for id in ledger.keys() {
            publishers[publish::room_of(&self.plan, *id) as usize].push(*id);
        }
        for client in self.clients.iter().filter(|client| !client.slow) {
            client
                .windows
                .iter()
                .for_each(|(id, window)| add(id, window));
            // Whoever heard nothing of a publisher lost everything.
            for room in client
                .rooms
                .iter()
                .filter(|room| room.is_early() && client.is_ready())
            {
                for id in &publishers[room.number as usize] {
                    let own = *id == client.global && !self.plan.events.publisher_receives;
                    if !own
                        && client
                            .windows
                            .binary_search_by_key(id, |(id, _)| *id)
                            .is_err()
                    {
                        add(id, &fresh);
                    }
                }
            }
        }
        // The run is over for those who still wait.
        let pending = self.clients.iter().flat_map(|client| &client.pending);
        totals.lost += pending
            .filter(|pending| pending.purpose == Purpose::Echo)
            .count() as u64;
        // Who is still away has missed what was published since.
        let windows = self
            .clients
            .iter()
            .filter(|client| !client.slow)
            .flat_map(|client| &client.windows);
        totals.missed += windows
            .map(|(id, window)| window.missed(ledger.get(id).unwrap_or(&none)))
            .sum::<u64>();
        totals
    }

    /// What happened since the last call; `cpu` is the processor time that it took us, `waited` how long
    /// we waited for a processor.
    pub fn take_second(&mut self, now: u64, cpu: f64, waited: f64) -> Second {
        let mut audit = self.audit;
        audit.lost += self.open_gaps();
        let begin = if self.began == u64::MAX {
            now
        } else {
            self.began
        };
        self.causes.add_errors(&self.counters);
        let second = Second {
            at: i64::try_from(self.second).unwrap_or(0) - i64::try_from(begin).unwrap_or(0),
            length: now.saturating_sub(self.second),
            stage: self.stage,
            clients: u64::from(self.ready),
            connecting: u64::from(self.connecting),
            counters: std::mem::take(&mut self.counters),
            audit,
            hists: std::mem::take(&mut self.hists),
            cpu,
            waited,
            rss: 0.0,
        };
        self.second = now;
        second
    }

    /// Ends the warm-up.
    pub const fn measure(&mut self) {
        self.stage = Stage::Measure;
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The emitter did not take a message, so nobody has promised that it arrives.
    pub fn not_emitted(&mut self, room: u32, sequence: u64, cause: impl Into<String>) {
        if let Some(row) = self
            .share
            .local(room)
            .and_then(|at| self.rows.get_mut(at as usize))
        {
            row.unconfirmed.sent(sequence);
        }
        self.counters.error(cause);
    }

    /// Counts an error that the shell met.
    pub fn error(&mut self, cause: impl Into<String>) {
        self.counters.error(cause);
    }

    /// Whether something that was due then is counted: all while warming up, which is shown and then forgotten;
    /// later on nothing that is left of it.
    fn counts(&self, due: u64) -> bool {
        let measured = self.began.saturating_add(self.plan.warmup.as_micros());
        self.stage == Stage::Warmup || due >= measured
    }

    fn record(&mut self, measure: Measure, micros: u64) {
        self.hists.entry(measure).or_default().record(micros);
    }

    /// Missing so far, though it may still come.
    fn open_gaps(&self) -> u64 {
        let none = Sent::default();
        let windows = self.clients.iter().filter(|client| !client.slow);
        windows
            .flat_map(|client| &client.windows)
            .map(|(_, window)| window.lost(&none).confirmed)
            .sum()
    }

    const fn is_sending(&self) -> bool {
        matches!(self.stage, Stage::Warmup | Stage::Measure)
    }

    fn is_ready(&self, client: u32) -> bool {
        let client = self.clients.get(client as usize);
        client.is_some_and(|client| client.life == Life::Ready)
    }
}
