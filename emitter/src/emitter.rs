//! The emitter, and what its operators have in common.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::{AdapterStatus, ClusterMessage, Operation};
use socketio_core::ids::NodeId;
use socketio_core::payload::Payload;
use socketio_core::target::IntoRooms;
use socketio_core::trace::TraceContext;

use crate::answers::{Acks, Count, Replies};
use crate::ask::Waiting;
use crate::carrier::Carrier;
use crate::config::{EmitterConfig, Mode};
use crate::error::{AskError, ConnectError, EmitError, FlushError};
use crate::metrics::{EmitterCollector, EmitterMetrics};
use crate::operator::Operator;
use crate::spans;

/// Emits to the clients of a cluster. Clones share one connection.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use socketio_emitter::Emitter;
///
/// let io = Emitter::connect("redis://127.0.0.1:6379").await?;
/// io.to("user 17").emit("invoice", ("ready", 4711))?;
/// io.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// Everything that sends puts it into a bounded queue and returns at once. While the broker is away
/// the queue fills, and the emitter reconnects by itself; a full queue is an error. At the end call
/// [`close`](Self::close): dropping an emitter drops what is queued.
#[derive(Clone)]
pub struct Emitter {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) carrier: Carrier,
    pub(crate) mode: Mode,
    /// By this answers find the emitter.
    pub(crate) node: NodeId,
    pub(crate) waiting: Arc<Waiting>,
    /// How long it may take until answers can be heard.
    pub(crate) connect_timeout: Duration,
    flush_timeout: Duration,
}

impl Emitter {
    /// Connects with the default configuration; the URL tells which broker it is. See
    /// [`EmitterConfig::url`].
    ///
    /// # Errors
    ///
    /// When the URL is at fault, or the broker cannot be reached or refuses.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(EmitterConfig::new(url)).await
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// When the configuration is at fault, or the broker cannot be reached or refuses.
    pub async fn connect_with(config: EmitterConfig) -> Result<Self, ConnectError> {
        let node = NodeId::generate_emitter();
        let (carrier, mode) = Carrier::connect(&config).await?;
        let inner = Inner {
            mode,
            node,
            waiting: Arc::new(Waiting::new(
                config.max_answers,
                Arc::clone(&carrier.counters),
            )),
            connect_timeout: config.connect_timeout,
            flush_timeout: config.flush_timeout,
            carrier,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The wire that is spoken.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// How the connection is doing: whether it is up, what waits, what was sent and dropped.
    #[must_use]
    pub fn status(&self) -> AdapterStatus {
        self.inner.carrier.status()
    }

    /// What was sent, dropped and asked since the start, by all clones, and how long the broker takes.
    #[must_use]
    pub fn metrics(&self) -> EmitterMetrics {
        let inner = &self.inner;
        inner.carrier.counters.read(inner.mode, self.status())
    }

    /// The same for a registry of `prometheus-client`, read anew at each scrape.
    #[must_use]
    pub fn collector(&self) -> EmitterCollector {
        EmitterCollector(self.clone())
    }

    /// Waits until the broker has taken everything that was sent before, through reconnects if need
    /// be.
    ///
    /// # Errors
    ///
    /// When something was dropped, or the broker is not there within
    /// [`flush_timeout`](EmitterConfig::flush_timeout).
    pub async fn flush(&self) -> Result<(), FlushError> {
        let flushed = tokio::time::timeout(self.inner.flush_timeout, self.inner.carrier.flush());
        match flushed.await {
            Ok(flushed) => Ok(flushed?),
            Err(_) => Err(FlushError::Timeout {
                queued: self.status().queued_messages,
            }),
        }
    }

    /// As [`flush`](Self::flush), then disconnects, for all clones. Whatever is sent afterwards is
    /// refused.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush). The emitter is closed nevertheless.
    pub async fn close(&self) -> Result<(), FlushError> {
        let flushed = self.flush().await;
        let closed = self.inner.carrier.close().await;
        // What could not be flushed is lost by closing; one error is enough.
        flushed?;
        Ok(closed?)
    }

    /// The sockets of a namespace. `chat` is `/chat`.
    pub fn of(&self, namespace: impl AsRef<str>) -> Operator {
        Operator::new(self, namespace.as_ref())
    }

    /// All sockets of the main namespace.
    fn all(&self) -> Operator {
        self.of("/")
    }

    /// The members of rooms in the main namespace.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.all().to(rooms)
    }

    /// As [`to`](Self::to).
    pub fn within(&self, rooms: impl IntoRooms) -> Operator {
        self.to(rooms)
    }

    /// Everybody in the main namespace but the members of rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.all().except(rooms)
    }

    /// See [`Operator::volatile`].
    pub fn volatile(&self) -> Operator {
        self.all().volatile()
    }

    /// See [`Operator::compress`].
    pub fn compress(&self, compress: bool) -> Operator {
        self.all().compress(compress)
    }

    /// See [`Operator::trace_context`].
    pub fn trace_context(&self, trace: TraceContext) -> Operator {
        self.all().trace_context(trace)
    }

    /// See [`Operator::timeout`].
    pub fn timeout(&self, timeout: Duration) -> Operator {
        self.all().timeout(timeout)
    }

    /// See [`Operator::emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.all().emit(event, data)
    }

    /// See [`Operator::emit_payload`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        self.all().emit_payload(payload)
    }

    /// See [`Operator::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        self.all().send(data)
    }

    /// See [`Operator::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<Acks<R>, AskError> {
        self.all().emit_with_ack(event, data).await
    }

    /// See [`Operator::count`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn count(&self) -> Result<Count, AskError> {
        self.all().count().await
    }

    /// See [`Operator::sockets_join`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_join(rooms)
    }

    /// See [`Operator::sockets_leave`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_leave(rooms)
    }

    /// See [`Operator::disconnect_sockets`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        self.all().disconnect_sockets(close)
    }

    /// See [`Operator::server_side_emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn server_side_emit<T: Serialize>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<(), EmitError> {
        self.all().server_side_emit(event, data)
    }

    /// See [`Operator::server_side_emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn server_side_emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<Replies<R>, AskError> {
        self.all().server_side_emit_with_ack(event, data).await
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    /// Sends what wants no answer.
    pub(crate) fn publish(
        &self,
        namespace: &str,
        trace: Option<&TraceContext>,
        operation: Operation,
    ) -> Result<(), EmitError> {
        let (span, trace) = spans::sending(namespace, &operation, trace);
        let sent = self.carrier.publish(&ClusterMessage {
            node: NodeId::emitter(),
            namespace: namespace.into(),
            sequence: None,
            trace,
            operation,
        });
        if sent.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        sent
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let queued = self.carrier.status().queued_messages;
        if queued > 0 {
            tracing::warn!(
                queued,
                "an emitter was dropped before the broker had everything"
            );
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("node", &self.inner.node)
            .field("mode", &self.inner.mode)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
