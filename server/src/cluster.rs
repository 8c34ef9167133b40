//! This node among others: what it tells them through the adapter, and what it does when they ask.
//!
//! The rules are in `socketio_core::cluster`, without time and tasks; here are the time and the
//! tasks. A server without an adapter has none of this.

mod ask;
mod rooms;
mod serve;
mod snapshot;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Instant, SystemTime};

use bytestring::ByteString;
use parking_lot::Mutex;
use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, ClusterHandler, ClusterMessage, ClusterResponse,
    Interest, MemberEvent, Members, MembersConfig, Occupancy, OccupancyConfig, Operation,
    RequestEvent, Requests,
};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::trace::TraceContext;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ask::Asked;
pub(crate) use self::ask::RemoteRequest;
use self::rooms::Notices;
pub(crate) use self::snapshot::{remote_handshake, remote_socket};
use crate::events::{AdapterFailure, EmitError};
use crate::metrics::{ClusterReading, Metrics};
use crate::namespace::{Namespace, Namespaces};
use crate::spans;

/// This node's part in the cluster.
pub(crate) struct Cluster {
    node: NodeId,
    adapter: Arc<dyn Adapter>,
    namespaces: Weak<Namespaces>,
    metrics: Arc<Metrics>,
    watches_rooms: bool,
    /// Never held while the adapter is called: an adapter may deliver in the same thread.
    state: Mutex<State>,
    /// The number of the last message of this node.
    sequence: Mutex<u64>,
    /// Namespaces in which something has changed since it was gathered.
    changed: Mutex<Vec<Namespace>>,
    sharing: AtomicBool,
    notices: Notices,
    /// The deadline may be earlier than the clock task knows.
    rearm: Arc<Notify>,
    runtime: OnceLock<Handle>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

struct State {
    occupancy: Occupancy,
    members: Members,
    requests: Requests,
    waiting: HashMap<RequestId, Asked>,
    /// Members without names that hear a namespace; none of those with nobody.
    foreign: HashMap<ByteString, usize>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node", &self.node)
            .field("adapter", &self.adapter)
            .finish_non_exhaustive()
    }
}

/// What the state asks for, done when its lock is free again.
enum Action {
    Publish(Operation),
    Tell(Box<dyn FnOnce() + Send>),
}

fn now() -> Instant {
    // Tokio's clock, which tests can stop.
    tokio::time::Instant::now().into_std()
}

impl Cluster {
    pub(crate) fn new(
        node: NodeId,
        adapter: Arc<dyn Adapter>,
        (members, occupancy): (MembersConfig, OccupancyConfig),
        namespaces: &Arc<Namespaces>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        let members = Members::new(node.clone(), members, now());
        let occupancy = Occupancy::new(node.clone(), occupancy);
        let cluster = Arc::new(Self {
            node,
            watches_rooms: adapter.watches_rooms(),
            adapter,
            namespaces: Arc::downgrade(namespaces),
            metrics: Arc::clone(metrics),
            changed: Mutex::default(),
            sharing: AtomicBool::new(false),
            notices: Notices::default(),
            sequence: Mutex::new(ClusterMessage::first_sequence(SystemTime::now())),
            state: Mutex::new(State {
                occupancy,
                members,
                requests: Requests::new(),
                waiting: HashMap::new(),
                foreign: HashMap::new(),
            }),
            rearm: Arc::new(Notify::new()),
            runtime: OnceLock::new(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        });
        let read = Arc::downgrade(&cluster);
        let source = move || read.upgrade().map(|cluster| cluster.reading());
        metrics.cluster().set_source(source);
        cluster
    }

    /// What metrics show.
    fn reading(&self) -> ClusterReading {
        let status = self.adapter.status();
        let state = self.state.lock();
        let foreign = state.foreign.values().copied();
        let pending = state.waiting.values().map(|asked| asked.waiting.kind());
        ClusterReading {
            members: state.members.count(),
            // The same member may hear several namespaces.
            foreign: foreign.max().unwrap_or(0),
            pending: pending.collect(),
            // Messages with numbers, and those that the adapter counts.
            missed: state.members.missed() + status.missed,
            late: state.members.late(),
            duplicates: state.members.duplicates(),
            rooms: state.occupancy.stats(),
            adapter: self.adapter.name(),
            status,
        }
    }

    /// Whether there is certainly nobody else.
    pub(crate) fn is_alone(&self) -> bool {
        self.adapter.is_alone()
    }

    pub(crate) fn adapter_name(&self) -> &'static str {
        self.adapter.name()
    }

