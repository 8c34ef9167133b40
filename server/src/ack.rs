//! Acknowledgements: those that a client asks for ([`Ack`]), and those that clients owe to the server.

mod broadcast;
mod pending;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;
use socketio_core::value::ValueError;

pub use self::broadcast::{AckResponse, AckResponses, BroadcastAcks};
pub(crate) use self::broadcast::{Collector, DEFAULT_TIMEOUT, RawAcks};
pub use self::pending::AckFuture;
pub(crate) use self::pending::{AckTable, PendingAck, Slot};
use crate::events::EmitError;
use crate::socket::Socket;

/// Answers an event. An extractor of event handlers.
///
/// Whether the client asked for an answer is its choice: if it did not, sending does nothing, and
/// [`is_expected`](Self::is_expected) tells. Only the first answer to an event counts.
///
/// ```
/// use socketio_server::extract::{Ack, Data};
///
/// async fn divide(Data((a, b)): Data<(f64, f64)>, ack: Ack) {
///     // The client's callback gets two arguments.
///     let _ = if b == 0.0 { ack.send(("division by zero", ())) } else { ack.send(((), a / b)) };
/// }
/// ```
#[must_use = "the client waits for the answer"]
pub struct Ack {
    socket: Socket,
    id: Option<AckId>,
    /// Shared by all handlers of the event.
    used: Option<Arc<AtomicBool>>,
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("socket", self.socket.id())
            .field("id", &self.id)
            .finish()
    }
}

impl Ack {
    pub(crate) fn new(socket: &Socket, id: AckId) -> Self {
        Self {
            socket: socket.clone(),
            id: Some(id),
            used: None,
        }
    }

    pub(crate) fn unasked(socket: &Socket) -> Self {
        Self {
            socket: socket.clone(),
            id: None,
            used: None,
        }
    }

    /// Another handle of the same answer.
    pub(crate) fn share(&mut self) -> Self {
        let used = self.used.get_or_insert_default();
        Self {
            socket: self.socket.clone(),
            id: self.id,
            used: Some(Arc::clone(used)),
        }
    }

    /// Whether the client asked for an answer.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.id.is_some()
    }

    /// Answers with `data`. A tuple becomes several arguments, `()` none.
    ///
    /// # Errors
    ///
    /// When the data cannot be serialized, or the socket is disconnected.
    pub fn send<T: Serialize>(self, data: T) -> Result<(), EmitError> {
        if self.id.is_none() {
            return Ok(());
        }
        let payload = Payload::args(&data)?;
        self.send_payload(&payload)
    }

    /// Answers with arguments as they are, bytes included.
    ///
    /// # Errors
    ///
    /// When the socket is disconnected.
    pub fn send_payload(self, payload: &Payload) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        if let Some(used) = &self.used
            && used.swap(true, Ordering::Relaxed)
        {
            return Ok(());
        }
        self.socket.send_ack(id, payload)
    }
}

/// Why there is no acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The answer came, but is not of the type that was asked for.
    #[error("the answer does not fit")]
    Decode(#[source] ValueError),
    /// The socket was disconnected before it answered.
    #[error("the socket disconnected before it answered")]
    Disconnected,
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No answer within the [timeout](crate::Socket::timeout).
    #[error("operation has timed out")]
    Timeout,
    /// The socket owes too many answers already
    /// ([`Options::max_pending_acks`](crate::Options::max_pending_acks)).
    #[error("too many outstanding acknowledgements")]
    TooMany,
}
