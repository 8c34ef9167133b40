//! The packets that a session sends by itself, and the reasons why it ends.

use std::{borrow::Cow, fmt};

use bytestring::ByteString;

/// A packet other than a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `0…`: its whole text, as [`OpenPacket::encode`](crate::engine::OpenPacket::encode) makes it.
    Open(ByteString),
    /// `1`
    Close,
    /// `2`
    Ping,
    /// `2probe`, from a client on its candidate.
    PingProbe,
    /// `3`, with the data of the ping.
    Pong(ByteString),
    /// `3probe`, the answer to a probe.
    PongProbe,
    /// `5`, from a client on its candidate.
    Upgrade,
    /// `6`
    Noop,
}

impl Control {
    /// The packet as text.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Open(text) => text,
            Self::Close => "1",
            Self::Ping => "2",
            Self::PingProbe => "2probe",
            Self::Pong(data) if data.is_empty() => "3",
            Self::Pong(data) => return Cow::Owned(format!("3{data}")),
            Self::PongProbe => "3probe",
            Self::Upgrade => "5",
            Self::Noop => "6",
        })
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    ForcedClose,
    /// The client does not read what is sent to it. Node has no such bound, and no such reason.
    OutboxOverflow,
    /// The client sent what is no packet.
    ParseError,
    /// The client did not answer a ping, or sent none.
    PingTimeout,
    /// The server is going down.
    ServerShuttingDown,
    /// The client went away.
    TransportClose,
    /// The connection broke, or the client broke the rules of the transport.
    TransportError,
}

impl CloseReason {
    /// Every reason, for whoever counts them.
    pub const ALL: [Self; 7] = [
        Self::ForcedClose,
        Self::OutboxOverflow,
        Self::ParseError,
        Self::PingTimeout,
        Self::ServerShuttingDown,
        Self::TransportClose,
        Self::TransportError,
    ];

    /// Node's words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForcedClose => "forced close",
            Self::OutboxOverflow => "outbox overflow",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerShuttingDown => "server shutting down",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_as_text() {
        for (control, text) in [
            (Control::Open("0{}".into()), "0{}"),
            (Control::Close, "1"),
            (Control::Ping, "2"),
            (Control::PingProbe, "2probe"),
            (Control::Pong(ByteString::new()), "3"),
            (Control::Pong("x".into()), "3x"),
            (Control::PongProbe, "3probe"),
            (Control::Upgrade, "5"),
            (Control::Noop, "6"),
        ] {
            assert_eq!(control.to_text(), text);
        }
    }
}
