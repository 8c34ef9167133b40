//! The rooms of a cluster: counted without asking, watched, and told to the adapter; and members of
//! which only the number is known.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use socketio_core::cluster::{
    BoxFuture, ClusterHandler, ClusterMessage, ClusterResponse, Interest, MemoryAdapter, Operation,
    ResponseBody,
};
use socketio_server::extract::Data;
use socketio_server::{
    Adapter, AdapterError, MembersConfig, MemoryBus, NodeId, OccupancyConfig, Reply, RoomCount,
    Server, ServerBuilder, Socket,
};

use crate::support::{Client, Served, serve, soon, until};

const SHORT: Duration = Duration::from_millis(200);

fn builder(number: usize) -> ServerBuilder {
    let id = NodeId::from(format!("node {number}"));
    let members = MembersConfig {
        heartbeat_interval: Duration::from_millis(100),
        heartbeat_timeout: Duration::from_millis(400),
    };
    let rooms = OccupancyConfig {
        interval: Duration::from_millis(5),
        ..OccupancyConfig::default()
    };
    let builder = Server::builder().node_id(id);
    builder.heartbeat(members).room_sharing(rooms)
}

async fn start(builder: ServerBuilder) -> Served {
    let served = serve(builder).await;
    for namespace in [served.io.of("/"), served.io.of("/chat")] {
        namespace.on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            Reply(())
        });
        namespace.on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            Reply(())
        });
    }
    served
}

async fn nodes(bus: &MemoryBus, count: usize) -> Vec<Served> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        let node = start(builder(number).adapter(bus.adapter())).await;
        node.io.join_cluster().await.expect("the bus is there");
        nodes.push(node);
    }
    nodes
}

async fn client_in(node: &Served, rooms: &[&str]) -> Client {
    let mut client = node.client().await;
    for room in rooms {
        let () = client.call("join", room).await;
    }
    client
}

