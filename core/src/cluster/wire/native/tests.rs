use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use smallvec::SmallVec;

use super::*;
use crate::cluster::wire::testing::{trace, traces};
use crate::cluster::{NamespaceRooms, Operation, ResponseBody, RoomNews, SocketSnapshot};
use crate::ids::{RequestId, Room, SocketId};
use crate::json::JsonError;
use crate::msgpack::{self, MessagePackError};
use crate::payload::Payload;
use crate::target::{Flags, Target};
use crate::value::{self, Value};

fn text() -> impl Strategy<Value = String> + Clone {
    let characters = prop::sample::select(vec!['a', 'z', '/', '"', '\0', 'é', '😀', '~']);
    prop::collection::vec(characters, 0..40).prop_map(String::from_iter)
}

fn texts<T: From<String> + std::fmt::Debug>() -> impl Strategy<Value = Vec<T>> + Clone {
    prop::collection::vec(text().prop_map(T::from), 0..4)
}

fn payload() -> impl Strategy<Value = Payload> + Clone {
    prop::collection::vec(value::arbitrary(), 0..4).prop_map(|values| Payload::from_values(&values))
}

fn target() -> impl Strategy<Value = Target> + Clone {
    let timeout = prop::option::of(any::<u64>().prop_map(Duration::from_nanos));
    (
        texts::<Room>(),
        texts::<Room>(),
        any::<[bool; 5]>(),
        timeout,
    )
        .prop_map(|(rooms, except, flags, timeout)| Target {
            rooms: rooms.into(),
            except: except.into(),
            flags: Flags {
                volatile: flags[0],
                compress: flags[1],
                local: flags[2],
                broadcast: flags[3],
                expect_single_response: flags[4],
                timeout,
            },
        })
}

fn request() -> impl Strategy<Value = RequestId> + Clone {
    text().prop_map(RequestId::from)
}

fn counts() -> impl Strategy<Value = Vec<NamespaceRooms>> + Clone {
    let rooms = prop::collection::vec((text().prop_map(Room::from), any::<u64>()), 0..20);
    let namespace = (text(), any::<u64>(), rooms).prop_map(|(namespace, sockets, rooms)| {
        let namespace = namespace.into();
        NamespaceRooms {
            namespace,
            sockets,
            rooms,
        }
    });
    prop::collection::vec(namespace, 0..3)
}

fn news() -> impl Strategy<Value = RoomNews> + Clone {
    prop_oneof![
        (any::<u64>(), counts())
            .prop_map(|(version, changes)| RoomNews::Delta { version, changes }),
        (any::<u64>(), any::<[u32; 2]>(), counts()).prop_map(|(version, [part, parts], rooms)| {
            RoomNews::Snapshot {
                version,
                part,
                parts,
                rooms,
            }
        }),
        any::<[u64; 2]>().prop_map(|[version, hash]| RoomNews::Digest { version, hash }),
        text().prop_map(|of| RoomNews::Resend { of: of.into() }),
        Just(RoomNews::Withheld),
    ]
}

fn operation() -> impl Strategy<Value = Operation> + Clone {
    let optional = || prop::option::of(request());
    prop_oneof![
        Just(Operation::InitialHeartbeat),
        Just(Operation::Heartbeat),
        Just(Operation::Close),
        (payload(), target(), optional()).prop_map(|(payload, target, request)| {
            Operation::Broadcast {
                payload,
                target,
                request,
            }
        }),
        (target(), texts()).prop_map(|(target, rooms)| Operation::Join { target, rooms }),
        (target(), texts()).prop_map(|(target, rooms)| Operation::Leave { target, rooms }),
        (target(), any::<bool>())
            .prop_map(|(target, close)| Operation::Disconnect { target, close }),
        (target(), request())
            .prop_map(|(target, request)| Operation::FetchSockets { target, request }),
        (target(), request())
            .prop_map(|(target, request)| Operation::ListSockets { target, request }),
        request().prop_map(|request| Operation::ListRooms { request }),
        request().prop_map(|request| Operation::ListNodes { request }),
        (payload(), optional())
            .prop_map(|(payload, request)| Operation::ServerSideEmit { payload, request }),
        news().prop_map(Operation::Rooms),
    ]
}

