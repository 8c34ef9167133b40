//! The adapter for nodes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socketio_core::cluster::wire::native;
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
        }))
    }

    /// Why a connection was last lost or not made.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.counters.last_error()
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
            let shared = Arc::clone(&self.shared);
            let reader = Reader::new(Arc::clone(&shared), Arc::new(Node(handler)), node, true);
            let reader =
                reader.ok_or_else(|| AdapterError::Encode("the node's id is too long".into()))?;
            {
                let mut phase = self.phase.lock();
                match *phase {
                    Phase::New => *phase = Phase::Started,
                    Phase::Started => return Err(AdapterError::AlreadyStarted),
                    Phase::Closed => return Err(AdapterError::Closed),
                }
                self.tasks.spawn(writer::run(Arc::clone(&shared), None));
                self.tasks.spawn(reader.run());
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
        self.shared.push(names::ALL.into(), body)
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        self.check_running()?;
        match names::node_key(to) {
            Some(key) => self.shared.push(key, native::encode_response(&response)),
            // No node has such an id.
            None => Ok(()),
        }
    }

    fn status(&self) -> AdapterStatus {
        let (messages, bytes) = self.shared.outbox.waiting();
        self.shared.counters.status(messages, bytes)
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
