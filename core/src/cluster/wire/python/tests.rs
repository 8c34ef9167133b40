//! Captured lines both ways, and laws for any message.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::cluster::{Operation, ResponseBody};
use crate::ids::{RequestId, Room, SocketId};
use crate::payload::Payload;
use crate::target::{Flags, Target};
use crate::value::{self, Value};

mod captured;
mod enveloped;
mod hostile;
mod laws;

const HOST: &str = "75c9d02b4a1e4d3c9c1f2a3b4c5df556";
const SID: &str = "ziqzMzMDFL9Yum9PAAAB";

fn node() -> Python {
    Python::new(&NodeId::from("00c0ffee00c0ffee"), PythonConfig::member())
}

fn emitter() -> Python {
    Python::new(&NodeId::emitter(), PythonConfig::listen())
}

fn read(codec: &Python, json: &str) -> Result<Decoded, WireError> {
    codec.decode("socketio", &Bytes::copy_from_slice(json.as_bytes()))
}

fn message(json: &str) -> ClusterMessage {
    match read(&node(), json) {
        Ok(Decoded::Message(message)) => message,
        other => panic!("{json}: {other:?}"),
    }
}

fn broadcast(json: &str) -> (Payload, Target, Option<RequestId>) {
    match message(json).operation {
        Operation::Broadcast {
            payload,
            target,
            request,
        } => (payload, target, request),
        other => panic!("{json}: {other:?}"),
    }
}

/// The contents of an `emit` whose arguments are `data`.
fn arguments(data: &str, binary: &str) -> Vec<Value> {
    let json = format!(
        r#"{{"method": "emit", "event": "e", "data": {data}{binary}, "namespace": "/", "host_id": "{HOST}"}}"#
    );
    let mut values = broadcast(&json).0.to_values().expect("it was accepted");
    assert_eq!(values.remove(0), Value::from("e"));
    values
}

fn say(namespace: &str, operation: Operation) -> ClusterMessage {
    ClusterMessage {
        node: NodeId::from("00c0ffee00c0ffee"),
        namespace: namespace.into(),
        sequence: Some(7),
        trace: None,
        operation,
    }
}

fn encode(operation: Operation) -> Translated {
    node()
        .encode(&say("/", operation))
        .expect("it can be encoded")
}

/// The only message, with the sender's id replaced by that of the captures.
fn line(translated: &Translated) -> String {
    let [encoded] = translated.messages.as_slice() else {
        panic!("{translated:?}");
    };
    assert_eq!(encoded.channel, "socketio");
    String::from_utf8(encoded.payload.to_vec())
        .expect("UTF-8")
        .replace(node().host_id(), HOST)
}

/// Both as values, in which the order of members counts.
fn assert_same_json(ours: &str, theirs: &str) {
    let parse = |text| value::parse(text, &[]).expect("JSON");
    assert_eq!(parse(ours), parse(theirs), "{ours}\n{theirs}");
}
