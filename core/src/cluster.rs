//! What nodes tell each other, and the contract of what carries it.
//!
//! An [`Adapter`] only carries: it publishes a [`ClusterMessage`] to all other nodes, brings a
//! [`ClusterResponse`] to the node that asked, and hands what arrives to a [`ClusterHandler`].
//! Everything else is here once for all carriers: who is alive ([`Members`]), and who still owes an
//! answer ([`Requests`]).
//!
//! [`MemoryBus`] joins nodes of one process, for single nodes and for tests.

#[cfg(any(test, feature = "laws"))]
pub mod laws;
mod members;
mod memory;
mod message;
mod requests;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::ids::NodeId;

pub use members::{MemberEvent, Members, MembersConfig};
pub use memory::{Link, MemoryAdapter, MemoryBus};
pub use message::{ClusterMessage, ClusterResponse, Operation, ResponseBody, SocketSnapshot};
pub use requests::{Expected, Missing, RequestEvent, RequestKind, Requests};

/// A future that may be awaited on any runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages between nodes.
///
/// # Ordering
///
/// Messages that one node publishes arrive at each other node in that order, if they arrive. They
/// may be lost while the carrier is unreachable, and some carriers may bring one twice.
pub trait Adapter: Send + Sync + fmt::Debug {
    /// A short name for logs and metrics: `memory`, `redis`.
    fn name(&self) -> &'static str;

    /// Connects, and from then on hands to `handler` what other nodes publish, and the responses
    /// meant for `handler.node()`. Own messages are not handed back.
    ///
    /// # Errors
    ///
    /// When the adapter was started or closed before, or the configuration is at fault. A broker
    /// that cannot be reached is no error: it is sought until it is there.
    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>>;

    /// Sends a message to all other nodes. It is put into a queue: this never waits, neither for a
    /// broker nor for the receivers. Call it without holding a lock that a handler takes.
    ///
    /// # Errors
    ///
    /// When the message cannot be sent, now or ever. `Ok` does not mean that it has arrived.
    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError>;

    /// Sends an answer to the node that asked. Never waits either.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish). A node that does not exist (any more) is no error.
    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError>;

    /// Whether it is certain that no other node can hear, so that the caller may spare itself the
    /// work of publishing.
    fn is_alone(&self) -> bool {
        false
    }

    /// Sends what is queued and disconnects. Nothing is handed to the handler afterwards. Closing
    /// twice is harmless.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Receives what other nodes sent. The calls come one after the other, and must not block.
pub trait ClusterHandler: Send + Sync {
    /// The id of this node, by which answers find it.
    fn node(&self) -> &NodeId;

    /// A message of another node, or of an emitter.
    fn on_message(&self, message: ClusterMessage);

    /// An answer to a request of this node.
    fn on_response(&self, response: ClusterResponse);
}

/// Why an adapter did not take a message, or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// It was started before.
    #[error("the adapter is already started")]
    AlreadyStarted,
    /// What the carrier reports.
    #[error("the broker refused")]
    Broker(#[source] Box<dyn Error + Send + Sync>),
    /// It was closed.
    #[error("the adapter is closed")]
    Closed,
    /// The message does not fit the carrier's format.
    #[error("the message cannot be encoded")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
    /// It was not started.
    #[error("the adapter is not started")]
    NotStarted,
    /// The queue to the broker is full, because the broker is gone or slow.
    #[error("the queue to the broker is full")]
    QueueFull,
    /// The message is larger than the carrier takes.
    #[error("a message of {size} bytes exceeds the carrier's limit of {limit}")]
    TooLarge {
        /// Size of the encoded message.
        size: usize,
        /// Largest size that is accepted.
        limit: usize,
    },
}
