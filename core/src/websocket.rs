//! WebSocket framing (RFC 6455) without IO: [`FrameDecoder`] reads, [`encode_header`] writes.
//!
//! No extension is spoken: a reserved bit is an error. The opening handshake is HTTP's business.

mod decode;
mod encode;
mod header;
mod mask;
#[cfg(test)]
mod tests;

pub use decode::{Decoded, Events, FrameDecoder, WsEvent};
pub use encode::{MAX_HEADER_LEN, close_frame, encode_header, frame};
pub use mask::apply_mask;

/// Which end of the connection we are: a server reads masked frames, a client unmasked ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened the connection.
    Client,
    /// We accepted the connection.
    Server,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// More of the message before.
    Continuation = 0,
    /// Text, or its first part.
    Text = 1,
    /// Bytes, or their first part.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Asks for a pong with the same data.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl OpCode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// The peer broke a rule. The connection is to be closed with [`close_code`](Self::close_code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// A close frame with a code that must not be sent, or with half a code.
    #[error("invalid close frame")]
    BadClose,
    /// A continuation of nothing, or a new message before the end of the last one.
    #[error("unexpected continuation, or none where one is due")]
    BadContinuation,
    /// A control frame that is fragmented or longer than 125 bytes.
    #[error("control frame is fragmented or too long")]
    BadControl,
    /// A length with its top bit set.
    #[error("invalid frame length")]
    BadLength,
    /// A frame of the wrong side: unmasked from a client, masked from a server.
    #[error("wrong masking")]
    BadMask,
    /// An opcode that does not exist.
    #[error("unknown opcode {0}")]
    BadOpCode(u8),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A reserved bit, though no extension was agreed on.
    #[error("reserved bit set")]
    ReservedBit,
    /// A message longer than the limit.
    #[error("message too big")]
    TooBig,
}

impl WsError {
    /// The code for the close frame: 1002, 1007 or 1009.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 => 1007,
            Self::TooBig => 1009,
            _ => 1002,
        }
    }
}
