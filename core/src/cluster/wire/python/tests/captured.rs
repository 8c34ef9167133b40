//! Lines that python-socketio 5.18.1 published, read, and written by us.

use super::*;

fn plain(event: &str, data: &[Value]) -> Payload {
    let mut values = vec![Value::from(event)];
    values.extend_from_slice(data);
    Payload::from_values(&values)
}

fn object(members: &[(&str, Value)]) -> Value {
    members.iter().cloned().collect()
}

/// Each capture with the message that it is, both ways.
fn golden(json: &str, namespace: &str, operation: Operation) {
    let json = json.replace("HOST", HOST);
    let read = message(&json);
    assert_eq!(read.node, NodeId::foreign(&format!("py:{HOST}")));
    assert_eq!(read.namespace, namespace);
    assert_eq!(read.sequence, None);
    // Python writes blanks, which pass through.
    match (&read.operation, &operation) {
        (
            Operation::Broadcast {
                payload: read,
                target: read_target,
                request: None,
            },
            Operation::Broadcast {
                payload, target, ..
            },
        ) => {
            assert_eq!(read.to_values(), payload.to_values(), "{json}");
            assert_eq!(read.attachments(), payload.attachments(), "{json}");
            assert_eq!(read_target, target, "{json}");
        }
        (read, operation) => assert_eq!(read, operation, "{json}"),
    }
    let written = node().encode(&say(namespace, operation)).expect("encoded");
    assert!(written.limits.is_empty());
    assert_same_json(&line(&written), &json);
}

fn emit(payload: Payload, target: Target) -> Operation {
    Operation::Broadcast {
        payload,
        target,
        request: None,
    }
}

#[test]
fn emits() {
    golden(
        r#"{"method": "emit", "event": "note", "data": ["hello"], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "host_id": "HOST"}"#,
        "/",
        emit(plain("note", &["hello".into()]), Target::all()),
    );
    golden(
        r#"{"method": "emit", "event": "note", "data": [{"a": 1, "u": "\u00e9\u2603"}], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "host_id": "HOST"}"#,
        "/",
        emit(
            plain("note", &[object(&[("a", 1.into()), ("u", "é☃".into())])]),
            Target::all(),
        ),
    );
    golden(
        r#"{"method": "emit", "event": "note", "data": ["hi"], "binary": false, "namespace": "/", "room": "lobby", "skip_sid": ["ziqzMzMDFL9Yum9PAAAB", "ziqzMzMDFL9Yum9PAAAC"], "callback": null, "host_id": "HOST"}"#,
        "/",
        emit(
            plain("note", &["hi".into()]),
            Target::room("lobby")
                .except("ziqzMzMDFL9Yum9PAAAB")
                .except("ziqzMzMDFL9Yum9PAAAC"),
        ),
    );
    golden(
        r#"{"method": "emit", "event": "note", "data": ["hi"], "binary": false, "namespace": "/", "room": ["a", "b"], "skip_sid": null, "callback": null, "host_id": "HOST"}"#,
        "/",
        emit(plain("note", &["hi".into()]), Target::room("a").to("b")),
    );
    golden(
        r#"{"method": "emit", "event": "note", "data": ["hi"], "binary": false, "namespace": "/chat", "room": null, "skip_sid": null, "callback": null, "host_id": "HOST"}"#,
        "/chat",
        emit(plain("note", &["hi".into()]), Target::all()),
    );
    // Flask-SocketIO
    golden(
        r#"{"method": "emit", "event": "progress", "data": [{"pct": 10}], "binary": false, "namespace": "/jobs", "room": "user-7", "skip_sid": null, "callback": null, "host_id": "HOST"}"#,
        "/jobs",
        emit(
            plain("progress", &[object(&[("pct", 10.into())])]),
            Target::room("user-7"),
        ),
    );
}

#[test]
fn emits_with_bytes() {
    let b = |bytes: &'static [u8]| Value::from(Bytes::from_static(bytes));
    let cases = [
        (
            r#"[[{"_placeholder": true, "num": 0}], "AAEC/w=="]"#,
            vec![b(b"\x00\x01\x02\xff")],
        ),
        (
            r#"[[{"k": {"_placeholder": true, "num": 0}, "l": [{"_placeholder": true, "num": 1}, 3]}], "AQ==", "Ag=="]"#,
            vec![object(&[
                ("k", b(b"\x01")),
                ("l", vec![b(b"\x02"), 3.into()].into()),
            ])],
        ),
        (
            r#"[[{"_placeholder": true, "num": 0}, {"x": {"_placeholder": true, "num": 1}}], "AQ==", "Ag=="]"#,
            vec![b(b"\x01"), object(&[("x", b(b"\x02"))])],
        ),
        (
            r#"[[[{"_placeholder": true, "num": 0}, {"_placeholder": true, "num": 1}]], "AQ==", "Ag=="]"#,
            vec![vec![b(b"\x01"), b(b"\x02")].into()],
        ),
    ];
    for (data, arguments) in cases {
        golden(
            &format!(
                r#"{{"method": "emit", "event": "bin", "data": {data}, "binary": true, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "host_id": "HOST"}}"#
            ),
            "/",
            emit(plain("bin", &arguments), Target::all()),
        );
    }
}

