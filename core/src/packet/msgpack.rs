//! Packets of `socket.io-msgpack-parser`: maps with `type`, `data`, `nsp` and perhaps `id`.

use bytes::Bytes;
use bytestring::ByteString;

use crate::engine::Revision;
use crate::frame::{Frame, FrameOptions};
use crate::ids::AckId;
use crate::msgpack::{
    self, MessagePackError, Reader, Token, to_json, write_json, write_map_header, write_str,
    write_uint,
};
use crate::payload::Attachments;

use super::assemble::packet;
use super::encode::Type;
use super::parse::{self, Header, Kind};
use super::{DecodeError, DecodeLimits, MAIN, Packet};

/// Members of a packet; others are skipped.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Kind>,
    nsp: Option<&'a [u8]>,
    id: Option<AckId>,
    /// Where `data` begins. Absent if `undefined`.
    data: Option<Reader<'a>>,
}

/// Reads one packet, whose members may stand in any order.
pub(super) fn decode(
    bytes: &Bytes,
    revision: Revision,
    limits: &DecodeLimits,
) -> Result<Option<Packet>, DecodeError> {
    let members = members(bytes)?;
    let kind = members.kind.ok_or(DecodeError::UnknownType)?;
    let nsp = members.nsp.ok_or(DecodeError::Namespace)?;
    let nsp = std::str::from_utf8(nsp).map_err(|_| DecodeError::Namespace)?;
    let mut attachments = Attachments::new();
    let mut payload = None;
    if let Some(mut reader) = members.data {
        let mut out = Vec::with_capacity(reader.rest().len());
        let depth = limits.max_depth as usize;
        let max = limits.max_attachments as usize;
        to_json(&mut reader, bytes, depth, max, &mut out, &mut attachments)?;
        let json = String::from_utf8(out).map_err(|_| DecodeError::Payload)?;
        payload = Some(ByteString::from(json));
    }
    // An event or an acknowledgement without data is refused here, other than in the default
    // parser: `socket.io-msgpack-parser` demands an array.
    if payload.is_none() && matches!(kind, Kind::Event | Kind::Ack) {
        return Err(DecodeError::Payload);
    }
    // Bytes have no place in the payload of the other types.
    if !attachments.is_empty() && !matches!(kind, Kind::Event | Kind::Ack) {
        return Err(DecodeError::Payload);
    }
    // As in text, `data` of an event must begin with a name that is not reserved (the JavaScript
    // parser omits this, so that clients can raise `disconnect` at its servers), and no map of the
    // client may look like one of the placeholders written just now.
    let count = u32::try_from(attachments.len()).map_err(|_| DecodeError::TooManyAttachments)?;
    parse::check(kind, count, payload.as_deref(), revision, limits)?;
    let header = Header {
        kind,
        attachments: 0,
        nsp: if nsp == "/" { MAIN } else { nsp.into() },
        ack: members.id,
        payload,
    };
    Ok(packet(header, attachments))
}

fn members(bytes: &Bytes) -> Result<Members<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let Token::Map(len) = reader.next()? else {
        return Err(DecodeError::UnknownType);
    };
    let mut members = Members::default();
    for _ in 0..len {
        let name = msgpack::key(&mut reader)?;
        let mut value = reader;
        match (name.as_ref(), reader.next()?) {
            ("type", Token::Int(kind)) => {
                members.kind = match kind {
                    0 => Some(Kind::Connect),
                    1 => Some(Kind::Disconnect),
                    2 => Some(Kind::Event),
                    3 => Some(Kind::Ack),
                    4 => Some(Kind::ConnectError),
                    _ => return Err(DecodeError::UnknownType),
                };
            }
            ("type", _) => return Err(DecodeError::UnknownType),
            ("nsp", Token::Str(nsp)) => members.nsp = Some(nsp),
            ("nsp", _) => return Err(DecodeError::Namespace),
            ("id", Token::Undefined) => members.id = None,
            ("id", Token::Int(id)) => {
                members.id = Some(AckId(u64::try_from(id).map_err(|_| DecodeError::AckId)?));
            }
            ("id", Token::UInt(id)) => members.id = Some(AckId(id)),
            ("id", _) => return Err(DecodeError::AckId),
            ("data", Token::Undefined) => members.data = None,
            ("data", _) => {
                members.data = Some(value);
                msgpack::skip(&mut value)?;
                reader = value;
            }
            _ => {
                msgpack::skip(&mut value)?;
                reader = value;
            }
        }
    }
    if reader.rest().is_empty() {
        Ok(members)
    } else {
        Err(MessagePackError::Invalid.into())
    }
}

/// Writes one packet. `data` is valid JSON.
pub(super) fn encode(
    kind: Type,
    nsp: &str,
    ack: Option<AckId>,
    data: Option<&str>,
    attachments: &[Bytes],
    options: FrameOptions,
) -> Frame {
    let size = data.map_or(0, str::len) + attachments.iter().map(Bytes::len).sum::<usize>();
    let mut out = Vec::with_capacity(size + nsp.len() + 40);
    let len = 2 + usize::from(ack.is_some()) + usize::from(data.is_some());
    write_map_header(&mut out, len);
    write_str(&mut out, "type");
    write_uint(&mut out, kind as u64);
    if let Some(data) = data {
        write_str(&mut out, "data");
        write_json(&mut out, data, attachments);
    }
    if let Some(AckId(id)) = ack {
        write_str(&mut out, "id");
        write_uint(&mut out, id);
    }
    write_str(&mut out, "nsp");
    write_str(&mut out, nsp);
    Frame::binary_message(out.into(), options)
}
