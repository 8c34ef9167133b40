//! Which channels a message goes to, and what arrives from which.
//!
//! Our own nodes understand two wires: the native one, which carries everything, and the one of the
//! members of Node.js. What Node's members understand as well goes there only, once for all. Where
//! its answers would carry too little, as for requests, our nodes use the native wire, and Node's
//! members, if there are any, get a marked copy that ours let be.
//!
//! Members in Python have channels of their own, where our nodes recognize and let be what ours say.

mod wire;

use bytes::Bytes;
use socketio_core::cluster::wire::python::Python;
use socketio_core::cluster::wire::{Decoded, Encoded, WireError, native};
use socketio_core::cluster::{ClusterMessage, ClusterResponse, Operation};
use socketio_core::ids::{NodeId, Room};

use crate::channel::{Channel, Kind};
use crate::config::RedisConfig;
use crate::interests::Interests;
use crate::outbound::{Audience, Content, Outgoing};
use crate::statement;

use wire::Wire;

/// The names of all channels of a node.
#[derive(Debug)]
pub(crate) struct Routes {
    /// `<prefix>-cluster#`, which all of our nodes hear.
    all: Bytes,
    /// How the other channels of the native wire begin.
    prefix: String,
    /// Heard by this node alone.
    own: Bytes,
    kind: Kind,
    wire: Wire,
    python: Option<Python>,
}

/// The two channels from whose listeners the members of Node.js are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Heard by every node that has the namespace.
    pub(crate) all: String,
    /// Heard by ours.
    pub(crate) ours: String,
}

impl Routes {
    pub(crate) fn new(config: &RedisConfig, me: &NodeId) -> Self {
        let prefix = format!("{}-cluster#", config.prefix);
        let is_sharded = config.mode.is_sharded();
        Self {
            all: prefix.clone().into(),
            own: format!("{prefix}{me}#").into(),
            prefix,
            kind: if is_sharded {
                Kind::Sharded
            } else {
                Kind::Plain
            },
            wire: Wire::new(config, me),
            python: config.python.clone().map(|python| Python::new(me, python)),
        }
    }

    /// Whether a message is heard by our nodes in a format without numbers.
    pub(crate) fn is_compatible(operation: &Operation) -> bool {
        match operation {
            Operation::Broadcast { request, .. } | Operation::ServerSideEmit { request, .. } => {
                request.is_none()
            }
            Operation::Join { .. } | Operation::Leave { .. } | Operation::Disconnect { .. } => true,
            _ => false,
        }
    }

    /// The channel that this node hears alone.
    pub(crate) fn own(&self) -> Channel {
        Channel::new(self.kind, self.own.clone())
    }

    /// The channels on which members of Node.js answer this node in a namespace.
    pub(crate) fn answers(&self, namespace: &str) -> Vec<Channel> {
        self.wire.answers(namespace)
    }

    /// The channel that all of our nodes hear.
    pub(crate) fn all(&self) -> &str {
        &self.prefix
    }

