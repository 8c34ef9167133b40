//! Two stock nodes and a real broker, which is not there at first.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};
use socketio_testkit::{RabbitMq, Redis};

use super::http::{PATIENCE, Response, get};
use super::process::Node;
use super::session::Session;

/// The answer of `/readyz` once it contains `text`.
fn ready_once(address: SocketAddr, text: &str) -> Response {
    let start = Instant::now();
    loop {
        let answer = get(address, "/readyz");
        if answer.body.contains(text) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "not {text:?}: {answer:?}");
    }
}

fn metric(address: SocketAddr, name: &str) -> Option<f64> {
    let page = get(address, "/metrics").body;
    let line = page.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Asks until the other node has told of its sockets.
fn until_counted(session: &mut Session, question: &Value, total: u64) {
    let start = Instant::now();
    loop {
        let answer = session.call(question);
        if answer[0]["total"] == total {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "not {total}: {answer:?}");
    }
}

/// An event that is published on `from` reaches the client of another node.
fn assert_joined(from: &mut Session, to: &mut Session) {
    to.call(&json!(["join", "lobby"]));
    from.send(r#"42["publish","lobby","chat",{"text":"hi"},"\ud83d\ude00"]"#);
    assert_eq!(
        to.event(),
        [json!("chat"), json!({"text": "hi"}), json!("😀")]
    );
}

#[test]
fn nodes_serve_without_redis_and_join_when_it_comes() {
    let mut redis = Redis::builder().away().start();
    let url = format!("--redis-url={}", redis.url());
    let arguments = ["--adapter=redis", &url];
    let one = Node::start(&arguments);
    let two = Node::start(&[&arguments[..], &["--ready-needs-adapter"]].concat());
    assert_eq!(one.start["adapter"], "redis");
    assert_eq!(ready_once(one.address(), "redis: down").status, 200);
    assert_eq!(ready_once(two.address(), "redis: down").status, 503);
    let mut first = Session::open(one.address());
    assert_eq!(first.call(&json!(["echo", 1])), [json!(1)]);

    redis.restart();
    assert_eq!(ready_once(one.address(), "redis: up").status, 200);
    assert_eq!(ready_once(two.address(), "redis: up").status, 200);
    let mut second = Session::open(two.address());
    assert_joined(&mut first, &mut second);
    until_counted(&mut first, &json!(["who", "lobby"]), 1);
    until_counted(&mut first, &json!(["who"]), 2);
    assert_eq!(metric(one.address(), "socketio_adapter_up"), Some(1.0));
    assert_eq!(metric(one.address(), "socketio_cluster_members"), Some(2.0));

    redis.kill();
    ready_once(one.address(), "redis: down");
    assert_eq!(first.call(&json!(["echo", 2])), [json!(2)]);
}

#[test]
fn nodes_find_each_other_over_rabbitmq() {
    let rabbit = RabbitMq::start();
    let url = format!("--amqp-url={}", rabbit.url());
    let arguments = ["--adapter=amqp", &url];
    let one = Node::start(&arguments);
    let two = Node::start(&[&arguments[..], &["--amqp-reliable=two"]].concat());
    ready_once(one.address(), "amqp: up");
    ready_once(two.address(), "amqp: up");
    let mut first = Session::open(one.address());
    let mut second = Session::open(two.address());
    assert_joined(&mut first, &mut second);
    assert_joined(&mut second, &mut first);
}

#[test]
fn each_wire_of_redis_is_a_setting() {
    let redis = Redis::start();
    let url = format!("--redis-url={}", redis.url());
    for mode in [
        "pubsub",
        "sharded-dynamic",
        "sharded-dynamic-private",
        "sharded-static",
    ] {
        let prefix = format!("--redis-prefix=of-{mode}");
        let mode = format!("--redis-mode={mode}");
        let arguments = ["--adapter=redis", &url, &mode, &prefix];
        let (one, two) = (Node::start(&arguments), Node::start(&arguments));
        ready_once(one.address(), "redis: up");
        ready_once(two.address(), "redis: up");
        let mut first = Session::open(one.address());
        let mut second = Session::open(two.address());
        assert_joined(&mut first, &mut second);
        assert_joined(&mut second, &mut first);
    }
}
