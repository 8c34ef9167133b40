//! Brokers that go away, stall, or are not there yet.

use std::time::{Duration, Instant};

use socketio_adapter_redis::{Mode, RedisConfig};
use socketio_core::cluster::{Adapter, AdapterError};
use socketio_testkit::Redis;

use crate::support::{
    AGAIN, LIMIT, Node, assert_accounted, assert_ascending, counted, impatient, two, until,
};

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
        let again = back.elapsed();
        println!("up again after {again:?}, protocol {protocol}, {mode:?}");
        assert!(again < AGAIN, "{again:?}");
        until("all arrive", || b.numbers().len() == 101).await;
        assert_ascending(&b.numbers());
        let status = b.adapter.status();
        assert_eq!((status.gaps, status.reconnects), (1, 1));
        assert_eq!(*b.heard.connected.lock(), [false, true]);
        assert_eq!(a.adapter.status().dropped_out, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_was_away_for_long_is_found_as_soon() {
    let mut server = Redis::start();
    let config = RedisConfig::new(server.url());
    let mut nodes = Vec::new();
    for _ in 0..5 {
        nodes.push(Node::start(&config).await);
    }
    until("all are up", || nodes.iter().all(Node::is_up)).await;
    counted(&server, &nodes.iter().collect::<Vec<_>>()).await;
    server.kill();
    // The outage is this long: they pause as long between two attempts by now as they ever do.
    tokio::time::sleep(Duration::from_secs(3)).await;
    nodes[0].publish(1).expect("there is room");
    server.restart();
    let back = Instant::now();
    until("all are up again", || nodes.iter().all(Node::is_up)).await;
    let again = back.elapsed();
    println!("up again after {again:?}");
    assert!(again < AGAIN, "{again:?}");
    for node in &nodes[1..] {
        until("what waited arrives", || node.numbers() == [1]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_of_a_restart_under_traffic_arrives_or_is_counted() {
    let mut server = Redis::start();
    let config = RedisConfig::new(server.url());
    let (a, b) = two(&config).await;
    counted(&server, &[&a, &b]).await;
    let (mut sent, mut before) = (0, 0);
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
            before = sent;
        }
    }
    until("the last arrives", || b.numbers().last() == Some(&sent)).await;
    let arrived = b.numbers();
    assert_ascending(&arrived);
    let missing: Vec<u64> = (1..=sent).filter(|n| !arrived.contains(n)).collect();
    let status = a.adapter.status();
    assert!(
        missing.iter().all(|n| *n <= before),
        "{before} before the restart, {sent} in all, missing {missing:?}, {status:?}"
    );
    assert!(b.adapter.status().gaps >= 1);
    // A server that is killed may have confirmed what it did not hand on any more. The sender cannot know that, but the
    // listener does.
    assert_accounted(&a, &b, sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stalls_is_noticed_and_found_again() {
    let server = Redis::start();
    let config = impatient(server.url(), Duration::from_millis(600));
    let (a, b) = two(&config).await;
    counted(&server, &[&a, &b]).await;
    let mut sent = 0;
    for _ in 0..50 {
        sent += 1;
        a.publish(sent).expect("there is room");
    }
    let before = sent;
    until("what was sent before", || {
        b.numbers().last() == Some(&before)
    })
    .await;
    server.pause();
    until("it has stopped", || server.is_paused()).await;
    let paused = Instant::now();
    // Under traffic: some of it is in the buffers of a server that will read it late.
    while a.is_up() || b.is_up() || paused.elapsed() < Duration::from_secs(2) {
        assert!(server.is_paused(), "somebody else let it go on");
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
    assert!(b.adapter.status().gaps >= 1);
    let missing: Vec<u64> = (1..=sent).filter(|n| !arrived.contains(n)).collect();
    assert!(
        missing.iter().all(|n| (before + 1..sent).contains(n)),
        "{before} before the stall, {sent} in all, missing {missing:?}"
    );
    // A server that goes on before its listeners are back takes messages that nobody hears, and confirms them.
    assert_accounted(&a, &b, sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_the_broker_stalls_waits_for_the_listeners() {
    let server = Redis::start();
    let config = impatient(server.url(), Duration::from_millis(600));
    let (a, b) = two(&config).await;
    counted(&server, &[&a, &b]).await;
    for round in 1..=3 {
        server.pause();
        until("both notice", || !a.is_up() && !b.is_up()).await;
        // The connections for subscriptions are given up, the one to publish may not be.
        for number in round * 100 - 99..=round * 100 {
            a.publish(number).expect("there is room");
        }
        server.resume();
        until("both are up again", || a.is_up() && b.is_up()).await;
        until("all arrive", || b.numbers().last() == Some(&(round * 100))).await;
        let arrived = b.numbers();
        assert_eq!(arrived.len() as u64, round * 100, "round {round}");
        assert_ascending(&arrived);
    }
    let (sender, listener) = (a.adapter.status(), b.adapter.status());
    assert_eq!((sender.dropped_out, listener.missed), (0, 0));
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
    // The stall is this long: shorter than what anybody takes for a broken connection.
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
async fn a_broker_that_takes_no_messages_is_not_up() {
    let server = Redis::start();
    let config = impatient(server.url(), Duration::from_millis(300));
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