#[test]
fn rooms_and_disconnects() {
    let vip = || vec![Room::from("vip")];
    golden(
        r#"{"method": "disconnect", "sid": "ziqzMzMDFL9Yum9PAAAB", "namespace": "/chat", "host_id": "HOST"}"#,
        "/chat",
        Operation::Disconnect {
            target: Target::room(SID),
            close: false,
        },
    );
    golden(
        r#"{"method": "enter_room", "sid": "ziqzMzMDFL9Yum9PAAAB", "room": "vip", "namespace": "/", "host_id": "HOST"}"#,
        "/",
        Operation::Join {
            target: Target::room(SID),
            rooms: vip(),
        },
    );
    golden(
        r#"{"method": "leave_room", "sid": "ziqzMzMDFL9Yum9PAAAB", "room": "vip", "namespace": "/", "host_id": "HOST"}"#,
        "/",
        Operation::Leave {
            target: Target::room(SID),
            rooms: vip(),
        },
    );
    golden(
        r#"{"method": "close_room", "room": "vip", "namespace": "/", "host_id": "HOST"}"#,
        "/",
        Operation::Leave {
            target: Target::room("vip"),
            rooms: vip(),
        },
    );
}

#[test]
fn data_of_all_json_versions() {
    // From 5.15.1 on.
    assert_eq!(arguments(r#"["hello"]"#, ""), ["hello".into()]);
    assert_eq!(arguments("[null]", ""), []);
    assert_eq!(arguments("[]", ""), []);
    assert_eq!(
        arguments(r#"[[1, "two"]]"#, ""),
        [vec![Value::from(1), "two".into()].into()]
    );
    assert_eq!(arguments(r#"[1, "two"]"#, ""), [1.into(), "two".into()]);
    // 5.14.0 to 5.15.0.
    assert_eq!(arguments(r#""hello""#, ""), ["hello".into()]);
    assert_eq!(arguments("null", ""), []);
    assert_eq!(arguments("0", ""), [0.into()]);
    assert_eq!(arguments(r#"{"a": 1}"#, ""), [object(&[("a", 1.into())])]);
    assert_eq!(
        arguments(
            r#"[{"_placeholder": true, "num": 0}, "AAEC/w=="]"#,
            r#", "binary": true"#
        ),
        [Value::from(Bytes::from_static(b"\x00\x01\x02\xff"))]
    );
    // What looks like a placeholder is one only beside attachments.
    assert_eq!(
        arguments(
            r#"[{"_placeholder": true, "num": 0}]"#,
            r#", "binary": false"#
        ),
        [object(&[("_placeholder", true.into()), ("num", 0.into())])]
    );
}

#[test]
fn callbacks_from_python() {
    let (payload, target, request) = broadcast(
        r#"{"method": "emit", "event": "ask", "data": ["x", 2], "binary": false, "namespace": "/", "room": "ziqzMzMDFL9Yum9PAAAB", "skip_sid": null, "callback": ["ziqzMzMDFL9Yum9PAAAB", "/", 1], "host_id": "083c0f48083c0f48083c0f48083c0f48"}"#,
    );
    assert_eq!(payload.json(), r#"["ask","x", 2]"#);
    assert_eq!(target.rooms.as_slice(), [Room::from(SID)]);
    assert!(target.flags.expect_single_response);
    let answer = ClusterResponse {
        node: Some(NodeId::from("00c0ffee00c0ffee")),
        namespace: "/".into(),
        request: request.expect("a callback"),
        body: ResponseBody::Ack {
            socket: Some(SocketId::from(SID)),
            payload: plain("answer", &[object(&[("n", 1.into())])]),
        },
    };
    let written = node().encode_response(&answer).expect("encoded");
    assert!(written.limits.is_empty());
    assert_same_json(
        &line(&written),
        r#"{"method": "callback", "host_id": "083c0f48083c0f48083c0f48083c0f48", "sid": "ziqzMzMDFL9Yum9PAAAB", "namespace": "/", "id": 1, "args": ["answer", {"n": 1}]}"#,
    );
    let counted = ClusterResponse {
        body: ResponseBody::Recipients {
            count: 1,
            sockets: Vec::new(),
        },
        ..answer
    };
    let written = node().encode_response(&counted).expect("encoded");
    assert_eq!(written, Translated::default(), "nobody asks how many");
}

#[test]
fn callbacks_to_python() {
    let ask = Operation::Broadcast {
        payload: plain("ask", &["x".into(), 2.into()]),
        target: Target::room(SID),
        request: Some(RequestId::from("0123456789abcdef")),
    };
    let written = encode(ask);
    assert!(written.limits.is_empty());
    assert_same_json(
        &line(&written),
        &format!(
            r#"{{"method": "emit", "event": "ask", "data": ["x", 2], "binary": false, "namespace": "/", "room": "{SID}", "skip_sid": null, "callback": ["{SID}", "/", "0123456789abcdef"], "host_id": "{HOST}"}}"#
        ),
    );
    let answer = |host: &str| {
        format!(
            r#"{{"method": "callback", "host_id": "{host}", "sid": "{SID}", "namespace": "/", "id": "0123456789abcdef", "args": ["answer", {{"n": 1}}]}}"#
        )
    };
    let me = node();
    let Ok(Decoded::Response(response)) = read(&me, &answer(me.host_id())) else {
        panic!("not read");
    };
    assert_eq!(response.node, None);
    assert_eq!(response.namespace, "/");
    assert_eq!(response.request, RequestId::from("0123456789abcdef"));
    let ResponseBody::Ack { socket, payload } = response.body else {
        panic!("no acknowledgement");
    };
    assert_eq!(socket, None);
    assert_eq!(payload.json(), r#"["answer", {"n": 1}]"#);
    // Of another asker, be it one of ours.
    let other = Python::new(&NodeId::generate(), PythonConfig::listen());
    assert_eq!(read(&me, &answer(HOST)), Ok(Decoded::Skip));
    assert_eq!(read(&me, &answer(other.host_id())), Ok(Decoded::Skip));
}

#[test]
fn an_answer_repeats_the_question_literally() {
    // A number as room, and an id that no integer of ours holds.
    let (_, target, request) = broadcast(
        r#"{"method":"emit","event":"ask","data":[],"namespace":"/","room":5,"callback":[5,"/\u00e9",123456789012345678901234567890],"host_id":"h \" ]"}"#,
    );
    assert_eq!(target.rooms.as_slice(), [Room::from("5")]);
    let answer = ClusterResponse {
        node: None,
        namespace: "/".into(),
        request: request.expect("a callback"),
        body: ResponseBody::Ack {
            socket: None,
            payload: Payload::empty(),
        },
    };
    let written = node().encode_response(&answer).expect("encoded");
    assert_eq!(
        line(&written),
        r#"{"method":"callback","host_id":"h \" ]","sid":5,"namespace":"/\u00e9","id":123456789012345678901234567890,"args":[]}"#
    );
}

#[test]
fn an_answer_goes_to_the_channel_of_the_question() {
    let config = PythonConfig::listen().channels(["socketio", "flask-socketio", "socketio"]);
    let codec = Python::new(&NodeId::generate(), config);
    assert_eq!(codec.channels(), ["socketio", "flask-socketio"]);
    let question = format!(
        r#"{{"method":"emit","event":"e","data":[],"namespace":"/","room":"r","callback":["r","/",1],"host_id":"{HOST}"}}"#
    );
    let channels = ["flask-socketio", "socketio"];
    for channel in channels {
        let Ok(Decoded::Message(message)) = codec.decode(channel, &question.clone().into()) else {
            panic!("not read");
        };
        assert!(Python::answers(&message.node));
        let answer = ClusterResponse {
            node: None,
            namespace: message.namespace.clone(),
            request: message.operation.request().expect("a request").clone(),
            body: ResponseBody::Ack {
                socket: None,
                payload: Payload::empty(),
            },
        };
        let written = codec.encode_response(&answer).expect("encoded");
        assert_eq!(written.messages[0].channel, channel);
        // Not where nobody of ours is.
        let elsewhere = node().encode_response(&answer);
        assert_eq!(elsewhere.is_ok(), channel == "socketio");
    }
    assert!(!Python::answers(&NodeId::generate()));
    assert!(!Python::answers(&NodeId::foreign("GgE0Qy")));
}

#[test]
fn bytes_in_acknowledgements() {
    let ask = |host: &str| {
        broadcast(&format!(
            r#"{{"method":"emit","event":"e","data":[],"namespace":"/","room":"r","callback":["r","/","77"],"host_id":"{host}"}}"#
        ))
        .2
        .expect("a request")
    };
    let answer = |request: RequestId| ClusterResponse {
        node: None,
        namespace: "/".into(),
        request,
        body: ResponseBody::Ack {
            socket: None,
            payload: Payload::args(&("ok", Bytes::from_static(b"\x01"))).expect("encoded"),
        },
    };
    // No version of Python can read them.
    let written = node().encode_response(&answer(ask(HOST))).expect("encoded");
    assert_eq!(
        written.limits.as_slice(),
        [Untranslatable::BinaryAcknowledgement]
    );
    assert!(line(&written).ends_with(r#","args":["ok","AQ=="]}"#));
    // Our emitters do.
    let emitter = emitter();
    let request = ask(emitter.host_id());
    let written = node().encode_response(&answer(request)).expect("encoded");
    assert!(written.limits.is_empty());
    let Ok(Decoded::Response(read)) = emitter.decode("socketio", &written.messages[0].payload)
    else {
        panic!("{written:?}");
    };
    assert_eq!(read.request, RequestId::from("77"));
    assert_eq!(read.body, answer(RequestId::from("77")).body);
}
