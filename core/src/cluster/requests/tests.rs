use std::time::Duration;

use super::*;
use crate::payload::Payload;

fn node(name: &str) -> NodeId {
    NodeId::from(name)
}

fn nodes(names: &[&str]) -> Expected {
    Expected::Nodes(names.iter().map(|name| node(name)).collect())
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
        requests.start(&id(), kind, expected, deadline);
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
    let mut asked = Asked::new(RequestKind::OnePerNode, Expected::Count(0));
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
    let mut asked = Asked::new(RequestKind::Broadcast, Expected::Count(2));
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

    let mut asked = Asked::new(RequestKind::OnePerNode, Expected::Count(2));
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
fn a_cancelled_request_reports_nothing() {
    let mut asked = Asked::new(RequestKind::OnePerNode, nodes(&["a"]));
    asked.requests.cancel(&id());
    assert!(!asked.take(Some("a"), sockets()));
    asked.requests.handle_timeout(asked.deadline);
    assert_eq!(asked.done(), None);
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