    /// The other nodes that are alive.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        let mut others: Vec<NodeId> = self.state.lock().members.alive().cloned().collect();
        others.sort();
        others
    }

    /// How many members without names hear a namespace.
    pub(crate) fn foreign(&self, namespace: &str) -> usize {
        self.state.lock().foreign(namespace)
    }

    /// Whether there may be members that neither are counted nor answer.
    pub(crate) fn has_uncounted_members(&self) -> bool {
        self.adapter.has_uncounted_members()
    }

    pub(crate) fn adapter_status(&self) -> AdapterStatus {
        self.adapter.status()
    }

    /// Tells the adapter what this node has or has no more. It is told under the lock that orders
    /// such changes.
    pub(crate) fn watch(&self, change: Interest<'_>) {
        self.adapter.watch(change);
    }

    pub(crate) fn watches_rooms(&self) -> bool {
        self.watches_rooms
    }

    /// Connects the adapter and announces this node.
    pub(crate) async fn join(self: &Arc<Self>) -> Result<(), AdapterError> {
        // Messages may come before `start` returns.
        self.runtime.get_or_init(Handle::current);
        let handler = Arc::new(Receiver {
            node: self.node.clone(),
            cluster: Arc::downgrade(self),
        });
        self.adapter.start(handler).await?;
        self.begin_sharing();
        self.update(|_| ());
        let clock = clock(Arc::downgrade(self), Arc::clone(&self.rearm));
        self.spawn(clock);
        Ok(())
    }

    /// Says goodbye and disconnects the adapter; who waits for other nodes gets what has come.
    pub(crate) async fn leave(&self) {
        // A call that was given up is gone on with.
        if !self.ended.is_cancelled() {
            if let Err(error) = self.publish_in(None, "/", Operation::Close) {
                tracing::debug!(%error, "the other nodes were not told of the end");
            }
            self.ended.cancel();
            self.end_sharing();
        }
        self.update(|state| state.requests.finish_all());
        self.tasks.close();
        self.tasks.wait().await;
        self.adapter.close().await;
    }

    /// Tells all other nodes. Never waits.
    ///
    /// # Ordering
    ///
    /// What one task publishes arrives in that order.
    pub(crate) fn publish(&self, namespace: &str, operation: Operation) -> Result<(), EmitError> {
        self.publish_in(spans::context(), namespace, operation)
    }

    fn publish_in(
        &self,
        trace: Option<Box<TraceContext>>,
        namespace: &str,
        operation: Operation,
    ) -> Result<(), EmitError> {
        let is_numbered = self.adapter.carries_sequence(&operation);
        let mut last = is_numbered.then(|| self.sequence.lock());
        let sequence = last.as_mut().map(|last| {
            **last += 1;
            **last
        });
        // No other thread may come in between: this message would seem lost, and then a copy. But an
        // adapter that delivers at once comes back here in the same thread.
        if !self.adapter.queues() {
            last = None;
        }
        let message = ClusterMessage {
            node: self.node.clone(),
            namespace: namespace.into(),
            sequence,
            trace,
            operation,
        };
        let published = self.adapter.publish(&message);
        drop(last);
        published.map_err(|error| EmitError::Adapter(AdapterFailure::new(error)))
    }

    /// Changes the state, then does what it asks for.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut actions = Vec::new();
        let result = {
            let mut state = self.state.lock();
            let result = change(&mut state);
            state.take_actions(&self.metrics, &mut actions);
            state.take_room_actions(&self.notices, &self.metrics, &mut actions);
            result
        };
        for action in actions {
            match action {
                // Whoever comes will ask.
                Action::Publish(Operation::Rooms(_)) if self.adapter.is_alone() => {}
                Action::Publish(operation) => {
                    if let Operation::Rooms(news) = &operation {
                        self.metrics.cluster().news_sent(news);
                    }
                    // The adapter itself logs what is wrong with the broker.
                    if let Err(error) = self.publish_in(None, "/", operation) {
                        tracing::debug!(%error, "no heartbeat was sent");
                    }
                }
                Action::Tell(tell) => tell(),
            }
        }
        self.tell_notices();
        result
    }

    /// Runs a task until its end or that of the cluster.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            let ended = self.ended.clone();
            let task = async move {
                ended.run_until_cancelled_owned(task).await;
            };
            self.tasks.spawn_on(task, runtime);
        }
    }
}

