//! Engine.IO: packets, payloads, sessions; and WebSocket.

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;

use super::revision;
use crate::engine::{
    CloseReason, Message, Output, Packet, PacketKind, PayloadDecoder, PayloadEncoder, Revision,
    Session, SessionConfig, TransportKind, jsonp,
};
use crate::websocket::{FrameDecoder, Role, WsError, WsEvent};

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
