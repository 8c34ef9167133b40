//! The dialect in which servers and emitters of python-socketio (and Flask-SocketIO) talk.
//!
//! Each message is one JSON object with a `method`, published on a channel that all members read:
//! `emit`, `disconnect`, `enter_room`, `leave_room`, `close_room` and `callback`. There is no list
//! of members, no heartbeat, no question to all and no order of answers. A `callback` names the
//! member it is for by its `host_id`; all others pass over it.
//!
//! [`Python::decode`] reads what any version that writes JSON (5.14 and later) sends, also the
//! things that Python's encoder writes and JSON does not know: `NaN` and `Infinity` become `null`,
//! as JavaScript writes them; lone surrogates and integers of any size go to the clients as they
//! are. Versions before 5.14 send pickles, which could run code when read: they are recognized
//! and refused as [`WireError::Pickle`].
//!
//! [`Python::encode`] writes what members from 5.15.1 on read. Much of what a [`ClusterMessage`]
//! can say has no words in this dialect; what is left out or changed is told as
//! [`Untranslatable`], for the caller to log and count.
//!
//! `KombuManager` over Redis wraps its messages in an envelope of Kombu's. That is read on any
//! channel, and written where the channel has a name of Kombu's: `/0.socketio` for the exchange
//! `socketio` in the database 0.
//!
//! # Acknowledgements
//!
//! An `emit` to one room may ask for a `callback`. Its parameters come back verbatim, so neither
//! direction needs a table: the dialect gets our [`RequestId`](crate::ids::RequestId) as the id,
//! and a request from there becomes a `RequestId` that holds all that the answer must repeat.
//! Nothing tells how many clients will answer, and a member of Python only uses the first answer.
//! So a node asks one socket until it answers, and a room until its timeout, since there might be
//! one more.
//!
//! # Rooms
//!
//! Python tells the room `5` from the room `"5"`; here both are the room `5`, and what is sent
//! names rooms by strings. The only argument `null` is no argument to a Python member.

mod envelope;
mod fields;
mod limit;
mod read;
mod write;

use bytes::Bytes;
use serde::Deserialize;

use super::{Decoded, Encoded, WireError};
use crate::cluster::{ClusterMessage, ClusterResponse};
use crate::ids::NodeId;

pub use limit::{LimitCounts, Translated, Untranslatable};

/// What part this node takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PythonMode {
    /// What others publish reaches our clients. Nothing is published but the acknowledgements that
    /// they ask for.
    #[default]
    Listen,
    /// Our messages are published in this dialect too, so that servers of both kinds form one
    /// cluster.
    Member,
}

/// Whether and how a carrier speaks the dialect.
///
/// ```
/// use socketio_core::cluster::wire::python::{PythonConfig, PythonMode};
///
/// let config = PythonConfig::member().channels(["socketio", "flask-socketio"]);
/// assert_eq!(config.mode, PythonMode::Member);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PythonConfig {
    /// What part this node takes; listens by default.
    pub mode: PythonMode,
    /// The channels of Redis, or exchanges of RabbitMQ, that are read. What is published goes to
    /// the first; an answer goes to where the question came from. Default: `socketio`.
    /// Flask-SocketIO uses `flask-socketio` unless it is told otherwise, and a `KombuManager` on
    /// Redis `/0.socketio`.
    pub channels: Vec<String>,
    /// Sends an only argument bare, not in an array, where that is not ambiguous, so that members
    /// from 5.14.0 to 5.15.0 read it rightly too. Several arguments and bytes reach these as one
    /// array. Off by default.
    pub bare_argument: bool,
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            mode: PythonMode::Listen,
            channels: vec![DEFAULT_CHANNEL.to_owned()],
            bare_argument: false,
        }
    }
}

impl PythonConfig {
    /// Listens on the channel `socketio`.
    #[must_use]
    pub fn listen() -> Self {
        Self::default()
    }

    /// Is a member on the channel `socketio`.
    #[must_use]
    pub fn member() -> Self {
        Self {
            mode: PythonMode::Member,
            ..Self::default()
        }
    }

    /// Uses these channels. An empty list means the default one.
    #[must_use]
    pub fn channels<C: Into<String>>(mut self, channels: impl IntoIterator<Item = C>) -> Self {
        self.channels = channels.into_iter().map(Into::into).collect();
        self
    }

    /// Sends an only argument bare; see [`bare_argument`](Self::bare_argument).
    #[must_use]
    pub fn with_bare_argument(mut self, bare: bool) -> Self {
        self.bare_argument = bare;
        self
    }
}

/// Where python-socketio publishes unless it is told otherwise.
pub const DEFAULT_CHANNEL: &str = "socketio";

/// The end of the `host_id` of each of our nodes. They hear each other in our own format, and pass
/// over what ends like this. Any 16 digits would do: no sender of a random id hits them.
const NODES: &str = "50c4e7105a7c3d19";

/// The end of the `host_id` of each of our emitters, which nodes do hear in this dialect. It also
/// says that the sender reads bytes in acknowledgements.
const EMITTERS: &str = "50c4e7105a7c3d2e";

/// Marks the ids of members that speak this dialect.
const MARK: &str = "py:";

/// Reads and writes the dialect for one node or emitter.
#[derive(Debug, Clone)]
pub struct Python {
    host_id: String,
    channels: Vec<String>,
    mode: PythonMode,
    bare_argument: bool,
}

impl Python {
    /// The codec of the node `me`, or of an emitter, which gets an id of its own here.
    #[must_use]
    pub fn new(me: &NodeId, config: PythonConfig) -> Self {
        let host_id = if me.is_emitter() {
            format!("{}{EMITTERS}", NodeId::generate())
        } else {
            format!("{me}{NODES}")
        };
        let mut channels: Vec<String> = Vec::new();
        for channel in config.channels {
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        if channels.is_empty() {
            channels.push(DEFAULT_CHANNEL.to_owned());
        }
        Self {
            host_id,
            channels,
            mode: config.mode,
            bare_argument: config.bare_argument,
        }
    }

    /// The channels that are read, each once. Never empty; the first is published to.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Whether our messages are published in this dialect too.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.mode == PythonMode::Member
    }

    /// The name under which the others see this member.
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.host_id
    }

    /// Whether answers to `to` are sent in this dialect.
    #[must_use]
    pub fn answers(to: &NodeId) -> bool {
        to.foreign_name().is_some_and(|name| name.starts_with(MARK))
    }

    /// Reads what came over `channel`.
    ///
    /// # Errors
    ///
    /// When it is no message that could be acted upon. The next one may be read all the same.
    pub fn decode(&self, channel: &str, payload: &Bytes) -> Result<Decoded, WireError> {
        read::decode(self, channel, payload)
    }

    /// Writes a message for the other members, as none, one or several of theirs. Heartbeats and
    /// the like are not for them.
    ///
    /// # Errors
    ///
    /// When the payload of an event has no name.
    pub fn encode(&self, message: &ClusterMessage) -> Result<Translated, WireError> {
        write::encode(self, message)
    }

    /// Writes the answer to a request that [`decode`](Self::decode) read. Only acknowledgements
    /// can be told.
    ///
    /// # Errors
    ///
    /// When the request did not come from here, or arguments with bytes nest too deeply.
    pub fn encode_response(&self, response: &ClusterResponse) -> Result<Translated, WireError> {
        write::encode_response(self, response)
    }

    fn to_all(&self, payload: Vec<u8>) -> Encoded {
        let channel = self.channels[0].clone();
        let payload = envelope::wrap(&channel, payload).into();
        Encoded { channel, payload }
    }
}

#[cfg(test)]
mod tests;
