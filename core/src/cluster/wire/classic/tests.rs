use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cluster::wire::testing::{self, Captured, captured, payload, traces};
use crate::cluster::{Operation, ResponseBody};
use crate::ids::{RequestId, Room, SocketId};
use crate::payload::Payload;
use crate::target::Target;
use crate::value::Value;

const CAPTURED: &str = include_str!("captured.txt");

/// Steps whose bytes cannot come back as they were, since they hold what only JavaScript has.
const OTHER_BYTES: [&str; 5] = [
    "emit-numeric-room",
    "emit-rooms-except",
    "emit-undefined-date",
    "emit-surrogate",
    // Says that it may be compressed, which is so anyway.
    "emitter-emit-rooms",
];

/// The node that asked for the answers which go to one node only.
const ASKER: &str = "g8go_2";

fn prefix(captured: &Captured) -> &'static str {
    if captured.step.starts_with("specific-") {
        "app"
    } else {
        "socket.io"
    }
}

fn decode(captured: &Captured) -> Decoded {
    let classic = Classic::new(prefix(captured), NodeId::from(ASKER));
    let wire = &captured.wire;
    let decoded = classic.decode(&wire.channel, &wire.payload, |_, _| true);
    decoded.unwrap_or_else(|error| panic!("{}: {error}", captured.step))
}

fn step(name: &str) -> Vec<Decoded> {
    testing::step(CAPTURED, name, decode)
}

fn operation(name: &str) -> Operation {
    testing::operation(step(name))
}

fn bodies(name: &str) -> Vec<ResponseBody> {
    testing::bodies(step(name))
}

fn broadcast(json: &'static str, target: Target) -> Operation {
    Operation::Broadcast {
        payload: payload(json),
        target,
        request: None,
    }
}

#[test]
fn what_node_sends_is_sent_in_the_same_bytes() {
    let mut same = 0;
    for captured in captured(CAPTURED) {
        let again = match decode(&captured) {
            Decoded::Message(message) => {
                let me = match message.node.foreign_name() {
                    Some(name) => NodeId::from(name),
                    None => NodeId::emitter(),
                };
                let classic = Classic::new(prefix(&captured), me);
                classic.encode(&message, false)
            }
            Decoded::Response(response) => {
                let classic = Classic::new(prefix(&captured), NodeId::generate())
                    .specific_responses(captured.step.starts_with("specific-"));
                classic.encode_response(&NodeId::foreign(ASKER), &response)
            }
            other => panic!("{}: {other:?}", captured.step),
        };
        let again = again.expect("encodable").expect("representable");
        assert_eq!(again.channel, captured.wire.channel, "{}", captured.step);
        if !OTHER_BYTES.contains(&captured.step) {
            assert_eq!(again.payload, captured.wire.payload, "{}", captured.step);
            same += 1;
        }
    }
    assert_eq!(same, 61);
}

