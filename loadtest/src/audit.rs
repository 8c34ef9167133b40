//! What became of each message: lost, duplicated, reordered.
//!
//! Each publisher numbers its messages from 1. A receiver keeps one [`Window`] for each publisher
//! that it hears: the number that is due next, and the gaps that are still open. No message is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One row of numbers: a client, or the emitter for one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Publisher {
    /// The client of this number.
    Client(u32),
    /// The emitter of one process, towards the room of this number.
    Emitter(u32),
}

/// Tells emitters from clients in a stamp.
const EMITTER: u32 = 1 << 31;

impl Publisher {
    /// As it stands in a stamp.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Client(client) => client & !EMITTER,
            Self::Emitter(room) => room | EMITTER,
        }
    }

    /// From a stamp.
    #[must_use]
    pub const fn from_id(id: u32) -> Self {
        if id & EMITTER == 0 {
            Self::Client(id)
        } else {
            Self::Emitter(id & !EMITTER)
        }
    }
}

/// Gaps of one window that are kept apart. More than a few are open only when much is lost; then the
/// oldest are given up, and count as lost without asking whether the server had confirmed them.
const MAX_GAPS: usize = 256;

/// Beyond it a number is no sequence.
const MAX_SEQUENCE: u64 = 1 << 60;

/// What one receiver got of one publisher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Numbers up to here are not judged: they were sent before the receiver was there, or given up.
    floor: u64,
    /// The number that is due.
    next: u64,
    /// The next number tells where to go on: what lies before it was missed while away.
    resume: bool,
    /// Open gaps, inclusive, ascending.
    gaps: Vec<(u64, u64)>,
    /// In gaps that were given up.
    given_up: u64,
}

/// What an arrival meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was due.
    InOrder,
    /// So many before it have not come (yet).
    Gap(u64),
    /// It had been missing: it was overtaken by a later one.
    Reordered,
    /// It had come before.
    Duplicate,
    /// It was sent before the receiver was there, or came while it was not; either is fine.
    NotJudged,
    /// So many were sent while the receiver was away.
    Missed(u64),
}

impl Window {
    /// A receiver that was there when the publisher had sent `sent` messages.
    #[must_use]
    pub const fn new(sent: u64) -> Self {
        Self {
            floor: sent,
            next: sent + 1,
            resume: false,
            gaps: Vec::new(),
            given_up: 0,
        }
    }

    /// A receiver that came while a publisher elsewhere was sending: the first message tells.
    #[must_use]
    pub const fn unknown() -> Self {
        let mut window = Self::new(0);
        window.resume = true;
        window.next = 0;
        window
    }

    /// Takes a message.
    pub fn receive(&mut self, sequence: u64) -> Arrival {
        // From a stranger's message: nobody sends that many.
        if sequence > MAX_SEQUENCE {
            return Arrival::NotJudged;
        }
        if sequence >= self.next {
            let skipped = sequence - self.next;
            let (first, started) = (self.next, self.next > 0);
            self.next = sequence + 1;
            if self.resume {
                self.resume = false;
                // Later ones of before may still come.
                self.floor = sequence;
                return match skipped {
                    missed @ 1.. if started => Arrival::Missed(missed),
                    _ => Arrival::InOrder,
                };
            }
            if skipped == 0 {
                return Arrival::InOrder;
            }
            if self.gaps.len() == MAX_GAPS {
                let (from, to) = self.gaps.remove(0);
                self.given_up += to - from + 1;
                // Whether what still comes of it came before is not known any more.
                self.floor = self.floor.max(to);
            }
            self.gaps.push((first, sequence - 1));
            return Arrival::Gap(skipped);
        }
        let at = self.gaps.partition_point(|&(_, to)| to < sequence);
        match self.gaps.get(at).copied() {
            Some((from, to)) if from <= sequence => {
                let parts = [(from, sequence.wrapping_sub(1)), (sequence + 1, to)];
                let rest = parts
                    .into_iter()
                    .filter(|&(from, to)| from <= to && sequence > 0);
                self.gaps.splice(at..=at, rest);
                Arrival::Reordered
            }
            _ if sequence <= self.floor => Arrival::NotJudged,
            _ => Arrival::Duplicate,
        }
    }

