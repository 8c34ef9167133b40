//! Whom something is for, then what shall happen.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::Operation;
use socketio_core::packet::RESERVED_EVENTS;
use socketio_core::payload::Payload;
use socketio_core::target::{IntoRooms, Target};
use socketio_core::trace::TraceContext;

use crate::answers::{Acks, Count, Replies};
use crate::ask::Place;
use crate::emitter::Emitter;
use crate::error::{AskError, EmitError};

/// A choice of sockets in one namespace, and what to do with them. Made by
/// [`of`](Emitter::of), [`to`](Emitter::to) and their relatives. Rooms add up; a socket in several
/// of them counts once.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let io = socketio_emitter::Emitter::connect("redis://127.0.0.1").await?;
/// io.of("/shop").to("customers").except("guests").emit("sale", ("shoes", 20))?;
/// io.to("room 1").sockets_join("room 2")?;
/// io.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Ordering
///
/// What one emitter sends arrives at each node in the order of the calls. Only in a Redis Cluster,
/// where sharded modes keep namespaces, and rooms unless the mode is static, on different servers,
/// the order is that of each namespace or room alone.
#[derive(Debug, Clone)]
#[must_use = "an operator does nothing by itself"]
pub struct Operator {
    emitter: Emitter,
    namespace: String,
    target: Target,
    trace: Option<Box<TraceContext>>,
}

impl Operator {
    pub(crate) fn new(emitter: &Emitter, namespace: &str) -> Self {
        // As Node.js: `of("chat")` is `of("/chat")`.
        let slash = if namespace.starts_with('/') { "" } else { "/" };
        Self {
            emitter: emitter.clone(),
            namespace: format!("{slash}{namespace}"),
            target: Target::all(),
            trace: None,
        }
    }

