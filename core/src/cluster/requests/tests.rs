use std::time::Duration;

use super::*;
use crate::payload::Payload;
use proptest::prelude::*;

fn node(name: &str) -> NodeId {
    NodeId::from(name)
}

fn nodes(names: &[&str]) -> Expected {
    Expected::nodes(names.iter().map(|name| node(name)).collect())
}

fn id() -> RequestId {
    RequestId::from("r")
}

fn response(from: Option<&str>, body: ResponseBody) -> ClusterResponse {
    ClusterResponse {
        node: from.map(node),
        namespace: "/".into(),
        request: id(),
        body,
    }
}

fn sockets() -> ResponseBody {
    ResponseBody::Sockets(Vec::new())
}

fn recipients(ids: &[&str]) -> ResponseBody {
    ResponseBody::Recipients {
        count: ids.len() as u64,
        sockets: ids.iter().map(|id| SocketId::from(*id)).collect(),
    }
}

fn ack(socket: Option<&str>) -> ResponseBody {
    ResponseBody::Ack {
        socket: socket.map(SocketId::from),
        payload: Payload::empty(),
    }
}

struct Asked {
    requests: Requests,
    deadline: Instant,
}

impl Asked {
    fn new(kind: RequestKind, expected: Expected) -> Self {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut requests = Requests::new();
        requests.start(&id(), "/", kind, expected, deadline);
        Self { requests, deadline }
    }

    /// Takes an answer; true if it was passed on.
    fn take(&mut self, from: Option<&str>, body: ResponseBody) -> bool {
        let response = response(from, body);
        self.requests.handle_response(response.clone());
        let passed = RequestEvent::Response(id(), response);
        let taken = self.requests.events.front() == Some(&passed);
        if taken {
            self.requests.poll_event();
        }
        taken
    }

    fn done(&mut self) -> Option<Missing> {
        match self.requests.poll_event()? {
            RequestEvent::Done(_, missing) => {
                assert_eq!(self.requests.poll_event(), None, "done is the last event");
                assert!(self.requests.is_empty());
                Some(missing)
            }
            RequestEvent::Response(..) => panic!("a response is left"),
        }
    }
}

#[test]
fn one_answer_from_each_node_completes_a_request() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a", "b"]));
    assert!(asked.take(Some("a"), sockets()));
    assert!(!asked.take(Some("a"), sockets()), "a copy does not count");
    assert_eq!(asked.done(), None);
    assert!(asked.take(Some("b"), sockets()));
    assert!(asked.done().unwrap().is_empty());
    assert!(!asked.take(Some("b"), sockets()), "nobody waits any more");
}

#[test]
fn nobody_asked_is_done_at_once() {
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&[]));
    assert!(asked.done().unwrap().is_empty());
    let mut asked = Asked::new(RequestKind::OnePerNode, Expected::count(0));
    assert!(asked.done().unwrap().is_empty());
}

#[test]
fn the_deadline_brings_what_came_and_names_the_missing() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["c", "a", "b"]));
    assert!(asked.take(Some("b"), sockets()));
    assert_eq!(asked.requests.deadline(), Some(asked.deadline));
    asked
        .requests
        .handle_timeout(asked.deadline - Duration::from_nanos(1));
    assert_eq!(asked.done(), None);
    asked.requests.handle_timeout(asked.deadline);
    assert_eq!(asked.done().unwrap().nodes, [node("a"), node("c")]);
    assert_eq!(asked.requests.deadline(), None);
}

#[test]
fn a_node_that_leaves_is_not_waited_for_and_named() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a", "b"]));
    assert!(asked.take(Some("a"), sockets()));
    asked.requests.handle_node_left(&node("a"));
    assert_eq!(asked.done(), None);
    asked.requests.handle_node_left(&node("b"));
    // It answered before it left: only b is missing.
    assert_eq!(asked.done().unwrap().nodes, [node("b")]);
}

