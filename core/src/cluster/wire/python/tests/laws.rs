//! What holds for any message.

use super::*;
use crate::cluster::wire::testing;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(SID.to_owned()),
        Just("r".to_owned()),
        any::<String>(),
        "[0-9]{1,3}",
    ]
}

fn rooms(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Room>> {
    proptest::collection::vec(name().prop_map(Room::from), sizes)
}

fn socket() -> impl Strategy<Value = Target> {
    "[A-Za-z0-9_-]{20}".prop_map(Target::room)
}

/// Operations that can be said wholly, and by one message.
fn operation() -> impl Strategy<Value = Operation> {
    let sockets = proptest::collection::vec("[A-Za-z0-9_-]{20}".prop_map(Room::from), 0..3);
    let values = proptest::collection::vec(value::arbitrary(), 0..4);
    let emit = (any::<String>(), values, rooms(0..4), sockets, any::<u64>());
    prop_oneof![
        emit.prop_map(|(event, mut values, rooms, except, request)| {
            if values == [Value::Null] {
                values.clear();
            }
            values.insert(0, event.into());
            let asked = rooms.len() == 1 && request % 2 == 0;
            Operation::Broadcast {
                payload: Payload::from_values(&values),
                target: Target {
                    rooms: rooms.into(),
                    except: except.into(),
                    flags: Flags {
                        expect_single_response: asked,
                        ..Flags::default()
                    },
                },
                request: asked.then(|| RequestId::from(request.to_string())),
            }
        }),
        (socket(), name()).prop_map(|(target, room)| Operation::Join {
            target,
            rooms: vec![room.into()],
        }),
        (socket(), name()).prop_map(|(target, room)| Operation::Leave {
            target,
            rooms: vec![room.into()],
        }),
        name().prop_map(|room| Operation::Leave {
            target: Target::room(&room),
            rooms: vec![room.into()],
        }),
        socket().prop_map(|target| Operation::Disconnect {
            target,
            close: false,
        }),
    ]
}

proptest! {
    #[test]
    fn what_an_emitter_says_is_what_a_node_reads(
        namespace in "/[a-zé \"]{0,5}",
        operation in operation(),
        bare in any::<bool>(),
        trace in testing::trace(),
        channel in prop_oneof![Just("socketio"), Just("/12.socketio")],
    ) {
        let config = PythonConfig::listen().channels([channel]);
        let node = || Python::new(&NodeId::from("00c0ffee00c0ffee"), config.clone());
        let emitter = Python::new(&NodeId::emitter(), config.clone().with_bare_argument(bare));
        let message = ClusterMessage {
            trace,
            ..say(&namespace, operation.clone())
        };
        let written = emitter.encode(&message).expect("encoded");
        prop_assert!(written.limits.is_empty());
        prop_assert_eq!(written.messages.len(), 1);
        let read = node().decode(channel, &written.messages[0].payload);
        let Ok(Decoded::Message(mut read)) = read else {
            panic!("{read:?}");
        };
        prop_assert_eq!(&read.namespace, &namespace);
        prop_assert_eq!(&read.trace, &message.trace);
        // The question comes back as the answer's.
        if let Operation::Broadcast { request: slot @ Some(_), .. } = &mut read.operation {
            let answer = ClusterResponse {
                node: None,
                namespace: read.namespace.clone(),
                request: slot.take().expect("matched"),
                body: ResponseBody::Ack { socket: None, payload: Payload::empty() },
            };
            let written = node().encode_response(&answer).expect("encoded");
            let read = emitter.decode(channel, &written.messages[0].payload);
            let Ok(Decoded::Response(response)) = read else {
                panic!("{read:?}");
            };
            prop_assert_eq!(&response.namespace, &namespace);
            *slot = Some(response.request);
        }
        prop_assert_eq!(read.operation, operation);
    }

    #[test]
    fn all_that_a_node_says_is_skipped_by_nodes(operation in operation()) {
        for encoded in encode(operation).messages {
            prop_assert_eq!(node().decode("socketio", &encoded.payload), Ok(Decoded::Skip));
        }
    }

    #[test]
    fn any_bytes_in_an_envelope_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in any::<String>(),
    ) {
        for inside in [&bytes, text.as_bytes()] {
            let wrapped = envelope::wrap("/0.socketio", inside.to_vec());
            let _ = node().decode("socketio", &wrapped.into());
        }
        let _ = read(&node(), &format!(r#"{{"body":{text},"properties":{text}}}"#));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), cut in any::<proptest::sample::Index>()) {
        let _ = read(&node(), &text);
        let line = format!(r#"{{"method":"emit","event":{text:?},"data":[{text},NaN],"binary":true,"namespace":"/"}}"#);
        let _ = node().decode("socketio", &Bytes::copy_from_slice(&line.as_bytes()[..cut.index(line.len())]));
        let _ = read(&node(), &line);
    }
}

#[test]
fn a_trace_is_in_front_of_the_sender() {
    let [_, trace] = testing::traces();
    let message = ClusterMessage {
        trace,
        ..say(
            "/",
            Operation::Disconnect {
                target: Target::room(SID),
                close: false,
            },
        )
    };
    let written = node().encode(&message).expect("encoded").messages.remove(0);
    let text = format!(
        r#"{{"method":"disconnect","sid":"{SID}","namespace":"/","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"congo=t61rcWkgMzE","host_id":"{}"}}"#,
        node().host_id()
    );
    assert_eq!(written.payload, text);
    // What an application of Python adds by itself is read as well; what is malformed is no trace.
    let disconnect = |more: &str| {
        let json =
            format!(r#"{{"method": "disconnect", "sid": "{SID}", "namespace": "/", {more}}}"#);
        super::message(&json).trace
    };
    let parent = r#""traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01""#;
    let [bare, _] = testing::traces();
    assert_eq!(disconnect(parent), bare);
    assert_eq!(disconnect(r#""traceparent": null"#), None);
    assert_eq!(
        disconnect(r#""traceparent": "00-0-0-1", "tracestate": "a=b""#),
        None
    );
}
