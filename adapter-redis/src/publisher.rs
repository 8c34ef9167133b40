//! The publishing half, for emitters.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::RedisError;
use socketio_core::cluster::{
    AdapterError, AdapterStatus, ClusterHandler, ClusterMessage, ClusterResponse,
};
use socketio_core::ids::NodeId;
use tokio::time::timeout;

use crate::config::{ConfigError, RedisConfig};
use crate::connect::timed_out;
use crate::hearing::Hearing;
use crate::interests::Interests;
use crate::listeners::Tally;
use crate::outbound::Outgoing;
use crate::route::Routes;
use crate::sending::Sending;
use crate::shared::Shared;

/// Publishes to the nodes of a cluster without being one, and hears answers if it asks for them.
///
/// Once connected it connects again by itself for ever; what is published meanwhile waits in a
/// bounded queue, in order.
///
/// # Example
///
/// ```no_run
/// use socketio_adapter_redis::{Publisher, RedisConfig};
/// # async fn run(message: socketio_core::cluster::ClusterMessage)
/// # -> Result<(), socketio_core::cluster::AdapterError> {
///
/// let publisher = Publisher::connect(RedisConfig::new("redis://redis.example")).await?;
/// publisher.publish(&message)?;
/// publisher.close().await?;
/// # Ok(()) }
/// ```
pub struct Publisher {
    sending: Sending,
    /// The wire of Node.js for what nobody answers.
    routes: Routes,
    listening: OnceLock<Listening>,
    tally: tokio::sync::Mutex<Tally>,
    /// How many foreign members heard each namespace when they were last counted.
    foreign: Mutex<HashMap<String, usize>>,
    /// Dropped messages of which the caller was told.
    told: AtomicU64,
}

struct Listening {
    node: NodeId,
    routes: Arc<Routes>,
    hearing: Hearing,
    /// Namespaces whose answers are heard.
    namespaces: Mutex<Vec<String>>,
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work (a [`ConfigError`] inside [`AdapterError::Broker`]), the
    /// broker refuses, or none is there within
    /// [`connect_timeout`](RedisConfig#structfield.connect_timeout).
    pub async fn connect(config: RedisConfig) -> Result<Self, AdapterError> {
        let routes = Routes::new(&config, &NodeId::emitter());
        let shared = Shared::new(config, Arc::default()).map_err(misconfigured)?;
        // Nobody answers what is published before somebody listens.
        shared.set_subscribed();
        let limit = shared.config.connect_timeout;
        let reached = timeout(limit, shared.connector.reach()).await;
        reached
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(broken)?;
        Ok(Self {
            sending: Sending::start(shared),
            routes,
            listening: OnceLock::new(),
            tally: tokio::sync::Mutex::default(),
            foreign: Mutex::default(),
            told: AtomicU64::new(0),
        })
    }