#[test]
fn a_node_that_was_written_off_cannot_answer_any_more() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a", "b"]));
    asked.requests.handle_node_left(&node("b"));
    assert!(!asked.take(Some("b"), sockets()));
    assert!(asked.take(Some("a"), sockets()));
    assert_eq!(asked.done().unwrap().nodes, [node("b")]);
}

#[test]
fn a_broadcast_waits_for_the_acks_of_all_recipients() {
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&["a", "b"]));
    assert!(asked.take(Some("a"), recipients(&["1", "2"])));
    assert!(asked.take(Some("b"), recipients(&[])));
    assert!(asked.take(Some("a"), ack(Some("1"))));
    assert!(
        !asked.take(Some("a"), ack(Some("1"))),
        "a copy does not count"
    );
    assert!(!asked.take(Some("a"), recipients(&["1", "2"])));
    assert_eq!(asked.done(), None);
    assert!(asked.take(Some("a"), ack(Some("2"))));
    assert!(asked.done().unwrap().is_empty());
}

#[test]
fn acks_may_overtake_the_number_of_recipients() {
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&["a"]));
    assert!(asked.take(Some("a"), ack(Some("1"))));
    assert!(asked.take(Some("a"), recipients(&["1", "2"])));
    asked.requests.handle_timeout(asked.deadline);
    let missing = asked.done().unwrap();
    assert_eq!(missing.sockets, [SocketId::from("2")]);
    assert_eq!(missing.acks, 1);
    assert!(missing.nodes.is_empty(), "the node itself answered");
}

#[test]
fn what_clients_of_a_dead_node_owe_is_written_off_and_named() {
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&["a", "b"]));
    assert!(asked.take(Some("a"), recipients(&["1", "2"])));
    assert!(asked.take(Some("a"), ack(Some("2"))));
    assert!(asked.take(Some("b"), recipients(&["3"])));
    assert!(asked.take(Some("b"), ack(Some("3"))));
    asked.requests.handle_node_left(&node("a"));
    let missing = asked.done().unwrap();
    assert_eq!(missing.nodes, [node("a")]);
    assert_eq!(missing.sockets, [SocketId::from("1")]);
    assert_eq!(missing.acks, 1);
}

#[test]
fn without_names_the_numbers_decide() {
    let mut asked = Asked::new(RequestKind::Broadcast, Expected::count(2));
    assert!(asked.take(None, recipients(&["1"])));
    assert!(asked.take(None, ack(None)));
    assert_eq!(asked.done(), None);
    assert!(asked.take(
        None,
        ResponseBody::Recipients {
            count: 2,
            sockets: Vec::new()
        }
    ));
    assert!(asked.take(None, ack(None)));
    asked.requests.handle_timeout(asked.deadline);
    let missing = asked.done().unwrap();
    assert_eq!((missing.unnamed_nodes, missing.acks), (0, 1));

    let mut asked = Asked::new(RequestKind::OnePerNode, Expected::count(2));
    assert!(asked.take(None, sockets()));
    asked.requests.handle_timeout(asked.deadline);
    assert_eq!(asked.done().unwrap().unnamed_nodes, 1);
}

#[test]
fn a_node_that_came_after_the_question_may_answer_too() {
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&["a"]));
    assert!(asked.take(Some("new"), recipients(&["9"])));
    assert!(asked.take(Some("a"), recipients(&[])));
    assert_eq!(asked.done(), None, "its client is waited for");
    assert!(asked.take(Some("new"), ack(Some("9"))));
    assert!(asked.done().unwrap().is_empty());
}

