use serde_json::{Value, json};

use super::process::Node;
use super::session::Session;

#[test]
fn rooms_are_joined_published_to_and_left() {
    let node = Node::start(&[]);
    let mut first = Session::open(node.address());
    let mut second = Session::open(node.address());
    let joined = first.call(&json!(["join", "lobby"]));
    assert_eq!(joined, [json!({"room": "lobby", "members": 1})]);
    let joined = second.call(&json!(["join", "lobby"]));
    assert_eq!(joined, [json!({"room": "lobby", "members": 2})]);

    first.send(r#"42["publish","lobby","chat",{"text":"hi"},[1,null,"\ud83d\ude00"]]"#);
    let expected = [json!("chat"), json!({"text": "hi"}), json!([1, null, "😀"])];
    assert_eq!(first.event(), expected);
    assert_eq!(second.event(), expected);

    let left = second.call(&json!(["leave", "lobby"]));
    assert_eq!(left, [json!({"room": "lobby", "members": 1})]);
    first.send(r#"42["publish","lobby","chat","again"]"#);
    assert_eq!(first.event(), [json!("chat"), json!("again")]);
    // Nothing came in between: the echo is the next thing to arrive.
    assert_eq!(second.call(&json!(["echo", 1])), [json!(1)]);
}

#[test]
fn echo_returns_what_it_got() {
    let node = Node::start(&[]);
    let mut session = Session::open(node.address());
    let arguments = [
        json!(1.5),
        json!(null),
        json!({"a": ["b", {}]}),
        json!("é😀"),
    ];
    let mut call = vec![json!("echo")];
    call.extend(arguments.clone());
    assert_eq!(session.call(&Value::from(call)), arguments);
    assert_eq!(session.call(&json!(["echo"])), Vec::<Value>::new());
    session.send(r#"42["echo","no ack"]"#);
    assert_eq!(session.event(), [json!("echo"), json!("no ack")]);
    // Binary: the attachment follows its placeholder.
    session.send("451-9[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAAEC");
    assert_eq!(
        session.receive(),
        "461-9[{\"_placeholder\":true,\"num\":0}]"
    );
    assert_eq!(session.receive(), "bAAEC");
}

#[test]
fn stats_come_to_those_who_ask() {
    let node = Node::start(&[]);
    let mut session = Session::open(node.address());
    session.call(&json!(["join", "lobby"]));
    let stats = session.call(&json!(["stats"])).remove(0);
    assert_eq!(stats["node"], node.start["node"]);
    assert_eq!(stats["adapter"], "memory");
    assert_eq!(stats["connections"], json!({"polling": 1, "websocket": 0}));
    assert_eq!((&stats["sockets"], &stats["rooms"]), (&json!(1), &json!(1)));
    let event = session.event();
    assert_eq!(event[0], "stats");
    assert_eq!(event[1]["sockets"], 1);
    session.call(&json!(["stats", false]));
}

#[test]
fn who_is_there() {
    let node = Node::start(&[]);
    let mut first = Session::open(node.address());
    let second = Session::open(node.address());
    first.call(&json!(["join", "lobby"]));
    let lobby = first.call(&json!(["who", "lobby"]));
    let expected = json!({"room": "lobby", "total": 1, "sockets": [&first.socket_id]});
    assert_eq!(lobby, [expected]);
    let everybody = first.call(&json!(["who"])).remove(0);
    assert_eq!(everybody["total"], 2);
    let ids = everybody["sockets"].as_array().expect("ids");
    assert!(ids.contains(&json!(second.socket_id)));
}

#[test]
fn nonsense_gets_an_error_and_harms_nobody() {
    let node = Node::start(&[]);
    let mut session = Session::open(node.address());
    for call in [
        json!(["join"]),
        json!(["join", null]),
        json!(["join", ""]),
        json!(["join", "@stats"]),
        json!(["join", "x".repeat(257)]),
        json!(["leave", {}]),
        json!(["publish", "room"]),
        json!(["publish", "room", 5]),
        json!(["publish", "room", "disconnect"]),
        json!(["publish", "@stats", "chat", {}]),
        // Only the node says how the node is.
        json!(["publish", "room", "stats", {"sockets": 1_000_000}]),
        json!(["who", "@stats"]),
    ] {
        let answer = session.call(&call);
        assert!(answer[0]["error"].is_string(), "{call}: {answer:?}");
    }
    let other = Session::open(node.address());
    let answer = session.call(&json!(["join", other.socket_id]));
    assert_eq!(answer[0]["error"], "the room belongs to another client");
    let answer = session.call(&json!(["join", session.socket_id]));
    assert_eq!(answer[0]["members"], 1);
    session.send(r#"42["no such event",1]"#);
    session.send(r#"42["join"]"#);
    for n in 0..1_000 {
        session.call(&json!(["join", n]));
    }
    let answer = session.call(&json!(["join", "one too many"]));
    assert!(answer[0]["error"].is_string(), "{answer:?}");
    session.call(&json!(["leave", 5]));
    let answer = session.call(&json!(["join", "now it fits"]));
    assert_eq!(answer[0]["members"], 1);
}
