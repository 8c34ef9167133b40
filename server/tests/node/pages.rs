use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;

use super::http::{get, request};
use super::process::Node;
use super::session::Session;

#[test]
fn the_start_up_line_says_what_runs() {
    let node = Node::start(&[]);
    assert_eq!(node.start["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node.start["adapter"], "memory");
    assert_eq!(node.start["path"], "/socket.io/");
    assert!(node.start["open_files"].is_string());
    let warning = node.wait_for("open demo");
    assert_eq!(warning["level"], "WARN");
}

#[test]
fn the_page_is_served_with_its_files() {
    let node = Node::start(&[]);
    let index = get(node.address(), "/");
    assert_eq!(index.status, 200);
    assert_eq!(
        index.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        index
            .header("content-security-policy")
            .is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    let files: Vec<&str> = index
        .body
        .split(['"', '\''])
        .filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".svg"))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let target = format!("/{}", file.trim_start_matches("./"));
        assert_eq!(get(node.address(), &target).status, 200, "{target}");
    }

    let etag = index.header("etag").expect("etag");
    let again = request(node.address(), "GET", "/", &[("If-None-Match", etag)], "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let head = request(node.address(), "HEAD", "/", &[], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let post = request(node.address(), "POST", "/", &[], "");
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(get(node.address(), "/nothing").status, 404);
}

#[test]
fn without_the_demo_there_is_no_page() {
    let node = Node::start(&["--demo=false"]);
    assert_eq!(get(node.address(), "/").status, 404);
    assert_eq!(get(node.address(), "/healthz").status, 200);
}

#[test]
fn probes_move_to_the_internal_address() {
    let node = Node::start(&["--internal-address=127.0.0.1:0"]);
    let internal = node.internal.expect("in the start-up line");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(node.address(), path).status, 404, "{path}");
        assert_eq!(get(internal, path).status, 200, "{path}");
    }
    assert_eq!(get(internal, "/").status, 404);
}

#[test]
fn metrics_follow_what_happens() {
    let node = Node::start(&[]);
    let scrape = || {
        let page = get(node.address(), "/metrics");
        let kind = page.header("content-type").expect("type");
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        assert!(page.body.ends_with("# EOF\n"), "{}", page.body);
        let lines = page.body.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect(line);
            (name.to_owned(), value.parse::<f64>().expect(line))
        });
        samples.collect::<HashMap<_, _>>()
    };
    let before = scrape();
    assert_eq!(before["socketio_connections{transport=\"polling\"}"], 0.0);

    let refused = get(node.address(), "/socket.io/?EIO=4&transport=carrier-pigeon");
    assert_eq!(refused.status, 400);
    let mut session = Session::open(node.address());
    session.call(&json!(["join", "room"]));
    session.call(&json!(["echo", "x".repeat(1_000)]));

    let during = scrape();
    for (name, value) in [
        ("socketio_connections{transport=\"polling\"}", 1.0),
        ("socketio_connections{transport=\"websocket\"}", 0.0),
        ("socketio_sockets{namespace=\"/\"}", 1.0),
        ("socketio_rooms{namespace=\"/\"}", 1.0),
        ("socketio_handshake_errors_total{code=\"0\"}", 1.0),
        ("socketio_events_received_total", 2.0),
        ("socketio_events_sent_total", 2.0),
        ("socketio_handler_seconds_count", 2.0),
        ("socketio_outbox_bytes", 0.0),
    ] {
        assert_eq!(during.get(name), Some(&value), "{name}");
    }
    assert!(during["socketio_received_bytes_total"] > 1_000.0);
    assert!(during["socketio_sent_bytes_total"] > 1_000.0);

    session.send(r#"42["publish","room","hello"]"#);
    assert_eq!(session.event(), [json!("hello")]);
    session.send("1");
    // The close is handled by the session's task.
    let after = loop {
        let after = scrape();
        if after["socketio_connections{transport=\"polling\"}"] == 0.0 {
            break after;
        }
    };
    assert_eq!(after["socketio_sockets{namespace=\"/\"}"], 0.0);
    assert_eq!(after["socketio_rooms{namespace=\"/\"}"], 0.0);
    assert_eq!(
        after["socketio_connections_closed_total{reason=\"transport close\"}"],
        1.0
    );
    assert_eq!(
        after["socketio_sockets_disconnected_total{reason=\"transport close\"}"],
        1.0
    );
    assert_eq!(after["socketio_fan_out_seconds_count"], 1.0);
}

#[test]
fn a_unix_socket_takes_the_place_of_the_port() {
    let path = std::env::temp_dir().join(format!("socketio-node-{}.sock", std::process::id()));
    let node = Node::start(&["--unix-socket", path.to_str().expect("text")]);
    assert_eq!(node.start["address"], format!("unix:{}", path.display()));
    let mut stream = UnixStream::connect(&path).expect("connected");
    write!(stream, "GET /readyz HTTP/1.0\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(
        answer.ends_with("\nready\nadapter memory: up\n"),
        "{answer}"
    );
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(0));
    assert!(!path.exists());
}
