//! How many hear a channel.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::time::timeout;

use crate::connect::{Server, timed_out};
use crate::outbound::Audience;
use crate::shared::Shared;

/// Between two looks whether the others are back.
const PAUSE: Duration = Duration::from_millis(20);

/// Between the channel that all of our nodes hear, and the last of their others.
pub(crate) const BEHIND: Duration = Duration::from_millis(100);

/// How many heard each channel when all was well.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    known: Mutex<HashMap<String, u64>>,
    expected: Mutex<Arc<Expected>>,
    /// Until then some may leave, as they have said.
    fewer: Mutex<Option<Instant>>,
}

/// How many members are to hear a message.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Nodes of ours.
    pub(crate) nodes: u64,
    /// All members that have a namespace.
    pub(crate) namespaces: HashMap<String, u64>,
}

impl Expected {
    /// How many are to hear at least what goes to an audience.
    pub(crate) fn of(&self, audience: &Audience) -> u64 {
        match audience {
            Audience::Namespace(namespace) => {
                self.namespaces.get(&**namespace).copied().unwrap_or(0)
            }
            Audience::Nodes => self.nodes,
            Audience::Some => 0,
        }
    }
}

impl Listeners {
    /// Remembers the counts of now.
    pub(crate) fn remember(&self, counts: HashMap<String, u64>, expected: Expected) {
        *self.known.lock() = counts;
        *self.expected.lock() = Arc::new(expected);
    }

    /// Somebody leaves, and is not to be missed.
    pub(crate) fn expect_fewer(&self, span: Duration) {
        *self.fewer.lock() = Some(Instant::now() + span);
    }

    /// How many are to hear what is sent, if that is known.
    pub(crate) fn expected(&self) -> Option<Arc<Expected>> {
        let mut fewer = self.fewer.lock();
        if fewer.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        *fewer = None;
        Some(Arc::clone(&self.expected.lock()))
    }

    /// One that only publishes counts once, when it has connected: our nodes, which all hear one
    /// channel. If there are none, or they cannot be counted, nothing is known.
    pub(crate) async fn learn(&self, connection: &mut MultiplexedConnection, shared: &Shared) {
        let all = format!("{}-cluster#", shared.config.prefix);
        let channels = [all.as_str()];
        let counted = count(connection, shared.config.mode.is_sharded(), &channels);
        if let Ok(Ok(mut counts)) = timeout(shared.config.connect_timeout, counted).await {
            counts.retain(|_, &mut listeners| listeners > 0);
            // In a cluster other servers know others.
            self.known.lock().extend(counts);
        }
    }

    /// Waits after a reconnect until as many hear as before, but not for ever: what waits in the
    /// queue would reach nobody if it were sent while the others still connect. If nobody is known to
    /// hear on this server, there is `patience`.
    pub(crate) async fn regroup(
        &self,
        server: &Server,
        connection: &mut MultiplexedConnection,
        shared: &Shared,
        patience: Duration,
    ) {
        let mut known = self.known.lock().clone();
        known.retain(|channel, _| shared.serves(server, channel));
        if known.is_empty() {
            tokio::time::sleep(patience).await;
            return;
        }
        let start = Instant::now();
        let limit = shared.config.regroup;
        while start.elapsed() < limit {
            // They may go elsewhere meanwhile.
            known.retain(|channel, _| shared.serves(server, channel));
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            if names.is_empty() {
                return;
            }
            let counted = count(connection, shared.config.mode.is_sharded(), &names);
            match timeout(limit, counted).await {
                Ok(Ok(counts)) => {
                    let is_back = |(name, &before): (&String, &u64)| {
                        counts.get(name).is_some_and(|&now| now >= before)
                    };
                    if known.iter().all(is_back) {
                        if shared.probe().is_none() {
                            // The channels of namespaces and rooms come right behind.
                            tokio::time::sleep(BEHIND).await;
                        }
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

/// Asks all servers how many hear channels, over a connection to each that is kept for that.
#[derive(Default)]
pub(crate) struct Tally {
    connections: HashMap<String, MultiplexedConnection>,
}

impl Tally {
    /// How many connections subscribe each channel, on all servers together.
    pub(crate) async fn count(
        &mut self,
        shared: &Shared,
        channels: &[&str],
    ) -> RedisResult<HashMap<String, u64>> {
        let counted = self.count_all(shared, channels).await;
        if counted.is_err() {
            self.connections.clear();
        }
        counted
    }

    async fn count_all(
        &mut self,
        shared: &Shared,
        channels: &[&str],
    ) -> RedisResult<HashMap<String, u64>> {
        let patience = shared.config.heartbeat_timeout;
        let layout = shared.layouts.known();
        let layout = timeout(patience, layout)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        let is_known = |name: &String| layout.servers.iter().any(|server| server.name == *name);
        self.connections.retain(|name, _| is_known(name));
        for server in &layout.servers {
            if !self.connections.contains_key(&server.name) {
                let settings = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
                let connection = shared.connector.connect(server, settings).await?;
                self.connections.insert(server.name.clone(), connection);
            }
        }
        let is_sharded = shared.config.mode.is_sharded();
        let asked = self.connections.values_mut();
        let asked = asked.map(|connection| count(connection, is_sharded, channels));
        let mut sums: HashMap<String, u64> = HashMap::new();
        for told in join_all(asked).await {
            for (channel, listeners) in told? {
                let sum = sums.entry(channel).or_default();
                *sum = sum.saturating_add(listeners);
            }
        }
        Ok(sums)
    }
}

/// How many connections of one server subscribe each channel.
async fn count(
    connection: &mut MultiplexedConnection,
    is_sharded: bool,
    channels: &[&str],
) -> RedisResult<HashMap<String, u64>> {
    let verb = if is_sharded { "SHARDNUMSUB" } else { "NUMSUB" };
    let mut command = redis::cmd("PUBSUB");
    command.arg(verb).arg(channels);
    command.query_async(connection).await
}
