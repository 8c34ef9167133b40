//! What an emitter counts, on every wire.

use std::collections::BTreeMap;
use std::time::Duration;

use socketio_emitter::prometheus_client::encoding::text::encode;
use socketio_emitter::prometheus_client::registry::Registry;
use socketio_emitter::{AskError, Emitter, EmitterConfig, EmitterMetrics};
use socketio_testkit::Redis;
use socketio_testkit::docs::{assert_documented, table};

use crate::client::until;
use crate::cluster::Cluster;

/// The samples of the page.
fn samples(metrics: &EmitterMetrics) -> BTreeMap<String, f64> {
    let page = metrics.encode();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect(line);
        let name = name.strip_prefix("socketio_emitter_").expect(line);
        (name.to_owned(), value.parse().expect(line))
    });
    samples.collect()
}

/// With nodes there that answer.
pub(crate) async fn counted(cluster: &mut Cluster, config: &EmitterConfig) {
    let io = Emitter::connect_with(config.clone().max_message_bytes(10_000_usize));
    let io = io.await.expect("a broker");
    until("the connection to publish on", || io.metrics().status().up).await;
    let before = samples(&io.metrics());
    assert_eq!(before["up"], 1.0);
    for (name, value) in before {
        let is_counter = name != "up" && !name.starts_with("build_info");
        assert!(!is_counter || value == 0.0, "{name} is {value}");
    }
    for number in 0..3 {
        io.to("a").emit("counted", number).expect("room");
        assert_eq!(cluster.a.expect::<u32>("counted").await, number);
    }
    io.emit("large", "x".repeat(20_000)).expect_err("too large");
    io.flush().await.expect("taken");
    let after = samples(&io.metrics());
    assert_eq!(after["emits_total"], 3.0);
    assert_eq!(after["published_total"], 3.0);
    assert!(after["published_bytes_total"] > 3.0 * 20.0, "{after:?}");
    assert_eq!(after["dropped_total{reason=\"too_large\"}"], 1.0);
    assert_eq!(after["dropped_total{reason=\"lost\"}"], 0.0);
    assert_eq!(after["queued_messages"], 0.0);
    assert_eq!(after["publish_seconds_count"], 3.0);
    assert!(after["publish_seconds_sum"] > 0.0, "{after:?}");

    let count = io.count().await.expect("an answer");
    assert!(count.is_complete());
    let asked = samples(&io.metrics());
    let took = |outcome: &str| {
        asked[&format!("request_seconds_count{{kind=\"count\",outcome=\"{outcome}\"}}")]
    };
    assert_eq!((took("complete"), took("partial")), (1.0, 0.0));
    assert_eq!(asked["emits_total"], 3.0, "a question is none");
    io.close().await.expect("taken");
    io.emit("late", ()).expect_err("closed");
    let closed = samples(&io.metrics());
    assert_eq!(closed["dropped_total{reason=\"closed\"}"], 1.0);
}

/// A broker that goes and comes back, and nobody who answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_seen() {
    let mut redis = Redis::start();
    let config = EmitterConfig::new(redis.url()).max_queued_messages(2_usize);
    let io = Emitter::connect_with(config).await.expect("a broker");
    io.emit("before", ()).expect("room");
    io.flush().await.expect("taken");
    let asked = io.timeout(Duration::from_secs(1)).count().await;
    assert!(matches!(asked, Err(AskError::NoNode)), "{asked:?}");
    redis.kill();
    until("the loss of the broker", || !io.metrics().status().up).await;
    io.emit("kept", 1).expect("room");
    io.emit("kept", 2).expect("room");
    io.emit("refused", 3).expect_err("full");
    let away = samples(&io.metrics());
    assert_eq!(away["up"], 0.0);
    assert_eq!(away["queued_messages"], 2.0);
    assert_eq!(away["dropped_total{reason=\"queue_full\"}"], 1.0);
    assert_eq!(away["request_failures_total{reason=\"no_node\"}"], 1.0);
    redis.restart();
    io.flush().await.expect("taken");
    // What hears the answers to questions counts, and may be later.
    until("the count", || io.metrics().reconnects() >= 1).await;
    let back = samples(&io.metrics());
    assert_eq!(back["up"], 1.0);
    assert_eq!(back["published_total"], 3.0);
    assert_eq!(back["queued_messages"], 0.0);
    assert_eq!(back["dropped_total{reason=\"lost\"}"], 0.0);
    io.close().await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented() {
    let redis = Redis::start();
    let io = Emitter::connect(&redis.url()).await.expect("a broker");
    let mut registry = Registry::default();
    registry.register_collector(Box::new(io.collector()));
    let mut page = String::new();
    encode(&mut page, &registry).expect("a page");
    assert_eq!(page, io.metrics().encode());
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let real = types.map(|line| {
        let (name, kind) = line.split_once(' ').expect(line);
        let suffix = match kind {
            "counter" => "_total",
            _ => "",
        };
        (format!("{name}{suffix}"), vec![kind.to_owned()])
    });
    let documented = table("METRICS.md", "The emitter");
    assert_documented("docs/METRICS.md", &documented, &real.collect());
    io.close().await.expect("nothing is queued");
}
