//! What the tests of the formats share: captured messages, and any message. It panics, because it is test support.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Decoded, Encoded};
use crate::cluster::{ClusterMessage, ClusterResponse, Operation, ResponseBody, SocketSnapshot};
use crate::fuzz;
use crate::ids::{NodeId, RequestId, Room, SocketId};
use crate::payload::Payload;
use crate::target::{Flags, Target};
use crate::trace::{self, TraceContext};
use crate::value::{self, Value};

/// A message that Node.js sent, and what it did to send it.
pub(super) struct Captured {
    pub(super) step: &'static str,
    pub(super) wire: Encoded,
}

/// Lines of a step, a channel, and text or hexadecimal digits.
pub(super) fn captured(lines: &'static str) -> Vec<Captured> {
    let line = |line: &'static str| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().expect("four words");
        let (step, channel, form, content) = (word(), word(), word(), word());
        let payload = match form {
            "text" => content.into(),
            _ => unhex(content),
        };
        Captured {
            step,
            wire: Encoded {
                channel: channel.to_owned(),
                payload,
            },
        }
    };
    lines.lines().map(line).collect()
}

/// What the messages of a step mean.
pub(super) fn step(
    lines: &'static str,
    name: &str,
    decode: impl Fn(&Captured) -> Decoded,
) -> Vec<Decoded> {
    let captured = captured(lines);
    let found = captured.iter().filter(|captured| captured.step == name);
    found.map(decode).collect()
}

/// What the first message of a step asks for.
pub(super) fn operation(step: Vec<Decoded>) -> Operation {
    match step.into_iter().next() {
        Some(Decoded::Message(message)) => message.operation,
        other => panic!("{other:?}"),
    }
}

/// The answers of a step.
pub(super) fn bodies(step: Vec<Decoded>) -> Vec<ResponseBody> {
    let body = |decoded| match decoded {
        Decoded::Response(response) => Some(response.body),
        _ => None,
    };
    step.into_iter().filter_map(body).collect()
}

pub(super) fn unhex(digits: &str) -> Bytes {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    pairs.map(byte).collect::<Vec<_>>().into()
}

/// Changes a byte, cuts, and lets `fuzz::node_wire` look at it on all channels; `form` is the lowest
/// bit of its mode.
pub(super) fn spoil(bytes: &[u8], at: Index, byte: u8, end: Index, form: u8) {
    let mut changed = bytes.to_vec();
    changed[at.index(bytes.len())] = byte;
    for bytes in [bytes, &changed, &changed[..end.index(bytes.len())]] {
        for channel in 0..5 {
            fuzz::node_wire(&[&[channel << 1 | form], bytes].concat());
        }
    }
}

/// The payload of a name and these arguments, as JSON.
pub(super) fn payload(json: &'static str) -> Payload {
    Payload::from_json(json.into(), Vec::new()).expect("a payload")
}

fn name() -> impl Strategy<Value = String> + Clone {
    let names = vec![
        "r1",
        "r2",
        "7",
        "",
        "#",
        "a#b",
        "\"ü*",
        "abcdefghijklmnopqrst",
        "😀",
    ];
    prop::sample::select(names).prop_map(str::to_owned)
}

fn rooms() -> impl Strategy<Value = Vec<Room>> {
    prop::collection::hash_set(name().prop_map(Room::from), 0..12)
        .prop_map(|rooms| rooms.into_iter().collect())
}

fn target() -> impl Strategy<Value = Target> {
    let timeout = prop::option::of((0..1u64 << 53).prop_map(Duration::from_millis));
    (rooms(), rooms(), any::<[bool; 4]>(), timeout).prop_map(|(rooms, except, flags, timeout)| {
        let [volatile, compress, broadcast, expect_single_response] = flags;
        Target {
            rooms: rooms.into_iter().collect(),
            except: except.into_iter().collect(),
            flags: Flags {
                volatile,
                compress,
                local: false,
                broadcast,
                expect_single_response,
                timeout,
            },
        }
    })
}

