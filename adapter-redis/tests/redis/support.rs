//! Nodes and waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socketio_adapter_redis::{RedisAdapter, RedisConfig};
use socketio_core::cluster::{
    Adapter, AdapterError, ClusterHandler, ClusterMessage, ClusterResponse, Interest, Operation,
};
use socketio_core::ids::NodeId;
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_testkit::Redis;

/// Within this everything has to happen; far more than is needed, for machines that are busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A started node that remembers what it hears.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) adapter: Arc<RedisAdapter>,
    pub(crate) heard: Arc<Heard>,
}

/// What a node has heard.
pub(crate) struct Heard {
    id: NodeId,
    pub(crate) messages: Mutex<Vec<ClusterMessage>>,
    pub(crate) responses: Mutex<Vec<ClusterResponse>>,
    /// What each `on_connected` said of a gap.
    pub(crate) connected: Mutex<Vec<bool>>,
    pub(crate) foreign: Mutex<Vec<(String, usize)>>,
    /// How long each message takes the handler.
    delay: Duration,
}

impl ClusterHandler for Heard {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, message: ClusterMessage) {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        self.messages.lock().push(message);
    }

    fn on_response(&self, response: ClusterResponse) {
        self.responses.lock().push(response);
    }

    fn on_foreign(&self, namespace: &str, count: usize) {
        self.foreign.lock().push((namespace.to_owned(), count));
    }

    fn on_connected(&self, gap: bool) {
        self.connected.lock().push(gap);
    }
}

impl Node {
    pub(crate) async fn start(config: &RedisConfig) -> Self {
        Self::start_slow(config, Duration::ZERO).await
    }

    /// A node whose handler takes its time for each message.
    pub(crate) async fn start_slow(config: &RedisConfig, delay: Duration) -> Self {
        let id = NodeId::generate();
        let adapter = RedisAdapter::new(config.clone()).expect("the configuration is good");
        adapter.watch(Interest::NamespaceOpened("/"));
        let heard = Arc::new(Heard {
            id: id.clone(),
            messages: Mutex::default(),
            responses: Mutex::default(),
            connected: Mutex::default(),
            foreign: Mutex::default(),
            delay,
        });
        let started = adapter.start(Arc::clone(&heard) as _).await;
        started.expect("a new adapter can be started");
        Self { id, adapter, heard }
    }

    pub(crate) fn message(&self, operation: Operation) -> ClusterMessage {
        ClusterMessage {
            node: self.id.clone(),
            namespace: "/".into(),
            sequence: None,
            trace: None,
            operation,
        }
    }

    /// Publishes a numbered event.
    pub(crate) fn publish(&self, number: u64) -> Result<(), AdapterError> {
        self.adapter.publish(&self.message(event(number)))
    }

    /// A message of a size.
    pub(crate) fn large(&self, size: usize) -> ClusterMessage {
        self.message(Operation::Broadcast {
            payload: Payload::from_values(&["x".into(), "y".repeat(size).into()]),
            target: Target::all(),
            request: None,
        })
    }

    /// The numbers of the events that were heard.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let messages = self.heard.messages.lock();
        messages.iter().filter_map(number).collect()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.adapter.status().up
    }
}

pub(crate) fn event(number: u64) -> Operation {
    Operation::Broadcast {
        payload: Payload::from_values(&["x".into(), number.into()]),
        target: Target::all(),
        request: None,
    }
}

fn number(message: &ClusterMessage) -> Option<u64> {
    let Operation::Broadcast { payload, .. } = &message.operation else {
        return None;
    };
    payload.to_values().ok()?.get(1)?.as_u64()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl FnMut() -> bool) {
    within(what, LIMIT, condition).await;
}

/// Waits until a condition holds, for as long as it may take.
pub(crate) async fn within(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A broker that comes back is used within a second; on a machine that is busy with other tests
/// within two.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);

/// What is silent for so long is taken for broken; a probe is sent three times in that time.
pub(crate) fn impatient(url: impl Into<String>, limit: Duration) -> RedisConfig {
    let mut config = RedisConfig::new(url);
    config.heartbeat_interval = limit / 3;
    config.heartbeat_timeout = limit;
    config
}

/// Two nodes that are up.
pub(crate) async fn two(config: &RedisConfig) -> (Node, Node) {
    let (a, b) = (Node::start(config).await, Node::start(config).await);
    until("both are up", || a.is_up() && b.is_up()).await;
    (a, b)
}

/// Waits until all nodes have counted who hears them: after an outage they wait for so many.
pub(crate) async fn counted(server: &Redis, nodes: &[&Node]) {
    let mut other = server.connection();
    // Only one of the two is what members are counted by.
    for (verb, channel) in [
        ("SUBSCRIBE", "socket.io-request#/#"),
        ("SSUBSCRIBE", "socket.io#/#"),
    ] {
        let mut command = redis::cmd(verb);
        let subscribed: redis::RedisResult<redis::Value> = command.arg(channel).query(&mut other);
        subscribed.expect("anybody may subscribe");
    }
    let all = |count| {
        let mut nodes = nodes.iter();
        nodes.all(|node| node.adapter.foreign("/") == count)
    };
    until("all count one more", || all(1)).await;
    drop(other);
    until("all have counted again", || all(0)).await;
}

/// What `b` has missed of the messages 1 to `sent` of `a`, it has counted: all of it, and no more.
pub(crate) async fn assert_accounted(a: &Node, b: &Node, sent: u64) {
    // A further message, and the statement behind it.
    let before = b.adapter.status().messages_in;
    a.publish(sent + 1).expect("there is room");
    until("a message and a statement", || {
        b.numbers().last() == Some(&(sent + 1)) && b.adapter.status().messages_in >= before + 2
    })
    .await;
    let missing = sent + 1 - b.numbers().len() as u64;
    until("what is missing is counted", || {
        b.adapter.status().missed >= missing
    })
    .await;
    assert_eq!(b.adapter.status().missed, missing, "of {sent}");
    eprintln!("{missing} of {sent} were missed, and counted");
}

/// What arrived is in order, and nothing twice.
pub(crate) fn assert_ascending(numbers: &[u64]) {
    let pairs = numbers.windows(2);
    let wrong: Vec<_> = pairs.filter(|pair| pair[0] >= pair[1]).collect();
    assert!(wrong.is_empty(), "out of order or twice: {wrong:?}");
}

/// Publishes for 1.3 seconds; `change` happens after the first 0.3 of them. The result is the
/// number of the last message.
pub(crate) async fn traffic(node: &Node, change: impl FnOnce()) -> u64 {
    traffic_from(node, 0, change).await
}

/// The same, after a message of the number `sent`.
pub(crate) async fn traffic_from(node: &Node, mut sent: u64, change: impl FnOnce()) -> u64 {
    let start = Instant::now();
    let mut change = Some(change);
    while start.elapsed() < Duration::from_millis(1300) {
        sent += 1;
        node.publish(sent).expect("there is room");
        if sent.is_multiple_of(20) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if start.elapsed() > Duration::from_millis(300)
            && let Some(change) = change.take()
        {
            change();
        }
    }
    sent
}
