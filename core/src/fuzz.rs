//! Entry points for fuzzing: each takes any bytes and panics if a promise of a decoder is broken.
//!
//! They live here, and not in `core/fuzz`, so that they are compiled and tried with every build.

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    cluster::wire::{
        Classic, Decoded, Sharded, ShardedMode, native,
        python::{DEFAULT_CHANNEL, Python, PythonConfig},
    },
    cluster::{ClusterResponse, Operation, ResponseBody},
    engine::{
        CloseReason, Message, Output, Packet, PacketKind, PayloadDecoder, PayloadEncoder, Revision,
        Session, SessionConfig, TransportKind, jsonp,
    },
    ids::NodeId,
    msgpack,
    packet::{self, DecodeLimits, PacketDecoder, ParserKind},
    payload::Payload,
    trace::TraceContext,
    websocket::{FrameDecoder, Role, WsError, WsEvent},
};

/// A function that must not panic, whatever it is given.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("cluster_native", cluster_native),
    ("engine_packet", engine_packet),
    ("engine_payload", engine_payload),
    ("engine_session", engine_session),
    ("jsonp_form", jsonp_form),
    ("message_pack", message_pack),
    ("node_wire", node_wire),
    ("python_wire", python_wire),
    ("socketio_packet", socketio_packet),
    ("trace_context", trace_context),
    ("websocket", websocket),
];

fn revision(bit: u8) -> Revision {
    if bit & 1 == 0 {
        Revision::V4
    } else {
        Revision::V3
    }
}

/// What is read is not longer than what was given, and is read again from its own encoding.
///
/// # Panics
/// If that does not hold.
pub fn engine_packet(data: &[u8]) {
    for revision in [Revision::V3, Revision::V4] {
        let bytes = Bytes::copy_from_slice(data);
        if let Ok(packet) = Packet::decode_binary(revision, bytes.clone()) {
            assert!(packet.data.len() <= data.len());
            let again = Packet::decode_binary(revision, packet.encode_binary(revision));
            assert_eq!(again.as_ref(), Ok(&packet));
        }
        let Ok(text) = ByteString::try_from(bytes) else {
            continue;
        };
        if let Ok(packet) = Packet::decode_text(revision, &text) {
            assert!(packet.data.len() < data.len());
            let again = Packet::decode_text(revision, &packet.encode_text(revision).into());
            assert_eq!(again.as_ref(), Ok(&packet));
        }
    }
}

/// Every packet costs a byte at least, and the packets of a payload survive another payload.
///
/// # Panics
/// If that does not hold.
pub fn engine_payload(data: &[u8]) {
    let Some((&mode, body)) = data.split_first() else {
        return;
    };
    let revision = revision(mode);
    let body = Bytes::copy_from_slice(body);
    let packets: Vec<_> = PayloadDecoder::new(revision, body.clone(), mode & 2 != 0)
        .map_while(Result::ok)
        .collect();
    assert!(packets.len() <= body.len());
    let size: usize = packets.iter().map(|packet| packet.data.len()).sum();
    assert!(size <= body.len());

    let mut encoder = PayloadEncoder::new(revision, mode & 4 != 0);
    let mut kept = Vec::new();
    for packet in packets {
        match &packet.data {
            Message::Text(_) => encoder.push_text(&packet.encode_text(revision)),
            // Only messages are sent as bytes.
            Message::Binary(bytes) if packet.kind == PacketKind::Message => {
                encoder.push_binary(bytes);
            }
            Message::Binary(_) => continue,
        }
        kept.push(packet);
    }
    if !kept.is_empty() {
        let payload = encoder.finish();
        let again: Result<Vec<_>, _> =
            PayloadDecoder::new(revision, payload.body, payload.binary).collect();
        assert_eq!(again, Ok(kept));
    }
}

/// A form never grows.
///
/// # Panics
/// If that does not hold.
pub fn jsonp_form(data: &[u8]) {
    if let Ok(body) = jsonp::unwrap_body(data) {
        assert!(body.len() <= data.len());
    }
    let text = String::from_utf8_lossy(data);
    let script = jsonp::wrap(&text, &text);
    assert!(script.len() <= text.len() * 7 + 16);
}

