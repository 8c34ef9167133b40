//! The members of a cluster: those of which only the number is known, what is told to the adapter
//! and by it, how a node leaves, and what metrics show of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use socketio_core::cluster::{
    BoxFuture, ClusterHandler, ClusterMessage, ClusterResponse, Interest, MemoryAdapter, Operation,
    ResponseBody, RoomNews,
};
use socketio_core::target::Target;
use socketio_server::{Adapter, AdapterError, MembersConfig, MemoryBus, NodeId, Payload};

use crate::cluster_support::{
    Deaf, SHORT, builder, client_in, count_becomes, nodes, sample, start,
};
use crate::support::{Served, soon, until};

#[tokio::test]
async fn what_a_broker_brings_again_or_back_does_nothing() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 1).await;
    let mut client = client_in(&nodes[0], &["a"]).await;
    let broker = bus.adapter();
    let handler = Arc::new(Deaf("broker".into()));
    broker.start(handler).await.expect("new");
    let bring = |node: &str, sequence, number: u32| {
        let payload = Payload::event("n", &number).expect("data");
        let message = ClusterMessage {
            node: node.into(),
            namespace: "/".into(),
            sequence: Some(sequence),
            trace: None,
            operation: Operation::Broadcast {
                payload,
                target: Target::room("a"),
                request: None,
            },
        };
        broker.publish(&message).expect("started");
    };
    for (node, sequence, number) in [
        ("other", 10, 1),
        ("other", 10, 1),
        ("other", 11, 2),
        ("node 1", 12, 99),
        ("other", 12, 3),
        ("other", 11, 2),
        ("third", 10, 4),
        ("other", 10, 1),
        ("other", 13, 5),
    ] {
        bring(node, sequence, number);
    }
    for number in 1..=5 {
        assert_eq!(client.expect::<u32>("n").await, number);
    }
    client.expect_silence().await;
}

/// A bus on which there are also members without names, and that wants to know everything.
#[derive(Debug)]
struct Mixed {
    bus: Arc<MemoryAdapter>,
    handler: Mutex<Option<Handler>>,
    interest: Mutex<Vec<String>>,
    asked: Mutex<Vec<Operation>>,
    uncounted: bool,
}

struct Handler(Arc<dyn ClusterHandler>);

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}

impl Mixed {
    fn new(bus: &MemoryBus, uncounted: bool) -> Arc<Self> {
        Arc::new(Self {
            bus: bus.adapter(),
            handler: Mutex::default(),
            interest: Mutex::default(),
            asked: Mutex::default(),
            uncounted,
        })
    }

    fn handler(&self) -> Arc<dyn ClusterHandler> {
        let handler = self.handler.lock();
        Arc::clone(&handler.as_ref().expect("started").0)
    }

    /// A member without a name answers the last question.
    fn answer(&self, name: Option<&str>, body: ResponseBody) {
        let asked = self.asked.lock();
        let request = asked.last().and_then(Operation::request).expect("asked");
        self.handler().on_response(ClusterResponse {
            node: name.map(NodeId::foreign),
            namespace: "/".into(),
            request: request.clone(),
            body,
        });
    }

    async fn asked(&self, count: usize) {
        until("a question", || self.asked.lock().len() >= count).await;
    }
}

impl Adapter for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        *self.handler.lock() = Some(Handler(Arc::clone(&handler)));
        self.bus.start(handler)
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        if message.operation.request().is_some() {
            self.asked.lock().push(message.operation.clone());
        }
        self.bus.publish(message)
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        self.bus.respond(to, response)
    }

    fn watches_rooms(&self) -> bool {
        true
    }

    fn watch(&self, change: Interest<'_>) {
        let line = match change {
            Interest::NamespaceOpened(name) => format!("+{name}"),
            Interest::NamespaceClosed(name) => format!("-{name}"),
            Interest::RoomOpened {
                namespace,
                room,
                private,
            } => format!(
                "{namespace} +{}{room}",
                if private { "private " } else { "" }
            ),
            Interest::RoomClosed { namespace, room } => format!("{namespace} -{room}"),
            _ => unreachable!("no other changes"),
        };
        self.interest.lock().push(line);
    }

    fn has_uncounted_members(&self) -> bool {
        self.uncounted
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus.close()
    }
}

