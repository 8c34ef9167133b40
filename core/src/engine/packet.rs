//! One Engine.IO packet.
//!
//! Text is `<type><data>` in both revisions. Bytes are the bare message in revision 4 and
//! `<type as a raw byte><data>` in revision 3. Where only text can travel, bytes become
//! `b<base64>` (revision 4) or `b<type><base64>` (revision 3).

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use bytestring::ByteString;

use super::{Message, Revision};

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// `0`, from the server: the session is open, with its parameters.
    Open = 0,
    /// `1`: this transport ends.
    Close = 1,
    /// `2`: asks for a pong.
    Ping = 2,
    /// `3`: answers a ping.
    Pong = 3,
    /// `4`: data for the layer above.
    Message = 4,
    /// `5`, from the client: the candidate transport is the transport from now on.
    Upgrade = 5,
    /// `6`: nothing, it ends a waiting poll.
    Noop = 6,
}

impl PacketKind {
    /// The kind with this number (0 to 6, not its ASCII digit).
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Open,
            1 => Self::Close,
            2 => Self::Ping,
            3 => Self::Pong,
            4 => Self::Message,
            5 => Self::Upgrade,
            6 => Self::Noop,
            _ => return None,
        })
    }

    /// The ASCII digit that starts the text form.
    #[must_use]
    pub const fn digit(self) -> u8 {
        b'0' + self as u8
    }

    const fn from_digit(digit: u8) -> Option<Self> {
        Self::from_number(digit.wrapping_sub(b'0'))
    }
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Nothing, where at least a type must be.
    #[error("empty packet")]
    Empty,
    /// The first character or byte names no type.
    #[error("unknown packet type {0:#04x}")]
    UnknownType(u8),
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is for.
    pub kind: PacketKind,
    /// What it carries.
    pub data: Message,
}

impl Packet {
    /// A packet with text.
    #[must_use]
    pub fn text(kind: PacketKind, data: impl Into<ByteString>) -> Self {
        Self {
            kind,
            data: Message::Text(data.into()),
        }
    }

    /// A message with bytes.
    #[must_use]
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            kind: PacketKind::Message,
            data: Message::Binary(data.into()),
        }
    }

    /// Reads the text form, `b…` included. The data is a slice of `text`, not a copy.
    ///
    /// # Errors
    /// [`PacketError`] if there is no type, or none that exists.
    pub fn decode_text(revision: Revision, text: &ByteString) -> Result<Self, PacketError> {
        let Some(&first) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        if first == b'b' {
            return Self::decode_base64(revision, &text.as_bytes()[1..]);
        }
        let kind = PacketKind::from_digit(first).ok_or(PacketError::UnknownType(first))?;
        // The first character is ASCII, so 1 is a character boundary.
        let data = text.slice_ref(&text[1..]);
        Ok(Self {
            kind,
            data: Message::Text(data),
        })
    }

    /// Reads the binary form. The data is a slice of `bytes`, not a copy.
    ///
    /// # Errors
    /// [`PacketError`] if revision 3's type byte is missing or unknown. Revision 4 has none: any
    /// bytes are a message.
    pub fn decode_binary(revision: Revision, mut bytes: Bytes) -> Result<Self, PacketError> {
        let kind = match revision {
            Revision::V4 => PacketKind::Message,
            Revision::V3 => {
                if bytes.is_empty() {
                    return Err(PacketError::Empty);
                }
                let number = bytes.split_to(1)[0];
                PacketKind::from_number(number).ok_or(PacketError::UnknownType(number))?
            }
        };
        Ok(Self {
            kind,
            data: Message::Binary(bytes),
        })
    }

    /// Writes the text form; bytes become base64.
    #[must_use]
    pub fn encode_text(&self, revision: Revision) -> String {
        match &self.data {
            Message::Text(text) => {
                let mut out = String::with_capacity(1 + text.len());
                out.push(char::from(self.kind.digit()));
                out.push_str(text);
                out
            }
            Message::Binary(bytes) => {
                let mut out = String::with_capacity(2 + bytes.len().div_ceil(3) * 4);
                out.push('b');
                if revision == Revision::V3 {
                    out.push(char::from(self.kind.digit()));
                }
                BASE64.encode_string(bytes, &mut out);
                out
            }
        }
    }

    /// Writes the binary form. In revision 4, which has no type byte, this is the data alone.
    #[must_use]
    pub fn encode_binary(&self, revision: Revision) -> Bytes {
        match (revision, &self.data) {
            (Revision::V4, Message::Binary(bytes)) => bytes.clone(),
            (Revision::V4, Message::Text(text)) => text.as_bytes().clone(),
            (Revision::V3, data) => {
                let mut out = Vec::with_capacity(1 + data.len());
                out.push(self.kind as u8);
                out.extend_from_slice(data.as_bytes());
                out.into()
            }
        }
    }

    fn decode_base64(revision: Revision, encoded: &[u8]) -> Result<Self, PacketError> {
        let (kind, encoded) = match revision {
            Revision::V4 => (PacketKind::Message, encoded),
            Revision::V3 => {
                let (&digit, rest) = encoded.split_first().ok_or(PacketError::Empty)?;
                let kind = PacketKind::from_digit(digit).ok_or(PacketError::UnknownType(digit))?;
                (kind, rest)
            }
        };
        Ok(Self {
            kind,
            data: Message::Binary(decode_base64_lenient(encoded).into()),
        })
    }
}

