use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::engine::{Message, Packet, PacketError, PacketKind, Revision};

fn decode(revision: Revision, body: &[u8], binary: bool) -> Vec<Result<Packet, PayloadError>> {
    PayloadDecoder::new(revision, Bytes::copy_from_slice(body), binary).collect()
}

fn message(text: &str) -> Result<Packet, PayloadError> {
    Ok(Packet::text(PacketKind::Message, text))
}

fn encode(revision: Revision, supports_binary: bool, packets: &[Packet]) -> EncodedPayload {
    let mut encoder = PayloadEncoder::new(revision, supports_binary);
    for packet in packets {
        match &packet.data {
            Message::Text(_) => encoder.push_text(&packet.encode_text(revision)),
            Message::Binary(bytes) => encoder.push_binary(bytes),
        }
    }
    assert_eq!(encoder.packets(), packets.len());
    encoder.finish()
}

fn sample() -> [Packet; 3] {
    [
        Packet::text(PacketKind::Message, "hello"),
        Packet::binary(vec![1, 2, 3, 4]),
        Packet::text(PacketKind::Ping, ""),
    ]
}

#[test]
fn revision_4_is_text_with_separators() {
    let payload = encode(Revision::V4, true, &sample());
    assert_eq!(&payload.body[..], b"4hello\x1ebAQIDBA==\x1e2");
    assert!(!payload.binary);
    let read = decode(Revision::V4, &payload.body, false);
    assert_eq!(read, sample().map(Ok));
}

#[test]
fn revision_4_stops_at_the_first_bad_packet() {
    assert_eq!(
        decode(Revision::V4, b"4a\x1eabc\x1e4b", false),
        [
            message("a"),
            Err(PayloadError::Packet(PacketError::UnknownType(b'a')))
        ]
    );
    for body in [&b""[..], b"\x1e", b"\x1e4a"] {
        let read = decode(Revision::V4, body, false);
        assert_eq!(read, [Err(PayloadError::Packet(PacketError::Empty))]);
    }
    assert_eq!(
        decode(Revision::V4, b"4a\x1e", false),
        [message("a"), Err(PayloadError::Packet(PacketError::Empty))]
    );
}

#[test]
fn revision_4_refuses_bytes() {
    let refused = [Err(PayloadError::BinaryNotAllowed)];
    assert_eq!(decode(Revision::V4, b"4a", true), refused);
    let invalid = [Err(PayloadError::InvalidUtf8)];
    assert_eq!(decode(Revision::V4, b"4a\xff", false), invalid);
}

#[test]
fn revision_3_counts_utf16_units() {
    // From a running Node server; then a character outside the basic plane, which is two units.
    for (text, body) in [
        ("2[\"m\",\"é€\"]", "12:42[\"m\",\"é€\"]"),
        ("😀", "3:4😀"),
        ("", "1:4"),
    ] {
        let packet = Packet::text(PacketKind::Message, text);
        let payload = encode(Revision::V3, true, std::slice::from_ref(&packet));
        assert_eq!(payload.body, body.as_bytes());
        assert!(!payload.binary);
        assert_eq!(decode(Revision::V3, body.as_bytes(), false), [Ok(packet)]);
    }
    let two = "3:4😀2:4é".as_bytes();
    assert_eq!(
        decode(Revision::V3, two, false),
        [message("😀"), message("é")]
    );
}

#[test]
fn revision_3_without_binary_support_uses_base64() {
    let payload = encode(Revision::V3, false, &sample());
    assert_eq!(&payload.body[..], b"6:4hello10:b4AQIDBA==1:2");
    assert!(!payload.binary);
    assert_eq!(decode(Revision::V3, &payload.body, false), sample().map(Ok));
}

#[test]
fn revision_3_binary_form() {
    let payload = encode(Revision::V3, true, &sample()[..2]);
    assert_eq!(
        &payload.body[..],
        b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04"
    );
    assert!(payload.binary);
    assert_eq!(
        decode(Revision::V3, &payload.body, true),
        [Ok(sample()[0].clone()), Ok(sample()[1].clone())]
    );
    // Lengths of several digits: one byte each, its value and not its character.
    let long = encode(Revision::V3, true, &[Packet::binary(vec![7; 254])]);
    assert_eq!(long.body[..6], [1, 2, 5, 5, 0xff, 4]);
    // Text lengths are bytes here, not UTF-16 units.
    let text = decode(Revision::V3, b"\x00\x05\xff4\xe2\x82\xac!", true);
    assert_eq!(text, [message("€!")]);
}

#[test]
fn revision_3_empty_batch() {
    let payload = encode(Revision::V3, true, &[]);
    assert_eq!(&payload.body[..], b"0:");
    assert_eq!(decode(Revision::V3, b"0:", false), []);
    assert_eq!(decode(Revision::V3, b"0:2:4a0:", false), [message("a")]);
}

