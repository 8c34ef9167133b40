//! Writing frames.

use bytes::{BufMut, Bytes};

use super::{OpCode, apply_mask};

/// The longest header of a frame: two bytes, a length of eight and a mask of four.
pub const MAX_HEADER_LEN: usize = 14;

/// Writes the header of a frame whose payload has `len` bytes. With a mask the payload behind it
/// must be masked with it (see [`apply_mask`]); only clients mask.
pub fn encode_header(
    out: &mut impl BufMut,
    opcode: OpCode,
    len: usize,
    fin: bool,
    mask: Option<[u8; 4]>,
) {
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    out.put_u8(opcode as u8 | if fin { 0x80 } else { 0 });
    match len {
        // The ranges make both conversions exact.
        0..=125 => out.put_u8(mask_bit | len as u8),
        126..=0xffff => {
            out.put_u8(mask_bit | 126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(len as u64);
        }
    }
    if let Some(mask) = mask {
        out.put_slice(&mask);
    }
}

/// A whole frame, header and payload, as the only one of its message.
#[must_use]
pub fn frame(opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>) -> Bytes {
    let mut out = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
    encode_header(&mut out, opcode, payload.len(), true, mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask, 0);
    }
    out.into()
}

/// A close frame. Without a code it is empty, and the peer sees 1005; a reason without a code
/// cannot be sent. A reason longer than a control frame can hold is cut.
#[must_use]
pub fn close_frame(code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) -> Bytes {
    let Some(code) = code else {
        return frame(OpCode::Close, &[], mask);
    };
    let reason = &reason[..reason.floor_char_boundary(123)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.put_u16(code);
    payload.put_slice(reason.as_bytes());
    frame(OpCode::Close, &payload, mask)
}
