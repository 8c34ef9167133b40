//! The emitter for programs without a runtime. It has a thread of its own, which keeps the
//! connection.
//!
//! ```no_run
//! use socketio_emitter::blocking::Emitter;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let io = Emitter::connect("redis://127.0.0.1:6379")?;
//!     io.to("user 17").emit("invoice", ("ready", 4711))?;
//!     io.close()?;
//!     Ok(())
//! }
//! ```

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::AdapterStatus;
use socketio_core::payload::Payload;
use socketio_core::target::IntoRooms;
use socketio_core::trace::TraceContext;
use tokio::runtime::Runtime;

use crate::answers::{AllAcks, Count, Replies};
use crate::config::EmitterConfig;
use crate::error::{AskError, ConnectError, EmitError, FlushError};
use crate::metrics::EmitterMetrics;

/// As [`crate::Emitter`], but calls that ask or wait block the thread. Clones share one connection.
///
/// It works in an async task too, but then it blocks a thread of that runtime: better use
/// [`crate::Emitter`] there.
#[derive(Clone)]
pub struct Emitter {
    emitter: crate::Emitter,
    // Behind the emitter, so that it goes last.
    thread: Arc<Thread>,
}

/// A runtime that may be dropped anywhere, also in an async task.
struct Thread(Option<Runtime>);

impl Thread {
    fn start() -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("socketio-emitter")
            .enable_all()
            .build();
        Ok(Self(Some(runtime.map_err(ConnectError::Runtime)?)))
    }

    /// Waits for what the thread does. `Runtime::block_on` would panic in an async task.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, done) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.0 {
            runtime.spawn(async move {
                // Cannot fail: the receiver waits below.
                let _ = sender.send(future.await);
            });
        }
        match done.recv() {
            Ok(done) => done,
            Err(_) => panic!("the emitter's thread has panicked"),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Emitter {
    /// As [`crate::Emitter::connect`].
    ///
    /// # Errors
    ///
    /// As there, and when no thread can be started.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(EmitterConfig::new(url))
    }

    /// As [`crate::Emitter::connect_with`].
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_with(config: EmitterConfig) -> Result<Self, ConnectError> {
        let thread = Arc::new(Thread::start()?);
        let emitter = thread.run(crate::Emitter::connect_with(config))?;
        Ok(Self { emitter, thread })
    }

    /// How the connection is doing.
    #[must_use]
    pub fn status(&self) -> AdapterStatus {
        self.emitter.status()
    }

    /// As [`crate::Emitter::metrics`].
    #[must_use]
    pub fn metrics(&self) -> EmitterMetrics {
        self.emitter.metrics()
    }

    /// Waits until the broker has taken everything that was sent before.
    ///
    /// # Errors
    ///
    /// As [`crate::Emitter::flush`].
    pub fn flush(&self) -> Result<(), FlushError> {
        let emitter = self.emitter.clone();
        self.thread.run(async move { emitter.flush().await })
    }

    /// As [`flush`](Self::flush), then disconnects.
    ///
    /// # Errors
    ///
    /// As [`crate::Emitter::close`].
    pub fn close(&self) -> Result<(), FlushError> {
        let emitter = self.emitter.clone();
        self.thread.run(async move { emitter.close().await })
    }

    /// The sockets of a namespace. `chat` is `/chat`. All that can be done with them is there; the
    /// other methods here are for the main namespace.
    pub fn of(&self, namespace: impl AsRef<str>) -> Operator {
        Operator {
            operator: self.emitter.of(namespace),
            thread: Arc::clone(&self.thread),
        }
    }

    /// The members of rooms in the main namespace.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.of("/").to(rooms)
    }

    /// Everybody in the main namespace but the members of rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.of("/").except(rooms)
    }

    /// See [`crate::Operator::emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.emitter.emit(event, data)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.emitter.fmt(f)
    }
}

/// As [`crate::Operator`], but calls that ask block the thread.
#[derive(Clone)]
#[must_use = "an operator does nothing by itself"]
pub struct Operator {
    operator: crate::Operator,
    thread: Arc<Thread>,
}

impl Operator {
    fn change(self, change: impl FnOnce(crate::Operator) -> crate::Operator) -> Self {
        Self {
            operator: change(self.operator),
            thread: self.thread,
        }
    }

    /// Adds the members of rooms.
    pub fn to(self, rooms: impl IntoRooms) -> Self {
        self.change(|operator| operator.to(rooms))
    }

    /// As [`to`](Self::to).
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves the members of rooms out.
    pub fn except(self, rooms: impl IntoRooms) -> Self {
        self.change(|operator| operator.except(rooms))
    }

    /// Clients that are not ready may miss it.
    pub fn volatile(self) -> Self {
        self.change(crate::Operator::volatile)
    }

    /// Whether polling responses with it may be compressed. Default `true`.
    pub fn compress(self, compress: bool) -> Self {
        self.change(|operator| operator.compress(compress))
    }

    /// How long to wait for answers once the question is sent. Default 5 seconds.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|operator| operator.timeout(timeout))
    }

    /// See [`crate::Operator::trace_context`].
    pub fn trace_context(self, trace: TraceContext) -> Self {
        self.change(|operator| operator.trace_context(trace))
    }

    /// See [`crate::Operator::emit`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.operator.emit(event, data)
    }

    /// See [`crate::Operator::emit_payload`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        self.operator.emit_payload(payload)
    }

    /// Sends an event and waits for the answers of all recipients.
    ///
    /// # Errors
    ///
    /// As [`crate::Operator::emit_with_ack`].
    pub fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<AllAcks<R>, AskError> {
        let payload = Payload::event(event.as_ref(), &data).map_err(EmitError::from)?;
        let operator = self.operator.clone();
        let asked = self.thread.run(async move {
            let acks = operator.emit_payload_with_ack::<()>(payload).await?;
            Ok::<_, AskError>(acks.collect_payloads().await)
        });
        Ok(asked?.decode())
    }

    /// How many sockets are meant, on all nodes.
    ///
    /// # Errors
    ///
    /// As [`crate::Operator::count`].
    pub fn count(&self) -> Result<Count, AskError> {
        let operator = self.operator.clone();
        self.thread.run(async move { operator.count().await })
    }

    /// See [`crate::Operator::sockets_join`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator.sockets_join(rooms)
    }

    /// See [`crate::Operator::sockets_leave`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator.sockets_leave(rooms)
    }

    /// See [`crate::Operator::disconnect_sockets`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        self.operator.disconnect_sockets(close)
    }

    /// See [`crate::Operator::server_side_emit`]. Does not block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn server_side_emit<T: Serialize>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<(), EmitError> {
        self.operator.server_side_emit(event, data)
    }

    /// Sends an event to the servers themselves and waits for what each answers.
    ///
    /// # Errors
    ///
    /// As [`crate::Operator::server_side_emit_with_ack`].
    pub fn server_side_emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<Replies<R>, AskError> {
        let payload = Payload::event(event.as_ref(), &data).map_err(EmitError::from)?;
        let operator = self.operator.clone();
        let asked = self
            .thread
            .run(async move { operator.server_side_emit_payload_with_ack(payload).await });
        Ok(asked?.decode())
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.fmt(f)
    }
}
