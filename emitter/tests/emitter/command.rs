//! `socketio-emit` with a broker, nodes and clients behind it.

use std::process::{Output, Stdio};

use bytes::Bytes;
use serde_json::{Value, json};
use socketio_emitter::{Emitter, NodeId};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::client::{soon, until};
use crate::cluster::Cluster;

/// The command with the options that lead to the broker.
pub(crate) struct Runner<'a>(pub(crate) &'a [&'a str]);

/// How it ended and what it said.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Ended {
    fn silent(code: i32) -> Self {
        Self {
            code: Some(code),
            lines: Vec::new(),
            errors: String::new(),
        }
    }
}

/// The command while it runs.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) async fn end(self) -> Ended {
        let output = soon("its end", self.0.wait_with_output()).await;
        let Output {
            status,
            stdout,
            stderr,
        } = output.expect("it ran");
        Ended {
            code: status.code(),
            lines: text(stdout).lines().map(str::to_owned).collect(),
            errors: text(stderr),
        }
    }
}

impl Runner<'_> {
    pub(crate) fn start(&self, arguments: &[&str]) -> (Running, ChildStdin) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-emit"));
        command.args(self.0).args(arguments).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let input = child.stdin.take().expect("piped");
        (Running(child), input)
    }

    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> Ended {
        let (running, mut stdin) = self.start(arguments);
        let feed = async {
            // It may end before it has read everything.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        tokio::join!(running.end(), feed).0
    }

    /// Runs it for something of which it has nothing to tell.
    pub(crate) async fn quietly(&self, arguments: &[&str], input: &str) {
        assert_eq!(
            self.run(arguments, input).await,
            Ended::silent(0),
            "{arguments:?}"
        );
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// `broker` are the options that lead to the cluster.
pub(crate) async fn all(cluster: &mut Cluster, io: &Emitter, broker: &[&str]) {
    let emit = Runner(broker);
    events(cluster, io, &emit).await;
    lines(cluster, io, &emit).await;
    answers(cluster, io, &emit).await;
    management(cluster, io, &emit).await;
}

async fn events(cluster: &mut Cluster, io: &Emitter, emit: &Runner<'_>) {
    // As README has it.
    emit.quietly(&["--room", "both", "message", r#"{"text":"hi"}"#], "")
        .await;
    cluster.both_hear("message", &json!({ "text": "hi" })).await;

    emit.quietly(&["none"], "").await;
    cluster.both_hear("none", &()).await;
    emit.quietly(&["several", "1", "-2.5", "null", r#""é""#], "")
        .await;
    let several = (1, -2.5, Value::Null, "é".to_owned());
    cluster.both_hear("several", &several).await;
    emit.quietly(&["--text", "text", "@no file", "12"], "")
        .await;
    let text = ("@no file".to_owned(), "12".to_owned());
    cluster.both_hear("text", &text).await;

    emit.quietly(&["-r", "a", "-r", "b", "-x", "a", "rooms", "1"], "")
        .await;
    assert_eq!(cluster.b.expect::<u32>("rooms").await, 1);
    emit.quietly(
        &["-n", "/chat", "--volatile", "--no-compress", "chat", "2"],
        "",
    )
    .await;
    assert_eq!(cluster.chat.expect::<u32>("chat").await, 2);

    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("picture");
    std::fs::write(&file, b"\x89PNG\x00").expect("a file");
    let file = format!("@{}", file.display());
    emit.quietly(&["picture", r#""cat""#, &file], "").await;
    let picture = ("cat".to_owned(), Bytes::from_static(b"\x89PNG\x00"));
    cluster.both_hear("picture", &picture).await;
    emit.quietly(&["picture", r#""cat""#, "@-"], "\u{89}").await;
    let picture = ("cat".to_owned(), Bytes::from_static("\u{89}".as_bytes()));
    cluster.both_hear("picture", &picture).await;
    cluster.fence(io).await;
}

async fn lines(cluster: &mut Cluster, io: &Emitter, emit: &Runner<'_>) {
    const COUNT: u64 = 3000;
    let many: String = (0..COUNT)
        .map(|number| format!("[\"line\",{number}]\n"))
        .collect();
    emit.quietly(&["--room", "both", "-"], &many).await;
    for client in [&mut cluster.a, &mut cluster.b] {
        for number in 0..COUNT {
            assert_eq!(client.expect::<u64>("line").await, number);
        }
    }
    let mixed = "\n[\"x\",1]\n{\"event\":\"x\",\"args\":[2],\"to\":\"b\"}\n\
                 {\"event\":\"x\",\"args\":[3],\"namespace\":\"/chat\",\"to\":[]}";
    emit.quietly(&["-r", "a", "-"], mixed).await;
    assert_eq!(cluster.a.expect::<u32>("x").await, 1);
    assert_eq!(cluster.b.expect::<u32>("x").await, 2);
    assert_eq!(cluster.chat.expect::<u32>("x").await, 3);

    // What is before a wrong line was sent, what is behind it not.
    let ended = emit.run(&["-"], "[\"y\",1]\n[\"y\",\n[\"y\",2]\n").await;
    assert_eq!((ended.code, ended.lines.len()), (Some(65), 0));
    assert!(
        ended.errors.starts_with("socketio-emit: line 2: "),
        "{}",
        ended.errors
    );
    assert_eq!(ended.errors.lines().count(), 1);
    cluster.both_hear("y", &1).await;
    cluster.fence(io).await;
}

async fn answers(cluster: &mut Cluster, io: &Emitter, emit: &Runner<'_>) {
    let asking = emit.run(&["-r", "both", "--ack", "name?", "1"], "");
    let answering = async {
        for (name, client) in [("a", &mut cluster.a), ("b", &mut cluster.b)] {
            let (ack, one) = client.expect_question::<u32>("name?").await;
            client.answer(ack, (name, one)).await;
        }
    };
    let (ended, ()) = tokio::join!(asking, answering);
    assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
    let mut answers: Vec<Value> = Vec::new();
    for line in &ended.lines {
        answers.push(serde_json::from_str(line).expect("JSON"));
    }
    answers.sort_by_key(|answer| answer["data"].to_string());
    assert_eq!(
        answers,
        [
            json!({ "socket": cluster.a.id.as_str(), "data": ["a", 1] }),
            json!({ "socket": cluster.b.id.as_str(), "data": ["b", 1] }),
        ]
    );

    let asking = emit.run(&["-r", "both", "--ack", "-t", "1.5", "name?"], "");
    let answering = async {
        let (ack, ()) = cluster.a.expect_question("name?").await;
        cluster.a.answer(ack, Bytes::from_static(b"\x01")).await;
        let _ = cluster.b.expect_question::<()>("name?").await;
    };
    let (ended, ()) = tokio::join!(asking, answering);
    assert_eq!(ended.code, Some(1));
    let missing = format!(
        "socketio-emit: no answer in time from socket {}\n",
        cluster.b.id
    );
    assert_eq!(ended.errors, missing);
    let answer: Value = serde_json::from_str(&ended.lines.concat()).expect("one line");
    assert_eq!(answer["attachments"], json!(["AQ=="]));

    let ended = emit
        .run(&["--server-side", "--ack", "note", r#""who?""#], "")
        .await;
    assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
    let mut nodes: Vec<NodeId> = Vec::new();
    for line in &ended.lines {
        let answer: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(answer["data"], json!([answer["node"], "who?"]));
        nodes.push(answer["node"].as_str().expect("a name").into());
    }
    nodes.sort();
    assert_eq!(nodes, cluster.ids());
    cluster.told.lock().clear();
    emit.quietly(&["--server-side", "note", r#""hello""#], "")
        .await;
    until("both servers", || cluster.told.lock().len() == 2).await;

    for (arguments, count) in [(&["--count"][..], "2"), (&["-r", "a", "--count"], "1")] {
        let ended = emit.run(arguments, "").await;
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(ended.lines, [count]);
    }
    cluster.fence(io).await;
}

async fn management(cluster: &mut Cluster, io: &Emitter, emit: &Runner<'_>) {
    emit.quietly(&["-r", "a", "--join", "one", "--join", "two"], "")
        .await;
    until("a join", || {
        cluster.rooms_of_a() == ["a", "both", "one", "two"]
    })
    .await;
    emit.quietly(&["--leave", "one", "--leave", "two"], "")
        .await;
    until("leaving", || cluster.rooms_of_a() == ["a", "both"]).await;
    let mut guest = cluster.nodes[0].client().await;
    let () = guest.call("join", ("guests", "guests")).await;
    emit.quietly(&["-r", "guests", "--disconnect", "--close"], "")
        .await;
    guest.expect_close().await;
    cluster.fence(io).await;
}
