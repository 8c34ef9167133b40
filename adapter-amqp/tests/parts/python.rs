//! The dialect of python-socketio, against a raw client of the broker. (Against python-socketio
//! itself: `interop/cluster-python`.)

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use socketio_adapter_amqp::{AmqpConfig, Publisher, Reliable};
use socketio_core::cluster::wire::python::{Python, PythonConfig};
use socketio_core::cluster::{
    Adapter, AdapterError, ClusterMessage, ClusterResponse, Operation, ResponseBody,
};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_core::value::Value;
use socketio_testkit::RabbitMq;

use crate::common::{LIMIT, Node, cluster, numbered, until};

/// A member that declares, reads and publishes as python-socketio does.
struct Peer {
    channel: Channel,
    exchange: String,
    consumer: Consumer,
    _connection: Connection,
}

impl Peer {
    async fn open(rabbit: &RabbitMq, exchange: &str) -> Self {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&rabbit.url(), properties).await;
        let connection = connection.expect("a broker");
        let channel = connection.create_channel().await.expect("a channel");
        let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Fanout, options, none.clone())
            .await
            .expect("declared as all others do");
        let options = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let queue = channel
            .queue_declare("".into(), options, none.clone())
            .await;
        let queue = queue.expect("a queue").name().clone();
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(
            queue.clone(),
            exchange.into(),
            "".into(),
            options,
            none.clone(),
        );
        bound.await.expect("bound");
        let options = BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        };
        let consumer = channel.basic_consume(queue, "".into(), options, none);
        Self {
            consumer: consumer.await.expect("a consumer"),
            channel,
            exchange: exchange.to_owned(),
            _connection: connection,
        }
    }

    async fn publish(&self, json: &str) {
        let (key, options) = (ShortString::from("*"), BasicPublishOptions::default());
        let (exchange, properties) = (self.exchange.as_str().into(), BasicProperties::default());
        let published =
            self.channel
                .basic_publish(exchange, key, options, json.as_bytes(), properties);
        published.await.expect("published");
    }

    /// The next message whose method is `method`.
    async fn hear(&mut self, method: &str) -> (Value, Delivery) {
        let next = async {
            loop {
                let delivery = self.consumer.next().await.expect("open").expect("healthy");
                // What is no message was sent by this one.
                let Ok(value) = serde_json::from_slice::<serde_json::Value>(&delivery.data) else {
                    continue;
                };
                let value = socketio_core::value::to_value(&value).expect("a value");
                if value.get("method").and_then(Value::as_str) == Some(method) {
                    return (value, delivery);
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.expect("a message")
    }
}

/// A cluster of its own, with a dialect on exchanges of its own.
fn member(url: &str) -> (AmqpConfig, String) {
    let exchange = format!("test-python-{}", NodeId::generate());
    let python = PythonConfig::member().channels([exchange.clone()]);
    (cluster(url).python(python), exchange)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) async fn a_member_hears_and_is_heard_once(rabbit: &RabbitMq) {
    let (config, exchange) = member(&rabbit.url());
    let mut peer = Peer::open(rabbit, &exchange).await;
    let plain = Node::start(config.clone()).await;
    let lasting = Node::start(config.clone().reliable(Reliable::new("n"))).await;
    assert!(plain.status().up && lasting.status().up);
    assert!(plain.adapter.has_uncounted_members());

    plain.publish().expect("room");
    let (said, delivery) = peer.hear("emit").await;
    assert_eq!(text(&said, "event"), "event");
    let properties = &delivery.properties;
    assert_eq!(properties.content_type(), &Some("text/plain".into()));
    assert_eq!(properties.delivery_mode(), &Some(1));
    until("ours, once", || lasting.heard_all(&plain)).await;

    let line = r#"{"method":"emit","event":"e","data":["x"],"binary":false,"namespace":"/","room":"r","skip_sid":null,"callback":["r","/",7],"host_id":"h"}"#;
    for _ in 0..3 {
        peer.publish("\u{80} no message").await;
    }
    peer.publish(line).await;
    for node in [&plain, &lasting] {
        let last = || node.heard.messages.lock().last().cloned();
        let foreign = || last().is_some_and(|message| Python::answers(&message.node));
        until("a foreign message", foreign).await;
        assert_eq!(node.status().decode_errors, 3);
        // The answer takes the same way.
        let message = last().expect("one");
        let answer = ClusterResponse {
            node: Some(node.id.clone()),
            namespace: message.namespace.clone(),
            request: message.operation.request().expect("asked").clone(),
            body: ResponseBody::Ack {
                socket: None,
                payload: Payload::args(&"yes").expect("encoded"),
            },
        };
        let responded = node.adapter.respond(&message.node, answer);
        responded.expect("room");
        let (said, _) = peer.hear("callback").await;
        assert_eq!((text(&said, "host_id"), text(&said, "sid")), ("h", "r"));
        assert_eq!(said.get("id").and_then(Value::as_u64), Some(7));
    }
    assert_eq!(lasting.count(), 2, "each message came once");

    // And a question of ours.
    let request = RequestId::generate();
    let ask = ClusterMessage {
        operation: Operation::Broadcast {
            payload: Payload::event("ask", &1).expect("encoded"),
            target: Target::room("r"),
            request: Some(request.clone()),
        },
        ..numbered(&plain.id, 2, 0)
    };
    plain.adapter.publish(&ask).expect("room");
    let said = loop {
        let (said, _) = peer.hear("emit").await;
        if text(&said, "event") == "ask" {
            break said;
        }
    };
    let host = text(&said, "host_id");
    peer.publish(&format!(
        r#"{{"method":"callback","host_id":"{host}","sid":"r","namespace":"/","id":"{request}","args":[1]}}"#
    ))
    .await;
    until("an answer", || plain.heard.responses.lock().len() == 1).await;
    assert_eq!(plain.heard.responses.lock()[0].request, request);
    assert!(lasting.heard.responses.lock().is_empty());

    let fetch = ClusterMessage {
        operation: Operation::FetchSockets {
            target: Target::all(),
            request,
        },
        ..ask
    };
    plain.adapter.publish(&fetch).expect("room");
    assert_eq!(plain.status().untranslated, 1);
    plain.adapter.close().await;
    lasting.adapter.close().await;
}

pub(crate) async fn who_listens_says_nothing(rabbit: &RabbitMq) {
    let (config, exchange) = member(&rabbit.url());
    let listen = PythonConfig::listen().channels([exchange.as_str(), "another-exchange"]);
    let mut peer = Peer::open(rabbit, &exchange).await;
    let other = Peer::open(rabbit, "another-exchange").await;
    let node = Node::start(config.clone().python(listen)).await;
    assert!(!node.adapter.has_uncounted_members());
    node.publish().expect("room");
    let line = r#"{"method":"close_room","room":"r","namespace":"/","host_id":"h"}"#;
    peer.publish(line).await;
    other.publish(line).await;
    until("both exchanges", || node.count() == 2).await;
    let (said, _) = peer.hear("close_room").await;
    assert_eq!(text(&said, "host_id"), "h", "nothing of ours came before");
    node.adapter.close().await;
}

/// What an emitter in mode python publishes.
fn raw(number: u64) -> bytes::Bytes {
    let codec = Python::new(&NodeId::generate_emitter(), PythonConfig::member());
    let said = codec.encode(&numbered(&NodeId::emitter(), number, 3));
    said.expect("encodable").messages[0].payload.clone()
}

pub(crate) async fn raw_messages_of_emitters_are_heard_once(rabbit: &RabbitMq) {
    let (config, first) = member(&rabbit.url());
    let second = format!("test-python-{}", NodeId::generate());
    let python = PythonConfig::member().channels([first.as_str(), second.as_str()]);
    let config = config.python(python);
    let lasting = config.clone().reliable(Reliable::new("n"));
    let nodes = [
        Node::start(config.clone()).await,
        Node::start(lasting).await,
    ];
    let listed = rabbit.control(&["list_exchanges", "name", "type", "durable", "auto_delete"]);
    let exchange = |name: &str| listed.contains(&format!("{name}\tfanout\tfalse\tfalse"));
    assert!(
        exchange(&first) && exchange(&second),
        "as aio-pika and Kombu declare them: {listed}"
    );
    let mut peer = Peer::open(rabbit, &first).await;
    let publisher = Publisher::connect(config).await.expect("a broker");
    // An exchange that is not there yet is declared too.
    let third = format!("test-python-{}", NodeId::generate());
    for channel in [&first, &second, &third] {
        publisher.publish_raw(channel, raw(1)).expect("room");
    }
    let long = publisher.publish_raw(&"x".repeat(256), bytes::Bytes::new());
    assert!(matches!(long, Err(AdapterError::Encode(_))), "{long:?}");
    publisher.flush().await.expect("confirmed");
    for node in &nodes {
        until("one of each channel", || node.count() >= 2).await;
        // What is published behind them is heard behind them.
        node.publish().expect("room");
    }
    for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        until("our own format", || node.heard_all(other)).await;
        assert_eq!(node.count(), 3, "each message came once");
        assert_eq!(node.status().decode_errors, 0);
    }
    assert_eq!(text(&peer.hear("emit").await.0, "event"), "event");
    assert_eq!(publisher.status().reconnects, 0);
    publisher.close().await.expect("confirmed");
    for node in nodes {
        node.adapter.close().await;
    }
}

pub(crate) async fn an_exchange_that_others_declared_is_taken_as_it_is(rabbit: &RabbitMq) {
    let (config, exchange) = member(&rabbit.url());
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rabbit.url(), properties).await;
    let connection = connection.expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    let options = ExchangeDeclareOptions {
        durable: true,
        auto_delete: true,
        ..Default::default()
    };
    let (name, none) = (exchange.as_str().into(), FieldTable::default());
    let declared = channel.exchange_declare(name, ExchangeKind::Topic, options, none);
    declared.await.expect("declared");
    let node = Node::start(config.clone()).await;
    assert!(node.status().up, "{:?}", node.adapter.last_error());
    let publisher = Publisher::connect(config).await.expect("a broker");
    publisher.publish_raw(&exchange, raw(1)).expect("room");
    until("the message", || node.count() == 1).await;
    publisher.close().await.expect("confirmed");
    node.adapter.close().await;
}
