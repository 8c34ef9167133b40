//! Room counts of several nodes on a bus that loses, repeats, reorders and splits: whatever
//! happened, a while after it all nodes agree with the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proptest::prelude::*;
use socketio_core::cluster::{
    Adapter, ClusterHandler, ClusterMessage, ClusterResponse, Link, MemberEvent, Members,
    MembersConfig, MemoryAdapter, MemoryBus, Occupancy, OccupancyConfig, OccupancyEvent, Operation,
};
use socketio_core::ids::{NodeId, Room};

const STEP: Duration = Duration::from_millis(10);
const ROOMS: u8 = 5;

struct Node {
    id: NodeId,
    adapter: Arc<MemoryAdapter>,
    state: Mutex<State>,
}

struct State {
    now: Instant,
    members: Members,
    occupancy: Occupancy,
    sequence: u64,
    /// The truth, and what of it changed.
    rooms: BTreeMap<u8, u64>,
    changed: BTreeSet<u8>,
    /// By the notices.
    occupied: BTreeSet<String>,
    told: usize,
}

impl Node {
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut publish = Vec::new();
        {
            let state = &mut *self.state.lock();
            change(state);
            let now = state.now;
            while let Some(event) = state.members.poll_event() {
                match event {
                    MemberEvent::SendHeartbeat => {
                        publish.push(Operation::Heartbeat);
                        state.occupancy.handle_heartbeat(now);
                    }
                    MemberEvent::SendInitialHeartbeat => {
                        publish.push(Operation::InitialHeartbeat);
                        state.occupancy.handle_heartbeat(now);
                    }
                    MemberEvent::Joined(node) => state.occupancy.handle_joined(now, &node),
                    MemberEvent::Left(node) => state.occupancy.handle_left(&node),
                    _ => {}
                }
            }
            while let Some(event) = state.occupancy.poll_event() {
                match event {
                    OccupancyEvent::Publish(news) => {
                        state.told += 1;
                        publish.push(Operation::Rooms(news));
                    }
                    OccupancyEvent::Occupied { room, .. } => {
                        assert!(state.occupied.insert(room.to_string()), "{room} twice");
                    }
                    OccupancyEvent::Vacated { room, .. } => {
                        assert!(state.occupied.remove(room.as_str()), "{room} twice");
                    }
                    _ => unreachable!("no other events"),
                }
            }
        }
        for operation in publish {
            self.publish(operation);
        }
    }

    fn publish(&self, operation: Operation) {
        let sequence = {
            let mut state = self.state.lock();
            state.sequence += 1;
            state.sequence
        };
        let message = ClusterMessage {
            node: self.id.clone(),
            namespace: "/".into(),
            sequence: Some(sequence),
            trace: None,
            operation,
        };
        self.adapter.publish(&message).expect("the node is started");
    }

    fn tick(&self, now: Instant) {
        self.update(|state| {
            state.now = now;
            state.members.handle_timeout(now);
            state.occupancy.handle_timeout(now);
            if state.occupancy.wants_changes(now) {
                let changed = std::mem::take(&mut state.changed);
                let counts = changed.iter().map(|room| {
                    let count = state.rooms.get(room).copied().unwrap_or(0);
                    (Room::from(u32::from(*room)), count)
                });
                let sockets = state.rooms.values().sum();
                state.occupancy.handle_own("/", sockets, counts);
                state.occupancy.handle_gathered(now);
            }
        });
    }

    fn set(&self, room: u8, count: u64) {
        let mut state = self.state.lock();
        state.rooms.insert(room, count);
        state.changed.insert(room);
        let now = state.now;
        state.occupancy.handle_change(now);
    }

    fn count(&self, room: u8) -> u64 {
        let state = self.state.lock();
        let own = state.rooms.get(&room).copied().unwrap_or(0);
        own + state.occupancy.others_in_room("/", &room.to_string())
    }
}

impl ClusterHandler for Node {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, message: ClusterMessage) {
        self.update(|state| {
            let now = state.now;
            let fresh = state.members.handle_message(now, &message);
            // Joined, if this is the heartbeat that says so, is handled after this.
            if let Operation::Rooms(news) = message.operation
                && fresh
            {
                state.occupancy.handle_news(now, &message.node, news);
            }
        });
    }

    fn on_response(&self, _: ClusterResponse) {}
}

struct World {
    bus: MemoryBus,
    nodes: Vec<Arc<Node>>,
    now: Instant,
    started: usize,
}

impl World {
    fn new(count: usize, link: Link, seed: u64) -> Self {
        let now = Instant::now();
        let mut world = Self {
            bus: MemoryBus::simulated(link, seed, now),
            nodes: Vec::new(),
            now,
            started: 0,
        };
        (0..count).for_each(|_| world.start());
        world
    }

