//! Anything may be on the channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socketio_adapter_redis::{Mode, PythonConfig, RedisAdapter, RedisConfig};
use socketio_core::cluster::{
    Adapter, ClusterHandler, ClusterMessage, ClusterResponse, Interest, ResponseBody,
};
use socketio_core::ids::NodeId;
use socketio_testkit::Redis;

use crate::support::{Node, until};

/// Formats of others, broken ones, and none at all.
const GARBAGE: &[&[u8]] = &[
    b"",
    b"\0",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b"\xff\xfe\xfd",
    b"{\"type\":3,\"uid\":\"\xed\xa0\x80\"}",
    b"{\"uid\":1,\"type\":99999999999999999999999999}",
    b"{\"type\":5}",
    b"\x93\xa6GgE0Qy\xc0\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff\xc1",
    b"\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00}\x94",
    b"{\"method\":\"emit\",\"event\":\"x\",\"data\":[],\"namespace\":\"/\",\"host_id\":\"h\"}",
    b"\x81\xa4node\xc4\x10",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bytes_stop_the_listener() {
    let server = Redis::start();
    for mode in [Mode::Pubsub, Mode::ShardedDynamicPrivate] {
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        config.python = Some(PythonConfig::listen());
        let (a, b) = (Node::start(&config).await, Node::start(&config).await);
        until("both are up", || a.is_up() && b.is_up()).await;
        let verb = if mode == Mode::Pubsub {
            "PUBLISH"
        } else {
            "SPUBLISH"
        };
        let own = format!("socket.io-cluster#{}#", b.id);
        let names = [
            "socket.io-cluster#",
            &own,
            "socket.io-cluster#/#ours",
            "socket.io#/#",
            "socket.io#/#room#",
            "socket.io-request#/#",
            "socket.io-response#/#",
            "socketio",
        ];
        let mut connection = server.connection();
        let mut heard = 0;
        let nested = vec![0x91; 100_000];
        let deep = vec![b'['; 100_000];
        for name in names {
            let verb = if name == "socketio" { "PUBLISH" } else { verb };
            for payload in GARBAGE.iter().copied().chain([&nested[..], &deep[..]]) {
                let mut command = redis::cmd(verb);
                command.arg(name).arg(payload);
                heard += command
                    .query::<u64>(&mut connection)
                    .expect("it is published");
            }
        }
        assert!(heard >= 2 * 40, "nobody subscribes what is tested: {heard}");
        until("it is counted", || b.adapter.status().decode_errors >= 40).await;
        a.publish(1).expect("there is room");
        until("the listener goes on", || b.numbers().last() == Some(&1)).await;
        assert!(a.is_up() && b.is_up());
        a.adapter.close().await;
        b.adapter.close().await;
    }
}

/// Panics at every other message.
struct Fragile {
    id: NodeId,
    heard: AtomicUsize,
}

impl ClusterHandler for Fragile {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, _: ClusterMessage) {
        let heard = self.heard.fetch_add(1, Ordering::Relaxed);
        assert!(!heard.is_multiple_of(2), "this one is meant to panic");
    }

    fn on_response(&self, _: ClusterResponse) {
        panic!("so is this one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_does_not_stop_the_others_from_being_heard() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    let a = Node::start(&config).await;
    let fragile = Arc::new(Fragile {
        id: NodeId::generate(),
        heard: AtomicUsize::new(0),
    });
    let b = RedisAdapter::new(config).expect("the configuration is good");
    b.watch(Interest::NamespaceOpened("/"));
    b.start(Arc::clone(&fragile) as _).await.expect("it is new");
    until("both are up", || a.is_up() && b.status().up).await;
    let response = ClusterResponse {
        node: Some(a.id.clone()),
        namespace: "/".into(),
        request: "r".into(),
        body: ResponseBody::SocketIds(Vec::new()),
    };
    a.adapter.respond(&fragile.id, response).expect("room");
    for number in 0..10 {
        a.publish(number).expect("there is room");
    }
    until("all are heard", || {
        fragile.heard.load(Ordering::Relaxed) == 10
    })
    .await;
    b.close().await;
}
