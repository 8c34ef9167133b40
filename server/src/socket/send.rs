//! Sending to one socket, and the answers that it owes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::frame::FrameOptions;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;
use socketio_core::target::Flags;
use tokio::sync::oneshot;

use super::{DISCONNECTED, Socket, SocketEmitter};
use crate::ack::{AckError, AckFuture, PendingAck, Slot};
use crate::broadcast::{BroadcastOperator, IntoRooms};
use crate::events::{EmitError, check_event_name};
use crate::spans;

impl Socket {
    /// Sends an event to the client. A tuple becomes several arguments, `()` none; bytes
    /// (`bytes::Bytes`, or a field that serializes as bytes) become attachments.
    ///
    /// Never waits. A client that reads too slowly for what is sent is disconnected when
    /// [`max_outbox_bytes`](crate::Options::max_outbox_bytes) wait for it.
    ///
    /// # Errors
    ///
    /// When the name is reserved, the data cannot be serialized, or the socket is disconnected.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.emit_flagged(event.as_ref(), &data, Flags::default())
    }

    /// Sends an event with arguments as they are, the name in front.
    ///
    /// # Errors
    ///
    /// When the name is reserved or missing, or the socket is disconnected.
    pub fn emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        check_event_name(&payload.event_name().unwrap_or_default())?;
        self.send_event(None, payload, Flags::default())
    }

    /// Sends an event of the name `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Sends an event and waits for the client's answer: a tuple for all its arguments, another
    /// type for the first. The event is sent at once, not at the first poll.
    ///
    /// Waits until the socket disconnects, or for as long as [`timeout`](Self::timeout) says.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(socket: socketio_server::Socket) {
    /// let answer = socket.timeout(Duration::from_secs(2)).emit_with_ack::<_, String>("name?", ());
    /// match answer.await {
    ///     Ok(name) => println!("hello {name}"),
    ///     Err(error) => println!("no name: {error}"),
    /// }
    /// # }
    /// ```
    pub fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> AckFuture<R> {
        self.ask_flagged(event.as_ref(), &data, Flags::default())
    }

    pub(super) fn emit_flagged<T: Serialize>(
        &self,
        event: &str,
        data: &T,
        flags: Flags,
    ) -> Result<(), EmitError> {
        check_event_name(event)?;
        self.send_event(None, &Payload::event(event, data)?, flags)
    }

    pub(super) fn ask_flagged<T: Serialize, R>(
        &self,
        event: &str,
        data: &T,
        flags: Flags,
    ) -> AckFuture<R> {
        let payload = match check_event_name(event)
            .and_then(|()| Payload::event(event, data).map_err(EmitError::from))
        {
            Ok(payload) => payload,
            Err(error) => return AckFuture::failed(error),
        };
        let id = self.0.namespace.next_ack_id();
        let (sender, answer) = oneshot::channel();
        match self.expect_ack(id, PendingAck::One(sender)) {
            Slot::Taken => {}
            Slot::Closed => return AckFuture::failed(EmitError::Disconnected),
            Slot::Full => return AckFuture::failed(AckError::TooMany),
        }
        // Dropping this forgets the id again.
        let future = AckFuture::waiting(self, id, answer, flags.timeout);
        match self.send_event(Some(id), &payload, flags) {
            Ok(()) => future,
            Err(error) => AckFuture::failed(error),
        }
    }

    fn send_event(
        &self,
        ack: Option<AckId>,
        payload: &Payload,
        flags: Flags,
    ) -> Result<(), EmitError> {
        if self.0.state.load(Ordering::Acquire) == DISCONNECTED {
            return Err(EmitError::Disconnected);
        }
        let options = FrameOptions {
            compress: flags.compress,
        };
        let stamped = spans::stamp(self.shared(), payload);
        let payload = stamped.as_ref().unwrap_or(payload);
        let namespace = &self.0.namespace;
        let frame = self
            .shared()
            .parser()
            .encode_event(namespace.name(), ack, payload, options);
        self.0.conn.send(&frame, flags.volatile);
        self.shared().metrics().events_out(1);
        self.tell_outgoing(payload);
        Ok(())
    }

    pub(crate) fn send_ack(&self, id: AckId, payload: &Payload) -> Result<(), EmitError> {
        if !self.connected() {
            return Err(EmitError::Disconnected);
        }
        let frame = self
            .shared()
            .parser()
            .encode_ack(self.0.namespace.name(), id, payload);
        self.0.conn.send(&frame, false);
        self.shared().metrics().events_out(1);
        Ok(())
    }

    /// What is sent next may be dropped when the client is not ready for it.
    pub fn volatile(&self) -> SocketEmitter<'_> {
        self.emitter().volatile()
    }

    /// Whether a polling response with what is sent next may be compressed. Default `true`.
    pub fn compress(&self, compress: bool) -> SocketEmitter<'_> {
        self.emitter().compress(compress)
    }

    /// How long to wait for the answer to what is sent next.
    pub fn timeout(&self, timeout: Duration) -> SocketEmitter<'_> {
        self.emitter().timeout(timeout)
    }

    /// Everybody in the rooms, without this socket.
    pub fn to(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Everybody in the rooms, this socket included if it is in one of them.
    pub fn within(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.0.namespace.to(rooms)
    }

    /// Everybody in the namespace, without this socket and the members of the rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Everybody in the namespace, without this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.emitter().broadcast()
    }

    /// Everybody in the namespace on this node, without this socket.
    pub fn local(&self) -> BroadcastOperator {
        self.broadcast().local()
    }

    fn emitter(&self) -> SocketEmitter<'_> {
        SocketEmitter::new(self)
    }

    /// Waits for the answer `id`.
    pub(crate) fn expect_ack(&self, id: AckId, ack: PendingAck) -> Slot {
        let limit = self.shared().options().max_pending_acks;
        self.0.acks.lock().insert(id, ack, limit)
    }

    pub(crate) fn forget_ack(&self, id: AckId) {
        let _forgotten = self.0.acks.lock().remove(id);
    }

    /// An answer came. One that nobody waits for (late, repeated, invented) is ignored.
    pub(crate) fn handle_ack(&self, id: AckId, payload: Payload) {
        let ack = self.0.acks.lock().remove(id);
        match ack {
            Some(PendingAck::One(sender)) => {
                // Who waited may have given up this very moment.
                let _: Result<(), Payload> = sender.send(payload);
            }
            Some(PendingAck::Many(collector)) => collector.answered(self.id(), payload),
            None => self.shared().metrics().dropped("late_ack", 1),
        }
    }
}
