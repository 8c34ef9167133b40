//! Which channels a message goes to, and what arrives from which.

use bytes::Bytes;
use socketio_core::cluster::wire::{Decoded, WireError, native};
use socketio_core::cluster::{ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;

use crate::channel::{Channel, Kind};
use crate::config::RedisConfig;
use crate::outbound::Outgoing;

/// The names of our own channels, and the wires of other software.
#[derive(Debug)]
pub(crate) struct Routes {
    /// `<prefix>-cluster#`, which all of our nodes hear.
    all: Bytes,
    /// How the channels of single nodes begin.
    prefix: String,
    /// Heard by this node alone.
    pub(crate) own: Bytes,
    kind: Kind,
}

impl Routes {
    pub(crate) fn new(config: &RedisConfig, me: &NodeId) -> Self {
        let prefix = format!("{}-cluster#", config.prefix);
        let is_sharded = config.mode.is_sharded();
        Self {
            all: prefix.clone().into(),
            own: own_channel(config, me),
            prefix,
            kind: if is_sharded {
                Kind::Sharded
            } else {
                Kind::Plain
            },
        }
    }

    /// The channels that are heard from the start.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let names = [self.all.clone(), self.own.clone()];
        names.map(|name| Channel::new(self.kind, name)).to_vec()
    }

    fn outgoing(&self, channel: Bytes, payload: Bytes) -> Outgoing {
        Outgoing {
            channel,
            payload,
            is_sharded: self.kind == Kind::Sharded,
            is_probe: false,
        }
    }

    pub(crate) fn message(&self, message: &ClusterMessage) -> Result<Vec<Outgoing>, WireError> {
        let payload = native::encode_message(message);
        Ok(vec![self.outgoing(self.all.clone(), payload)])
    }

    pub(crate) fn response(
        &self,
        to: &NodeId,
        response: &ClusterResponse,
    ) -> Result<Vec<Outgoing>, WireError> {
        let channel = format!("{}{to}#", self.prefix);
        let payload = native::encode_response(response);
        Ok(vec![self.outgoing(channel.into(), payload)])
    }

    pub(crate) fn decode(&self, channel: &Bytes, payload: &Bytes) -> Result<Decoded, WireError> {
        if *channel == self.all || *channel == self.own {
            return native::decode(payload);
        }
        Err(WireError::Channel)
    }
}

/// The channel that a node hears alone.
pub(crate) fn own_channel(config: &RedisConfig, node: &NodeId) -> Bytes {
    format!("{}-cluster#{node}#", config.prefix).into()
}