fn body() -> impl Strategy<Value = ResponseBody> + Clone {
    let snapshot = (text(), value::arbitrary(), texts(), value::arbitrary()).prop_map(
        |(id, handshake, rooms, data)| SocketSnapshot {
            id: id.into(),
            handshake: handshake.into(),
            rooms,
            data,
        },
    );
    prop_oneof![
        (prop::option::of(text().prop_map(SocketId::from)), payload())
            .prop_map(|(socket, payload)| ResponseBody::Ack { socket, payload }),
        (any::<u64>(), texts())
            .prop_map(|(count, sockets)| ResponseBody::Recipients { count, sockets }),
        payload().prop_map(ResponseBody::ServerSideEmit),
        prop::collection::vec(snapshot, 0..3).prop_map(ResponseBody::Sockets),
        texts().prop_map(ResponseBody::SocketIds),
        texts().prop_map(ResponseBody::Rooms),
        texts().prop_map(ResponseBody::Nodes),
    ]
}

fn message() -> impl Strategy<Value = ClusterMessage> + Clone {
    let head = (text(), text(), prop::option::of(any::<u64>()), trace());
    (head, operation()).prop_map(
        |((node, namespace, sequence, trace), operation)| ClusterMessage {
            node: node.into(),
            namespace: namespace.into(),
            sequence,
            trace,
            operation,
        },
    )
}

fn response() -> impl Strategy<Value = ClusterResponse> + Clone {
    let head = (prop::option::of(text()), text(), request());
    (head, body()).prop_map(|((node, namespace, request), body)| ClusterResponse {
        node: node.map(NodeId::from),
        namespace: namespace.into(),
        request,
        body,
    })
}

/// The array that a message is, as values.
fn elements(bytes: &Bytes) -> Vec<Value> {
    match msgpack::decode(bytes) {
        Ok(Value::Array(elements)) => elements,
        other => panic!("no array: {other:?}"),
    }
}

