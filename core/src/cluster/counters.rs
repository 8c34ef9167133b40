//! What an adapter counts of itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::AdapterStatus;
use crate::metrics::Histogram;

/// The figures behind an [`AdapterStatus`], which says what each means: for adapters, whose tasks
/// count at the same time. Everything is relaxed, since the figures are for people.
///
/// ```
/// use socketio_core::cluster::AdapterCounters;
///
/// let counters = AdapterCounters::default();
/// counters.set_up(true);
/// counters.messages_out.increment();
/// counters.bytes_out.add(20);
/// let status = counters.status(3, 60);
/// assert!(status.up);
/// assert_eq!((status.messages_out, status.bytes_out), (1, 20));
/// assert_eq!((status.queued_messages, status.queued_bytes), (3, 60));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AdapterCounters {
    up: AtomicBool,
    /// Of [`AdapterStatus::reconnects`].
    pub reconnects: Counter,
    /// Of [`AdapterStatus::gaps`].
    pub gaps: Counter,
    /// Of [`AdapterStatus::messages_in`].
    pub messages_in: Counter,
    /// Of [`AdapterStatus::bytes_in`].
    pub bytes_in: Counter,
    /// Of [`AdapterStatus::messages_out`].
    pub messages_out: Counter,
    /// Of [`AdapterStatus::bytes_out`].
    pub bytes_out: Counter,
    /// Of [`AdapterStatus::decode_errors`].
    pub decode_errors: Counter,
    /// Of [`AdapterStatus::dropped_in`].
    pub dropped_in: Counter,
    /// Of [`AdapterStatus::dropped_out`].
    pub dropped_out: Counter,
    /// Of [`AdapterStatus::missed`].
    pub missed: Counter,
    /// Of [`AdapterStatus::unheard`].
    pub unheard: Counter,
    /// Of [`AdapterStatus::lost_out`].
    pub lost_out: Counter,
    /// Of [`AdapterStatus::confirmations`].
    pub confirmations: Histogram,
    /// Nanoseconds; 0 before the first own message came back.
    round_trip: AtomicU64,
    round_trips: Histogram,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds several.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Adds one, and gives the new value.
    pub fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The value of now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl AdapterCounters {
    /// Says whether the adapter is up.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    /// Whether the adapter is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Says how long an own message took to come back.
    pub fn set_round_trip(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(nanos.max(1), Ordering::Relaxed);
        self.round_trips.observe(time);
    }

    /// The figures of now, with those of the queue to the broker.
    #[must_use]
    pub fn status(&self, queued_messages: usize, queued_bytes: usize) -> AdapterStatus {
        AdapterStatus {
            up: self.is_up(),
            reconnects: self.reconnects.value(),
            gaps: self.gaps.value(),
            messages_in: self.messages_in.value(),
            bytes_in: self.bytes_in.value(),
            messages_out: self.messages_out.value(),
            bytes_out: self.bytes_out.value(),
            decode_errors: self.decode_errors.value(),
            dropped_in: self.dropped_in.value(),
            dropped_out: self.dropped_out.value(),
            lost_out: self.lost_out.value(),
            missed: self.missed.value(),
            unheard: self.unheard.value(),
            untranslated: 0,
            queued_messages,
            queued_bytes,
            round_trip: match self.round_trip.load(Ordering::Relaxed) {
                0 => None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
            round_trips: self.round_trips.read(),
            confirmations: self.confirmations.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_known_after_the_first_one() {
        let counters = AdapterCounters::default();
        assert_eq!(counters.status(0, 0), AdapterStatus::default());
        for time in [Duration::from_nanos(1), Duration::from_millis(3)] {
            counters.set_round_trip(time);
            assert_eq!(counters.status(0, 0).round_trip, Some(time));
        }
        // Shorter than the clock can tell.
        counters.set_round_trip(Duration::ZERO);
        assert!(counters.status(0, 0).round_trip.is_some());
    }
}
