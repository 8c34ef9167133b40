//! Anything may be on the channels.

use socketio_adapter_redis::{Mode, PythonConfig, RedisConfig};
use socketio_core::cluster::Adapter;
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
