//! Counters of the hot paths, spread over stripes so that threads do not fight for a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// A power of two, and more than the worker threads of most nodes.
const STRIPES: usize = 16;
const HOT: usize = 4;
const HISTOGRAMS: usize = 2;

/// Upper bounds in microseconds: below the first, work is too cheap to matter; above the last, a
/// client has given up. Two per decade keep the page short.
pub(super) const BOUNDS_MICROS: [u64; 13] = [
    10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
    10_000_000,
];
const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Which hot counter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hot {
    BytesIn,
    BytesOut,
    EventsIn,
    EventsOut,
}

/// Which histogram of durations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HistogramKind {
    /// Time spent in one handler.
    Handler,
    /// Time to queue one broadcast for all its local recipients.
    FanOut,
}

#[derive(Debug)]
pub(super) struct Stripes([Stripe; STRIPES]);

/// Two cache lines apart, because adjacent lines are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    hot: [AtomicU64; HOT],
    histograms: [Buckets; HISTOGRAMS],
}

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// A histogram summed over all stripes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Observed {
    pub(super) counts: [u64; BUCKETS],
    pub(super) nanos: u64,
}

thread_local! {
    static INDEX: Cell<usize> = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Cell::new(NEXT.fetch_add(1, Relaxed) % STRIPES)
    };
}

impl Default for Stripes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Stripe::default()))
    }
}

impl Stripes {
    fn own(&self) -> &Stripe {
        // `try_with` fails only while the thread is being torn down; any stripe is right then.
        &self.0[INDEX.try_with(Cell::get).unwrap_or(0)]
    }

    pub(super) fn add(&self, counter: Hot, value: u64) {
        self.own().hot[counter as usize].fetch_add(value, Relaxed);
    }

    pub(super) fn sum(&self, counter: Hot) -> u64 {
        let cells = self.0.iter().map(|stripe| &stripe.hot[counter as usize]);
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }

    pub(super) fn observe(&self, histogram: HistogramKind, took: Duration) {
        let buckets = &self.own().histograms[histogram as usize];
        // Inclusive bounds: "le" means less or equal.
        let index = BOUNDS_MICROS.partition_point(|bound| Duration::from_micros(*bound) < took);
        buckets.counts[index].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        buckets.nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn observed(&self, histogram: HistogramKind) -> Observed {
        let mut sum = Observed::default();
        for stripe in &self.0 {
            let buckets = &stripe.histograms[histogram as usize];
            sum.nanos = sum.nanos.wrapping_add(buckets.nanos.load(Relaxed));
            for (total, count) in sum.counts.iter_mut().zip(&buckets.counts) {
                *total += count.load(Relaxed);
            }
        }
        sum
    }
}
