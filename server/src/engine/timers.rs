//! One timer for all sessions.
//!
//! A session arms its next deadline here; a single task sleeps until the earliest one and wakes the sessions that are
//! due. Deadlines are rounded up to [`TICK`], so a wake-up covers all sessions of that tick. A session has one entry: a
//! later deadline keeps the earlier entry (the session looks at the clock when it is woken, and arms again), an earlier one
//! replaces it, and its end clears it. What is cleared leaves eight bytes behind until its tick; the session itself, which a
//! weak reference would keep as an allocation, goes at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::conn::Conn;

/// Resolution. Heartbeats are in seconds; the shortest deadline of the protocol is the 100 ms of the upgrade's noop.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Timers {
    start: Instant,
    due: Mutex<BTreeMap<u64, Vec<Weak<Conn>>>>,
    earlier: Notify,
}

/// The entry of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    pub(crate) at: Instant,
    tick: u64,
    index: usize,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            due: Mutex::default(),
            earlier: Notify::new(),
        }
    }

    /// Wakes the session of `conn` at `deadline`, up to one tick late.
    pub(crate) fn arm(&self, conn: &Arc<Conn>, deadline: Instant) -> Armed {
        let tick = self.tick_after(deadline);
        let (is_first, index) = {
            let mut due = self.due.lock();
            let is_first = due.first_key_value().is_none_or(|(first, _)| tick < *first);
            let entries = due.entry(tick).or_default();
            entries.push(Arc::downgrade(conn));
            (is_first, entries.len() - 1)
        };
        if is_first {
            self.earlier.notify_one();
        }
        Armed {
            at: deadline,
            tick,
            index,
        }
    }

    /// Forgets what [`arm`](Self::arm) was told.
    pub(crate) fn disarm(&self, conn: &Arc<Conn>, armed: Armed) {
        let mut due = self.due.lock();
        let entries = due.get_mut(&armed.tick);
        if let Some(entry) = entries.and_then(|entries| entries.get_mut(armed.index))
            // The tick may have been due already, and its number in use again.
            && entry.as_ptr() == Arc::as_ptr(conn)
        {
            *entry = Weak::new();
        }
    }

    /// Wakes sessions for ever; the owner drops the future to end it.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let first = self.due.lock().first_key_value().map(|(tick, _)| *tick);
            let Some(first) = first else {
                self.earlier.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(self.instant_of(first)) => self.fire(),
                () = self.earlier.notified() => {}
            }
        }
    }

    fn fire(&self) {
        let now = self.tick_before(Instant::now());
        loop {
            let conns = {
                let mut due = self.due.lock();
                match due.first_entry() {
                    Some(entry) if *entry.key() <= now => entry.remove(),
                    _ => return,
                }
            };
            for conn in conns.iter().filter_map(Weak::upgrade) {
                conn.wake();
            }
        }
    }

    fn tick_after(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos.div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
    }

    fn tick_before(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos / TICK.as_nanos()).unwrap_or(u64::MAX)
    }

    fn instant_of(&self, tick: u64) -> Instant {
        self.start + Duration::from_nanos(tick.saturating_mul(TICK.as_nanos() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadlines_are_rounded_up_to_a_tick() {
        let timers = Timers::new();
        let start = timers.start;
        assert_eq!(timers.tick_after(start), 0);
        assert_eq!(timers.tick_after(start + Duration::from_millis(1)), 1);
        assert_eq!(timers.tick_after(start + Duration::from_millis(10)), 1);
        assert_eq!(timers.tick_after(start + Duration::from_millis(11)), 2);
        assert_eq!(timers.instant_of(2), start + Duration::from_millis(20));
        assert_eq!(timers.tick_before(start + Duration::from_millis(19)), 1);
    }
}
