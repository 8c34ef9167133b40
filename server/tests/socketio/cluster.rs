//! Several servers in one process on one bus: everything that an operator does reaches the sockets
//! of all of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socketio_core::cluster::{BoxFuture, ClusterHandler, ClusterMessage, ClusterResponse};
use socketio_server::extract::Data;
use socketio_server::{
    Adapter, AdapterError, EmitError, MemoryBus, NodeId, Reply, Room, Server, ServerEvent, Socket,
    SocketId,
};
use tokio::sync::mpsc;

use crate::support::{Client, Served, serve, soon, until};

const SHORT: Duration = Duration::from_millis(200);

struct Nodes {
    bus: MemoryBus,
    nodes: Vec<Served>,
}

impl Nodes {
    async fn start(count: usize) -> Self {
        let bus = MemoryBus::immediate();
        let mut nodes = Vec::new();
        for number in 1..=count {
            let id = NodeId::from(format!("node {number}"));
            let builder = Server::builder().adapter(bus.adapter()).node_id(id);
            let served = serve(builder).await;
            served.io.on("sync", async || Reply(()));
            served
                .io
                .on("join", async |socket: Socket, Data(room): Data<String>| {
                    socket.join(room);
                    Reply(())
                });
            served.io.join_cluster().await.expect("the bus is there");
            nodes.push(served);
        }
        Self { bus, nodes }
    }

    fn io(&self, at: usize) -> &Server {
        &self.nodes[at].io
    }

    /// A client of each node, in a room.
    async fn clients(&self, room: &str) -> Vec<Client> {
        let mut clients = Vec::new();
        for node in &self.nodes {
            let mut client = node.client().await;
            let () = client.call("join", room).await;
            clients.push(client);
        }
        clients
    }
}

#[tokio::test]
async fn nodes_know_each_other_from_the_start_until_they_leave() {
    let nodes = Nodes::start(3).await;
    for node in &nodes.nodes {
        assert_eq!(node.io.node_count(), 3);
        assert_eq!(node.io.adapter_name(), "memory");
    }
    let others = nodes.io(1).other_nodes();
    assert_eq!(others, [NodeId::from("node 1"), NodeId::from("node 3")]);
    nodes.io(2).close().await;
    assert_eq!(nodes.io(0).node_count(), 2);
    let again = nodes.io(0).join_cluster().await;
    assert!(matches!(again, Err(AdapterError::AlreadyStarted)));
}

