//! What nodes tell each other, and the contract of what carries it.
//!
//! An [`Adapter`] only carries: it publishes a [`ClusterMessage`] to all other nodes, brings a
//! [`ClusterResponse`] to the node that asked, and hands what arrives to a [`ClusterHandler`].
//! Everything else is here once for all carriers: who is alive ([`Members`]), who still owes an answer
//! ([`Requests`]), and how many sockets are in which room ([`Occupancy`]).
//!
//! [`MemoryBus`] joins nodes of one process, for single nodes and for tests.

mod counters;
#[cfg(any(test, feature = "laws"))]
pub mod laws;
mod lazy;
mod members;
mod memory;
mod message;
mod occupancy;
mod requests;
pub mod wire;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{NodeId, Room};
use crate::metrics::Observed;

pub use counters::{AdapterCounters, Counter};
pub use lazy::LazyValue;
pub use members::{MemberEvent, Members, MembersConfig};
pub use memory::{Link, MemoryAdapter, MemoryBus};
pub use message::{
    ClusterMessage, ClusterResponse, NamespaceRooms, Operation, ResponseBody, RoomNews,
    SocketSnapshot,
};
pub use occupancy::{Occupancy, OccupancyConfig, OccupancyEvent, OccupancyStats};
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

    /// Whether [`publish`](Self::publish) only puts messages into a queue, and never calls the handler
    /// of any node before it returns. Then it may be called under a lock that keeps the numbers of
    /// messages in the order in which they leave, whatever thread publishes.
    fn queues(&self) -> bool {
        false
    }

    /// Whether nodes of ours get a message with this operation in a format that carries its
    /// [`sequence`](ClusterMessage::sequence). Only such messages are numbered; if others were too,
    /// the receivers would take them for lost.
    fn carries_sequence(&self, operation: &Operation) -> bool {
        let _ = operation;
        true
    }

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

    /// Whether [`watch`](Self::watch) wants to hear of rooms, because the carrier has channels for
    /// single rooms.
    fn watches_rooms(&self) -> bool {
        false
    }

    /// Tells what this node has, so that a carrier with a channel for each namespace or room hears
    /// the right ones. Calls come in order, before [`start`](Self::start) too.
    ///
    /// It is called under a lock of the caller, so that the order is right: it must neither wait nor
    /// call the handler.
    fn watch(&self, change: Interest<'_>) {
        let _ = change;
    }

    /// How many [foreign](NodeId::foreign) members hear a namespace, as far as is known now; they
    /// will answer requests without saying who they are. Changes are told by
    /// [`ClusterHandler::on_foreign`].
    fn foreign(&self, namespace: &str) -> usize {
        let _ = namespace;
        0
    }

    /// Whether members may be there that neither are counted by [`foreign`](Self::foreign) nor
    /// answer requests, as those that speak the dialect of python-socketio.
    fn has_uncounted_members(&self) -> bool {
        false
    }

    /// How the carrier is doing.
    fn status(&self) -> AdapterStatus {
        AdapterStatus::default()
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

    /// The number of foreign members that hear a namespace has changed.
    fn on_foreign(&self, namespace: &str, count: usize) {
        let _ = (namespace, count);
    }

    /// The carrier is connected and heard (again). `gap` says that messages may have been lost
    /// before, so that what other nodes know of this one, and it of them, is to be renewed.
    fn on_connected(&self, gap: bool) {
        let _ = gap;
    }
}

/// What a node has come to hold, or holds no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest<'a> {
    /// A namespace was made.
    NamespaceOpened(&'a str),
    /// A namespace was removed.
    NamespaceClosed(&'a str),
    /// A room has its first member on this node. The room that a socket has of its own is
    /// `private`.
    RoomOpened {
        /// The namespace.
        namespace: &'a str,
        /// The room.
        room: &'a Room,
        /// Whether it is the own room of a socket.
        private: bool,
    },
    /// A room has lost its last member on this node.
    RoomClosed {
        /// The namespace.
        namespace: &'a str,
        /// The room.
        room: &'a Room,
    },
}

/// How a carrier is doing, for readiness checks and metrics. Counters begin at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterStatus {
    /// Connected, subscribed, and an own message was heard to come back since. A carrier without a
    /// broker is always up.
    pub up: bool,
    /// Connections made after the first one.
    pub reconnects: u64,
    /// Spans of time in which messages may have been lost.
    pub gaps: u64,
    /// Messages received, from whatever wire.
    pub messages_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Messages handed to the broker.
    pub messages_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Received messages that were not understood.
    pub decode_errors: u64,
    /// Received messages dropped because this node did not keep up.
    pub dropped_in: u64,
    /// Messages of other nodes that were lost on the way, where the carrier counts them itself:
    /// those that have no [`sequence`](ClusterMessage::sequence). What is in
    /// [`dropped_in`](Self::dropped_in) is missed too.
    pub missed: u64,
    /// Messages refused or dropped because the broker was away or too slow, or whose fate is
    /// unknown.
    pub dropped_out: u64,
    /// Those of them that had been taken into the queue, so that no caller was told.
    pub lost_out: u64,
    /// Messages that the broker handed to fewer members than were counted before. What each of them
    /// lacks it counts as [`missed`](Self::missed).
    pub unheard: u64,
    /// Messages that members of other software were not told, or not wholly, because their dialect
    /// has no words for them.
    pub untranslated: u64,
    /// Messages waiting to be sent.
    pub queued_messages: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
    /// How long an own message last took to come back through the broker.
    pub round_trip: Option<Duration>,
    /// The same of all that came back.
    pub round_trips: Observed,
    /// How long the broker took to confirm each message, from the moment it was handed to the
    /// connection: without the time in the queue.
    pub confirmations: Observed,
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
