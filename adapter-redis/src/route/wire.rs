//! The wire of Node's members: classic or sharded.

use bytes::Bytes;
use socketio_core::cluster::wire::{Classic, Decoded, Encoded, Sharded, ShardedMode, WireError};
use socketio_core::cluster::{ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;

use crate::channel::{Channel, Kind};
use crate::config::{Mode, RedisConfig};

#[derive(Debug)]
pub(super) enum Wire {
    Classic(Classic),
    Sharded {
        sharded: Sharded,
        /// Length of the prefix of all channels.
        prefix: usize,
    },
}

impl Wire {
    pub(super) fn new(config: &RedisConfig, me: &NodeId) -> Self {
        let mode = match config.mode {
            Mode::Pubsub => return Self::Classic(Classic::new(&config.prefix, me.clone())),
            Mode::ShardedStatic => ShardedMode::Static,
            Mode::ShardedDynamic => ShardedMode::Dynamic,
            Mode::ShardedDynamicPrivate => ShardedMode::DynamicPrivate,
        };
        Self::Sharded {
            sharded: Sharded::new(&config.prefix, mode, me.clone()),
            prefix: config.prefix.len(),
        }
    }

    /// All channels of a namespace, without those of its rooms.
    pub(super) fn channels(&self, namespace: &str) -> Vec<Channel> {
        let mut channels = self.answers(namespace);
        match self {
            Self::Classic(classic) => {
                let names = classic.namespace(namespace);
                channels.push(Channel::new(Kind::Plain, names.request));
                // The pattern of `/a` matches the channels of `/a#b` as well, and what matches two
                // patterns comes twice. So both have the same one.
                let first = namespace.split('#').next().unwrap_or(namespace);
                let pattern = classic.namespace(first).pattern;
                channels.push(Channel::new(Kind::Pattern, pattern));
            }
            Self::Sharded { sharded, .. } => {
                let names = sharded.channels(namespace);
                channels.push(Channel::new(Kind::Sharded, names.common));
            }
        }
        channels
    }

    /// The channels on which answers to this node come.
    pub(super) fn answers(&self, namespace: &str) -> Vec<Channel> {
        match self {
            Self::Classic(classic) => {
                let names = classic.namespace(namespace);
                let names = [names.response, names.own_response];
                names.map(|name| Channel::new(Kind::Plain, name)).to_vec()
            }
            Self::Sharded { sharded, .. } => {
                let name = sharded.channels(namespace).own_response;
                vec![Channel::new(Kind::Sharded, name)]
            }
        }
    }

    pub(super) fn channel_of_room(
        &self,
        namespace: &str,
        room: &str,
        private: bool,
    ) -> Option<Channel> {
        match self {
            Self::Sharded { sharded, .. } if sharded.subscribes(room, private) => {
                let name = sharded.room_channel(namespace, room);
                Some(Channel::new(Kind::Sharded, name))
            }
            Self::Classic(_) | Self::Sharded { .. } => None,
        }
    }

    /// Whether all that have a namespace hear what is sent to it on a channel of this length. Rooms
    /// may have channels of their own.
    pub(super) fn is_for_all(&self, channel: usize, namespace: &str) -> bool {
        match self {
            Self::Classic(_) => true,
            // `<prefix>#<namespace>#`
            Self::Sharded { prefix, .. } => channel == prefix + namespace.len() + 2,
        }
    }

    pub(super) fn counting(&self, namespace: &str) -> String {
        match self {
            Self::Classic(classic) => classic.namespace(namespace).counting,
            Self::Sharded { sharded, .. } => sharded.channels(namespace).counting,
        }
    }

    pub(super) fn encode(
        &self,
        message: &ClusterMessage,
        native_too: bool,
    ) -> Result<Option<Encoded>, WireError> {
        match self {
            Self::Classic(classic) => classic.encode(message, native_too),
            Self::Sharded { sharded, .. } => sharded.encode(message, native_too),
        }
    }

    pub(super) fn encode_response(
        &self,
        to: &NodeId,
        response: &ClusterResponse,
    ) -> Result<Option<Encoded>, WireError> {
        match self {
            Self::Classic(classic) => classic.encode_response(to, response),
            Self::Sharded { sharded, .. } => sharded.encode_response(to, response),
        }
    }

    pub(super) fn decode(
        &self,
        channel: &str,
        payload: &Bytes,
        has_room: impl Fn(&str, &str) -> bool,
    ) -> Result<Decoded, WireError> {
        match self {
            Self::Classic(classic) => classic.decode(channel, payload, has_room),
            Self::Sharded { sharded, .. } => sharded.decode(channel, payload, has_room),
        }
    }
}
