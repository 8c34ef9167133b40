//! The adapter for nodes.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use socketio_core::cluster::wire::native;
use socketio_core::cluster::wire::python::{LimitCounts, Python, Translated};
use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, BoxFuture, ClusterHandler, ClusterMessage,
    ClusterResponse,
};
use socketio_core::ids::NodeId;
use tokio_util::task::TaskTracker;

use crate::config::{AmqpConfig, ConfigError};
use crate::names;
use crate::reader::{Reader, Sink};
use crate::shared::{Heard, Shared};
use crate::writer;

/// Joins nodes over a RabbitMQ broker.
///
/// # Ordering
///
/// What one node publishes arrives in that order. Without the reliable mode nothing comes twice;
/// with it the adapter removes copies.
///
/// # Example
///
/// ```no_run
/// use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig};
///
/// # fn main() -> Result<(), socketio_adapter_amqp::ConfigError> {
/// let config = AmqpConfig::new("amqp://guest:guest@rabbit.example");
/// let adapter = AmqpAdapter::new(config)?;
/// # Ok(()) }
/// ```
pub struct AmqpAdapter {
    shared: Arc<Shared>,
    phase: Mutex<Phase>,
    tasks: TaskTracker,
    /// Known when the node is.
    python: OnceLock<Arc<Python>>,
    untranslatable: LimitCounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Started,
    Closed,
}

/// [`start`](Adapter::start) waits no longer for a broker that does not answer at all.
const START_WAIT: Duration = Duration::from_secs(3);

impl AmqpAdapter {
    /// An adapter that connects when it is started.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work, or names files that cannot be read.
    pub fn new(config: AmqpConfig) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self {
            shared: Arc::new(Shared::new(config)?),
            phase: Mutex::new(Phase::New),
            tasks: TaskTracker::new(),
            python: OnceLock::new(),
            untranslatable: LimitCounts::default(),
        }))
    }

    /// Why a connection was last lost or not made.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error.lock().clone()
    }

    /// How often something could not be said, or not quite, to members that speak Python's dialect.
    #[must_use]
    pub fn untranslatable(&self) -> &LimitCounts {
        &self.untranslatable
    }

    /// Queues what Python's members are told. Being too slow for them is counted as for our own.
    fn push_translated(&self, translated: Translated) {
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
            let pushed = self.shared.push_foreign(&encoded.channel, encoded.payload);
            if let Err(error) = pushed {
                tracing::debug!(%error, "members in Python miss a message");
            }
        }
    }

    fn check_running(&self) -> Result<(), AdapterError> {
        match *self.phase.lock() {
            Phase::New => Err(AdapterError::NotStarted),
            Phase::Started => Ok(()),
            Phase::Closed => Err(AdapterError::Closed),
        }
    }
}

impl Adapter for AmqpAdapter {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let node = handler.node().clone();
            let python = self.shared.config().python.clone();
            let python = python.map(|config| Arc::new(Python::new(&node, config)));
            let shared = Arc::clone(&self.shared);
            let reader = Reader::new(Arc::clone(&shared), Arc::new(Node(handler)), node, true);
            let reader =
                reader.ok_or_else(|| AdapterError::Encode("the node's id is too long".into()))?;
            {
                let mut phase = self.phase.lock();
                match *phase {
                    Phase::New => {
                        if let Some(python) = &python {
                            let _ = self.python.set(Arc::clone(python));
                        }
                        *phase = Phase::Started;
                    }
                    Phase::Started => return Err(AdapterError::AlreadyStarted),
                    Phase::Closed => return Err(AdapterError::Closed),
                }
                self.tasks.spawn(writer::run(Arc::clone(&shared), None));
                self.tasks.spawn(reader.with_python(python).run());
            }
            // Whoever publishes next reaches the nodes that are there, if the broker is.
            let mut heard = shared.heard.subscribe();
            let settled = heard.wait_for(|heard| *heard != Heard::NotYet);
            let _ = tokio::time::timeout(START_WAIT, settled).await;
            Ok(())
        })
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        self.check_running()?;
        let body = native::encode_message(message);
        self.shared.push(names::ALL.into(), body)?;
        if let Some(python) = self.python.get().filter(|python| python.is_member()) {
            match python.encode(message) {
                Ok(translated) => self.push_translated(translated),
                Err(error) => return Err(AdapterError::Encode(error.into())),
            }
        }
        Ok(())
    }

    fn queues(&self) -> bool {
        true
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        self.check_running()?;
        if to.foreign_name().is_some() {
            let python = self.python.get().filter(|_| Python::answers(to));
            if let Some(python) = python {
                let translated = python.encode_response(&response);
                let translated = translated.map_err(|error| AdapterError::Encode(error.into()))?;
                self.push_translated(translated);
            }
            return Ok(());
        }
        match names::node_key(to) {
            Some(key) => self.shared.push(key, native::encode_response(&response)),
            // No node has such an id.
            None => Ok(()),
        }
    }

    fn has_uncounted_members(&self) -> bool {
        self.python.get().is_some_and(|python| python.is_member())
    }

    fn status(&self) -> AdapterStatus {
        let (messages, bytes) = self.shared.outbox.waiting();
        let mut status = self.shared.counters.status(messages, bytes);
        status.untranslated = self.untranslatable.total();
        status
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.phase.lock(), Phase::Closed);
            if before == Phase::Started {
                self.shared.drain().await;
                self.shared.stop.cancel();
            }
            self.tasks.close();
            self.tasks.wait().await;
            self.shared.counters.set_up(false);
        })
    }
}

impl Drop for AmqpAdapter {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for AmqpAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpAdapter")
            .field("config", self.shared.config())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct Node(Arc<dyn ClusterHandler>);

impl Sink for Node {
    fn message(&self, message: ClusterMessage) {
        self.0.on_message(message);
    }

    fn response(&self, response: ClusterResponse) {
        self.0.on_response(response);
    }

    fn connected(&self, gap: bool) {
        self.0.on_connected(gap);
    }
}
