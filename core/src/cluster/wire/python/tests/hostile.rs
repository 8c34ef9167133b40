//! What is not as it should be.

use super::*;
use crate::json::JsonError;
use crate::value::ValueError;

fn emit(members: &str) -> Result<Decoded, WireError> {
    read(
        &node(),
        &format!(r#"{{"method":"emit","host_id":"{HOST}",{members}}}"#),
    )
}

#[test]
fn our_own_messages_are_skipped() {
    let me = node();
    let other = Python::new(&NodeId::generate(), PythonConfig::member());
    for sender in [&me, &other] {
        let written = sender.encode(&say(
            "/",
            Operation::Disconnect {
                target: Target::room(SID),
                close: false,
            },
        ));
        let bytes = written.expect("encoded").messages.remove(0).payload;
        assert_eq!(me.decode("socketio", &bytes), Ok(Decoded::Skip));
        // Also when the members stand in another order.
        let first = format!(
            r#"{{"host_id":"{}","method":"disconnect","sid":"a","namespace":"/"}}"#,
            sender.host_id()
        );
        assert_eq!(read(&me, &first), Ok(Decoded::Skip));
    }
    let Ok(translated) = emitter().encode(&say(
        "/",
        Operation::Disconnect {
            target: Target::room(SID),
            close: false,
        },
    )) else {
        panic!("not encoded");
    };
    let heard = me.decode("socketio", &translated.messages[0].payload);
    assert!(matches!(heard, Ok(Decoded::Message(_))), "{heard:?}");
    assert_ne!(emitter().host_id(), emitter().host_id());
}

#[test]
fn pickles_are_refused() {
    let pickle = Bytes::from_static(b"\x80\x04\x95\x90\0\0\0\0\0\0\0}\x94(\x8c\x06method");
    let error = node().decode("socketio", &pickle).expect_err("no JSON");
    assert_eq!(error, WireError::Pickle);
    assert!(error.to_string().contains("5.15.1"), "{error}");
}

#[test]
fn numbers_that_json_does_not_have() {
    let null = Value::Null;
    assert_eq!(
        arguments("[NaN, Infinity, -Infinity, 1]", ""),
        [null.clone(), null.clone(), null.clone(), 1.into()]
    );
    // In strings the words stay.
    let text = r#"NaN \" -Infinity \\"#;
    assert_eq!(
        arguments(&format!(r#"[{{"NaN": NaN}}, "{text}"]"#), ""),
        [
            [("NaN", null)].into_iter().collect(),
            r#"NaN " -Infinity \"#.into()
        ]
    );
    // Another fault beside them stays one.
    assert!(matches!(
        emit(r#""event":"e","data":[NaN,,],"namespace":"/""#),
        Err(WireError::Json(JsonError::Syntax(_)))
    ));
    assert!(matches!(emit("Nan"), Err(WireError::Json(_))));
}

#[test]
fn big_integers_and_lone_surrogates_pass_through() {
    let (payload, target, _) = broadcast(
        r#"{"method":"emit","event":"\ud800","data":[123456789012345678901234567890,"\udfff"],"namespace":"/","room":"\ud800","host_id":"h"}"#,
    );
    assert_eq!(
        payload.json(),
        r#"["\ud800",123456789012345678901234567890,"\udfff"]"#
    );
    assert_eq!(target.rooms.as_slice(), [Room::from("\u{fffd}")]);
}

#[test]
fn names_of_rooms() {
    let target = |members: &str| match emit(&format!(
        r#""event":"e","data":[],"namespace":"/",{members}"#
    )) {
        Ok(Decoded::Message(ClusterMessage {
            operation: Operation::Broadcast { target, .. },
            ..
        })) => Ok(target),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(target(r#""room":null"#), Ok(Target::all()));
    assert_eq!(
        target(r#""room":[1,"a"],"skip_sid":"b""#),
        Ok(Target::room("1").to("a").except("b"))
    );
    assert_eq!(target(r#""room":"","skip_sid":[]"#), Ok(Target::room("")));
    // A fault of the sender does not become an event for everybody.
    for members in [
        r#""room":[]"#,
        r#""room":[null]"#,
        r#""room":{}"#,
        r#""room":true"#,
        r#""room":[[]]"#,
    ] {
        assert_eq!(target(members), Err(WireError::Member("room")), "{members}");
    }
    assert_eq!(
        target(r#""skip_sid":{}"#),
        Err(WireError::Member("skip_sid"))
    );
}

#[test]
fn what_is_missing_is_named() {
    let full = [("event", r#""e""#), ("data", "[]"), ("namespace", r#""/""#)];
    for (missing, _) in full {
        for instead in ["", "null", "{}"] {
            let members: Vec<String> = full
                .iter()
                .filter_map(|&(name, value)| match (name == missing, instead) {
                    (false, _) => Some(format!("\"{name}\":{value}")),
                    (true, "") => None,
                    (true, instead) => Some(format!("\"{name}\":{instead}")),
                })
                .collect();
            let read = emit(&members.join(","));
            // Any value is data.
            if missing != "data" || instead.is_empty() {
                assert_eq!(read, Err(WireError::Member(missing)), "{members:?}");
            } else {
                assert!(matches!(read, Ok(Decoded::Message(_))), "{members:?}");
            }
        }
    }
    let node = node();
    for (line, missing) in [
        ("[]", "method"),
        ("{}", "method"),
        (r#"{"method":null}"#, "method"),
        (r#"{"method":"disconnect","namespace":"/"}"#, "sid"),
        (
            r#"{"method":"enter_room","sid":"s","namespace":"/"}"#,
            "room",
        ),
        (
            r#"{"method":"leave_room","room":"r","namespace":"/"}"#,
            "sid",
        ),
        (
            r#"{"method":"close_room","room":[],"namespace":"/"}"#,
            "room",
        ),
        (r#"{"method":"close_room","room":"r"}"#, "namespace"),
    ] {
        assert_eq!(read(&node, line), Err(WireError::Member(missing)), "{line}");
    }
    let callback = |rest: &str| {
        let me = node.host_id();
        read(
            &node,
            &format!(r#"{{"method":"callback","host_id":"{me}"{rest}}}"#),
        )
    };
    assert_eq!(callback(r#","id":"1""#), Err(WireError::Member("args")));
    assert_eq!(
        callback(r#","id":"1","args":{}"#),
        Err(WireError::Member("args"))
    );
    assert_eq!(callback(r#","args":[]"#), Err(WireError::Member("id")));
    assert!(matches!(
        callback(r#","id":1,"args":[]"#),
        Ok(Decoded::Response(_))
    ));
}

#[test]
fn what_is_unknown_is_skipped() {
    let node = node();
    assert_eq!(
        read(&node, r#"{"method":"x-new","data":1}"#),
        Ok(Decoded::Skip)
    );
    // Before 5.10 these did not say whose they are.
    let old = message(r#"{"method":"close_room","room":"r","namespace":"/"}"#);
    assert_eq!(old.node, NodeId::foreign("py:"));
    // Nobody could be answered, or nothing is wanted.
    for rest in [
        r#""callback":["r","/",1]"#,
        r#""host_id":"h","callback":["r","/"]"#,
        r#""host_id":"h","callback":["r","/",1,2]"#,
        r#""host_id":"h","callback":{"a":1}"#,
    ] {
        let json = format!(
            r#"{{"method":"emit","event":"e","data":[],"namespace":"/","room":"r",{rest}}}"#
        );
        assert_eq!(broadcast(&json).2, None, "{rest}");
    }
}

#[test]
fn attachments_that_are_none() {
    let bin = |data: &str| {
        emit(&format!(
            r#""event":"e","namespace":"/","binary":true,"data":{data}"#
        ))
    };
    assert_eq!(
        bin(r#"[[{"_placeholder":true,"num":1}],"AQ=="]"#),
        Err(WireError::Arguments(ValueError::Placeholder))
    );
    for data in [
        r#"[[],"A"]"#,
        r#"[[],"?"]"#,
        "[[],{}]",
        "[]",
        "null",
        r#""AQ==""#,
    ] {
        assert_eq!(bin(data), Err(WireError::Member("data")), "{data}");
    }
    // Padding is not insisted on.
    assert!(bin(r#"[[{"_placeholder":true,"num":0}],"AQ"]"#).is_ok());
}

#[test]
fn bytes_that_are_no_message() {
    let node = node();
    let decode = |bytes: &[u8]| node.decode("socketio", &Bytes::copy_from_slice(bytes));
    assert_eq!(decode(b"{\"method\":\"\xff\"}"), Err(WireError::Utf8));
    assert!(matches!(decode(b""), Err(WireError::Json(_))));
    assert!(matches!(decode(b"{} {}"), Err(WireError::Json(_))));
    assert!(matches!(decode(b"\xef\xbb\xbf{}"), Err(WireError::Json(_))));
    let deep = [&b"{\"method\":"[..], &b"[".repeat(1_000_000)].concat();
    assert_eq!(decode(&deep), Err(WireError::Json(JsonError::TooDeep)));
    // Too deep for clients, though not for the reader.
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    assert_eq!(
        emit(&format!(r#""event":"e","namespace":"/","data":{deep}"#)),
        Err(WireError::Arguments(ValueError::Json(JsonError::TooDeep)))
    );
}

#[test]
fn what_cannot_be_said() {
    let event = || Payload::event("e", &1).expect("encoded");
    let emit = |target: Target, request: bool| {
        encode(Operation::Broadcast {
            payload: event(),
            target,
            request: request.then(|| RequestId::from("1")),
        })
    };
    let limits = |translated: &Translated| translated.limits.to_vec();

    let spared = emit(Target::all().except("muted").except(SID), false);
    assert_eq!(spared.messages, [], "who is left out must not get it");
    assert_eq!(limits(&spared), [Untranslatable::Except]);

    let mut target = Target::room("r");
    target.flags = Flags {
        volatile: true,
        compress: false,
        ..Flags::default()
    };
    assert_eq!(limits(&emit(target, true)), [Untranslatable::Volatile]);

    for target in [Target::all(), Target::room("a").to("b")] {
        let asked = emit(target, true);
        assert_eq!(limits(&asked), [Untranslatable::Acknowledgements]);
        assert!(line(&asked).contains(r#""callback":null"#));
    }

    let select = |target: Target| {
        let rooms = || vec![Room::from("x"), Room::from("y")];
        [
            encode(Operation::Join {
                target: target.clone(),
                rooms: rooms(),
            }),
            encode(Operation::Leave {
                target: target.clone(),
                rooms: rooms(),
            }),
            encode(Operation::Disconnect {
                target,
                close: false,
            }),
        ]
    };
    for target in [
        Target::all(),
        Target::room("r"),
        Target::room(SID).except("r"),
    ] {
        for translated in select(target) {
            assert_eq!(translated.messages, []);
            assert_eq!(limits(&translated), [Untranslatable::Selection]);
        }
    }
    // Sockets that are named are told of all the same.
    let counts = select(Target::room(SID).to("ziqzMzMDFL9Yum9PAAA_").to("r")).map(|translated| {
        assert_eq!(limits(&translated), [Untranslatable::Selection]);
        translated.messages.len()
    });
    assert_eq!(counts, [4, 4, 2]);

    let closed = encode(Operation::Disconnect {
        target: Target::room(SID),
        close: true,
    });
    assert_eq!(closed.messages.len(), 1);
    assert_eq!(limits(&closed), [Untranslatable::CloseConnection]);

    let fetch = encode(Operation::FetchSockets {
        target: Target::all(),
        request: RequestId::from("1"),
    });
    assert_eq!(limits(&fetch), [Untranslatable::FetchSockets]);
    let server = encode(Operation::ServerSideEmit {
        payload: event(),
        request: None,
    });
    assert_eq!(limits(&server), [Untranslatable::ServerSideEmit]);
    for silent in [
        Operation::Heartbeat,
        Operation::InitialHeartbeat,
        Operation::Close,
    ] {
        assert_eq!(encode(silent), Translated::default());
    }
    let nameless = node().encode(&say(
        "/",
        Operation::Broadcast {
            payload: Payload::from_values(&[Value::Null]),
            target: Target::all(),
            request: None,
        },
    ));
    assert_eq!(nameless, Err(WireError::Member("event")));
}

#[test]
fn a_bare_argument_is_sent_only_where_it_is_not_ambiguous() {
    let config = PythonConfig::member().with_bare_argument(true);
    let codec = Python::new(&NodeId::generate(), config);
    let data = |values: &[Value]| {
        let payload = Payload::from_values(&[&["e".into()], values].concat());
        let operation = Operation::Broadcast {
            payload,
            target: Target::all(),
            request: None,
        };
        let written = codec.encode(&say("/", operation)).expect("encoded");
        let written = value::parse(
            std::str::from_utf8(&written.messages[0].payload).expect("UTF-8"),
            &[],
        );
        written
            .expect("JSON")
            .get("data")
            .expect("data")
            .to_string()
    };
    assert_eq!(data(&["hello".into()]), r#""hello""#);
    assert_eq!(data(&[false.into()]), "false");
    assert_eq!(
        data(&[[("a", 1.into())].into_iter().collect()]),
        r#"{"a":1}"#
    );
    assert_eq!(data(&[]), "[]");
    assert_eq!(data(&[Value::Null]), "[null]");
    assert_eq!(data(&[1.into(), 2.into()]), "[1,2]");
    assert_eq!(data(&[vec![Value::from(1)].into()]), "[[1]]");
    assert_eq!(
        data(&[Bytes::from_static(b"\x01").into()]),
        r#"[[{"_placeholder":true,"num":0}],"AQ=="]"#
    );
}

#[test]
fn configuration() {
    let read = |text: &str| serde_json::from_str::<PythonConfig>(text);
    assert_eq!(read("{}").expect("defaults"), PythonConfig::listen());
    let member = read(r#"{"mode":"member","channels":[],"bare-argument":true}"#);
    let member = member.expect("valid");
    assert_eq!(
        member,
        PythonConfig::member()
            .channels::<&str>([])
            .with_bare_argument(true)
    );
    assert_eq!(
        Python::new(&NodeId::generate(), member).channels(),
        ["socketio"]
    );
    assert!(read(r#"{"chanels":[]}"#).is_err());
    let mut names: Vec<&str> = Untranslatable::ALL.map(Untranslatable::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Untranslatable::ALL.len());
    let counts = LimitCounts::default();
    for (at, limit) in Untranslatable::ALL.into_iter().enumerate() {
        assert_eq!(limit as usize, at);
        assert_eq!((counts.add(limit), counts.add(limit)), (1, 2));
    }
    assert_eq!(counts.of(Untranslatable::Volatile), 2);
    assert_eq!(counts.total(), 16);
}
