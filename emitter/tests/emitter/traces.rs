//! One trace from an emitter over a real broker to two servers, which are all in this process: that of the servers' own
//! tests collects their spans.

use std::sync::Arc;

use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig};
use socketio_adapter_redis::{RedisAdapter, RedisConfig};
use socketio_emitter::{Emitter, EmitterConfig, Mode, TraceContext};
use socketio_server::Adapter;
use socketio_testkit::{RabbitMq, Redis};
use tracing::Instrument as _;

use self::collected::{assert_child, attribute, collect};
use crate::cluster::Cluster;

/// Collects the spans of one thread.
#[path = "../../../server/tests/socketio/traces/collected.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod collected;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Whether the mode carries questions; events it does.
async fn one_trace(adapters: [Arc<dyn Adapter>; 2], config: EmitterConfig, asks: bool) {
    let io = Emitter::connect_with(config).await.expect("a broker");
    // Its warming up is not collected.
    let mut cluster = Cluster::start(adapters, &io).await;
    let collected = collect();

    let job = tracing::trace_span!(target: "socketio_trace", "job");
    job.in_scope(|| io.to("both").emit("report", 1))
        .expect("room");
    drop(job);
    cluster.both_hear("report", &1).await;
    let job = collected.one("job").await;
    let sent = collected.broadcast("report").await;
    assert_child(&sent, &job);
    let two = async |event: &str| {
        collected
            .find_all("deliver broadcast", 2, |span| {
                attribute(span, "socketio.event") == event
            })
            .await
    };
    for delivered in two("report").await {
        assert_child(&delivered, &sent);
        assert!(delivered.parent_span_is_remote);
        assert_eq!(attribute(&delivered, "socketio.recipients"), "1");
    }

    // Said in so many words, in a process that makes no spans of its own.
    let parent: TraceContext = format!("00-{TRACE}-{SPAN}-01").parse().expect("valid");
    let parent = parent.with_tracestate("vendor=1");
    let explicit = io.to("both").trace_context(parent);
    explicit.emit("explicit", 2).expect("room");
    cluster.both_hear("explicit", &2).await;
    let sent = collected.broadcast("explicit").await;
    assert_eq!(sent.parent_span_id.to_string(), SPAN);
    for delivered in two("explicit").await {
        assert_child(&delivered, &sent);
        assert_eq!(delivered.span_context.trace_id().to_string(), TRACE);
        assert_eq!(delivered.span_context.trace_state().header(), "vendor=1");
    }

    if asks {
        let job = tracing::trace_span!(target: "socketio_trace", "count");
        let count = io.to("both").count().instrument(job).await.expect("asked");
        assert_eq!(count.sockets, 2);
        let job = collected.one("count").await;
        let asked = collected.one("list_sockets").await;
        assert_child(&asked, &job);
        for delivered in collected.wait("deliver list_sockets", 2).await {
            assert_child(&delivered, &asked);
        }
    }
    io.close().await.expect("taken");
    cluster.end().await;
}

fn redis(
    url: &str,
    mode: Mode,
    name: socketio_adapter_redis::Mode,
) -> ([Arc<dyn Adapter>; 2], EmitterConfig) {
    let adapters = [(); 2].map(|()| -> Arc<dyn Adapter> {
        let mut config = RedisConfig::new(url);
        config.mode = name;
        if mode == Mode::Python {
            config.python = Some(socketio_adapter_redis::PythonConfig::listen());
        }
        RedisAdapter::new(config).expect("a valid configuration")
    });
    (adapters, EmitterConfig::new(url).mode(mode))
}

#[tokio::test]
async fn over_redis_on_the_wire_of_node() {
    let server = Redis::start();
    let (adapters, config) = redis(
        &server.url(),
        Mode::Pubsub,
        socketio_adapter_redis::Mode::Pubsub,
    );
    one_trace(adapters, config, true).await;
}

#[tokio::test]
async fn over_redis_on_the_sharded_wire_of_node() {
    let server = Redis::start();
    let name = socketio_adapter_redis::Mode::ShardedDynamic;
    let (adapters, config) = redis(&server.url(), Mode::ShardedDynamic, name);
    one_trace(adapters, config, true).await;
}

#[tokio::test]
async fn over_redis_in_the_dialect_of_python() {
    let server = Redis::start();
    let (adapters, config) = redis(
        &server.url(),
        Mode::Python,
        socketio_adapter_redis::Mode::Pubsub,
    );
    one_trace(adapters, config, false).await;
}

#[tokio::test]
async fn over_rabbitmq() {
    let rabbit = RabbitMq::start();
    let adapters = [(); 2].map(|()| -> Arc<dyn Adapter> {
        let config = AmqpConfig::new(rabbit.url());
        AmqpAdapter::new(config).expect("a valid configuration")
    });
    one_trace(adapters, EmitterConfig::new(rabbit.url()), true).await;
}
