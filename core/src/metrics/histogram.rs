//! How often something took how long, or was how large.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;

/// Bounds for durations, in nanoseconds: 1-2-5 from 10 µs, below which work is too cheap to matter, to
/// 10 s, above which everybody has given up.
pub const DURATIONS: &[u64] = &[
    10 * MICRO,
    20 * MICRO,
    50 * MICRO,
    100 * MICRO,
    200 * MICRO,
    500 * MICRO,
    MILLI,
    2 * MILLI,
    5 * MILLI,
    10 * MILLI,
    20 * MILLI,
    50 * MILLI,
    100 * MILLI,
    200 * MILLI,
    500 * MILLI,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
];

/// Bounds for numbers of recipients.
pub const SIZES: &[u64] = &[
    0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
];

/// Counts values in buckets. To observe costs two relaxed additions.
///
/// ```
/// use socketio_core::metrics::{DURATIONS, Histogram};
/// use std::time::Duration;
///
/// let took = Histogram::new(DURATIONS);
/// took.observe(Duration::from_millis(3));
/// assert_eq!(took.read().count(), 1);
/// ```
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: what is above the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// For [`DURATIONS`].
impl Default for Histogram {
    fn default() -> Self {
        Self::new(DURATIONS)
    }
}

impl Histogram {
    /// Nothing observed. `bounds` are inclusive and ascending: [`DURATIONS`] or [`SIZES`].
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        self.observe_times(took, 1);
    }

    /// `times` things took so long each, as the messages of a batch.
    pub fn observe_times(&self, took: Duration, times: u64) {
        self.add(nanos(took), times);
    }

    /// Something had this size.
    pub fn observe_size(&self, size: usize) {
        self.add(size as u64, 1);
    }

    fn add(&self, value: u64, times: u64) {
        let index = bucket_of(self.bounds, value);
        self.counts[index].fetch_add(times, Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Relaxed);
    }

    /// What was observed since the start.
    #[must_use]
    pub fn read(&self) -> Observed {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        Observed::new(self.bounds, counts.collect(), self.sum.load(Relaxed))
    }
}

/// Which bucket takes a value: "le" means less or equal. For those who count by themselves.
#[must_use]
pub fn bucket_of(bounds: &[u64], value: u64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a histogram has counted. Durations are in nanoseconds here; the default is that of
/// durations, with nothing counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: u64,
}

impl Default for Observed {
    fn default() -> Self {
        Histogram::default().read()
    }
}

impl Observed {
    /// For those who count by themselves; `counts` has one more than `bounds`.
    #[must_use]
    pub fn new(bounds: &'static [u64], counts: Vec<u64>, sum: u64) -> Self {
        debug_assert_eq!(
            counts.len(),
            bounds.len() + 1,
            "one bucket is above all bounds"
        );
        Self {
            bounds,
            counts,
            sum,
        }
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// All durations together.
    #[must_use]
    pub fn total_time(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The inclusive upper bound of each bucket and how many values are in it alone. The last has no
    /// bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }

    /// The duration that the fraction `quantile` (0 to 1) of all did not exceed, as far as the buckets
    /// tell: the upper bound of the bucket it is in. None if nothing was observed, or it is above all
    /// bounds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bound, count) in self.buckets() {
            seen += count;
            if seen >= wanted {
                return bound.map(Duration::from_nanos);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_what_is_above_them_is_kept() {
        let histogram = Histogram::new(DURATIONS);
        for micros in [10, 11, 700, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let seen = histogram.read();
        let buckets: Vec<_> = seen.buckets().filter(|(_, count)| *count > 0).collect();
        let bounds = [10 * MICRO, 20 * MICRO, MILLI].map(Some);
        assert_eq!(
            buckets,
            [(bounds[0], 1), (bounds[1], 1), (bounds[2], 1), (None, 1)]
        );
        assert_eq!(seen.count(), 4);
        assert_eq!(seen.total_time(), Duration::from_micros(60_000_721));
    }

    #[test]
    fn quantiles_are_bounds() {
        let histogram = Histogram::new(DURATIONS);
        assert_eq!(histogram.read().quantile(0.5), None);
        histogram.observe_times(Duration::from_micros(70), 98);
        histogram.observe_times(Duration::from_micros(900), 1);
        histogram.observe(Duration::from_secs(11));
        let seen = histogram.read();
        assert_eq!(seen.quantile(0.5), Some(Duration::from_micros(100)));
        assert_eq!(seen.quantile(0.99), Some(Duration::from_millis(1)));
        assert_eq!(seen.quantile(1.0), None);
    }

    #[test]
    fn sizes_have_a_bucket_for_nobody() {
        let histogram = Histogram::new(SIZES);
        histogram.observe_size(0);
        histogram.observe_size(1_000_000);
        let seen = histogram.read();
        assert_eq!(seen.buckets().next(), Some((Some(0), 1)));
        assert_eq!(seen.buckets().last(), Some((None, 1)));
        assert_eq!(seen.sum(), 1_000_000);
    }
}
