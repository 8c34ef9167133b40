use std::process::Output;

use super::http::get;
use super::process::{Node, command, output};

/// The one line that the operator sees.
fn refusal(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn bad_configuration_exits_with_64_and_one_line() {
    let line = refusal(&output(&["--ping-intervall=5"]));
    assert!(line.contains("did you mean --ping-interval?"), "{line}");
    let line = refusal(&output(&[
        "--tls-cert=/nonexistent.pem",
        "--tls-key=/nonexistent.pem",
    ]));
    assert!(line.contains("/nonexistent.pem"), "{line}");
    let line = refusal(&output(&["--client-dir=/nonexistent"]));
    assert!(line.contains("client_dir: "), "{line}");
    let unknown = command(&[])
        .env("SOCKETIO_PRT", "1")
        .output()
        .expect("started");
    let line = refusal(&unknown);
    assert!(line.contains("did you mean SOCKETIO_PORT?"), "{line}");
    refusal(&output(&["--check-config", "--port=x"]));
    for (flags, expected) in [
        (&["--otlp-endpoint=collector:4317"][..], "otlp_endpoint: "),
        (
            &["--otlp-endpoint=http://h", "--otlp-headers=key"],
            "otlp_headers: expected name=value",
        ),
        (
            &["--otlp-endpoint=https://h", "--otlp-ca=/nonexistent.pem"],
            "otlp_ca: /nonexistent.pem: ",
        ),
        (
            &["--otlp-endpoint=http://h", "--trace-queue=5"],
            "trace_batch: ",
        ),
    ] {
        let line = refusal(&output(&[&["--check-config"], flags].concat()));
        assert!(
            line.starts_with(&format!("socketio-server: {expected}")),
            "{line}"
        );
    }
}

#[test]
fn a_port_in_use_is_not_a_matter_of_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("address").to_string();
    let port = format!("--port={}", taken.local_addr().expect("address").port());
    let output = output(&[&port]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains(&format!("cannot listen on {address}: ")),
        "{text}"
    );
}

#[test]
fn checked_printed_and_read_back() {
    let checked = output(&["--check-config", "--port=0"]);
    assert_eq!(checked.status.code(), Some(0));
    assert_eq!(checked.stdout, b"the configuration is good\n");

    let printed = command(&[
        "--print-config",
        "--ping-interval=1s",
        "--cors-origin=https://a.example",
    ])
    .env("SOCKETIO_PING_INTERVAL", "2s")
    .env("SOCKETIO_PING_TIMEOUT", "3s")
    .output()
    .expect("started");
    let text = String::from_utf8(printed.stdout).expect("text");
    for line in [
        "ping_interval = \"1s\"",
        "ping_timeout = \"3s\"",
        "port = 3000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let file = std::env::temp_dir().join(format!("socketio-print-{}.toml", std::process::id()));
    std::fs::write(&file, &text).expect("written");
    let again = output(&["--print-config", "--config", file.to_str().expect("text")]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(String::from_utf8(again.stdout).expect("text"), text);
}

#[test]
fn flag_environment_and_file_reach_the_server() {
    let file = std::env::temp_dir().join(format!("socketio-reach-{}.toml", std::process::id()));
    std::fs::write(&file, "ping_timeout = 7000\npath = \"/file\"\n").expect("written");
    let node = Node::start(&[
        "--config",
        file.to_str().expect("text"),
        "--path=/flag",
        "--max-http-buffer-size=5000",
        "--ping-grace=5s",
    ]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(node.start["path"], "/flag/");
    let open = get(node.address(), "/flag/?EIO=4&transport=polling");
    assert!(open.body.contains("\"pingTimeout\":7000"), "{}", open.body);
    assert!(open.body.contains("\"maxPayload\":5000"), "{}", open.body);
    let announced = "\"pingInterval\":30000";
    assert!(open.body.contains(announced), "{}", open.body);
    let page = get(node.address(), "/").body;
    assert!(page.contains("content=\"/flag/\""), "{page}");
}

#[test]
fn help_and_version_need_no_good_configuration() {
    let help = command(&["--help"])
        .env("SOCKETIO_PORT", "x")
        .output()
        .expect("started");
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--ping-interval"));
    let version = output(&["--version"]);
    let expected = format!("socketio-server {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}
