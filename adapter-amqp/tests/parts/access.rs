use socketio_adapter_amqp::{ExchangeType, Publisher};
use socketio_core::cluster::Adapter;
use socketio_testkit::{Certificates, RabbitMq};

use crate::common::{Node, cluster, until};

fn error_chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", error_chain(source)),
        None => error.to_string(),
    }
}

async fn last_error(node: &Node, part: &str) {
    let reported = || {
        let error = node.adapter.last_error();
        error.is_some_and(|error| error.contains(part))
    };
    until(&format!("`{part}` is reported"), reported).await;
    assert!(!node.status().up);
}

pub(crate) async fn credentials_and_virtual_host(rabbit: &RabbitMq) {
    rabbit.control(&["add_vhost", "chat/1"]);
    rabbit.control(&["add_user", "node", "se:cr@t/"]);
    rabbit.control(&[
        "set_permissions",
        "-p",
        "chat/1",
        "node",
        "^test-",
        "^test-",
        "^test-",
    ]);
    let url = format!(
        "amqp://node:se%3Acr%40t%2F@127.0.0.1:{}/chat%2F1",
        rabbit.port()
    );
    let config = cluster(&url);
    let (a, b) = (
        Node::start(config.clone()).await,
        Node::start(config.clone()).await,
    );
    assert!(
        a.status().up && b.status().up,
        "{:?}",
        a.adapter.last_error()
    );
    // The same exchange in another virtual host is another cluster.
    let other = Node::start(config.url(rabbit.url())).await;
    a.publish().expect("room");
    until("a message in the virtual host", || b.heard_all(&a)).await;
    assert_eq!(other.count(), 0);
    for node in [a, b, other] {
        node.adapter.close().await;
    }
}

pub(crate) async fn refused_credentials_are_reported(rabbit: &RabbitMq) {
    let url = format!("amqp://guest:wrong@127.0.0.1:{}", rabbit.port());
    let node = Node::start(cluster(&url)).await;
    last_error(&node, "ACCESS_REFUSED").await;
    let refused = Publisher::connect(cluster(&url)).await;
    let error = error_chain(&refused.expect_err("wrong password"));
    assert!(error.contains("ACCESS_REFUSED"), "{error}");
    assert!(
        !error.contains("wrong"),
        "the password is not told: {error}"
    );
    // It goes on trying: the operator may set the password later.
    rabbit.control(&["change_password", "guest", "wrong"]);
    node.until_up().await;
    node.adapter.close().await;
    rabbit.control(&["change_password", "guest", "guest"]);
}

pub(crate) async fn a_missing_virtual_host_is_reported(rabbit: &RabbitMq) {
    let url = format!("amqp://guest:guest@127.0.0.1:{}/nowhere", rabbit.port());
    let node = Node::start(cluster(&url)).await;
    last_error(&node, "nowhere").await;
    node.adapter.close().await;
}

pub(crate) async fn tls_with_an_own_authority(rabbit: &RabbitMq, certificates: &Certificates) {
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("amqps://guest:guest@{host}:{}", rabbit.tls_port());
        let config = cluster(&url).ca(certificates.authority.clone());
        let (a, b) = (Node::start(config.clone()).await, Node::start(config).await);
        assert!(
            a.status().up && b.status().up,
            "{:?}",
            a.adapter.last_error()
        );
        a.publish_sized(100_000).expect("room");
        until("a message over TLS", || b.heard_all(&a)).await;
        a.adapter.close().await;
        b.adapter.close().await;
    }
    let url = format!("amqps://guest:guest@localhost:{}", rabbit.tls_port());
    let stranger = Certificates::new();
    let node = Node::start(cluster(&url).ca(stranger.authority.clone())).await;
    last_error(&node, "certificate").await;
    node.adapter.close().await;
}

pub(crate) async fn an_exchange_of_another_type_is_reported(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    let first = Node::start(config.clone()).await;
    first.until_up().await;
    let second = Node::start(config.exchange_type(ExchangeType::Topic)).await;
    last_error(&second, "PRECONDITION_FAILED").await;
    first.publish().expect("room");
    assert!(first.status().up, "the first one is not disturbed");
    first.adapter.close().await;
    second.adapter.close().await;
}
