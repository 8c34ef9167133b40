//! [`Server`]: the handle of everything, and its builder.

mod builder;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use regex::Regex;
use socketio_core::cluster::{AdapterError, AdapterStatus};
use socketio_core::ids::NodeId;
use socketio_core::packet::ParserKind;

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::extensions::TypeMap;
use crate::http::{Http, SocketIoLayer, SocketIoService};
use crate::metrics::Metrics;
use crate::namespace::{
    Namespace, NamespaceRequest, Namespaces, ParentNamespace, PatternError, Rule,
};
use crate::options::Options;

pub use builder::ServerBuilder;

/// A Socket.IO server. A handle: clones mean the same server.
///
/// It is its main namespace too (by `Deref`), as in Node: `io.on_connect`, `io.to("room")` and so on
/// act on `/`.
///
/// # Example
///
/// ```
/// use socketio_server::{Server, Socket};
/// use socketio_server::extract::{Ack, Data};
///
/// let io = Server::builder().allow_eio3(true).build();
/// io.on_connect(async |socket: Socket| {
///     socket.on("echo", |Data(text): Data<String>, ack: Ack| async move {
///         let _ = ack.send(text);
///     });
/// });
/// io.emit("news", "the server is up")?;
/// # Ok::<(), socketio_server::EmitError>(())
/// ```
#[derive(Clone)]
pub struct Server {
    namespaces: Arc<Namespaces>,
    engine: Arc<Engine>,
    main: Namespace,
}

/// What all layers of a server know.
pub(crate) struct Shared {
    options: Arc<Options>,
    metrics: Arc<Metrics>,
    state: TypeMap,
    node_id: NodeId,
    /// Absent on a server without an adapter.
    cluster: OnceLock<Arc<Cluster>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("node_id", self.node_id())
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get()
    }

    pub(crate) fn parser(&self) -> ParserKind {
        self.options.parser
    }

    pub(crate) fn state<T: Clone + 'static>(&self) -> Option<T> {
        self.state.get::<T>().cloned()
    }
}

impl Deref for Server {
    type Target = Namespace;
    fn deref(&self) -> &Namespace {
        &self.main
    }
}

impl Server {
    /// Begins with the default [`Options`].
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// A server with these options.
    #[must_use]
    pub fn with_options(options: Options) -> Self {
        Self::builder().options(options).build()
    }

    /// The namespace of this name, made if it does not exist. A leading `/` is added.
    #[must_use]
    pub fn of(&self, name: impl AsRef<str>) -> Namespace {
        self.namespaces.of(name.as_ref())
    }

