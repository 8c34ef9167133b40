//! The rooms of a cluster: counted without asking, and watched.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socketio_server::{
    MembersConfig, MemoryBus, NodeId, OccupancyConfig, RoomCount, Server, Socket,
};

use crate::cluster_support::{builder, client_in, count_becomes, nodes, sample, start};
use crate::support::{comes, until};

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
    comes("the rooms", async || {
        nodes[1].io.rooms().await.count(host.id.clone()) == 2
    })
    .await;
    let () = guest.call("leave", host.id.as_str()).await;
    comes("the rooms", async || {
        nodes[1].io.rooms().await.rooms.is_empty()
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

#[tokio::test]
async fn the_share_of_a_node_that_dies_is_gone_within_the_death_window() {
    let bus = MemoryBus::immediate();
    let window = MembersConfig::default();
    let one = start(builder(1).heartbeat(window).adapter(bus.adapter())).await;
    let two = start(builder(2).heartbeat(window).adapter(bus.adapter())).await;
    let three = start(builder(3).heartbeat(window).adapter(bus.adapter())).await;
    let log = log_presence(&one.io);
    for node in [&one, &two, &three] {
        node.io.join_cluster().await.expect("the bus is there");
    }
    let _near = client_in(&one, &["a"]).await;
    let _far = client_in(&two, &["a", "b"]).await;
    count_becomes(&one.io, "a", 2).await;
    count_becomes(&one.io, "b", 1).await;

    // Nothing that is to come needs the network.
    tokio::time::pause();
    let died = tokio::time::Instant::now();
    bus.kill(two.io.node_id());
    let step = Duration::from_millis(10);
    let error = one.io.timeout(step).fetch_sockets().await;
    let error = error.expect_err("it does not answer");
    assert_eq!(error.missing.nodes, [NodeId::from("node 2")]);
    while one.io.operator().count().await.count == 2 {
        tokio::time::sleep(step).await;
    }
    let took = died.elapsed();
    assert!(took <= window.heartbeat_timeout + step, "{took:?}");
    assert!(
        took >= window.heartbeat_timeout - window.heartbeat_interval,
        "a silence of one interval is no death: {took:?}"
    );
    assert_eq!(one.io.in_room("a").count().await.count, 1);
    let rooms = one.io.rooms().await;
    assert_eq!(rooms.rooms, [("a".into(), 1)]);
    assert!(rooms.is_complete());
    assert_eq!(one.io.other_nodes(), [NodeId::from("node 3")]);
    assert_eq!(log.lock().last().expect("notices"), "/b - node 2");
    assert_eq!(one.io.fetch_sockets().await.expect("all answer").len(), 1);
}

#[tokio::test]
async fn a_namespace_that_a_node_makes_later_is_counted_and_heard_there_too() {
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    let [one, two] = [&nodes[0], &nodes[1]];
    two.io.of("/late").on_connect(async |socket: Socket| {
        socket.join("a");
    });
    let mut far = two.client_of("/late").await;
    until("the rooms", || two.io.of("/late").room_size("a") == 1).await;
    // News of it have come before there is such a namespace here.
    until("news", || sample(&one.io, "cluster_remote_rooms") == 2.0).await;
    let late = one.io.of("/late");
    comes("the count", async || {
        late.in_room("a").count().await.count == 1
    })
    .await;
    assert_eq!(late.fetch_sockets().await.expect("all answer").len(), 1);
    late.to("a").emit("x", 1).expect("sent");
    assert_eq!(far.expect::<u8>("x").await, 1);
    let mut near = one.client_of("/late").await;
    two.io.of("/late").emit("x", 2).expect("sent");
    assert_eq!(near.expect::<u8>("x").await, 2);
    comes("the count", async || {
        two.io.of("/late").operator().count().await.count == 2
    })
    .await;
}