#[test]
fn revision_3_refuses_bad_lengths() {
    for (body, error) in [
        (&b""[..], PayloadError::Empty),
        (b"!", PayloadError::InvalidLength),
        (b":4a", PayloadError::InvalidLength),
        (b"x:4a", PayloadError::InvalidLength),
        (b"-1:4a", PayloadError::InvalidLength),
        (b"1e1:4aaaaaaaaa", PayloadError::InvalidLength),
        (b"2", PayloadError::InvalidLength),
        (b"3:4a", PayloadError::Truncated),
        (b"99999999999999999999999:4a", PayloadError::Truncated),
        // The length ends between the two halves of a surrogate pair.
        ("2:4😀".as_bytes(), PayloadError::Truncated),
    ] {
        let text = String::from_utf8_lossy(body);
        assert_eq!(decode(Revision::V3, body, false), [Err(error)], "{text}");
    }
    assert_eq!(
        decode(Revision::V3, b"2:4a3", false),
        [message("a"), Err(PayloadError::InvalidLength)]
    );
    let digits = [&[b'0'; 400][..], b"2:4a"].concat();
    let refused = [Err(PayloadError::InvalidLength)];
    assert_eq!(decode(Revision::V3, &digits, false), refused);
}

#[test]
fn revision_3_binary_form_refuses() {
    for (body, error) in [
        (&b""[..], PayloadError::Empty),
        (b"\x00", PayloadError::InvalidLength),
        (b"\x00\xff4", PayloadError::InvalidLength),
        (b"\x00\x01", PayloadError::InvalidLength),
        (b"\x00\x0a\xff4", PayloadError::InvalidLength),
        (b"\x00\x02\xff4", PayloadError::Truncated),
        (b"\x02\x01\xff4", PayloadError::InvalidMarker(2)),
        (b"\x00\x02\xff4\xff", PayloadError::InvalidUtf8),
        (b"\x00\x00\xff", PayloadError::Packet(PacketError::Empty)),
        (
            b"\x01\x01\xff\x07",
            PayloadError::Packet(PacketError::UnknownType(7)),
        ),
    ] {
        assert_eq!(decode(Revision::V3, body, true), [Err(error)], "{body:?}");
    }
}

#[test]
fn data_is_a_slice_of_the_body() {
    let body = Bytes::from_static(b"4one\x1e4two");
    for packet in PayloadDecoder::new(Revision::V4, body.clone(), false) {
        let data = packet.expect("valid").data;
        let range = body.as_ptr_range();
        assert!(range.contains(&data.as_bytes().as_ptr()));
    }
}

#[test]
fn base64_made_before_is_the_same_body() {
    for (revision, supports_binary) in [
        (Revision::V4, true),
        (Revision::V4, false),
        (Revision::V3, false),
    ] {
        let mut encoder = PayloadEncoder::new(revision, supports_binary);
        assert!(encoder.wants_base64());
        encoder.push_base64("AQIDBA==");
        let expected = encode(revision, supports_binary, &sample()[1..2]);
        assert_eq!(encoder.finish(), expected);
    }
    assert!(!PayloadEncoder::new(Revision::V3, true).wants_base64());
}

fn any_packets() -> impl Strategy<Value = Vec<Packet>> {
    let packet = prop_oneof![
        // Everything but the separator, which Socket.IO's JSON never contains unescaped.
        (0u8..7, "[^\u{1e}]{0,12}").prop_map(|(number, text)| Packet::text(
            PacketKind::from_number(number).expect("in range"),
            text
        )),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Packet::binary),
    ];
    proptest::collection::vec(packet, 1..6)
}

fn any_revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::V3), Just(Revision::V4)]
}

proptest! {
    #[test]
    fn round_trip(packets in any_packets(), revision in any_revision(), supports_binary in any::<bool>()) {
        let payload = encode(revision, supports_binary, &packets);
        let read = decode(revision, &payload.body, payload.binary);
        prop_assert_eq!(read, packets.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_end_and_never_grow(
        body in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1e), Just(0xff), b'0'..=b':', 0u8..8], 0..200),
        revision in any_revision(),
        binary in any::<bool>(),
    ) {
        let read = decode(revision, &body, binary);
        prop_assert!(read.len() <= body.len() + 1);
        let kept: usize = read.iter().flatten().map(|packet| packet.data.len()).sum();
        prop_assert!(kept <= body.len());
        // Nothing comes after an error.
        let errors = read.iter().filter(|item| item.is_err()).count();
        prop_assert!(errors == 0 || (errors == 1 && read.last().is_some_and(Result::is_err)));
    }
}
