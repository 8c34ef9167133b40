//! The adapter itself: starts the tasks, and hands over between them and the server.

use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use socketio_core::cluster::wire::WireError;
use socketio_core::cluster::wire::python::{LimitCounts, Python, PythonMode, Translated};
use socketio_core::cluster::{
    Adapter, AdapterCounters, AdapterError, AdapterStatus, BoxFuture, ClusterHandler,
    ClusterMessage, ClusterResponse, Interest, Operation,
};
use socketio_core::ids::NodeId;
use tokio::time::timeout;

use crate::census::{Census, Foreign};
use crate::channel::Wanted;
use crate::config::{ConfigError, RedisConfig};
use crate::hearing::Hearing;
use crate::inbound::Inbound;
use crate::interests::Interests;
use crate::outbound::Outgoing;
use crate::route::Routes;
use crate::sending::Sending;
use crate::shared::Shared;

/// Carries cluster messages over Redis. See the [crate].
pub struct RedisAdapter {
    config: RedisConfig,
    counters: Arc<AdapterCounters>,
    interests: Arc<Interests>,
    foreign: Arc<Foreign>,
    untranslatable: LimitCounts,
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
    sending: Sending,
    hearing: Hearing,
    routes: Arc<Routes>,
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
            untranslatable: LimitCounts::default(),
            running: OnceLock::new(),
            stage: Mutex::new(Stage::Fresh),
        }))
    }

    /// How often something could not be said, or not quite, to members that speak Python's dialect.
    #[must_use]
    pub fn untranslatable(&self) -> &LimitCounts {
        &self.untranslatable
    }

    /// Queues what members in Python are told. If there is no room for it, that is only counted: our
    /// own nodes have been told.
    fn push_translated(&self, running: &Running, translated: Translated) {
        for limit in translated.limits {
            // The application may do it again and again.
            if self.untranslatable.add(limit).is_power_of_two() {
                if limit.is_loss() {
                    tracing::warn!(%limit, "members in Python are not told");
                } else {
                    tracing::info!(%limit, "members in Python are told otherwise");
                }
            }
        }
        for encoded in translated.messages {
            let outgoing = Outgoing::plain(encoded.channel, encoded.payload);
            if let Err(error) = running.sending.outbox.push([outgoing]) {
                tracing::debug!(%error, "members in Python miss a message");
            }
        }
    }

    fn running(&self) -> Result<&Running, AdapterError> {
        let running = self.running.get().ok_or(AdapterError::NotStarted)?;
        match running.sending.shared.closing.is_cancelled() {
            true => Err(AdapterError::Closed),
            false => Ok(running),
        }
    }

    fn run(&self, handler: Arc<dyn ClusterHandler>) -> Result<Running, ConfigError> {
        let routes = Arc::new(Routes::new(&self.config, handler.node()));
        let shared = Shared::new(self.config.clone(), Arc::clone(&self.counters))?;
        shared.begin_to_state(handler.node());
        let mut channels = routes.channels();
        for namespace in self.interests.namespaces() {
            channels.extend(routes.channels_of(&namespace));
            for (room, private) in self.interests.rooms(&namespace) {
                channels.extend(routes.channel_of_room(&namespace, &room, private));
            }
        }
        let sending = Sending::start(shared);
        let hearing = Hearing::start(
            &sending,
            handler,
            Arc::clone(&routes),
            Arc::clone(&self.interests),
            channels,
        );
        let census = Census {
            shared: Arc::clone(&sending.shared),
            routes: Arc::clone(&routes),
            interests: Arc::clone(&self.interests),
            foreign: Arc::clone(&self.foreign),
            inbound: Arc::clone(&hearing.inbound),
        };
        sending.tasks.spawn(census.run());
        Ok(Running {
            sending,
            hearing,
            routes,
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

fn encode(error: WireError) -> AdapterError {
    AdapterError::Encode(Box::new(error))
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
            let _ = timeout(limit, running.sending.shared.progress.notified()).await;
            Ok(())
        })
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let running = self.running()?;
        let foreign = self.foreign.of(&message.namespace);
        let encoded = running.routes.message(message, foreign).map_err(encode)?;
        let python = running.routes.python().filter(|python| python.is_member());
        let translated = python.map(|python| python.encode(message)).transpose();
        let translated = translated.map_err(encode)?;
        running.sending.outbox.push(encoded)?;
        if let Some(translated) = translated {
            self.push_translated(running, translated);
        }
        Ok(())
    }

    fn queues(&self) -> bool {
        true
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        let running = self.running()?;
        if Python::answers(to) {
            if let Some(python) = running.routes.python() {
                let translated = python.encode_response(&response).map_err(encode)?;
                self.push_translated(running, translated);
            }
            return Ok(());
        }
        let encoded = running.routes.response(to, &response).map_err(encode)?;
        running.sending.outbox.push(encoded)
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
                let wanted = &running.hearing.wanted;
                follow(&running.routes, &self.interests, wanted, change);
                match change {
                    Interest::NamespaceOpened(_) => running.sending.shared.recount.notify_one(),
                    Interest::NamespaceClosed(namespace) => {
                        let namespace = namespace.to_owned();
                        let closed = Inbound::Closed { namespace };
                        running.hearing.inbound.tell(closed);
                    }
                    _ => {}
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

    fn has_uncounted_members(&self) -> bool {
        let python = self.config.python.as_ref();
        python.is_some_and(|python| python.mode == PythonMode::Member)
    }

    fn status(&self) -> AdapterStatus {
        let running = self.running.get();
        let (messages, bytes) = running.map_or((0, 0), |running| running.sending.outbox.used());
        let mut status = self.counters.status(messages, bytes);
        status.untranslated = self.untranslatable.total();
        status
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            *self.stage.lock() = Stage::Closed;
            if let Some(running) = self.running.get() {
                running.sending.close().await;
            }
        })
    }
}
