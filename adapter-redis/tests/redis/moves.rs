//! Clusters and Sentinels, where other servers come to be responsible.

use std::time::{Duration, Instant};

use socketio_adapter_redis::{Mode, RedisConfig};
use socketio_core::cluster::Adapter;
use socketio_testkit::{Redis, RedisCluster, RedisSentinel};

use crate::support::{
    LIMIT, Node, assert_ascending, counted, traffic, traffic_from, two, until, within,
};

/// The slot of the channel that all nodes hear, in the namespace `/`.
fn slot(cluster: &RedisCluster, channel: &str) -> u16 {
    let mut command = redis::cmd("CLUSTER");
    command.arg("KEYSLOT").arg(channel);
    let slot = command.query(&mut cluster.nodes[0].connection());
    slot.expect("a cluster knows its slots")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_take_their_channels_along() {
    let cluster = RedisCluster::start();
    let mut config = RedisConfig::new(cluster.url());
    config.mode = Mode::ShardedStatic;
    config.regroup = LIMIT;
    let (a, b) = two(&config).await;
    let slot = slot(&cluster, "socket.io#/#");
    let owner = usize::from(slot) * 3 / 16384;
    let mut sent = 0;
    for turn in 1..=6 {
        let to = (owner + turn) % 3;
        sent = traffic_from(&a, sent, || cluster.move_slot(slot, to)).await;
    }
    assert_arrived(&a, &b, sent).await;
    // The last move was back to the first owner.
    let mut command = redis::cmd("PUBSUB");
    command.arg("SHARDNUMSUB").arg("socket.io#/#");
    until("each node has subscribed once", || {
        let counted = command.query(&mut cluster.nodes[owner].connection());
        let counted: (String, u64) = counted.expect("it counts");
        counted.1 == 2
    })
    .await;
}

/// What `a` has sent is at `b` in order, but for what was lost with somebody being told; nothing
/// waits.
async fn assert_arrived(a: &Node, b: &Node, sent: u64) {
    // The last change may still be under way: what then comes first is behind it.
    let mut last = sent;
    let start = Instant::now();
    while b.numbers().last() <= Some(&sent) {
        assert!(start.elapsed() < LIMIT, "nothing arrives any more");
        last += 1;
        a.publish(last).expect("there is room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("the last arrives", || b.numbers().contains(&last)).await;
    until("nothing waits, and all is answered", || {
        let status = a.adapter.status();
        status.queued_messages == 0 && status.messages_out + status.dropped_out >= last
    })
    .await;
    let arrived = b.numbers();
    assert_ascending(&arrived);
    let missing = last - arrived.len() as u64;
    eprintln!("{missing} of {last} are missing");
    // Who publishes waits for those who listen, but a count may have been of a moment in which
    // they moved.
    assert!(missing * 20 <= last, "{missing} of {last} are missing");
    until("somebody is told of what is missing", || {
        missing == 0 || b.adapter.status().gaps + a.adapter.status().dropped_out > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_may_die_and_come_back() {
    let mut cluster = RedisCluster::start();
    for (prefix, mode) in [("p", Mode::Pubsub), ("s", Mode::ShardedStatic)] {
        let mut config = RedisConfig::new(cluster.url());
        // One that stays.
        let other = cluster.nodes[2].port();
        config.url = format!("{},127.0.0.1:{other}", config.url);
        config.mode = mode;
        config.prefix = prefix.to_owned();
        let (a, b) = two(&config).await;
        // Whoever has the channel, or is the first that is found.
        let owner = match mode {
            Mode::Pubsub => 0,
            _ => usize::from(slot(&cluster, "s#/#")) * 3 / 16384,
        };
        let node = &mut cluster.nodes[owner];
        let sent = traffic(&a, || node.restart()).await;
        within("both are up again", LIMIT, || a.is_up() && b.is_up()).await;
        a.publish(sent + 1).expect("there is room");
        until("the last arrives", || {
            b.numbers().last() == Some(&(sent + 1))
        })
        .await;
        let arrived = b.numbers();
        assert_ascending(&arrived);
        let missing = sent + 1 - arrived.len() as u64;
        let (status, gaps) = (a.adapter.status(), b.adapter.status().gaps);
        assert!(
            missing <= status.dropped_out || gaps > 0,
            "{mode:?}: {missing} of {sent} are missing, {status:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_master_is_found_after_a_failover() {
    let mut watched = RedisSentinel::start();
    let config = RedisConfig::new(watched.url());
    let (a, b) = two(&config).await;
    counted(&watched.first, &[&a, &b]).await;
    watched.first.kill();
    until("both notice", || !a.is_up() && !b.is_up()).await;
    a.publish(1).expect("there is room");
    let limit = Duration::from_secs(60);
    within("both are up again", limit, || a.is_up() && b.is_up()).await;
    until("it arrives", || b.numbers() == [1]).await;
    assert!(watched.second.subscribers("socket.io-cluster#") >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_cluster_that_never_comes_is_counted() {
    let server = Redis::builder().away().start();
    let url = server.url().replace("redis:", "redis-cluster:");
    let mut config = RedisConfig::new(url);
    config.mode = Mode::ShardedStatic;
    config.connect_timeout = Duration::from_millis(100);
    let node = Node::start(&config).await;
    for number in 0..10 {
        node.publish(number).expect("there is room");
    }
    assert_eq!(node.adapter.status().queued_messages, 10);
    node.adapter.close().await;
    let status = node.adapter.status();
    assert_eq!((status.queued_messages, status.dropped_out), (0, 10));
}
