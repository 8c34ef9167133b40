//! Brokers that are not there, that stop, that say stop, and that come back.

mod common;

use std::time::{Duration, Instant};

use socketio_adapter_amqp::{AmqpConfig, Publisher, PythonConfig, Reliable};
use socketio_core::cluster::wire::python::Python;
use socketio_core::cluster::{Adapter, AdapterError};
use socketio_core::ids::NodeId;
use socketio_testkit::RabbitMq;

use common::{Node, assert_ordered, cluster, numbered, until};

/// Quick to notice, so that the tests are quick.
fn quick(url: &str) -> AmqpConfig {
    cluster(url)
        .probe_interval(Duration::from_millis(300))
        .probe_timeout(Duration::from_millis(700))
}

/// One message of each node every millisecond or two, for a while.
async fn traffic(nodes: &[Node], time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for node in nodes {
            // A full queue is for another test.
            node.publish_sized(50).expect("room");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn pairs(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Node)> {
    let others = |a| nodes.iter().map(move |b| (a, b));
    let pairs = nodes.iter().flat_map(others);
    pairs.filter(|(a, b)| a.id != b.id)
}

async fn start(configs: impl IntoIterator<Item = AmqpConfig>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for config in configs {
        let node = Node::start(config).await;
        node.until_up().await;
        nodes.push(node);
    }
    nodes
}

async fn close(nodes: Vec<Node>) {
    for node in nodes {
        node.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_restarts_under_traffic() {
    let mut rabbit = RabbitMq::start();
    let config = quick(&rabbit.url()).queue_messages(1_000_000_usize);
    let lossy = config.exchange("lossy").python(PythonConfig::member());
    let lasting = quick(&rabbit.url()).queue_messages(1_000_000_usize);
    let instances = ["a", "b", "c"].map(Reliable::new);
    let emitter = lasting.clone().reliable(Reliable::new("unused"));
    let emitter = Publisher::connect(emitter).await.expect("a broker");
    let lossy = start([lossy.clone(), lossy.clone(), lossy]).await;
    let lasting = start(instances.map(|instance| lasting.clone().reliable(instance))).await;

    let (sender, mut rounds) = (NodeId::generate(), 0);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let sending = async {
        let round = Duration::from_millis(20);
        let mut stopped = stopped;
        while stopped.try_recv().is_err() {
            let (a, b) = (traffic(&lossy, round), traffic(&lasting, round));
            tokio::join!(a, b);
            rounds += 1;
            emitter
                .publish(&numbered(&sender, rounds, 10))
                .expect("room");
        }
    };
    let restarting = async {
        // How long there is traffic before the restart, and again behind it.
        let quiet = Duration::from_secs(2);
        tokio::time::sleep(quiet).await;
        // In full traffic.
        tokio::task::block_in_place(|| rabbit.kill());
        until("all notice", || {
            lossy.iter().chain(&lasting).all(|node| !node.status().up)
        })
        .await;
        let returned = tokio::task::block_in_place(|| rabbit.start_again());
        until("all are back", || {
            lossy.iter().chain(&lasting).all(|node| node.status().up)
        })
        .await;
        for node in lossy.iter().chain(&lasting) {
            let (_, back) = *node.heard.connected.lock().last().expect("was connected");
            let time = back.saturating_duration_since(returned);
            let error = node.adapter.last_error().unwrap_or_default();
            eprintln!("back {} ms after the broker ({error})", time.as_millis());
            assert!(time < Duration::from_secs(3), "{time:?}");
        }
        tokio::time::sleep(quiet).await;
        stop.send(()).expect("still sending");
    };
    tokio::join!(sending, restarting);

    emitter
        .flush()
        .await
        .expect("an emitter loses nothing either");
    until("everything reliable", || {
        pairs(&lasting).all(|(a, b)| a.heard_all(b))
    })
    .await;
    let heard = |node: &Node| -> Vec<u64> {
        let messages = node.heard.messages.lock();
        let own = messages.iter().filter(|message| message.node == sender);
        own.filter_map(|message| message.sequence).collect()
    };
    let emitted = || {
        lasting
            .iter()
            .all(|node| heard(node) == Vec::from_iter(1..=rounds))
    };
    until("everything of the emitter", emitted).await;
    let mut total = 0;
    for node in &lasting {
        assert_ordered(node);
        assert_eq!(node.lost_and_doubled(), (0, 0));
        assert_eq!(node.status().dropped_out, 0);
        assert_eq!(node.status().gaps, 0, "the queue was there all the time");
        assert_eq!(node.status().reconnects, 1);
        assert_eq!(node.heard.gaps(), [false, false]);
        total += node.count();
    }
    eprintln!("reliable: {total} deliveries, 0 lost, 0 twice");

    // Without the mode some are lost, but none silently, none twice, and none out of order.
    for node in &lossy {
        node.publish().expect("room");
    }
    let latest = |(a, b): (&Node, &Node)| a.numbers(b).last() == Some(&b.sent());
    until("the latest of all", || pairs(&lossy).all(latest)).await;
    for node in &lossy {
        assert_ordered(node);
        let (lost, doubled) = node.lost_and_doubled();
        assert_eq!(doubled, 0);
        let sent: u64 = lossy
            .iter()
            .filter(|n| n.id != node.id)
            .map(Node::sent)
            .sum();
        assert_eq!(node.count() as u64 + lost, sent, "what is missing is known");
        assert!(node.status().gaps >= 1);
        assert!(node.heard.gaps().contains(&true));
        eprintln!("default: {sent} sent, {lost} lost and counted, 0 twice");
    }

    // The exchange of Python did not survive, and is there again.
    let codec = Python::new(&NodeId::generate_emitter(), PythonConfig::member());
    let said = codec.encode(&numbered(&sender, 1, 0)).expect("encodable");
    let payload = said.messages[0].payload.clone();
    emitter.publish_raw("socketio", payload).expect("room");
    let heard = |node: &Node| {
        let messages = node.heard.messages.lock();
        let last = messages.last().map(|message| message.node.clone());
        last.is_some_and(|node| node.foreign_name().is_some())
    };
    until("what Python would say", || lossy.iter().all(heard)).await;
    emitter.close().await.expect("nothing is lost");
    close(lossy).await;
    close(lasting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_absent_blocked_or_paused() {
    let mut rabbit = RabbitMq::start();
    rabbit.kill();
    absent_at_first(&mut rabbit).await;
    blocked(&rabbit).await;
    paused(&rabbit).await;
    paused_while_reliable(&rabbit).await;
}

async fn absent_at_first(rabbit: &mut RabbitMq) {
    let config = quick(&rabbit.url()).queue_messages(100_usize);
    let refused = Publisher::connect(config.clone()).await;
    assert!(
        matches!(refused, Err(AdapterError::Broker(_))),
        "{refused:?}"
    );
    let start = Instant::now();
    let a = Node::start(config.clone()).await;
    let b = Node::start(config).await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "starting does not wait"
    );
    assert!(!a.status().up);
    assert!(a.adapter.last_error().is_some());
    for _ in 0..100 {
        a.publish().expect("room");
    }
    assert!(matches!(a.publish(), Err(AdapterError::QueueFull)));
    assert_eq!(a.status().queued_messages, 100);
    assert_eq!(a.status().dropped_out, 1);
    tokio::task::block_in_place(|| rabbit.start_again());
    a.until_up().await;
    b.until_up().await;
    assert_eq!(
        a.status().gaps,
        0,
        "nothing was lost by connecting for the first time"
    );
    // Letters wait a little longer, so that the others are back too.
    until("room", || a.publish().is_ok()).await;
    // What waited may have been sent before the other one was there.
    until("the latest", || b.numbers(&a).last() == Some(&101)).await;
    assert_ordered(&b);
    close(vec![a, b]).await;
}

async fn blocked(rabbit: &RabbitMq) {
    const ROOM: usize = 500;
    let config = quick(&rabbit.url())
        .queue_messages(ROOM)
        .confirm_window(10_usize);
    let nodes = start([config.clone(), config]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    rabbit.control(&["set_vm_memory_high_watermark", "0"]);
    // The broker stops reading what is published, and says so.
    let mut refused = 0_u64;
    until("the queue is full", || {
        let start = Instant::now();
        let full = matches!(a.publish(), Err(AdapterError::QueueFull));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "publishing never waits"
        );
        refused += u64::from(full);
        full
    })
    .await;
    let held = Instant::now();
    until("longer than the probe's limit", || {
        held.elapsed() > Duration::from_secs(2)
    })
    .await;
    assert_eq!(
        a.status().dropped_out,
        refused,
        "what was refused is counted"
    );
    assert!(a.status().queued_messages <= ROOM + 10);
    assert_eq!(a.status().reconnects, 0, "being blocked is no loss");
    rabbit.control(&["set_vm_memory_high_watermark", "0.6"]);
    until("everything that was taken", || b.heard_all(a)).await;
    assert_eq!((a.status().gaps, b.status().gaps), (0, 0));
    // An end while blocked does not hang.
    rabbit.control(&["set_vm_memory_high_watermark", "0"]);
    let hasty = quick(&rabbit.url()).close_timeout(Duration::from_secs(1));
    let hasty = Node::start(hasty).await;
    hasty.publish().expect("room");
    let start = Instant::now();
    hasty.adapter.close().await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(hasty.status().dropped_out, 1);
    rabbit.control(&["set_vm_memory_high_watermark", "0.6"]);
    close(nodes).await;
}

async fn paused(rabbit: &RabbitMq) {
    let config = quick(&rabbit.url()).queue_messages(1_000_000_usize);
    let nodes = start([config.clone(), config]).await;
    traffic(&nodes, Duration::from_millis(200)).await;
    rabbit.pause();
    let muted = || nodes.iter().all(|node| !node.status().up);
    let noticing = async {
        until("both notice that the broker is mute", muted).await;
    };
    tokio::join!(traffic(&nodes, Duration::from_secs(3)), noticing);
    let threads = thread_count();
    traffic(&nodes, Duration::from_secs(3)).await;
    let more = thread_count().saturating_sub(threads);
    assert!(
        more < 10,
        "{more} more threads: attempts to connect pile up"
    );
    rabbit.resume();
    let start = Instant::now();
    for node in &nodes {
        node.until_up().await;
    }
    eprintln!("back {} ms after the pause", start.elapsed().as_millis());
    for node in &nodes {
        node.publish().expect("room");
    }
    let latest = |(a, b): (&Node, &Node)| a.numbers(b).last() == Some(&b.sent());
    until("the latest", || pairs(&nodes).all(latest)).await;
    for (a, b) in pairs(&nodes) {
        assert_ordered(a);
        let (lost, doubled) = a.lost_and_doubled();
        assert_eq!((a.count() as u64 + lost, doubled), (b.sent(), 0));
        assert!(a.status().gaps >= 1);
        eprintln!(
            "paused: {} sent, {lost} lost and counted, 0 twice",
            b.sent()
        );
    }
    close(nodes).await;
}

async fn paused_while_reliable(rabbit: &RabbitMq) {
    let config = quick(&rabbit.url()).queue_messages(1_000_000_usize);
    let instances = ["a", "b"].map(Reliable::new);
    let nodes = start(instances.map(|instance| config.clone().reliable(instance))).await;
    traffic(&nodes, Duration::from_millis(200)).await;
    rabbit.pause();
    traffic(&nodes, Duration::from_secs(3)).await;
    assert!(nodes.iter().all(|node| !node.status().up));
    rabbit.resume();
    traffic(&nodes, Duration::from_millis(200)).await;
    until("everything", || pairs(&nodes).all(|(a, b)| a.heard_all(b))).await;
    for node in &nodes {
        node.until_up().await;
        assert_eq!(node.status().gaps, 0);
        assert_eq!(node.status().dropped_out, 0);
        eprintln!(
            "paused, reliable: {} deliveries, 0 lost, 0 twice",
            node.count()
        );
    }
    close(nodes).await;
}

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