/// Two nodes of a cluster, the first of which knows of members without names.
async fn pair(bus: &MemoryBus, mixed: &Arc<Mixed>) -> (Served, Served) {
    let one = start(builder(1).adapter(Arc::clone(mixed) as _)).await;
    one.io.join_cluster().await.expect("the bus is there");
    let two = start(builder(2).adapter(bus.adapter())).await;
    two.io.join_cluster().await.expect("the bus is there");
    (one, two)
}

#[tokio::test]
async fn members_without_names_are_asked_waited_for_and_written_off() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let (one, _two) = pair(&bus, &mixed).await;
    let _clients = client_in(&one, &["a"]).await;
    let handler = mixed.handler();
    handler.on_foreign("/", 2);
    assert_eq!(one.io.node_count(), 4);

    // Both answer, one without saying who it is.
    let io = one.io.clone();
    let counting = tokio::spawn(async move { io.in_room("a").count().await });
    mixed.asked(1).await;
    mixed.answer(None, ResponseBody::Sockets(Vec::new()));
    mixed.answer(Some("x"), ResponseBody::Sockets(Vec::new()));
    let count = soon("both answers", counting).await.expect("no panic");
    assert_eq!((count.count, count.is_complete()), (1, true));

    // One leaves instead of answering.
    let io = one.io.clone();
    let fetching = tokio::spawn(async move { io.fetch_sockets().await });
    mixed.asked(2).await;
    mixed.answer(Some("x"), ResponseBody::Sockets(Vec::new()));
    handler.on_foreign("/", 1);
    let error = soon("the end", fetching).await.expect("no panic");
    let error = error.expect_err("one is missing");
    assert_eq!((error.sockets.len(), error.missing.unnamed), (1, 1));
    assert!(error.missing.nodes.is_empty(), "ours have answered");

    // One is silent, also to other questions.
    let rooms = one.io.timeout(SHORT).to("a").count().await;
    assert_eq!((rooms.count, rooms.unknown.unnamed), (1, 1));
    let others = one.io.timeout(SHORT);
    let asked = others.server_side_emit_with_ack::<_, u8>("load?", ());
    let answers = soon("the timeout", asked).await.expect("sent");
    assert_eq!(answers.missing.unnamed, 1);
    let acks = one
        .io
        .timeout(SHORT)
        .emit_with_ack::<_, u8>("q", ())
        .expect("sent");
    let acks = soon("the timeout", acks.collect()).await;
    assert_eq!(acks.missing_nodes.unnamed, 1);
    handler.on_foreign("/", 0);
    assert_eq!(one.io.fetch_sockets().await.expect("all answer").len(), 1);
}

#[tokio::test]
async fn a_number_of_members_that_cannot_be_is_no_panic() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let (one, two) = pair(&bus, &mixed).await;
    let handler = mixed.handler();
    handler.on_foreign("/", usize::MAX);
    assert_eq!(one.io.node_count(), usize::MAX);
    // One of ours is silent too, so that there is more than that number.
    bus.kill(two.io.node_id());
    let error = one.io.timeout(SHORT).fetch_sockets().await;
    let error = error.expect_err("nobody answers");
    assert_eq!(
        (error.missing.nodes.len(), error.missing.unnamed),
        (1, usize::MAX)
    );
    assert_eq!(error.missing.len(), usize::MAX);
    assert!(error.to_string().contains("nodes"), "{error}");
}

