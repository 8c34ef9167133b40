//! What a [`Server`] is made of.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socketio_core::cluster::{Adapter, MembersConfig, OccupancyConfig};
use socketio_core::engine::TransportKind;
use socketio_core::ids::NodeId;
use socketio_core::packet::ParserKind;

use super::{Server, Shared};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::extensions::TypeMap;
use crate::metrics::Metrics;
use crate::namespace::Namespaces;
use crate::options::Options;

/// Options and state of a [`Server`] to be.
#[derive(Debug, Default)]
#[must_use = "`build` makes the server"]
pub struct ServerBuilder {
    pub(crate) options: Options,
    state: TypeMap,
    node_id: Option<NodeId>,
    adapter: Option<Arc<dyn Adapter>>,
    members: MembersConfig,
    occupancy: OccupancyConfig,
}

macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`Options::", stringify!($name), "`].")]
        pub fn $name(mut self, $name: $type) -> Self {
            self.options.$name = $name;
            self
        }
    )*};
}

impl ServerBuilder {
    setters! {
        add_trailing_slash: bool,
        allow_eio3: bool,
        allow_upgrades: bool,
        always_connect: bool,
        cleanup_empty_child_namespaces: bool,
        connect_timeout: Duration,
        max_attachments: usize,
        max_http_buffer_size: usize,
        max_namespaces_per_client: usize,
        max_outbox_bytes: usize,
        max_pending_acks: usize,
        max_pending_handlers: usize,
        parser: ParserKind,
        ping_grace: Duration,
        ping_interval: Duration,
        ping_timeout: Duration,
        private_id_rooms: bool,
        trace_payload_key: Option<String>,
        transports: Vec<TransportKind>,
        upgrade_timeout: Duration,
    }

    /// Sets [`Options::path`].
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.options.path = path.into();
        self
    }

    /// Replaces all options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Adds a value that handlers can ask for as [`State<T>`](crate::extract::State). One of each
    /// type; make it an `Arc` if it is large.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// Sets the id of this node in its cluster. Default: a new one.
    pub fn node_id(mut self, id: NodeId) -> Self {
        self.node_id = Some(id);
        self
    }

    /// Connects the server with others, once it [joins the cluster](Server::join_cluster).
    ///
    /// ```
    /// # use socketio_server::{MemoryBus, Server};
    /// # async fn example() -> Result<(), socketio_server::AdapterError> {
    /// let bus = MemoryBus::immediate();
    /// let one = Server::builder().adapter(bus.adapter()).build();
    /// let two = Server::builder().adapter(bus.adapter()).build();
    /// one.join_cluster().await?;
    /// two.join_cluster().await?;
    /// assert_eq!(one.node_count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn adapter(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.adapter = Some(adapter);
        self
    }

    /// Sets how nodes notice that another one is gone. All nodes should have the same.
    pub fn heartbeat(mut self, config: MembersConfig) -> Self {
        self.members = config;
        self
    }

    /// Sets how this node shares the numbers of sockets in its rooms with the others, for
    /// [`count`](crate::BroadcastOperator::count), [`rooms`](crate::Namespace::rooms) and
    /// [`on_room_occupied`](crate::Namespace::on_room_occupied). All nodes should have the same.
    pub fn room_sharing(mut self, config: OccupancyConfig) -> Self {
        self.occupancy = config;
        self
    }

    /// The server. It does nothing before it is given requests.
    #[must_use]
    pub fn build(self) -> Server {
        let options = Arc::new(self.options);
        let metrics = Arc::new(Metrics::new());
        let shared = Arc::new(Shared {
            options: Arc::clone(&options),
            metrics: Arc::clone(&metrics),
            state: self.state,
            node_id: self.node_id.unwrap_or_else(NodeId::generate),
            cluster: OnceLock::new(),
        });
        let (namespaces, main) = Namespaces::new(Arc::clone(&shared));
        if let Some(adapter) = self.adapter {
            let node = shared.node_id.clone();
            shared.cluster.get_or_init(|| {
                let configs = (self.members, self.occupancy);
                Cluster::new(node, adapter, configs, &namespaces, &metrics)
            });
            namespaces.watch_all();
        }
        let table = Arc::clone(&namespaces);
        let engine = Engine::new(options, metrics, move |conn| Client::new(&table, conn));
        Server {
            namespaces,
            engine,
            main,
        }
    }
}
