//! Over RabbitMQ. A start of it takes seven seconds of processor time, so this is one test of many
//! parts.

use std::sync::Arc;

use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, PythonConfig, Reliable};
use socketio_emitter::{ConnectError, Emitter, EmitterConfig, Mode};
use socketio_server::Adapter;
use socketio_testkit::{Certificates, RabbitMq};

use crate::cluster::Cluster;
use crate::{command, job, python, suite};

/// A cluster of its own at the broker.
async fn cluster(
    rabbit: &RabbitMq,
    exchange: &str,
    reliable: bool,
) -> (Cluster, Emitter, EmitterConfig) {
    let adapter = |name: &str| -> Arc<dyn Adapter> {
        let config = AmqpConfig::new(rabbit.url()).exchange(exchange);
        let config = config.reliable(reliable.then(|| Reliable::new(name)));
        AmqpAdapter::new(config).expect("a valid configuration")
    };
    let config = EmitterConfig::new(rabbit.url());
    let config = config.exchange(exchange).reliable(reliable);
    let io = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    let cluster = Cluster::start([adapter("one"), adapter("two")], &io).await;
    (cluster, io, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_rabbitmq() {
    let certificates = Certificates::new();
    let mut rabbit = RabbitMq::start_with_tls(&certificates);
    let (mut nodes, io, config) = cluster(&rabbit, "suite", false).await;
    assert_eq!(io.mode(), Mode::Amqp);
    Box::pin(suite::all(&mut nodes, &io, &config)).await;
    io.close().await.expect("taken");
    nodes.end().await;

    let (mut nodes, io, config) = cluster(&rabbit, "command", false).await;
    let url = rabbit.url();
    let arguments = ["--url", &url, "--exchange", "command"];
    Box::pin(command::all(&mut nodes, &io, &arguments)).await;
    credentials(&rabbit).await;
    over_tls(&rabbit, &certificates).await;
    in_the_dialect_of_python(&rabbit).await;
    Box::pin(job::outage(&mut nodes, &config, Broker(&mut rabbit))).await;
    nodes.end().await;

    job::nobody(&EmitterConfig::new(rabbit.url()).exchange("nobody")).await;
    let (mut nodes, _io, config) = cluster(&rabbit, "reliable", true).await;
    Box::pin(job::outage(&mut nodes, &config, Broker(&mut rabbit))).await;
    nodes.end().await;
}

async fn in_the_dialect_of_python(rabbit: &RabbitMq) {
    let adapter = || -> Arc<dyn Adapter> {
        let python = PythonConfig::listen().channels(["flask-socketio"]);
        let config = AmqpConfig::new(rabbit.url()).exchange("listeners");
        AmqpAdapter::new(config.python(python)).expect("a valid configuration")
    };
    let config = EmitterConfig::new(rabbit.url());
    let config = config.mode(Mode::Python).python_channel("flask-socketio");
    let io = Emitter::connect_with(config).await.expect("a broker");
    let mut nodes = Cluster::start([adapter(), adapter()], &io).await;
    let url = rabbit.url();
    python::all(&mut nodes, &io, &url).await;
    io.close().await.expect("taken");
    nodes.end().await;
}

struct Broker<'a>(&'a mut RabbitMq);

impl job::Broker for Broker<'_> {
    fn stop(&mut self) {
        self.0.kill();
    }

    fn start(&mut self) {
        self.0.start_again();
    }
}

async fn over_tls(rabbit: &RabbitMq, certificates: &Certificates) {
    let url = format!("amqps://guest:guest@localhost:{}/%2f", rabbit.tls_port());
    let config = EmitterConfig::new(&url).exchange("command");
    let known = config.tls_authority(certificates.authority.clone());
    let io = Emitter::connect_with(known).await.expect("a broker");
    let count = io.count().await.expect("nodes");
    assert_eq!((count.nodes.len(), count.is_complete()), (2, true));
    io.close().await.expect("taken");
    let refused = Emitter::connect(&url).await;
    assert!(
        matches!(refused, Err(ConnectError::Broker(_))),
        "an authority that nobody knows: {refused:?}"
    );
}

/// A user and password that do not stand in the URL; then the broker says why it refuses.
async fn credentials(rabbit: &RabbitMq) {
    let port = rabbit.port();
    let beside = EmitterConfig::new(format!("amqp://127.0.0.1:{port}/%2f"));
    let beside = beside.username("guest".to_owned());
    let wrong = beside.clone().password("wrong".to_owned());
    let right = beside.password("guest".to_owned());
    let io = Emitter::connect_with(right).await.expect("a broker");
    io.close().await.expect("taken");
    let refused = Emitter::connect_with(wrong).await;
    assert!(
        matches!(refused, Err(ConnectError::Broker(_))),
        "{refused:?}"
    );
    let cases = [
        (format!("amqp://guest:wrong@127.0.0.1:{port}/%2f"), "ACCESS"),
        (
            format!("amqp://guest:guest@127.0.0.1:{port}/nowhere"),
            "nowhere",
        ),
    ];
    for (url, word) in cases {
        let refused = Emitter::connect(&url).await;
        let Err(ConnectError::Broker(cause)) = refused else {
            panic!("{refused:?}");
        };
        let mut text = cause.to_string();
        let mut cause = cause.source();
        while let Some(deeper) = cause {
            text += &format!(": {deeper}");
            cause = deeper.source();
        }
        assert!(text.contains(word), "{text}");
        assert!(!text.contains("wrong@"), "{text}");
    }
}
