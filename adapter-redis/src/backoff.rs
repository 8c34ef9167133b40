//! How long to wait between attempts to connect.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use redis::RedisError;

use crate::config::RedisConfig;

/// Waits that double up to a bound, with something added by chance so that not all nodes knock at
/// the same instant. It never ends.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    current: ExponentialBackoff,
    failures: u32,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(config.backoff_min)
            .with_max_delay(config.backoff_max.max(config.backoff_min))
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            current: builder.build(),
            failures: 0,
            longest: config.backoff_max,
        }
    }

    /// Tells the log why something failed, more and more seldom if it goes on.
    pub(crate) fn log(&mut self, error: &RedisError, what: &'static str) {
        self.failures = self.failures.saturating_add(1);
        let failures = self.failures;
        if failures.is_power_of_two() {
            tracing::warn!(%error, failures, "{what}");
        } else {
            tracing::debug!(%error, failures, "{what}");
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.current.next().unwrap_or(self.longest)
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.current = self.builder.build();
        self.failures = 0;
    }
}
