//! What is wrong is told in one line, with the right code, and nothing is written.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::support::{Node, loadtest};

/// Runs; checks the code, that one line holds `part`, and that no file is left.
fn refused(arguments: &[&str], code: i32, part: &str) {
    let folder = socketio_testkit::Folder::new();
    let files = ["a.json", "a.html"].map(|name| folder.path().join(name));
    let [json, html] = [&files[0], &files[1]].map(|file| file.to_str().expect("text"));
    let outputs = ["--json", json, "--html", html, "--quiet"];
    let mut all = arguments.to_vec();
    if arguments.first() == Some(&"run") {
        all.extend(outputs);
    }
    let run = loadtest(&all);
    let told = run.errors.trim_end();
    assert_eq!(run.code, Some(code), "{arguments:?}: {told}");
    assert!(
        told.contains(part) && !told.contains('\n'),
        "{arguments:?}: {told}"
    );
    assert!(!told.contains("panicked"), "{told}");
    let left = std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0, "{arguments:?} left files");
}

#[test]
fn flags_and_thresholds() {
    refused(&["dance"], 64, "dance");
    refused(&["run", "echo"], 64, "--target");
    refused(&["run"], 64, "not provided: <SCENARIO>");
    for (target, part) in [
        ("localhost:3000", "`localhost:3000` is no target"),
        (
            "http://me:word@127.0.0.1:1",
            "(hidden)@127.0.0.1:1` is no target",
        ),
        ("ftp://h", "http://"),
    ] {
        refused(&["run", "echo", "--target", target], 64, part);
    }
    let https = ["run", "echo", "--target=https://127.0.0.1:1", "--ca"];
    let absent = [&https[..], &["/nowhere/a.pem"]].concat();
    refused(&absent, 64, "/nowhere/a.pem: No such file");

    let cases: [(&str, &[&str], &str); 18] = [
        ("ecco", &[], "`ecco` is no scenario"),
        ("echo", &["--clients", "many"], "many"),
        ("echo", &["--bogus"], "--bogus"),
        ("echo", &["--threshold", "lost"], "`lost` is no threshold"),
        ("echo", &["--threshold", "delivery.p99<fast"], "fast"),
        ("echo", &["--threshold", "rss<5s"], "no size"),
        ("echo", &["--duration", "10"], "no duration"),
        ("echo", &["--metrics", "h:1"], "--metrics"),
        ("echo", &["--insecure", "--ca", "a.pem"], "--ca"),
        ("echo", &["--window", "0"], "--window"),
        ("echo", &["--rate", "NaN"], "--rate"),
        ("echo", &["--rate", "5000000"], "at most 1000000"),
        ("echo", &["--connect-rate", "1e-15"], "--connect-rate"),
        ("echo", &["--at", "1s"], "--kill"),
        ("fanout", &["--rooms", "0"], "--rooms"),
        (
            "fanout",
            &["--publish-args", "[\"{stam}\"]"],
            "`{stam}` is no place",
        ),
        (
            "churn",
            &["--join-event", "", "--churn", "rooms"],
            "--join-event",
        ),
        ("emit", &[], "--broker"),
    ];
    for (scenario, flags, part) in cases {
        let run = ["run", scenario, "--target=http://127.0.0.1:1"];
        refused(&[&run[..], flags].concat(), 64, part);
    }
}

#[test]
fn scenario_files() {
    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("bad.toml");
    let path = file.to_str().expect("text");
    refused(&["run", path], 64, "No such file");
    for (text, part) in [
        ("scenario = ", "line 1"),
        ("scenario = \"echo\"\nclient = 5", "client"),
        ("scenario = \"dance\"", "dance"),
        ("scenario = \"echo\"\nduration = \"soon\"", "soon"),
        ("scenario = \"echo\"\nclients = -1", "line 2"),
        ("clients = 5", "no scenario"),
    ] {
        std::fs::write(&file, text).expect("written");
        refused(&["run", path, "--target", "http://127.0.0.1:1"], 64, part);
    }
}

