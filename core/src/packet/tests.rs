use bytes::Bytes;
use proptest::prelude::*;

use crate::engine::Revision;
use crate::frame::{Frame, FrameOptions};
use crate::value;

use super::*;

const OPTIONS: FrameOptions = FrameOptions { compress: true };

fn decoder(parser: ParserKind, revision: Revision) -> PacketDecoder {
    PacketDecoder::new(parser, revision, DecodeLimits::default())
}

/// Takes a frame as its recipient does.
fn decode(decoder: &mut PacketDecoder, frame: &Frame) -> Result<Option<Packet>, DecodeError> {
    let mut packet = None;
    if let Some(text) = frame.text() {
        packet = decoder.handle_text(text[1..].into())?;
    }
    for attachment in frame.attachments() {
        assert_eq!(packet, None, "complete before its last attachment");
        packet = decoder.handle_binary(Bytes::copy_from_slice(attachment))?;
    }
    Ok(packet)
}

fn text(text: &str) -> Result<Option<Packet>, DecodeError> {
    decoder(ParserKind::Json, Revision::V4).handle_text(text.into())
}

fn packet() -> impl Strategy<Value = Packet> {
    let nsp = prop_oneof![Just(MAIN), "/[^,]{0,9}".prop_map(ByteString::from)];
    let object = prop::collection::vec((any::<String>(), any::<Option<i32>>()), 0..4);
    let object = object.prop_map(|members| {
        let members = members
            .into_iter()
            .map(|(name, number)| (name, number.into()));
        ByteString::from(members.collect::<value::Value>().to_string())
    });
    let name =
        any::<String>().prop_filter("reserved", |name| !RESERVED_EVENTS.contains(&name.as_str()));
    let values = prop::collection::vec(value::arbitrary(), 0..4);
    let ack = any::<u64>().prop_map(AckId);
    let event = (name, values.clone()).prop_map(|(name, mut values)| {
        values.insert(0, name.into());
        Payload::from_values(&values)
    });
    let args = values.prop_map(|values| Payload::from_values(&values));
    prop_oneof![
        (nsp.clone(), prop::option::of(object.clone()))
            .prop_map(|(nsp, auth)| Packet::Connect { nsp, auth }),
        nsp.clone().prop_map(|nsp| Packet::Disconnect { nsp }),
        (nsp.clone(), prop::option::of(ack.clone()), event)
            .prop_map(|(nsp, ack, payload)| Packet::Event { nsp, ack, payload }),
        (nsp.clone(), ack, args).prop_map(|(nsp, id, payload)| Packet::Ack { nsp, id, payload }),
        (nsp, object).prop_map(|(nsp, data)| Packet::ConnectError { nsp, data }),
    ]
}

/// Bytes near enough to MessagePack packets to get past the first checks.
fn message_pack_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"\x83"[..],
        b"\x84",
        b"\xa4type",
        b"\x02",
        b"\xa4data",
        b"\x92",
        b"\xa1e",
        b"\xa3nsp",
        b"\xa1/",
        b"\xa2id",
        b"\xc4\x01x",
        b"\xd4\x00\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\xcb",
        b"\xc6\x7f\xff\xff\xff",
        b"\x81",
        b"\xd7\x00\x00\x00\x01",
        b"\xc7\x02\x05ab",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