fn event() -> impl Strategy<Value = Payload> {
    (name(), prop::collection::vec(value::arbitrary(), 0..4)).prop_map(|(name, arguments)| {
        let values: Vec<Value> = std::iter::once(name.into()).chain(arguments).collect();
        Payload::from_values(&values)
    })
}

fn request() -> impl Strategy<Value = RequestId> {
    prop::sample::select(vec!["DFC7SG", "2a2d3f66c1e82900", "\"é"]).prop_map(RequestId::from)
}

/// Any message of the namespace of which an answer may come from anybody.
pub(super) fn message() -> impl Strategy<Value = ClusterMessage> {
    let maybe = || prop::option::of(request());
    let operation = prop_oneof![
        3 => (event(), target(), maybe()).prop_map(|(payload, target, request)| {
            Operation::Broadcast { payload, target, request }
        }),
        1 => (target(), rooms()).prop_map(|(target, rooms)| Operation::Join { target, rooms }),
        1 => (target(), rooms()).prop_map(|(target, rooms)| Operation::Leave { target, rooms }),
        1 => (target(), any::<bool>())
            .prop_map(|(target, close)| Operation::Disconnect { target, close }),
        1 => (target(), request())
            .prop_map(|(target, request)| Operation::FetchSockets { target, request }),
        1 => (target(), request())
            .prop_map(|(target, request)| Operation::ListSockets { target, request }),
        1 => request().prop_map(|request| Operation::ListRooms { request }),
        1 => (event(), maybe())
            .prop_map(|(payload, request)| Operation::ServerSideEmit { payload, request }),
    ];
    (namespace(), trace(), operation).prop_map(|(namespace, trace, operation)| ClusterMessage {
        node: NodeId::foreign("90cd04874bb430dd"),
        namespace: namespace.into(),
        sequence: None,
        trace,
        operation,
    })
}

/// What a message may have of a trace.
pub(super) fn trace() -> impl Strategy<Value = Option<Box<TraceContext>>> + Clone {
    prop::option::of(trace::tests::arbitrary().prop_map(Box::new))
}

/// The example of W3C's recommendation, with and without what vendors say.
pub(super) fn traces() -> [Option<Box<TraceContext>>; 2] {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    [None, Some("congo=t61rcWkgMzE")].map(|state| {
        let context = TraceContext::parse(parent, state).expect("valid");
        Some(Box::new(context))
    })
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/", "/admin", "/odd name,#*", "/a#b"])
}

fn snapshot() -> impl Strategy<Value = SocketSnapshot> {
    let socket = (name(), value::arbitrary(), rooms(), value::arbitrary());
    socket.prop_map(|(id, handshake, rooms, data)| SocketSnapshot {
        id: SocketId::from(id),
        handshake: handshake.into(),
        rooms,
        data,
    })
}

/// Any answer that says no more than Node.js has words for.
pub(super) fn response() -> impl Strategy<Value = ClusterResponse> {
    let argument = || {
        prop::collection::vec(value::arbitrary(), 0..2)
            .prop_map(|values| Payload::from_values(&values))
    };
    let ids = prop::collection::vec(name().prop_map(SocketId::from), 1..4);
    let body = prop_oneof![
        argument().prop_map(|payload| ResponseBody::Ack {
            socket: None,
            payload,
        }),
        any::<u64>().prop_map(|count| ResponseBody::Recipients {
            count,
            sockets: Vec::new(),
        }),
        argument().prop_map(ResponseBody::ServerSideEmit),
        prop::collection::vec(snapshot(), 0..3).prop_map(ResponseBody::Sockets),
        ids.prop_map(ResponseBody::SocketIds),
        rooms().prop_map(ResponseBody::Rooms),
    ];
    (namespace(), request(), body).prop_map(|(namespace, request, body)| ClusterResponse {
        node: None,
        namespace: namespace.into(),
        request,
        body,
    })
}
