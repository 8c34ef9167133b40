//! Packets as the official encoders write them. `vectors/packets.json` was made by giving one list
//! of packets to socket.io-parser 4.2.7 (`text`, `attachments`) and to socket.io-msgpack-parser
//! 3.0.2 (`msgpack`); bytes are hexadecimal.

#![expect(
    clippy::unwrap_used,
    reason = "a vector that is no JSON is to fail the test"
)]

use bytes::Bytes;
use serde::Deserialize;
use socketio_core::engine::Revision;
use socketio_core::frame::Frame;
use socketio_core::packet::{DecodeError, DecodeLimits, Packet, PacketDecoder, ParserKind};
use socketio_core::value::{Value, from_value};

#[derive(Deserialize)]
struct Vector {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nsp: String,
    id: Option<u64>,
    text: String,
    #[serde(default)]
    attachments: Vec<String>,
    msgpack: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/packets.json")).unwrap()
}

fn bytes(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn decode(parser: ParserKind, messages: &[Result<&str, Bytes>]) -> Result<Packet, DecodeError> {
    let mut decoder = PacketDecoder::new(parser, Revision::V4, DecodeLimits::default());
    let mut packet = None;
    for message in messages {
        assert_eq!(packet, None, "complete before its last message");
        packet = match message {
            Ok(text) => decoder.handle_text((*text).into())?,
            Err(bytes) => decoder.handle_binary(bytes.clone())?,
        };
    }
    Ok(packet.expect("a complete packet"))
}

/// Type, namespace, id and data: what a packet means, apart from how its JSON is spelled.
fn meaning(packet: &Packet) -> (&'static str, &str, Option<u64>, Value) {
    let data = |json: &str| -> Value { serde_json::from_str(json).unwrap() };
    match packet {
        Packet::Connect { nsp, auth } => ("connect", nsp, None, auth.as_deref().map(data).into()),
        Packet::Disconnect { nsp } => ("disconnect", nsp, None, Value::Null),
        Packet::Event { nsp, ack, payload } => {
            let data = Value::Array(payload.to_values().unwrap());
            ("event", nsp, ack.map(|id| id.0), data)
        }
        Packet::Ack { nsp, id, payload } => (
            "ack",
            nsp,
            Some(id.0),
            Value::Array(payload.to_values().unwrap()),
        ),
        Packet::ConnectError { nsp, data: json } => ("connect_error", nsp, None, data(json)),
    }
}

#[test]
fn both_parsers_read_what_the_official_ones_write() {
    for vector in vectors() {
        let mut messages = vec![Ok(vector.text.as_str())];
        messages.extend(vector.attachments.iter().map(|hex| Err(bytes(hex))));
        let json = decode(ParserKind::Json, &messages).expect(&vector.name);
        let (kind, nsp, id, _) = meaning(&json);
        assert_eq!(
            (kind, nsp, id),
            (vector.kind.as_str(), vector.nsp.as_str(), vector.id),
            "{}",
            vector.name
        );
        let msgpack = decode(ParserKind::MessagePack, &[Err(bytes(&vector.msgpack))]);
        let msgpack = msgpack.expect(&vector.name);
        assert_eq!(meaning(&msgpack), meaning(&json), "{}", vector.name);
    }
}

#[test]
fn text_packets_are_written_byte_for_byte_alike() {
    for vector in vectors() {
        let mut messages = vec![Ok(vector.text.as_str())];
        let attachments: Vec<Bytes> = vector.attachments.iter().map(|hex| bytes(hex)).collect();
        messages.extend(attachments.iter().cloned().map(Err));
        let packet = decode(ParserKind::Json, &messages).expect(&vector.name);
        let frame = ParserKind::Json.encode(&packet);
        assert_eq!(frame.text(), Some(format!("4{}", vector.text).as_str()));
        assert!(
            frame
                .attachments()
                .eq(attachments.iter().map(|bytes| &bytes[..]))
        );
    }
}

#[test]
fn message_pack_packets_have_the_same_members() {
    for vector in vectors() {
        let packet = decode(ParserKind::MessagePack, &[Err(bytes(&vector.msgpack))]).unwrap();
        let frame: Frame = ParserKind::MessagePack.encode(&packet);
        assert_eq!((frame.text(), frame.packets()), (None, 1));
        let written = frame.attachments().next().unwrap();
        let written = socketio_core::msgpack::decode(&Bytes::copy_from_slice(written)).unwrap();
        let expected = socketio_core::msgpack::decode(&bytes(&vector.msgpack)).unwrap();
        for name in ["type", "data", "id", "nsp"] {
            assert_eq!(written.get(name), expected.get(name), "{}", vector.name);
        }
    }
}

#[test]
fn arguments_of_a_vector_can_be_read_by_type() {
    let vector = vectors()
        .into_iter()
        .find(|vector| vector.name == "two attachments, nested");
    let packet = decode(
        ParserKind::MessagePack,
        &[Err(bytes(&vector.unwrap().msgpack))],
    );
    let Ok(Packet::Event { payload, .. }) = packet else {
        panic!("{packet:?}")
    };
    #[derive(Debug, PartialEq, Deserialize)]
    struct Data {
        a: u8,
        b: Vec<Inner>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        c: Bytes,
    }
    let expected = Data {
        a: 1,
        b: vec![Inner {
            c: Bytes::from_static(&[2, 3]),
        }],
    };
    let (first, second): (Bytes, Data) = payload.deserialize_args(true).unwrap();
    assert_eq!((&first[..], &second), (&[1][..], &expected));
    let values = payload.to_values().unwrap();
    assert_eq!(from_value::<Data>(values[2].clone()), Ok(expected));
}
