//! How long to wait between attempts to connect.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::config::RedisConfig;

/// Waits that double up to a bound, with something added by chance so that not all nodes knock at
/// the same instant. It never ends.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    current: ExponentialBackoff,
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
            longest: config.backoff_max,
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.current.next().unwrap_or(self.longest)
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.current = self.builder.build();
    }
}
