//! Networks that are cut, or carry only some of what they should.

use std::time::{Duration, Instant};

use socketio_core::cluster::Adapter;
use socketio_testkit::Redis;

use crate::relay::Relay;
use crate::support::{AGAIN, Node, impatient, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_is_noticed() {
    let server = Redis::start();
    for protocol in [3, 2] {
        let relay = Relay::to(server.port()).await;
        let url = format!("{}?protocol={protocol}", server.url());
        let mut config = impatient(url, Duration::from_millis(300));
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
        // If its connections still worked after the cut, there is no gap. A busy machine may have cut
        // them once more.
        until("it tells of a new connection", || {
            b.heard.connected.lock().len() >= 2
        })
        .await;
        let gaps = b.heard.connected.lock().iter().filter(|&&gap| gap).count();
        // Looked at later, for there may have been one more meanwhile.
        let reconnects = b.adapter.status().reconnects;
        assert!(gaps as u64 <= reconnects, "{gaps} of {reconnects}");
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
        let url = format!("{}?protocol={protocol}", relay.url());
        let config = impatient(url, Duration::from_millis(300));
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
        until("it says that something was missed", || {
            *node.heard.connected.lock() == [false, true]
        })
        .await;
        node.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_a_firewall_forgot_are_given_up() {
    let server = Redis::start();
    for protocol in [3, 2] {
        let relay = Relay::to(server.port()).await;
        let url = format!("{}?protocol={protocol}", relay.url());
        let mut config = impatient(url, Duration::from_millis(300));
        config.prefix = format!("forgot{protocol}");
        let a = Node::start(&config).await;
        let b = Node::start(&config).await;
        until("both are up", || a.is_up() && b.is_up()).await;
        relay.forget();
        let forgotten = Instant::now();
        // What is sent into the void is given up, too.
        for number in 1..=100 {
            a.publish(number).expect("there is room");
        }
        let again = |node: &Node| node.heard.connected.lock().len() == 2;
        until("both are up again", || again(&a) && again(&b)).await;
        let again = forgotten.elapsed();
        assert!(again < Duration::from_secs(3), "{again:?}");
        a.publish(101).expect("there is room");
        until("it arrives", || b.numbers().last() == Some(&101)).await;
        let missing = 101 - b.numbers().len() as u64;
        let status = a.adapter.status();
        assert!(missing <= status.dropped_out, "{missing}, {status:?}");
        a.adapter.close().await;
        b.adapter.close().await;
    }
}
