//! Engine.IO, revisions 3 and 4, without IO.
//!
//! # Layout
//! * [`packet`]: one packet, as text or as bytes
//! * [`payload`]: several packets in one polling body; [`jsonp`] wraps such a body in a script
//! * [`open`]: the JSON of the first packet of a session
//! * [`session`]: heartbeat, upgrade and close, as a state machine that is told the time

use std::{fmt, str::FromStr};

use bytes::Bytes;
use bytestring::ByteString;

pub mod jsonp;
pub mod open;
pub mod packet;
pub mod payload;
pub mod session;

pub use open::OpenPacket;
pub use packet::{Packet, PacketError, PacketKind};
pub use payload::{EncodedPayload, PayloadDecoder, PayloadEncoder, PayloadError};
pub use session::{CloseReason, Control, Output, Session, SessionConfig, UpgradeRefused};

/// A revision of the Engine.IO protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    /// Revision 3: the client pings. Spoken by Socket.IO clients 1.x and 2.x.
    V3,
    /// Revision 4: the server pings. Spoken by Socket.IO clients 3.x and 4.x.
    V4,
}

impl Revision {
    /// The revision that the query parameter `EIO` asks for: `4` is 4, anything else, or nothing,
    /// is 3.
    #[must_use]
    pub fn from_query(eio: &str) -> Self {
        if eio == "4" { Self::V4 } else { Self::V3 }
    }

    /// The number of the revision.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// How the bytes of a session travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransportKind {
    /// HTTP long polling, JSONP included.
    Polling,
    /// One WebSocket.
    WebSocket,
}

impl TransportKind {
    /// The name used in the query parameter `transport` and in the list of upgrades.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is none of a transport that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown transport")]
pub struct UnknownTransport;

impl FromStr for TransportKind {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, UnknownTransport> {
        match name {
            "polling" => Ok(Self::Polling),
            "websocket" => Ok(Self::WebSocket),
            _ => Err(UnknownTransport),
        }
    }
}

/// What a packet carries: text or bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether nothing is carried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, whichever kind it is.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl Default for Message {
    /// Empty text.
    fn default() -> Self {
        Self::Text(ByteString::new())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_4_is_revision_3() {
        assert_eq!(Revision::from_query("4"), Revision::V4);
        for other in ["3", "", "44", " 4", "04", "5", "x"] {
            assert_eq!(Revision::from_query(other), Revision::V3, "{other}");
        }
    }

    #[test]
    fn transport_names_are_exact() {
        assert_eq!("polling".parse(), Ok(TransportKind::Polling));
        assert_eq!("websocket".parse(), Ok(TransportKind::WebSocket));
        for name in ["", "Polling", "__proto__", "constructor", "webtransport"] {
            assert_eq!(name.parse::<TransportKind>(), Err(UnknownTransport));
        }
    }
}