#[test]
fn answers_of_another_kind_and_hostile_numbers_do_no_harm() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a"]));
    assert!(!asked.take(Some("a"), recipients(&[])));
    assert!(!asked.take(Some("a"), ack(None)));
    let mut asked = Asked::new(RequestKind::Broadcast, nodes(&["a", "b", "c"]));
    assert!(!asked.take(Some("a"), sockets()));
    for name in ["a", "b"] {
        let body = ResponseBody::Recipients {
            count: u64::MAX,
            sockets: Vec::new(),
        };
        assert!(asked.take(Some(name), body.clone()));
        assert!(asked.take(Some(&format!("{name} again")), body));
    }
    asked.requests.handle_timeout(asked.deadline);
    assert_eq!(asked.done().unwrap().acks, u64::MAX);
}

#[test]
fn a_request_can_be_ended_early_with_what_has_come() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a", "b"]));
    assert!(asked.take(Some("a"), sockets()));
    asked.requests.end(&id());
    asked.requests.end(&id());
    assert_eq!(asked.done().unwrap().nodes, [node("b")]);
}

#[test]
fn leaving_the_cluster_ends_every_wait() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a"]));
    asked.requests.finish_all();
    assert_eq!(asked.done().unwrap().nodes, [node("a")]);
}

fn foreign(name: &str) -> String {
    NodeId::foreign(name).to_string()
}

fn asked_of(kind: RequestKind, named: &[&str], unnamed: usize) -> Asked {
    let expected = Expected {
        unnamed,
        ..nodes(named)
    };
    Asked::new(kind, expected)
}

#[test]
fn members_of_both_kinds_are_waited_for() {
    let mut asked = asked_of(RequestKind::OnePerNode, &["a"], 2);
    assert!(asked.take(Some(&foreign("x")), sockets()));
    assert!(!asked.take(Some(&foreign("x")), sockets()), "a copy");
    assert!(asked.take(Some("new"), sockets()), "one of ours, not asked");
    assert!(asked.take(Some("a"), sockets()));
    assert_eq!(asked.done(), None, "one is silent");
    assert!(asked.take(None, sockets()));
    assert!(asked.done().unwrap().is_empty());
}

#[test]
fn foreign_members_that_leave_are_written_off_in_their_namespace() {
    let mut asked = asked_of(RequestKind::OnePerNode, &["a"], 3);
    assert!(asked.take(Some("a"), sockets()));
    asked.requests.handle_foreign_left("/other", 3, 0);
    assert_eq!(asked.done(), None);
    assert!(asked.take(Some(&foreign("x")), sockets()));
    asked.requests.handle_foreign_left("/", 1, 2);
    assert_eq!(asked.done(), None, "one is silent");
    asked.requests.handle_foreign_left("/", 5, 0);
    let missing = asked.done().unwrap();
    assert_eq!((missing.unnamed_nodes, missing.nodes.len()), (2, 0));
}

#[test]
fn what_clients_of_foreign_members_owe_is_written_off_when_all_have_left() {
    let mut asked = asked_of(RequestKind::Broadcast, &[], 2);
    assert!(asked.take(Some(&foreign("x")), recipients(&["1", "2"])));
    assert!(asked.take(None, recipients(&[])));
    assert!(asked.take(Some(&foreign("x")), ack(Some("2"))));
    asked.requests.handle_foreign_left("/", 1, 1);
    assert_eq!(asked.done(), None, "nobody knows whose clients these are");
    asked.requests.handle_foreign_left("/", 1, 0);
    let missing = asked.done().unwrap();
    assert_eq!((missing.unnamed_nodes, missing.acks), (1, 1));
    assert_eq!(missing.sockets, [SocketId::from("1")]);
}