/// The events do not depend on how the bytes are cut, and memory is bounded by what came.
///
/// # Panics
/// If that does not hold.
pub fn websocket(data: &[u8]) {
    let [mode, step, wire @ ..] = data else {
        return;
    };
    let role = if mode & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let limit = usize::from(*mode) * 16;
    let read = |step: usize| -> (Vec<WsEvent>, Option<WsError>) {
        let mut decoder = FrameDecoder::new(role, limit);
        let mut events = Vec::new();
        for piece in wire.chunks(step) {
            for event in decoder.feed(&mut piece.to_vec()) {
                match event {
                    Ok(event) => events.push(event),
                    Err(error) => return (events, Some(error)),
                }
            }
            assert!(decoder.buffered() <= 2 * wire.len() + limit + 125);
            assert!(!decoder.is_idle() || decoder.buffered() == 0);
        }
        (events, None)
    };
    let whole = read(wire.len().max(1));
    assert_eq!(read(usize::from(*step).max(1)), whole);
    for event in whole.0 {
        if let WsEvent::Text(_) | WsEvent::Binary(_) = event {
            let message = match &event {
                WsEvent::Text(text) => text.len(),
                WsEvent::Binary(bytes) => bytes.len(),
                _ => 0,
            };
            assert!(message <= limit);
        }
    }
}

/// Plays a list of operations; checks the order of the outputs and that silence ends a session.
///
/// # Panics
/// If the session breaks a rule.
pub fn engine_session(data: &[u8]) {
    let Some((&mode, operations)) = data.split_first() else {
        return;
    };
    let transport = if mode & 2 == 0 {
        TransportKind::Polling
    } else {
        TransportKind::WebSocket
    };
    let mut now = Instant::now();
    let config = SessionConfig::default();
    let mut session = Session::new(revision(mode), transport, config, now);
    let mut watch = Watch {
        closed: false,
        upgraded: transport == TransportKind::WebSocket,
        ping_sent: false,
        alive_at: now,
    };
    for operation in operations.chunks_exact(2) {
        let [code, argument] = [operation[0], operation[1]];
        let kind = PacketKind::from_number(argument % 7).unwrap_or(PacketKind::Noop);
        let packet = Packet::text(kind, if argument & 0x80 == 0 { "" } else { "probe" });
        match code % 9 {
            0 | 1 => {
                let end = now + Duration::from_millis(u64::from(argument) * 50);
                while let Some(deadline) = session.deadline().filter(|&at| at <= end) {
                    assert!(deadline >= now, "a deadline was left in the past");
                    now = deadline;
                    session.handle_timeout(now);
                    watch.drain(&mut session);
                }
                now = end;
            }
            2 | 3 => {
                let is_life = match session.revision() {
                    Revision::V3 => kind == PacketKind::Ping,
                    Revision::V4 => kind == PacketKind::Pong && watch.ping_sent,
                };
                if is_life {
                    watch.alive_at = now;
                    watch.ping_sent = false;
                }
                session.handle_packet(now, packet);
            }
            4 => {
                let free = !watch.closed && !watch.upgraded && !session.is_upgrading();
                assert_eq!(session.handle_upgrade_request(now).is_ok(), free);
            }
            5 => session.handle_upgrade_packet(now, &packet),
            6 => session.handle_upgrade_closed(),
            7 if argument < 8 => session.handle_transport_closed(argument & 1 == 0),
            7 if argument < 16 => session.handle_packet_error(),
            8 if argument < 16 => session.close(CloseReason::ForcedClose),
            _ => session.handle_timeout(now),
        }
        watch.drain(&mut session);
        assert_eq!(session.deadline().is_none(), watch.closed);
        assert_eq!(session.is_closed(), watch.closed);
        let silence = now - watch.alive_at;
        assert!(watch.closed || silence <= config.ping_interval + config.ping_timeout);
    }
}

/// What the outputs of a session told so far.
struct Watch {
    closed: bool,
    upgraded: bool,
    ping_sent: bool,
    alive_at: Instant,
}

impl Watch {
    fn drain(&mut self, session: &mut Session) {
        while let Some(output) = session.poll_output() {
            assert!(!self.closed, "output after the end: {output:?}");
            match output {
                Output::Upgraded => {
                    assert!(!self.upgraded, "upgraded twice");
                    self.upgraded = true;
                }
                Output::SendCandidate(_) => assert!(session.is_upgrading()),
                Output::Send(crate::engine::Control::Ping) => self.ping_sent = true,
                Output::Closed(_) => self.closed = true,
                Output::Message(_)
                | Output::Send(_)
                | Output::AnswerPoll
                | Output::DropCandidate => {}
            }
        }
    }
}

/// Reads messages cut at `0xff`, text where they are UTF-8, as one connection sends them.
///
/// # Panics
/// If a packet has more attachments than allowed.
pub fn socketio_packet(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let parser = if mode & 2 == 0 {
        ParserKind::Json
    } else {
        ParserKind::MessagePack
    };
    let limits = DecodeLimits {
        max_attachments: 8,
        ..DecodeLimits::default()
    };
    let mut decoder = PacketDecoder::new(parser, revision(mode), limits);
    for message in data.split(|&byte| byte == 0xff) {
        let message = Bytes::copy_from_slice(message);
        let packet = match ByteString::try_from(message.clone()) {
            Ok(text) if parser == ParserKind::Json => decoder.handle_text(text),
            _ => decoder.handle_binary(message),
        };
        if let Ok(Some(
            packet::Packet::Event { payload, .. } | packet::Packet::Ack { payload, .. },
        )) = packet
        {
            assert!(payload.attachments().len() <= 8);
            // What was accepted can be read.
            let _ = payload.event_name();
            assert!(payload.to_values().is_ok());
        }
    }
}

