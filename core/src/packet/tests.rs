use bytes::Bytes;

use crate::frame::FrameOptions;
use crate::payload::Payload;
use crate::provisional::{AckId, Revision};

use super::*;

fn decoder(parser: ParserKind) -> PacketDecoder {
    PacketDecoder::new(parser, Revision::V4, DecodeLimits::default())
}

#[test]
fn event_with_attachments_goes_through_both_parsers() {
    let data = ("é", Bytes::from_static(b"\x00\xff"), vec![1, 2]);
    let payload = Payload::event("bin", &data).unwrap();
    for parser in [ParserKind::Json, ParserKind::MessagePack] {
        let ack = Some(AckId(12));
        let frame = parser.encode_event("/adm", ack, &payload, FrameOptions::default());
        let mut decoder = decoder(parser);
        let mut packet = None;
        if let Some(text) = frame.text() {
            assert_eq!(
                text,
                r#"451-/adm,12["bin","é",{"_placeholder":true,"num":0},[1,2]]"#
            );
            packet = decoder.handle_text(text[1..].into()).unwrap();
        }
        for attachment in frame.attachments() {
            assert_eq!(packet, None);
            let bytes = Bytes::copy_from_slice(attachment);
            packet = decoder.handle_binary(bytes).unwrap();
        }
        let nsp = "/adm".into();
        let payload = payload.clone();
        assert_eq!(packet, Some(Packet::Event { nsp, ack, payload }));
    }
}
