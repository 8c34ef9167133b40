//! What became of spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts spans; clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    queued: AtomicU64,
    exported: AtomicU64,
    dropped: [AtomicU64; REASONS.len()],
}

/// Why a span was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The collector did not take the batch in time, or refused it for good.
    ExportFailed,
    /// More than may wait.
    QueueFull,
    /// There was no time left at the end.
    Shutdown,
}

/// In the order of the variants.
const REASONS: [&str; 3] = ["export_failed", "queue_full", "shutdown"];

/// All numbers of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Spans that wait to be sent, those of the batch that is under way among them.
    pub queued: u64,
    /// Spans that the collector has taken.
    pub exported: u64,
    /// Spans of batches that the collector did not take in time, or refused for good.
    pub export_failed: u64,
    /// Spans that found the queue full.
    pub queue_full: u64,
    /// Spans for which there was no time at the end.
    pub shutdown: u64,
}

impl Snapshot {
    /// The lost ones by reason, as metrics name it.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let lost = [self.export_failed, self.queue_full, self.shutdown];
        REASONS.into_iter().zip(lost)
    }

    /// Spans that were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.export_failed + self.queue_full + self.shutdown
    }
}

impl Counts {
    /// One more; returns how many waited before it.
    pub(crate) fn queued(&self) -> u64 {
        self.0.queued.fetch_add(1, Relaxed)
    }

    /// Nothing that waits is sent any more.
    pub(crate) fn end(&self) {
        let left = self.0.queued.load(Relaxed);
        self.dropped(Reason::Shutdown, left);
    }

    /// Of a span that waited.
    pub(crate) fn exported(&self, spans: u64) {
        self.0.queued.fetch_sub(spans, Relaxed);
        self.0.exported.fetch_add(spans, Relaxed);
    }

    /// Of spans that waited.
    pub(crate) fn dropped(&self, reason: Reason, spans: u64) {
        self.0.queued.fetch_sub(spans, Relaxed);
        self.0.dropped[reason as usize].fetch_add(spans, Relaxed);
    }

    /// The numbers now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let dropped = |reason: Reason| self.0.dropped[reason as usize].load(Relaxed);
        Snapshot {
            queued: self.0.queued.load(Relaxed),
            exported: self.0.exported.load(Relaxed),
            export_failed: dropped(Reason::ExportFailed),
            queue_full: dropped(Reason::QueueFull),
            shutdown: dropped(Reason::Shutdown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_numbers_belong_together() {
        let counts = Counts::default();
        for before in 0..16 {
            assert_eq!(counts.queued(), before);
        }
        counts.exported(8);
        counts.dropped(Reason::ExportFailed, 1);
        counts.dropped(Reason::QueueFull, 2);
        counts.dropped(Reason::Shutdown, 3);
        let expected = Snapshot {
            queued: 2,
            exported: 8,
            export_failed: 1,
            queue_full: 2,
            shutdown: 3,
        };
        let now = counts.snapshot();
        assert_eq!((now, now.dropped()), (expected, 6));
        counts.end();
        let now = counts.snapshot();
        assert_eq!((now.queued, now.shutdown), (0, 5));
        let named: Vec<_> = now.reasons().collect();
        assert_eq!(
            named,
            [("export_failed", 1), ("queue_full", 2), ("shutdown", 5)]
        );
    }
}
