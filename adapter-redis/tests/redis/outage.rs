//! Brokers that go away, stall, or are not there yet.

use std::time::{Duration, Instant};

use socketio_adapter_redis::{Mode, RedisConfig};
use socketio_core::cluster::{Adapter, AdapterError};
use socketio_testkit::{Redis, RedisCluster, RedisSentinel};

use crate::relay::Relay;
use crate::support::{LIMIT, Node, until, within};

/// A broker that comes back is used within a second.
const AGAIN: Duration = Duration::from_secs(1);

async fn two(config: &RedisConfig) -> (Node, Node) {
    let (a, b) = (Node::start(config).await, Node::start(config).await);
    until("both are up", || a.is_up() && b.is_up()).await;
    (a, b)
}

/// Waits until all nodes have counted who hears them: after an outage they wait for so many.
async fn counted(server: &Redis, nodes: &[&Node]) {
    let mut other = server.connection();
    // Only one of the two is what members are counted by.
    for (verb, channel) in [
        ("SUBSCRIBE", "socket.io-request#/#"),
        ("SSUBSCRIBE", "socket.io#/#"),
    ] {
        let mut command = redis::cmd(verb);
        let subscribed: redis::RedisResult<redis::Value> = command.arg(channel).query(&mut other);
        subscribed.expect("anybody may subscribe");
    }
    let all = |count| {
        let mut nodes = nodes.iter();
        nodes.all(|node| node.adapter.foreign("/") == count)
    };
    until("all count one more", || all(1)).await;
    drop(other);
    until("all have counted again", || all(0)).await;
}

