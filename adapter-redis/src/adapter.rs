//! The adapter itself: starts the tasks, and hands over between them and the server.

use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, BoxFuture, ClusterHandler, ClusterMessage,
    ClusterResponse, Interest, Operation,
};
use socketio_core::ids::NodeId;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::census::{Census, Foreign};
use crate::channel::Wanted;
use crate::config::{ConfigError, RedisConfig};
use crate::deliver;
use crate::inbound::InboundQueue;
use crate::interests::Interests;
use crate::outbox::Outbox;
use crate::probe::Probe;
use crate::route::{Routes, own_channel};
use crate::shared::Shared;
use crate::status::Counters;
use crate::subscription::{State, Subscription};

/// Carries cluster messages over Redis. See the [crate].
pub struct RedisAdapter {
    config: RedisConfig,
    counters: Arc<Counters>,
    interests: Arc<Interests>,
    foreign: Arc<Foreign>,
    running: OnceLock<Running>,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Started,
    Closed,
}

/// What there is from the start on.
struct Running {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    routes: Arc<Routes>,
    wanted: Arc<Wanted>,
    /// The tasks that publish; they end when everything is sent.
    lanes: TaskTracker,
    /// All others.
    tasks: TaskTracker,
    /// Ends the tasks of an adapter that is dropped without being closed.
    _stop: DropGuard,
}

impl fmt::Debug for RedisAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAdapter")
            .field("config", &self.config)
            .field("stage", &*self.stage.lock())
            .finish_non_exhaustive()
    }
}

impl RedisAdapter {
    /// An adapter that is not connected yet.
    ///
    /// # Errors
    ///
    /// When the configuration is at fault.
    pub fn new(config: RedisConfig) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        Ok(Arc::new(Self {
            config,
            counters: Arc::default(),
            interests: Arc::default(),
            foreign: Arc::default(),
            running: OnceLock::new(),
            stage: Mutex::new(Stage::Fresh),
        }))
    }

    fn running(&self) -> Result<&Running, AdapterError> {
        let running = self.running.get().ok_or(AdapterError::NotStarted)?;
        match running.shared.closing.is_cancelled() {
            true => Err(AdapterError::Closed),
            false => Ok(running),
        }
    }

    fn run(&self, handler: Arc<dyn ClusterHandler>) -> Result<Running, ConfigError> {
        let (config, counters) = (&self.config, &self.counters);
        let node = handler.node().clone();
        let routes = Arc::new(Routes::new(config, &node));
        let own = own_channel(config, &node);
        let is_sharded = config.mode.is_sharded();
        let probe = Probe::new(&node, own, is_sharded, Arc::clone(counters));
        let shared = Shared::new(config.clone(), Arc::clone(counters), Some(probe))?;
        let shared = Arc::new(shared);
        let (lanes, tasks) = (TaskTracker::new(), TaskTracker::new());
        let outbox = Arc::new(Outbox::new(Arc::clone(&shared), lanes.clone()));
        let inbound = Arc::new(InboundQueue::new(
            Arc::clone(counters),
            config.max_received_messages,
            config.max_received_bytes,
        ));
        let wanted = Arc::new(Wanted::default());
        for channel in routes.channels() {
            wanted.add(channel);
        }
        for namespace in self.interests.namespaces() {
            let channels = routes.channels_of(&namespace).into_iter();
            channels.for_each(|channel| wanted.add(channel));
            for (room, private) in self.interests.rooms(&namespace) {
                let channel = routes.channel_of_room(&namespace, &room, private);
                channel.into_iter().for_each(|channel| wanted.add(channel));
            }
        }
        outbox.start();
        tasks.spawn(keep_layout(Arc::clone(&shared), Arc::clone(&outbox)));
        let subscription = Subscription {
            shared: Arc::clone(&shared),
            inbound: Arc::clone(&inbound),
            outbox: Arc::clone(&outbox),
            wanted: Arc::clone(&wanted),
            state: State::default(),
        };
        tasks.spawn(subscription.run());
        let census = Census {
            shared: Arc::clone(&shared),
            routes: Arc::clone(&routes),
            interests: Arc::clone(&self.interests),
            foreign: Arc::clone(&self.foreign),
            inbound: Arc::clone(&inbound),
        };
        tasks.spawn(census.run());
        tasks.spawn(deliver::run(
            handler,
            Arc::clone(&routes),
            Arc::clone(&self.interests),
            Arc::clone(&shared),
            inbound,
        ));
        let stop = shared.stop.clone().drop_guard();
        Ok(Running {
            shared,
            outbox,
            routes,
            wanted,
            lanes,
            tasks,
            _stop: stop,
        })
    }
}

