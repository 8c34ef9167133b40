//! A bus that joins the nodes of one process.

mod adapter;
mod simulated;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::{ClusterHandler, ClusterMessage, ClusterResponse};
use crate::ids::NodeId;
use simulated::Simulated;

pub use adapter::MemoryAdapter;
pub use simulated::Link;

/// Joins any number of nodes in one process.
///
/// [`immediate`](Self::immediate) delivers at once, for single nodes and for tests with real
/// servers. [`simulated`](Self::simulated) delivers when [`advance`](Self::advance) says that the
/// time has come, over links that delay, lose and repeat messages; the same seed and the same
/// calls give the same run.
///
/// ```
/// use socketio_core::cluster::{Adapter, MemoryBus};
///
/// let bus = MemoryBus::immediate();
/// let adapter = bus.adapter();
/// assert!(adapter.is_alone());
/// ```
#[derive(Clone)]
pub struct MemoryBus {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    nodes: BTreeMap<NodeId, Arc<dyn ClusterHandler>>,
    mode: Mode,
}

enum Mode {
    /// Deliveries wait here only while another one is being made, so that a handler that publishes
    /// does not call itself, and all see one order.
    Immediate {
        queue: VecDeque<Delivery>,
        delivering: bool,
    },
    Simulated(Box<Simulated>),
}

/// What is under way to one node.
#[derive(Debug, Clone)]
struct Delivery {
    from: NodeId,
    to: NodeId,
    item: Item,
}

#[derive(Debug, Clone)]
enum Item {
    Message(ClusterMessage),
    Response(ClusterResponse),
}

impl Delivery {
    /// Not under any lock: handlers publish.
    fn make(self, handler: Option<Arc<dyn ClusterHandler>>) {
        let Some(handler) = handler else { return };
        match self.item {
            Item::Message(message) => handler.on_message(message),
            Item::Response(response) => handler.on_response(response),
        }
    }
}

impl MemoryBus {
    /// A bus that delivers at once, in the thread that publishes.
    #[must_use]
    pub fn immediate() -> Self {
        Self::new(Mode::Immediate {
            queue: VecDeque::new(),
            delivering: false,
        })
    }

    /// A bus whose messages travel over links like `link`.
    #[must_use]
    pub fn simulated(link: Link, seed: u64, now: Instant) -> Self {
        Self::new(Mode::Simulated(Box::new(Simulated::new(link, seed, now))))
    }

    fn new(mode: Mode) -> Self {
        let nodes = BTreeMap::new();
        Self {
            shared: Arc::new(Mutex::new(Shared { nodes, mode })),
        }
    }

    /// The end of the bus for one more node.
    #[must_use]
    pub fn adapter(&self) -> Arc<MemoryAdapter> {
        Arc::new(MemoryAdapter::new(self.clone()))
    }

    /// Lets the time of a simulated bus pass, and makes the deliveries that are due, in the calling
    /// thread. What the handlers publish meanwhile is delivered too if it is due by `now`.
    pub fn advance(&self, now: Instant) {
        loop {
            let mut shared = self.shared.lock();
            let Mode::Simulated(simulated) = &mut shared.mode else {
                return;
            };
            let Some(delivery) = simulated.next_due(now) else {
                return;
            };
            let handler = shared.nodes.get(&delivery.to).cloned();
            drop(shared);
            delivery.make(handler);
        }
    }

    /// When the next delivery of a simulated bus is due.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Instant> {
        match &self.shared.lock().mode {
            Mode::Immediate { .. } => None,
            Mode::Simulated(simulated) => simulated.next_delivery(),
        }
    }

    /// Splits the nodes of a simulated bus: only nodes of one group hear each other. Nodes that
    /// are not named form a group of their own. An empty list heals the bus.
    pub fn partition(&self, groups: &[&[NodeId]]) {
        if let Mode::Simulated(simulated) = &mut self.shared.lock().mode {
            simulated.partition(groups);
        }
    }

    /// Changes the links of a simulated bus for what is sent from now on.
    pub fn set_link(&self, link: Link) {
        if let Mode::Simulated(simulated) = &mut self.shared.lock().mode {
            simulated.set_link(link);
        }
    }

    /// Removes a node without a farewell, as a crash does: it neither hears nor is heard any more.
    pub fn kill(&self, node: &NodeId) {
        self.shared.lock().nodes.remove(node);
    }

    fn send(&self, from: &NodeId, to: Option<&NodeId>, item: &Item) {
        let mut guard = self.shared.lock();
        let shared = &mut *guard;
        if !shared.nodes.contains_key(from) {
            // Killed, and does not know it.
            return;
        }
        let receivers: Vec<NodeId> = match to {
            Some(to) => shared
                .nodes
                .contains_key(to)
                .then(|| to.clone())
                .into_iter()
                .collect(),
            None => shared
                .nodes
                .keys()
                .filter(|n| *n != from)
                .cloned()
                .collect(),
        };
        for to in receivers {
            let delivery = Delivery {
                from: from.clone(),
                to,
                item: item.clone(),
            };
            match &mut shared.mode {
                Mode::Immediate { queue, .. } => queue.push_back(delivery),
                Mode::Simulated(simulated) => simulated.send(&delivery),
            }
        }
        drop(guard);
        self.deliver_queued();
    }

    /// Makes the queued deliveries of an immediate bus, unless somebody is doing so already.
    fn deliver_queued(&self) {
        let mut turn = Turn {
            bus: self,
            taken: false,
        };
        loop {
            let mut shared = self.shared.lock();
            let Mode::Immediate { queue, delivering } = &mut shared.mode else {
                return;
            };
            if *delivering && !turn.taken {
                return;
            }
            let next = queue.pop_front();
            // Under the lock of the check above, so that nothing is left behind.
            *delivering = next.is_some();
            turn.taken = next.is_some();
            let Some(delivery) = next else { return };
            let handler = shared.nodes.get(&delivery.to).cloned();
            drop(shared);
            delivery.make(handler);
        }
    }
}

/// The turn to deliver, which is given up also when a handler panics.
struct Turn<'a> {
    bus: &'a MemoryBus,
    taken: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.taken
            && let Mode::Immediate { delivering, .. } = &mut self.bus.shared.lock().mode
        {
            *delivering = false;
        }
    }
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<NodeId> = self.shared.lock().nodes.keys().cloned().collect();
        f.debug_struct("MemoryBus").field("nodes", &nodes).finish()
    }
}

#[cfg(test)]
mod tests;
