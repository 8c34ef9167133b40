//! The brokers that tests start are there, and go away.

use socketio_testkit::{Certificates, Redis, RedisCluster, RedisSentinel};

#[test]
fn a_server_starts_restarts_and_is_gone_after_the_drop() {
    let mut server = Redis::start();
    assert_eq!(server.publish("channel", b"payload"), 0);
    let first = server.id();
    server.kill();
    server.restart();
    assert_ne!(server.id(), first);
    assert_eq!(server.subscribers("channel"), 0);
    let port = server.port();
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_server_speaks_tls() {
    let server = Redis::builder().tls(Certificates::new()).start();
    assert!(server.url().starts_with("rediss://localhost:"));
    assert_eq!(server.publish("channel", b"payload"), 0);
}

#[test]
fn a_cluster_becomes_whole_and_moves_slots() {
    let cluster = RedisCluster::start();
    cluster.move_slot(0, 1);
}

#[test]
fn a_sentinel_finds_the_replica() {
    let watched = RedisSentinel::start();
    assert!(watched.url().ends_with("/0/service"));
}