    /// The receiver is gone, and will come back: what is sent meanwhile is not lost but missed.
    pub const fn leave(&mut self) {
        self.resume = true;
    }

    /// The receiver is back, and the publisher has sent `sent` messages; says how many were missed.
    pub fn rejoin(&mut self, sent: u64) -> u64 {
        let missed = if self.resume && self.next > 0 {
            (sent + 1).saturating_sub(self.next)
        } else {
            0
        };
        if self.resume {
            self.resume = false;
            self.floor = sent.max(self.floor);
            self.next = self.next.max(sent + 1);
        }
        missed
    }

    /// What a receiver that is still away has missed of the `sent` messages.
    #[must_use]
    pub const fn missed(&self, sent: &Sent) -> u64 {
        if self.resume && self.next > 0 {
            (sent.last + 1).saturating_sub(self.next)
        } else {
            0
        }
    }

    /// Whether something is missing that was not the last.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        !self.gaps.is_empty() || self.given_up > 0
    }

    /// What never came of the `sent` messages: those that the server had confirmed, and the others.
    /// Whoever is away at the end lost nothing more.
    #[must_use]
    pub fn lost(&self, sent: &Sent) -> Lost {
        let mut lost = Lost {
            confirmed: self.given_up,
            unconfirmed: 0,
        };
        for &(from, to) in &self.gaps {
            lost.add(from, to, sent);
        }
        if !self.resume && self.next <= sent.last {
            lost.add(self.next, sent.last, sent);
        }
        lost
    }
}

/// Messages that never came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// The server had confirmed them, or confirms nothing.
    pub confirmed: u64,
    /// The server had not.
    pub unconfirmed: u64,
}

impl Lost {
    fn add(&mut self, from: u64, to: u64, sent: &Sent) {
        let unconfirmed = sent
            .unconfirmed
            .iter()
            .map(|&(first, last)| (to.min(last) + 1).saturating_sub(from.max(first)))
            .sum::<u64>()
            .min(to - from + 1);
        self.unconfirmed += unconfirmed;
        self.confirmed += to - from + 1 - unconfirmed;
    }
}

/// What a publisher sent in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The last number.
    pub last: u64,
    /// Ranges (inclusive) that the server has not confirmed.
    pub unconfirmed: Vec<(u64, u64)>,
}

/// All publishers, of all processes, by their ids.
pub type Ledger = BTreeMap<u32, Sent>;

/// Ranges of numbers whose confirmation is awaited.
#[derive(Debug, Clone, Default)]
pub struct Unconfirmed {
    open: std::collections::BTreeSet<u64>,
}

impl Unconfirmed {
    /// Awaits the confirmation of a message.
    pub fn sent(&mut self, sequence: u64) {
        self.open.insert(sequence);
    }

    /// It came.
    pub fn confirmed(&mut self, sequence: u64) {
        self.open.remove(&sequence);
    }

    /// What is still open, as ranges.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &sequence in &self.open {
            match ranges.last_mut() {
                Some((_, to)) if *to + 1 == sequence => *to = sequence,
                _ => ranges.push((sequence, sequence)),
            }
        }
        ranges
    }
}

/// The sums over all receivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditTotals {
    /// Never came to a receiver that was there, though the server had confirmed them.
    pub lost: u64,
    /// Never came, and the server had not confirmed them.
    pub lost_unconfirmed: u64,
    /// Published while the receiver was disconnected against its will.
    pub missed: u64,
    /// Came more than once.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
}

impl AuditTotals {
    /// Adds those of another process.
    pub const fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.lost_unconfirmed += other.lost_unconfirmed;
        self.missed += other.missed;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

#[cfg(test)]
mod tests;
