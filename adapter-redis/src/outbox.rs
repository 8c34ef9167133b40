//! Brings each message into the lane of the server that is responsible for its channel.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use socketio_core::cluster::AdapterError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connect::Layout;
use crate::lane::{Gate, Lane, Target};
use crate::outbound::{Content, Limits, OutQueue, Outgoing};
use crate::shared::Shared;

/// All lanes of an adapter.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: Arc<Limits>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    routes: RwLock<Routes>,
}

#[derive(Debug)]
struct Routes {
    /// The layout of a cluster, if messages are to be told apart by it.
    layout: Option<Arc<Layout>>,
    /// The lane to any server, or those to the servers of `layout`, in its order.
    lanes: Vec<Arc<Lane>>,
    /// Messages for which no server is known at the moment.
    parked: OutQueue,
}

impl Routes {
    /// The lanes that lose or gain channels with another layout.
    fn concerned(&self, layout: &Layout) -> Vec<Arc<Lane>> {
        let Some(before) = &self.layout else {
            return Vec::new();
        };
        let (losing, gaining) = (before.losing(layout), layout.losing(before));
        let lanes = self.lanes.iter().filter(|lane| match &lane.target {
            Target::Any => false,
            Target::Named(name) => losing.contains(&**name) || gaining.contains(&**name),
        });
        lanes.map(Arc::clone).collect()
    }

    fn queue_for(&self, message: &Outgoing) -> &OutQueue {
        let number = match &self.layout {
            Some(layout) if message.is_sharded => layout.server_of(&message.channel),
            Some(_) | None => Some(0),
        };
        let lane = number.and_then(|number| self.lanes.get(number));
        lane.map_or(&self.parked, |lane| &lane.queue)
    }
}

impl Outbox {
    pub(crate) fn new(shared: Arc<Shared>, tasks: TaskTracker) -> Self {
        let counters = Arc::clone(&shared.counters);
        let limits = Arc::new(Limits::new(&shared.config, counters));
        let parked = OutQueue::new(Arc::clone(&limits));
        Self {
            limits,
            shared,
            tasks,
            routes: RwLock::new(Routes {
                layout: None,
                lanes: Vec::new(),
                parked,
            }),
        }
    }

    /// Begins to send. A cluster with sharded channels needs a lane to each server, which
    /// [`follow`](Self::follow) makes.
    pub(crate) fn start(&self) {
        if self.is_split() {
            return;
        }
        let lane = self.lane(Target::Any, false);
        self.routes.write().lanes.push(lane);
    }

    /// Whether there is a lane for each server.
    fn is_split(&self) -> bool {
        self.shared.config.mode.is_sharded() && self.shared.connector.is_cluster()
    }

    fn lane(&self, target: Target, has_gained: bool) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            target,
            queue: OutQueue::new(Arc::clone(&self.limits)),
            gate: Gate::default(),
            has_gained: AtomicBool::new(has_gained),
            is_connected: AtomicBool::new(false),
            retired: CancellationToken::new(),
        });
        let run = Arc::clone(&lane).run(Arc::clone(&self.shared));
        self.tasks.spawn(run);
        lane
    }

    /// Adds messages, all or none.
    pub(crate) fn push(&self, messages: impl AsRef<[Outgoing]>) -> Result<(), AdapterError> {
        let messages = messages.as_ref();
        // The lock keeps a change of the layout away between choosing the queue and using it, and
        // the end away between the question for it and that.
        let routes = self.routes.read();
        if self.shared.closing.is_cancelled() {
            return Err(AdapterError::Closed);
        }
        self.limits.reserve(messages)?;
        self.shared.flow.add(messages.len());
        for message in messages {
            routes.queue_for(message).push([message.clone()]);
        }
        Ok(())
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) {
        // Nobody is between the question whether it is closed and the queue.
        let _routes = self.routes.write();
        self.shared.closing.cancel();
    }

    /// Sends a probe before everything else.
    pub(crate) fn push_probe(&self, probe: Outgoing) {
        let routes = self.routes.read();
        routes.queue_for(&probe).push_probe(probe);
    }

    /// Follows the layout of a cluster until the end: brings what waits into the lanes of those who
    /// come to be responsible for it.
    pub(crate) async fn follow(self: Arc<Self>) {
        if !self.is_split() {
            return;
        }
        let mut layouts = self.shared.layouts.subscribe();
        loop {
            let layout = layouts.borrow_and_update().clone();
            let turn = async {
                if let Some(layout) = layout {
                    self.move_to(&layout).await;
                }
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = turn => {}
                Ok(()) = layouts.changed() => {}
            }
        }
    }

    /// Takes a new layout into use as soon as nothing is on its way that might have to follow. It
    /// is begun again with the next layout if that comes first.
    async fn move_to(&self, layout: &Arc<Layout>) {
        let concerned = self.routes.read().concerned(layout);
        for lane in &concerned {
            lane.gate.close();
        }
        for lane in &concerned {
            lane.gate.unused().await;
        }
        self.install(layout);
    }

    /// Distributes what waits anew. The messages of one channel are all in one queue, so they keep
    /// their order.
    fn install(&self, layout: &Arc<Layout>) {
        let mut routes = self.routes.write();
        let gaining = (routes.layout.as_ref()).map_or_else(HashSet::new, |it| layout.losing(it));
        let before = std::mem::take(&mut routes.lanes);
        let mut waiting = routes.parked.take_all();
        for lane in &before {
            waiting.extend(lane.queue.take_all());
        }
        let lanes = layout.servers.iter().map(|server| {
            let target = Target::Named(server.name.clone());
            let has_gained = gaining.contains(&*server.name);
            let Some(known) = before.iter().find(|lane| lane.target == target) else {
                return self.lane(target, has_gained);
            };
            known.has_gained.fetch_or(has_gained, Ordering::Relaxed);
            Arc::clone(known)
        });
        routes.lanes = lanes.collect();
        for lane in &before {
            if !routes.lanes.iter().any(|kept| Arc::ptr_eq(kept, lane)) {
                lane.retired.cancel();
            }
        }
        routes.layout = Some(Arc::clone(layout));
        for message in waiting {
            let queue = routes.queue_for(&message);
            match message.content {
                Content::Message(_) => queue.push([message]),
                Content::Probe => queue.push_probe(message),
                Content::Statement => {}
            }
        }
        for lane in &routes.lanes {
            lane.gate.open();
            // It may just have looked, and found the gate closed.
            lane.queue.push([]);
        }
    }

    /// Whether there is a connection to each server.
    pub(crate) fn is_connected(&self) -> bool {
        let routes = self.routes.read();
        let mut lanes = routes.lanes.iter();
        !routes.lanes.is_empty() && lanes.all(|lane| lane.is_connected.load(Ordering::Relaxed))
    }

    /// Gives up what waits for a server to become known, or came into a lane that had ended.
    pub(crate) fn give_up(&self) {
        let routes = self.routes.read();
        let queues = routes.lanes.iter().map(|lane| &lane.queue);
        let waiting = queues.chain([&routes.parked]).map(OutQueue::clear).sum();
        self.shared.dropped(waiting);
    }

    /// Messages and bytes that wait.
    pub(crate) fn used(&self) -> (usize, usize) {
        self.limits.used()
    }
}
