//! Publishing without being a node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socketio_adapter_redis::{ConfigError, Mode, Publisher, RedisConfig};
use socketio_core::cluster::{
    Adapter, AdapterError, ClusterMessage, ClusterResponse, Operation, ResponseBody,
};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::target::Target;
use socketio_testkit::{Redis, RedisCluster};

use crate::support::{LIMIT, Node, event, until};

const MODES: [Mode; 4] = [
    Mode::Pubsub,
    Mode::ShardedStatic,
    Mode::ShardedDynamic,
    Mode::ShardedDynamicPrivate,
];

fn message(node: &NodeId, operation: Operation) -> ClusterMessage {
    ClusterMessage {
        node: node.clone(),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation,
    }
}

fn fetch(request: &RequestId) -> Operation {
    Operation::FetchSockets {
        target: Target::all(),
        request: request.clone(),
    }
}

/// What a publisher has heard.
type Answers = Arc<Mutex<Vec<ClusterResponse>>>;

async fn listen(publisher: &Publisher, node: &NodeId, namespace: &str) -> Answers {
    let answers = Answers::default();
    let heard = Arc::clone(&answers);
    let listening = publisher.listen(
        node,
        namespace,
        Arc::new(move |response| heard.lock().push(response)),
    );
    listening.await.expect("it is not closed");
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_was_published_before_the_close_arrives_in_order() {
    let server = Redis::start();
    for mode in MODES {
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        config.prefix = format!("{mode:?}");
        let node = Node::start(&config).await;
        let publisher = Publisher::connect(config).await.expect("it is there");
        let me = NodeId::generate_emitter();
        for number in 0..5000 {
            let published = publisher.publish(&message(&me, event(number)));
            published.expect("there is room");
        }
        publisher.close().await.expect("nothing is lost");
        until("all arrive", || node.numbers().len() == 5000).await;
        assert!(node.numbers().into_iter().eq(0..5000), "in order");
        // As the official emitter, it does not say which one it is.
        assert_eq!(node.heard.messages.lock()[0].node, NodeId::emitter());
        let late = publisher.publish(&message(&me, event(0)));
        assert!(matches!(late, Err(AdapterError::Closed)), "{late:?}");
        publisher.close().await.expect("closing twice is harmless");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_nodes_come_to_who_listens() {
    let server = Redis::start();
    let cluster = RedisCluster::start();
    for (url, mode) in MODES
        .map(|mode| (server.url(), mode))
        .into_iter()
        .chain(MODES.map(|mode| (cluster.url(), mode)))
    {
        let mut config = RedisConfig::new(&url);
        config.mode = mode;
        config.prefix = format!("{mode:?}");
        let nodes = [Node::start(&config).await, Node::start(&config).await];
        until("all are up", || nodes.iter().all(Node::is_up)).await;
        let publisher = Publisher::connect(config).await.expect("it is there");
        let me = NodeId::generate_emitter();
        let answers = listen(&publisher, &me, "/").await;
        let members = publisher.count_members("/").await;
        assert_eq!(members.expect("it answers"), (Some(2), 0), "{url} {mode:?}");
        let request = RequestId::generate();
        let published = publisher.publish(&message(&me, fetch(&request)));
        published.expect("there is room");
        for node in &nodes {
            until("the request arrives", || {
                node.heard.messages.lock().len() == 1
            })
            .await;
            let asked = node.heard.messages.lock()[0].clone();
            assert_eq!(asked.node, me);
            let response = ClusterResponse {
                node: Some(node.id.clone()),
                namespace: "/".into(),
                request: request.clone(),
                body: ResponseBody::Sockets(Vec::new()),
            };
            let answered = node.adapter.respond(&asked.node, response);
            answered.expect("there is room");
        }
        until("both answer", || answers.lock().len() == 2).await;
        let named = |node: &Node| {
            let answers = answers.lock();
            answers.iter().any(|a| a.node.as_ref() == Some(&node.id))
        };
        assert!(nodes.iter().all(named), "{:?}", answers.lock());
        publisher.close().await.expect("nothing is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_members_of_node_js_come_too() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    let node = Node::start(&config).await;
    until("it is up", || node.is_up()).await;
    let mut connection = server.connection();
    let mut member = connection.as_pubsub();
    let patience = member.set_read_timeout(Some(LIMIT));
    patience.expect("a timeout can be set");
    member
        .subscribe("socket.io-request#/#")
        .expect("anybody may");

    let publisher = Publisher::connect(config).await.expect("it is there");
    let me = NodeId::generate_emitter();
    let answers = listen(&publisher, &me, "/").await;
    // Listening does not make it a member.
    let members = publisher.count_members("/").await;
    assert_eq!(members.expect("it answers"), (Some(1), 1));
    let request = RequestId::from("abcdef");
    let published = publisher.publish(&message(&me, fetch(&request)));
    published.expect("there is room");
    let heard = member.get_message().expect("the member is asked");
    let heard: String = heard.get_payload().expect("it is text");
    assert!(
        heard.contains(r#""requestId":"abcdef","type":5"#),
        "{heard}"
    );
    assert!(heard.contains(r#""native":true"#), "{heard}");
    let answer = br#"{"requestId":"abcdef","sockets":[]}"#;
    assert!(server.publish("socket.io-response#/#", answer) >= 1);
    until("it answers", || answers.lock().len() == 1).await;
    assert_eq!(answers.lock()[0].request, request);
    // Our node was asked once.
    until("our node is asked", || {
        node.heard.messages.lock().len() == 1
    })
    .await;

    // Another namespace of the same publisher.
    let other = listen(&publisher, &me, "/other").await;
    assert!(server.publish("socket.io-response#/other#", answer) >= 1);
    until("the first handler hears it", || answers.lock().len() == 2).await;
    assert!(other.lock().is_empty());
    publisher.close().await.expect("nothing is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_bytes_go_where_they_are_told() {
    let server = Redis::start();
    for mode in [Mode::Pubsub, Mode::ShardedDynamic] {
        let mut connection = server.connection();
        let mut reader = connection.as_pubsub();
        let patience = reader.set_read_timeout(Some(LIMIT));
        patience.expect("a timeout can be set");
        reader.subscribe("socketio").expect("anybody may");
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        let publisher = Publisher::connect(config).await.expect("it is there");
        let published = publisher.publish_raw("socketio", "{\"method\":\"emit\"}\0".into());
        published.expect("there is room");
        publisher.flush().await.expect("nothing is lost");
        let heard = reader.get_message().expect("it comes");
        assert_eq!(heard.get_payload_bytes(), b"{\"method\":\"emit\"}\0");
        let status = publisher.status();
        assert!(status.up, "{status:?}");
        assert_eq!((status.messages_out, status.queued_messages), (1, 0));
        publisher.close().await.expect("nothing is lost");
        assert!(!publisher.status().up);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_makes_a_publisher_wait() {
    for protocol in [3, 2] {
        let mut server = Redis::start();
        let config = RedisConfig::new(format!("{}?protocol={protocol}", server.url()));
        let publisher = Publisher::connect(config).await.expect("it is there");
        let me = NodeId::generate_emitter();
        until("it is connected", || publisher.status().up).await;
        server.kill();
        if protocol == 3 {
            // The older protocol tells it only when something is sent.
            until("it notices", || !publisher.status().up).await;
        } else {
            // The outage is this long: nobody takes a connection to be sound that has not answered since.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        for number in 0..100 {
            let published = publisher.publish(&message(&me, event(number)));
            published.expect("there is room");
        }
        let flushed = tokio::time::timeout(Duration::from_millis(50), publisher.flush());
        assert!(flushed.await.is_err(), "there is no broker");
        server.restart();
        let mut connection = server.connection();
        let flushed = publisher.flush().await;
        flushed.expect("what was queued is not lost");
        let status = publisher.status();
        assert_eq!((status.messages_out, status.dropped_out), (100, 0));
        assert_eq!(status.reconnects, 1);
        // It hears again too, with the same call.
        let answers = listen(&publisher, &me, "/").await;
        server.kill();
        drop(connection);
        server.restart();
        connection = server.connection();
        let start = Instant::now();
        let channel = "socket.io-response#/#";
        let answer: &[u8] = br#"{"requestId":"abcdef","sockets":[]}"#;
        while answers.lock().is_empty() {
            assert!(start.elapsed() < LIMIT, "it does not hear again");
            let mut command = redis::cmd("PUBLISH");
            command.arg(channel).arg(answer);
            let heard: u64 = command.query(&mut connection).expect("it is there");
            if heard == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            } else {
                until("it is handed over", || !answers.lock().is_empty()).await;
            }
        }
        publisher.close().await.expect("nothing is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_fails_with_the_reason() {
    let away = Redis::builder().away().start();
    let start = Instant::now();
    let failed = Publisher::connect(RedisConfig::new(away.url())).await;
    let Err(AdapterError::Broker(cause)) = failed else {
        panic!("{failed:?}");
    };
    assert!(cause.is::<redis::RedisError>(), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(3));

    let locked = Redis::builder().arguments(&["--requirepass", "secret"]);
    let locked = locked.start();
    let url = locked.url().replace("//", "//:wrong@");
    let failed = Publisher::connect(RedisConfig::new(url)).await;
    let Err(AdapterError::Broker(cause)) = failed else {
        panic!("{failed:?}");
    };
    let cause = format!("{cause} {:?}", cause.source());
    assert!(!cause.contains("wrong@"), "{cause}");
    assert!(cause.to_lowercase().contains("pass"), "{cause}");

    let failed = Publisher::connect(RedisConfig::new("http://host")).await;
    let Err(AdapterError::Broker(cause)) = failed else {
        panic!("{failed:?}");
    };
    assert!(cause.is::<ConfigError>(), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_refuses_what_is_too_much() {
    let server = Redis::start();
    let mut config = RedisConfig::new(server.url());
    config.max_queued_messages = 3;
    config.max_message_size = 1000;
    config.close_timeout = Duration::from_millis(100);
    let publisher = Publisher::connect(config).await.expect("it is there");
    until("it is connected", || publisher.status().up).await;
    server.pause();
    let large = publisher.publish_raw("socketio", vec![0; 1001].into());
    assert!(
        matches!(
            large,
            Err(AdapterError::TooLarge {
                size: 1001,
                limit: 1000
            })
        ),
        "{large:?}"
    );
    // Some are on their way to the broker, some wait.
    let start = Instant::now();
    let full = loop {
        assert!(start.elapsed() < LIMIT, "the queue has no bound");
        if let Err(error) = publisher.publish_raw("socketio", vec![0; 1000].into()) {
            break error;
        }
    };
    assert!(matches!(full, AdapterError::QueueFull), "{full:?}");
    let lost = publisher.close().await;
    assert!(matches!(lost, Err(AdapterError::Broker(_))), "{lost:?}");
    server.resume();
}
