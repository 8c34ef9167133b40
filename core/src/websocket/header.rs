//! The header of a frame.

use super::{OpCode, WsError};

/// The header of the frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) opcode: OpCode,
    pub(super) fin: bool,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) len: usize,
    /// How much of the payload was read.
    pub(super) read: usize,
}

/// What is allowed at this point of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether the peer must mask.
    pub(super) masked: bool,
    /// Whether a message has begun, and is to be continued.
    pub(super) in_message: bool,
    /// How many bytes more the message may have.
    pub(super) room: usize,
}

impl Header {
    /// Reads a header and tells its length; `None` if it is not complete.
    ///
    /// Checks every rule as soon as the bytes for it are there, so that a header that announces
    /// too much is refused before its payload comes.
    pub(super) fn parse(bytes: &[u8], rules: &Rules) -> Result<Option<(Self, usize)>, WsError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(WsError::ReservedBit);
        }
        let opcode =
            OpCode::from_bits(first & 0x0f).ok_or_else(|| WsError::BadOpCode(first & 0x0f))?;
        let fin = first & 0x80 != 0;
        let masked = second & 0x80 != 0;
        if masked != rules.masked {
            return Err(WsError::BadMask);
        }
        let short_len = second & 0x7f;
        if opcode.is_control() {
            if !fin || short_len > 125 {
                return Err(WsError::BadControl);
            }
        } else if (opcode == OpCode::Continuation) != rules.in_message {
            return Err(WsError::BadContinuation);
        }
        // Lengths in more bytes than needed are forbidden too, but harmless, and `ws` takes them.
        let (len, rest) = match short_len {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*bytes)), rest)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*bytes), rest)
            }
            short => (u64::from(short), rest),
        };
        if len >> 63 != 0 {
            return Err(WsError::BadLength);
        }
        let len = usize::try_from(len).map_err(|_| WsError::TooBig)?;
        if !opcode.is_control() && len > rules.room {
            return Err(WsError::TooBig);
        }
        let (mask, rest) = if masked {
            let Some((mask, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*mask), rest)
        } else {
            (None, rest)
        };
        let header = Self {
            opcode,
            fin,
            mask,
            len,
            read: 0,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}