/// Text near enough to packets to get past the first checks.
fn packet_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "2",
        "5",
        "51-",
        "6",
        "0",
        "1-",
        "-",
        "/a,",
        "/",
        ",",
        "12",
        "[\"e\"",
        "]",
        "{",
        "}",
        ",",
        "{\"_placeholder\":true,\"num\":0}",
        "\"_placeholder\":true",
        "\"num\":",
        "0",
        "[",
        "é",
    ]);
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn packets_survive_both_parsers(packet in packet()) {
        for parser in [ParserKind::Json, ParserKind::MessagePack] {
            let frame = parser.encode(&packet);
            let mut decoder = decoder(parser, Revision::V4);
            prop_assert_eq!(decode(&mut decoder, &frame), Ok(Some(packet.clone())));
        }
    }

    #[test]
    fn arbitrary_messages_do_no_harm(
        messages in prop::collection::vec(
            prop_oneof![
                prop_oneof![packet_like(), any::<String>()].prop_map(Ok),
                prop_oneof![message_pack_like(), any::<Vec<u8>>()].prop_map(Err),
            ],
            0..6,
        )
    ) {
        for parser in [ParserKind::Json, ParserKind::MessagePack] {
            for revision in [Revision::V3, Revision::V4] {
                let mut decoder = decoder(parser, revision);
                for message in messages.clone() {
                    let size = match &message {
                        Ok(text) => text.len(),
                        Err(bytes) => bytes.len(),
                    };
                    let packet = match message {
                        Ok(text) => decoder.handle_text(text.into()),
                        Err(bytes) => decoder.handle_binary(bytes.into()),
                    };
                    if let Ok(Some(Packet::Event { payload, .. } | Packet::Ack { payload, .. })) = packet {
                        // In the default parser text is only sliced; see `to_json` for the other.
                        let bound = if parser == ParserKind::Json { size.max(2) } else { 20 * size };
                        prop_assert!(payload.json().len() <= bound || payload.len() > size);
                        prop_assert!(payload.to_values().is_ok());
                    }
                }
            }
        }
    }

    #[test]
    fn message_pack_grows_only_so_far(bytes in prop_oneof![message_pack_like(), any::<Vec<u8>>()]) {
        let size = bytes.len();
        if let Ok((payload, _)) = crate::msgpack::decode_payload(&bytes.into()) {
            prop_assert!(payload.json().len() <= 20 * size);
            prop_assert!(payload.attachments().iter().map(Bytes::len).sum::<usize>() <= size);
        }
    }
}

#[test]
fn malformed_text_is_refused() {
    use DecodeError::*;
    let syntax = |at| Err(Json(JsonError::Syntax(at)));
    let cases = [
        ("", Err(UnknownType)),
        ("7", Err(UnknownType)),
        ("é", Err(UnknownType)),
        ("abcdef", Err(UnknownType)),
        // connect, disconnect, connect_error
        ("0[]", Err(Payload)),
        ("0null", Err(Payload)),
        ("0\"a\"", Err(Payload)),
        ("0{\"a\":1", syntax(6)),
        ("0{}x", syntax(2)),
        ("1{}", Err(Payload)),
        (
            "1/admin,1",
            Ok(Some(Packet::Disconnect {
                nsp: "/admin".into(),
            })),
        ),
        ("1/admin,[]", Err(Payload)),
        (
            "41",
            Ok(Some(Packet::ConnectError {
                nsp: MAIN,
                data: "null".into(),
            })),
        ),
        ("4[]", Err(Payload)),
        // events
        ("2{}", Err(Payload)),
        ("2[]", Err(Payload)),
        ("2[null]", Err(Payload)),
        ("2[{\"toString\":\"foo\"}]", Err(Payload)),
        ("2[[\"e\"]]", Err(Payload)),
        ("2\"e\"", Err(Payload)),
        ("2abc[\"e\"]", syntax(0)),
        ("2[\"e\"", syntax(4)),
        ("2[\"e\"]]", syntax(5)),
        ("2[\"\u{1}\"]", syntax(2)),
        ("299999999999999999999[\"e\"]", Err(AckId)),
        ("2[\"connect\"]", Err(ReservedEvent)),
        ("2[\"connect_error\",1]", Err(ReservedEvent)),
        ("2[\"disconnect\"]", Err(ReservedEvent)),
        ("2[\"disconnecting\"]", Err(ReservedEvent)),
        ("2[\"newListener\"]", Err(ReservedEvent)),
        ("2[\"removeListener\"]", Err(ReservedEvent)),
        ("2[\"disc\\u006fnnect\"]", Err(ReservedEvent)),
        // acknowledgements
        ("31{}", Err(Payload)),
        ("3[1]", Ok(None)),
        // binary
        ("5", Err(Attachments)),
        ("5-", Err(Attachments)),
        ("50-[\"e\"]", Err(Attachments)),
        ("5[\"e\"]", Err(Attachments)),
        ("5+1-[\"e\"]", Err(Attachments)),
        ("51.5-[\"e\"]", Err(Attachments)),
        ("5 1-[\"e\"]", Err(Attachments)),
        ("51[\"e\",\"-\"]", Err(Attachments)),
        ("5-1-[\"e\"]", Err(Attachments)),
        ("51-", Err(Payload)),
        ("51001-[\"e\"]", Err(TooManyAttachments)),
        ("599999999999-[\"e\"]", Err(TooManyAttachments)),
        (
            "51-[\"connect\",{\"_placeholder\":true,\"num\":0}]",
            Err(ReservedEvent),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(text(message), expected, "{message:?}");
    }
}

#[test]
fn placeholders_name_each_attachment_once() {
    let check = |placeholders: &str| {
        let header = format!("52-[\"e\",{placeholders}]");
        decoder(ParserKind::Json, Revision::V4).handle_text(header.into())
    };
    let good = [
        r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#,
        r#"{"num":1,"_placeholder":true},{"a":[{"_placeholder":true,"num":0}]}"#,
        // Some client may leave one out; that is its own affair, as it is for Node.
        r#"{"_placeholder":true,"num":1}"#,
        // These are plain objects.
        r#"{"_placeholder":false,"num":7},{"_placeholder":1,"num":7},{"num":-1}"#,
        r#"{"_placeholder":true,"num":[0],"_placeholder":false}"#,
        r#"[true,{"_placeholder":[true],"num":9}]"#,
    ];
    for placeholders in good {
        assert_eq!(check(placeholders), Ok(None), "{placeholders}");
    }
    let bad = [
        r#"{"_placeholder":true,"num":2}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":1e0}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":"__proto__"}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true,"num":[0]}"#,
        r#"{"_placeholder":true,"num":99999999999999999999}"#,
        r#"{"_placeholder":true}"#,
        r#"{"_\u0070laceholder":true,"num":5}"#,
        r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}"#,
    ];
    for placeholders in bad {
        assert_eq!(
            check(placeholders),
            Err(DecodeError::Placeholder),
            "{placeholders}"
        );
    }
}