    /// Adds the members of rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        for room in rooms.into_rooms() {
            self.target = self.target.to(room);
        }
        self
    }

    /// As [`to`](Self::to). (Node's `in` is a keyword in Rust.)
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves the members of rooms out.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        for room in rooms.into_rooms() {
            self.target = self.target.except(room);
        }
        self
    }

    /// Clients that are not ready may miss it.
    pub fn volatile(mut self) -> Self {
        self.target.flags.volatile = true;
        self
    }

    /// Whether polling responses with it may be compressed. Default `true`.
    pub fn compress(mut self, compress: bool) -> Self {
        self.target.flags.compress = compress;
        self
    }

    /// How long to wait for answers once the question is sent. Default 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.target.flags.timeout = Some(timeout);
        self
    }

    /// Says to which trace it belongs what is sent, and what the servers do with it. With the feature `otel` that
    /// is the current span's, unless this says otherwise.
    ///
    /// ```no_run
    /// # fn example(io: socketio_emitter::Emitter, header: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// // Say, the `traceparent` of the job that this process works on.
    /// io.to("room 1").trace_context(header.parse()?).emit("done", ())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trace_context(mut self, trace: TraceContext) -> Self {
        self.trace = Some(Box::new(trace));
        self
    }

    /// Sends an event. A tuple is several arguments, `()` none; fields that serialize as bytes, as
    /// [`bytes::Bytes`] does, travel as binary.
    ///
    /// Never waits: it is queued for the broker. [`Emitter::flush`] tells when the broker has it.
    ///
    /// # Errors
    ///
    /// When the name is reserved, the data cannot be serialized, the queue is full or the message
    /// too large.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.emit_payload(&Payload::event(event.as_ref(), &data)?)
    }

    /// Sends an event with arguments as they are, the name in front.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        check(payload, &RESERVED_EVENTS)?;
        self.publish(Operation::Broadcast {
            payload: payload.clone(),
            target: self.target.clone(),
            request: None,
        })
    }

    /// Sends an event of the name `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Sends an event that each recipient answers. The answers come one by one, or all at once; the
    /// nodes and sockets that did not answer in time are named.
    ///
    /// ```no_run
    /// # async fn example(io: socketio_emitter::Emitter) -> Result<(), socketio_emitter::AskError> {
    /// let acks = io.to("players").emit_with_ack::<_, u32>("score?", ()).await?;
    /// let all = acks.collect().await;
    /// println!("{} answered, missing: {:?}", all.acks.len(), all.missing);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit); when no node is there; in mode [`Python`](crate::Mode::Python),
    /// which has no answers for those that are no server.
    pub async fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<Acks<R>, AskError> {
        let payload = Payload::event(event.as_ref(), &data).map_err(EmitError::from)?;
        self.emit_payload_with_ack(payload).await
    }

    /// As [`emit_with_ack`](Self::emit_with_ack), with arguments as they are, the name in front.
    ///
    /// # Errors
    ///
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn emit_payload_with_ack<R: DeserializeOwned>(
        &self,
        payload: Payload,
    ) -> Result<Acks<R>, AskError> {
        check(&payload, &RESERVED_EVENTS)?;
        let (inner, target) = (self.emitter.inner(), self.target.clone());
        let asked = inner.ask_for_acks(self.place(), payload, target);
        Ok(Acks::new(asked.await?))
    }

    /// How many sockets are meant, on all nodes.
    ///
    /// # Errors
    ///
    /// When the question cannot be sent, no node is there, or in mode
    /// [`Python`](crate::Mode::Python). Nodes that did not answer are no error, but
    /// [named](Count::missing).
    pub async fn count(&self) -> Result<Count, AskError> {
        let (inner, target) = (self.emitter.inner(), self.target.clone());
        let asked = inner.ask_for_sockets(self.place(), target);
        Ok(Count::gather(asked.await?).await)
    }

    /// Makes the sockets join rooms.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit). In mode [`Python`](crate::Mode::Python) the rooms that
    /// [`to`](Self::to) named must be ids of sockets.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.publish(Operation::Join {
            target: self.target.clone(),
            rooms: rooms.into_rooms().into_vec(),
        })
    }

    /// Makes the sockets leave rooms.
    ///
    /// # Errors
    ///
    /// As [`sockets_join`](Self::sockets_join).
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.publish(Operation::Leave {
            target: self.target.clone(),
            rooms: rooms.into_rooms().into_vec(),
        })
    }

    /// Disconnects the sockets from the namespace; with `close` their connections are closed, with
    /// all their namespaces.
    ///
    /// # Errors
    ///
    /// As [`sockets_join`](Self::sockets_join).
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        self.publish(Operation::Disconnect {
            target: self.target.clone(),
            close,
        })
    }

    /// Sends an event to the servers themselves, whatever rooms were named.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and in mode [`Python`](crate::Mode::Python).
    pub fn server_side_emit<T: Serialize>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<(), EmitError> {
        self.server_side_emit_payload(&Payload::event(event.as_ref(), &data)?)
    }

    /// As [`server_side_emit`](Self::server_side_emit), with arguments as they are, the name in
    /// front.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn server_side_emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        check(payload, &RESERVED_BY_SERVERS)?;
        self.publish(Operation::ServerSideEmit {
            payload: payload.clone(),
            request: None,
        })
    }

    /// Sends an event to the servers themselves and gathers what each answers.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), and as [`emit`](Self::emit).
    pub async fn server_side_emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<Replies<R>, AskError> {
        let payload = Payload::event(event.as_ref(), &data).map_err(EmitError::from)?;
        let replies = self.server_side_emit_payload_with_ack(payload).await?;
        Ok(replies.decode())
    }

    /// As [`server_side_emit_with_ack`](Self::server_side_emit_with_ack), with arguments as they are
    /// and answers as they came.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn server_side_emit_payload_with_ack(
        &self,
        payload: Payload,
    ) -> Result<Replies<Payload>, AskError> {
        check(&payload, &RESERVED_BY_SERVERS)?;
        let timeout = self.target.flags.timeout;
        let inner = self.emitter.inner();
        let asked = inner.ask_servers(self.place(), payload, timeout);
        Ok(Replies::gather(asked.await?).await)
    }

    fn place(&self) -> Place<'_> {
        Place {
            namespace: &self.namespace,
            trace: self.trace.as_deref(),
        }
    }

    fn publish(&self, operation: Operation) -> Result<(), EmitError> {
        let inner = self.emitter.inner();
        inner.publish(&self.namespace, self.trace.as_deref(), operation)
    }
}

/// What servers raise themselves.
const RESERVED_BY_SERVERS: [&str; 3] = ["connect", "connection", "new_namespace"];

fn check(payload: &Payload, reserved: &[&str]) -> Result<(), EmitError> {
    let name = payload.event_name().unwrap_or_default();
    if reserved.contains(&&*name) {
        return Err(EmitError::Reserved(name.into_owned()));
    }
    Ok(())
}
