use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use parking_lot::Mutex;
use socketio_adapter_amqp::{Publisher, PythonConfig, Reliable};
use socketio_core::cluster::wire::native;
use socketio_core::cluster::{Adapter, AdapterError, Operation};
use socketio_core::ids::NodeId;
use socketio_core::target::Target;
use socketio_testkit::RabbitMq;

use crate::common::{Node, cluster, numbered, response, until};

pub(crate) async fn foreign_bytes_are_counted_and_skipped(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url()).max_message_bytes(100_000_usize);
    let (a, b) = (
        Node::start(config.clone()).await,
        Node::start(config.clone()).await,
    );
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rabbit.url(), properties).await;
    let channel = connection
        .as_ref()
        .expect("a broker")
        .create_channel()
        .await;
    let channel = channel.expect("a channel");
    let stranger = NodeId::generate();
    let valid = native::encode_message(&numbered(&stranger, 1, 10));
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{\"method\":\"emit\"}".to_vec(),
        vec![0xff; 1000],
        vec![0x93; 50_000],
        vec![0; 100_001],
        valid[..valid.len() - 1].to_vec(),
        native::encode_probe(&a.id, 7).to_vec(),
    ];
    // Somewhat random, and the same in every run.
    let mut state = 1_u32;
    for length in 0..300 {
        let mut body = vec![0; length];
        for byte in &mut body {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        bodies.push(body);
    }
    // The mark behind the garbage: one channel keeps its order, two do not keep each other's.
    bodies.push(valid.to_vec());
    let odd = BasicProperties::default()
        .with_app_id("someone".into())
        .with_message_id("no number".into());
    for body in &bodies {
        let published = channel.basic_publish(
            config.exchange.as_str().into(),
            "all".into(),
            BasicPublishOptions::default(),
            body,
            odd.clone(),
        );
        published.await.expect("published");
    }
    let marked = || {
        let messages = b.heard.messages.lock();
        messages.iter().any(|message| message.node == stranger)
    };
    until("the message behind the garbage", marked).await;
    let errors = b.status().decode_errors;
    assert!(errors >= 290, "{errors}");
    a.publish().expect("room");
    until("a message of a healthy node", || b.heard_all(&a)).await;
    assert!(b.status().up && b.status().reconnects == 0);
    a.adapter.close().await;
    b.adapter.close().await;
}

pub(crate) async fn a_slow_handler_leaves_messages_at_the_broker(rabbit: &RabbitMq) {
    const COUNT: usize = 2000;
    let config = cluster(&rabbit.url())
        .prefetch(50_u16)
        .probe_interval(Duration::from_millis(200))
        .probe_timeout(Duration::from_millis(500));
    let go = Arc::new(AtomicBool::new(false));
    let waiting = Arc::clone(&go);
    let slow = Node::start_with(
        config.clone(),
        Some(Box::new(move |_| {
            // A handler must not block; this one does nevertheless.
            while !waiting.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        })),
    )
    .await;
    let sender = Node::start(config.clone()).await;
    for _ in 0..COUNT {
        sender.publish().expect("room");
    }
    let at_broker = || {
        let listed = rabbit.control(&["list_queues", "name", "messages_ready"]);
        let mut lines = listed
            .lines()
            .filter(|line| line.contains(&config.exchange));
        lines.any(|line| line.ends_with(&format!("\t{}", COUNT - 50)))
    };
    until("all but the prefetched ones wait at the broker", at_broker).await;
    let held = Instant::now();
    until("longer than the probe's limit", || {
        held.elapsed() > Duration::from_secs(1)
    })
    .await;
    go.store(true, Ordering::Relaxed);
    until("everything after all", || slow.heard_all(&sender)).await;
    let status = slow.status();
    assert_eq!(
        (status.reconnects, status.gaps),
        (0, 0),
        "being slow is no loss"
    );
    slow.adapter.close().await;
    sender.adapter.close().await;
}

pub(crate) async fn too_large_messages_are_refused(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url()).max_message_bytes(10_000_usize);
    let (a, b) = (Node::start(config.clone()).await, Node::start(config).await);
    let refused = a.publish_sized(10_000);
    assert!(
        matches!(refused, Err(AdapterError::TooLarge { limit: 10_000, .. })),
        "{refused:?}"
    );
    a.publish_sized(9_000).expect("small enough");
    until("the one that fits", || b.heard_all(&a)).await;
    a.adapter.close().await;
    b.adapter.close().await;
}

pub(crate) async fn an_id_that_is_too_long_does_no_harm(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    let (a, b) = (Node::start(config.clone()).await, Node::start(config).await);
    // The id comes from the network.
    let id = NodeId::from("x".repeat(300));
    a.adapter.respond(&id, response(&a.id)).expect("no error");
    a.adapter.respond(&b.id, response(&a.id)).expect("room");
    until("the next answer", || b.heard.responses.lock().len() == 1).await;
    assert_eq!(a.status().reconnects, 0);
    a.adapter.close().await;
    b.adapter.close().await;
}

