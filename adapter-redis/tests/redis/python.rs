//! The dialect of python-socketio, against a raw client. (Against python-socketio itself:
//! `interop/cluster-python`.)

use redis::{Connection, PubSub};
use socketio_adapter_redis::{Mode, PythonConfig, RedisConfig};
use socketio_core::cluster::wire::python::{Python, Untranslatable};
use socketio_core::cluster::{Adapter, ClusterResponse, Operation, ResponseBody};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_testkit::{Redis, RedisCluster};

use crate::support::{LIMIT, Node, event, until};

/// A member that subscribes and publishes as python-socketio does.
struct Peer<'a> {
    heard: PubSub<'a>,
}

impl<'a> Peer<'a> {
    fn new(connection: &'a mut Connection, channel: &str) -> Self {
        let mut heard = connection.as_pubsub();
        let patience = heard.set_read_timeout(Some(LIMIT));
        patience.expect("a timeout can be set");
        heard.subscribe(channel).expect("anybody may subscribe");
        Self { heard }
    }

    /// The next message that contains `text`.
    fn hear(&mut self, text: &str) -> String {
        loop {
            let message = self.heard.get_message().expect("it comes");
            let payload = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
            if payload.contains(text) {
                return payload;
            }
        }
    }
}

fn member(text: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
    value[name].as_str().unwrap_or_default().to_owned()
}

async fn a_member_hears_and_is_heard_once(server: &Redis, mut config: RedisConfig) {
    let mut connection = server.connection();
    let mut peer = Peer::new(&mut connection, "flask-socketio");
    config.python = Some(PythonConfig::member().channels(["flask-socketio", "socketio"]));
    let nodes = [Node::start(&config).await, Node::start(&config).await];
    until("all are up", || nodes.iter().all(Node::is_up)).await;
    let [a, b] = &nodes;
    assert!(a.adapter.has_uncounted_members());

    a.publish(1).expect("there is room");
    let said = peer.hear(r#""method":"emit""#);
    assert_eq!(member(&said, "event"), "x");
    until("ours hears our own format", || b.numbers() == [1]).await;

    // What others say, and an answer that takes the same way.
    let line = br#"{"method":"emit","event":"e","data":["x"],"binary":false,"namespace":"/","room":"r","skip_sid":null,"callback":["r","/",7],"host_id":"h"}"#;
    for channel in ["socketio", "flask-socketio"] {
        server.publish(channel, b"\x80 no message");
    }
    server.publish("flask-socketio", line);
    for node in &nodes {
        let last = || node.heard.messages.lock().last().cloned();
        let is_foreign = || last().is_some_and(|message| Python::answers(&message.node));
        until("a foreign message", is_foreign).await;
        assert_eq!(node.adapter.status().decode_errors, 2);
        let message = last().expect("it came");
        let answer = ClusterResponse {
            node: Some(node.id.clone()),
            namespace: message.namespace.clone(),
            request: message.operation.request().expect("it asks").clone(),
            body: ResponseBody::Ack {
                socket: None,
                payload: Payload::args(&"yes").expect("it is encoded"),
            },
        };
        let answered = node.adapter.respond(&message.node, answer);
        answered.expect("there is room");
        let said = peer.hear(r#""method":"callback""#);
        assert_eq!(
            (&*member(&said, "host_id"), &*member(&said, "sid")),
            ("h", "r")
        );
        assert!(said.contains(r#""id":7"#), "{said}");
    }
    assert_eq!(b.heard.messages.lock().len(), 2, "each message came once");

    // A question of ours, answered in the dialect.
    let request = RequestId::generate();
    let ask = Operation::Broadcast {
        payload: Payload::event("ask", &1).expect("it is encoded"),
        target: Target::room("r"),
        request: Some(request.clone()),
    };
    a.adapter.publish(&a.message(ask)).expect("there is room");
    let host = member(&peer.hear(r#""event":"ask""#), "host_id");
    let answer = format!(
        r#"{{"method":"callback","host_id":"{host}","sid":"r","namespace":"/","id":"{request}","args":[1]}}"#
    );
    server.publish("socketio", answer.as_bytes());
    until("it is answered", || a.heard.responses.lock().len() == 1).await;
    assert_eq!(a.heard.responses.lock()[0].request, request);
    assert!(b.heard.responses.lock().is_empty());

    // What the dialect cannot say is counted.
    let target = Target::all();
    let fetch = Operation::FetchSockets { target, request };
    a.adapter.publish(&a.message(fetch)).expect("there is room");
    assert_eq!(a.adapter.status().untranslated, 1);
    assert_eq!(
        a.adapter.untranslatable().of(Untranslatable::FetchSockets),
        1
    );
    assert_eq!(b.adapter.status().untranslated, 0);
    for node in nodes {
        node.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_hear_each_other_beside_pubsub() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    a_member_hears_and_is_heard_once(&server, config).await;
    let config = RedisConfig::new(format!("{}?protocol=2", server.url()));
    a_member_hears_and_is_heard_once(&server, config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_hear_each_other_beside_sharded_channels() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.mode = Mode::ShardedDynamic;
    a_member_hears_and_is_heard_once(&server, config).await;
    let cluster = RedisCluster::start();
    let mut config = RedisConfig::new(cluster.url());
    config.mode = Mode::ShardedDynamic;
    a_member_hears_and_is_heard_once(&cluster.nodes[2], config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_says_nothing() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.python = Some(PythonConfig::listen());
    let node = Node::start(&config).await;
    until("it is up", || node.is_up()).await;
    assert!(!node.adapter.has_uncounted_members());
    let mut connection = server.connection();
    let mut peer = Peer::new(&mut connection, "socketio");
    node.publish(1).expect("there is room");
    // What is behind it comes first.
    until("it is published", || {
        node.adapter.status().messages_out == 1
    })
    .await;
    let line = br#"{"method":"close_room","room":"r","namespace":"/","host_id":"h"}"#;
    server.publish("socketio", line);
    let first = peer.hear("");
    assert_eq!(member(&first, "method"), "close_room");
    until("it is heard", || node.heard.messages.lock().len() == 1).await;
    let message = node.heard.messages.lock()[0].clone();
    assert!(matches!(message.operation, Operation::Leave { .. }));
    // An emitter of ours that only speaks this dialect.
    let codec = Python::new(&NodeId::generate_emitter(), PythonConfig::member());
    let said = codec
        .encode(&node.message(event(7)))
        .expect("it can be said");
    server.publish("socketio", &said.messages[0].payload);
    until("an emitter is heard", || node.numbers() == [7]).await;
}
