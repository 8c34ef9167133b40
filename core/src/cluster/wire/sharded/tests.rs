use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::cluster::ResponseBody;
use crate::cluster::wire::testing::{self, Captured, captured, payload, traces};
use crate::payload::Payload;
use crate::target::Target;
use crate::value::Value;

const CAPTURED: &str = include_str!("captured.txt");

/// Steps whose bytes cannot come back as they were, since they hold what only JavaScript has.
const OTHER_BYTES: [&str; 4] = [
    "emit-numeric-room",
    "private-emit-numeric-room",
    "static-emit-numeric-room",
    "emit-rooms-except",
];

fn mode(captured: &Captured) -> ShardedMode {
    match captured.step.split_once('-') {
        Some(("static", _)) => ShardedMode::Static,
        Some(("private", _)) => ShardedMode::DynamicPrivate,
        _ => ShardedMode::Dynamic,
    }
}

fn decode(captured: &Captured) -> Decoded {
    let me = NodeId::from("2222222222222222");
    let sharded = Sharded::new("socket.io", mode(captured), me);
    let wire = &captured.wire;
    let decoded = sharded.decode(&wire.channel, &wire.payload, |_, _| true);
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

#[test]
fn what_node_sends_is_sent_in_the_same_bytes() {
    let mut same = 0;
    for captured in captured(CAPTURED) {
        let again = match decode(&captured) {
            Decoded::Message(message) => {
                let name = message.node.foreign_name().expect("a foreign node");
                let sharded = Sharded::new("socket.io", mode(&captured), NodeId::from(name));
                sharded.encode(&message, false)
            }
            Decoded::Response(response) => {
                let node = response.node.as_ref().expect("a node");
                let me = NodeId::from(node.foreign_name().expect("a foreign node"));
                let sharded = Sharded::new("socket.io", mode(&captured), me);
                let channel = captured.wire.channel.trim_end_matches('#');
                let asker = channel.rsplit('#').next().expect("a name");
                sharded.encode_response(&NodeId::foreign(asker), &response)
            }
            other => panic!("{}: {other:?}", captured.step),
        };
        let again = again.expect("encodable").expect("representable");
        assert_eq!(again.channel, captured.wire.channel, "{}", captured.step);
        if captured.step == "fetch-binary" && captured.wire.payload[0] != b'{' {
            // A date in the data of the socket comes back as text.
            continue;
        }
        if !OTHER_BYTES.contains(&captured.step) {
            assert_eq!(again.payload, captured.wire.payload, "{}", captured.step);
            same += 1;
        }
    }
    assert_eq!(same, 58);
}

#[test]
fn messages_of_node_are_understood() {
    let broadcast = |json, target, request: Option<&str>| Operation::Broadcast {
        payload: payload(json),
        target,
        request: request.map(Into::into),
    };
    let rooms = Target::room("r1").to("r2").to(3).except("r9");
    assert_eq!(
        operation("emit-rooms-except"),
        broadcast(r#"["hello","x"]"#, rooms, None)
    );
    // Not even what Rust cannot hold is lost on the way.
    assert_eq!(
        operation("emit-surrogate"),
        broadcast(
            "[\"s\\ud800\",\"\\udc00 x \u{2028} \\u0007\"]",
            Target::all(),
            None
        )
    );
    let mut target = Target::all();
    target.flags.timeout = Some(Duration::from_millis(300));
    assert_eq!(
        operation("ack-text"),
        broadcast(r#"["ask","text"]"#, target, Some("2a2d3f66c1e82900"))
    );
    let Operation::Broadcast {
        payload: binary, ..
    } = operation("emit-binary")
    else {
        panic!("no event");
    };
    assert_eq!(binary.attachments(), [&[1, 2, 3][..], &[9]]);
    assert_eq!(
        operation("join-except"),
        Operation::Join {
            target: Target::room("r1").except("r2"),
            rooms: vec!["r7".into()],
        }
    );
    assert_eq!(
        operation("leave"),
        Operation::Leave {
            target: Target::all(),
            rooms: vec!["r6".into()],
        }
    );
    assert_eq!(
        operation("disconnect-close"),
        Operation::Disconnect {
            target: Target::room("nobody"),
            close: true,
        }
    );
    let Operation::FetchSockets { target, request } = operation("fetch-room") else {
        panic!("no request");
    };
    assert_eq!(target.flags.timeout, Some(Duration::from_millis(700)));
    assert_eq!(request, "03f578fe90a210d3");
    assert_eq!(
        operation("sse-ack"),
        Operation::ServerSideEmit {
            payload: payload(r#"["q","w"]"#),
            request: Some("ccb6996274a90f2e".into()),
        }
    );
    let Decoded::Message(message) = step("emit-admin").swap_remove(0) else {
        panic!("no message");
    };
    assert_eq!(message.namespace, "/admin");
    assert_eq!(message.node, NodeId::foreign("c6523385b0add007"));
}

#[test]
fn answers_of_node_are_understood() {
    let count = |count| ResponseBody::Recipients {
        count,
        sockets: Vec::new(),
    };
    let ack = |payload| ResponseBody::Ack {
        socket: None,
        payload,
    };
    let emit = ResponseBody::ServerSideEmit;
    let bytes = |bytes| Payload::from_values(&[Value::Bytes(Bytes::from_static(bytes))]);
    assert_eq!(
        bodies("ack-text"),
        [count(1), ack(payload(r#"["resp-B"]"#))]
    );
    assert_eq!(bodies("ack-none"), [count(1), ack(Payload::empty())]);
    assert_eq!(bodies("ack-null"), [count(1), ack(payload("[null]"))]);
    assert_eq!(bodies("ack-binary"), [count(1), ack(bytes(&[1, 2, 3]))]);
    assert_eq!(bodies("ack-room-nobody"), [count(0)]);
    assert_eq!(bodies("sse-ack"), [emit(payload(r#"["got w"]"#))]);
    assert_eq!(bodies("sse-ack-none"), [emit(Payload::empty())]);
    assert_eq!(bodies("sse-ack-binary"), [emit(bytes(&[5]))]);
    let [ResponseBody::Sockets(sockets)] = &bodies("fetch-binary")[..] else {
        panic!("no sockets");
    };
    let data = &sockets[0].data;
    assert_eq!(
        data.get("bin"),
        Some(&Value::Bytes(Bytes::from_static(&[1])))
    );
    assert_eq!(data.get("when"), Some(&"1970-01-01T00:00:00.000Z".into()));
}

fn ours() -> Sharded {
    Sharded::new("io", ShardedMode::Dynamic, NodeId::from("1111111111111111"))
}

#[test]
fn a_mode_says_which_rooms_are_subscribed() {
    for (mode, public, private) in [
        (ShardedMode::Static, false, false),
        (ShardedMode::Dynamic, true, false),
        (ShardedMode::DynamicPrivate, true, true),
    ] {
        let sharded = Sharded::new("io", mode, NodeId::generate());
        assert_eq!(sharded.subscribes("r1", false), public);
        assert_eq!(sharded.subscribes("r1", true), private);
    }
}

#[test]
fn the_length_of_a_room_is_counted_as_in_javascript() {
    let message = |room: &str| ClusterMessage {
        node: NodeId::generate(),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation: Operation::Broadcast {
            payload: payload(r#"["x"]"#),
            target: Target::room(room),
            request: None,
        },
    };
    let emoji = "😀".repeat(10);
    assert_eq!(ours().publish_channel(&message(&emoji)), "io#/#");
    let accents = "é".repeat(10);
    let channel = format!("io#/#{accents}#");
    assert_eq!(ours().publish_channel(&message(&accents)), channel);
}

#[test]
fn a_trace_is_a_member_of_the_message() {
    let me = NodeId::from("2222222222222222");
    let other = Sharded::new("io", ShardedMode::Dynamic, me);
    for (trace, more) in traces()
        .into_iter()
        .zip(["", r#","tracestate":"congo=t61rcWkgMzE""#])
    {
        let message = ClusterMessage {
            node: NodeId::foreign("1111111111111111"),
            namespace: "/".into(),
            sequence: None,
            trace,
            operation: Operation::Disconnect {
                target: Target::all(),
                close: true,
            },
        };
        let wire = other.encode(&message, false).expect("encodable");
        let wire = wire.expect("representable");
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let text = format!(
            r#"{{"type":6,"data":{{"opts":{{"rooms":[],"except":[],"flags":{{}}}},"close":true}},"uid":"2222222222222222","nsp":"/","traceparent":"{parent}"{more}}}"#
        );
        assert_eq!(wire.payload, text);
        let decoded = ours().decode(&wire.channel, &wire.payload, |_, _| true);
        let Ok(Decoded::Message(decoded)) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(decoded.trace, message.trace);
    }
}

fn decode_text(channel: &str, text: &'static str) -> Result<Decoded, WireError> {
    ours().decode(channel, &Bytes::from_static(text.as_bytes()), |_, room| {
        room == "here"
    })
}

#[test]
fn what_is_of_no_concern_is_skipped() {
    for (channel, text) in [
        // An own one, a marked copy, a heartbeat, another namespace, a later version.
        (
            "io#/#",
            r#"{"type":6,"data":{"opts":{}},"uid":"1111111111111111","nsp":"/"}"#,
        ),
        (
            "io#/#",
            r#"{"type":7,"data":{"opts":{},"requestId":"a"},"uid":"x","nsp":"/","native":true}"#,
        ),
        ("io#/#", r#"{"type":1,"uid":"x","nsp":"/"}"#),
        (
            "io#/a#",
            r#"{"type":6,"data":{"opts":{}},"uid":"x","nsp":"/a#b"}"#,
        ),
        (
            "io#/a#",
            r#"{"type":6,"data":{"opts":{}},"uid":"x","nsp":"/b"}"#,
        ),
        ("io#/#", r#"{"type":99,"data":{},"uid":"x","nsp":"/"}"#),
    ] {
        assert_eq!(decode_text(channel, text), Ok(Decoded::Skip), "{text}");
    }
    let text = r#"{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":{"rooms":["gone"]}},"uid":"x","nsp":"/"}"#;
    let elsewhere = Decoded::Elsewhere {
        node: NodeId::foreign("x"),
        namespace: "/".into(),
    };
    assert_eq!(decode_text("io#/#", text), Ok(elsewhere), "nobody is in it");
    for text in [
        r#"{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":{"rooms":["gone","here"]}},"uid":"x","nsp":"/"}"#,
        // It is answered although nobody gets it.
        r#"{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":{"rooms":["gone"]},"requestId":"a"},"uid":"x","nsp":"/"}"#,
    ] {
        assert!(
            matches!(decode_text("io#/#", text), Ok(Decoded::Message(_))),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_message_is_an_error() {
    for (channel, text, error) in [
        ("ip#/#", "{}", WireError::Channel),
        ("io#/#", "{}", WireError::Member("type")),
        ("io#/#", r#"{"type":6}"#, WireError::Member("nsp")),
        (
            "io#/#",
            r#"{"type":6,"nsp":"/"}"#,
            WireError::Member("data"),
        ),
        (
            "io#/#",
            r#"{"type":6,"nsp":"/","data":{}}"#,
            WireError::Member("opts"),
        ),
        (
            "io#/#",
            r#"{"type":9,"nsp":"/","data":{"packet":[]}}"#,
            WireError::Member("event"),
        ),
        (
            "io#/#",
            r#"{"type":11,"nsp":"/","data":{}}"#,
            WireError::Member("requestId"),
        ),
    ] {
        assert_eq!(decode_text(channel, text), Err(error), "{text}");
    }
    let error = decode_text("io#/#", r#"{"type":9,"nsp":"/"} x"#);
    assert!(matches!(error, Err(WireError::Json(_))));
    let bytes = Bytes::from_static(b"{\"\xff\":1}");
    let decoded = ours().decode("io#/#", &bytes, |_, _| true);
    assert_eq!(decoded, Err(WireError::Utf8));
}

#[test]
fn arguments_may_nest_as_deep_as_in_a_packet() {
    for (depth, accepted) in [(127, true), (128, false)] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let event = format!(
            r#"{{"type":3,"nsp":"/","data":{{"packet":{{"type":2,"data":["e",{open}{close}]}},"opts":{{}}}}}}"#
        );
        let answer =
            format!(r#"{{"type":12,"nsp":"/","data":{{"requestId":"a","packet":{open}{close}}}}}"#);
        for text in [event, answer] {
            let decoded = ours().decode("io#/#", &text.into(), |_, _| true);
            assert_eq!(decoded.is_ok(), accepted, "{depth}");
            match decoded {
                Ok(Decoded::Message(ClusterMessage {
                    operation: Operation::Broadcast { payload, .. },
                    ..
                }))
                | Ok(Decoded::Response(ClusterResponse {
                    body: ResponseBody::Ack { payload, .. },
                    ..
                })) => assert!(payload.to_values().is_ok()),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn messages_survive(message in testing::message(), native_too in any::<bool>()) {
        let me = NodeId::from("90cd04874bb430dd");
        let sender = Sharded::new("io", ShardedMode::Dynamic, me);
        let wire = sender.encode(&message, native_too).expect("encodable");
        if let Operation::ListSockets { .. } | Operation::ListRooms { .. } = message.operation {
            prop_assert_eq!(wire, None);
            return Ok(());
        }
        let wire = wire.expect("bytes");
        let decoded = ours().decode(&wire.channel, &wire.payload, |_, _| true);
        if native_too && message.operation.request().is_some() {
            prop_assert_eq!(decoded, Ok(Decoded::Skip));
        } else {
            prop_assert_eq!(decoded, Ok(Decoded::Message(message)));
        }
    }

    #[test]
    fn answers_survive(mut response in testing::response()) {
        let me = NodeId::from("90cd04874bb430dd");
        let sender = Sharded::new("io", ShardedMode::Static, me);
        let to = NodeId::foreign("1111111111111111");
        let wire = sender.encode_response(&to, &response).expect("encodable");
        if let ResponseBody::SocketIds(_) | ResponseBody::Rooms(_) = response.body {
            prop_assert_eq!(wire, None);
            return Ok(());
        }
        let wire = wire.expect("bytes");
        let channel = ours().channels(&response.namespace).own_response;
        prop_assert_eq!(&wire.channel, &channel);
        response.node = Some(NodeId::foreign("90cd04874bb430dd"));
        let decoded = ours().decode(&wire.channel, &wire.payload, |_, _| true);
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
        let message = ours().encode(&message, false).expect("encodable");
        let to = NodeId::foreign("1");
        let response = ours().encode_response(&to, &response).expect("encodable");
        for wire in message.into_iter().chain(response) {
            testing::spoil(&wire.payload, at, byte, end, 1);
        }
    }
}