#[test]
fn the_first_ack_ends_a_request_for_one() {
    let single = RequestKind::SingleAck;
    let mut asked = asked_of(single, &["a", "b"], 1);
    assert!(asked.take(Some("a"), recipients(&[])));
    assert!(asked.take(Some("b"), recipients(&["1"])));
    assert_eq!(asked.done(), None);
    assert!(asked.take(Some("b"), ack(Some("1"))));
    assert!(asked.done().unwrap().is_empty());
    // Nobody has the socket: this is known as soon as all have said so.
    let mut asked = asked_of(single, &["a"], 0);
    assert!(asked.take(Some("a"), recipients(&[])));
    assert!(asked.done().unwrap().is_empty());
    // Unless somebody may have it who cannot be counted.
    let uncounted = Expected {
        uncounted: true,
        ..nodes(&["a"])
    };
    let mut asked = Asked::new(single, uncounted.clone());
    assert!(asked.take(Some("a"), recipients(&[])));
    assert_eq!(asked.done(), None);
    assert!(asked.take(Some(&foreign("py:1")), ack(None)));
    assert!(asked.done().unwrap().is_empty());
    // Of all it is never known whether these are all.
    let mut asked = Asked::new(RequestKind::Broadcast, uncounted.clone());
    assert!(asked.take(Some("a"), recipients(&["1"])));
    assert!(asked.take(Some("a"), ack(Some("1"))));
    assert!(asked.take(None, ack(None)));
    assert_eq!(asked.done(), None);
    let deadline = asked.deadline;
    asked.requests.handle_timeout(deadline);
    assert!(asked.done().unwrap().is_empty());
    // Other requests end when those are done that are counted.
    let mut asked = Asked::new(RequestKind::OnePerNode, uncounted);
    assert!(asked.take(Some("a"), sockets()));
    assert!(asked.done().unwrap().is_empty());
}

/// What may happen to a request.
#[derive(Debug, Clone)]
enum Step {
    Answer(Option<u8>),
    Foreign(u8),
    Left(u8),
    ForeignLeft(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::option::of(0..6u8).prop_map(Step::Answer),
        (0..6u8).prop_map(Step::Foreign),
        (0..6u8).prop_map(Step::Left),
        (0..3usize).prop_map(Step::ForeignLeft),
    ]
}

proptest! {
    /// Whatever comes in whatever order: a request ends once, by its deadline at the latest, and
    /// then everybody who was asked has either answered or is missing.
    #[test]
    fn everybody_asked_has_answered_or_is_missing(
        named in 0..5u8,
        unnamed in 0..4usize,
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let deadline = Instant::now();
        let mut requests = Requests::new();
        let expected = Expected {
            nodes: (0..named).map(|n| node(&n.to_string())).collect(),
            unnamed,
            uncounted: false,
        };
        requests.start(&id(), "/", RequestKind::OnePerNode, expected, deadline);
        let mut there = unnamed;
        for step in steps {
            match step {
                Step::Answer(from) => {
                    let from = from.map(|n| n.to_string());
                    requests.handle_response(response(from.as_deref(), sockets()));
                }
                Step::Foreign(n) => {
                    let from = foreign(&n.to_string());
                    requests.handle_response(response(Some(&from), sockets()));
                }
                Step::Left(n) => requests.handle_node_left(&node(&n.to_string())),
                Step::ForeignLeft(gone) => {
                    let gone = gone.min(there);
                    there -= gone;
                    requests.handle_foreign_left("/", gone, there);
                }
            }
        }
        requests.handle_timeout(deadline);
        let mut answered = HashSet::new();
        let (mut foreign, mut done) = (0, None);
        while let Some(event) = requests.poll_event() {
            prop_assert_eq!(&done, &None, "nothing after the end");
            match event {
                RequestEvent::Response(_, response) => match response.node {
                    Some(from) if from.foreign_name().is_none() => {
                        prop_assert!(answered.insert(from), "nobody twice");
                    }
                    _ => foreign += 1,
                },
                RequestEvent::Done(_, missing) => done = Some(missing),
            }
        }
        let missing = done.expect("it ends");
        for n in 0..named {
            let n = node(&n.to_string());
            let times = usize::from(answered.contains(&n)) + usize::from(missing.nodes.contains(&n));
            prop_assert_eq!(times, 1, "{}", n);
        }
        prop_assert!(missing.unnamed_nodes + foreign >= unnamed);
        prop_assert!(missing.unnamed_nodes <= unnamed);
    }
}