#[test]
fn targets_that_are_not_there() {
    refused(
        &["run", "echo", "--target", "http://127.0.0.1:1"],
        69,
        "connection refused",
    );
    refused(
        &["run", "echo", "--target", "http://nowhere.invalid"],
        69,
        "nowhere.invalid",
    );
    let node = Node::start(&[]);
    let broker = ["--broker", "redis://127.0.0.1:1"];
    refused(
        &[&["run", "emit", "--target", &node.url], &broker[..]].concat(),
        69,
        "broker",
    );
    refused(
        &[
            "run",
            "echo",
            "--target",
            &node.url,
            "--metrics",
            "http://127.0.0.1:1",
        ],
        69,
        "127.0.0.1:1",
    );
}

/// Accepts one connection after the other and answers each with `answer`.
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("an address");
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn targets_that_are_no_socketio_server() {
    let not_found = stranger("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let page = stranger("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
    let mail = stranger("220 mail.example.com ESMTP\r\n");
    let chat = stranger(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x01\x05",
    );
    let parrot = stranger(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    refused(
        &["run", "echo", "--target", &parrot],
        76,
        "a wrong Sec-WebSocket-Accept",
    );
    for url in [&not_found, &page, &mail, &chat, &parrot] {
        for transport in ["websocket", "polling"] {
            refused(
                &["run", "echo", "--target", url, "--transports", transport],
                76,
                url,
            );
        }
    }
    let node = Node::start(&[]);
    let wrong_path = format!("{}/elsewhere/", node.url);
    refused(&["run", "echo", "--target", &wrong_path], 76, "HTTP 404");
    refused(
        &[
            "run",
            "echo",
            "--target",
            &node.url,
            "--namespace",
            "/nowhere",
        ],
        76,
        "Invalid namespace",
    );
}

#[test]
fn too_few_descriptors() {
    let node = Node::start(&[]);
    refused(
        &["run", "idle", "--target", &node.url, "--clients", "3000000"],
        71,
        "--processes",
    );
}

#[test]
fn files_that_cannot_be_written_or_read() {
    let node = Node::start(&[]);
    let run = loadtest(&[
        "run",
        "echo",
        "--target",
        &node.url,
        "--json",
        "/nowhere/result.json",
    ]);
    assert_eq!(run.code, Some(73), "{}", run.errors);
    assert!(run.errors.contains("/nowhere/result.json") && run.table.is_empty());
    // Whoever does not read what is shown gets the files all the same.
    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("result.json");
    let json = format!("--json={}", file.display());
    let short = ["--duration=1s", "--warmup=0s", "--rate=10"];
    for (out, errors, code) in [
        ("/dev/full", "/dev/null", 73),
        ("/dev/null", "/dev/full", 0),
    ] {
        let run = [&["run", "echo", "--target", &node.url, &json], &short[..]].concat();
        let open = |path| {
            std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .expect("a device")
        };
        let ended = super::support::command(&run)
            .stdout(open(out))
            .stderr(open(errors))
            .status();
        assert_eq!(ended.expect("it runs").code(), Some(code), "{out} {errors}");
        std::fs::remove_file(&file).expect("the result was written");
    }
    // Written to as it is, and not replaced.
    let full = ["--json=/dev/full", "--duration=1s", "--warmup=0s", "-q"];
    let run = loadtest(&[&["run", "echo", "--target", &node.url], &full[..]].concat());
    assert_eq!(run.code, Some(73), "{}", run.errors);
    assert!(run.errors.contains("/dev/full: No space"), "{}", run.errors);
    let same = ["--json=/tmp/x", "--html=/tmp/./x"];
    let run = loadtest(&[&["run", "echo", "--target", &node.url], &same[..]].concat());
    assert_eq!(run.code, Some(64), "{}", run.errors);
    refused(
        &["compare", "/nowhere/a.json", "/nowhere/b.json"],
        65,
        "/nowhere/a.json",
    );
    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("no.json");
    std::fs::write(&file, "{}").expect("written");
    let file = file.to_str().expect("text");
    refused(&["compare", file, file], 65, "no result of this program");
}
