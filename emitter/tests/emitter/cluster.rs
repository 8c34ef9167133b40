//! Two nodes with a client each, for an emitter to reach.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use socketio_emitter::{Emitter, IntoRooms};
use socketio_server::extract::Data;
use socketio_server::{Adapter, NodeId, Reply, Server, ServerEvent, Socket};

use crate::client::{Client, Served, serve, until};

/// Clients answer a ping only when they are read, and a broker may take a minute to start on a busy
/// machine.
const PING_INTERVAL: Duration = Duration::from_secs(600);

/// `a` is at the first node, in the rooms `a` and `both`; `b` at the second, in `b` and `both`.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Served>,
    pub(crate) a: Client,
    pub(crate) b: Client,
    /// At the second node, in the namespace `/chat`, in no room.
    pub(crate) chat: Client,
    /// What the nodes were told by server-side events.
    pub(crate) told: Arc<Mutex<Vec<(NodeId, String)>>>,
    fences: u64,
}

impl Cluster {
    /// Starts the nodes and waits until they know each other and can be reached by `io`.
    pub(crate) async fn start(adapters: [Arc<dyn Adapter>; 2], io: &Emitter) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut nodes = Vec::new();
        for adapter in adapters {
            let server = Server::builder().adapter(adapter);
            let node = serve(server.ping_interval(PING_INTERVAL)).await;
            prepare(&node.io, &told);
            node.io.join_cluster().await.expect("it starts");
            nodes.push(node);
        }
        for node in &nodes {
            until("nodes that know each other", || node.io.node_count() == 2).await;
        }
        let (mut a, mut b) = (nodes[0].client().await, nodes[1].client().await);
        let () = a.call("join", ("a", "both")).await;
        let () = b.call("join", ("b", "both")).await;
        let chat = nodes[1].client_of("/chat").await;
        let mut cluster = Self {
            nodes,
            a,
            b,
            chat,
            told,
            fences: 0,
        };
        cluster.warm_up(io).await;
        cluster
    }

    /// Rooms may have channels of their own, to which nodes listen a little later.
    async fn warm_up(&mut self, io: &Emitter) {
        for (client, rooms) in [(&mut self.a, ["a", "both"]), (&mut self.b, ["b", "both"])] {
            for room in rooms {
                reach(io, room, client, &format!("warm {room}")).await;
            }
        }
        self.fence_behind(io).await;
    }

    /// Whatever was sent before has arrived everywhere, and nothing else is behind what was already
    /// read.
    pub(crate) async fn fence(&mut self, io: &Emitter) {
        self.fences += 1;
        io.emit("fence", self.fences).expect("room");
        io.of("chat").emit("fence", self.fences).expect("room");
        for client in [&mut self.a, &mut self.b, &mut self.chat] {
            assert_eq!(client.expect::<u64>("fence").await, self.fences);
        }
    }

    /// As [`fence`](Self::fence), but reads and forgets what is before it.
    pub(crate) async fn fence_behind(&mut self, io: &Emitter) {
        self.fences += 1;
        io.emit("fence", self.fences).expect("room");
        for client in [&mut self.a, &mut self.b] {
            loop {
                let (event, number) = client.next_event::<serde_json::Value>().await;
                if event == "fence" && number == self.fences {
                    break;
                }
            }
        }
    }

    /// What both clients hear next.
    pub(crate) async fn both_hear<T>(&mut self, event: &str, data: &T)
    where
        T: DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        for client in [&mut self.a, &mut self.b] {
            assert_eq!(client.expect::<T>(event).await, *data);
        }
    }

    /// The rooms of `a`, besides its own.
    pub(crate) fn rooms_of_a(&self) -> Vec<String> {
        let socket = self.nodes[0].io.socket(&self.a.id).expect("connected");
        let rooms = socket.rooms();
        let mut rooms: Vec<String> = rooms.iter().map(ToString::to_string).collect();
        rooms.retain(|room| room.as_str() != &*self.a.id.to_string());
        rooms.sort();
        rooms
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        let nodes = self.nodes.iter();
        let mut ids: Vec<NodeId> = nodes.map(|node| node.io.node_id().clone()).collect();
        ids.sort();
        ids
    }

    /// Nothing of the nodes is left at the broker.
    pub(crate) async fn end(self) {
        // A node that closes waits for its clients.
        drop((self.a, self.b, self.chat));
        for node in &self.nodes {
            node.io.close().await;
        }
    }
}

/// Emits until a client hears it, fifty times a second.
pub(crate) async fn reach(io: &Emitter, rooms: impl IntoRooms, client: &mut Client, event: &str) {
    let to = io.to(rooms);
    let again = async {
        loop {
            to.emit(event, ()).expect("room");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let heard = async {
        loop {
            let (name, _) = client.next_event::<serde_json::Value>().await;
            if name == event {
                return;
            }
        }
    };
    tokio::select! {
        () = heard => {}
        () = again => {}
    }
}

fn prepare(io: &Server, told: &Arc<Mutex<Vec<(NodeId, String)>>>) {
    io.on(
        "join",
        async |socket: Socket, Data((one, other)): Data<(String, String)>| {
            socket.join([one, other]);
            Reply(())
        },
    );
    let _ = io.of("/chat");
    let (id, told) = (io.node_id().clone(), Arc::clone(told));
    io.of("/")
        .on_server_event("note", move |event: ServerEvent| {
            let args = event.payload().to_values().expect("values");
            let text = args.get(1).and_then(|text| text.as_str()).unwrap_or("");
            told.lock().push((id.clone(), text.to_owned()));
            if text != "silent" {
                // Nobody may have asked.
                let _ = event.reply((id.to_string(), text));
            }
            async {}
        });
}
