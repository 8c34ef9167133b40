//! Counters of the hot paths, spread over stripes so that threads do not fight for a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use socketio_core::metrics::{DURATIONS, Observed, SIZES, bucket_of};

/// A power of two, and more than the worker threads of most nodes.
const STRIPES: usize = 16;
const HOT: usize = 4;
const HISTOGRAMS: usize = 3;
/// Of the histogram with the most bounds.
const BUCKETS: usize = DURATIONS.len() + 1;

/// Which hot counter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hot {
    BytesIn,
    BytesOut,
    EventsIn,
    EventsOut,
}

/// Which histogram.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HistogramKind {
    /// Time spent in one handler.
    Handler,
    /// Time to queue one broadcast for all its local recipients.
    FanOut,
    /// Local recipients of one broadcast.
    Recipients,
}

impl HistogramKind {
    fn bounds(self) -> &'static [u64] {
        match self {
            Self::Handler | Self::FanOut => DURATIONS,
            Self::Recipients => SIZES,
        }
    }
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
    sum: AtomicU64,
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

    pub(super) fn observe_time(&self, histogram: HistogramKind, took: Duration) {
        self.observe(
            histogram,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    pub(super) fn observe(&self, histogram: HistogramKind, value: u64) {
        let buckets = &self.own().histograms[histogram as usize];
        let index = bucket_of(histogram.bounds(), value);
        buckets.counts[index].fetch_add(1, Relaxed);
        buckets.sum.fetch_add(value, Relaxed);
    }

    /// Summed over all stripes.
    pub(super) fn observed(&self, histogram: HistogramKind) -> Observed {
        let bounds = histogram.bounds();
        let (mut counts, mut sum) = (vec![0; bounds.len() + 1], 0_u64);
        for stripe in &self.0 {
            let buckets = &stripe.histograms[histogram as usize];
            sum = sum.wrapping_add(buckets.sum.load(Relaxed));
            for (total, count) in counts.iter_mut().zip(&buckets.counts) {
                *total += count.load(Relaxed);
            }
        }
        Observed::new(bounds, counts, sum)
    }
}