#[tokio::test]
async fn an_answer_may_come_from_members_that_nobody_counts() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, true);
    let (one, two) = pair(&bus, &mixed).await;
    let mut client = two.client().await;
    let found = one.io.fetch_sockets().await.expect("ours answer");
    assert!(one.io.has_uncounted_members());
    assert!(one.io.in_room("a").count().await.uncounted);
    // The socket has moved to a member of the other kind.
    let socket = found[0].clone();
    two.io.disconnect_sockets(true).expect("told");
    client.expect_close().await;
    until("nobody is there", || two.io.socket_count() == 0).await;
    let asking = tokio::spawn(async move {
        let answer = socket.emit_with_ack::<_, u8>("q", (), Duration::from_secs(10));
        answer.await
    });
    mixed.asked(2).await;
    let payload = Payload::args(&7).expect("data");
    mixed.answer(
        Some("py:x"),
        ResponseBody::Ack {
            socket: None,
            payload,
        },
    );
    assert_eq!(soon("the answer", asking).await.expect("no panic"), Ok(7));
}

#[tokio::test]
async fn the_adapter_learns_what_there_is_in_order() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let served = start(builder(1).adapter(Arc::clone(&mixed) as _)).await;
    let _parent = served.io.of_pattern("^/game-").expect("a pattern");
    let mut client = client_in(&served, &["a"]).await;
    let id = client.id.clone();
    // Before the cluster was joined, too.
    assert_eq!(
        *mixed.interest.lock(),
        [
            "+/".to_owned(),
            "+/chat".to_owned(),
            format!("/ +private {id}"),
            "/ +a".to_owned()
        ]
    );
    served.io.join_cluster().await.expect("the bus is there");
    mixed.interest.lock().clear();
    let mut other = client_in(&served, &["a", "b"]).await;
    let () = client.call("leave", "a").await;
    let () = other.call("leave", "a").await;
    let other_id = other.id.clone();
    drop(other);
    until("the last one", || served.io.socket_count() == 1).await;
    let closed = format!("/ -{other_id}");
    until("the end of its room", || {
        mixed.interest.lock().contains(&closed)
    })
    .await;
    let interest = mixed.interest.lock().clone();
    assert_eq!(
        interest[..3],
        [
            format!("/ +private {other_id}"),
            "/ +b".to_owned(),
            "/ -a".to_owned()
        ]
    );
    let mut last = interest[3..].to_vec();
    last.sort();
    let mut expected = vec![closed, "/ -b".to_owned()];
    expected.sort();
    assert_eq!(last, expected);
}

#[tokio::test]
async fn a_closed_child_of_a_dynamic_namespace_is_told_too() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let builder = builder(1).cleanup_empty_child_namespaces(true);
    let served = start(builder.adapter(Arc::clone(&mixed) as _)).await;
    let _parent = served.io.of_pattern("^/game-").expect("a pattern");
    served.io.join_cluster().await.expect("the bus is there");
    let client = served.client_of("/game-1").await;
    drop(client);
    until("the end", || {
        mixed.interest.lock().last() == Some(&"-/game-1".to_owned())
    })
    .await;
    assert!(mixed.interest.lock().contains(&"+/game-1".to_owned()));
}

#[tokio::test]
async fn who_is_connected_again_announces_itself() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let calm = MembersConfig {
        heartbeat_interval: Duration::from_secs(3600),
        heartbeat_timeout: Duration::from_secs(7200),
    };
    let one = start(builder(1).heartbeat(calm).adapter(Arc::clone(&mixed) as _)).await;
    let two = start(builder(2).heartbeat(calm).adapter(bus.adapter())).await;
    one.io.join_cluster().await.expect("the bus is there");
    two.io.join_cluster().await.expect("the bus is there");
    let _client = client_in(&two, &["a"]).await;
    count_becomes(&one.io, "a", 1).await;
    // What comes next is lost, but for the fact that something is.
    let handler = mixed.handler();
    let news = RoomNews::Delta {
        version: 1000,
        changes: Vec::new(),
    };
    handler.on_message(ClusterMessage {
        node: NodeId::from("node 2"),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation: Operation::Rooms(news),
    });
    assert_eq!(one.io.in_room("a").count().await.unknown.len(), 1);
    count_becomes(&one.io, "a", 1).await;
    // A node that was away is answered with summaries, and answers itself.
    handler.on_connected(true);
    count_becomes(&one.io, "a", 1).await;
    assert_eq!((one.io.node_count(), two.io.node_count()), (2, 2));
}

