//! Each scenario against a stock node that works.

use socketio_loadtest::plan::Plan;
use socketio_loadtest::settings::Settings;
use socketio_testkit::Certificates;

use super::support::{Node, assert_clean, loadtest, measured};

#[test]
fn echo_is_acknowledged() {
    let node = Node::start(&[]);
    let id = node.id().to_string();
    for extra in [
        &["--window", "3"][..],
        &["--rate", "100"],
        &["--rate", "100", "--binary"],
    ] {
        let arguments = [
            &[
                "echo",
                "--clients",
                "10",
                "--server-pid",
                &id,
                "--metrics",
                &node.url,
            ],
            extra,
        ]
        .concat();
        let (run, result) = measured(&node, &arguments);
        assert_clean(&run, &result);
        assert!(
            result["counters"]["acked"].as_u64() > Some(100),
            "{}",
            run.table
        );
        assert!(result["latency"]["ack"]["p50"].as_u64() > Some(0));
        // The page and the process are the same server, and count once.
        let servers = result["servers"].as_array().expect("servers");
        assert_eq!(servers.len(), 1, "{servers:?}");
        assert!(servers[0]["rss_max"].as_f64() > Some(1e6));
        assert!(servers[0]["cpu"].as_f64() > Some(0.0), "{}", run.table);
        let told = "processor time of the servers for each message";
        assert!(run.table.contains(told), "{}", run.table);
    }
}

#[test]
fn every_member_gets_what_is_published() {
    let node = Node::start(&[]);
    let rooms = [
        "--clients",
        "20",
        "--rooms",
        "4",
        "--rooms-per-client",
        "2",
        "--publishers",
        "5",
    ];
    for extra in [
        &["--rate", "50"][..],
        &["--window", "2"],
        &["--rate", "50", "--binary", "--size", "5000"],
    ] {
        let (run, result) = measured(&node, &[&["fanout"], &rooms[..], extra].concat());
        assert_clean(&run, &result);
        // Each room has ten members.
        let (sent, delivered) = (
            result["counters"]["sent"].as_u64(),
            result["counters"]["delivered"].as_u64(),
        );
        assert_eq!(delivered, sent.map(|sent| sent * 10), "{}", run.table);
    }
}

#[test]
fn processes_share_the_load_and_merge_their_results() {
    let node = Node::start(&[]);
    let arguments = [
        "fanout",
        "--clients",
        "30",
        "--publishers",
        "6",
        "--rate",
        "60",
        "--processes",
        "3",
    ];
    let (run, result) = measured(&node, &arguments);
    assert_clean(&run, &result);
    let sent = result["counters"]["sent"].as_u64().expect("a number");
    assert!(sent.abs_diff(120) <= 6, "{}", run.table);
    // All are in one room, whichever process they are in.
    assert_eq!(result["counters"]["delivered"].as_u64(), Some(sent * 30));
    assert_eq!(
        result["latency"]["delivery"]["count"].as_u64(),
        Some(sent * 30)
    );
    assert_eq!(result["generator"]["processes"], 3);
}

#[test]
fn all_transports_and_both_parsers() {
    let node = Node::start(&["--parser", "msgpack"]);
    let (run, result) = measured(
        &node,
        &[
            "mix",
            "--clients",
            "12",
            "--rate",
            "60",
            "--parser",
            "msgpack",
            "--binary",
        ],
    );
    assert_clean(&run, &result);
    assert_eq!(result["latency"]["upgrade"]["count"], 3, "{}", run.table);
    drop(node);
    let node = Node::start(&[]);
    let (run, result) = measured(&node, &["mix", "--clients", "12"]);
    assert_clean(&run, &result);
    assert!(result["counters"]["delivered"].as_u64() > Some(0));
}

#[test]
fn who_comes_and_goes_loses_nothing() {
    let node = Node::start(&[]);
    for (scenario, extra) in [
        ("churn", &["--churn-rate", "40", "--rate", "50"][..]),
        ("storm", &["--storm-every", "700ms"]),
        (
            "storm",
            &[
                "--storm-every",
                "700ms",
                "--transports",
                "websocket=1,upgrade=1,polling=1",
            ],
        ),
    ] {
        let (run, result) = measured(&node, &[&[scenario, "--clients", "15"], extra].concat());
        assert_eq!(
            (run.code, &result["audit"]["lost"]),
            (Some(0), &0.into()),
            "{scenario}: {}",
            run.table
        );
        assert_eq!(
            result["audit"]["duplicated"], 0,
            "{scenario}: {}",
            run.table
        );
        assert!(
            result["counters"]["churned"].as_u64() > Some(10),
            "{scenario}: {}",
            run.table
        );
        assert!(
            result["counters"]["connected"].as_u64() > Some(15),
            "{scenario}: {}",
            run.table
        );
    }
}

