//! What goes wrong is found.

use std::process::Command;

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
fn a_silent_server_is_left_as_browsers_do() {
    let node = Node::start(&["--ping-interval", "300ms", "--ping-timeout", "300ms"]);
    let stop = format!("kill -STOP {}", node.id());
    for transports in ["websocket", "polling"] {
        let load = ["idle", "--clients", "6", "--transports", transports];
        let fault = ["--kill", &stop, "--at", "500ms", "--drain", "0s"];
        let phase = ["--phase", "4s", "--warmup", "0s", "--connect-timeout", "1s"];
        let (run, result) = measured(&node, &[&load[..], &fault, &phase].concat());
        let resumed = Command::new("kill")
            .args(["-CONT", &node.id().to_string()])
            .status();
        assert!(resumed.expect("kill runs").success());
        assert_eq!(result["counters"]["disconnected"], 6, "{}", run.table);
        let errors = &result["counters"]["errors"];
        let silent = &errors["ping timeout: the server was silent"];
        assert_eq!(*silent, 6, "{transports}: {}", run.table);
    }
}

#[test]
fn a_load_tester_that_is_the_bottleneck_says_so_first() {
    let node = Node::start(&[]);
    // The shell's parent is the load tester itself.
    let pause = "kill -STOP $PPID; sleep 0.4; kill -CONT $PPID";
    let load = ["echo", "--clients", "4", "--rate", "200"];
    let fault = ["--kill", pause, "--at", "700ms", "--html"];
    let folder = socketio_testkit::Folder::new();
    let page = folder.path().join("report.html");
    let page = page.to_str().expect("text");
    let threshold = ["--threshold", "lag.p99<10ms"];
    let arguments = [&load[..], &fault, &[page], &threshold].concat();
    let (run, result) = measured(&node, &arguments);
    assert_eq!(run.code, Some(99), "{}", run.errors);
    let told = run.table.find("THE LOAD TESTER WAS ITSELF THE BOTTLENECK");
    let figures = run.table.find("4 clients");
    assert!(told.is_some() && told < figures, "{}", run.table);
    let reasons = result["generator"]["bottleneck"].to_string();
    assert!(
        reasons.contains("1 % of the messages were sent"),
        "{reasons}"
    );
    let html = std::fs::read_to_string(page).expect("a report");
    assert!(html.contains("The load tester was itself the bottleneck"));
    // All messages were sent, late.
    let sent = result["counters"]["sent"].as_u64().expect("a number");
    assert!(sent.abs_diff(400) <= 4, "{}", run.table);
}

#[test]
fn a_ramp_that_stands_still_ends_with_its_cause() {
    let node = Node::start(&["--max-connections", "5"]);
    let load = ["--clients", "12", "--connect-timeout", "1s", "--quiet"];
    let arguments = [&["run", "idle", "--target", &node.url], &load[..]].concat();
    let run = loadtest(&arguments);
    let told = run.errors.trim_end();
    assert_eq!(run.code, Some(69), "{told}");
    assert!(
        told.contains("of 12 clients are connected, and no more come: "),
        "{told}"
    );
    assert!(!told.contains('\n') && run.table.is_empty(), "{told}");
    // Nobody acknowledges that somebody has joined.
    let node = Node::start(&[]);
    let load = ["--clients", "3", "--connect-timeout", "1s", "--quiet"];
    let join = ["--join-event", "subscribe"];
    let target = ["run", "fanout", "--target", &node.url];
    let run = loadtest(&[&target[..], &load, &join].concat());
    let told = run.errors.trim_end();
    assert_eq!(run.code, Some(69), "{told}");
    let hint = "does the server acknowledge `subscribe`?";
    assert!(told.contains(hint) && !told.contains('\n'), "{told}");
}

#[test]
fn results_that_lack_something_are_compared_all_the_same() {
    let folder = socketio_testkit::Folder::new();
    let write = |name: &str, json: &str| {
        let path = folder.write(name, json);
        path.to_str().expect("text").to_owned()
    };
    let echo = r#"{"format":1,"settings":{"scenario":"echo","target":["http://a"]},
        "latency":{"ack":{"count":10,"p50":100,"p99":200}},"rates":{"acked":5}}"#;
    let fanout = r#"{"format":1,"settings":{"scenario":"fanout"},"audit":{"lost":3},
        "latency":{"delivery":{"count":10,"p50":100}}}"#;
    let (echo, fanout) = (write("a.json", echo), write("b.json", fanout));
    let run = loadtest(&["compare", &echo, &fanout]);
    assert_eq!(run.code, Some(0), "{}", run.errors);
    let line = |name: &str| {
        let found = run.table.lines().find(|line| line.contains(name));
        let words = found.unwrap_or_else(|| panic!("{name}: {}", run.table));
        words
            .split_whitespace()
            .skip(name.split(' ').count())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("ack p50"), ["100", "µs", "-"]);
    assert_eq!(line("delivery p50"), ["-", "100", "µs"]);
    assert_eq!(line("acknowledged/s"), ["5", "-"]);
    assert_eq!(line("lost"), ["0", "3", "was", "0"]);
    // A page of an old result.
    let page = folder.path().join("page.html");
    let again = ["report", &echo, "--html", page.to_str().expect("text")];
    assert_eq!(loadtest(&again).code, Some(0));
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("<h1>echo</h1>"), "{html}");
    assert!(
        loadtest(&["report", &echo])
            .table
            .contains("echo: 0 clients")
    );
    assert!(run.table.contains("The scenarios differ"), "{}", run.table);
    for (json, part) in [
        ("", "no result of this program"),
        ("[1]", "it has no format"),
        (r#"{"format":7}"#, "format 7 is not known"),
        (r#"{"format":1,"clients":"many"}"#, "a damaged result"),
    ] {
        let file = write("bad.json", json);
        let run = loadtest(&["compare", &echo, &file]);
        assert_eq!(run.code, Some(65), "{}", run.errors);
        let told = run.errors.trim_end();
        assert!(told.contains(part) && !told.contains('\n'), "{told}");
        assert!(run.table.is_empty());
    }
}
