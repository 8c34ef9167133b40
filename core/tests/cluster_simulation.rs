//! Several nodes on a bus that delays, loses and repeats messages, splits, and loses nodes. Every
//! run is determined by its seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socketio_core::cluster::{
    Adapter, ClusterHandler, ClusterMessage, ClusterResponse, Expected, Link, MemberEvent, Members,
    MembersConfig, MemoryAdapter, MemoryBus, Missing, Operation, RequestEvent, RequestKind,
    Requests, ResponseBody, SocketSnapshot,
};
use socketio_core::ids::{NodeId, RequestId, SocketId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_core::value::Value;

const STEP: Duration = Duration::from_millis(10);
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A node with two sockets, and nothing but the cluster logic.
struct Node {
    id: NodeId,
    adapter: Arc<MemoryAdapter>,
    state: Mutex<State>,
}

struct State {
    now: Instant,
    members: Members,
    requests: Requests,
    sequence: u64,
    events: Vec<u64>,
    answers: Vec<ClusterResponse>,
    done: Vec<(Instant, RequestId, Missing)>,
}

impl Node {
    fn sockets(&self) -> Vec<SocketId> {
        let name = |number| SocketId::from(format!("{} {number}", self.id));
        (1..=2).map(name).collect()
    }

    /// Changes the state, then does what it asks for.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = change(&mut state);
        let mut publish = Vec::new();
        while let Some(event) = state.members.poll_event() {
            match event {
                MemberEvent::SendHeartbeat => publish.push(Operation::Heartbeat),
                MemberEvent::SendInitialHeartbeat => publish.push(Operation::InitialHeartbeat),
                MemberEvent::Left(node) => state.requests.handle_node_left(&node),
                _ => {}
            }
        }
        while let Some(event) = state.requests.poll_event() {
            match event {
                RequestEvent::Response(_, response) => state.answers.push(response),
                RequestEvent::Done(request, missing) => {
                    let now = state.now;
                    state.done.push((now, request, missing));
                }
            }
        }
        drop(state);
        publish
            .into_iter()
            .for_each(|operation| self.publish(operation));
        result
    }

    fn publish(&self, operation: Operation) {
        let mut state = self.state.lock();
        state.sequence += 1;
        let message = ClusterMessage {
            node: self.id.clone(),
            namespace: "/".into(),
            sequence: Some(state.sequence),
            trace: None,
            operation,
        };
        drop(state);
        self.adapter.publish(&message).expect("the node is started");
    }

    fn emit(&self, number: u64, request: Option<RequestId>) {
        self.publish(Operation::Broadcast {
            payload: Payload::from_values(&["n".into(), number.into()]),
            target: Target::all(),
            request,
        });
    }

    fn ask(&self, kind: RequestKind) -> RequestId {
        let request = RequestId::generate();
        self.update(|state| {
            let alive = state.members.alive().cloned().collect();
            let deadline = state.now + ANSWER_TIME;
            let expected = Expected::nodes(alive);
            state
                .requests
                .start(&request, "/", kind, expected, deadline);
        });
        match kind {
            RequestKind::Broadcast | RequestKind::SingleAck => self.emit(0, Some(request.clone())),
            RequestKind::OnePerNode => self.publish(Operation::FetchSockets {
                target: Target::all(),
                request: request.clone(),
            }),
        }
        request
    }

    fn respond(&self, to: &NodeId, request: &RequestId, body: ResponseBody) {
        let response = ClusterResponse {
            node: Some(self.id.clone()),
            namespace: "/".into(),
            request: request.clone(),
            body,
        };
        let responded = self.adapter.respond(to, response);
        responded.expect("the node is started");
    }

    fn outcome(&self, request: &RequestId) -> Option<(Instant, Missing)> {
        let state = self.state.lock();
        let of_request = |(_, id, _): &&(Instant, RequestId, Missing)| id == request;
        let done: Vec<_> = state.done.iter().filter(of_request).collect();
        assert!(done.len() <= 1, "a request ends once");
        done.first().map(|(at, _, missing)| (*at, missing.clone()))
    }

    fn answered(&self, request: &RequestId) -> Vec<NodeId> {
        let state = self.state.lock();
        let answers = state.answers.iter().filter(|a| a.request == *request);
        answers.filter_map(|answer| answer.node.clone()).collect()
    }
}

