//! The format of `@socket.io/redis-adapter` for `PUBLISH` and `SUBSCRIBE`, and of
//! `@socket.io/redis-emitter`.
//!
//! Events go to the channel of a namespace or of one of its rooms, everything else to a channel for
//! requests; answers to a channel for responses.

mod message;
mod response;

use bytes::Bytes;

use super::{Decoded, Encoded, WireError};
use crate::cluster::{ClusterMessage, ClusterResponse};
use crate::ids::NodeId;

/// Reads and writes the classic format for one node.
///
/// ```
/// use socketio_core::cluster::wire::{Classic, Decoded};
/// use socketio_core::ids::NodeId;
///
/// let classic = Classic::new("socket.io", NodeId::generate());
/// assert_eq!(classic.namespace("/admin").request, "socket.io-request#/admin#");
///
/// let text = r#"{"uid":"GgE0Qy","type":3,"opts":{"rooms":["r1"]},"rooms":["r2"]}"#;
/// let decoded = classic.decode("socket.io-request#/#", &text.into(), |_, _| true)?;
/// let Decoded::Message(message) = decoded else { panic!("no message") };
/// assert_eq!(message.node, NodeId::foreign("GgE0Qy"));
/// # Ok::<(), socketio_core::cluster::wire::WireError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Classic {
    broadcasts: String,
    requests: String,
    responses: String,
    me: NodeId,
    specific_responses: bool,
}

/// The channels of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicChannels {
    /// Pattern of the channels for events. Two namespaces of which one is `/a` and the other begins
    /// with `/a#` both match channels of the second.
    pub pattern: String,
    /// Channel for requests.
    pub request: String,
    /// Channel for answers to any node.
    pub response: String,
    /// Channel for answers to this node.
    pub own_response: String,
    /// The channel whose subscribers are the nodes that have the namespace. It is one of the
    /// others, and must not be subscribed twice.
    pub counting: String,
}

impl Classic {
    /// For the node `me`, with the `prefix` that Node.js calls `key`: `socket.io` unless it is
    /// changed there. An emitter is [`NodeId::emitter`].
    #[must_use]
    pub fn new(prefix: &str, me: NodeId) -> Self {
        Self {
            broadcasts: format!("{prefix}#"),
            requests: format!("{prefix}-request#"),
            responses: format!("{prefix}-response#"),
            me,
            specific_responses: false,
        }
    }

    /// Whether answers go to a channel that only the node which asked listens to. As in Node.js
    /// they do not, unless told to; its option is `publishOnSpecificResponseChannel`.
    #[must_use]
    pub fn specific_responses(mut self, specific: bool) -> Self {
        self.specific_responses = specific;
        self
    }

    /// The channels of a namespace, whose name begins with a slash.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> ClassicChannels {
        let request = format!("{}{namespace}#", self.requests);
        let response = format!("{}{namespace}#", self.responses);
        ClassicChannels {
            pattern: format!("{}*", escape(&format!("{}{namespace}#", self.broadcasts))),
            counting: request.clone(),
            own_response: format!("{response}{}#", self.me),
            request,
            response,
        }
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
        message::encode(self, message, native_too)
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
        response::encode(self, to, response)
    }

    /// What came on a channel. `has_room` tells whether a room of a namespace has members here,
    /// its own room being one for each socket; an event for other rooms is skipped before its
    /// arguments are read.
    ///
    /// Requests of the old form, that name one socket, are carried out, but not confirmed.
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
        if let Some(channel) = channel.strip_prefix(&self.broadcasts) {
            message::decode_broadcast(self, channel, payload, has_room)
        } else if let Some(channel) = channel.strip_prefix(&self.requests) {
            let namespace = channel.strip_suffix('#').ok_or(WireError::Channel)?;
            message::decode_request(self, namespace, payload)
        } else if let Some(channel) = channel.strip_prefix(&self.responses) {
            let own = format!("#{}#", self.me);
            let common = || channel.strip_suffix('#');
            let namespace = channel.strip_suffix(&own).or_else(common);
            response::decode(namespace.ok_or(WireError::Channel)?, payload)
        } else {
            Err(WireError::Channel)
        }
    }
}

/// Takes the meaning of patterns from text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if let '*' | '?' | '[' | ']' | '\\' = character {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The numbers of requests.
mod kind {
    pub(super) const SOCKETS: u64 = 0;
    pub(super) const ALL_ROOMS: u64 = 1;
    pub(super) const JOIN: u64 = 2;
    pub(super) const LEAVE: u64 = 3;
    pub(super) const DISCONNECT: u64 = 4;
    pub(super) const FETCH: u64 = 5;
    pub(super) const SERVER_SIDE_EMIT: u64 = 6;
    pub(super) const BROADCAST: u64 = 7;
    pub(super) const CLIENT_COUNT: u64 = 8;
    pub(super) const BROADCAST_ACK: u64 = 9;
}

#[cfg(test)]
mod tests;