#[test]
fn events_of_node_are_understood() {
    let all = Target::all;
    let cases = [
        (
            "emit-all",
            broadcast(
                r#"["hello",1,"two",null,true,-5,1.5,{"a":[1,{"b":"ü"}]}]"#,
                all(),
            ),
        ),
        (
            "emit-room",
            broadcast(r#"["hello","x"]"#, Target::room("r1")),
        ),
        ("emit-numeric-room", broadcast(r#"["n"]"#, Target::room(7))),
        (
            "emit-rooms-except",
            broadcast(
                r#"["hello","x"]"#,
                Target::room("r1").to("r2").to(3).except("r9"),
            ),
        ),
        ("emitter-of", broadcast(r#"["adm"]"#, all())),
        ("emitter-emit-all", broadcast(r#"["hello","x",1]"#, all())),
    ];
    for (name, expected) in cases {
        assert_eq!(operation(name), expected, "{name}");
    }

    let mut target = all();
    target.flags.volatile = true;
    target.flags.compress = false;
    assert_eq!(
        operation("emit-flags"),
        broadcast(r#"["v","x"]"#, target.clone())
    );
    target = all();
    target.flags.expect_single_response = true;
    let Operation::Broadcast { target: sent, .. } = operation("remote-emit") else {
        panic!("no event");
    };
    assert_eq!(sent.flags, target.flags);

    let Operation::Broadcast { payload, .. } = operation("emit-binary") else {
        panic!("no event");
    };
    assert_eq!(
        payload.to_values(),
        Ok(vec![
            "bin".into(),
            Value::Bytes(Bytes::from_static(&[1, 2, 3])),
            Value::from_iter([("deep", Value::Bytes(Bytes::from_static(&[9])))]),
        ])
    );

    // `undefined` in an array is null, in a map nothing; the date is a timestamp.
    let Operation::Broadcast { payload, .. } = operation("emit-undefined-date") else {
        panic!("no event");
    };
    assert!(
        payload
            .json()
            .starts_with(r#"["odd",null,{"d":"2009-02-13T23:31:30.123Z"},null,null,"#),
        "{}",
        payload.json()
    );
}

#[test]
fn requests_of_node_are_understood() {
    let request = || RequestId::from("nYBJhe");
    let mut target = Target::all();
    target.flags.timeout = Some(Duration::from_millis(300));
    let asked = Operation::Broadcast {
        payload: payload(r#"["ask","text"]"#),
        target,
        request: Some(request()),
    };
    assert_eq!(operation("ack-text"), asked);
    assert_eq!(
        operation("join"),
        Operation::Join {
            target: Target::room("r1"),
            rooms: vec!["r5".into(), "r6".into()],
        }
    );
    assert_eq!(
        operation("emitter-leave"),
        Operation::Leave {
            target: Target::room("r1").except("r4"),
            rooms: vec!["r2".into(), "r3".into()],
        }
    );
    for (name, close) in [("disconnect", false), ("disconnect-close", true)] {
        let target = Target::room("nobody");
        assert_eq!(operation(name), Operation::Disconnect { target, close });
    }
    assert_eq!(
        operation("fetch-room"),
        Operation::FetchSockets {
            target: Target::room("r1").except("r3"),
            request: "R_c3ye".into(),
        }
    );
    assert_eq!(
        operation("all-rooms"),
        Operation::ListRooms {
            request: "psi6_S".into(),
        }
    );
    assert_eq!(
        operation("sse"),
        Operation::ServerSideEmit {
            payload: payload(r#"["hi",1,{"a":2}]"#),
            request: None,
        }
    );
    let Decoded::Message(message) = step("emitter-join").swap_remove(0) else {
        panic!("no message");
    };
    assert!(message.node.is_emitter());
    let Decoded::Message(message) = step("sse-ack").swap_remove(0) else {
        panic!("no message");
    };
    assert_eq!(message.node, NodeId::foreign("ITXjkx"));
    assert_eq!(message.operation.request(), Some(&"rlqcEe".into()));
}

#[test]
fn answers_of_node_are_understood() {
    let count = |count| ResponseBody::Recipients {
        count,
        sockets: Vec::new(),
    };
    let ack = |json| ResponseBody::Ack {
        socket: None,
        payload: payload(json),
    };
    assert_eq!(bodies("ack-text"), [count(1), ack(r#"["resp-B"]"#)]);
    assert_eq!(bodies("ack-none"), [count(1), ack("[]")]);
    assert_eq!(bodies("ack-null"), [count(1), ack("[null]")]);
    assert_eq!(bodies("ack-room-nobody"), [count(0)]);
    let bytes = Payload::from_values(&[Value::Bytes(Bytes::from_static(&[1, 2, 3]))]);
    assert_eq!(
        bodies("ack-binary")[1],
        ResponseBody::Ack {
            socket: None,
            payload: bytes,
        }
    );
    let emit = ResponseBody::ServerSideEmit;
    assert_eq!(bodies("sse-ack"), [emit(payload(r#"["got w"]"#))]);
    assert_eq!(bodies("sse-ack-none"), [emit(Payload::empty())]);
    let rooms = ["X2L1Tid-WtfYDMzLAAAB", "r1", "r5", "r7", "r8"].map(Room::from);
    assert_eq!(bodies("all-rooms"), [ResponseBody::Rooms(rooms.into())]);
    let [ResponseBody::Sockets(sockets)] = &bodies("fetch")[..] else {
        panic!("no sockets");
    };
    let [socket] = &sockets[..] else {
        panic!("not one socket");
    };
    assert_eq!(socket.id, SocketId::from("X2L1Tid-WtfYDMzLAAAB"));
    assert_eq!(socket.rooms.len(), 4);
    assert_eq!(socket.data.get("name"), Some(&"x".into()));
    let handshake = socket.handshake.read();
    let query = handshake.get("query");
    assert_eq!(query.and_then(|query| query.get("EIO")), Some(&"4".into()));
}

fn ours(prefix: &str) -> Classic {
    Classic::new(prefix, NodeId::from("1111111111111111"))
}

fn decode_text(channel: &str, text: &'static str) -> Result<Decoded, WireError> {
    ours("socket.io").decode(channel, &Bytes::from_static(text.as_bytes()), |_, _| true)
}

#[test]
fn channels_have_the_names_of_node() {
    let channels = ours("a*").namespace("/x?[y]\\");
    assert_eq!(
        channels,
        ClassicChannels {
            pattern: r"a\*#/x\?\[y\]\\#*".to_owned(),
            request: r"a*-request#/x?[y]\#".to_owned(),
            response: r"a*-response#/x?[y]\#".to_owned(),
            own_response: r"a*-response#/x?[y]\#1111111111111111#".to_owned(),
            counting: r"a*-request#/x?[y]\#".to_owned(),
        }
    );
}

#[test]
fn own_messages_and_marked_copies_are_skipped() {
    let classic = ours("socket.io");
    let message = ClusterMessage {
        node: NodeId::generate(),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation: Operation::FetchSockets {
            target: Target::all(),
            request: "abc".into(),
        },
    };
    let other = Classic::new("socket.io", NodeId::from("2222222222222222"));
    for (native_too, reader, skipped) in [
        (false, &classic, true),
        (false, &other, false),
        (true, &other, true),
    ] {
        let wire = classic.encode(&message, native_too).expect("encodable");
        let wire = wire.expect("representable");
        let decoded = reader.decode(&wire.channel, &wire.payload, |_, _| true);
        assert_eq!(decoded == Ok(Decoded::Skip), skipped);
    }
    let wire = classic
        .encode(&message, true)
        .expect("encodable")
        .expect("bytes");
    let text = r#"{"uid":"1111111111111111","requestId":"abc","type":5,"opts":{"rooms":[],"except":[]},"native":true}"#;
    assert_eq!(wire.payload, text);
}

#[test]
fn a_trace_is_in_the_options_of_an_event_and_a_member_of_a_request() {
    let classic = ours("socket.io");
    let other = Classic::new("socket.io", NodeId::from("2222222222222222"));
    let [bare, with_state] = traces();
    let encode = |trace, operation| {
        let message = ClusterMessage {
            node: NodeId::foreign("1111111111111111"),
            namespace: "/".into(),
            sequence: None,
            trace,
            operation,
        };
        let wire = classic.encode(&message, false).expect("encodable");
        let wire = wire.expect("representable");
        let decoded = other.decode(&wire.channel, &wire.payload, |_, _| true);
        assert_eq!(decoded, Ok(Decoded::Message(message)));
        wire.payload
    };
    let event = encode(with_state, broadcast(r#"["x"]"#, Target::all()));
    let mut expected =
        b"\x93\xb01111111111111111\x83\xa4type\x02\xa4data\x91\xa1x\xa3nsp\xa1/".to_vec();
    expected
        .extend_from_slice(b"\x85\xa5rooms\x90\xa6except\x90\xa5flags\x80\xabtraceparent\xd9\x37");
    expected.extend_from_slice(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    expected.extend_from_slice(b"\xaatracestate\xb1congo=t61rcWkgMzE");
    assert_eq!(event, expected);
    let join = Operation::Join {
        target: Target::room("a"),
        rooms: vec!["b".into()],
    };
    let text = r#"{"uid":"1111111111111111","type":2,"opts":{"rooms":["a"],"except":[]},"rooms":["b"],"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
    assert_eq!(encode(bare, join), text);
}

#[test]
fn a_malformed_trace_is_no_trace() {
    for text in [
        r#"{"type":4,"uid":"u","opts":{"rooms":["r"]},"traceparent":7}"#,
        r#"{"type":4,"uid":"u","opts":{"rooms":["r"]},"traceparent":"00-0-0-01","tracestate":"a=b"}"#,
        r#"{"type":4,"uid":"u","opts":{"rooms":["r"]},"tracestate":"a=b"}"#,
    ] {
        let decoded = ours("io").decode("io-request#/#", &text.into(), |_, _| true);
        let Ok(Decoded::Message(message)) = decoded else {
            panic!("{text}: {decoded:?}");
        };
        assert_eq!(message.trace, None, "{text}");
    }
}

#[test]
fn events_for_rooms_without_members_are_skipped() {
    let classic = ours("socket.io");
    let other = Classic::new("socket.io", NodeId::from("2222222222222222"));
    let here = |namespace: &str, room: &str| namespace == "/a#b" && room == "r1";
    for (rooms, skipped) in [
        (&["r1"][..], false),
        (&["r2"], true),
        (&["r1", "r2"], false),
        (&["r2", "r3"], true),
        (&[], false),
    ] {
        let target = rooms
            .iter()
            .fold(Target::all(), |target, room| target.to(*room));
        let message = ClusterMessage {
            node: NodeId::generate(),
            namespace: "/a#b".into(),
            sequence: None,
            trace: None,
            operation: broadcast(r#"["x"]"#, target),
        };
        let wire = other
            .encode(&message, false)
            .expect("encodable")
            .expect("bytes");
        let decoded = classic.decode(&wire.channel, &wire.payload, here);
        let elsewhere = Decoded::Elsewhere {
            node: NodeId::foreign("2222222222222222"),
            namespace: "/a#b".into(),
        };
        assert_eq!(decoded == Ok(elsewhere), skipped, "{rooms:?}");
        // The channel of a room of another namespace matches the pattern too.
        let decoded = classic.decode("socket.io#/a#", &wire.payload, |_, _| true);
        assert_eq!(decoded, Ok(Decoded::Skip));
    }
}

#[test]
fn a_local_message_stays_here() {
    let mut target = Target::all();
    target.flags.local = true;
    let message = ClusterMessage {
        node: NodeId::generate(),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation: broadcast(r#"["x"]"#, target),
    };
    assert_eq!(ours("socket.io").encode(&message, false), Ok(None));
}

#[test]
fn old_requests_are_understood() {
    let cases = [
        (
            r#"{"type":0,"uid":"u","requestId":"q","rooms":["a",7]}"#,
            Operation::ListSockets {
                target: Target::room("a").to("7"),
                request: "q".into(),
            },
        ),
        (
            r#"{"type":2,"requestId":"q","sid":"s","room":"a"}"#,
            Operation::Join {
                target: Target::room("s"),
                rooms: vec!["a".into()],
            },
        ),
        (
            r#"{"type":3,"requestId":"q","sid":"s","room":8}"#,
            Operation::Leave {
                target: Target::room("s"),
                rooms: vec!["8".into()],
            },
        ),
        (
            r#"{"type":4,"requestId":"q","sid":"s","close":true}"#,
            Operation::Disconnect {
                target: Target::room("s"),
                close: true,
            },
        ),
    ];
    for (text, operation) in cases {
        let Ok(Decoded::Message(message)) = decode_text("socket.io-request#/x#", text) else {
            panic!("{text}");
        };
        assert_eq!(message.operation, operation, "{text}");
        assert_eq!(message.namespace, "/x");
    }
    // A request for one socket does not become one for all.
    for text in [r#"{"type":4,"close":true}"#, r#"{"type":2,"room":"a"}"#] {
        let error = WireError::Member("opts");
        assert_eq!(decode_text("socket.io-request#/#", text), Err(error));
    }
}

#[test]
fn loose_forms_are_taken() {
    let text =
        r#"{"type":6.0,"uid":7,"requestId":null,"data":["e","\ud800 ü",1e21,{"a":1.0}],"x":[{}]}"#;
    let Ok(Decoded::Message(message)) = decode_text("socket.io-request#/#", text) else {
        panic!("not taken");
    };
    assert_eq!(message.node, NodeId::foreign("7"));
    // The text of arguments is not touched.
    let json = r#"["e","\ud800 ü",1e21,{"a":1.0}]"#;
    assert_eq!(
        message.operation,
        Operation::ServerSideEmit {
            payload: payload(json),
            request: None,
        }
    );
    let text = r#"{"type":3,"opts":{"rooms":[1,1.5,null,true,1e21,0.0000001,"1"]},"rooms":null}"#;
    let Ok(Decoded::Message(message)) = decode_text("socket.io-request#/#", text) else {
        panic!("not taken");
    };
    let Operation::Leave { target, rooms } = message.operation else {
        panic!("no leave");
    };
    let names: Vec<_> = target.rooms.iter().map(Room::as_str).collect();
    assert_eq!(names, ["1", "1.5", "null", "true", "1e+21", "1e-7"]);
    assert!(rooms.is_empty());

    // notepack 2: `undefined` and dates are extensions of type 0; no namespace is the main one.
    let old = testing::unhex(
        "93a14182a474797065 02 a464617461 93 a165 d40000 d7000000011f71fb04cb 81a5726f6f6d73d40000"
            .replace(' ', "")
            .as_str(),
    );
    let decoded = ours("socket.io").decode("socket.io#/#", &old, |_, _| true);
    let json = r#"["e",null,"2009-02-13T23:31:30.123Z"]"#;
    let Ok(Decoded::Message(message)) = decoded else {
        panic!("{decoded:?}");
    };
    assert_eq!(message.operation, broadcast(json, Target::all()));
}

#[test]
fn what_is_no_message_is_an_error() {
    let requests = "socket.io-request#/#";
    let responses = "socket.io-response#/#";
    for (channel, text, error) in [
        ("other#/#", "{}", WireError::Channel),
        ("socket.io-request#/", "{}", WireError::Channel),
        (requests, "{}", WireError::Member("type")),
        (
            requests,
            r#"{"type":5,"opts":{}}"#,
            WireError::Member("requestId"),
        ),
        (
            requests,
            r#"{"type":6,"data":{}}"#,
            WireError::Member("arguments"),
        ),
        (
            requests,
            r#"{"type":6,"data":[{}]}"#,
            WireError::Member("event"),
        ),
        (
            requests,
            r#"{"type":2,"opts":{"rooms":"a"}}"#,
            WireError::Member("rooms"),
        ),
        (
            requests,
            r#"{"type":2,"opts":{"rooms":[[]]}}"#,
            WireError::Member("rooms"),
        ),
        (responses, r#"{"type":8}"#, WireError::Member("requestId")),
        (
            responses,
            r#"{"type":8,"requestId":"a","clientCount":-1}"#,
            WireError::Member("clientCount"),
        ),
        (
            responses,
            r#"{"requestId":"a","sockets":[{"id":"x"},"y"]}"#,
            WireError::Member("sockets"),
        ),
    ] {
        assert_eq!(decode_text(channel, text), Err(error), "{text}");
    }
    assert!(matches!(
        decode_text(requests, r#"{"type":6,}"#),
        Err(WireError::Json(_))
    ));
    assert!(matches!(
        decode_text(requests, ""),
        Err(WireError::MessagePack(_))
    ));
    // Requests and answers of later versions.
    assert_eq!(decode_text(requests, r#"{"type":99}"#), Ok(Decoded::Skip));
    let text = r#"{"type":99,"requestId":"a"}"#;
    assert_eq!(decode_text(responses, text), Ok(Decoded::Skip));
}

#[test]
fn arguments_may_nest_as_deep_as_in_a_packet() {
    for (depth, accepted) in [(127, true), (128, false)] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let text = format!(r#"{{"type":6,"data":["e",{open}{close}]}}"#);
        let decoded = ours("socket.io").decode("socket.io-request#/#", &text.into(), |_, _| true);
        assert_eq!(decoded.is_ok(), accepted, "{depth}");
    }
}

#[test]
fn a_map_cannot_pass_for_bytes() {
    // ["e", <01>, {"_placeholder":true,"num":0}]
    let mut bytes = b"\x93\xa1u\x82\xa4type\x02\xa4data\x93\xa1e\xc4\x01\x01".to_vec();
    bytes.extend_from_slice(b"\x82\xac_placeholder\xc3\xa3num\x00\x80");
    let decoded = ours("socket.io").decode("socket.io#/#", &bytes.into(), |_, _| true);
    assert_eq!(decoded, Err(WireError::Member("arguments")));
}

proptest! {
    #[test]
    fn messages_survive(message in testing::message(), native_too in any::<bool>()) {
        let sender = Classic::new("io", NodeId::from("90cd04874bb430dd"));
        let wire = sender.encode(&message, native_too).expect("encodable").expect("bytes");
        let decoded = ours("io").decode(&wire.channel, &wire.payload, |_, _| true);
        if native_too && message.operation.request().is_some() {
            prop_assert_eq!(decoded, Ok(Decoded::Skip));
            return Ok(());
        }
        let mut expected = message;
        match &mut expected.operation {
            // Such a request has no room for these.
            Operation::Join { target, .. }
            | Operation::Leave { target, .. }
            | Operation::Disconnect { target, .. }
            | Operation::FetchSockets { target, .. } => target.flags = Default::default(),
            Operation::ListSockets { target, .. } => {
                target.flags = Default::default();
                target.except.clear();
            }
            _ => {}
        }
        prop_assert_eq!(decoded, Ok(Decoded::Message(expected)));
    }

    #[test]
    fn answers_survive(response in testing::response(), specific in any::<bool>()) {
        let asker = ours("io");
        let sender = Classic::new("io", NodeId::generate()).specific_responses(specific);
        let to = NodeId::foreign("1111111111111111");
        let wire = sender.encode_response(&to, &response).expect("encodable").expect("bytes");
        let channels = asker.namespace(&response.namespace);
        prop_assert!([channels.response, channels.own_response].contains(&wire.channel));
        let decoded = asker.decode(&wire.channel, &wire.payload, |_, _| true);
        prop_assert_eq!(decoded, Ok(Decoded::Response(response)));
    }

    #[test]
    fn spoiled_messages_do_no_harm(
        message in testing::message(),
        response in testing::response(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let sender = Classic::new("io", NodeId::generate());
        let message = sender.encode(&message, false).expect("encodable").expect("bytes");
        let to = NodeId::foreign("1");
        let response = sender.encode_response(&to, &response).expect("encodable").expect("bytes");
        for bytes in [message.payload, response.payload] {
            testing::spoil(&bytes, at, byte, end, 0);
        }
    }
}