#[tokio::test]
async fn a_broadcast_reaches_the_sockets_of_all_nodes_once() {
    let nodes = Nodes::start(3).await;
    let mut clients = nodes.clients("a").await;
    let image = Bytes::from_static(b"\x00\x01\xff");
    nodes
        .io(0)
        .to(["a", "b"])
        .emit("x", ("é", image.clone()))
        .unwrap();
    for client in &mut clients {
        let got: (String, Bytes) = client.expect("x").await;
        assert_eq!(got, ("é".to_owned(), image.clone()));
    }
    // Sockets are left out, and addressed, by their ids wherever they are.
    nodes.io(1).except(&clients[2].id).emit("y", ()).unwrap();
    nodes.io(1).to(&clients[2].id).emit("z", ()).unwrap();
    clients[0].expect::<()>("y").await;
    clients[1].expect::<()>("y").await;
    clients[2].expect::<()>("z").await;
    let sender = nodes.io(0).socket(&clients[0].id).expect("connected");
    sender.broadcast().emit("others", ()).unwrap();
    sender.local().emit("nobody", ()).unwrap();
    nodes.io(2).local().emit("mine", ()).unwrap();
    clients[1].expect::<()>("others").await;
    clients[2].expect::<()>("others").await;
    clients[2].expect::<()>("mine").await;
    for client in &mut clients {
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn namespaces_are_kept_apart_on_the_bus() {
    let nodes = Nodes::start(2).await;
    let chats: Vec<_> = nodes.nodes.iter().map(|node| node.io.of("/chat")).collect();
    let mut main = nodes.nodes[1].client().await;
    let mut chat = nodes.nodes[1].client_of("/chat").await;
    chats[0].emit("x", 1).unwrap();
    // One that the other node does not have.
    nodes.io(0).of("/elsewhere").emit("x", 2).unwrap();
    nodes.io(0).emit("x", 3).unwrap();
    assert_eq!(chat.expect::<u8>("x").await, 1);
    assert_eq!(main.expect::<u8>("x").await, 3);
}

#[tokio::test]
async fn what_one_node_sends_arrives_in_order_everywhere() {
    const COUNT: u32 = 1000;
    let nodes = Nodes::start(2).await;
    let mut clients = nodes.clients("a").await;
    let io = nodes.io(0).clone();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            // By turns to the room, to all and to a list of rooms.
            let sent = match number % 3 {
                0 => io.to("a").emit("n", number),
                1 => io.emit("n", number),
                _ => io.to(["a", "b"]).emit("n", number),
            };
            sent.expect("sent");
        }
    });
    for client in &mut clients {
        for number in 0..COUNT {
            assert_eq!(client.expect::<u32>("n").await, number);
        }
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn sockets_of_other_nodes_join_leave_and_are_disconnected() {
    let nodes = Nodes::start(2).await;
    let mut clients = nodes.clients("a").await;
    let (near, far) = (clients[0].id.clone(), clients[1].id.clone());
    nodes.io(0).within("a").join(["b", "c"]).unwrap();
    nodes.io(0).within(&far).leave("c").unwrap();
    assert_eq!(nodes.io(1).room_members("b"), std::slice::from_ref(&far));
    assert!(nodes.io(1).room_members("c").is_empty());
    assert_eq!(nodes.io(0).room_members("c"), [near]);
    nodes.io(0).to(&far).disconnect(true).unwrap();
    clients[1].expect_close().await;
    until("the socket to go", || nodes.io(1).socket_count() == 0).await;
    clients[0].expect_silence().await;
}

#[tokio::test]
async fn sockets_of_all_nodes_are_fetched_with_their_details() {
    let nodes = Nodes::start(3).await;
    let clients = nodes.clients("a").await;
    let far = nodes.io(2).socket(&clients[2].id).expect("connected");
    far.set_data(("some", 1)).unwrap();
    let mut found = nodes.io(0).fetch_sockets().await.expect("all answer");
    found.sort_by_key(|socket| socket.id != clients[2].id);
    assert_eq!(found.len(), 3);
    let socket = &found[0];
    assert_eq!(
        socket.data::<(String, u8)>().unwrap(),
        ("some".to_owned(), 1)
    );
    assert!(socket.rooms.contains(&Room::from("a")));
    assert!(socket.rooms.contains(&Room::from(&socket.id)));
    let handshake = &socket.handshake;
    assert_eq!(handshake.address, "127.0.0.1");
    assert!(handshake.headers.contains(&("x-test".into(), "yes".into())));
    assert!(handshake.query.contains(&("EIO".into(), "4".into())));
    assert_eq!(handshake.issued, {
        let local = nodes.io(2).local().fetch_sockets().await.expect("local");
        // Milliseconds are what the wire has.
        let issued = local[0].handshake.issued;
        let since = issued.duration_since(std::time::UNIX_EPOCH).unwrap();
        std::time::UNIX_EPOCH + Duration::from_millis(since.as_millis() as u64)
    });
    let some = nodes.io(1).to(&clients[2].id).fetch_sockets().await;
    let some = some.expect("all answer");
    assert_eq!(some.len(), 1);
    let page = nodes.io(0).metrics().encode();
    let took =
        "socketio_cluster_request_seconds_count{kind=\"fetch_sockets\",outcome=\"complete\"}";
    assert!(page.contains(&format!("\n{took} 1\n")), "{page}");
    // And it is as good as a local one.
    some[0].join("b").unwrap();
    assert_eq!(nodes.io(2).room_members("b").len(), 1);
}

#[tokio::test]
async fn a_dead_node_is_named_and_the_others_answer() {
    let nodes = Nodes::start(3).await;
    let mut clients = nodes.clients("a").await;
    let dead = NodeId::from("node 3");
    nodes.bus.kill(&dead);
    let fetch = nodes.io(0).timeout(SHORT);
    let error = soon("a partial result", fetch.fetch_sockets()).await;
    let error = error.expect_err("one is missing");
    assert_eq!(error.missing.nodes, std::slice::from_ref(&dead));
    assert_eq!(error.missing.unnamed, 0);
    let mut found: Vec<SocketId> = error.sockets.into_iter().map(|s| s.id).collect();
    found.sort();
    let mut expected = vec![clients[0].id.clone(), clients[1].id.clone()];
    expected.sort();
    assert_eq!(found, expected);

    let acks = nodes.io(0).timeout(SHORT).emit_with_ack::<_, u8>("q", ());
    let acks = acks.expect("sent");
    for client in &mut clients[..2] {
        let (ack, ()) = client.expect_question("q").await;
        client.answer(ack, 1).await;
    }
    let answers = soon("partial answers", acks.collect()).await;
    assert_eq!(answers.missing_nodes.nodes, [dead]);
    assert!(answers.missing.is_empty());
    assert_eq!(answers.into_data().count(), 2);

    let page = nodes.io(0).metrics().encode();
    for (kind, outcome, count) in [
        ("fetch_sockets", "partial", 1),
        ("broadcast", "partial", 1),
        ("fetch_sockets", "complete", 0),
    ] {
        let labels = format!("{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
        let line = format!("\nsocketio_cluster_request_seconds_count{labels} {count}\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
}

#[tokio::test]
async fn acks_come_from_all_nodes_and_who_is_silent_is_named() {
    let nodes = Nodes::start(3).await;
    let mut clients = nodes.clients("a").await;
    let acks = nodes.io(1).to("a").emit_with_ack::<_, String>("name?", 7);
    let acks = acks.expect("sent");
    for (client, name) in clients.iter_mut().zip(["one", "two", "three"]) {
        let (ack, n): (_, u8) = client.expect_question("name?").await;
        assert_eq!(n, 7);
        client.answer(ack, name).await;
    }
    let answers = soon("all answers", acks.collect()).await;
    assert!(answers.is_complete());
    let mut names: Vec<_> = answers
        .responses
        .iter()
        .map(|response| {
            (
                response.socket.clone().unwrap(),
                response.data.clone().unwrap(),
            )
        })
        .collect();
    names.sort();
    let mut expected: Vec<_> = clients
        .iter()
        .zip(["one", "two", "three"])
        .map(|(client, name)| (client.id.clone(), name.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(names, expected);

    // Now the last one does not answer.
    let acks = nodes.io(0).timeout(SHORT).emit_with_ack::<_, u8>("q", ());
    let acks = acks.expect("sent");
    for client in &mut clients[..2] {
        let (ack, ()) = client.expect_question("q").await;
        client.answer(ack, 1).await;
    }
    let answers = soon("the timeout", acks.collect()).await;
    assert_eq!(answers.missing, [clients[2].id.clone()]);
    assert!(answers.missing_nodes.is_empty(), "its node did answer");
    assert_eq!(answers.into_data().count(), 2);
}

#[tokio::test]
async fn one_remote_socket_can_be_asked() {
    let nodes = Nodes::start(2).await;
    let mut client = nodes.nodes[1].client().await;
    let found = nodes.io(0).fetch_sockets().await.expect("all answer");
    let asking = tokio::spawn(async move {
        let answer = found[0].emit_with_ack::<_, u8>("q", (), Duration::from_secs(10));
        answer.await
    });
    let (ack, ()) = client.expect_question("q").await;
    client.answer(ack, 42).await;
    assert_eq!(soon("the answer", asking).await.unwrap(), Ok(42));
}

#[tokio::test]
async fn servers_talk_to_each_other() {
    let nodes = Nodes::start(3).await;
    let (heard, mut hears) = mpsc::channel(1000);
    for at in 0..3 {
        let heard = heard.clone();
        nodes
            .io(at)
            .on_server_event("note", move |event: ServerEvent| {
                let heard = heard.clone();
                async move {
                    let note: u32 = event.data().expect("a number");
                    heard.send((at, note)).await.expect("the test goes on");
                }
            });
    }
    for note in 0..300 {
        nodes.io(0).server_side_emit("note", note).unwrap();
    }
    let mut next = [0, 0, 0];
    for _ in 0..600 {
        let (at, note) = soon("a note", hears.recv()).await.unwrap();
        assert_eq!(note, next[at], "in order");
        next[at] += 1;
    }
    assert_eq!(next, [0, 300, 300], "the sender does not hear itself");

    let sum = |at: u32| {
        move |event: ServerEvent| async move {
            let (a, b): (u32, u32) = event.data().expect("two numbers");
            // Later than the first poll.
            tokio::task::yield_now().await;
            event.reply(a + b + at).expect("a number");
        }
    };
    nodes.io(1).on_server_event("sum", sum(10));
    nodes.io(2).on_server_event("sum", sum(20));
    let asked = nodes
        .io(0)
        .server_side_emit_with_ack::<_, u32>("sum", (1, 2));
    let answers = soon("two answers", asked).await.unwrap();
    assert!(answers.missing.is_empty());
    let mut sums: Vec<u32> = answers
        .replies
        .into_iter()
        .map(|r| r.data.unwrap())
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, [13, 23]);
    assert!(matches!(
        nodes.io(0).server_side_emit("connection", ()),
        Err(EmitError::Reserved(_))
    ));
}

#[tokio::test]
async fn a_server_on_its_own_has_nobody_to_wait_for() {
    let served = serve(Server::builder()).await;
    served.io.join_cluster().await.unwrap();
    assert_eq!(served.io.node_count(), 1);
    served.io.server_side_emit("x", ()).unwrap();
    let answers = served.io.server_side_emit_with_ack::<_, u8>("x", ()).await;
    let answers = answers.unwrap();
    assert!(answers.replies.is_empty() && answers.missing.is_empty());
    let nodes = Nodes::start(1).await;
    assert!(nodes.io(0).fetch_sockets().await.unwrap().is_empty());
    nodes.io(0).close().await;
}

/// An adapter whose broker is gone.
#[derive(Debug)]
struct Broken;

impl Adapter for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn start(&self, _: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async { Ok(()) })
    }

    fn publish(&self, _: &ClusterMessage) -> Result<(), AdapterError> {
        Err(AdapterError::QueueFull)
    }

    fn respond(&self, _: &NodeId, _: ClusterResponse) -> Result<(), AdapterError> {
        Err(AdapterError::QueueFull)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn without_a_broker_the_sockets_of_this_node_have_everything() {
    let served = serve(Server::builder().adapter(Arc::new(Broken))).await;
    served
        .io
        .join_cluster()
        .await
        .expect("a broker may come later");
    assert_eq!(served.io.adapter_name(), "broken");
    let mut client = served.client().await;
    let error = served
        .io
        .emit("x", 1)
        .expect_err("the others were not told");
    let EmitError::Adapter(failure) = error else {
        panic!("{error}");
    };
    assert!(matches!(*failure, AdapterError::QueueFull));
    assert_eq!(client.expect::<u8>("x").await, 1);
    served
        .io
        .local()
        .emit("x", 2)
        .expect("nobody else is concerned");
    assert_eq!(client.expect::<u8>("x").await, 2);
    assert_eq!(served.io.fetch_sockets().await.expect("one").len(), 1);
    soon("the end", served.io.close()).await;
}

/// Whatever comes over the bus: nothing breaks, and the node still serves.
#[tokio::test]
async fn answers_that_nobody_asked_for_are_ignored() {
    let nodes = Nodes::start(1).await;
    let stranger = nodes.bus.adapter();
    let id = NodeId::from("stranger");
    struct Deaf(NodeId);
    impl ClusterHandler for Deaf {
        fn node(&self) -> &NodeId {
            &self.0
        }
        fn on_message(&self, _: ClusterMessage) {}
        fn on_response(&self, _: ClusterResponse) {}
    }
    stranger.start(Arc::new(Deaf(id.clone()))).await.unwrap();
    let response = ClusterResponse {
        node: Some(id),
        namespace: "/".into(),
        request: "no such request".into(),
        body: socketio_core::cluster::ResponseBody::Sockets(Vec::new()),
    };
    stranger.respond(&NodeId::from("node 1"), response).unwrap();
    let mut client = nodes.nodes[0].client().await;
    nodes.io(0).emit("x", ()).unwrap();
    client.expect::<()>("x").await;
}
