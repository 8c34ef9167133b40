//! Flags in front of an `emit` to one socket.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::target::Flags;

use super::Socket;
use crate::ack::AckFuture;
use crate::broadcast::{BroadcastOperator, IntoRooms};
use crate::events::EmitError;

/// A socket with flags for what is sent next. Made by [`Socket::volatile`], [`Socket::compress`]
/// and [`Socket::timeout`].
#[derive(Debug, Clone, Copy)]
#[must_use = "flags do nothing before something is sent"]
pub struct SocketEmitter<'a> {
    socket: &'a Socket,
    flags: Flags,
}

impl<'a> SocketEmitter<'a> {
    pub(super) fn new(socket: &'a Socket) -> Self {
        Self {
            socket,
            flags: Flags::default(),
        }
    }

    /// May be dropped when the client is not ready for it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether a polling response with it may be compressed.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// How long to wait for the answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.timeout = Some(timeout);
        self
    }

    /// As [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit<T: Serialize>(self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        self.socket.emit_flagged(event.as_ref(), &data, self.flags)
    }

    /// As [`Socket::emit_with_ack`].
    pub fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        self,
        event: impl AsRef<str>,
        data: T,
    ) -> AckFuture<R> {
        self.socket.ask_flagged(event.as_ref(), &data, self.flags)
    }

    /// Everybody in the namespace, without this socket.
    pub fn broadcast(mut self) -> BroadcastOperator {
        self.flags.broadcast = true;
        BroadcastOperator::new(self.socket.namespace().clone().into(), self.flags)
            .except(self.socket.id())
    }

    /// Everybody in the rooms, without this socket.
    pub fn to(self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Everybody in the rooms, this socket included if it is in one of them.
    pub fn within(self, rooms: impl IntoRooms) -> BroadcastOperator {
        BroadcastOperator::new(self.socket.namespace().clone().into(), self.flags).to(rooms)
    }

    /// Everybody in the namespace, without this socket and the members of the rooms.
    pub fn except(self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Everybody in the namespace on this node, without this socket.
    pub fn local(self) -> BroadcastOperator {
        self.broadcast().local()
    }
}
