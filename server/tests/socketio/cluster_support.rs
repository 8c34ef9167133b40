//! Nodes of a cluster in one process, whose clients join and leave rooms.

use std::time::Duration;

use socketio_core::cluster::{ClusterHandler, ClusterMessage, ClusterResponse};
use socketio_server::extract::Data;
use socketio_server::{
    MembersConfig, MemoryBus, NodeId, OccupancyConfig, Reply, Server, ServerBuilder, Socket,
};

use crate::support::{Client, Served, comes, serve};

pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn builder(number: usize) -> ServerBuilder {
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

pub(crate) async fn start(builder: ServerBuilder) -> Served {
    let served = serve(builder).await;
    for namespace in [served.io.of("/"), served.io.of("/chat")] {
        namespace.on("sync", async || Reply(()));
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

pub(crate) async fn nodes(bus: &MemoryBus, count: usize) -> Vec<Served> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        let node = start(builder(number).adapter(bus.adapter())).await;
        node.io.join_cluster().await.expect("the bus is there");
        nodes.push(node);
    }
    nodes
}

pub(crate) async fn client_in(node: &Served, rooms: &[&str]) -> Client {
    let mut client = node.client().await;
    for room in rooms {
        let () = client.call("join", room).await;
    }
    client
}

pub(crate) async fn count_becomes(io: &Server, room: &str, count: u64) {
    let what = format!("{count} in {room} on {}", io.node_id());
    comes(&what, async || {
        let found = io.in_room(room).count().await;
        found.is_complete() && found.count == count
    })
    .await;
}

/// A sample of the page of metrics.
pub(crate) fn sample(io: &Server, name: &str) -> f64 {
    let page = io.metrics().encode();
    let found = page.lines().find_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        (sample == format!("socketio_{name}")).then(|| value.parse().expect(line))
    });
    found.unwrap_or_else(|| panic!("{name} in {page}"))
}

/// A member that does not listen.
pub(crate) struct Deaf(pub(crate) NodeId);

impl ClusterHandler for Deaf {
    fn node(&self) -> &NodeId {
        &self.0
    }

    fn on_message(&self, _: ClusterMessage) {}

    fn on_response(&self, _: ClusterResponse) {}
}