impl ClusterHandler for Node {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, message: ClusterMessage) {
        let fresh = self.update(|state| state.members.handle_message(state.now, &message));
        if !fresh {
            return;
        }
        match message.operation {
            Operation::Broadcast {
                payload, request, ..
            } => {
                let (number,): (u64,) = payload.deserialize_args(true).expect("a number");
                self.state.lock().events.push(number);
                if let Some(request) = request {
                    let sockets = self.sockets();
                    let recipients = ResponseBody::Recipients {
                        count: sockets.len() as u64,
                        sockets: sockets.clone(),
                    };
                    self.respond(&message.node, &request, recipients);
                    for socket in sockets {
                        let ack = ResponseBody::Ack {
                            socket: Some(socket),
                            payload: Payload::empty(),
                        };
                        self.respond(&message.node, &request, ack);
                    }
                }
            }
            Operation::FetchSockets { request, .. } => {
                let sockets = self.sockets().into_iter().map(|id| SocketSnapshot {
                    id,
                    handshake: Value::Null.into(),
                    rooms: Vec::new(),
                    data: Value::Null,
                });
                let body = ResponseBody::Sockets(sockets.collect());
                self.respond(&message.node, &request, body);
            }
            _ => {}
        }
    }

    fn on_response(&self, response: ClusterResponse) {
        self.update(|state| state.requests.handle_response(response));
    }
}

struct World {
    bus: MemoryBus,
    nodes: Vec<Arc<Node>>,
    now: Instant,
}

impl World {
    fn new(count: usize, link: Link, seed: u64) -> Self {
        let now = Instant::now();
        let bus = MemoryBus::simulated(link, seed, now);
        let mut world = Self {
            bus,
            nodes: Vec::new(),
            now,
        };
        for number in 0..count {
            let id = NodeId::from(format!("node {number}"));
            let node = Arc::new(Node {
                id: id.clone(),
                adapter: world.bus.adapter(),
                state: Mutex::new(State {
                    now,
                    members: Members::new(id, MembersConfig::default(), now),
                    requests: Requests::new(),
                    sequence: 0,
                    events: Vec::new(),
                    answers: Vec::new(),
                    done: Vec::new(),
                }),
            });
            let mut start = node.adapter.start(Arc::clone(&node) as _);
            let mut context = Context::from_waker(Waker::noop());
            assert!(matches!(
                start.as_mut().poll(&mut context),
                Poll::Ready(Ok(()))
            ));
            drop(start);
            node.update(|_| ());
            world.nodes.push(node);
        }
        world
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            for node in &self.nodes {
                node.state.lock().now = self.now;
            }
            self.bus.advance(self.now);
            for node in &self.nodes {
                node.update(|state| {
                    let now = state.now;
                    state.members.handle_timeout(now);
                    state.requests.handle_timeout(now);
                });
            }
        }
    }

    /// Takes a node away without a farewell.
    fn kill(&mut self, at: usize) -> NodeId {
        let node = self.nodes.remove(at);
        self.bus.kill(&node.id);
        node.id.clone()
    }

    fn assert_all_know_each_other(&self) {
        for node in &self.nodes {
            assert_eq!(node.state.lock().members.count(), self.nodes.len());
        }
    }
}

fn jittery() -> Link {
    Link {
        min_latency: Duration::from_millis(1),
        max_latency: Duration::from_millis(80),
        ..Link::default()
    }
}

#[test]
fn copies_are_dropped_and_the_order_is_kept() {
    for seed in 0..10 {
        let link = Link {
            duplication: 0.4,
            ..jittery()
        };
        let mut world = World::new(4, link, seed);
        for number in 0..300 {
            world.nodes[0].emit(number, None);
            if number % 10 == 0 {
                world.run(STEP);
            }
        }
        world.run(Duration::from_secs(1));
        for node in &world.nodes[1..] {
            let state = node.state.lock();
            assert_eq!(state.events, (0..300).collect::<Vec<_>>(), "seed {seed}");
            assert!(state.members.duplicates() > 50);
            assert_eq!(state.members.lost(), 0);
        }
    }
}

#[test]
fn what_is_lost_is_counted() {
    let link = Link {
        loss: 0.1,
        ..jittery()
    };
    let mut world = World::new(2, link, 3);
    // Until the other node has heard something, it cannot know what it missed.
    world.run(Duration::from_secs(30));
    let (before, heard) = {
        let state = world.nodes[1].state.lock();
        (state.members.lost(), state.events.len())
    };
    (0..1000).for_each(|number| world.nodes[0].emit(number, None));
    world.run(Duration::from_secs(6));
    let state = world.nodes[1].state.lock();
    let missing = 1000 - (state.events.len() - heard) as u64;
    assert!(missing > 50);
    // The heartbeat that shows the last gap may be lost as well: by one at most.
    assert!((missing..=missing + 1).contains(&(state.members.lost() - before)));
}

