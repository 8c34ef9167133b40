//! What is counted, and how the carrier is doing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socketio_core::cluster::AdapterStatus;

/// Each is a counter of [`AdapterStatus`], which says what it means.
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
    pub(crate) dropped_out: Counter,
    round_trip: Mutex<Option<Duration>>,
    last_error: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Adds one, and gives the new value.
    pub(crate) fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    pub(crate) fn set_round_trip(&self, time: Duration) {
        *self.round_trip.lock() = Some(time);
    }

    pub(crate) fn set_error(&self, error: String) {
        *self.last_error.lock() = Some(error);
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    pub(crate) fn status(&self, queued_messages: usize, queued_bytes: usize) -> AdapterStatus {
        // Not a literal, because the type may get more fields.
        let mut status = AdapterStatus::default();
        status.up = self.up.load(Ordering::Relaxed);
        status.reconnects = self.reconnects.value();
        status.gaps = self.gaps.value();
        status.messages_in = self.messages_in.value();
        status.bytes_in = self.bytes_in.value();
        status.messages_out = self.messages_out.value();
        status.bytes_out = self.bytes_out.value();
        status.decode_errors = self.decode_errors.value();
        status.dropped_out = self.dropped_out.value();
        status.queued_messages = queued_messages;
        status.queued_bytes = queued_bytes;
        status.round_trip = *self.round_trip.lock();
        status
    }
}
