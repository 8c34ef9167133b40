//! Counters of the adapter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use socketio_core::cluster::AdapterStatus;

/// What is counted. Everything is relaxed: the figures are for people.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) up: AtomicBool,
    pub(crate) reconnects: Counter,
    pub(crate) gaps: Counter,
    pub(crate) messages_in: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) messages_out: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) decode_errors: Counter,
    pub(crate) dropped_in: Counter,
    pub(crate) dropped_out: Counter,
    /// Microseconds, 0 before the first probe.
    round_trip: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn set_round_trip(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.round_trip.store(micros.max(1), Ordering::Relaxed);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// The figures of now, with those of the queue to the broker.
    pub(crate) fn status(&self, queued_messages: usize, queued_bytes: usize) -> AdapterStatus {
        let mut status = AdapterStatus::default();
        status.up = self.up.load(Ordering::Relaxed);
        status.reconnects = self.reconnects.get();
        status.gaps = self.gaps.get();
        status.messages_in = self.messages_in.get();
        status.bytes_in = self.bytes_in.get();
        status.messages_out = self.messages_out.get();
        status.bytes_out = self.bytes_out.get();
        status.decode_errors = self.decode_errors.get();
        status.dropped_in = self.dropped_in.get();
        status.dropped_out = self.dropped_out.get();
        status.queued_messages = queued_messages;
        status.queued_bytes = queued_bytes;
        status.round_trip = match self.round_trip.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        };
        status
    }
}
