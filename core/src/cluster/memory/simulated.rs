//! Links that delay, lose and repeat, by seed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use super::Delivery;
use crate::ids::NodeId;

/// How the links of a simulated [`MemoryBus`](super::MemoryBus) behave.
///
/// As with real carriers, what arrives of one link arrives in order, unless
/// [`reordering`](Self::reordering) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// The shortest time a message takes.
    pub min_latency: Duration,
    /// The longest time a message takes.
    pub max_latency: Duration,
    /// The share of messages that get lost, from 0 to 1.
    pub loss: f64,
    /// The share of messages that arrive twice, from 0 to 1.
    pub duplication: f64,
    /// The share of messages that may overtake others or be overtaken, from 0 to 1.
    pub reordering: f64,
}

impl Default for Link {
    /// One millisecond, nothing lost, nothing repeated.
    fn default() -> Self {
        Self {
            min_latency: Duration::from_millis(1),
            max_latency: Duration::from_millis(1),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
        }
    }
}

pub(super) struct Simulated {
    link: Link,
    now: Instant,
    rng: Rng,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    sent: u64,
    /// When the last delivery of each link is due: later ones do not overtake it.
    busy_until: HashMap<(NodeId, NodeId), Instant>,
    /// Nodes that are not here form a group of their own.
    groups: HashMap<NodeId, usize>,
}

/// Ordered by time, then by number.
struct InFlight {
    at: Instant,
    number: u64,
    delivery: Delivery,
}

impl Simulated {
    pub(super) fn new(link: Link, seed: u64, now: Instant) -> Self {
        Self {
            link,
            now,
            rng: Rng(seed),
            in_flight: BinaryHeap::new(),
            sent: 0,
            busy_until: HashMap::new(),
            groups: HashMap::new(),
        }
    }

    pub(super) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    pub(super) fn send(&mut self, delivery: &Delivery) {
        // The dice are thrown for every message, so that one seed means one fate for the n-th
        // message, whatever happened to the earlier ones.
        let lost = self.rng.unit() < self.link.loss;
        let copies = 1 + u8::from(self.rng.unit() < self.link.duplication);
        let latencies = [self.rng.unit(), self.rng.unit()];
        let in_order = self.link.reordering == 0.0 || self.rng.unit() >= self.link.reordering;
        if lost || !self.connected(delivery) {
            return;
        }
        let spread = self.link.max_latency.saturating_sub(self.link.min_latency);
        for share in latencies.iter().take(copies.into()) {
            let latency = self.link.min_latency + spread.mul_f64(*share);
            let link = (delivery.from.clone(), delivery.to.clone());
            let busy_until = self.busy_until.entry(link).or_insert(self.now);
            let mut at = self.now + latency;
            if in_order {
                at = at.max(*busy_until);
                *busy_until = at;
            }
            self.in_flight.push(Reverse(InFlight {
                at,
                number: self.sent,
                delivery: delivery.clone(),
            }));
            self.sent += 1;
        }
    }

    /// Takes the next delivery due by `now`; moves the time to it, or to `now` if there is none.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Delivery> {
        loop {
            let due = self.next_delivery().is_some_and(|at| at <= now);
            let flight = due.then(|| self.in_flight.pop()).flatten();
            let Some(Reverse(flight)) = flight else {
                self.now = self.now.max(now);
                return None;
            };
            self.now = self.now.max(flight.at);
            // A partition also stops what is on its way.
            if self.connected(&flight.delivery) {
                return Some(flight.delivery);
            }
        }
    }

    pub(super) fn next_delivery(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(flight)| flight.at)
    }

    pub(super) fn partition(&mut self, groups: &[&[NodeId]]) {
        self.groups.clear();
        for (group, nodes) in groups.iter().enumerate() {
            let named = nodes.iter().map(|node| (node.clone(), group));
            self.groups.extend(named);
        }
    }

    fn connected(&self, delivery: &Delivery) -> bool {
        self.groups.get(&delivery.from) == self.groups.get(&delivery.to)
    }
}

impl InFlight {
    fn rank(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The SplitMix64 generator: small, and good enough for dice.
struct Rng(u64);

impl Rng {
    /// A number from 0 up to, but not, 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what the mantissa holds.
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}
