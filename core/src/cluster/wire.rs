//! The bytes of messages: our own format, and those of other implementations of Socket.IO.
//!
//! Nothing here does input or output. A codec turns a [`ClusterMessage`] into an [`Encoded`] and
//! what a carrier brings into a [`Decoded`]; the adapters move the bytes.

pub mod classic;
pub mod native;
mod node_js;
mod part;
pub mod python;
pub mod sharded;
#[cfg(test)]
mod testing;
mod writer;

use bytes::Bytes;
use bytestring::ByteString;

use super::{ClusterMessage, ClusterResponse};
use crate::ids::NodeId;
use crate::json::JsonError;
use crate::msgpack::MessagePackError;
use crate::value::ValueError;

pub use classic::{Classic, ClassicChannels};
pub use sharded::{Sharded, ShardedChannels, ShardedMode};

/// What is to be published, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The channel.
    pub channel: String,
    /// The contents.
    pub payload: Bytes,
}

/// What was received.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A message for all nodes.
    Message(ClusterMessage),
    /// An answer. The receiver knows by its request whether it is meant.
    Response(ClusterResponse),
    /// A message by which a node sees whether it hears itself; the number is that of the sending.
    Probe(u64),
    /// An event for rooms in which nobody is here. Its arguments were not read.
    Elsewhere {
        /// Who sent it.
        node: NodeId,
        /// The namespace of the rooms.
        namespace: ByteString,
    },
    /// There is nothing to do: it is an own message, or a copy of one that comes in our own format
    /// too, or it is of a kind that only a later version knows.
    Skip,
}

/// Bytes that are no message of the format, or a message that the format has no bytes for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The text is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The bytes are no MessagePack.
    #[error(transparent)]
    MessagePack(#[from] MessagePackError),
    /// What python-socketio below 5.14 sends. It could run code when read, so it never is.
    #[error("a Python pickle: upgrade the sender to python-socketio 5.15.1 or later")]
    Pickle,
    /// Text that is not UTF-8.
    #[error("the message is not UTF-8")]
    Utf8,
    /// A member is missing or is not what it must be.
    #[error("`{0}` is missing or invalid")]
    Member(&'static str),
    /// Arguments that cannot be read.
    #[error("invalid arguments")]
    Arguments(#[from] ValueError),
    /// The channel does not belong to the format.
    #[error("unknown channel")]
    Channel,
    /// A message that the lengths of the format cannot express.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
}
