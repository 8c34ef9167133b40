//! Counts the members that are not ours.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redis::RedisResult;
use tokio::time::sleep;

use crate::inbound::{Inbound, InboundQueue};
use crate::interests::Interests;
use crate::listeners::{Expected, Tally};
use crate::route::Routes;
use crate::shared::Shared;

/// Before a number that has grown is believed: one of our nodes that comes or goes is counted on
/// two channels, not quite at the same time.
const DOUBT: Duration = Duration::from_millis(30);

/// How many foreign members hear each namespace.
#[derive(Debug, Default)]
pub(crate) struct Foreign(RwLock<HashMap<String, usize>>);

impl Foreign {
    pub(crate) fn of(&self, namespace: &str) -> usize {
        self.0.read().get(namespace).copied().unwrap_or(0)
    }

    /// Takes new counts over, and says which have changed.
    fn update(&self, counts: HashMap<String, usize>) -> Vec<(String, usize)> {
        let mut known = self.0.write();
        let changed = counts
            .iter()
            .filter(|(namespace, count)| known.get(*namespace).copied().unwrap_or(0) != **count);
        // Those of a namespace that was closed are gone too.
        let closed = known
            .iter()
            .filter(|(namespace, count)| **count > 0 && !counts.contains_key(*namespace));
        let closed = closed.map(|(namespace, _)| (namespace, &0));
        let changed = changed
            .chain(closed)
            .map(|(namespace, &count)| (namespace.clone(), count));
        let changed = changed.collect();
        *known = counts;
        changed
    }

    fn has_grown(&self, counts: &HashMap<String, usize>) -> bool {
        let known = self.0.read();
        let known = |namespace| known.get(namespace).copied().unwrap_or(0);
        counts
            .iter()
            .any(|(namespace, &count)| count > known(namespace))
    }
}

/// The task that counts.
pub(crate) struct Census {
    pub(crate) shared: Arc<Shared>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) interests: Arc<Interests>,
    pub(crate) foreign: Arc<Foreign>,
    pub(crate) inbound: Arc<InboundQueue>,
}

impl Census {
    pub(crate) async fn run(self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = self.keep_counting() => {}
        }
    }

    async fn keep_counting(self) {
        let mut tally = Tally::default();
        // Before, nobody could answer.
        self.shared.subscribed().await;
        loop {
            if let Err(error) = self.look(&mut tally).await {
                tracing::debug!(%error, "members cannot be counted");
            }
            tokio::select! {
                () = sleep(self.shared.config.count_interval) => {}
                // All that comes to be known at once is counted once.
                () = self.shared.recount.notified() => sleep(DOUBT).await,
            }
        }
    }

    async fn look(&self, tally: &mut Tally) -> RedisResult<()> {
        let mut counts = self.count(tally).await?;
        if self.foreign.has_grown(&counts) {
            sleep(DOUBT).await;
            let again = self.count(tally).await?;
            for (namespace, count) in &mut counts {
                *count = (*count).min(again.get(namespace).copied().unwrap_or(0));
            }
        }
        for (namespace, count) in self.foreign.update(counts) {
            self.inbound.tell(Inbound::Foreign { namespace, count });
        }
        Ok(())
    }

    /// Foreign members of each namespace, as the servers tell at this moment.
    async fn count(&self, tally: &mut Tally) -> RedisResult<HashMap<String, usize>> {
        let namespaces = self.interests.namespaces();
        let counted: Vec<_> = namespaces
            .iter()
            .map(|name| self.routes.counted(name))
            .collect();
        let mut channels: Vec<&str> = vec![self.routes.all()];
        for pair in &counted {
            channels.extend([pair.all.as_str(), pair.ours.as_str()]);
        }
        let sums = tally.count(&self.shared, &channels).await?;
        let sum = |channel: &str| sums.get(channel).copied().unwrap_or(0);
        let mut expected = Expected {
            nodes: sum(self.routes.all()),
            namespaces: HashMap::new(),
        };
        let mut counts = HashMap::new();
        for (namespace, pair) in namespaces.into_iter().zip(&counted) {
            let all = sum(&pair.all);
            expected.namespaces.insert(namespace.clone(), all);
            let foreign = all.saturating_sub(sum(&pair.ours));
            counts.insert(namespace, usize::try_from(foreign).unwrap_or(usize::MAX));
        }
        if self.shared.counters.is_up() {
            self.shared.listeners.remember(sums, expected);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_namespace_that_is_closed_are_gone() {
        let foreign = Foreign::default();
        let counts = |counts: &[(&str, usize)]| -> HashMap<String, usize> {
            let named = counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count));
            named.collect()
        };
        let mut changed = foreign.update(counts(&[("/", 1), ("/a", 2), ("/b", 0)]));
        changed.sort();
        assert_eq!(changed, [("/".to_owned(), 1), ("/a".to_owned(), 2)]);
        assert_eq!(foreign.update(counts(&[("/", 1)])), [("/a".to_owned(), 0)]);
        assert_eq!(foreign.of("/a"), 0);
        assert_eq!(foreign.update(counts(&[("/", 1), ("/a", 0)])), []);
    }
}