#[test]
fn attachments_come_right_behind_their_header() {
    const HEADER: &str = r#"51-["e",{"_placeholder":true,"num":0}]"#;
    let mut decoder = decoder(ParserKind::Json, Revision::V4);
    let bytes = Bytes::from_static(b"x");
    assert_eq!(
        decoder.handle_binary(bytes.clone()),
        Err(DecodeError::UnexpectedBinary)
    );
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    assert!(decoder.is_pending());
    assert_eq!(
        decoder.handle_text("2[\"e\"]".into()),
        Err(DecodeError::UnexpectedText)
    );
    // What was collected is gone.
    assert_eq!(
        decoder.handle_binary(bytes.clone()),
        Err(DecodeError::UnexpectedBinary)
    );
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    decoder.reset();
    assert_eq!(
        decoder.handle_binary(bytes.clone()),
        Err(DecodeError::UnexpectedBinary)
    );
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    assert!(decoder.handle_binary(bytes.clone()).unwrap().is_some());
    assert_eq!(
        decoder.handle_binary(bytes),
        Err(DecodeError::UnexpectedBinary)
    );
    // An acknowledgement without id takes its attachments along.
    let ignored = r#"61-[{"_placeholder":true,"num":0}]"#;
    assert_eq!(decoder.handle_text(ignored.into()), Ok(None));
    assert_eq!(decoder.handle_binary(Bytes::new()), Ok(None));
    assert!(!decoder.is_pending());
}

#[test]
fn packets_with_attachments_are_limited_in_bytes() {
    const HEADER: &str = r#"52-["e",{"_placeholder":true,"num":0}]"#;
    let limits = |max_attachment_bytes| DecodeLimits {
        max_attachment_bytes,
        ..DecodeLimits::default()
    };
    let new = |max| PacketDecoder::new(ParserKind::Json, Revision::V4, limits(max));
    let bytes = || Bytes::from_static(b"12345");
    assert_eq!(
        new(HEADER.len() - 1).handle_text(HEADER.into()),
        Err(DecodeError::TooLarge)
    );
    let mut decoder = new(HEADER.len() + 9);
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    assert_eq!(decoder.handle_binary(bytes()), Ok(None));
    assert_eq!(decoder.handle_binary(bytes()), Err(DecodeError::TooLarge));
    assert!(!decoder.is_pending());
    let mut decoder = new(HEADER.len() + 10);
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    assert_eq!(decoder.handle_binary(bytes()), Ok(None));
    assert!(decoder.handle_binary(bytes()).unwrap().is_some());
}