/// What is read is read again from its own encoding.
///
/// # Panics
/// If that does not hold.
pub fn message_pack(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(value) = msgpack::decode(&bytes) {
        let once = msgpack::encode(&value);
        // Compared as bytes, since a NaN is not equal to itself.
        let twice = msgpack::decode(&once.clone().into()).map(|value| msgpack::encode(&value));
        assert_eq!(twice, Ok(once));
    }
    if let Ok((payload, rest)) = msgpack::decode_payload(&bytes) {
        assert!(rest.len() < data.len());
        assert!(payload.to_values().is_ok());
    }
}

/// A header and, behind a line feed, the one beside it. What is accepted is short, and the same
/// when it is read again.
///
/// # Panics
/// If that does not hold.
pub fn trace_context(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (parent, state) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(context) = TraceContext::parse(parent, Some(state)) {
        let (parent, state) = (context.traceparent(), context.tracestate());
        assert!(parent.as_str().len() == 55 && state.is_none_or(|state| state.len() <= 512));
        assert!(state.is_none_or(|state| state.is_ascii() && state.contains('=')));
        assert_eq!(TraceContext::parse(parent.as_str(), state), Ok(context));
    }
}

/// What is read can be handed on, and an answer can be written to each question.
///
/// # Panics
/// If that does not hold.
pub fn python_wire(data: &[u8]) {
    let codec = Python::new(&NodeId::emitter(), PythonConfig::listen());
    let decoded = codec.decode(DEFAULT_CHANNEL, &Bytes::copy_from_slice(data));
    let Ok(Decoded::Message(message)) = decoded else {
        return;
    };
    assert!(Python::answers(&message.node));
    if let Operation::Broadcast { payload, .. } = &message.operation {
        assert!(payload.event_name().is_some());
        assert!(payload.to_values().is_ok());
    }
    if let Some(request) = message.operation.request() {
        let answer = codec.encode_response(&ClusterResponse {
            node: None,
            namespace: message.namespace.clone(),
            request: request.clone(),
            body: ResponseBody::Ack {
                socket: None,
                payload: Payload::empty(),
            },
        });
        assert!(answer.is_ok_and(|answer| answer.messages.len() == 1));
    }
    assert!(codec.encode(&message).is_ok());
}

/// What is read is read again from its own encoding, and that is not much longer: a message takes
/// memory in proportion to its bytes.
///
/// # Panics
/// If that does not hold.
pub fn cluster_native(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let again = match native::decode(&bytes) {
        Ok(Decoded::Message(message)) => native::encode_message(&message),
        Ok(Decoded::Response(response)) => native::encode_response(&response),
        Ok(Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip) | Err(_) => return,
    };
    // Numbers and lengths are written in their shortest form; what grows is text that was no
    // UTF-8, dates and unknown extensions inside of handshakes.
    assert!(again.len() <= 32 * data.len());
    let decoded = native::decode(&again);
    let twice = match decoded {
        Ok(Decoded::Message(message)) => native::encode_message(&message),
        Ok(Decoded::Response(response)) => native::encode_response(&response),
        other => panic!("not read again: {other:?}"),
    };
    // Compared as bytes, since a NaN is not equal to itself.
    assert_eq!(twice, again);
}