    /// The channels that are heard from the start.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let mut channels = vec![Channel::new(self.kind, self.all.clone()), self.own()];
        let python = self.python.iter().flat_map(Python::channels);
        channels.extend(python.map(|name| Channel::new(Kind::Plain, name.clone())));
        channels
    }

    /// The channels of a namespace.
    pub(crate) fn channels_of(&self, namespace: &str) -> Vec<Channel> {
        let mut channels = self.wire.channels(namespace);
        let ours = self.counted(namespace).ours;
        channels.push(Channel::new(self.kind, ours));
        let statements = statement::channel(&self.prefix, namespace);
        channels.push(Channel::new(self.kind, statements));
        channels
    }

    /// The channel of a room, if the room has one.
    pub(crate) fn channel_of_room(
        &self,
        namespace: &str,
        room: &Room,
        private: bool,
    ) -> Option<Channel> {
        self.wire.channel_of_room(namespace, room.as_str(), private)
    }

    pub(crate) fn counted(&self, namespace: &str) -> Counted {
        Counted {
            all: self.wire.counting(namespace),
            ours: format!("{}{namespace}#ours", self.prefix),
        }
    }

    /// The dialect of Python, if it is spoken.
    pub(crate) fn python(&self) -> Option<&Python> {
        self.python.as_ref()
    }

    /// What is to be published for a message, if `foreign` members hear its namespace.
    pub(crate) fn message(
        &self,
        message: &ClusterMessage,
        foreign: usize,
    ) -> Result<Vec<Outgoing>, WireError> {
        if Self::is_compatible(&message.operation) {
            let encoded = self.wire.encode(message, false)?;
            let namespace = &message.namespace;
            let outgoing = encoded.map(|encoded| {
                let is_for_all = self.wire.is_for_all(encoded.channel.len(), namespace);
                let mut outgoing = self.compatible(encoded);
                if is_for_all {
                    let audience = Audience::Namespace(namespace.clone());
                    outgoing.content = Content::Message(audience);
                }
                outgoing
            });
            return Ok(outgoing.into_iter().collect());
        }
        let payload = native::encode_message(message);
        let mut native = self.outgoing(self.all.clone(), payload);
        native.content = Content::Message(Audience::Nodes);
        let mut outgoing = vec![native];
        if message.operation.request().is_some() && foreign > 0 {
            let copy = self.wire.encode(message, true)?;
            outgoing.extend(copy.map(|copy| self.compatible(copy)));
        }
        Ok(outgoing)
    }

    /// What is to be published for an answer.
    pub(crate) fn response(
        &self,
        to: &NodeId,
        response: &ClusterResponse,
    ) -> Result<Vec<Outgoing>, WireError> {
        if to.foreign_name().is_some() {
            let encoded = self.wire.encode_response(to, response)?;
            return Ok(encoded
                .map(|encoded| self.compatible(encoded))
                .into_iter()
                .collect());
        }
        let channel = format!("{}{to}#", self.prefix);
        let payload = native::encode_response(response);
        Ok(vec![self.outgoing(channel.into(), payload)])
    }

    /// What a message means that came on a channel.
    pub(crate) fn decode(
        &self,
        channel: &Bytes,
        payload: &Bytes,
        interests: &Interests,
    ) -> Result<Decoded, WireError> {
        if *channel == self.all || *channel == self.own {
            return native::decode(payload);
        }
        let channel = str::from_utf8(channel).map_err(|_| WireError::Channel)?;
        if channel.starts_with(&self.prefix) {
            // A mark: nothing is sent there.
            return Err(WireError::Channel);
        }
        if let Some(python) = &self.python
            && python.channels().iter().any(|name| name == channel)
        {
            return python.decode(channel, payload);
        }
        let has_room = |namespace: &str, room: &str| interests.has_room(namespace, room);
        let mut decoded = self.wire.decode(channel, payload, has_room)?;
        let node = match &mut decoded {
            // Requests of ours do not come this way, so this is the only place where one is named.
            Decoded::Message(message) if Self::is_compatible(&message.operation) => {
                Some(&mut message.node)
            }
            Decoded::Elsewhere { node, .. } => Some(node),
            _ => None,
        };
        if let Some(node) = node
            && let Some(name) = node.foreign_name()
            && is_ours(name)
        {
            *node = NodeId::from(name);
        }
        Ok(decoded)
    }

    /// The namespace that a channel is about, if it is one of [statements](statement).
    pub(crate) fn stated<'a>(&self, channel: &'a [u8]) -> Option<&'a str> {
        statement::namespace(&self.prefix, str::from_utf8(channel).ok()?)
    }

    /// The sender of a message that came on a channel, and the namespace, if all nodes that have the
    /// namespace got it.
    pub(crate) fn audited<'a>(
        &self,
        channel: &[u8],
        decoded: &'a Decoded,
    ) -> Option<(&'a str, &'a NodeId)> {
        let (namespace, node) = match decoded {
            Decoded::Message(message) if Self::is_compatible(&message.operation) => {
                (&message.namespace, &message.node)
            }
            Decoded::Elsewhere { node, namespace } => (namespace, node),
            _ => return None,
        };
        let is_for_all = self.wire.is_for_all(channel.len(), namespace);
        is_for_all.then_some((&**namespace, node))
    }

    fn compatible(&self, encoded: Encoded) -> Outgoing {
        self.outgoing(encoded.channel.into(), encoded.payload)
    }

    fn outgoing(&self, channel: Bytes, payload: Bytes) -> Outgoing {
        Outgoing {
            channel,
            payload,
            is_sharded: self.kind == Kind::Sharded,
            content: Content::Message(Audience::Some),
        }
    }
}

/// Whether an id looks like one of ours. Those of Node's sharded adapter look so too; it makes no
/// difference where no answer is expected.
pub(crate) fn is_ours(name: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 16 && name.bytes().all(is_hex)
}

#[cfg(test)]
mod tests;
