//! What a server tells the application about by itself: why a socket left, and what happens to rooms.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use socketio_core::cluster::AdapterError;
use socketio_core::engine::CloseReason;
use socketio_core::ids::{NodeId, Room, SocketId};
use socketio_core::packet::RESERVED_EVENTS;
use socketio_core::payload::EncodeError;

/// Why a socket was disconnected. The texts are those of Node's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace: `client namespace disconnect`.
    ClientNamespaceDisconnect,
    /// The client broke the protocol, or the server closed the connection: `forced close`.
    ForcedClose,
    /// The server closed the connection: `forced server close`.
    ForcedServerClose,
    /// The client read too slowly for what is sent to it: `outbox overflow`. Node has no such bound.
    OutboxOverflow,
    /// The client sent something that is no packet: `parse error`.
    ParseError,
    /// The client answered no ping in time: `ping timeout`.
    PingTimeout,
    /// [`Socket::disconnect`](crate::Socket::disconnect) was called: `server namespace disconnect`.
    ServerNamespaceDisconnect,
    /// The server is shutting down: `server shutting down`.
    ServerShuttingDown,
    /// The connection was closed by the client or lost: `transport close`.
    TransportClose,
    /// The connection failed: `transport error`.
    TransportError,
}

impl DisconnectReason {
    /// The text that Node's server uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::OutboxOverflow => "outbox overflow",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::OutboxOverflow => Self::OutboxOverflow,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ServerShuttingDown => Self::ServerShuttingDown,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError => Self::TransportError,
            // And whatever other reason we may have one day to close it.
            _ => Self::ForcedClose,
        }
    }
}

/// Something happened to a room of a namespace on this node. Told to
/// [`Namespace::on_room_event`](crate::Namespace::on_room_event).
///
/// The room that every socket has under its own id is included, as in Node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// The room got its first member; [`Joined`](Self::Joined) follows.
    Created(Room),
    /// The room lost its last member.
    Deleted(Room),
    /// A socket joined the room.
    Joined(Room, SocketId),
    /// A socket left the room.
    Left(Room, SocketId),
}

/// A room of the whole cluster has got its first members, or lost its last ones. Told to
/// [`Namespace::on_room_occupied`](crate::Namespace::on_room_occupied) and
/// [`on_room_vacated`](crate::Namespace::on_room_vacated).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomPresence {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The room.
    pub room: Room,
    /// The node where they are, or were.
    pub node: NodeId,
    /// How many members it has.
    pub count: u64,
}

/// Why an event was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The adapter did not take the event, so sockets of other nodes do not get it. Those of this
    /// node have it.
    #[error("the other nodes were not told")]
    Adapter(#[source] AdapterFailure),
    /// The socket is not connected (any more).
    #[error("the socket is disconnected")]
    Disconnected,
    /// The data cannot be serialized.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Clients raise an event of this name themselves, so it cannot be sent.
    #[error("the event name `{0}` is reserved")]
    Reserved(String),
}

/// An [`AdapterError`] that several may hold. Two are equal if they are the same occurrence.
#[derive(Debug, Clone)]
pub struct AdapterFailure(Arc<AdapterError>);

impl AdapterFailure {
    pub(crate) fn new(error: AdapterError) -> Self {
        Self(Arc::new(error))
    }
}

impl Deref for AdapterFailure {
    type Target = AdapterError;
    fn deref(&self) -> &AdapterError {
        &self.0
    }
}

impl fmt::Display for AdapterFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for AdapterFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for AdapterFailure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AdapterFailure {}

/// Refuses the names that clients and servers use for events of their own.
pub(crate) fn check_event_name(event: &str) -> Result<(), EmitError> {
    if RESERVED_EVENTS.contains(&event) {
        return Err(EmitError::Reserved(event.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused() {
        for name in [
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
        ] {
            assert_eq!(
                check_event_name(name),
                Err(EmitError::Reserved(name.to_owned()))
            );
        }
        // Legal since CVE-2024-38355.
        assert_eq!(check_event_name("error"), Ok(()));
        assert_eq!(check_event_name("message"), Ok(()));
    }

    #[test]
    fn reasons_of_the_engine_keep_their_text() {
        for reason in CloseReason::ALL {
            assert_eq!(DisconnectReason::from(reason).as_str(), reason.as_str());
        }
    }
}
