//! `socketio-emit` without a broker: what it says about what it was given, and its exit codes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Code, standard output and standard error.
fn run(arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-emit"));
    command.args(arguments).envs(environment.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("no signal");
    (code, text(output.stdout), text(output.stderr))
}

/// With a URL where nobody is, which nothing here may need.
fn with_url(arguments: &[&str], input: &str) -> (i32, String, String) {
    let url = [("SOCKETIO_URL", "amqp://127.0.0.1:1")];
    run(arguments, &url, input.as_bytes())
}

#[test]
fn what_would_be_sent_is_shown() {
    let arguments = [
        "--dry-run",
        "-n",
        "chat",
        "-r",
        "a",
        "-r",
        "b",
        "-x",
        "c",
        "e",
        "[1.0]",
        "@-",
    ];
    let (code, out, errors) = with_url(&arguments, "\x01");
    assert_eq!((code, &*errors), (0, ""));
    assert_eq!(
        out,
        "{\"namespace\":\"chat\",\"to\":[\"a\",\"b\"],\"except\":[\"c\"],\
         \"data\":[\"e\",[1.0],{\"_placeholder\":true,\"num\":0}],\"attachments\":[\"AQ==\"]}\n"
    );
    let lines = "[\"e\", 1]\n\n{\"event\":\"f\",\"to\":\"x\"}";
    let (code, out, errors) = with_url(&["--dry-run", "-r", "r", "-"], lines);
    assert_eq!((code, &*errors), (0, ""));
    assert_eq!(
        out,
        "{\"namespace\":\"/\",\"to\":[\"r\"],\"data\":[\"e\", 1]}\n\
         {\"namespace\":\"/\",\"to\":[\"x\"],\"data\":[\"f\"]}\n"
    );
}

#[test]
fn each_mistake_has_one_line_and_its_code() {
    let cases: &[(&[&str], &str, i32, &str)] = &[
        (
            &["e", "hello"],
            "",
            65,
            "argument 1: expected value at line 1 column 1; use --text for text",
        ),
        (&["e", "1", "{"], "", 65, "argument 2: "),
        (&["e", "1 2"], "", 65, "argument 1: "),
        (
            &["e", "@/does/not/exist"],
            "",
            66,
            "argument 1: /does/not/exist: ",
        ),
        (&["e", "@"], "", 66, "argument 1: "),
        (&["connect"], "", 65, "the event name `connect` is reserved"),
        (&["--dry-run", "-"], "text", 65, "line 1: "),
        (
            &["--dry-run", "-"],
            "\n\n[{}]\n",
            65,
            "line 3: the first element must name the event",
        ),
        (
            &["--dry-run", "-"],
            "{\"event\":\"e\",\"rooms\":[]}",
            65,
            "line 1: unknown field `rooms`",
        ),
        (
            &["--dry-run", "-"],
            "[\"disconnect\"]",
            65,
            "line 1: the event name `disconnect` is reserved",
        ),
        (
            &["-", "1"],
            "",
            64,
            "lines of standard input go without arguments",
        ),
        (
            &["--ack", "--count"],
            "",
            64,
            "--ack, --server-side and --dry-run are for events",
        ),
        (&["--close", "e"], "", 64, "--close goes with --disconnect"),
        (
            &["--mode", "pubsub", "e"],
            "",
            64,
            "the mode `pubsub` does not go with this URL",
        ),
        (
            &["--url", "http://127.0.0.1", "e"],
            "",
            64,
            "the URL must begin with redis",
        ),
        (
            &["--url", "amqp://h:port", "e"],
            "",
            64,
            "the configuration is at fault",
        ),
        (
            &["--tls-authority", "/none", "--url", "amqps://h", "e"],
            "",
            64,
            "the configuration is at fault",
        ),
        (&["e"], "", 69, "no connection to the broker: "),
        (&["--count"], "", 69, "no connection to the broker: "),
        (&["-"], "[\"e\"]", 69, "no connection to the broker: "),
    ];
    for (arguments, input, code, message) in cases {
        let (ended, out, errors) = with_url(arguments, input);
        assert_eq!(
            (ended, &*out),
            (*code, ""),
            "{arguments:?} {input:?}: {errors}"
        );
        let start = format!("socketio-emit: {message}");
        assert!(
            errors.starts_with(&start),
            "{arguments:?} {input:?}: {errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn the_command_line_is_explained() {
    let cases: &[(&[&str], &str)] = &[
        (&["--url", "amqp://h"], "required"),
        (&["e"], "--url <URL>"),
        (
            &["--url", "amqp://h", "--mode", "classic", "e"],
            "`classic` is no mode",
        ),
        (
            &["--url", "amqp://h", "--timeout", "0", "e"],
            "must be more than 0",
        ),
        (&["--url", "amqp://h", "--nonsense", "e"], "--nonsense"),
        (
            &["--url", "amqp://h", "--count", "e"],
            "cannot be used with",
        ),
        (
            &["--url", "amqp://h", "--tls-key", "k", "e"],
            "--tls-certificate",
        ),
    ];
    for (arguments, word) in cases {
        let (code, out, errors) = run(arguments, &[], b"");
        assert_eq!((code, &*out), (64, ""), "{arguments:?}");
        assert!(errors.contains(word), "{arguments:?}: {errors}");
        assert!(errors.starts_with("socketio-emit: "), "{errors}");
        assert!(errors.ends_with(" (see --help)\n"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let secret = [
        ("SOCKETIO_URL", "amqp://user:secret@h"),
        ("SOCKETIO_PASSWORD", "secret"),
    ];
    let (code, help, errors) = run(&["--help"], &secret, b"");
    assert_eq!((code, &*errors), (0, ""));
    for word in ["EXAMPLES:", "EXIT CODES:", "--room", "SOCKETIO_URL"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(!help.contains("secret"));
    assert_eq!(run(&["--version"], &[], b"").0, 0);
}

#[test]
fn a_broker_that_is_mute_is_given_up() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("amqp://{}", mute.local_addr().expect("an address"));
    let start = Instant::now();
    let arguments = ["--url", &url, "--connect-timeout", "0.3", "e"];
    let (code, _, errors) = run(&arguments, &[], b"");
    assert_eq!(code, 69, "{errors}");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}