pub(crate) async fn a_handler_that_panics_does_not_stop_the_reading(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    let calls = AtomicUsize::new(0);
    let fragile = Node::start_with(
        config.clone(),
        Some(Box::new(move |_| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            assert!(call > 0, "the first call fails on purpose");
        })),
    )
    .await;
    let sender = Node::start(config).await;
    sender.publish().expect("room");
    sender.publish().expect("room");
    until("the second message", || fragile.numbers(&sender) == [2]).await;
    fragile.adapter.close().await;
    sender.adapter.close().await;
}

pub(crate) async fn what_the_broker_delivers_again_is_heard_once(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    let channel = format!("test-python-{}", NodeId::generate());
    let (entered, go) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let (enter, wait) = (Arc::clone(&entered), Arc::clone(&go));
    let listen = PythonConfig::listen().channels([channel.as_str()]);
    let lasting = config.clone().python(listen).reliable(Reliable::new("n"));
    let hook = move |_: &_| {
        enter.store(true, Ordering::Relaxed);
        while !wait.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let node = Node::start_with(lasting, Some(Box::new(hook))).await;
    node.until_up().await;
    // None of these has a number by which copies are known, and two are the same.
    let publisher = Publisher::connect(config.clone()).await;
    let publisher = publisher.expect("a broker");
    let native = numbered(&NodeId::generate(), 1, 0);
    let python = |room| {
        format!(r#"{{"method":"close_room","room":"{room}","namespace":"/","host_id":"h"}}"#)
    };
    publisher.publish(&native).expect("room");
    for room in ["a", "b", "b"] {
        let raw = publisher.publish_raw(&channel, python(room).into());
        raw.expect("room");
    }
    publisher.flush().await.expect("confirmed");
    until("the handler is at work", || entered.load(Ordering::Relaxed)).await;
    // Nothing was acknowledged.
    rabbit.control(&["close_all_connections", "on purpose"]);
    go.store(true, Ordering::Relaxed);
    until("a new connection", || node.status().reconnects == 1).await;
    // What this one says now could get lost with its old connection.
    publisher.close().await.expect("all was confirmed");
    let publisher = Publisher::connect(config).await.expect("a broker");
    let raw = publisher.publish_raw(&channel, python("last").into());
    raw.expect("room");
    let last = Operation::Leave {
        target: Target::room("last"),
        rooms: vec!["last".into()],
    };
    let arrived = || {
        let messages = node.heard.messages.lock();
        messages.iter().any(|message| message.operation == last)
    };
    until("the last one", arrived).await;
    assert_eq!(node.count(), 5, "{:?}", node.heard.messages.lock());
    assert_eq!(node.status().gaps, 0, "the queue was there all the time");
    publisher.close().await.expect("nothing is lost");
    node.adapter.close().await;
}

pub(crate) async fn emitters_publish_flush_and_hear_answers(rabbit: &RabbitMq) {
    const COUNT: u64 = 3000;
    let config = cluster(&rabbit.url());
    let node = Node::start(config.clone()).await;
    let publisher = Publisher::connect(config).await.expect("a broker");
    assert!(publisher.status().up);
    let emitter = NodeId::generate();
    for number in 1..=COUNT {
        publisher
            .publish(&numbered(&emitter, number, 20))
            .expect("room");
    }
    publisher.flush().await.expect("confirmed");
    assert_eq!(publisher.status().messages_out, COUNT);
    assert_eq!(publisher.status().queued_messages, 0);
    until("all messages", || node.count() == COUNT as usize).await;

    let answers = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&answers);
    let count = move |_| *counted.lock() += 1;
    let listening = publisher.listen(&emitter, "/", Arc::new(count));
    listening.await.expect("heard");
    let again = publisher.listen(
        &emitter,
        "/other",
        Arc::new(|_| panic!("the first one stays")),
    );
    again.await.expect("heard");
    node.adapter
        .respond(&emitter, response(&node.id))
        .expect("room");
    until("an answer", || *answers.lock() == 1).await;

    // What was published right before the end arrives.
    publisher
        .publish(&numbered(&emitter, COUNT + 1, 20))
        .expect("room");
    publisher.close().await.expect("nothing is lost");
    publisher.close().await.expect("harmless");
    until("the last message", || node.count() == COUNT as usize + 1).await;
    let late = publisher.publish(&numbered(&emitter, 1, 1));
    assert!(matches!(late, Err(AdapterError::Closed)));
    node.adapter.close().await;
}