#[test]
fn phases_add_clients() {
    let node = Node::start(&[]);
    let phases = [
        "--phase",
        "1s clients=20 rate=20..60",
        "--phase",
        "1s rate=60",
        "--warmup",
        "0s",
    ];
    let (run, result) = measured(
        &node,
        &[&["fanout", "--clients", "5"], &phases[..]].concat(),
    );
    assert_clean(&run, &result);
    assert_eq!(result["clients"], 20);
    let sent = result["counters"]["sent"].as_u64().expect("a number");
    assert!(sent.abs_diff(100) <= 3, "{}", run.table);
}

#[test]
fn slow_clients_are_closed_and_the_others_unharmed() {
    let node = Node::start(&[
        "--max-http-buffer-size",
        "200000",
        "--max-outbox-bytes",
        "4000000",
    ]);
    // More than the kernel keeps for a client that does not read.
    let load = [
        "--phase", "4s", "--warmup", "0s", "--rate", "60", "--size", "90000", "--binary",
    ];
    let arguments = [
        &["slow", "--clients", "5", "--slow-share", "0.4"],
        &load[..],
    ]
    .concat();
    let (run, result) = measured(&node, &arguments);
    assert_clean(&run, &result);
    assert_eq!(result["counters"]["slow_closed"], 2, "{}", run.table);
}

#[test]
fn idle_clients_are_held() {
    let node = Node::start(&["--ping-interval", "500ms", "--ping-timeout", "5s"]);
    let (run, result) = measured(
        &node,
        &[
            "idle",
            "--clients",
            "30",
            "--transports",
            "websocket=2,polling=1",
        ],
    );
    assert_clean(&run, &result);
    // Several pings were answered.
    assert_eq!(result["counters"]["disconnected"], 0);
    assert_eq!(result["clients"], 30);
}

/// The files are for other ports, and one for somebody else's server; that they say what is known is
/// shown by reading them, that they run by running the others briefly.
#[test]
fn the_example_files_are_valid_and_run() {
    let node = Node::start(&[]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        let settings = Settings::read(&path).expect("a scenario file");
        Plan::new(&settings).expect("a valid plan");
        files += 1;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("text");
        if ["echo.toml", "churn.toml", "mix.toml"].contains(&name) {
            let file = path.to_str().expect("text");
            let run = loadtest(&[
                "run",
                file,
                "--target",
                &node.url,
                "--clients",
                "10",
                "--duration",
                "1s",
                "-q",
            ]);
            assert!(
                matches!(run.code, Some(0 | 99)),
                "{file}: {}{}",
                run.errors,
                run.table
            );
            assert!(
                run.table.contains("audit: 0 lost,"),
                "{file}: {}",
                run.table
            );
        }
    }
    assert!(files >= 7);
}

#[test]
fn servers_with_tls() {
    let certificates = Certificates::new();
    let files = [
        &certificates.certificate,
        &certificates.key,
        &certificates.authority,
    ];
    let [certificate, key, authority] = files.map(|path| path.to_str().expect("text"));
    let node = Node::start(&["--tls-cert", certificate, "--tls-key", key]);
    let load = [
        "--clients",
        "6",
        "--rate",
        "60",
        "--transports",
        "websocket=1,upgrade=1,polling=1",
    ];
    let metrics = ["--metrics", &node.url];
    let trusted = ["mix", "--ca", authority];
    let untrusted = ["mix", "--insecure"];
    for trust in [&trusted[..], &untrusted] {
        let (run, result) = measured(&node, &[trust, &load, &metrics].concat());
        assert_clean(&run, &result);
        let delivered = result["counters"]["delivered"].as_u64();
        assert!(delivered > Some(100), "{}", run.table);
        let cpu = result["servers"][0]["cpu"].as_f64();
        assert!(cpu > Some(0.0), "{}", run.table);
    }
    let run = loadtest(&["run", "echo", "--target", &node.url, "-q"]);
    let told = run.errors.trim_end();
    assert_eq!(
        run.code,
        Some(69),
        "an authority that nobody trusts: {told}"
    );
    assert!(
        !told.contains('\n') && told.contains("certificate"),
        "{told}"
    );
}

/// As Socket.IO's own tutorial does it: nobody joins anything, and all get what anybody says.
#[test]
fn places_are_filled_in_wherever_servers_want_them() {
    let node = Node::start(&[]);
    let target = format!("{}/?user={{client}}", node.url);
    let arguments = [
        "run",
        "fanout",
        "--target",
        &target,
        "--clients=6",
        "--rate=50",
        "--duration=2s",
        "--warmup=0s",
        "--quiet",
        "--header",
        "X-User: {client}",
        "--auth",
        r#"{"room":"{room}"}"#,
        "--publish-args",
        r#"["{room}","{event}","says {stamp} and {data}"]"#,
        "--threshold",
        "lost==0",
        "--threshold",
        "delivered>=500",
        "--threshold",
        "connections==6",
        "--threshold",
        "connect.count==6",
        "--threshold",
        "churned==0",
        "--threshold",
        "slow-closed==0",
        "--threshold",
        "own-cores<2",
        "--threshold",
        "own-wait<=1",
    ];
    let run = loadtest(&arguments);
    assert_eq!(run.code, Some(0), "{}{}", run.errors, run.table);
}