#[tokio::test]
async fn a_drain_that_is_given_up_can_still_leave_the_cluster() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    let _client = client_in(&nodes[1], &["a"]).await;
    let io = nodes[1].io.clone();
    let drain = io.drain(Duration::from_secs(3600));
    assert!(tokio::time::timeout(SHORT, drain).await.is_err());
    assert_eq!(nodes[0].io.node_count(), 2, "its client is still served");
    soon("the goodbye", io.leave_cluster()).await;
    assert_eq!(nodes[0].io.node_count(), 1);
    soon("nothing to do any more", io.leave_cluster()).await;
}

#[tokio::test]
async fn who_is_leaving_waits_for_nobody() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 3).await;
    bus.kill(nodes[2].io.node_id());
    let io = &nodes[0].io;
    // Given up before the adapter is closed, so that others can still be asked.
    assert!(io.leave_cluster().now_or_never().is_none());
    let waits = Duration::from_secs(3600);
    let error = soon("the answer", io.timeout(waits).fetch_sockets()).await;
    let error = error.expect_err("nobody is waited for");
    assert!(error.missing.nodes.contains(&NodeId::from("node 3")));
    soon("the end", io.leave_cluster()).await;
}

#[tokio::test]
async fn servers_that_are_asked_have_the_time_that_the_asking_one_gives() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    nodes[1]
        .io
        .on_server_event("never", |_| std::future::pending());
    let started = tokio::time::Instant::now();
    let others = nodes[0].io.timeout(SHORT);
    let asked = others.server_side_emit_with_ack::<_, u8>("never", ());
    let answers = soon("the timeout", asked).await.expect("sent");
    assert_eq!(answers.missing.nodes, [NodeId::from("node 2")]);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "not the default"
    );
}

/// Hands on to another adapter by a queue, and takes its time for the first broadcast.
#[derive(Debug)]
struct Slow {
    inner: Arc<MemoryAdapter>,
    queue: std::sync::mpsc::Sender<ClusterMessage>,
    /// Told when one is held up.
    held: std::sync::mpsc::SyncSender<()>,
    /// Ends that.
    go: Mutex<std::sync::mpsc::Receiver<()>>,
    is_used: AtomicBool,
}

impl Adapter for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        self.inner.start(handler)
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let is_first = matches!(message.operation, Operation::Broadcast { .. })
            && !self.is_used.swap(true, Ordering::Relaxed);
        if is_first {
            self.held.send(()).expect("somebody waits for it");
            // As long as the other thread gets on, and not for ever if it does not.
            let _ = self.go.lock().recv_timeout(Duration::from_secs(1));
        }
        self.queue.send(message.clone()).expect("a thread hands on");
        Ok(())
    }

    fn queues(&self) -> bool {
        true
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        self.inner.respond(to, response)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_is_held_up_while_it_publishes_loses_nothing() {
    let bus = MemoryBus::immediate();
    let (held, is_held) = std::sync::mpsc::sync_channel(1);
    let (go, goes) = std::sync::mpsc::sync_channel(1);
    let (queue, queued) = std::sync::mpsc::channel::<ClusterMessage>();
    let inner = bus.adapter();
    let outlet = Arc::clone(&inner);
    std::thread::spawn(move || {
        for message in queued {
            // It may be closed already.
            let _ = outlet.publish(&message);
        }
    });
    let slow = Arc::new(Slow {
        inner,
        queue,
        held,
        go: Mutex::new(goes),
        is_used: AtomicBool::new(false),
    });
    let sender = start(builder(1).adapter(slow)).await;
    let receiver = start(builder(2).adapter(bus.adapter())).await;
    for node in [&sender, &receiver] {
        node.io.join_cluster().await.expect("the bus is there");
    }
    let mut client = client_in(&receiver, &["a"]).await;
    let io = sender.io.clone();
    let first = std::thread::spawn(move || io.to("a").emit("n", 0).expect("sent"));
    let io = sender.io.clone();
    let others = tokio::task::spawn_blocking(move || {
        is_held.recv().expect("the first one is published");
        for number in 1..=100 {
            io.to("a").emit("n", number).expect("sent");
        }
        let _ = go.send(());
    });
    soon("all are sent", others).await.expect("no panic");
    first.join().expect("no panic");
    // They have no order, being of different threads; but each is there.
    let mut heard = Vec::new();
    for _ in 0..=100 {
        heard.push(client.expect::<u32>("n").await);
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..=100).collect::<Vec<_>>());
    assert_eq!(sample(&receiver.io, "cluster_missed_messages_total"), 0.0);
}

