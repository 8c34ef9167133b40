use super::*;

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
    assert_eq!(
        split(&Frame::packet("3probe").0.websocket),
        [(TEXT, &b"3probe"[..])]
    );
}
