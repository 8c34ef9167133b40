//! The publishing half, for emitters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use socketio_core::cluster::wire::native;
use socketio_core::cluster::{AdapterError, AdapterStatus, ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;
use tokio_util::task::TaskTracker;

use crate::config::AmqpConfig;
use crate::names;
use crate::reader::{Reader, Sink};
use crate::shared::{Heard, Shared};
use crate::writer::{self, Writer};

/// Publishes to the nodes of a cluster without being one, and hears answers if it asks for them.
///
/// Once connected it connects again by itself for ever; what is published meanwhile waits in a
/// bounded queue, in order.
///
/// # Example
///
/// ```no_run
/// use socketio_adapter_amqp::{AmqpConfig, Publisher};
/// # async fn run(message: socketio_core::cluster::ClusterMessage)
/// # -> Result<(), socketio_core::cluster::AdapterError> {
///
/// let publisher = Publisher::connect(AmqpConfig::new("amqp://guest:guest@rabbit.example")).await?;
/// publisher.publish(&message)?;
/// publisher.close().await?;
/// # Ok(()) }
/// ```
pub struct Publisher {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    listening: parking_lot::Mutex<bool>,
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work, the broker refuses, or none is there within
    /// [`connect_timeout`](AmqpConfig#structfield.connect_timeout).
    pub async fn connect(config: AmqpConfig) -> Result<Self, AdapterError> {
        let shared = Shared::new(config).map_err(|error| AdapterError::Broker(error.into()))?;
        let shared = Arc::new(shared);
        let writer = Writer::open(&shared).await;
        let writer = writer.map_err(|error| AdapterError::Broker(error.into()))?;
        shared.writing.store(true, Ordering::Relaxed);
        let tasks = TaskTracker::new();
        tasks.spawn(writer::run(Arc::clone(&shared), Some(writer)));
        Ok(Self {
            shared,
            tasks,
            listening: parking_lot::Mutex::new(false),
        })
    }

    /// Puts a message into the queue, and never waits.
    ///
    /// # Errors
    ///
    /// When the queue is full, the message too large, or the publisher closed.
    pub fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let body = native::encode_message(message);
        self.shared.push(names::ALL.into(), body)
    }

    /// Puts bytes into the same queue for an exchange of other software, as they are. If there is
    /// none of this name, a fanout exchange is declared as python-socketio does.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and when the name has more than 255 bytes.
    pub fn publish_raw(&self, exchange: &str, payload: Bytes) -> Result<(), AdapterError> {
        self.shared.push_foreign(exchange, payload)
    }

    /// Waits until the broker has confirmed everything that was published before, through any
    /// number of reconnects.
    ///
    /// # Errors
    ///
    /// When some of it was lost meanwhile, or may have been.
    pub async fn flush(&self) -> Result<(), AdapterError> {
        if self.shared.outbox.flush().await {
            Ok(())
        } else {
            Err(AdapterError::Broker("messages were lost".into()))
        }
    }

    /// Hears answers to requests of `node`, which must be an id of its own for this publisher.
    /// Waits until they are heard. The first call decides about `node` and `on_response`; later
    /// ones only wait. On this carrier the answers of all namespaces come together.
    ///
    /// # Errors
    ///
    /// When `node` is longer than names may be at the broker, or the publisher closed.
    pub async fn listen(
        &self,
        node: &NodeId,
        namespace: &str,
        on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
    ) -> Result<(), AdapterError> {
        let _ = namespace;
        self.begin_to_listen(node, on_response)?;
        let mut heard = self.shared.heard.subscribe();
        tokio::select! {
            () = self.shared.stop.cancelled() => Err(AdapterError::Closed),
            heard = heard.wait_for(|heard| *heard == Heard::Yes) => match heard {
                Ok(_) => Ok(()),
                Err(_) => Err(AdapterError::Closed),
            },
        }
    }

    fn begin_to_listen(
        &self,
        node: &NodeId,
        on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
    ) -> Result<(), AdapterError> {
        let mut listening = self.listening.lock();
        if self.shared.outbox.is_closed() {
            return Err(AdapterError::Closed);
        }
        if !*listening {
            let sink = Arc::new(Answers(on_response));
            let reader = Reader::new(Arc::clone(&self.shared), sink, node.clone(), false);
            let reader = reader.ok_or_else(|| AdapterError::Encode("the id is too long".into()))?;
            self.tasks.spawn(reader.run());
            *listening = true;
        }
        Ok(())
    }

    /// How many nodes of ours hear this publisher, which this carrier does not know, and how many
    /// foreign ones, of which it has none.
    ///
    /// # Errors
    ///
    /// Never, on this carrier.
    #[expect(clippy::unused_async, reason = "as the other carriers")]
    pub async fn count_members(
        &self,
        namespace: &str,
    ) -> Result<(Option<usize>, usize), AdapterError> {
        let _ = namespace;
        Ok((None, 0))
    }

    /// How it is doing. `up` says that it is connected and not blocked by the broker.
    #[must_use]
    pub fn status(&self) -> AdapterStatus {
        let (messages, bytes) = self.shared.outbox.waiting();
        let mut status = self.shared.counters.status(messages, bytes);
        let reconnects = self.shared.writer_reconnects.value();
        status.reconnects = status.reconnects.max(reconnects);
        status.up = self.shared.writing.load(Ordering::Relaxed)
            && !self.shared.blocked.load(Ordering::Relaxed);
        status
    }

    /// Sends what is queued, as long as [`close_timeout`](AmqpConfig#structfield.close_timeout)
    /// allows, and disconnects. Closing twice is harmless.
    ///
    /// # Errors
    ///
    /// When not everything was confirmed.
    pub async fn close(&self) -> Result<(), AdapterError> {
        let dropped = self.shared.counters.dropped_out.value();
        self.shared.drain().await;
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if self.shared.counters.dropped_out.value() == dropped {
            Ok(())
        } else {
            Err(AdapterError::Broker("messages were lost".into()))
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("config", self.shared.config())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct Answers(Arc<dyn Fn(ClusterResponse) + Send + Sync>);

impl Sink for Answers {
    fn message(&self, _: ClusterMessage) {}

    fn response(&self, response: ClusterResponse) {
        (self.0)(response);
    }

    fn connected(&self, _: bool) {}
}