/// What arrived is in order, and nothing twice.
fn assert_ascending(numbers: &[u64]) {
    let pairs = numbers.windows(2);
    let wrong: Vec<_> = pairs.filter(|pair| pair[0] >= pair[1]).collect();
    assert!(wrong.is_empty(), "out of order or twice: {wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_a_broker_that_restarts() {
    for (protocol, mode) in [
        (3, Mode::Pubsub),
        (2, Mode::Pubsub),
        (3, Mode::ShardedStatic),
        (3, Mode::ShardedDynamic),
    ] {
        let mut server = Redis::start();
        let mut config = RedisConfig::new(format!("{}?protocol={protocol}", server.url()));
        config.mode = mode;
        let (a, b) = two(&config).await;
        a.publish(0).expect("there is room");
        until("the first arrives", || b.numbers().len() == 1).await;
        counted(&server, &[&a, &b]).await;
        server.kill();
        until("both notice", || !a.is_up() && !b.is_up()).await;
        for number in 1..=100 {
            a.publish(number).expect("there is room");
        }
        let queued = a.adapter.status().queued_messages;
        assert_eq!(queued, 100, "they wait");
        server.restart();
        let back = Instant::now();
        until("both are up again", || a.is_up() && b.is_up()).await;
        assert!(
            back.elapsed() < AGAIN,
            "up again after {:?} {protocol} {mode:?}",
            back.elapsed()
        );
        until("all arrive", || b.numbers().len() == 101).await;
        assert_ascending(&b.numbers());
        let status = b.adapter.status();
        assert_eq!((status.gaps, status.reconnects), (1, 1));
        assert_eq!(*b.heard.connected.lock(), [false, true]);
        assert_eq!(a.adapter.status().dropped_out, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_of_a_restart_under_traffic_arrives_or_is_counted() {
    let mut server = Redis::start();
    let config = RedisConfig::new(server.url());
    let (a, b) = two(&config).await;
    counted(&server, &[&a, &b]).await;
    let mut sent = 0;
    let mut restarted = None;
    let start = Instant::now();
    while restarted.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(1)) {
        sent += 1;
        a.publish(sent).expect("there is room");
        if sent % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if restarted.is_none() && start.elapsed() > Duration::from_millis(300) {
            // As fast as it can be, in the middle of the messages.
            server.restart();
            restarted = Some(Instant::now());
        }
    }
    until("the last arrives", || b.numbers().last() == Some(&sent)).await;
    let arrived = b.numbers();
    assert_ascending(&arrived);
    let missing = sent - arrived.len() as u64;
    let status = a.adapter.status();
    assert!(
        missing <= status.dropped_out,
        "{missing} of {sent} are missing, {status:?}"
    );
    assert!(b.adapter.status().gaps >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stalls_is_noticed_and_found_again() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.heartbeat_interval = Duration::from_millis(200);
    config.heartbeat_timeout = Duration::from_millis(600);
    let (a, b) = two(&config).await;
    counted(&server, &[&a, &b]).await;
    let mut sent = 0;
    for _ in 0..50 {
        sent += 1;
        a.publish(sent).expect("there is room");
    }
    server.pause();
    let paused = Instant::now();
    // Under traffic: some of it is in the buffers of a server that will read it late.
    while a.is_up() || b.is_up() || paused.elapsed() < Duration::from_secs(2) {
        assert!(paused.elapsed() < LIMIT, "the probe does not notice");
        sent += 1;
        a.publish(sent).expect("there is room");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.resume();
    let back = Instant::now();
    until("both are up again", || a.is_up() && b.is_up()).await;
    assert!(
        back.elapsed() < AGAIN,
        "up again after {:?}",
        back.elapsed()
    );
    sent += 1;
    a.publish(sent).expect("there is room");
    until("the last arrives", || b.numbers().last() == Some(&sent)).await;
    let arrived = b.numbers();
    assert_ascending(&arrived);
    let missing = sent - arrived.len() as u64;
    let dropped = a.adapter.status().dropped_out;
    assert!(
        missing <= dropped,
        "{missing} of {sent} missing, {dropped} counted"
    );
    assert!(b.adapter.status().gaps >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_stall_loses_nothing() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    let (a, b) = two(&config).await;
    server.pause();
    for number in 1..=1000 {
        a.publish(number).expect("there is room");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.resume();
    until("all arrive", || b.numbers().len() == 1000).await;
    assert_ascending(&b.numbers());
    assert_eq!(b.adapter.status().gaps, 0);
    assert_eq!(a.adapter.status().dropped_out, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_when_the_broker_comes() {
    let mut server = Redis::builder().away().start();
    let config = RedisConfig::new(server.url());
    let (a, b) = (Node::start(&config).await, Node::start(&config).await);
    assert!(!a.is_up() && !b.is_up());
    a.publish(1).expect("there is room");
    server.restart();
    let back = Instant::now();
    until("both are up", || a.is_up() && b.is_up()).await;
    assert!(back.elapsed() < AGAIN, "up after {:?}", back.elapsed());
    a.publish(2).expect("there is room");
    until("the second arrives", || b.numbers().last() == Some(&2)).await;
    assert_eq!(*b.heard.connected.lock(), [false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_says_so() {
    let server = Redis::builder().away().start();
    let mut config = RedisConfig::new(server.url());
    config.max_queued_messages = 10;
    config.max_message_size = 1000;
    config.close_timeout = Duration::from_millis(100);
    let node = Node::start(&config).await;
    for number in 0..10 {
        node.publish(number).expect("there is room");
    }
    let refused = node.publish(10);
    assert!(
        matches!(refused, Err(AdapterError::QueueFull)),
        "{refused:?}"
    );
    let refused = node.adapter.publish(&node.large(2000));
    assert!(matches!(
        refused,
        Err(AdapterError::TooLarge { limit: 1000, .. })
    ));
    let status = node.adapter.status();
    assert_eq!((status.queued_messages, status.dropped_out), (10, 2));
    // It does not wait for ever for a broker that is not there, and says what was lost.
    let start = Instant::now();
    node.adapter.close().await;
    assert!(start.elapsed() < LIMIT);
    assert_eq!(node.adapter.status().dropped_out, 12);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handler_does_not_stop_the_reader() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.max_received_messages = 50;
    let a = Node::start(&config).await;
    let b = Node::start_slow(&config, Duration::from_millis(20)).await;
    until("both are up", || a.is_up() && b.is_up()).await;
    for number in 0..2000 {
        a.publish(number).expect("there is room");
    }
    until("all are read", || {
        let status = b.adapter.status();
        status.dropped_in > 0 && status.messages_in >= 2000
    })
    .await;
    assert!(b.numbers().len() < 500, "the handler is not done with them");
    assert!(b.is_up(), "it still hears");
    until("what was kept is handled", || {
        b.adapter.status().dropped_in + b.numbers().len() as u64 == 2000
    })
    .await;
    assert_ascending(&b.numbers());
    // Others must know that something was missed.
    until("the gap is told", || {
        b.heard.connected.lock().last() == Some(&true)
    })
    .await;
    assert_eq!(b.adapter.status().gaps, 1);
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
async fn a_subscription_that_the_server_forgot_is_made_again() {
    let server = Redis::start();
    for mode in [Mode::Pubsub, Mode::ShardedStatic] {
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        let (a, b) = two(&config).await;
        let mut command = redis::cmd("CLIENT");
        command.arg("KILL").arg("TYPE").arg("pubsub");
        let killed: u64 = command.query(&mut server.connection()).expect("it is done");
        assert!(killed >= 2, "{killed}");
        until("both are heard again", || {
            let again = |node: &Node| node.heard.connected.lock().as_slice() == [false, true];
            again(&a) && again(&b)
        })
        .await;
        a.publish(1).expect("there is room");
        until("it arrives", || b.numbers() == [1]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_is_noticed() {
    let server = Redis::start();
    for protocol in [3, 2] {
        let relay = Relay::to(server.port()).await;
        let mut config = RedisConfig::new(format!("{}?protocol={protocol}", server.url()));
        config.heartbeat_interval = Duration::from_millis(100);
        config.heartbeat_timeout = Duration::from_millis(300);
        config.prefix = format!("cut{protocol}");
        let a = Node::start(&config).await;
        config.url = format!("{}?protocol={protocol}", relay.url());
        let b = Node::start(&config).await;
        until("both are up", || a.is_up() && b.is_up()).await;
        relay.cut();
        let cut = Instant::now();
        until("it notices", || !b.is_up()).await;
        // Two intervals and the timeout, and something for a busy machine.
        let noticed = cut.elapsed();
        assert!(noticed < Duration::from_millis(1500), "{noticed:?}");
        // The others go on.
        assert!(a.is_up());
        relay.mend();
        let back = Instant::now();
        until("it is up again", || b.is_up()).await;
        assert!(back.elapsed() < AGAIN, "up after {:?}", back.elapsed());
        a.publish(1).expect("there is room");
        until("it arrives", || b.numbers() == [1]).await;
        b.publish(2).expect("there is room");
        until("the answer arrives", || a.numbers() == [2]).await;
        // If its connections still worked after the cut, there is no gap.
        assert_eq!(b.heard.connected.lock().len(), 2);
        // What was subscribed before the cut is subscribed once.
        let channel = format!("{}-request#/#", config.prefix);
        until("what is left of the old is gone", || {
            server.subscribers(&channel) == 2
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_become_deaf_knows_it_by_its_own_probe() {
    let server = Redis::start();
    for protocol in [3, 2] {
        let relay = Relay::to(server.port()).await;
        let mut config = RedisConfig::new(format!("{}?protocol={protocol}", relay.url()));
        config.heartbeat_interval = Duration::from_millis(100);
        config.heartbeat_timeout = Duration::from_millis(300);
        let node = Node::start(&config).await;
        until("it is up", || node.is_up()).await;
        // Every connection works, and answers questions.
        relay.deafen();
        let deaf = Instant::now();
        until("it notices", || !node.is_up()).await;
        let noticed = deaf.elapsed();
        assert!(noticed < Duration::from_millis(1500), "{noticed:?}");
        relay.mend();
        until("it is up again", || node.is_up()).await;
        assert_eq!(*node.heard.connected.lock(), [false, true]);
        node.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_no_messages_is_not_up() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.heartbeat_interval = Duration::from_millis(100);
    config.heartbeat_timeout = Duration::from_millis(300);
    let (a, b) = two(&config).await;
    let client = |arguments: &[&str]| {
        let mut command = redis::cmd("CLIENT");
        let done: redis::RedisResult<()> = command.arg(arguments).query(&mut server.connection());
        done.expect("anybody may");
    };
    // It answers questions all the time.
    client(&["PAUSE", "60000", "WRITE"]);
    until("both notice", || !a.is_up() && !b.is_up()).await;
    a.publish(1).expect("there is room");
    client(&["UNPAUSE"]);
    until("both are up again", || a.is_up() && b.is_up()).await;
    a.publish(2).expect("there is room");
    until("it arrives", || b.numbers().last() == Some(&2)).await;
    assert_ascending(&b.numbers());
}

/// Publishes until a second after `at`, in which `change` happens at 0.3 seconds. The result is the
/// number of the last message.
async fn traffic(node: &Node, change: impl FnOnce()) -> u64 {
    let start = Instant::now();
    let mut change = Some(change);
    let mut sent = 0;
    while start.elapsed() < Duration::from_millis(1300) {
        sent += 1;
        node.publish(sent).expect("there is room");
        if sent % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if start.elapsed() > Duration::from_millis(300)
            && let Some(change) = change.take()
        {
            change();
        }
    }
    sent
}

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
    let (a, b) = two(&config).await;
    let slot = slot(&cluster, "socket.io#/#");
    let owner = usize::from(slot) * 3 / 16384;
    let next = (owner + 1) % 3;
    let sent = traffic(&a, || cluster.move_slot(slot, next)).await;
    until("the last arrives", || b.numbers().last() == Some(&sent)).await;
    let arrived = b.numbers();
    assert_ascending(&arrived);
    // A message may reach the new master before its listeners do. They know then that they may
    // have missed something.
    let missing = sent - arrived.len() as u64;
    let told = b.adapter.status().gaps + a.adapter.status().dropped_out;
    assert!(missing == 0 || told > 0, "{missing} of {sent} are missing");
    let mut command = redis::cmd("PUBSUB");
    command.arg("SHARDNUMSUB").arg("socket.io#/#");
    let counted = command.query(&mut cluster.nodes[next].connection());
    let counted: (String, u64) = counted.expect("it counts");
    assert_eq!(counted.1, 2, "each node once");
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