#[tokio::test]
async fn metrics_tell_of_the_cluster() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 3).await;
    let _client = client_in(&nodes[1], &["a", "b"]).await;
    let io = &nodes[0].io;
    count_becomes(io, "b", 1).await;
    assert_eq!(sample(io, "cluster_members"), 3.0);
    assert_eq!(sample(io, "adapter_up"), 1.0);
    assert_eq!(sample(io, "adapter_info{name=\"memory\"}"), 1.0);
    // Two rooms and their namespace.
    assert_eq!(sample(io, "cluster_remote_rooms"), 3.0);
    assert_eq!(sample(io, "cluster_unknown_members"), 0.0);
    assert!(sample(io, "cluster_room_news_received_total{kind=\"delta\"}") >= 1.0);
    assert!(sample(io, "cluster_room_news_received_total{kind=\"digest\"}") >= 1.0);
    assert!(sample(&nodes[1].io, "cluster_room_news_sent_total{kind=\"delta\"}") >= 1.0);

    let pending = "cluster_requests_pending{kind=\"server_side_emit\"}";
    let partial = "cluster_requests_partial_total{kind=\"server_side_emit\"}";
    let asked = "cluster_requests_total{kind=\"server_side_emit\"}";
    let question = {
        let io = io.clone();
        let others = io.timeout(SHORT);
        tokio::spawn(async move { others.server_side_emit_with_ack::<_, u8>("load?", ()).await })
    };
    until("a pending question", || sample(io, pending) == 1.0).await;
    let answers = soon("the timeout", question).await.expect("no panic");
    assert_eq!(answers.expect("sent").missing.len(), 2);
    let counts = [sample(io, asked), sample(io, partial), sample(io, pending)];
    assert_eq!(counts, [1.0, 1.0, 0.0]);
    // Who is not waited for any more is not missed.
    let waiting = "cluster_requests_pending{kind=\"broadcast\"}";
    let acks = io.to("a").emit_with_ack::<_, u8>("q", ()).expect("sent");
    assert_eq!(sample(io, waiting), 1.0);
    drop(acks);
    let partial = "cluster_requests_partial_total{kind=\"broadcast\"}";
    assert_eq!((sample(io, waiting), sample(io, partial)), (0.0, 0.0));

    // A message again, and one of which the last seven before it are missing.
    let stranger = |sequence| ClusterMessage {
        node: NodeId::from("stranger"),
        namespace: "/".into(),
        sequence: Some(sequence),
        trace: None,
        operation: Operation::Heartbeat,
    };
    let adapter = bus.adapter();
    adapter
        .start(Arc::new(Deaf("stranger".into())))
        .await
        .expect("new");
    for sequence in [10, 10, 18, 12] {
        adapter.publish(&stranger(sequence)).expect("started");
    }
    assert_eq!(sample(io, "cluster_members"), 4.0);
    assert_eq!(sample(io, "cluster_missed_messages_total"), 7.0);
    assert_eq!(sample(io, "cluster_late_messages_total"), 1.0);
    assert_eq!(sample(io, "cluster_duplicates_total"), 1.0);
}