impl State {
    fn foreign(&self, namespace: &str) -> usize {
        self.foreign.get(namespace).copied().unwrap_or(0)
    }

    /// When the clock is due.
    fn deadline(&self) -> Instant {
        let others = [self.requests.deadline(), self.occupancy.deadline()];
        let others = others.into_iter().flatten();
        others.fold(self.members.deadline(), Instant::min)
    }

    fn set_foreign(&mut self, namespace: &str, count: usize) {
        let before = self.foreign(namespace);
        if count == 0 {
            self.foreign.remove(namespace);
        } else {
            self.foreign.insert(namespace.into(), count);
        }
        if count < before {
            let gone = before - count;
            self.requests.handle_foreign_left(namespace, gone, count);
        }
    }

    fn take_actions(&mut self, metrics: &Arc<Metrics>, actions: &mut Vec<Action>) {
        while let Some(event) = self.members.poll_event() {
            match event {
                MemberEvent::Joined(node) => {
                    tracing::info!(%node, "a node joined the cluster");
                    self.occupancy.handle_joined(now(), &node);
                }
                MemberEvent::Left(node) => {
                    tracing::info!(%node, "a node left the cluster");
                    self.requests.handle_node_left(&node);
                    self.occupancy.handle_left(&node);
                }
                MemberEvent::Lost(node, count) => {
                    tracing::warn!(%node, count, "messages of a node were lost on the way");
                }
                MemberEvent::SendHeartbeat => {
                    actions.push(Action::Publish(Operation::Heartbeat));
                    self.occupancy.handle_heartbeat(now());
                }
                MemberEvent::SendInitialHeartbeat => {
                    actions.push(Action::Publish(Operation::InitialHeartbeat));
                    self.occupancy.handle_heartbeat(now());
                }
                // Nothing that has to be done.
                _ => {}
            }
        }
        while let Some(event) = self.requests.poll_event() {
            let tell = match event {
                RequestEvent::Response(request, response) => self
                    .waiting
                    .get_mut(&request)
                    .and_then(|asked| asked.waiting.answer(response)),
                RequestEvent::Done(request, missing) => self
                    .waiting
                    .remove(&request)
                    .map(|asked| asked.finish(missing, metrics)),
            };
            actions.extend(tell.map(Action::Tell));
        }
    }
}

/// Lets the time of the members and the requests pass.
async fn clock(cluster: Weak<Cluster>, rearm: Arc<Notify>) {
    loop {
        // Not held while asleep, so that a server that is dropped goes.
        let Some(running) = cluster.upgrade() else {
            return;
        };
        running.tick();
        let deadline = running.state.lock().deadline();
        drop(running);
        tokio::select! {
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = rearm.notified() => {}
        }
    }
}

/// What the adapter holds of the cluster. The cluster holds the adapter, so this must not hold the
/// cluster.
struct Receiver {
    node: NodeId,
    cluster: Weak<Cluster>,
}

impl ClusterHandler for Receiver {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn on_message(&self, message: ClusterMessage) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.handle_message(message);
        }
    }

    fn on_response(&self, response: ClusterResponse) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.update(|state| state.requests.handle_response(response));
        }
    }

    fn on_foreign(&self, namespace: &str, count: usize) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.update(|state| state.set_foreign(namespace, count));
        }
    }

    fn on_connected(&self, _gap: bool) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.update(|state| state.members.handle_connected(now()));
            cluster.rearm.notify_one();
        }
    }
}