#[test]
fn answers_are_complete_while_all_is_well() {
    let mut world = World::new(5, jittery(), 1);
    world.run(Duration::from_secs(1));
    world.assert_all_know_each_other();
    for kind in [RequestKind::OnePerNode, RequestKind::Broadcast] {
        let request = world.nodes[2].ask(kind);
        world.run(Duration::from_millis(300));
        let (_, missing) = world.nodes[2].outcome(&request).expect("all answered");
        assert!(missing.is_empty(), "{missing:?}");
        let answers = world.nodes[2].answered(&request).len();
        let each = if kind == RequestKind::Broadcast { 3 } else { 1 };
        assert_eq!(answers, 4 * each);
    }
}

#[test]
fn with_losses_every_request_ends_and_names_exactly_who_is_missing() {
    for seed in 0..20 {
        let link = Link {
            loss: 0.25,
            duplication: 0.25,
            ..jittery()
        };
        let mut world = World::new(6, link, seed);
        world.run(Duration::from_secs(4));
        let asked: Vec<NodeId> = {
            let state = world.nodes[0].state.lock();
            state.members.alive().cloned().collect()
        };
        let request = world.nodes[0].ask(RequestKind::OnePerNode);
        let started = world.now;
        world.run(ANSWER_TIME + STEP);
        let (at, missing) = world.nodes[0].outcome(&request).expect("it never hangs");
        assert!(at <= started + ANSWER_TIME + STEP);
        let answered = world.nodes[0].answered(&request);
        let mut accounted: Vec<NodeId> = missing.nodes.clone();
        // A node that was not known yet may answer as well.
        accounted.extend(answered.iter().filter(|node| asked.contains(node)).cloned());
        accounted.sort();
        let mut expected = asked;
        expected.sort();
        assert_eq!(
            accounted, expected,
            "seed {seed}: nobody twice, nobody left out"
        );
        let distinct: BTreeSet<&NodeId> = answered.iter().collect();
        assert_eq!(distinct.len(), answered.len(), "copies do not count");
    }
}

#[test]
fn a_dead_node_is_named_within_the_heartbeat_window_and_forgotten_after_it() {
    let mut world = World::new(4, jittery(), 9);
    world.run(Duration::from_secs(1));
    let dead = world.kill(3);
    let request = world.nodes[0].ask(RequestKind::OnePerNode);
    world.run(ANSWER_TIME + STEP);
    let (_, missing) = world.nodes[0].outcome(&request).expect("ended");
    assert_eq!(missing.nodes, [dead]);
    assert_eq!(
        world.nodes[0].answered(&request).len(),
        2,
        "what came is there"
    );

    world.run(MembersConfig::default().heartbeat_timeout);
    world.assert_all_know_each_other();
    let request = world.nodes[0].ask(RequestKind::OnePerNode);
    world.run(Duration::from_millis(300));
    let (_, missing) = world.nodes[0]
        .outcome(&request)
        .expect("all living answered");
    assert!(missing.is_empty());
}

#[test]
fn a_node_that_dies_while_it_owes_acks_does_not_hold_up_the_answer() {
    let mut world = World::new(3, jittery(), 5);
    world.run(Duration::from_secs(1));
    // Heard last 7 s ago when it is asked: it counts as gone 3 s later, before the answers are due.
    let dead = world.kill(2);
    world.run(Duration::from_secs(7));
    let request = world.nodes[0].ask(RequestKind::Broadcast);
    let asked = world.now;
    world.run(ANSWER_TIME + STEP);
    let (at, missing) = world.nodes[0].outcome(&request).expect("ended");
    assert_eq!(missing.nodes, [dead]);
    assert!(at < asked + ANSWER_TIME, "not only when the time is up");
    assert_eq!(world.nodes[0].answered(&request).len(), 3);
}

#[test]
fn a_split_cluster_is_two_clusters_until_it_heals() {
    let mut world = World::new(5, jittery(), 2);
    world.run(Duration::from_secs(1));
    let minority: Vec<NodeId> = world.nodes[3..].iter().map(|n| n.id.clone()).collect();
    world.bus.partition(&[&minority]);
    let request = world.nodes[0].ask(RequestKind::OnePerNode);
    world.run(Duration::from_secs(11));
    let (_, missing) = world.nodes[0].outcome(&request).expect("ended");
    assert_eq!(missing.nodes, minority);
    assert_eq!(world.nodes[0].state.lock().members.count(), 3);
    assert_eq!(world.nodes[4].state.lock().members.count(), 2);
    world.bus.partition(&[]);
    world.run(Duration::from_secs(6));
    world.assert_all_know_each_other();
    let request = world.nodes[0].ask(RequestKind::Broadcast);
    world.run(Duration::from_millis(300));
    let (_, missing) = world.nodes[0].outcome(&request).expect("all answered");
    assert!(missing.is_empty());
}
