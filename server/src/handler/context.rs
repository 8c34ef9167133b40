//! When handlers run: a context for each kind.

use socketio_core::payload::Payload;

use crate::ack::Ack;
use crate::events::DisconnectReason;
use crate::middleware::{ConnectError, EventError};
use crate::socket::Socket;

/// When a handler runs, and what it can be given then.
///
/// Implemented by the contexts of this module only.
pub trait Context: sealed::Sealed + Send + Sized + 'static {
    /// What the server gets back.
    type Outcome: Send + 'static;
    /// What is left of the context while the handler runs.
    type Rest: Send + 'static;

    /// The socket that it is about.
    fn socket(&self) -> &Socket;
    #[doc(hidden)]
    fn into_rest(self) -> Self::Rest;
    #[doc(hidden)]
    fn rejected(self, rejection: &dyn std::error::Error) -> Self::Outcome;
}

/// A context with an event that came from the client.
pub trait EventLike: Context {
    /// Name and arguments of the event.
    fn payload(&self) -> &Payload;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::AdmitContext {}
    impl Sealed for super::ConnectContext {}
    impl Sealed for super::DisconnectContext {}
    impl Sealed for super::EventContext {}
    impl Sealed for super::PacketContext {}
    impl Sealed for super::ErrorContext {}
}

/// A client asks to join a namespace: what a [middleware](crate::Namespace::use_middleware) sees.
#[derive(Debug)]
pub struct AdmitContext {
    pub(crate) socket: Socket,
}

/// A socket has joined its namespace: what a [connection handler](crate::Namespace::on_connect) sees, and a
/// [handler of upgrades](crate::Socket::on_upgrade).
#[derive(Debug)]
pub struct ConnectContext {
    pub(crate) socket: Socket,
}

/// An event came: what an [event handler](crate::Socket::on) sees.
#[derive(Debug)]
pub struct EventContext {
    pub(crate) socket: Socket,
    pub(crate) payload: Payload,
    pub(crate) ack: Option<Ack>,
}

/// An event is about to be handled: what a [socket middleware](crate::Socket::use_middleware) sees.
#[derive(Debug)]
pub struct PacketContext {
    pub(crate) socket: Socket,
    pub(crate) payload: Payload,
}

/// A socket has left: what a [disconnect handler](crate::Socket::on_disconnect) sees.
#[derive(Debug)]
pub struct DisconnectContext {
    pub(crate) socket: Socket,
    pub(crate) reason: DisconnectReason,
}

/// A middleware of the socket refused an event: what an [error handler](crate::Socket::on_error) sees.
#[derive(Debug)]
pub struct ErrorContext {
    pub(crate) socket: Socket,
    pub(crate) error: EventError,
}

impl Context for AdmitContext {
    type Outcome = Result<(), ConnectError>;
    type Rest = ();
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) {}
    fn rejected(self, rejection: &dyn std::error::Error) -> Self::Outcome {
        Err(ConnectError::new(rejection.to_string()))
    }
}

impl Context for ConnectContext {
    type Outcome = ();
    type Rest = ();
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) {}
    fn rejected(self, rejection: &dyn std::error::Error) {
        log_rejection(&self.socket, "connection", rejection);
    }
}

impl Context for EventContext {
    type Outcome = ();
    type Rest = Option<Ack>;
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) -> Option<Ack> {
        self.ack
    }
    fn rejected(self, rejection: &dyn std::error::Error) {
        log_rejection(&self.socket, "event", rejection);
    }
}

impl Context for PacketContext {
    type Outcome = Result<(), EventError>;
    type Rest = ();
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) {}
    fn rejected(self, rejection: &dyn std::error::Error) -> Self::Outcome {
        Err(EventError::new(rejection.to_string()))
    }
}

impl Context for DisconnectContext {
    type Outcome = ();
    type Rest = ();
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) {}
    fn rejected(self, rejection: &dyn std::error::Error) {
        log_rejection(&self.socket, "disconnect", rejection);
    }
}

impl Context for ErrorContext {
    type Outcome = ();
    type Rest = ();
    fn socket(&self) -> &Socket {
        &self.socket
    }
    fn into_rest(self) {}
    fn rejected(self, rejection: &dyn std::error::Error) {
        log_rejection(&self.socket, "error", rejection);
    }
}

impl EventLike for EventContext {
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

impl EventLike for PacketContext {
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

fn log_rejection(socket: &Socket, kind: &str, rejection: &dyn std::error::Error) {
    // The arguments are the client's, so this is no fault of the server.
    tracing::debug!(socket = %socket.id(), kind, %rejection, "handler not called");
}
