//! Socket.IO: packets and what they carry.

use bytes::Bytes;
use bytestring::ByteString;

use super::revision;
use crate::msgpack;
use crate::packet::{self, DecodeLimits, PacketDecoder, ParserKind};

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
