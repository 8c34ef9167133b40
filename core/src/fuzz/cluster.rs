//! What nodes tell each other.

use bytes::Bytes;

use crate::cluster::wire::python::{DEFAULT_CHANNEL, Python, PythonConfig};
use crate::cluster::wire::{Classic, Decoded, Sharded, ShardedMode, native};
use crate::cluster::{ClusterResponse, Operation, ResponseBody};
use crate::ids::NodeId;
use crate::payload::Payload;
use crate::trace::TraceContext;

/// A header and, behind a line feed, the one beside it. What is accepted is short, and the same
/// when it is read again.
///
/// # Panics
/// If that does not hold.
pub fn trace_context(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (parent, state) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(context) = TraceContext::parse(parent, Some(state)) {
        let (parent, state) = (context.traceparent(), context.tracestate());
        assert!(parent.as_str().len() == 55 && state.is_none_or(|state| state.len() <= 512));
        assert!(state.is_none_or(|state| state.is_ascii() && state.contains('=')));
        assert_eq!(TraceContext::parse(parent.as_str(), state), Ok(context));
    }
}

/// What is read can be handed on, and an answer can be written to each question.
///
/// # Panics
/// If that does not hold.
pub fn python_wire(data: &[u8]) {
    let codec = Python::new(&NodeId::emitter(), PythonConfig::listen());
    let decoded = codec.decode(DEFAULT_CHANNEL, &Bytes::copy_from_slice(data));
    let Ok(Decoded::Message(message)) = decoded else {
        return;
    };
    assert!(Python::answers(&message.node));
    if let Operation::Broadcast { payload, .. } = &message.operation {
        assert!(payload.event_name().is_some());
        assert!(payload.to_values().is_ok());
    }
    if let Some(request) = message.operation.request() {
        let answer = codec.encode_response(&ClusterResponse {
            node: None,
            namespace: message.namespace.clone(),
            request: request.clone(),
            body: ResponseBody::Ack {
                socket: None,
                payload: Payload::empty(),
            },
        });
        assert!(answer.is_ok_and(|answer| answer.messages.len() == 1));
    }
    assert!(codec.encode(&message).is_ok());
}

/// What is read is read again from its own encoding, and that is not much longer: a message takes
/// memory in proportion to its bytes.
///
/// # Panics
/// If that does not hold.
pub fn cluster_native(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let again = match native::decode(&bytes) {
        Ok(Decoded::Message(message)) => native::encode_message(&message),
        Ok(Decoded::Response(response)) => native::encode_response(&response),
        Ok(Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip) | Err(_) => return,
    };
    // Numbers and lengths are written in their shortest form; what grows is text that was no
    // UTF-8, dates and unknown extensions inside of handshakes.
    assert!(again.len() <= 32 * data.len());
    let decoded = native::decode(&again);
    let twice = match decoded {
        Ok(Decoded::Message(message)) => native::encode_message(&message),
        Ok(Decoded::Response(response)) => native::encode_response(&response),
        other => panic!("not read again: {other:?}"),
    };
    // Compared as bytes, since a NaN is not equal to itself.
    assert_eq!(twice, again);
}

/// What is read from a message of Node.js is not much larger than it, and is read again from its
/// own encoding, as far as that goes.
///
/// # Panics
/// If that does not hold.
pub fn node_wire(data: &[u8]) {
    const CHANNELS: [&str; 5] = [
        "io#/#",
        "io#/#r#",
        "io-request#/#",
        "io-response#/#",
        "io#/#1#",
    ];
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let (me, other) = (NodeId::from("1"), NodeId::from("2"));
    let classic = |me: &NodeId| Classic::new("io", me.clone());
    let sharded = |me: &NodeId| Sharded::new("io", ShardedMode::Dynamic, me.clone());
    let channel = CHANNELS[usize::from(mode >> 1) % CHANNELS.len()];
    let decode = |channel: &str, bytes: &Bytes| {
        if mode & 1 == 0 {
            classic(&me).decode(channel, bytes, |_, _| true)
        } else {
            sharded(&me).decode(channel, bytes, |_, _| true)
        }
    };
    let encode = |decoded: &Decoded| match decoded {
        Decoded::Message(message) if mode & 1 == 0 => classic(&other).encode(message, false),
        Decoded::Message(message) => sharded(&other).encode(message, false),
        Decoded::Response(response) if mode & 1 == 0 => {
            classic(&other).encode_response(&me, response)
        }
        Decoded::Response(response) => sharded(&other).encode_response(&me, response),
        Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip => Ok(None),
    };
    let Ok(decoded) = decode(channel, &Bytes::copy_from_slice(data)) else {
        return;
    };
    if let Decoded::Message(message) = &decoded {
        let payload = match &message.operation {
            Operation::Broadcast { payload, .. } | Operation::ServerSideEmit { payload, .. } => {
                assert!(payload.event_name().is_some());
                payload
            }
            _ => &Payload::empty(),
        };
        assert!(payload.to_values().is_ok());
        assert!(payload.len() <= 24 * data.len() + 2);
    }
    let Ok(Some(mut wire)) = encode(&decoded) else {
        return;
    };
    // Names may be written as `\u0000` again, sets and names of nodes are filled in.
    assert!(wire.payload.len() <= 32 * data.len() + 256);
    // What has no place in one of the forms is lost at once, and nothing more with time.
    let mut stable = false;
    for _ in 0..2 {
        let again = decode(&wire.channel, &wire.payload).expect("readable");
        let again = encode(&again).expect("encodable").expect("representable");
        stable = again == wire;
        wire = again;
    }
    assert!(stable);
}
