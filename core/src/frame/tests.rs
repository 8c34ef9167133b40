use super::*;

const TEXT: u8 = OpCode::Text as u8;
const BINARY: u8 = OpCode::Binary as u8;

/// Splits WebSocket frames by the rules of RFC 6455, §5.2: opcode and payload of each.
fn split(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(first & 0xf0, 0x80, "one final frame without extensions");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (len, rest) = match second {
            126 => {
                let (len, rest) = rest.split_first_chunk::<2>().unwrap();
                (u16::from_be_bytes(*len) as usize, rest)
            }
            127 => {
                let (len, rest) = rest.split_first_chunk::<8>().unwrap();
                (u64::from_be_bytes(*len) as usize, rest)
            }
            len => (*len as usize, rest),
        };
        let (payload, rest) = rest.split_at(len);
        frames.push((first & 0x0f, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

#[test]
fn lengths_are_written_in_the_shortest_form() {
    for (len, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let bytes = vec![7; len];
        let frame = Frame::binary_message(bytes.clone().into(), FrameOptions::default());
        assert_eq!(frame.len(), header + len);
        assert_eq!(
            split(frame.websocket(Revision::V4)),
            [(BINARY, bytes.as_slice())]
        );
    }
}

#[test]
fn attachments_follow_their_text() {
    let attachments = [Bytes::from_static(b"\x01\x02\x03\x04"), Bytes::new()];
    let frame = Frame::message("52-[…]", &attachments, FrameOptions::default());
    let text = (TEXT, "452-[…]".as_bytes());
    assert_eq!(frame.packets(), 3);
    assert_eq!(
        split(frame.websocket(Revision::V4)),
        [text, (BINARY, b"\x01\x02\x03\x04"), (BINARY, b"")]
    );
    // Revision 3 puts the packet type in front of binary messages.
    assert_eq!(
        split(frame.websocket(Revision::V3)),
        [text, (BINARY, b"\x04\x01\x02\x03\x04"), (BINARY, b"\x04")]
    );
    assert_eq!(
        split(&frame.websocket_b64(Revision::V4)),
        [text, (TEXT, b"bAQIDBA=="), (TEXT, b"b")]
    );
    assert_eq!(
        split(&frame.websocket_b64(Revision::V3)),
        [text, (TEXT, b"b4AQIDBA=="), (TEXT, b"b4")]
    );
}

#[test]
fn text_is_shared_by_both_revisions() {
    let frame = Frame::message("2[\"a\"]", &[], FrameOptions { compress: false });
    let (v4, v3) = (frame.websocket(Revision::V4), frame.websocket(Revision::V3));
    assert_eq!(v4.as_ptr(), v3.as_ptr());
    assert_eq!(frame.text(), Some("42[\"a\"]"));
    assert!(!frame.compress());
}

#[test]
fn control_packets_are_text() {
    let text = |control| {
        let frame = Frame::control(&control);
        assert_eq!((frame.packets(), split(&frame.0.websocket).len()), (1, 1));
        (frame.text().unwrap().to_owned(), frame.compress())
    };
    assert_eq!(text(Control::Ping), ("2".to_owned(), false));
    assert_eq!(text(Control::PongProbe), ("3probe".to_owned(), false));
    assert_eq!(text(Control::Open("0{}".into())), ("0{}".to_owned(), true));
    assert!(Arc::ptr_eq(
        &Frame::control(&Control::Ping).0,
        &Frame::control(&Control::Ping).0
    ));
}

#[test]
fn polling_recipients_get_what_their_revision_wants() {
    let attachments = [Bytes::from_static(b"\x01\x02\x03\x04")];
    let frame = Frame::message("51-[…]", &attachments, FrameOptions::default());
    let body = |revision, supports_binary| {
        let mut payload = PayloadEncoder::new(revision, supports_binary);
        frame.write_payload(&mut payload);
        payload.finish()
    };
    for supports_binary in [false, true] {
        let v4 = body(Revision::V4, supports_binary);
        assert_eq!(
            (&v4.body[..], v4.binary),
            ("451-[…]\x1ebAQIDBA==".as_bytes(), false)
        );
    }
    let text = body(Revision::V3, false);
    assert_eq!(
        (&text.body[..], text.binary),
        ("7:451-[…]10:b4AQIDBA==".as_bytes(), false)
    );
    let binary = body(Revision::V3, true);
    let expected = [
        b"\0\x09\xff".as_slice(),
        "451-[…]".as_bytes(),
        b"\x01\x05\xff\x04\x01\x02\x03\x04",
    ];
    assert_eq!(
        (&binary.body[..], binary.binary),
        (&expected.concat()[..], true)
    );
}
