use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMIT: usize = 1_000_000;

/// Feeds `wire` in pieces of `step` bytes; the events and, if any, the error at their end.
fn decode_in_steps(
    decoder: &mut FrameDecoder,
    wire: &[u8],
    step: usize,
) -> (Vec<WsEvent>, Option<WsError>) {
    let mut events = Vec::new();
    for piece in wire.chunks(step.max(1)) {
        for event in decoder.feed(&mut piece.to_vec()) {
            match event {
                Ok(event) => events.push(event),
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

fn server(wire: &[u8]) -> (Vec<WsEvent>, Option<WsError>) {
    let whole = decode_in_steps(
        &mut FrameDecoder::new(Role::Server, LIMIT),
        wire,
        usize::MAX,
    );
    // However the bytes come, the events are the same.
    for step in 1..wire.len().min(20) {
        let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
        assert_eq!(decode_in_steps(&mut decoder, wire, step), whole);
    }
    whole
}

/// A frame of a client with all its bits free.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header(&mut out, OpCode::Text, payload.len(), true, Some(MASK));
    out[0] = first;
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], MASK, 0);
    out
}

fn text(text: &str) -> WsEvent {
    WsEvent::Text(text.into())
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 6455, section 5.7.
    let (events, error) = server(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!((events, error), (vec![text("Hello")], None));
    for (wire, event) in [
        (&b"\x81\x05Hello"[..], text("Hello")),
        (b"\x01\x03Hel\x80\x02lo", text("Hello")),
        (
            b"\x89\x05Hello",
            WsEvent::Ping(Bytes::from_static(b"Hello")),
        ),
    ] {
        for step in 1..=wire.len() {
            let mut decoder = FrameDecoder::new(Role::Client, LIMIT);
            let events = decode_in_steps(&mut decoder, wire, step);
            assert_eq!(events, (vec![event.clone()], None));
        }
    }
    let mut out = Vec::new();
    encode_header(&mut out, OpCode::Binary, 256, true, None);
    assert_eq!(out, b"\x82\x7e\x01\x00");
    out.clear();
    encode_header(&mut out, OpCode::Binary, 65536, true, None);
    assert_eq!(out, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
}

#[test]
fn lengths_at_their_limits_round_trip() {
    for len in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
        let payload = vec![7; len];
        let wire = frame(OpCode::Binary, &payload, Some(MASK));
        for step in [1000, wire.len() - 1, wire.len()] {
            let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
            let (events, error) = decode_in_steps(&mut decoder, &wire, step);
            assert_eq!(events, [WsEvent::Binary(payload.clone().into())]);
            assert_eq!(error, None);
        }
    }
}

#[test]
fn controls_may_come_amid_a_message() {
    let wire = [
        raw(0x01, b"a"),
        raw(0x89, b"p"),
        raw(0x00, b""),
        raw(0x8a, b""),
        raw(0x00, "é".as_bytes()),
        raw(0x80, b"z"),
        raw(0x82, b"next"),
    ]
    .concat();
    let events = vec![
        WsEvent::Ping("p".into()),
        WsEvent::Pong(Bytes::new()),
        text("aéz"),
        WsEvent::Binary("next".into()),
    ];
    assert_eq!(server(&wire), (events, None));
}

#[test]
fn characters_may_be_cut_by_fragments() {
    let wire = [raw(0x01, b"\xe2"), raw(0x00, b"\x82"), raw(0x80, b"\xac")].concat();
    assert_eq!(server(&wire), (vec![text("€")], None));
}

#[test]
fn violations() {
    let long = [0; 126];
    for (wire, error) in [
        (raw(0xc1, b"a"), WsError::ReservedBit),
        (raw(0xa1, b"a"), WsError::ReservedBit),
        (raw(0x91, b"a"), WsError::ReservedBit),
        (raw(0x83, b"a"), WsError::BadOpCode(3)),
        (raw(0x87, b""), WsError::BadOpCode(7)),
        (raw(0x8b, b""), WsError::BadOpCode(11)),
        (raw(0x8f, b""), WsError::BadOpCode(15)),
        (raw(0x09, b"a"), WsError::BadControl),
        (raw(0x08, b""), WsError::BadControl),
        (raw(0x89, &long), WsError::BadControl),
        (raw(0x80, b"a"), WsError::BadContinuation),
        (raw(0x00, b"a"), WsError::BadContinuation),
        (
            [raw(0x01, b"a"), raw(0x81, b"b")].concat(),
            WsError::BadContinuation,
        ),
        (
            [raw(0x02, b""), raw(0x02, b"")].concat(),
            WsError::BadContinuation,
        ),
        (b"\x81\x01a".to_vec(), WsError::BadMask),
        (raw(0x81, b"\xff"), WsError::InvalidUtf8),
        (raw(0x81, b"\xed\xa0\x80"), WsError::InvalidUtf8),
        (raw(0x81, b"\xe2\x82"), WsError::InvalidUtf8),
        (
            [raw(0x01, b"\xe2"), raw(0x80, b"\x82")].concat(),
            WsError::InvalidUtf8,
        ),
        (raw(0x88, b"\x03"), WsError::BadClose),
        (raw(0x88, b"\x03\xe8\xff"), WsError::InvalidUtf8),
        (b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec(), WsError::BadLength),
        (
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            WsError::TooBig,
        ),
    ] {
        assert_eq!(server(&wire), (vec![], Some(error)), "{wire:02x?}");
        let code = match error {
            WsError::InvalidUtf8 => 1007,
            WsError::TooBig => 1009,
            _ => 1002,
        };
        assert_eq!(error.close_code(), code);
    }
    let masked = frame(OpCode::Text, b"a", Some(MASK));
    let mut client = FrameDecoder::new(Role::Client, LIMIT);
    let (events, error) = decode_in_steps(&mut client, &masked, 100);
    assert_eq!((events, error), (vec![], Some(WsError::BadMask)));
}

#[test]
fn close_codes() {
    for code in [1000u16, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
        let wire = close_frame(Some(code), "why", Some(MASK));
        let event = WsEvent::Close(Some((code, "why".into())));
        assert_eq!(server(&wire), (vec![event], None));
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let wire = close_frame(Some(code), "", Some(MASK));
        assert_eq!(server(&wire), (vec![], Some(WsError::BadClose)), "{code}");
    }
    let empty = close_frame(None, "is not sent", Some(MASK));
    assert_eq!(server(&empty), (vec![WsEvent::Close(None)], None));
    assert_eq!(&close_frame(None, "", None)[..], b"\x88\x00");
    assert_eq!(&close_frame(Some(1009), "", None)[..], b"\x88\x02\x03\xf1");
    // Cut to what a control frame holds, between characters.
    let cut = close_frame(Some(1000), &"é".repeat(100), None);
    assert_eq!(cut.len(), 2 + 2 + 122);
    assert!(std::str::from_utf8(&cut[4..]).is_ok());
}

#[test]
fn nothing_is_read_after_a_close_or_an_error() {
    let wire = [raw(0x88, b""), raw(0x81, b"late")].concat();
    assert_eq!(server(&wire), (vec![WsEvent::Close(None)], None));
    let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
    let (_, error) = decode_in_steps(&mut decoder, &raw(0x81, b"\xff"), 100);
    assert_eq!(error, Some(WsError::InvalidUtf8));
    let late = decode_in_steps(&mut decoder, &raw(0x81, b"late"), 100);
    assert_eq!(late, (vec![], None));
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn the_limit_holds_for_the_message_and_before_its_bytes() {
    let fits = frame(OpCode::Binary, &[0; 100], Some(MASK));
    let mut decoder = FrameDecoder::new(Role::Server, 100);
    assert_eq!(decode_in_steps(&mut decoder, &fits, 9).1, None);

    let mut header = Vec::new();
    encode_header(&mut header, OpCode::Binary, 101, true, Some(MASK));
    let mut decoder = FrameDecoder::new(Role::Server, 100);
    let refused = decode_in_steps(&mut decoder, &header[..2], 9);
    assert_eq!(refused, (vec![], Some(WsError::TooBig)));

    // Fragments count together.
    let mut decoder = FrameDecoder::new(Role::Server, 100);
    let wire = [raw(0x02, &[0; 60]), raw(0x80, &[0; 41])].concat();
    let refused = decode_in_steps(&mut decoder, &wire, 9);
    assert_eq!(refused, (vec![], Some(WsError::TooBig)));

    // Controls do not count.
    let mut decoder = FrameDecoder::new(Role::Server, 0);
    let (events, error) = decode_in_steps(&mut decoder, &raw(0x89, b"ping"), 9);
    assert_eq!((events.len(), error), (1, None));
}

#[test]
fn an_idle_decoder_holds_no_memory() {
    assert!(
        size_of::<FrameDecoder>() <= 136,
        "{}",
        size_of::<FrameDecoder>()
    );
    let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
    for step in [1, 7, 5000, usize::MAX] {
        let wire = [
            raw(0x02, &[1; 3000]),
            raw(0x89, &[2; 100]),
            raw(0x80, &[3; 3000]),
            raw(0x81, &[b'a'; 3000]),
        ]
        .concat();
        let (events, error) = decode_in_steps(&mut decoder, &wire, step);
        assert_eq!((events.len(), error), (3, None));
        assert!(decoder.is_idle());
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn a_header_that_comes_alone_leaves_no_memory_behind() {
    for opcode in [OpCode::Text, OpCode::Binary, OpCode::Ping] {
        let wire = frame(opcode, b"payload", Some(MASK));
        let (header, payload) = wire.split_at(6);
        let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
        assert_eq!(decode_in_steps(&mut decoder, header, 6), (vec![], None));
        assert_eq!(decode_in_steps(&mut decoder, payload, 7).0.len(), 1);
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn a_mere_announcement_gets_little_memory() {
    let mut decoder = FrameDecoder::new(Role::Server, 1 << 30);
    let mut header = Vec::new();
    encode_header(&mut header, OpCode::Binary, 1 << 30, true, Some(MASK));
    assert_eq!(decode_in_steps(&mut decoder, &header, 100).1, None);
    assert!(!decoder.is_idle());
    assert_eq!(decoder.buffered(), 0);
    decode_in_steps(&mut decoder, &[0; 1000], 10);
    assert!(decoder.buffered() <= 64 * 1024 + 1000);
}

#[test]
fn memory_follows_what_came() {
    let payload = vec![9; 700_000];
    let wire = frame(OpCode::Binary, &payload, Some(MASK));
    let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
    let (start, end) = wire.split_at(wire.len() - 1);
    let mut read = 0;
    for piece in start.chunks(1500) {
        assert_eq!(decode_in_steps(&mut decoder, piece, 1500), (vec![], None));
        read += piece.len();
        assert!(decoder.buffered() <= 2 * read + 64 * 1024);
    }
    // Near the end it is what the message needs, so that nothing is copied to trim it.
    assert_eq!(decoder.buffered(), payload.len());
    let (events, _) = decode_in_steps(&mut decoder, end, 1);
    assert_eq!(events, [WsEvent::Binary(payload.into())]);
}

/// CVE-2026-48779: each fragment kept a buffer alive, and joining them was quadratic.
#[test]
fn tiny_fragments_cost_what_their_bytes_cost() {
    let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
    let mut wire = raw(0x02, b"");
    for _ in 0..500_000 {
        wire.extend_from_slice(b"\x00\x81\0\0\0\0a");
    }
    let started = std::time::Instant::now();
    let (mut growths, mut buffered) = (0, 0);
    for piece in wire.chunks(70) {
        assert_eq!(decode_in_steps(&mut decoder, piece, 70), (vec![], None));
        growths += u32::from(decoder.buffered() != buffered);
        buffered = decoder.buffered();
    }
    assert!(growths < 25, "memory is to grow by doubling");
    assert!(decoder.buffered() <= 2 * 500_000);
    let (events, _) = decode_in_steps(&mut decoder, &raw(0x80, b""), 100);
    assert_eq!(events, [WsEvent::Binary(vec![b'a'; 500_000].into())]);
    // A copy of the message for each fragment would be 125 GB.
    assert!(started.elapsed().as_secs() < 20);
}

/// A message may be kept for long; what was spare while it came is not kept with it.
#[test]
fn a_message_has_memory_of_its_size() {
    let half = vec![5; 40_000];
    let fragments = [raw(0x02, &half), raw(0x00, &half[..30_000]), raw(0x80, b"")].concat();
    for wire in [fragments, raw(0x82, &half)] {
        for step in [1000, wire.len()] {
            let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
            let (mut events, _) = decode_in_steps(&mut decoder, &wire, step);
            let Some(WsEvent::Binary(message)) = events.pop() else {
                panic!("no message");
            };
            let len = message.len();
            let memory = message.try_into_mut().expect("the only owner");
            assert_eq!(memory.capacity(), len);
        }
    }
}

#[test]
fn the_rest_of_an_input_can_be_kept_for_later() {
    let wire = [raw(0x81, b"one"), raw(0x81, b"two")].concat();
    let mut input = wire.clone();
    let mut decoder = FrameDecoder::new(Role::Server, LIMIT);
    let mut events = decoder.feed(&mut input);
    assert_eq!(events.next(), Some(Ok(text("one"))));
    let rest = events.into_rest().to_vec();
    assert_eq!(rest, wire[wire.len() / 2..]);
    let (events, _) = decode_in_steps(&mut decoder, &rest, 100);
    assert_eq!(events, [text("two")]);
}

fn any_event() -> impl Strategy<Value = (OpCode, Vec<u8>)> {
    prop_oneof![
        ".{0,40}".prop_map(|text| (OpCode::Text, text.into_bytes())),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(|data| (OpCode::Binary, data)),
        proptest::collection::vec(any::<u8>(), 0..126).prop_map(|data| (OpCode::Ping, data)),
        proptest::collection::vec(any::<u8>(), 0..126).prop_map(|data| (OpCode::Pong, data)),
    ]
}

fn event_of(opcode: OpCode, data: Vec<u8>) -> WsEvent {
    match opcode {
        OpCode::Text => WsEvent::Text(data.try_into().expect("UTF-8")),
        OpCode::Ping => WsEvent::Ping(data.into()),
        OpCode::Pong => WsEvent::Pong(data.into()),
        _ => WsEvent::Binary(data.into()),
    }
}

proptest! {
    #[test]
    fn masking_is_bytewise(
        mut data in proptest::collection::vec(any::<u8>(), 0..70),
        mask in any::<[u8; 4]>(),
        offset in 0usize..9,
    ) {
        let expected: Vec<u8> =
            data.iter().enumerate().map(|(i, byte)| byte ^ mask[(i + offset) % 4]).collect();
        apply_mask(&mut data, mask, offset);
        prop_assert_eq!(data, expected);
    }

    #[test]
    fn round_trip_in_any_fragments_and_pieces(
        messages in proptest::collection::vec(any_event(), 0..6),
        fragment in 1usize..200,
        step in 1usize..300,
        from_client in any::<bool>(),
    ) {
        let mask = from_client.then_some(MASK);
        let mut wire = Vec::new();
        for (opcode, data) in &messages {
            if opcode.is_control() || data.is_empty() {
                wire.extend_from_slice(&frame(*opcode, data, mask));
                continue;
            }
            let last = data.chunks(fragment).count() - 1;
            for (index, piece) in data.chunks(fragment).enumerate() {
                let opcode = if index == 0 { *opcode } else { OpCode::Continuation };
                encode_header(&mut wire, opcode, piece.len(), index == last, mask);
                let start = wire.len();
                wire.extend_from_slice(piece);
                if let Some(mask) = mask {
                    apply_mask(&mut wire[start..], mask, 0);
                }
            }
        }
        let role = if from_client { Role::Server } else { Role::Client };
        let mut decoder = FrameDecoder::new(role, LIMIT);
        let (events, error) = decode_in_steps(&mut decoder, &wire, step);
        prop_assert_eq!(error, None);
        let expected: Vec<_> =
            messages.into_iter().map(|(opcode, data)| event_of(opcode, data)).collect();
        prop_assert_eq!(events, expected);
        prop_assert!(decoder.is_idle());
    }
}
