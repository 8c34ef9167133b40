//! The format of the sharded adapter of `@socket.io/redis-adapter`, for `SPUBLISH` and
//! `SSUBSCRIBE`.
//!
//! Each message is an object with its type, its contents and its sender. There is a channel for
//! each namespace, one for each node in it, and perhaps one for each room.

mod message;
mod response;

use bytes::Bytes;

use super::part::Document;
use super::{Decoded, Encoded, WireError, node_js};
use crate::cluster::{ClusterMessage, ClusterResponse, Operation};
use crate::ids::NodeId;

/// Which rooms have a channel of their own. All nodes must use the same mode; Node.js calls it
/// `subscriptionMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShardedMode {
    /// None.
    Static,
    /// All but the rooms that sockets have of their own. A room whose name is as long as the id of
    /// a socket, 20 characters, is taken for one of those.
    #[default]
    Dynamic,
    /// All.
    DynamicPrivate,
}

/// Reads and writes the sharded format for one node.
///
/// ```
/// use socketio_core::cluster::wire::{Sharded, ShardedMode};
/// use socketio_core::ids::NodeId;
///
/// let me = NodeId::from("90cd04874bb430dd");
/// let sharded = Sharded::new("socket.io", ShardedMode::Dynamic, me);
/// assert_eq!(sharded.channels("/").common, "socket.io#/#");
/// assert_eq!(sharded.channels("/").own_response, "socket.io#/#90cd04874bb430dd#");
/// assert_eq!(sharded.room_channel("/", "r1"), "socket.io#/#r1#");
/// assert!(sharded.subscribes("r1", false));
/// ```
#[derive(Debug, Clone)]
pub struct Sharded {
    prefix: String,
    mode: ShardedMode,
    me: NodeId,
}

/// The channels of one namespace, without those of its rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardedChannels {
    /// Channel for what concerns all nodes.
    pub common: String,
    /// Channel for answers to this node.
    pub own_response: String,
    /// The channel whose subscribers are the nodes that have the namespace. It is one of the
    /// others, and must not be subscribed twice.
    pub counting: String,
}

impl Sharded {
    /// For the node `me`, with the `prefix` that Node.js calls `channelPrefix`: `socket.io` unless
    /// it is changed there.
    #[must_use]
    pub fn new(prefix: &str, mode: ShardedMode, me: NodeId) -> Self {
        Self {
            prefix: format!("{prefix}#"),
            mode,
            me,
        }
    }

    /// The channels of a namespace, whose name begins with a slash.
    #[must_use]
    pub fn channels(&self, namespace: &str) -> ShardedChannels {
        let common = self.common(namespace);
        ShardedChannels {
            own_response: format!("{common}{}#", self.me),
            counting: common.clone(),
            common,
        }
    }

    /// The channel of a room, whether it is used or not.
    #[must_use]
    pub fn room_channel(&self, namespace: &str, room: &str) -> String {
        format!("{}{namespace}#{room}#", self.prefix)
    }

    /// Whether a node that has members of a room listens to the room's channel. `private` rooms are
    /// those that sockets have of their own.
    #[must_use]
    pub fn subscribes(&self, _room: &str, private: bool) -> bool {
        match self.mode {
            ShardedMode::Static => false,
            ShardedMode::Dynamic => !private,
            ShardedMode::DynamicPrivate => true,
        }
    }

    /// The channel that a message goes to.
    #[must_use]
    pub fn publish_channel(&self, message: &ClusterMessage) -> String {
        if let Operation::Broadcast {
            target,
            request: None,
            ..
        } = &message.operation
            && let [room] = target.rooms.as_slice()
        {
            let room = room.as_str();
            let own_channel = match self.mode {
                ShardedMode::Static => false,
                // As JavaScript counts.
                ShardedMode::Dynamic => room.encode_utf16().count() != 20,
                ShardedMode::DynamicPrivate => true,
            };
            if own_channel {
                return self.room_channel(&message.namespace, room);
            }
        }
        self.common(&message.namespace)
    }

    /// The bytes of a message; none if the format has no such message, or it is to stay here.
    ///
    /// `native_too` says that our own nodes get it in another way as well, so that they let this
    /// copy be. It has no effect on events that want no answer.
    ///
    /// # Errors
    ///
    /// When it is too large.
    pub fn encode(
        &self,
        message: &ClusterMessage,
        native_too: bool,
    ) -> Result<Option<Encoded>, WireError> {
        let payload = message::encode(&self.me, message, native_too)?;
        Ok(payload.map(|payload| Encoded {
            channel: self.publish_channel(message),
            payload,
        }))
    }

    /// The bytes of an answer to the node `to`; none if the format has no such answer. Of the
    /// arguments of an acknowledgement only the first one is kept.
    ///
    /// # Errors
    ///
    /// When it is too large.
    pub fn encode_response(
        &self,
        to: &NodeId,
        response: &ClusterResponse,
    ) -> Result<Option<Encoded>, WireError> {
        let payload = response::encode(&self.me, response)?;
        Ok(payload.map(|payload| Encoded {
            channel: self.room_channel(&response.namespace, node_js::name_of(to)),
            payload,
        }))
    }

    /// What came on a channel. `has_room` tells whether a room of a namespace has members here,
    /// its own room being one for each socket; an event for other rooms is skipped before its
    /// arguments are read.
    ///
    /// # Errors
    ///
    /// When the bytes are no such message.
    pub fn decode(
        &self,
        channel: &str,
        payload: &Bytes,
        has_room: impl Fn(&str, &str) -> bool,
    ) -> Result<Decoded, WireError> {
        let channel = channel.strip_prefix(&self.prefix);
        let channel = channel.ok_or(WireError::Channel)?;
        let document = Document::new(payload)?;
        let Some(message) = message::read(&self.me, document.root())? else {
            return Ok(Decoded::Skip);
        };
        // A namespace may have a name that is longer by what looks like a room.
        let rest = channel.strip_prefix(&*message.namespace);
        if !rest.is_some_and(|rest| rest.starts_with('#')) {
            return Ok(Decoded::Skip);
        }
        if message::kind::is_response(message.kind) {
            response::decode(message)
        } else {
            message::decode(message, has_room)
        }
    }

    fn common(&self, namespace: &str) -> String {
        format!("{}{namespace}#", self.prefix)
    }
}

#[cfg(test)]
mod tests;
