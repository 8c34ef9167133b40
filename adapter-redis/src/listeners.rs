//! How many hear a channel.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use crate::connect::Server;
use crate::shared::Shared;

/// Between two looks whether the others are back.
const PAUSE: Duration = Duration::from_millis(20);

/// How many heard each channel when all was well.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    known: Mutex<HashMap<String, u64>>,
}

impl Listeners {
    /// Remembers the counts of now.
    pub(crate) fn remember(&self, counts: HashMap<String, u64>) {
        *self.known.lock() = counts;
    }

    /// Waits after a reconnect until as many hear as before, but not for ever: what waits in the
    /// queue would reach nobody if it were sent while the others still connect.
    pub(crate) async fn regroup(
        &self,
        server: &Server,
        connection: &mut MultiplexedConnection,
        shared: &Shared,
    ) {
        let mut known = self.known.lock().clone();
        known.retain(|channel, _| shared.serves(server, channel));
        if known.is_empty() {
            return;
        }
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let start = Instant::now();
        let limit = shared.config.regroup;
        while start.elapsed() < limit {
            let counted = count(connection, shared.config.mode.is_sharded(), &names);
            match timeout(limit, counted).await {
                Ok(Ok(counts)) => {
                    let is_back = |(name, &before): (&String, &u64)| {
                        counts.get(name).is_some_and(|&now| now >= before)
                    };
                    if known.iter().all(is_back) {
                        return;
                    }
                }
                // The user may not be allowed to ask; then there is nothing to wait for.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "listeners cannot be counted");
                    return;
                }
                Err(_) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How many connections of one server subscribe each channel.
pub(crate) async fn count(
    connection: &mut MultiplexedConnection,
    is_sharded: bool,
    channels: &[&str],
) -> RedisResult<HashMap<String, u64>> {
    let verb = if is_sharded { "SHARDNUMSUB" } else { "NUMSUB" };
    let mut command = redis::cmd("PUBSUB");
    command.arg(verb).arg(channels);
    command.query_async(connection).await
}