    /// Puts a message into the queue, and never waits.
    ///
    /// # Errors
    ///
    /// When the queue is full, the message too large, or the publisher closed.
    pub fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let request = message.operation.request();
        let routes = match self.listening.get().filter(|_| request.is_some()) {
            Some(listening) => &listening.routes,
            None => &self.routes,
        };
        // Who did not count asks everybody.
        let foreign = request.map_or(0, |_| {
            let foreign = self.foreign.lock();
            foreign.get(&*message.namespace).copied().unwrap_or(1)
        });
        let encoded = routes.message(message, foreign);
        let encoded = encoded.map_err(|error| AdapterError::Encode(Box::new(error)))?;
        self.sending.outbox.push(encoded)
    }

    /// Puts bytes into the same queue for a channel of other software, as they are. It is a channel
    /// of `PUBLISH` in all modes.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_raw(&self, channel: &str, payload: Bytes) -> Result<(), AdapterError> {
        let outgoing = Outgoing::plain(channel.to_owned(), payload);
        self.sending.outbox.push([outgoing])
    }

    /// Waits until the broker has taken everything that was published before, through any number of
    /// reconnects.
    ///
    /// # Errors
    ///
    /// When something was lost since the last flush, or may have been.
    pub async fn flush(&self) -> Result<(), AdapterError> {
        self.sending.shared.flow.flushed().await;
        self.tell_losses()
    }

    /// Hears answers to requests of `node`, which must be an id of its own for this publisher, and
    /// those that members of other software give in `namespace`. Waits until they are heard. The
    /// first call decides about `node` and `on_response`, and opens a second connection.
    ///
    /// # Errors
    ///
    /// When the publisher is closed.
    pub async fn listen(
        &self,
        node: &NodeId,
        namespace: &str,
        on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
    ) -> Result<(), AdapterError> {
        let shared = &self.sending.shared;
        if shared.closing.is_cancelled() {
            return Err(AdapterError::Closed);
        }
        let listening = self
            .listening
            .get_or_init(|| Listening::start(&self.sending, node, on_response));
        let version = listening.hear(namespace);
        let mut heard = shared.heard.subscribe();
        tokio::select! {
            () = shared.stop.cancelled() => Err(AdapterError::Closed),
            heard = heard.wait_for(|&heard| heard >= version) => match heard {
                Ok(_) => Ok(()),
                Err(_) => Err(AdapterError::Closed),
            },
        }
    }

    /// How many nodes of ours are there, and how many foreign members hear `namespace`. They are
    /// counted now, by a question to the broker.
    ///
    /// # Errors
    ///
    /// When the broker does not answer.
    pub async fn count_members(
        &self,
        namespace: &str,
    ) -> Result<(Option<usize>, usize), AdapterError> {
        let pair = self.routes.counted(namespace);
        let channels = [self.routes.all(), &pair.all, &pair.ours];
        let mut tally = self.tally.lock().await;
        let shared = &self.sending.shared;
        let counted = match tally.count(shared, &channels).await {
            Ok(counted) => counted,
            // A connection that was idle may have broken.
            Err(_) => tally.count(shared, &channels).await.map_err(broken)?,
        };
        let count = |channel: &str| counted.get(channel).copied().unwrap_or(0);
        let [ours, all, marked] = channels.map(count);
        let foreign = usize::try_from(all.saturating_sub(marked)).unwrap_or(usize::MAX);
        self.foreign.lock().insert(namespace.to_owned(), foreign);
        Ok((usize::try_from(ours).ok(), foreign))
    }

    /// How it is doing. `up` says that it is connected.
    #[must_use]
    pub fn status(&self) -> AdapterStatus {
        let outbox = &self.sending.outbox;
        let (messages, bytes) = outbox.used();
        let mut status = self.sending.shared.counters.status(messages, bytes);
        status.up = outbox.is_connected();
        status
    }

    /// Sends what is queued, as long as [`close_timeout`](RedisConfig#structfield.close_timeout)
    /// allows, and disconnects. Closing twice is harmless.
    ///
    /// # Errors
    ///
    /// When something was lost since the last flush, or may have been.
    pub async fn close(&self) -> Result<(), AdapterError> {
        self.sending.close().await;
        self.tell_losses()
    }

    fn tell_losses(&self) -> Result<(), AdapterError> {
        let dropped = self.sending.shared.flow.dropped();
        let new = dropped - self.told.swap(dropped, Ordering::AcqRel).min(dropped);
        if new == 0 {
            return Ok(());
        }
        let problem = format!("{new} messages were lost, or may have been");
        Err(AdapterError::Broker(problem.into()))
    }
}

impl Listening {
    fn start(
        sending: &Sending,
        node: &NodeId,
        on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
    ) -> Self {
        let routes = Arc::new(Routes::new(&sending.shared.config, node));
        let own = routes.own();
        let answers = Answers {
            node: node.clone(),
            on_response,
        };
        // Events and requests are not heard.
        let interests = Arc::<Interests>::default();
        let (answers, known) = (Arc::new(answers), Arc::clone(&routes));
        Self {
            node: node.clone(),
            hearing: Hearing::start(sending, answers, known, interests, [own]),
            routes,
            namespaces: Mutex::default(),
        }
    }

    /// Wants to hear the answers of a namespace. The result is the version of what is wanted.
    fn hear(&self, namespace: &str) -> u64 {
        let mut namespaces = self.namespaces.lock();
        if !namespaces.iter().any(|known| known == namespace) {
            for channel in self.routes.answers(namespace) {
                self.hearing.wanted.add(channel);
            }
            namespaces.push(namespace.to_owned());
        }
        self.hearing.wanted.version()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("config", &self.sending.shared.config)
            .field(
                "node",
                &self.listening.get().map(|listening| &listening.node),
            )
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct Answers {
    node: NodeId,
    on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
}

impl ClusterHandler for Answers {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn on_message(&self, _: ClusterMessage) {}

    fn on_response(&self, response: ClusterResponse) {
        (self.on_response)(response);
    }
}

fn misconfigured(error: ConfigError) -> AdapterError {
    AdapterError::Broker(Box::new(error))
}

fn broken(error: RedisError) -> AdapterError {
    AdapterError::Broker(Box::new(error))
}
