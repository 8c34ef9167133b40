use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::cluster::laws::{self, Fixture, block_on};
use crate::cluster::{Adapter, BoxFuture, Operation};

/// Adapters of one immediate bus: nothing has to be waited for.
struct Immediate(MemoryBus);

impl Fixture for Immediate {
    fn adapter(&self) -> Arc<dyn Adapter> {
        self.0.adapter()
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Adapters of a simulated bus, whose time passes while the laws wait.
struct Simulation(MemoryBus, Mutex<Instant>);

impl Fixture for Simulation {
    fn adapter(&self) -> Arc<dyn Adapter> {
        self.0.adapter()
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut now = self.1.lock();
            *now += Duration::from_millis(1);
            self.0.advance(*now);
        })
    }
}

#[test]
fn an_immediate_bus_keeps_the_laws() {
    block_on(laws::all(|| Immediate(MemoryBus::immediate())));
}

#[test]
fn a_simulated_bus_keeps_the_laws_in_spite_of_its_latency() {
    let link = Link {
        max_latency: Duration::from_millis(50),
        ..Link::default()
    };
    for seed in 0..20 {
        block_on(laws::all(|| {
            let now = Instant::now();
            Simulation(MemoryBus::simulated(link, seed, now), Mutex::new(now))
        }));
    }
}

/// Notes the numbers that arrive.
struct Log {
    node: NodeId,
    numbers: Mutex<Vec<u64>>,
}

impl ClusterHandler for Log {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn on_message(&self, message: ClusterMessage) {
        self.numbers.lock().extend(message.sequence);
    }

    fn on_response(&self, _: ClusterResponse) {}
}

struct Pair {
    bus: MemoryBus,
    start: Instant,
    sender: Arc<MemoryAdapter>,
    receiver: Arc<Log>,
}

impl Pair {
    fn new(link: Link, seed: u64) -> Self {
        let start = Instant::now();
        let bus = MemoryBus::simulated(link, seed, start);
        let receiver = Self::connect(&bus, "receiver").1;
        let sender = Self::connect(&bus, "sender").0;
        Self {
            bus,
            start,
            sender,
            receiver,
        }
    }

    fn connect(bus: &MemoryBus, name: &str) -> (Arc<MemoryAdapter>, Arc<Log>) {
        let node = NodeId::from(name);
        let log = Arc::new(Log {
            node,
            numbers: Mutex::default(),
        });
        let adapter = bus.adapter();
        block_on(adapter.start(Arc::clone(&log) as _)).unwrap();
        (adapter, log)
    }

    fn send(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let message = ClusterMessage {
                node: NodeId::from("sender"),
                namespace: "/".into(),
                sequence: Some(number),
                trace: None,
                operation: Operation::Heartbeat,
            };
            self.sender.publish(&message).unwrap();
        }
    }

    fn received(&self) -> Vec<u64> {
        std::mem::take(&mut *self.receiver.numbers.lock())
    }
}

#[test]
fn a_message_takes_its_latency() {
    let latency = Duration::from_millis(20);
    let link = Link {
        min_latency: latency,
        max_latency: latency,
        ..Link::default()
    };
    let pair = Pair::new(link, 0);
    pair.send(1..2);
    assert_eq!(pair.bus.next_delivery(), Some(pair.start + latency));
    pair.bus
        .advance(pair.start + latency - Duration::from_nanos(1));
    assert!(pair.received().is_empty());
    pair.bus.advance(pair.start + latency);
    assert_eq!(pair.received(), [1]);
}

#[test]
fn a_seed_gives_one_fate() {
    let link = Link {
        max_latency: Duration::from_millis(100),
        loss: 0.3,
        duplication: 0.3,
        ..Link::default()
    };
    let run = |seed| {
        let pair = Pair::new(link, seed);
        pair.send(0..1000);
        pair.bus.advance(pair.start + Duration::from_secs(1));
        pair.received()
    };
    let numbers = run(7);
    assert_eq!(numbers, run(7));
    assert_ne!(numbers, run(8));
    let mut distinct = numbers.clone();
    distinct.dedup();
    assert!((600..800).contains(&distinct.len()), "{}", distinct.len());
    let copies = numbers.len() - distinct.len();
    assert!((150..270).contains(&copies), "{copies}");
    assert!(numbers.is_sorted(), "a link keeps the order");
}

#[test]
fn a_partition_stops_also_what_is_on_its_way_until_it_heals() {
    let pair = Pair::new(Link::default(), 0);
    pair.send(1..2);
    pair.bus.partition(&[&[NodeId::from("sender")]]);
    pair.send(2..3);
    pair.bus.advance(pair.start + Duration::from_secs(1));
    assert!(pair.received().is_empty());
    pair.bus.partition(&[]);
    pair.send(3..4);
    pair.bus.advance(pair.start + Duration::from_secs(2));
    assert_eq!(pair.received(), [3]);
}

#[test]
fn a_killed_node_hears_nothing_and_is_not_heard() {
    let pair = Pair::new(Link::default(), 0);
    pair.send(1..2);
    pair.bus.kill(&pair.receiver.node);
    pair.bus.advance(pair.start + Duration::from_secs(1));
    assert!(pair.received().is_empty());
    assert!(pair.sender.is_alone());

    let pair = Pair::new(Link::default(), 0);
    pair.send(1..2);
    pair.bus.kill(&NodeId::from("sender"));
    pair.send(2..3);
    pair.bus.advance(pair.start + Duration::from_secs(1));
    assert_eq!(pair.received(), [1], "what was on its way");
}

/// Panics at the first message.
struct Fragile(NodeId, Mutex<u32>);

impl ClusterHandler for Fragile {
    fn node(&self) -> &NodeId {
        &self.0
    }

    fn on_message(&self, _: ClusterMessage) {
        let mut calls = self.1.lock();
        *calls += 1;
        assert!(*calls > 1, "the first call fails on purpose");
    }

    fn on_response(&self, _: ClusterResponse) {}
}

#[test]
fn a_handler_that_panics_does_not_stop_the_bus() {
    let bus = MemoryBus::immediate();
    let fragile = Arc::new(Fragile(NodeId::from("b"), Mutex::default()));
    let receiver = bus.adapter();
    block_on(receiver.start(Arc::clone(&fragile) as _)).unwrap();
    let (sender, _) = Pair::connect(&bus, "a");
    let message = ClusterMessage {
        node: NodeId::from("a"),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation: Operation::Heartbeat,
    };
    let publish = std::panic::AssertUnwindSafe(|| sender.publish(&message));
    assert!(std::panic::catch_unwind(publish).is_err());
    sender.publish(&message).unwrap();
    assert_eq!(*fragile.1.lock(), 2);
}