/// Wants the channels that a change calls for, and those no more that it makes needless.
fn follow(routes: &Routes, interests: &Interests, wanted: &Wanted, change: Interest<'_>) {
    let channels = match change {
        Interest::NamespaceOpened(namespace) => routes.channels_of(namespace),
        Interest::NamespaceClosed(namespace) => {
            for (room, _) in interests.rooms(namespace) {
                let room = &room;
                let closed = Interest::RoomClosed { namespace, room };
                follow(routes, interests, wanted, closed);
            }
            routes.channels_of(namespace)
        }
        Interest::RoomOpened {
            namespace,
            room,
            private,
        } => Vec::from_iter(routes.channel_of_room(namespace, room, private)),
        Interest::RoomClosed { namespace, room } => {
            let private = interests.is_private(namespace, room.as_str());
            let channel = |private| routes.channel_of_room(namespace, room, private);
            Vec::from_iter(private.and_then(channel))
        }
        _ => return,
    };
    if !interests.note(change) {
        return;
    }
    let is_opened = matches!(
        change,
        Interest::NamespaceOpened(_) | Interest::RoomOpened { .. }
    );
    for channel in channels {
        if is_opened {
            wanted.add(channel);
        } else {
            wanted.remove(&channel);
        }
    }
}

async fn keep_layout(shared: Arc<Shared>, outbox: Arc<Outbox>) {
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = shared.layouts.keep(&shared, |layout| outbox.install(layout)) => {}
    }
}

impl Adapter for RedisAdapter {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let running = {
                let mut stage = self.stage.lock();
                match *stage {
                    Stage::Fresh => *stage = Stage::Started,
                    Stage::Started => return Err(AdapterError::AlreadyStarted),
                    Stage::Closed => return Err(AdapterError::Closed),
                }
                let running = self.run(handler);
                let running = running.map_err(|error| AdapterError::Broker(Box::new(error)))?;
                self.running.get_or_init(|| running)
            };
            // Who asks the others something right after the start should hear their answers, if
            // that is possible at all.
            let limit = self.config.connect_timeout;
            let _ = timeout(limit, running.shared.progress.notified()).await;
            Ok(())
        })
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let running = self.running()?;
        let foreign = self.foreign.of(&message.namespace);
        let encoded = running.routes.message(message, foreign);
        let encoded = encoded.map_err(|error| AdapterError::Encode(Box::new(error)))?;
        running.outbox.push(encoded)
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        let running = self.running()?;
        let encoded = running.routes.response(to, &response);
        let encoded = encoded.map_err(|error| AdapterError::Encode(Box::new(error)))?;
        running.outbox.push(encoded)
    }

    fn carries_sequence(&self, operation: &Operation) -> bool {
        !Routes::is_compatible(operation)
    }

    fn watches_rooms(&self) -> bool {
        true
    }

    fn watch(&self, change: Interest<'_>) {
        // The lock keeps a start from happening between the two.
        let _stage = self.stage.lock();
        match self.running.get() {
            Some(running) => {
                let wanted = &running.wanted;
                follow(&running.routes, &self.interests, wanted, change);
                if matches!(change, Interest::NamespaceOpened(_)) {
                    self.foreign.recount.notify_one();
                }
            }
            None => {
                self.interests.note(change);
            }
        }
    }

    fn foreign(&self, namespace: &str) -> usize {
        self.foreign.of(namespace)
    }

    fn status(&self) -> AdapterStatus {
        let running = self.running.get();
        let (messages, bytes) = running.map_or((0, 0), |running| running.outbox.used());
        self.counters.status(messages, bytes)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            *self.stage.lock() = Stage::Closed;
            let Some(running) = self.running.get() else {
                return;
            };
            running.shared.closing.cancel();
            running.lanes.close();
            if timeout(self.config.close_timeout, running.lanes.wait())
                .await
                .is_err()
            {
                tracing::warn!("not everything could be sent before the close");
            }
            running.shared.stop.cancel();
            running.lanes.wait().await;
            running.tasks.close();
            running.tasks.wait().await;
        })
    }
}
