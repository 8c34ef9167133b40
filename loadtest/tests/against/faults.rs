//! What goes wrong is found.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::support::{Node, assert_clean, loadtest, measured};

#[test]
fn a_killed_server_is_noticed_and_told() {
    let node = Node::start(&[]);
    let kill = format!("kill -9 {}", node.id());
    let arguments = [
        "fanout",
        "--clients",
        "10",
        "--rate",
        "50",
        "--kill",
        &kill,
        "--at",
        "500ms",
        "--drain",
        "1s",
    ];
    let (run, result) = measured(&node, &arguments);
    assert_eq!(result["faults"][0]["command"], kill.as_str());
    assert_eq!(result["faults"][0]["status"], "exit status: 0");
    assert_eq!(result["counters"]["disconnected"], 10, "{}", run.table);
    // What was confirmed had been sent to all.
    assert_eq!(result["audit"]["lost"], 0, "{}", run.table);
    assert!(run.table.contains("refused"), "{}", run.table);
}

#[test]
fn a_stopped_server_is_measured_from_when_messages_were_due() {
    let node = Node::start(&[]);
    let stop = format!("kill -STOP {0}; sleep 0.6; kill -CONT {0}", node.id());
    let arguments = [
        "echo",
        "--clients",
        "4",
        "--rate",
        "100",
        "--kill",
        &stop,
        "--at",
        "500ms",
    ];
    let (run, result) = measured(&node, &arguments);
    assert_clean(&run, &result);
    let sent = result["counters"]["sent"].as_u64().expect("a number");
    assert!(
        sent.abs_diff(200) <= 2,
        "an open loop does not wait: {}",
        run.table
    );
    // A third of all messages were due while it stood still.
    let (p50, p90) = (
        &result["latency"]["ack"]["p50"],
        &result["latency"]["ack"]["p90"],
    );
    assert!(
        p90.as_u64() > Some(250_000) && p50.as_u64() < Some(250_000),
        "{}",
        run.table
    );
}

#[test]
fn a_broken_threshold_is_exit_99_and_ends_a_run_if_asked() {
    let node = Node::start(&[]);
    let arguments = [
        "echo",
        "--clients",
        "2",
        "--rate",
        "20",
        "--threshold",
        "acked<5",
        "--threshold",
        "lost==0",
    ];
    let (run, result) = measured(&node, &arguments);
    assert_eq!(run.code, Some(99), "{}", run.table);
    assert!(run.table.contains("BREACHED acked<5") && run.table.contains("ok       lost==0"));
    assert_eq!(result["thresholds"][0]["holds"], false);
    let arguments = ["--abort-on-fail", "--phase", "60s", "--warmup", "0s"];
    let arguments = [
        &["echo", "--rate", "20", "--threshold", "acked<5"],
        &arguments[..],
    ]
    .concat();
    let (run, result) = measured(&node, &arguments);
    assert_eq!(run.code, Some(99), "{}", run.table);
    assert!(result["measured"].as_f64() < Some(30.0), "{}", run.table);
    assert_eq!(result["ended_early"], "acked<5 is broken");
}

#[test]
fn two_results_are_compared() {
    let node = Node::start(&[]);
    let folder = socketio_testkit::Folder::new();
    let files = ["a.json", "b.json"].map(|name| folder.path().join(name).display().to_string());
    for (file, rate) in files.iter().zip(["50", "100"]) {
        let run = loadtest(&[
            "run",
            "echo",
            "--target",
            &node.url,
            "--rate",
            rate,
            "--duration",
            "1s",
            "--json",
            file,
            "-q",
        ]);
        assert_eq!(run.code, Some(0), "{}", run.errors);
    }
    let run = loadtest(&["compare", &files[0], &files[1]]);
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let line = run
        .table
        .lines()
        .find(|line| line.contains("sent/s"))
        .expect("a line");
    let ratio: f64 = line
        .rsplit('×')
        .next()
        .expect("a ratio")
        .parse()
        .expect("a number");
    assert!((ratio - 2.0).abs() < 0.1, "{line}");
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let node = Node::start(&[]);
    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("result.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_socketio-loadtest"))
        .args([
            "run",
            "echo",
            "--target",
            &node.url,
            "--clients",
            "4",
            "--rate",
            "50",
        ])
        .args([
            "--duration",
            "60s",
            "--warmup",
            "0s",
            "--processes",
            "2",
            "--json",
        ])
        .arg(&file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the load tester starts");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    // The second second, so that the first is complete.
    assert!(
        lines.any(|line| line.trim_start().starts_with("2 s")),
        "no second was told"
    );
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.expect("kill runs").success());
    lines.for_each(drop);
    assert_eq!(child.wait().expect("waited").code(), Some(130));
    let result = std::fs::read(&file).expect("a result");
    let result: serde_json::Value = serde_json::from_slice(&result).expect("JSON");
    assert_eq!(result["ended_early"], "interrupted");
    assert!(result["counters"]["acked"].as_u64() > Some(20), "{result}");
    assert_eq!(result["audit"]["lost"], 0);
}