/// What is read from a message of Node.js is not much larger than it, and is read again from its
/// own encoding, as far as that goes.
///
/// # Panics
/// If that does not hold.
pub fn node_wire(data: &[u8]) {
    const CHANNELS: [&str; 5] = [
        "io#/#",
        "io#/#r#",
        "io-request#/#",
        "io-response#/#",
        "io#/#1#",
    ];
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let (me, other) = (NodeId::from("1"), NodeId::from("2"));
    let classic = |me: &NodeId| Classic::new("io", me.clone());
    let sharded = |me: &NodeId| Sharded::new("io", ShardedMode::Dynamic, me.clone());
    let channel = CHANNELS[usize::from(mode >> 1) % CHANNELS.len()];
    let decode = |channel: &str, bytes: &Bytes| {
        if mode & 1 == 0 {
            classic(&me).decode(channel, bytes, |_, _| true)
        } else {
            sharded(&me).decode(channel, bytes, |_, _| true)
        }
    };
    let encode = |decoded: &Decoded| match decoded {
        Decoded::Message(message) if mode & 1 == 0 => classic(&other).encode(message, false),
        Decoded::Message(message) => sharded(&other).encode(message, false),
        Decoded::Response(response) if mode & 1 == 0 => {
            classic(&other).encode_response(&me, response)
        }
        Decoded::Response(response) => sharded(&other).encode_response(&me, response),
        Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip => Ok(None),
    };
    let Ok(decoded) = decode(channel, &Bytes::copy_from_slice(data)) else {
        return;
    };
    if let Decoded::Message(message) = &decoded {
        let payload = match &message.operation {
            Operation::Broadcast { payload, .. } | Operation::ServerSideEmit { payload, .. } => {
                assert!(payload.event_name().is_some());
                payload
            }
            _ => &Payload::empty(),
        };
        assert!(payload.to_values().is_ok());
        assert!(payload.len() <= 24 * data.len() + 2);
    }
    let Ok(Some(mut wire)) = encode(&decoded) else {
        return;
    };
    // Names may be written as `\u0000` again, sets and names of nodes are filled in.
    assert!(wire.payload.len() <= 32 * data.len() + 256);
    // What has no place in one of the forms is lost at once, and nothing more with time.
    let mut stable = false;
    for _ in 0..2 {
        let again = decode(&wire.channel, &wire.payload).expect("readable");
        let again = encode(&again).expect("encodable").expect("representable");
        stable = again == wire;
        wire = again;
    }
    assert!(stable);
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use proptest::{prelude::*, sample::select, test_runner::FileFailurePersistence};

    /// Bytes that mean something to one of the decoders, mixed with any bytes.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"4",
            b"2probe",
            b"\x1e",
            b"b4AQID",
            b"12:",
            b"\x00\x06\xff",
            b"\x81\x80\0\0\0\0",
            b"\x01\x82\0\0\0\0",
            b"\x80\x01",
            b"\x89\x80\x01\x02\x03\x04",
            b"d=",
            b"%5Cn",
            b"2[\"a\",1]",
            b"51-[\"a\",{\"_placeholder\":true,\"num\":0}]\xff",
            b"/admin,",
            b"\xff",
            b"\x84\xa4type",
            b"\x92\xa1a\xc4\x02",
            b"[[[[[[[[",
            b"\x91\x91\x91\x91",
            b"\xc7\x08\xff",
            b"{\"method\":\"emit\",\"event\":\"e\",\"namespace\":\"/\"",
            b",\"host_id\":\"h\",\"callback\":[1,2,3]",
            b",\"binary\":true",
            b",\"data\":",
            b",\"room\":",
            b"\"AQ==\"",
            b"[1,",
            b"NaN",
            b"]",
            b"}",
            b"\x95\x01\x02\xa1n\xa1/\x07",
            b"\x9c\x01\x04\xa1n\xa1/\xc0\x02\x90\x90\xc0\xc0\xa5[\"e\"]\x90",
            b"\x96\x01\x23\xc0\xa1/\xa1r\x91\x94\xa1s",
            b"\x93\xa1u\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e",
            b"\x82\xa5rooms\x91\xa1r\xa5flags\x80",
            b"{\"type\":2,\"opts\":{\"rooms\":[1]}",
            b"{\"type\":9,\"nsp\":\"/\",\"data\":{\"packet\":[\"e\",",
            b"{\"type\":12,\"nsp\":\"/\",\"data\":{\"requestId\":\"q\"",
            b"{\"requestId\":\"q\",\"sockets\":[{\"id\":\"s\"",
            b",\"requestId\":\"q\"",
            b",\"packet\":",
            b"\"\\ud800\"",
            b",\"traceparent\":",
            b"\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
            b",\"tracestate\":\"a=b\"",
            b"\x96\x01\x02\xa1n\xa1/\xc0\x92\xd9\x3700-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"\xa3a=b",
            b"\xc0",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"ff-",
            b"\nk=v,",
            b"1e999,",
        ];
        let piece = prop_oneof![
            2 => select(pieces).prop_map(<[u8]>::to_vec),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_target_fails(mode in any::<[u8; 2]>(), data in input(), noise in proptest::collection::vec(any::<u8>(), 0..120)) {
            for &(_, target) in TARGETS {
                target(&data);
                target(&[&mode[..1], &data].concat());
                target(&[&mode[..], &data].concat());
                target(&noise);
            }
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        for opening in [&b"["[..], b"{\"a\":", b"\x91", b"\x81\xa1a"] {
            for prefix in [
                &b""[..],
                b"\x002[\"a\",",
                b"\x02\x84\xa4type\x02\xa4data\x92\xa1a",
            ] {
                let data = [prefix, &opening.repeat(200_000)].concat();
                for &(_, target) in TARGETS {
                    target(&data);
                }
            }
        }
    }
}