proptest! {
    #[test]
    fn messages_survive(message in message()) {
        let bytes = encode_message(&message);
        prop_assert_eq!(decode(&bytes), Ok(Decoded::Message(message)));
    }

    #[test]
    fn responses_survive(response in response()) {
        let bytes = encode_response(&response);
        prop_assert_eq!(decode(&bytes), Ok(Decoded::Response(response)));
    }

    #[test]
    fn probes_survive(node in text(), number in any::<u64>()) {
        let bytes = encode_probe(&node.into(), number);
        prop_assert_eq!(decode(&bytes), Ok(Decoded::Probe(number)));
    }

    #[test]
    fn what_a_later_version_adds_is_ignored(message in message(), more in value::arbitrary()) {
        let mut elements = elements(&encode_message(&message));
        elements.push(more);
        let bytes = msgpack::encode(&Value::Array(elements)).into();
        prop_assert_eq!(decode(&bytes), Ok(Decoded::Message(message)));
    }

    #[test]
    fn a_message_that_was_cut_is_an_error(message in message(), at in any::<prop::sample::Index>()) {
        let bytes = encode_message(&message);
        let cut = bytes.slice(..at.index(bytes.len()));
        prop_assert!(decode(&cut).is_err());
    }

    #[test]
    fn a_spoilt_message_does_no_harm(
        message in message(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode_message(&message).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        crate::fuzz::cluster_native(&bytes);
    }
}

fn from(operation: Operation) -> ClusterMessage {
    ClusterMessage {
        node: "0123456789abcdef".into(),
        namespace: "/".into(),
        sequence: Some(7),
        trace: None,
        operation,
    }
}

fn answer(body: ResponseBody) -> ClusterResponse {
    ClusterResponse {
        node: Some("0123456789abcdef".into()),
        namespace: "/".into(),
        request: "r1".into(),
        body,
    }
}

fn decoded(message: &ClusterMessage) -> Result<Decoded, WireError> {
    decode(&encode_message(message))
}

/// Other nodes may run an older version: if this fails, the version number must grow.
#[test]
fn the_bytes_stay_as_they_are() {
    let binary = Payload::from_values(&["e".into(), Value::Bytes("\0\x01".into())]);
    let mut target = Target::room("a").to("b").except("c");
    target.flags.volatile = true;
    target.flags.timeout = Some(Duration::from_millis(5));
    let broadcast = from(Operation::Broadcast {
        payload: binary,
        target,
        request: Some("r1".into()),
    });
    let mut expected = b"\x9c\x01\x04\xb00123456789abcdef\xa1/\x07".to_vec();
    expected.extend_from_slice(b"\x03\x92\xa1a\xa1b\x91\xa1c\xce\x00\x4c\x4b\x40\xa2r1");
    expected.extend_from_slice(b"\xd9\x23[\"e\",{\"_placeholder\":true,\"num\":0}]");
    expected.extend_from_slice(b"\x91\xc4\x02\x00\x01");
    assert_eq!(encode_message(&broadcast), expected);

    let plain = from(Operation::Broadcast {
        payload: Payload::from_values(&["e".into(), 1.into()]),
        target: Target::all(),
        request: None,
    });
    assert_eq!(
        &encode_message(&plain)[..],
        b"\x9c\x01\x04\xb00123456789abcdef\xa1/\x07\x02\x90\x90\xc0\xc0\xa7[\"e\",1]\x90"
    );

    assert_eq!(
        &encode_message(&from(Operation::Heartbeat))[..],
        b"\x95\x01\x02\xb00123456789abcdef\xa1/\x07"
    );
    let delta = from(Operation::Rooms(RoomNews::Delta {
        version: 300,
        changes: vec![NamespaceRooms {
            namespace: "/n".into(),
            sockets: 2,
            rooms: vec![("r".into(), 1), ("gone".into(), 0)],
        }],
    }));
    assert_eq!(
        &encode_message(&delta)[..],
        b"\x97\x01\x10\xb00123456789abcdef\xa1/\x07\xcd\x01\x2c\x91\x93\xa2/n\x02\x82\xa1r\x01\xa4gone\x00"
    );

    let ack = answer(ResponseBody::Ack {
        socket: Some("s1".into()),
        payload: Payload::from_values(&[true.into()]),
    });
    assert_eq!(
        &encode_response(&ack)[..],
        b"\x98\x01\x20\xb00123456789abcdef\xa1/\xa2r1\xa2s1\xa6[true]\x90"
    );
    let sockets = answer(ResponseBody::Sockets(vec![SocketSnapshot {
        id: "s1".into(),
        handshake: Value::Object(vec![("secure".to_owned(), false.into())]).into(),
        rooms: vec!["s1".into()],
        data: Value::Null,
    }]));
    assert_eq!(
        &encode_response(&sockets)[..],
        b"\x96\x01\x23\xb00123456789abcdef\xa1/\xa2r1\x91\x94\xa2s1\x81\xa6secure\xc2\x91\xa2s1\xc0"
    );
    assert_eq!(&encode_probe(&"n".into(), 1)[..], b"\x94\x01\x00\xa1n\x01");
}

/// A message with a trace is the same with an element more, which older versions skip as
/// `what_a_later_version_adds_is_ignored` shows.
#[test]
fn a_trace_is_one_more_element_behind_the_others() {
    let plain = from(Operation::Heartbeat);
    let [bare, with_state] = traces();
    let traced = |trace| ClusterMessage {
        trace,
        ..plain.clone()
    };
    let parent = b"\xd9\x3700-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let head = b"\x96\x01\x02\xb00123456789abcdef\xa1/\x07\x92";
    let bytes = [&head[..], parent, b"\xc0"].concat();
    assert_eq!(encode_message(&traced(bare.clone())), bytes);
    assert_eq!(decode(&bytes.into()), Ok(Decoded::Message(traced(bare))));
    let bytes = [&head[..], parent, b"\xb1congo=t61rcWkgMzE"].concat();
    let traced = traced(with_state);
    assert_eq!(encode_message(&traced), bytes);
    assert_eq!(decode(&bytes.into()), Ok(Decoded::Message(traced)));
}

#[test]
fn a_malformed_trace_is_no_trace() {
    let plain = Decoded::Message(from(Operation::Heartbeat));
    let [bare, _] = traces();
    let traced = Decoded::Message(ClusterMessage {
        trace: bare,
        ..from(Operation::Heartbeat)
    });
    let parent = Value::from("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let array = Value::Array;
    for (trace, expected) in [
        (Value::Null, &plain),
        (parent.clone(), &plain),
        (array(vec![]), &plain),
        (array(vec!["00-0-0-01".into(), Value::Null]), &plain),
        (array(vec![Value::Bytes("00".into())]), &plain),
        (array(vec![7.into(), "a=b".into()]), &plain),
        // The state is worth less than the rest.
        (array(vec![parent.clone()]), &traced),
        (array(vec![parent.clone(), "no state".into()]), &traced),
        (array(vec![parent.clone(), 7.into()]), &traced),
        (array(vec![parent, Value::Null, "later".into()]), &traced),
    ] {
        let mut elements = elements(&encode_message(&from(Operation::Heartbeat)));
        elements.push(trace.clone());
        let bytes = msgpack::encode(&Value::Array(elements)).into();
        assert_eq!(decode(&bytes).as_ref(), Ok(expected), "{trace:?}");
    }
}

/// Each kind has its number; nobody may use one twice or change one.
#[test]
fn each_kind_has_its_number() {
    let target = Target::all;
    let request = || RequestId::from("r");
    let payload = Payload::empty;
    let operations = [
        (1, Operation::InitialHeartbeat),
        (2, Operation::Heartbeat),
        (3, Operation::Close),
        (
            4,
            Operation::Broadcast {
                payload: payload(),
                target: target(),
                request: None,
            },
        ),
        (
            5,
            Operation::Join {
                target: target(),
                rooms: vec![],
            },
        ),
        (
            6,
            Operation::Leave {
                target: target(),
                rooms: vec![],
            },
        ),
        (
            7,
            Operation::Disconnect {
                target: target(),
                close: true,
            },
        ),
        (
            8,
            Operation::FetchSockets {
                target: target(),
                request: request(),
            },
        ),
        (
            9,
            Operation::ServerSideEmit {
                payload: payload(),
                request: None,
            },
        ),
        (
            10,
            Operation::ListSockets {
                target: target(),
                request: request(),
            },
        ),
        (11, Operation::ListRooms { request: request() }),
        (12, Operation::ListNodes { request: request() }),
        (
            16,
            Operation::Rooms(RoomNews::Delta {
                version: 1,
                changes: vec![],
            }),
        ),
        (
            17,
            Operation::Rooms(RoomNews::Snapshot {
                version: 1,
                part: 0,
                parts: 1,
                rooms: vec![],
            }),
        ),
        (
            18,
            Operation::Rooms(RoomNews::Digest {
                version: 1,
                hash: u64::MAX,
            }),
        ),
        (19, Operation::Rooms(RoomNews::Resend { of: "n".into() })),
        (20, Operation::Rooms(RoomNews::Withheld)),
    ];
    for (number, operation) in operations {
        let bytes = encode_message(&from(operation));
        assert_eq!(elements(&bytes)[..2], [1.into(), number.into()]);
    }
    let bodies = [
        (
            32,
            ResponseBody::Ack {
                socket: None,
                payload: payload(),
            },
        ),
        (
            33,
            ResponseBody::Recipients {
                count: 0,
                sockets: vec![],
            },
        ),
        (34, ResponseBody::ServerSideEmit(payload())),
        (35, ResponseBody::Sockets(vec![])),
        (36, ResponseBody::SocketIds(vec![])),
        (37, ResponseBody::Rooms(vec![])),
        (38, ResponseBody::Nodes(vec![])),
    ];
    for (number, body) in bodies {
        let bytes = encode_response(&answer(body));
        assert_eq!(elements(&bytes)[..2], [1.into(), number.into()]);
    }
}

#[test]
fn what_is_unknown_is_skipped() {
    for kind in [13, 31, 39, 63] {
        let mut unknown = elements(&encode_message(&from(Operation::Heartbeat)));
        unknown[1] = kind.into();
        unknown[4] = "r".into();
        if kind < 32 {
            unknown[4] = 8.into();
        }
        let bytes = msgpack::encode(&Value::Array(unknown)).into();
        assert_eq!(decode(&bytes), Ok(Decoded::Skip), "kind {kind}");
    }
    let bytes = msgpack::encode(&Value::Array(vec![1.into(), 64.into(), Value::Null])).into();
    assert_eq!(decode(&bytes), Ok(Decoded::Skip));
    let bytes = msgpack::encode(&Value::Array(vec![2.into(), 2.into()])).into();
    assert_eq!(decode(&bytes), Err(WireError::Member("version")));
}

#[test]
fn unknown_flags_are_ignored() {
    let target = Target::all();
    let close = from(Operation::Disconnect {
        target,
        close: false,
    });
    let mut bits = elements(&encode_message(&close));
    assert_eq!(bits[5], 2.into());
    bits[5] = (1u64 << 40 | 2).into();
    let bytes = msgpack::encode(&Value::Array(bits)).into();
    assert_eq!(decode(&bytes), Ok(Decoded::Message(close)));
}

#[test]
fn payloads_share_the_memory_of_the_message() {
    let image = Bytes::from(vec![7; 1000]);
    let message = from(Operation::Broadcast {
        payload: Payload::from_values(&["image".into(), Value::Bytes(image)]),
        target: Target::all(),
        request: None,
    });
    let bytes = encode_message(&message);
    let Ok(Decoded::Message(ClusterMessage {
        operation: Operation::Broadcast { payload, .. },
        ..
    })) = decode(&bytes)
    else {
        panic!("no broadcast");
    };
    let memory = bytes.as_ptr_range();
    for part in [payload.json().as_bytes(), &payload.attachments()[0][..]] {
        assert!(memory.contains(&part.as_ptr()));
    }
}

/// A broadcast as it would be, with this text for its payload.
fn with_json(json: &str, attachments: usize) -> Result<Decoded, WireError> {
    let message = from(Operation::ServerSideEmit {
        payload: Payload::empty(),
        request: None,
    });
    let mut elements = elements(&encode_message(&message));
    elements[6] = json.into();
    elements[7] = Value::Array(vec![Value::Bytes("x".into()); attachments]);
    decode(&msgpack::encode(&Value::Array(elements)).into())
}

#[test]
fn a_payload_that_would_spoil_clients_is_refused() {
    assert!(with_json(r#"["a",1]"#, 0).is_ok());
    assert_eq!(with_json("{}", 0), Err(WireError::Member("payload")));
    assert_eq!(
        with_json("[1", 0),
        Err(WireError::Json(JsonError::Syntax(2)))
    );
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    assert_eq!(
        with_json(&deep, 0),
        Err(WireError::Json(JsonError::TooDeep))
    );
    let placeholder = r#"["a",{"_placeholder":true,"num":1}]"#;
    assert!(with_json(placeholder, 2).is_ok());
    assert_eq!(
        with_json(placeholder, 1),
        Err(WireError::Member("attachments"))
    );
}

#[test]
fn a_claimed_length_reserves_nothing() {
    for header in [&b"\xdd\xff\xff\xff\xff"[..], b"\xdf\xff\xff\xff\xff"] {
        // A delta whose counts, and a message whose elements, claim to be four billion.
        let head = b"\x97\x01\x10\xa1n\xa1/\xc0\x01".as_slice();
        let truncated = decode(&[head, header].concat().into());
        assert!(truncated.is_err());
        let inside = [head, b"\x91\x93\xa1/\x01", header].concat();
        assert!(decode(&inside.into()).is_err());
        assert!(decode(&header.to_vec().into()).is_err());
    }
    assert_eq!(
        decode(&Bytes::new()),
        Err(WireError::MessagePack(MessagePackError::Truncated))
    );
}

#[test]
fn long_lists_of_rooms_survive() {
    let rooms: SmallVec<[Room; 1]> = (0..70_000).map(Room::from).collect();
    let message = from(Operation::Join {
        target: Target {
            rooms: rooms.clone(),
            ..Target::all()
        },
        rooms: rooms.into_vec(),
    });
    assert_eq!(decoded(&message), Ok(Decoded::Message(message)));
}