    fn start(&mut self) {
        self.started += 1;
        let id = NodeId::from(format!("node {}", self.started));
        let mut occupancy = Occupancy::new(id.clone(), OccupancyConfig::default());
        occupancy.enable_notices();
        let node = Arc::new(Node {
            id: id.clone(),
            adapter: self.bus.adapter(),
            state: Mutex::new(State {
                now: self.now,
                members: Members::new(id, MembersConfig::default(), self.now),
                occupancy,
                sequence: 0,
                rooms: BTreeMap::new(),
                changed: BTreeSet::new(),
                occupied: BTreeSet::new(),
                told: 0,
            }),
        });
        let mut start = node.adapter.start(Arc::clone(&node) as _);
        let polled = start.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
        drop(start);
        node.update(|_| ());
        self.nodes.push(node);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.bus.advance(self.now);
            for node in &self.nodes {
                node.tick(self.now);
            }
        }
    }

    /// Says what a node gets wrong.
    fn disagreement(&self) -> Option<String> {
        for node in &self.nodes {
            let state = node.state.lock();
            let unknown: Vec<_> = state.occupancy.unknown().collect();
            if state.members.count() != self.nodes.len() || !unknown.is_empty() {
                let count = state.members.count();
                return Some(format!("{}: {count} members, unknown {unknown:?}", node.id));
            }
        }
        for room in 0..ROOMS {
            let of = |node: &Arc<Node>| node.state.lock().rooms.get(&room).copied().unwrap_or(0);
            let truth: u64 = self.nodes.iter().map(of).sum();
            for node in &self.nodes {
                let count = node.count(room);
                let occupied = node.state.lock().occupied.contains(&room.to_string());
                if count != truth || occupied != (truth > 0) {
                    let id = &node.id;
                    return Some(format!("{id}: {count} ({occupied}) in {room}, not {truth}"));
                }
            }
        }
        None
    }
}

#[derive(Debug, Clone)]
enum Act {
    Set(prop::sample::Index, u8, u64),
    Run(u16),
    Crash(prop::sample::Index),
    Start,
    Split(prop::sample::Index),
    Heal,
}

fn act() -> impl Strategy<Value = Act> {
    let node = any::<prop::sample::Index>;
    prop_oneof![
        10 => (node(), 0..ROOMS, 0..3u64).prop_map(|(node, room, count)| Act::Set(node, room, count)),
        6 => (1..40u16).prop_map(Act::Run),
        1 => (200..1500u16).prop_map(Act::Run),
        1 => node().prop_map(Act::Crash),
        1 => Just(Act::Start),
        1 => node().prop_map(Act::Split),
        1 => Just(Act::Heal),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    (0.0..0.4, 0.0..0.4, 0.0..0.4, 1..120u64).prop_map(
        |(loss, duplication, reordering, latency)| Link {
            min_latency: Duration::from_millis(1),
            max_latency: Duration::from_millis(latency),
            loss,
            duplication,
            reordering,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_nodes_come_to_agree_with_the_truth(
        seed: u64,
        link in link(),
        count in 2..5usize,
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::new(count, link, seed);
        for act in acts {
            match act {
                Act::Set(node, room, count) => {
                    let node = node.index(world.nodes.len());
                    world.nodes[node].set(room, count);
                }
                Act::Run(steps) => world.run(STEP * u32::from(steps)),
                Act::Crash(node) if world.nodes.len() > 1 => {
                    let node = world.nodes.remove(node.index(world.nodes.len()));
                    world.bus.kill(&node.id);
                }
                Act::Start if world.nodes.len() < 5 => world.start(),
                Act::Split(node) => {
                    let node = &world.nodes[node.index(world.nodes.len())];
                    world.bus.partition(&[std::slice::from_ref(&node.id)]);
                }
                Act::Heal => world.bus.partition(&[]),
                Act::Crash(_) | Act::Start => {}
            }
        }
        world.bus.partition(&[]);
        world.bus.set_link(Link::default());
        // The dead are forgotten, and everybody has sent a digest.
        let MembersConfig { heartbeat_interval, heartbeat_timeout } = MembersConfig::default();
        world.run(heartbeat_timeout + heartbeat_interval + Duration::from_secs(3));
        prop_assert_eq!(world.disagreement(), None);
    }
}

#[test]
fn also_while_messages_are_lost_all_agree_after_a_while() {
    for seed in 0..10 {
        let link = Link {
            loss: 0.2,
            duplication: 0.2,
            reordering: 0.2,
            max_latency: Duration::from_millis(80),
            ..Link::default()
        };
        let mut world = World::new(4, link, seed);
        for round in 0..40u8 {
            for (at, node) in world.nodes.iter().enumerate() {
                node.set((round + at as u8) % ROOMS, u64::from(round % 3));
            }
            world.run(Duration::from_millis(40));
        }
        let start = world.now;
        while let Some(disagreement) = world.disagreement() {
            assert!(
                world.now < start + Duration::from_secs(90),
                "seed {seed}: {disagreement}"
            );
            world.run(STEP);
        }
    }
}

#[test]
fn the_share_of_a_dead_node_is_gone_within_the_death_window() {
    let mut world = World::new(3, Link::default(), 1);
    world.nodes[0].set(0, 2);
    world.nodes[2].set(0, 5);
    world.nodes[2].set(1, 1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.disagreement(), None);
    let dead = world.nodes.remove(2);
    world.bus.kill(&dead.id);
    world.run(MembersConfig::default().heartbeat_timeout);
    assert_eq!(world.disagreement(), None);
    assert_eq!((world.nodes[0].count(0), world.nodes[0].count(1)), (2, 0));
}

#[test]
fn quiet_nodes_tell_no_more_than_a_digest_with_each_heartbeat() {
    let mut world = World::new(3, Link::default(), 1);
    world.nodes[0].set(0, 2);
    world.run(Duration::from_secs(10));
    assert_eq!(world.disagreement(), None);
    let told = |world: &World| -> usize { world.nodes.iter().map(|n| n.state.lock().told).sum() };
    let before = told(&world);
    world.run(Duration::from_secs(100));
    assert!((told(&world) - before).abs_diff(3 * 20) <= 3);
}
