//! Byte for byte: what peers send, and what we send, as data in `vectors/`.
//!
//! The payloads and packets are those of the protocol's documents and of running Node servers.

use bytes::Bytes;
use serde::Deserialize;
use socketio_core::{
    engine::{Message, Packet, PacketKind, PayloadDecoder, PayloadEncoder, Revision},
    websocket::{FrameDecoder, Role, WsEvent},
};

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn revision(number: u8) -> Revision {
    match number {
        3 => Revision::V3,
        4 => Revision::V4,
        other => panic!("no revision {other}"),
    }
}

fn kind(name: &str) -> PacketKind {
    match name {
        "open" => PacketKind::Open,
        "close" => PacketKind::Close,
        "ping" => PacketKind::Ping,
        "pong" => PacketKind::Pong,
        "message" => PacketKind::Message,
        "upgrade" => PacketKind::Upgrade,
        "noop" => PacketKind::Noop,
        other => panic!("no kind {other}"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PacketVector {
    revision: u8,
    text: Option<String>,
    binary: Option<String>,
    kind: Option<String>,
    data: Option<String>,
    hex: Option<String>,
    error: Option<String>,
}

#[test]
fn engine_packets() {
    let vectors: Vec<PacketVector> =
        serde_json::from_str(include_str!("vectors/engine_packets.json")).expect("JSON");
    for vector in vectors {
        let revision = revision(vector.revision);
        let packet = match (&vector.text, &vector.binary) {
            (Some(text), None) => Packet::decode_text(revision, &text.as_str().into()),
            (None, Some(hex)) => Packet::decode_binary(revision, unhex(hex).into()),
            _ => panic!("either text or binary: {vector:?}"),
        };
        let packet = match (packet, &vector.error) {
            (Ok(packet), None) => packet,
            (Err(error), Some(expected)) => {
                assert_eq!(&error.to_string(), expected, "{vector:?}");
                continue;
            }
            (other, _) => panic!("{vector:?} gave {other:?}"),
        };
        let data = match (&vector.data, &vector.hex) {
            (Some(text), None) => Message::from(text.as_str()),
            (None, Some(hex)) => Message::Binary(unhex(hex).into()),
            _ => panic!("either data or hex: {vector:?}"),
        };
        assert_eq!(packet.data, data, "{vector:?}");
        assert_eq!(packet.kind, kind(vector.kind.as_deref().unwrap_or("none")));
        // And back to the same bytes.
        match (vector.text, vector.binary) {
            (Some(text), _) => assert_eq!(packet.encode_text(revision), text),
            (_, Some(hex)) => assert_eq!(packet.encode_binary(revision), unhex(&hex)),
            _ => {}
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadVector {
    revision: u8,
    text: Option<String>,
    /// A text body that is not UTF-8.
    hex: Option<String>,
    /// A body of type `application/octet-stream`.
    octets: Option<String>,
    packets: Vec<String>,
    error: Option<String>,
}

#[test]
fn engine_payloads() {
    let vectors: Vec<PayloadVector> =
        serde_json::from_str(include_str!("vectors/engine_payloads.json")).expect("JSON");
    for vector in vectors {
        let revision = revision(vector.revision);
        let binary = vector.octets.is_some();
        let body: Bytes = match (&vector.text, &vector.hex, &vector.octets) {
            (Some(text), None, None) => text.clone().into(),
            (None, Some(hex), None) | (None, None, Some(hex)) => unhex(hex).into(),
            _ => panic!("exactly one body: {vector:?}"),
        };
        let mut packets = Vec::new();
        let mut error = None;
        for packet in PayloadDecoder::new(revision, body.clone(), binary) {
            match packet {
                Ok(packet) => packets.push(packet),
                Err(found) => error = Some(found.to_string()),
            }
        }
        let texts: Vec<_> = packets.iter().map(|p| p.encode_text(revision)).collect();
        assert_eq!(texts, vector.packets, "{vector:?}");
        assert_eq!(error, vector.error, "{vector:?}");
        if error.is_some() {
            continue;
        }
        let mut encoder = PayloadEncoder::new(revision, binary);
        for packet in &packets {
            match &packet.data {
                Message::Text(_) => encoder.push_text(&packet.encode_text(revision)),
                Message::Binary(bytes) => encoder.push_binary(bytes),
            }
        }
        let payload = encoder.finish();
        // The binary form is only for batches with bytes in them.
        if payload.binary == binary {
            assert_eq!(payload.body, body, "{vector:?}");
        } else {
            let has_bytes = packets.iter().any(|p| p.data.as_text().is_none());
            assert!(!has_bytes, "{vector:?}");
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameVector {
    name: String,
    role: String,
    hex: String,
    events: Vec<serde_json::Value>,
    error: Option<u16>,
}

fn describe(event: WsEvent) -> serde_json::Value {
    let hex = |bytes: Bytes| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    match event {
        WsEvent::Text(text) => serde_json::json!({ "text": &*text }),
        WsEvent::Binary(bytes) => serde_json::json!({ "binary": hex(bytes) }),
        WsEvent::Ping(bytes) => serde_json::json!({ "ping": hex(bytes) }),
        WsEvent::Pong(bytes) => serde_json::json!({ "pong": hex(bytes) }),
        WsEvent::Close(close) => serde_json::json!({ "close": close.map(|(code, _)| code) }),
    }
}

#[test]
fn websocket_frames() {
    let vectors: Vec<FrameVector> =
        serde_json::from_str(include_str!("vectors/websocket_frames.json")).expect("JSON");
    for vector in vectors {
        let role = match vector.role.as_str() {
            "server" => Role::Server,
            "client" => Role::Client,
            other => panic!("no role {other}"),
        };
        let wire = unhex(&vector.hex);
        for step in 1..=wire.len() {
            let mut decoder = FrameDecoder::new(role, 1_000_000);
            let mut events = Vec::new();
            let mut error = None;
            for piece in wire.chunks(step) {
                for event in decoder.feed(&mut piece.to_vec()) {
                    match event {
                        Ok(event) => events.push(describe(event)),
                        Err(found) => error = Some(found.close_code()),
                    }
                }
            }
            assert_eq!(events, vector.events, "{}, {step} at a time", vector.name);
            assert_eq!(error, vector.error, "{}, {step} at a time", vector.name);
        }
    }
}