#[test]
fn attachments_that_wait_do_not_hold_the_body_they_came_in() {
    const HEADER: &str = r#"52-["e",{"_placeholder":true,"num":0}]"#;
    let mut decoder = decoder(ParserKind::Json, Revision::V3);
    assert_eq!(decoder.handle_text(HEADER.into()), Ok(None));
    let body = Bytes::from(vec![7; 1 << 20]);
    assert_eq!(decoder.handle_binary(body.slice(10..12)), Ok(None));
    assert!(body.is_unique());
    // A message of its own is not copied.
    let message = Bytes::from(vec![8; 100]);
    let address = message.as_ptr();
    let packet = decoder.handle_binary(message);
    let Ok(Some(Packet::Event { payload, .. })) = packet else {
        panic!("{packet:?}")
    };
    assert_eq!(payload.attachments()[0], [7, 7].as_slice());
    assert_eq!(payload.attachments()[1].as_ptr(), address);
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("2[\"e\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(text(&deep), Err(DecodeError::Json(JsonError::TooDeep)));
    let mut bytes = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
    bytes.extend(vec![0x91; 100_000]);
    bytes.push(0xc0);
    let packet = decoder(ParserKind::MessagePack, Revision::V4).handle_binary(bytes.into());
    assert_eq!(
        packet,
        Err(DecodeError::MessagePack(MessagePackError::TooDeep))
    );
}

#[test]
fn text_is_sliced_not_copied() {
    let message = ByteString::from(r#"2/chat,12["message","hello"]"#);
    let packet = decoder(ParserKind::Json, Revision::V4).handle_text(message.clone());
    let Ok(Some(Packet::Event { nsp, ack, payload })) = packet else {
        panic!("{packet:?}")
    };
    assert_eq!((&*nsp, ack), ("/chat", Some(AckId(12))));
    assert_eq!(payload.json(), r#"["message","hello"]"#);
    let range = message.as_bytes().as_ptr_range();
    assert!(range.contains(&payload.json().as_ptr()) && range.contains(&nsp.as_ptr()));
}

#[test]
fn revision_4_carries_credentials_in_the_namespace() {
    let connect = |text: &str, revision| {
        let packet = decoder(ParserKind::Json, revision).handle_text(text.into());
        let Ok(Some(Packet::Connect { nsp, auth })) = packet else {
            panic!("{packet:?}")
        };
        (nsp.to_string(), auth.map(|auth| auth.to_string()))
    };
    let expected = |nsp: &str, auth: &str| (nsp.to_owned(), Some(auth.to_owned()));
    assert_eq!(
        connect("0/custom?a=b&c=%C3%A9+%zz&d,", Revision::V3),
        expected("/custom", r#"{"a":"b","c":"é %zz","d":""}"#)
    );
    assert_eq!(
        connect("0/?\"=%00", Revision::V3),
        expected("/", r#"{"\"":"\u0000"}"#)
    );
    assert_eq!(
        connect("0/custom,", Revision::V3),
        ("/custom".to_owned(), None)
    );
    assert_eq!(connect("0", Revision::V3), ("/".to_owned(), None));
    // In revision 5 it is part of the name.
    assert_eq!(
        connect("0/custom?a=b,", Revision::V4),
        ("/custom?a=b".to_owned(), None)
    );
    assert_eq!(
        connect("0/a,{\"t\":1}", Revision::V4),
        expected("/a", "{\"t\":1}")
    );
    // Errors of revision 4 may be anything.
    let error = decoder(ParserKind::Json, Revision::V3).handle_text("4/a,[1]".into());
    assert!(matches!(error, Ok(Some(Packet::ConnectError { data, .. })) if data == "[1]"));
}

#[test]
fn packets_are_written_as_node_writes_them() {
    let json = ParserKind::Json;
    let event = Payload::event("ev", &(1, "a")).unwrap();
    let image = Payload::event("bin", &Bytes::from_static(b"x")).unwrap();
    let reply = Payload::args(&Bytes::from_static(b"y")).unwrap();
    let cases = [
        (
            json.encode_connect("/", "AAAB", None),
            r#"40{"sid":"AAAB"}"#,
        ),
        (
            json.encode_connect("/a", "B", Some("C")),
            r#"40/a,{"sid":"B","pid":"C"}"#,
        ),
        (json.encode_connect_eio3("/"), "40"),
        (json.encode_connect_eio3("/custom"), "40/custom,"),
        (json.encode_connect_request("/", None), "40"),
        (
            json.encode_connect_request("/a", Some(r#"{"t":1}"#)),
            r#"40/a,{"t":1}"#,
        ),
        (json.encode_disconnect("/"), "41"),
        (json.encode_disconnect("/admin"), "41/admin,"),
        (
            json.encode_connect_error("/deny", "nope", Some(r#"{"code":1}"#), Revision::V4),
            r#"44/deny,{"message":"nope","data":{"code":1}}"#,
        ),
        (
            json.encode_connect_error("/u", "Invalid \"n\"", None, Revision::V4),
            r#"44/u,{"message":"Invalid \"n\""}"#,
        ),
        (
            json.encode_connect_error("/deny", "nope", None, Revision::V3),
            r#"44/deny,"nope""#,
        ),
        (
            json.encode_connect_error("/deny", "nope", Some("[1]"), Revision::V3),
            "44/deny,[1]",
        ),
        (
            json.encode_event("/", None, &event, OPTIONS),
            r#"42["ev",1,"a"]"#,
        ),
        (
            json.encode_event("/", Some(AckId(0)), &event, OPTIONS),
            r#"420["ev",1,"a"]"#,
        ),
        (
            json.encode_event("/adm", Some(AckId(12)), &event, OPTIONS),
            r#"42/adm,12["ev",1,"a"]"#,
        ),
        (
            json.encode_event("/", None, &image, OPTIONS),
            r#"451-["bin",{"_placeholder":true,"num":0}]"#,
        ),
        (json.encode_ack("/", AckId(12), &Payload::empty()), "4312[]"),
        (
            json.encode_ack("/", AckId(u64::MAX), &reply),
            r#"461-18446744073709551615[{"_placeholder":true,"num":0}]"#,
        ),
    ];
    for (frame, text) in cases {
        assert_eq!(frame.text(), Some(text));
    }
}

#[test]
fn message_pack_is_checked_member_by_member() {
    use DecodeError::*;
    let check = |bytes: &'static [u8]| {
        decoder(ParserKind::MessagePack, Revision::V4).handle_binary(Bytes::from_static(bytes))
    };
    // Any order, unknown members, `undefined` for what is absent.
    assert_eq!(
        check(b"\x85\xa3nsp\xa1/\xa7options\x81\xa8compress\xc3\xa4type\x00\xa2id\xd4\0\0\xa4data\xd4\0\0"),
        Ok(Some(Packet::Connect { nsp: MAIN, auth: None }))
    );
    let cases: [(&[u8], DecodeError); 16] = [
        (b"", MessagePack(MessagePackError::Truncated)),
        (b"\x90", UnknownType),
        (b"\x81\xa3nsp\xa1/", UnknownType),
        (b"\x82\xa4type\x05\xa3nsp\xa1/", UnknownType),
        (b"\x82\xa4type\xa12\xa3nsp\xa1/", UnknownType),
        (b"\x81\xa4type\x01", Namespace),
        (b"\x82\xa4type\x01\xa3nsp\x01", Namespace),
        (b"\x82\xa4type\x01\xa3nsp\xa1/\xc0", MessagePack(MessagePackError::Invalid)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa4data\x80", Payload),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x91\x01", Payload),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa1a\xc4\x00", Payload),
        (b"\x82\xa4type\x02\xa3nsp\xa1/", Payload),
        (b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x90", Payload),
        // Not checked by the JavaScript parser.
        (b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xaadisconnect", ReservedEvent),
        (b"\x84\xa4type\x02\xa3nsp\xa1/\xa2id\xff\xa4data\x91\xa1e", AckId),
        // A map that pretends to be the placeholder of the bytes next to it.
        (
            b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x93\xa1e\xc4\x01x\x82\xac_placeholder\xc3\xa3num\x00",
            Placeholder,
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(check(bytes), Err(error), "{bytes:x?}");
    }
    assert_eq!(
        decoder(ParserKind::MessagePack, Revision::V4).handle_text("2[\"e\"]".into()),
        Err(UnexpectedText)
    );
}
