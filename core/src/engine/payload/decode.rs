//! Reading payloads, packet by packet.

use bytes::Bytes;
use bytestring::ByteString;

use super::{LENGTH_END, SEPARATOR};
use crate::engine::{Packet, PacketError, Revision};

/// A body that is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Revision 4 has no binary payloads.
    #[error("a binary payload in revision 4")]
    BinaryNotAllowed,
    /// No packet at all.
    #[error("empty payload")]
    Empty,
    /// The length of a packet is no number or has no end.
    #[error("invalid packet length")]
    InvalidLength,
    /// The binary form marks a packet as neither text nor binary.
    #[error("invalid packet marker {0:#04x}")]
    InvalidMarker(u8),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// The framing is right, the packet in it is not.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A packet is longer than what is left, or its length cuts a character in two.
    #[error("packet length beyond the payload")]
    Truncated,
}

/// Reads the packets of one body. Lazy, in one pass; texts and bytes are slices of the body.
///
/// The first error ends the iteration: Node too handles the packets before it and drops the rest.
/// Unlike Node, which replaces bytes that are not UTF-8, we refuse a text body with such bytes.
#[derive(Debug)]
pub struct PayloadDecoder {
    revision: Revision,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// What is left of a text body.
    Text(ByteString),
    /// What is left of a binary body.
    Binary(Bytes),
    /// Reported as an error at the first call of `next`.
    Refused(PayloadError),
    Done,
}

impl PayloadDecoder {
    /// Starts to read `body`; `binary` says that it came as `application/octet-stream`.
    #[must_use]
    pub fn new(revision: Revision, body: Bytes, binary: bool) -> Self {
        let body = match (revision, binary) {
            (Revision::V4, true) => Body::Refused(PayloadError::BinaryNotAllowed),
            (Revision::V3, _) if body.is_empty() => Body::Refused(PayloadError::Empty),
            (Revision::V3, true) => Body::Binary(body),
            (_, false) => match ByteString::try_from(body) {
                Ok(text) => Body::Text(text),
                Err(_) => Body::Refused(PayloadError::InvalidUtf8),
            },
        };
        Self { revision, body }
    }

    /// Finds the next packet of revision 4 in `text`; `None` as rest if it is the last one.
    fn split_v4(text: &ByteString) -> (ByteString, Option<ByteString>) {
        match memchr::memchr(SEPARATOR, text.as_bytes()) {
            // The separator is ASCII, so both sides are character boundaries.
            Some(end) => (
                text.slice_ref(&text[..end]),
                Some(text.slice_ref(&text[end + 1..])),
            ),
            None => (text.clone(), None),
        }
    }

    fn split_v3(text: &ByteString) -> Result<(ByteString, ByteString), PayloadError> {
        let colon = text
            .bytes()
            .take(MAX_DIGITS + 1)
            .position(|byte| byte == b':')
            .ok_or(PayloadError::InvalidLength)?;
        let units = parse_length(text.as_bytes()[..colon].iter().map(|byte| byte ^ b'0'))?;
        let rest = &text[colon + 1..];
        let end = utf16_prefix(rest, units).ok_or(PayloadError::Truncated)?;
        Ok((text.slice_ref(&rest[..end]), text.slice_ref(&rest[end..])))
    }

    fn next_v3_binary(rest: &mut Bytes) -> Result<Packet, PayloadError> {
        let marker = rest[0];
        let digits_end = rest[1..]
            .iter()
            .take(MAX_DIGITS + 1)
            .position(|&byte| byte == LENGTH_END)
            .ok_or(PayloadError::InvalidLength)?;
        let length = parse_length(rest[1..=digits_end].iter().copied())?;
        let start = digits_end + 2;
        if length > rest.len() - start {
            return Err(PayloadError::Truncated);
        }
        let data = rest.slice(start..start + length);
        *rest = rest.slice(start + length..);
        Ok(match marker {
            0 => {
                let text = ByteString::try_from(data).map_err(|_| PayloadError::InvalidUtf8)?;
                Packet::decode_text(Revision::V3, &text)?
            }
            1 => Packet::decode_binary(Revision::V3, data)?,
            other => return Err(PayloadError::InvalidMarker(other)),
        })
    }

    fn next_packet(&mut self) -> Option<Result<Packet, PayloadError>> {
        match &mut self.body {
            Body::Done => None,
            Body::Refused(error) => Some(Err(*error)),
            Body::Binary(rest) if rest.is_empty() => None,
            Body::Binary(rest) => Some(Self::next_v3_binary(rest)),
            Body::Text(text) if self.revision == Revision::V4 => {
                let (packet, rest) = Self::split_v4(text);
                self.body = rest.map_or(Body::Done, Body::Text);
                Some(Packet::decode_text(Revision::V4, &packet).map_err(PayloadError::Packet))
            }
            Body::Text(text) => loop {
                if text.is_empty() {
                    return None;
                }
                let (packet, rest) = match Self::split_v3(text) {
                    Ok(split) => split,
                    Err(error) => return Some(Err(error)),
                };
                *text = rest;
                // An empty batch is `0:`, and it is no error in the middle of one either.
                if !packet.is_empty() {
                    let packet = Packet::decode_text(Revision::V3, &packet);
                    return Some(packet.map_err(PayloadError::Packet));
                }
            },
        }
    }
}

impl Iterator for PayloadDecoder {
    type Item = Result<Packet, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_packet();
        if !matches!(item, Some(Ok(_))) {
            self.body = Body::Done;
        }
        item
    }
}

impl std::iter::FusedIterator for PayloadDecoder {}

/// Node's limit: as many digits as the largest JavaScript number has.
const MAX_DIGITS: usize = 310;

/// Saturates: a length of that size is beyond any body.
fn parse_length(digits: impl Iterator<Item = u8>) -> Result<usize, PayloadError> {
    let mut length = None;
    for digit in digits {
        if digit > 9 {
            return Err(PayloadError::InvalidLength);
        }
        let so_far = length.unwrap_or(0usize);
        length = Some(so_far.saturating_mul(10).saturating_add(digit.into()));
    }
    length.ok_or(PayloadError::InvalidLength)
}

/// Length in bytes of the first `units` UTF-16 code units of `text`; `None` if there are fewer, or
/// if they end between the halves of a surrogate pair.
fn utf16_prefix(text: &str, units: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // Most packets are ASCII, where units are bytes.
    if bytes.get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (index, character) in text.char_indices() {
        if left == 0 {
            return Some(index);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}
