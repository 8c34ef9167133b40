//! Socket.IO packets: what travels inside the messages of Engine.IO.
//!
//! Protocol revision 5 (Socket.IO 3 and 4) and revision 4 (Socket.IO 2, spoken over Engine.IO 3)
//! share the [grammar](https://github.com/socketio/socket.io-protocol#packet-encoding).

mod assemble;
mod encode;
mod msgpack;
mod parse;

use bytestring::ByteString;

use crate::ids::AckId;
use crate::json::JsonError;
use crate::msgpack::MessagePackError;
use crate::payload::Payload;

pub use assemble::PacketDecoder;
pub(crate) use parse::placeholders_are_sound;

/// Names that an event may not have, since servers and clients raise events of these names
/// themselves.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// One packet of Socket.IO, with its attachments in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Joins a namespace, or confirms that.
    Connect {
        /// The namespace, without the query of revision 4.
        nsp: ByteString,
        /// A JSON object: credentials, the query of revision 4, or the ids that the server gives.
        auth: Option<ByteString>,
    },
    /// Leaves a namespace.
    Disconnect {
        /// The namespace.
        nsp: ByteString,
    },
    /// An event.
    Event {
        /// The namespace.
        nsp: ByteString,
        /// Present if an acknowledgement is wanted.
        ack: Option<AckId>,
        /// Name and arguments. Without an element if the packet had no payload at all.
        payload: Payload,
    },
    /// The answer to an event.
    Ack {
        /// The namespace.
        nsp: ByteString,
        /// The id that came with the event.
        id: AckId,
        /// The arguments.
        payload: Payload,
    },
    /// Refuses a [`Connect`](Self::Connect).
    ConnectError {
        /// The namespace.
        nsp: ByteString,
        /// JSON: an object with a `message`, in revision 4 anything.
        data: ByteString,
    },
}

/// How packets are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParserKind {
    /// The default parser: JSON text followed by attachments.
    #[default]
    Json,
    /// One binary message for each packet, as `socket.io-msgpack-parser` does.
    MessagePack,
}

/// What a decoder accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most attachments of one packet. Node's parser allows 10, which real applications exceed
    /// ([socket.io #5489](https://github.com/socketio/socket.io/issues/5489)).
    pub max_attachments: u32,
    /// Most bytes of a packet with attachments: text and attachments together.
    pub max_attachment_bytes: usize,
    /// Deepest nesting of arrays and objects.
    pub max_depth: u32,
}

impl Default for DecodeLimits {
    /// 1000 attachments, 16 MiB, 100 levels (serde_json itself stops at 127).
    fn default() -> Self {
        Self {
            max_attachments: 1000,
            max_attachment_bytes: 16 << 20,
            max_depth: 100,
        }
    }
}

/// A message that is no packet. It ends the connection it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The type is not one of the known ones, or there is none.
    #[error("unknown packet type")]
    UnknownType,
    /// The number of attachments is missing, zero, or no number.
    #[error("invalid number of attachments")]
    Attachments,
    /// More attachments than allowed.
    #[error("too many attachments")]
    TooManyAttachments,
    /// A packet and its attachments are larger than allowed.
    #[error("packet with attachments too large")]
    TooLarge,
    /// The acknowledgement id is no number of 64 bits.
    #[error("invalid acknowledgement id")]
    AckId,
    /// The namespace is missing or no text.
    #[error("invalid namespace")]
    Namespace,
    /// The payload is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The payload is not what a packet of this type holds.
    #[error("invalid payload")]
    Payload,
    /// The event has one of the [reserved names](RESERVED_EVENTS).
    #[error("reserved event name")]
    ReservedEvent,
    /// A placeholder names no attachment, or one that another placeholder names too.
    #[error("invalid placeholder")]
    Placeholder,
    /// A binary message while no packet waits for attachments.
    #[error("unexpected binary message")]
    UnexpectedBinary,
    /// A text message where attachments must follow.
    #[error("unexpected text message")]
    UnexpectedText,
    /// The bytes are not MessagePack.
    #[error(transparent)]
    MessagePack(#[from] MessagePackError),
}

/// The main namespace.
pub(crate) const MAIN: ByteString = ByteString::from_static("/");

#[cfg(test)]
mod tests;
