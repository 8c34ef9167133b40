//! Clients of two nodes that are one cluster.

use socketio_testkit::{RabbitMq, Redis};

use super::support::{Node, Run, assert_clean, loadtest, measured_over};

fn over_redis(redis: &Redis) -> [Node; 2] {
    let arguments = ["--adapter", "redis", "--redis-url", &redis.url()];
    [Node::start(&arguments), Node::start(&arguments)]
}

#[test]
fn every_scenario_runs_over_two_nodes() {
    let redis = Redis::start();
    let nodes = over_redis(&redis);
    let rooms = ["--clients", "20", "--rooms", "4", "--rooms-per-client", "2"];
    for (scenario, extra) in [
        ("idle", &[][..]),
        ("echo", &["--window", "2"]),
        ("fanout", &["--rate", "100"]),
        ("fanout", &["--window", "2", "--binary", "--size", "3000"]),
        ("churn", &["--churn-rate", "40", "--rate", "50"]),
        ("storm", &["--storm-every", "700ms", "--rate", "50"]),
        ("slow", &["--slow-share", "0.2", "--rate", "50"]),
        ("mix", &["--rate", "100"]),
    ] {
        let arguments = [&[scenario], &rooms[..], extra].concat();
        let (run, result) = measured_over(&nodes, &arguments);
        for name in ["lost", "lost_unconfirmed", "duplicated", "reordered"] {
            let told = format!("{scenario} {name}: {}", run.table);
            assert_eq!(result["audit"][name], 0, "{told}");
        }
        if !["churn", "storm"].contains(&scenario) {
            assert_clean(&run, &result);
        }
        if scenario == "fanout" {
            let sent = result["counters"]["sent"].as_u64().expect("a number");
            // Half of the ten members of a room are on the other node.
            let delivered = result["counters"]["delivered"].as_u64();
            assert_eq!(delivered, Some(sent * 10), "{}", run.table);
        }
    }
}

fn emits(nodes: &[Node; 2], broker: &str, extra: &[&str]) {
    let base = [
        "emit",
        "--broker",
        broker,
        "--clients",
        "10",
        "--rooms",
        "2",
    ];
    let (run, result) = measured_over(nodes, &[&base[..], extra].concat());
    assert_clean(&run, &result);
    let sent = result["counters"]["sent"].as_u64().expect("a number");
    let delivered = result["counters"]["delivered"].as_u64();
    assert_eq!(delivered, Some(sent * 5), "{}", run.table);
    assert!(sent >= 98, "{}", run.table);
}

#[test]
fn the_emitter_publishes_through_redis() {
    let redis = Redis::start();
    let nodes = over_redis(&redis);
    emits(&nodes, &redis.url(), &["--rate", "50"]);
    emits(&nodes, &redis.url(), &["--window", "4", "--binary"]);
    let named = ["--rate", "50", "--event", "news", "--emit-args"];
    let args = r#"[{"text":"{stamp} {data}","to":"{room}"}]"#;
    emits(&nodes, &redis.url(), &[&named[..], &[args]].concat());
    let shared = ["--rate", "50", "--processes", "2"];
    emits(&nodes, &redis.url(), &shared);
}

#[test]
fn the_emitter_publishes_through_rabbitmq() {
    let broker = RabbitMq::start();
    let url = broker.url();
    let arguments = ["--adapter", "amqp", "--amqp-url", &url];
    let nodes = [Node::start(&arguments), Node::start(&arguments)];
    emits(&nodes, &url, &["--rate", "50"]);
    emits(&nodes, &url, &["--window", "4", "--binary"]);
    drop(nodes);
    // An exchange of another name, for emitter and nodes.
    let arguments = [&arguments[..], &["--amqp-exchange", "other"]].concat();
    let nodes = [Node::start(&arguments), Node::start(&arguments)];
    emits(&nodes, &url, &["--rate", "50", "--broker-prefix", "other"]);
}

#[test]
fn who_loses_its_node_goes_to_another() {
    let redis = Redis::start();
    let nodes = over_redis(&redis);
    let kill = format!("kill -9 {}", nodes[0].id());
    let load = [
        "--clients",
        "10",
        "--rate",
        "50",
        "--reconnect-delay",
        "200ms",
    ];
    let fault = [
        "--kill", &kill, "--at", "500ms", "--phase", "4s", "--warmup", "0s",
    ];
    let arguments = [&["fanout"], &load[..], &fault].concat();
    let (run, result) = measured_over(&nodes, &arguments);
    assert_eq!(run.code, Some(0), "{}", run.errors);
    assert_eq!(result["counters"]["disconnected"], 5, "{}", run.table);
    assert_eq!(result["counters"]["connected"], 15, "{}", run.table);
    let seconds = result["seconds"].as_array().expect("seconds");
    let last = seconds.iter().rfind(|second| second["stage"] == "measure");
    let clients = last.map(|second| second["clients"].clone());
    assert_eq!(clients, Some(10.into()), "{}", run.table);
    // Errors say which node it was.
    let address = nodes[0].url.trim_start_matches("http://");
    assert!(run.table.contains(&format!("{address}: ")), "{}", run.table);
    assert_eq!(result["audit"]["duplicated"], 0, "{}", run.table);
}

#[test]
fn a_broker_that_is_not_there_is_told_before_anything_else() {
    let redis = Redis::start();
    let nodes = over_redis(&redis);
    for broker in ["redis://127.0.0.1:1", "amqp://127.0.0.1:1"] {
        let arguments = ["run", "emit", "--target", &nodes[0].url, "--broker", broker];
        let Run { code, errors, .. } = loadtest(&[&arguments[..], &["-q"]].concat());
        assert_eq!(code, Some(69), "{errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        assert!(errors.contains("127.0.0.1:1"), "{errors}");
    }
    let arguments = [
        "run",
        "emit",
        "--target",
        &nodes[0].url,
        "--broker",
        "http://h",
    ];
    let Run { code, errors, .. } = loadtest(&arguments);
    assert_eq!(code, Some(64), "{errors}");
}
