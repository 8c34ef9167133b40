use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use socketio_adapter_amqp::Reliable;
use socketio_core::cluster::Adapter;
use socketio_testkit::RabbitMq;

use crate::common::{Node, cluster, until};

/// The names of the queues of one cluster.
fn queues(rabbit: &RabbitMq, exchange: &str) -> Vec<String> {
    let listed = rabbit.control(&["list_queues", "name"]);
    let names = listed.lines().filter(|line| line.starts_with(exchange));
    names.map(ToOwned::to_owned).collect()
}

async fn operator(rabbit: &RabbitMq) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rabbit.url(), properties).await;
    let connection = connection.expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

/// What the broker says about each node: two connections, and one queue.
pub(crate) async fn what_a_node_has_at_the_broker(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url()).prefetch(77_u16);
    let plain = Node::start(config.clone()).await;
    let lasting = Reliable::new("n").expiry(Duration::from_secs(90));
    let lasting = Node::start(config.clone().reliable(lasting)).await;
    assert!(plain.status().up && lasting.status().up);
    let listed = rabbit.control(&["list_connections", "client_properties"]);
    for role in ["publish", "consume"] {
        let name = format!("socketio {role} {}", config.exchange);
        assert_eq!(listed.matches(&name).count(), 2, "{name}: {listed}");
    }
    let columns = ["name", "durable", "exclusive", "auto_delete", "arguments"];
    let listed = rabbit.control(&[&["list_queues"], &columns[..]].concat());
    let listed = listed
        .lines()
        .filter(|line| line.starts_with(&config.exchange));
    let queues: Vec<Vec<&str>> = listed.map(|line| line.split('\t').collect()).collect();
    assert_eq!(queues.len(), 2, "{queues:?}");
    let own = format!("{}.n", config.exchange);
    for queue in &queues {
        let is_lasting = queue[0] == own;
        let expected = if is_lasting {
            ["true", "false", "false"]
        } else {
            // Neither deprecated nor refused by any version of RabbitMQ: only transient queues
            // that are not exclusive are.
            ["false", "true", "true"]
        };
        assert_eq!(queue[1..4], expected, "{queue:?}");
        for bound in ["x-max-length", "x-max-length-bytes", "x-overflow"] {
            assert!(queue[4].contains(bound), "{queue:?}");
        }
        assert_eq!(
            queue[4].contains("\"x-expires\",90000"),
            is_lasting,
            "{queue:?}"
        );
    }
    // Of the consumer, not of the channel, which 4.x refuses.
    let columns = ["queue_name", "ack_required", "prefetch_count"];
    let consumers = rabbit.control(&[&["list_consumers"], &columns[..]].concat());
    for queue in &queues {
        let line = format!("{}\ttrue\t77", queue[0]);
        assert!(consumers.contains(&line), "{consumers}");
    }
    let channels = rabbit.control(&["list_channels", "global_prefetch_count", "confirm"]);
    assert!(
        channels.lines().all(|line| !line.starts_with("77")),
        "{channels}"
    );
    assert!(channels.contains("0\ttrue"), "{channels}");
    plain.adapter.close().await;
    lasting.adapter.close().await;
}

pub(crate) async fn a_deleted_queue_is_rebuilt(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    // Only its own connection may delete an exclusive queue, and the broker itself.
    let plain = Node::start(config.clone()).await;
    let name = queues(rabbit, &config.exchange).remove(0);
    let delete = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>)), \
         rabbit_amqqueue:delete(Q, false, false, <<\"operator\">>)."
    );
    rabbit.control(&["eval", &delete]);
    until("a new connection", || plain.status().reconnects == 1).await;
    plain.until_up().await;
    assert_eq!(plain.status().gaps, 1);
    assert_eq!(plain.heard.gaps(), [false, true]);
    assert_ne!(queues(rabbit, &config.exchange), [name]);

    let lasting = Node::start(config.clone().reliable(Reliable::new("n"))).await;
    let (_connection, channel) = operator(rabbit).await;
    let name = format!("{}.n", config.exchange);
    let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
    deleted.await.expect("deleted");
    until("a new connection", || lasting.status().reconnects == 1).await;
    lasting.until_up().await;
    assert_eq!(lasting.status().gaps, 1, "the queue was gone");
    plain.publish().expect("room");
    until("a message through the new queue", || {
        lasting.heard_all(&plain)
    })
    .await;
    plain.adapter.close().await;
    lasting.adapter.close().await;
}

pub(crate) async fn nothing_is_left_behind(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url());
    let plain = Node::start(config.clone()).await;
    let lasting = Node::start(config.clone().reliable(Reliable::new("n"))).await;
    assert_eq!(queues(rabbit, &config.exchange).len(), 2);
    plain.adapter.close().await;
    lasting.adapter.close().await;
    assert!(!plain.status().up && !lasting.status().up);
    let gone = || queues(rabbit, &config.exchange).is_empty();
    until("both queues are gone", gone).await;

    // Also when nobody says goodbye, for queues without a name of their own.
    let forgotten = Node::start(config.clone()).await;
    assert_eq!(queues(rabbit, &config.exchange).len(), 1);
    drop(forgotten);
    until("the queue is gone", gone).await;
}

pub(crate) async fn an_instance_name_is_used_once(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url()).reliable(Reliable::new("n"));
    let first = Node::start(config.clone()).await;
    assert!(first.status().up);
    let second = Node::start(config.clone()).await;
    until("the second one complains", || {
        second.adapter.last_error().is_some()
    })
    .await;
    assert!(!second.status().up);
    let other = Node::start(config.reliable(Reliable::new("other"))).await;
    for _ in 0..20 {
        other.publish().expect("room");
    }
    until("the first one hears all", || first.heard_all(&other)).await;
    assert_eq!(first.status().reconnects, 0, "it is not disturbed");
    first.adapter.close().await;
    second.until_up().await;
    assert_eq!(
        second.count(),
        0,
        "what the first one heard is not heard again"
    );
    second.adapter.close().await;
    other.adapter.close().await;
}

pub(crate) async fn a_deleted_exchange_is_declared_again(rabbit: &RabbitMq) {
    let config = cluster(&rabbit.url())
        .probe_interval(Duration::from_millis(200))
        .probe_timeout(Duration::from_millis(500));
    let (a, b) = (
        Node::start(config.clone()).await,
        Node::start(config.clone()).await,
    );
    let (_connection, channel) = operator(rabbit).await;
    let options = ExchangeDeleteOptions::default();
    let deleted = channel.exchange_delete(config.exchange.as_str().into(), options);
    deleted.await.expect("deleted");
    let back = |node: &Node| node.status().up && node.status().gaps > 0;
    until("both are back", || back(&a) && back(&b)).await;
    a.publish().expect("room");
    until("a message", || b.heard_all(&a)).await;
    a.adapter.close().await;
    b.adapter.close().await;
}