    /// The namespace of this name, if it exists.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        self.namespaces.get(name)
    }

    /// All namespaces, children of dynamic ones included.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.namespaces.all()
    }

    /// A dynamic namespace: clients may join any whose name the regular expression finds a match in.
    /// Anchor it by `^` and `$` to mean the whole name.
    ///
    /// Clients choose how many such namespaces exist. Unless the pattern matches only a few names,
    /// set [`Options::cleanup_empty_child_namespaces`].
    ///
    /// # Errors
    ///
    /// When `pattern` is no regular expression.
    pub fn of_pattern(&self, pattern: &str) -> Result<ParentNamespace, PatternError> {
        let pattern = Regex::new(pattern).map_err(|error| PatternError(error.to_string()))?;
        Ok(self.namespaces.add_parent(Rule::Pattern(pattern)))
    }

    /// A dynamic namespace: clients may join any that `predicate` agrees to.
    ///
    /// ```
    /// # use socketio_server::{NamespaceRequest, Server, Socket};
    /// # let io = Server::builder().build();
    /// let games = io.of_predicate(async |request: NamespaceRequest| {
    ///     request.name().starts_with("/game-")
    /// });
    /// games.on_connect(async |socket: Socket| {});
    /// ```
    pub fn of_predicate<F, Fut>(&self, predicate: F) -> ParentNamespace
    where
        F: Fn(NamespaceRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let predicate = Arc::new(predicate);
        let predicate = Box::new(move |request| -> BoxFuture<'static, bool> {
            let predicate = Arc::clone(&predicate);
            // Called inside the future, where a panic is caught.
            Box::pin(async move { predicate(request).await })
        });
        self.namespaces.add_parent(Rule::Predicate(predicate))
    }

    /// Calls `listener` for each namespace that comes into being from now on. It runs where that
    /// happens, so it must be quick.
    pub fn on_new_namespace(&self, listener: impl Fn(&Namespace) + Send + Sync + 'static) {
        self.namespaces.on_new(Arc::new(listener));
    }

    /// The server as a hyper or tower service: for a [`Listener`](crate::Listener), for a hyper server
    /// of your own, or with [`with_fallback`](SocketIoService::with_fallback) in front of another
    /// service.
    #[must_use]
    pub fn service(&self) -> SocketIoService {
        SocketIoService::new(Http::new(Arc::clone(&self.engine)))
    }

    /// The server as a tower layer, for an axum router beside its routes.
    #[must_use]
    pub fn layer(&self) -> SocketIoLayer {
        SocketIoLayer::new(Http::new(Arc::clone(&self.engine)))
    }

    /// The options that it was built with.
    #[must_use]
    pub fn options(&self) -> &Arc<Options> {
        self.shared().options()
    }

    /// Number of connections (Engine.IO sessions) of this node.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.engine.len()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.shared().metrics()
    }

    /// The id of this node in its cluster.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.shared().node_id
    }

    /// The name of the adapter that connects this node with others; `memory` if it is on its own.
    #[must_use]
    pub fn adapter_name(&self) -> &str {
        self.shared()
            .cluster()
            .map_or("memory", |c| c.adapter_name())
    }

    /// The other nodes of the cluster that are alive, in order.
    #[must_use]
    pub fn other_nodes(&self) -> Vec<NodeId> {
        self.shared()
            .cluster()
            .map_or_else(Vec::new, |c| c.others())
    }

    /// How many servers the cluster has, this one included: nodes, and those that run other software
    /// if the adapter counts them.
    #[must_use]
    pub fn node_count(&self) -> usize {
        let foreign = self.shared().cluster().map_or(0, |c| c.foreign("/"));
        // A broker says how many of the others there are, so it may be any number.
        foreign.saturating_add(1 + self.other_nodes().len())
    }

    /// Whether members may be there that nobody can count or ask, as those that speak the dialect of
    /// python-socketio. What they have is missing in what is gathered from other servers, but for an
    /// answer to an event that only one socket gets.
    #[must_use]
    pub fn has_uncounted_members(&self) -> bool {
        let cluster = self.shared().cluster();
        cluster.is_some_and(|c| c.has_uncounted_members())
    }

    /// How the adapter is doing; none without one. It may be `up` also before
    /// [`join_cluster`](Self::join_cluster).
    #[must_use]
    pub fn adapter_status(&self) -> Option<AdapterStatus> {
        self.shared().cluster().map(|c| c.adapter_status())
    }

    /// Connects the [adapter](ServerBuilder::adapter), and announces this node to the others. Call
    /// it before the first request is served: until then the others hear nothing of this node.
    ///
    /// Without an adapter there is nothing to do. [`drain`](Self::drain) leaves the cluster.
    ///
    /// # Errors
    ///
    /// When it was called before, or the adapter's configuration is at fault.
    pub async fn join_cluster(&self) -> Result<(), AdapterError> {
        match self.shared().cluster() {
            Some(cluster) => cluster.join().await,
            None => Ok(()),
        }
    }

    /// Ends the server: refuses new connections, closes the others spread over `window`, and waits
    /// until the last one is closed and its handlers have ended; then leaves the cluster.
    ///
    /// Clients see the end of the transport, not a disconnect from a namespace: so they reconnect by
    /// themselves, to another node or when this one is back. `disconnect` handlers run with
    /// [`ServerShuttingDown`](crate::DisconnectReason::ServerShuttingDown).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the waiting. Connections that were not told yet stay open; calling
    /// again goes on with them.
    pub async fn drain(&self, window: Duration) {
        self.engine.close_all(window).await;
        self.engine.closed().await;
        self.leave_cluster().await;
    }

    /// Says goodbye to the other nodes, brings what is queued for them on its way, and disconnects
    /// the adapter. Part of [`drain`](Self::drain); call it when that was given up, so that the
    /// others need not wait until they notice. A broker that does not answer may hold it up: give
    /// it a timeout.
    ///
    /// # Cancel safety
    ///
    /// The goodbye is in the adapter's queue after the first poll. Calling again goes on.
    pub async fn leave_cluster(&self) {
        if let Some(cluster) = self.shared().cluster() {
            cluster.leave().await;
        }
    }

    #[cfg(test)]
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    #[cfg(test)]
    pub(crate) fn new_client(&self, conn: &Arc<crate::engine::Conn>) -> crate::client::Client {
        crate::client::Client::new(&self.namespaces, conn)
    }

    /// [Drains](Self::drain) at once.
    pub async fn close(&self) {
        self.drain(Duration::ZERO).await;
    }
}
