//! What Kombu wraps on Redis.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CHANNEL: &str = "/0.socketio";
const LINE: &str = r#"{"method": "close_room", "room": "vip", "namespace": "/", "host_id": "75c9d02b4a1e4d3c9c1f2a3b4c5df556"}"#;

/// As Kombu 5.7.0 published it.
fn captured(body: &str) -> String {
    format!(
        r#"{{"body": "{body}", "content-encoding": "utf-8", "content-type": "text/plain", "headers": {{}}, "properties": {{"delivery_mode": 2, "delivery_info": {{"exchange": "socketio", "routing_key": ""}}, "priority": 0, "body_encoding": "base64", "delivery_tag": "0b0e1f2a-5f5c-4c2c-9d0e-0a1b2c3d4e5f"}}}}"#
    )
}

#[test]
fn a_message_is_unwrapped_on_any_channel() {
    let json = captured(&STANDARD.encode(LINE));
    assert_eq!(message(&json), message(LINE));
    let bare = format!("{{\"body\":{}}}", value_of(LINE));
    assert_eq!(message(&bare), message(LINE), "a body that is plain text");
}

fn value_of(text: &str) -> String {
    Value::from(text).to_string()
}

#[test]
fn what_is_in_no_order_is_refused() {
    for json in [
        r#"{"body":5,"properties":[]}"#.to_owned(),
        r#"{"body":{},"properties":{}}"#.to_owned(),
        r#"{"body":"e30=","properties":7}"#.to_owned(),
        captured("not base64!"),
        captured(""),
        captured(&STANDARD.encode("{}")),
        captured(&STANDARD.encode([0xff, 0xfe])),
        // One envelope is enough.
        captured(&STANDARD.encode(captured(&STANDARD.encode(LINE)))),
    ] {
        let found = read(&node(), &json);
        assert!(found.is_err(), "{json}: {found:?}");
    }
    let pickle = captured(&STANDARD.encode(b"\x80\x04\x95"));
    assert_eq!(read(&node(), &pickle), Err(WireError::Pickle));
}

#[test]
fn a_member_beside_kombu_wraps_what_it_says() {
    let config = PythonConfig::member().channels([CHANNEL]);
    let node = Python::new(&NodeId::generate(), config.clone());
    let event = Operation::Leave {
        target: Target::room("vip"),
        rooms: vec![Room::from("vip")],
    };
    let wrapped = |codec: &Python| {
        let mut written = codec.encode(&say("/", event.clone())).expect("encoded");
        assert_eq!(written.messages[0].channel, CHANNEL);
        written.messages.remove(0).payload
    };
    let bytes = wrapped(&node);
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    let (ours, theirs) = (json(text), json(&captured("")));
    let names = |value: &Value| -> Vec<String> {
        let members = value.as_object().unwrap_or_default();
        members.iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(&ours), names(&theirs));
    let properties = |value: &Value| value.get("properties").cloned().unwrap_or_default();
    assert_eq!(names(&properties(&ours)), names(&properties(&theirs)));
    assert_ne!(bytes, wrapped(&node), "each has a tag of its own");
    // Nodes still know each other's, and hear emitters.
    let other = Python::new(&NodeId::generate(), config.clone());
    assert_eq!(other.decode(CHANNEL, &bytes), Ok(Decoded::Skip));
    let emitter = Python::new(&NodeId::emitter(), config);
    let heard = other.decode(CHANNEL, &wrapped(&emitter));
    let Ok(Decoded::Message(heard)) = heard else {
        panic!("{heard:?}");
    };
    assert_eq!(heard.operation, event);
}

#[test]
fn other_channels_are_not_kombus() {
    for channel in [
        "socketio",
        "/socketio",
        "/a.socketio",
        "/.socketio",
        "0.socketio",
    ] {
        let config = PythonConfig::member().channels([channel]);
        let node = Python::new(&NodeId::generate(), config);
        let event = Operation::Leave {
            target: Target::room("vip"),
            rooms: vec![Room::from("vip")],
        };
        let written = node.encode(&say("/", event)).expect("encoded");
        let bytes = &written.messages[0].payload;
        assert!(bytes.starts_with(b"{\"method\":"), "{channel}: {bytes:?}");
    }
}

fn json(text: &str) -> Value {
    value::parse(text, &[]).expect("JSON")
}