/// Writes standard padded base64, reads it with or without padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 as Node's `Buffer` reads it: both alphabets, padding optional, other characters skipped.
fn decode_base64_lenient(encoded: &[u8]) -> Vec<u8> {
    if let Ok(bytes) = BASE64.decode(encoded) {
        return bytes;
    }
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3 + 2);
    let mut group = 0u32;
    let mut bits = 0u32;
    for &character in encoded {
        let sextet = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        group = (group << 6) | u32::from(sextet);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            // Truncation is the point: the bits above were written before.
            out.push((group >> bits) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(revision: Revision, text: &str) -> Result<Packet, PacketError> {
        Packet::decode_text(revision, &text.into())
    }

    #[test]
    fn reads_every_kind() {
        for (number, kind) in [
            PacketKind::Open,
            PacketKind::Close,
            PacketKind::Ping,
            PacketKind::Pong,
            PacketKind::Message,
            PacketKind::Upgrade,
            PacketKind::Noop,
        ]
        .into_iter()
        .enumerate()
        {
            for revision in [Revision::V3, Revision::V4] {
                let packet = decode(revision, &format!("{number}é"));
                assert_eq!(packet, Ok(Packet::text(kind, "é")));
            }
            let bytes = Bytes::from(vec![number as u8, 9]);
            let packet = Packet::decode_binary(Revision::V3, bytes).expect("valid");
            assert_eq!(packet.kind, kind);
            assert_eq!(packet.data.as_bytes(), [9]);
        }
    }

    #[test]
    fn refuses_what_has_no_type() {
        for revision in [Revision::V3, Revision::V4] {
            assert_eq!(decode(revision, ""), Err(PacketError::Empty));
            for bad in ["7", "abc", " 4", "/", ":", "é4", "\u{1e}"] {
                assert!(matches!(
                    decode(revision, bad),
                    Err(PacketError::UnknownType(_))
                ));
            }
        }
        assert_eq!(decode(Revision::V3, "b"), Err(PacketError::Empty));
        assert_eq!(
            decode(Revision::V3, "b7"),
            Err(PacketError::UnknownType(b'7'))
        );
        assert_eq!(
            Packet::decode_binary(Revision::V3, Bytes::new()),
            Err(PacketError::Empty)
        );
        assert_eq!(
            Packet::decode_binary(Revision::V3, Bytes::from_static(b"4")),
            Err(PacketError::UnknownType(b'4'))
        );
    }

    #[test]
    fn base64_is_read_as_node_reads_it() {
        for (encoded, bytes) in [
            ("AQIDBA==", &[1u8, 2, 3, 4][..]),
            ("AQIDBA", &[1, 2, 3, 4]),
            ("AQ ID\nBA==", &[1, 2, 3, 4]),
            ("-_-_", &[0xfb, 0xff, 0xbf]),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
            ("A", &[]),
            ("", &[]),
            ("!é", &[]),
        ] {
            let packet = decode(Revision::V4, &format!("b{encoded}")).expect("lenient");
            assert_eq!(packet.data.as_bytes(), bytes, "{encoded}");
            assert_eq!(packet.kind, PacketKind::Message);
        }
    }

    #[test]
    fn data_is_a_slice_of_the_input() {
        let text = ByteString::from("4hello");
        let packet = Packet::decode_text(Revision::V4, &text).expect("valid");
        assert_eq!(
            packet.data.as_bytes().as_ptr(),
            text.as_bytes()[1..].as_ptr()
        );
    }

    fn any_packet() -> impl Strategy<Value = Packet> {
        prop_oneof![
            (0u8..7, ".*").prop_map(|(number, text)| Packet::text(
                PacketKind::from_number(number).expect("in range"),
                text
            )),
            proptest::collection::vec(any::<u8>(), 0..80).prop_map(Packet::binary),
        ]
    }

    proptest! {
        #[test]
        fn text_round_trip(packet in any_packet(), v4 in any::<bool>()) {
            let revision = if v4 { Revision::V4 } else { Revision::V3 };
            prop_assert_eq!(decode(revision, &packet.encode_text(revision)), Ok(packet));
        }

        #[test]
        fn binary_round_trip(data in proptest::collection::vec(any::<u8>(), 0..80), v4 in any::<bool>()) {
            let revision = if v4 { Revision::V4 } else { Revision::V3 };
            let packet = Packet::binary(data);
            let bytes = packet.encode_binary(revision);
            prop_assert_eq!(Packet::decode_binary(revision, bytes), Ok(packet));
        }

        #[test]
        fn the_output_is_never_longer_than_the_input(text in ".*", v4 in any::<bool>()) {
            let revision = if v4 { Revision::V4 } else { Revision::V3 };
            if let Ok(packet) = decode(revision, &text) {
                prop_assert!(packet.data.len() < text.len());
            }
        }
    }
}
