//! What operators do with a namespace: on this node at once, on the others through the adapter.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::Operation;
use socketio_core::ids::{AckId, Room};
use socketio_core::payload::Payload;
use socketio_core::target::{Flags, Target};
use tracing::{Instrument as _, Span};

use super::Namespace;
use crate::ack::{BroadcastAcks, Collector};
use crate::broadcast::{BroadcastOperator, IntoRooms};
use crate::cluster::{self, Cluster};
use crate::events::EmitError;
use crate::remote::{FetchError, RemoteSocket};
use crate::spans;

impl Namespace {
    /// All sockets of the namespace, on all nodes.
    pub fn operator(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.clone().into(), Flags::default())
    }

    /// The members of rooms: of one, or of a list.
    pub fn to(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.operator().to(rooms)
    }

    /// As [`to`](Self::to). (Node's `in` is a keyword in Rust.)
    pub fn within(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.operator().to(rooms)
    }

    /// All but the members of rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.operator().except(rooms)
    }

    /// All; those whose clients are not ready may miss what is sent.
    pub fn volatile(&self) -> BroadcastOperator {
        self.operator().volatile()
    }

    /// All; says whether polling responses may be compressed.
    pub fn compress(&self, compress: bool) -> BroadcastOperator {
        self.operator().compress(compress)
    }

    /// All sockets of this node.
    pub fn local(&self) -> BroadcastOperator {
        self.operator().local()
    }

    /// All; says how long to wait for answers.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.operator().timeout(timeout)
    }

    /// Sends an event to all sockets: [`BroadcastOperator::emit`].
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::emit`].
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.operator().emit(event, data)
    }

    /// Sends an event of the name `message` to all sockets.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::emit`].
    pub fn send<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        self.operator().send(data)
    }

    /// Sends an event that all sockets answer: [`BroadcastOperator::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::emit`].
    pub fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<BroadcastAcks<R>, EmitError> {
        self.operator().emit_with_ack(event, data)
    }

    /// The members of rooms, to be [counted](BroadcastOperator::count): as [`to`](Self::to).
    pub fn in_room(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.operator().to(rooms)
    }

    /// All sockets of all nodes.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        self.operator().fetch_sockets().await
    }

    /// Makes all sockets join rooms.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::join`].
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator().join(rooms)
    }

    /// Makes all sockets leave rooms.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::leave`].
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.operator().leave(rooms)
    }

    /// Disconnects all sockets; with `close` their connections are closed too.
    ///
    /// # Errors
    ///
    /// As [`BroadcastOperator::disconnect`].
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        self.operator().disconnect(close)
    }

    // What the operators call. First this node, so that it never waits for a broker.

    pub(crate) fn broadcast(&self, payload: &Payload, target: &Target) -> Result<(), EmitError> {
        let span = spans::send("broadcast", self, target, payload);
        let _inside = span.enter();
        let stamped = spans::stamp(self.shared(), payload);
        let payload = stamped.as_ref().unwrap_or(payload);
        spans::recipients(&span, self.deliver_event(payload, target));
        let told = self.tell_others(target, || Operation::Broadcast {
            payload: payload.clone(),
            target: target.clone(),
            request: None,
        });
        spans::outcome(&told);
        told
    }

    /// The span is to live until the answers have come.
    pub(crate) fn broadcast_with_ack(
        &self,
        payload: &Payload,
        target: &Target,
        ack: AckId,
        collector: &Arc<Collector>,
    ) -> Result<Span, EmitError> {
        let span = spans::send("broadcast", self, target, payload);
        let entered = span.enter();
        let stamped = spans::stamp(self.shared(), payload);
        let payload = stamped.as_ref().unwrap_or(payload);
        let asked = self.deliver_with_ack(payload, target, ack, collector);
        spans::recipients(&span, asked);
        if let Some(cluster) = self.others(target) {
            let told = cluster.broadcast_with_ack(self.name(), payload, target, collector);
            spans::outcome(&told);
            told?;
        }
        drop(entered);
        Ok(span)
    }

    pub(crate) async fn fetch(&self, target: &Target) -> Result<Vec<RemoteSocket>, FetchError> {
        let mut sockets = self.fetch_local(target);
        let Some(cluster) = self.others(target) else {
            return Ok(sockets);
        };
        let span = spans::request("fetch_sockets", self);
        let asked = cluster.fetch(self.name(), target);
        let (found, missing) = asked.instrument(span.clone()).await;
        spans::missing(&span, missing.len());
        let found = found.into_iter();
        sockets.extend(found.map(|snapshot| cluster::remote_socket(snapshot, self)));
        if missing.is_empty() {
            Ok(sockets)
        } else {
            Err(FetchError { sockets, missing })
        }
    }

    pub(crate) fn sockets_join_all(
        &self,
        target: &Target,
        rooms: &[Room],
    ) -> Result<(), EmitError> {
        self.join_local(target, rooms);
        self.tell_others(target, || Operation::Join {
            target: target.clone(),
            rooms: rooms.to_vec(),
        })
    }

    pub(crate) fn sockets_leave_all(
        &self,
        target: &Target,
        rooms: &[Room],
    ) -> Result<(), EmitError> {
        self.leave_local(target, rooms);
        self.tell_others(target, || Operation::Leave {
            target: target.clone(),
            rooms: rooms.to_vec(),
        })
    }

    pub(crate) fn disconnect_all(&self, target: &Target, close: bool) -> Result<(), EmitError> {
        self.disconnect_local(target, close);
        self.tell_others(target, || Operation::Disconnect {
            target: target.clone(),
            close,
        })
    }

    /// The cluster, if there are others whom something for `target` concerns.
    pub(super) fn others(&self, target: &Target) -> Option<&Arc<Cluster>> {
        let cluster = self.shared().cluster()?;
        (!target.flags.local && !cluster.is_alone()).then_some(cluster)
    }

    fn tell_others(
        &self,
        target: &Target,
        operation: impl FnOnce() -> Operation,
    ) -> Result<(), EmitError> {
        match self.others(target) {
            Some(cluster) => cluster.publish(self.name(), operation()),
            None => Ok(()),
        }
    }

    // What concerns the sockets of this node only; other nodes ask for the same.

    pub(crate) fn fetch_local(&self, target: &Target) -> Vec<RemoteSocket> {
        let sockets = self.sockets_of(target);
        sockets.iter().map(RemoteSocket::of).collect()
    }

    pub(crate) fn join_local(&self, target: &Target, rooms: &[Room]) {
        for socket in self.sockets_of(target) {
            self.join(&socket, rooms.iter().cloned());
        }
    }

    pub(crate) fn leave_local(&self, target: &Target, rooms: &[Room]) {
        for socket in self.sockets_of(target) {
            self.leave(&socket, rooms);
        }
    }

    pub(crate) fn disconnect_local(&self, target: &Target, close: bool) {
        for socket in self.sockets_of(target) {
            socket.disconnect(close);
        }
    }
}