async fn count_becomes(io: &Server, room: &str, count: u64) {
    soon(&format!("{count} in {room} on {}", io.node_id()), async {
        loop {
            let found = io.in_room(room).count().await;
            if found.is_complete() && found.count == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn all_nodes_count_the_members_of_all() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 3).await;
    let mut clients = vec![
        client_in(&nodes[0], &["a", "b"]).await,
        client_in(&nodes[0], &["a"]).await,
        client_in(&nodes[1], &["a"]).await,
    ];
    for node in &nodes {
        count_becomes(&node.io, "a", 3).await;
        count_becomes(&node.io, "b", 1).await;
        assert_eq!(node.io.operator().count().await.count, 3);
        assert_eq!(
            node.io.of("/chat").operator().count().await,
            RoomCount::default()
        );
        let rooms = node.io.rooms().await;
        assert!(rooms.is_complete());
        assert_eq!(rooms.rooms, [("a".into(), 3), ("b".into(), 1)]);
        assert_eq!((rooms.count("b"), rooms.count("c")), (1, 0));
        // These are asked for.
        let both = node.io.in_room(["a", "b"]).count().await;
        assert_eq!((both.count, both.is_complete()), (3, true));
        assert_eq!(node.io.to("a").except("b").count().await.count, 2);
        assert_eq!(node.io.in_room(&clients[2].id).count().await.count, 1);
    }
    assert_eq!(nodes[0].io.local().to("a").count().await.count, 2);
    // A node that comes later, and what was there before it joined.
    let late = start(builder(4).adapter(bus.adapter())).await;
    let _own = client_in(&late, &["a"]).await;
    late.io.join_cluster().await.expect("the bus is there");
    for io in [&nodes[2].io, &late.io] {
        count_becomes(io, "a", 4).await;
    }
    let () = clients[0].call("leave", "a").await;
    drop(clients.pop());
    for io in [&nodes[0].io, &nodes[2].io, &late.io] {
        count_becomes(io, "a", 2).await;
    }
    late.io.leave_cluster().await;
    count_becomes(&nodes[2].io, "a", 1).await;
}

#[tokio::test]
async fn the_room_of_a_socket_counts_when_others_are_in_it() {
    let bus = MemoryBus::immediate();
    let open = builder(1).private_id_rooms(false).adapter(bus.adapter());
    let nodes = [
        start(open).await,
        start(builder(2).adapter(bus.adapter())).await,
    ];
    for node in &nodes {
        node.io.join_cluster().await.expect("the bus is there");
    }
    let host = nodes[0].client().await;
    let mut guest = client_in(&nodes[0], &[host.id.as_str()]).await;
    soon("the rooms", async {
        while nodes[1].io.rooms().await.count(host.id.clone()) != 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let () = guest.call("leave", host.id.as_str()).await;
    soon("the rooms", async {
        while !nodes[1].io.rooms().await.rooms.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

type Log = Arc<Mutex<Vec<String>>>;

fn log_presence(io: &Server) -> Log {
    let log = Log::default();
    let (occupied, vacated) = (Arc::clone(&log), Arc::clone(&log));
    io.on_room_occupied(move |room| {
        let line = format!(
            "{}{} +{} {}",
            room.namespace, room.room, room.count, room.node
        );
        occupied.lock().push(line);
    });
    io.on_room_vacated(move |room| {
        assert_eq!(room.count, 0);
        let line = format!("{}{} - {}", room.namespace, room.room, room.node);
        vacated.lock().push(line);
    });
    log
}

#[tokio::test]
async fn the_first_member_in_the_cluster_and_the_last_are_told() {
    let bus = MemoryBus::immediate();
    let one = start(builder(1).adapter(bus.adapter())).await;
    let two = start(builder(2).adapter(bus.adapter())).await;
    let logs = [log_presence(&one.io), log_presence(&two.io)];
    one.io.join_cluster().await.expect("the bus is there");
    two.io.join_cluster().await.expect("the bus is there");
    let has = |line: &str| logs.iter().all(|log| log.lock().iter().any(|l| l == line));

    let mut near = client_in(&one, &["ada"]).await;
    until("ada on one", || has("/ada +1 node 1")).await;
    let far = client_in(&two, &["ada"]).await;
    count_becomes(&one.io, "ada", 2).await;
    let () = near.call("leave", "ada").await;
    count_becomes(&two.io, "ada", 1).await;
    drop(far);
    until("ada gone", || has("/ada - node 2")).await;
    for log in &logs {
        assert_eq!(
            *log.lock(),
            ["/ada +1 node 1", "/ada - node 2"],
            "nothing else"
        );
    }
    // A node that dies takes its members with it.
    let _far = client_in(&two, &["bob"]).await;
    until("bob on two", || has("/bob +1 node 2")).await;
    bus.kill(two.io.node_id());
    until("bob gone", || {
        logs[0].lock().contains(&"/bob - node 2".to_owned())
    })
    .await;
    count_becomes(&one.io, "bob", 0).await;
}

#[tokio::test]
async fn a_server_on_its_own_tells_presence_and_counts_too() {
    let served = start(Server::builder()).await;
    let log = log_presence(&served.io);
    let mut client = client_in(&served, &["a"]).await;
    assert_eq!(served.io.in_room("a").count().await.count, 1);
    assert_eq!(served.io.rooms().await.rooms, [("a".into(), 1)]);
    let () = client.call("leave", "a").await;
    let node = served.io.node_id();
    assert_eq!(
        *log.lock(),
        [format!("/a +1 {node}"), format!("/a - {node}")]
    );
}

#[tokio::test]
async fn a_node_that_keeps_its_counts_for_itself_is_named() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 1).await;
    let secret = OccupancyConfig {
        max_rooms: 0,
        ..OccupancyConfig::default()
    };
    let other = start(builder(2).room_sharing(secret).adapter(bus.adapter())).await;
    other.io.join_cluster().await.expect("the bus is there");
    let _client = client_in(&other, &["a", "b"]).await;
    let count = nodes[0].io.in_room("a").count().await;
    assert_eq!(count.unknown.nodes, [NodeId::from("node 2")]);
    assert!(!count.is_complete());
    // It answers when it is asked.
    let asked = nodes[0].io.in_room(["a", "b"]).count().await;
    assert_eq!((asked.count, asked.is_complete()), (1, true));
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

#[tokio::test]
async fn members_without_names_are_asked_waited_for_and_written_off() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, false);
    let one = start(builder(1).adapter(Arc::clone(&mixed) as _)).await;
    one.io.join_cluster().await.expect("the bus is there");
    let two = start(builder(2).adapter(bus.adapter())).await;
    two.io.join_cluster().await.expect("the bus is there");
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
async fn an_answer_may_come_from_members_that_nobody_counts() {
    let bus = MemoryBus::immediate();
    let mixed = Mixed::new(&bus, true);
    let one = start(builder(1).adapter(Arc::clone(&mixed) as _)).await;
    let two = start(builder(2).adapter(bus.adapter())).await;
    one.io.join_cluster().await.expect("the bus is there");
    two.io.join_cluster().await.expect("the bus is there");
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
    let payload = socketio_server::Payload::args(&7).expect("data");
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
    let news = socketio_core::cluster::RoomNews::Delta {
        version: 1000,
        changes: Vec::new(),
    };
    handler.on_message(ClusterMessage {
        node: NodeId::from("node 2"),
        namespace: "/".into(),
        sequence: None,
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

/// A sample of the page of metrics.
fn sample(io: &Server, name: &str) -> f64 {
    let page = io.metrics().encode();
    let found = page.lines().find_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        (sample == format!("socketio_{name}")).then(|| value.parse().expect(line))
    });
    found.unwrap_or_else(|| panic!("{name} in {page}"))
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

/// A member that does not listen.
struct Deaf(NodeId);

impl ClusterHandler for Deaf {
    fn node(&self) -> &NodeId {
        &self.0
    }

    fn on_message(&self, _: ClusterMessage) {}

    fn on_response(&self, _: ClusterResponse) {}
}
