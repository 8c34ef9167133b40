//! Nodes that remember what they hear.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig};
use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, ClusterHandler, ClusterMessage, ClusterResponse,
    MemberEvent, Members, MembersConfig, Operation, ResponseBody,
};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;

/// Longer than anything takes, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) type Hook = Box<dyn Fn(&ClusterMessage) + Send + Sync>;

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) adapter: Arc<AmqpAdapter>,
    pub(crate) heard: Arc<Heard>,
    sent: Mutex<u64>,
}

pub(crate) struct Heard {
    id: NodeId,
    hook: Option<Hook>,
    pub(crate) messages: Mutex<Vec<ClusterMessage>>,
    pub(crate) responses: Mutex<Vec<ClusterResponse>>,
    pub(crate) connected: Mutex<Vec<(bool, Instant)>>,
}

impl ClusterHandler for Heard {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, message: ClusterMessage) {
        if let Some(hook) = &self.hook {
            hook(&message);
        }
        self.messages.lock().push(message);
    }

    fn on_response(&self, response: ClusterResponse) {
        self.responses.lock().push(response);
    }

    fn on_connected(&self, gap: bool) {
        self.connected.lock().push((gap, Instant::now()));
    }
}

impl Heard {
    /// Whether each connection told of a gap.
    pub(crate) fn gaps(&self) -> Vec<bool> {
        self.connected.lock().iter().map(|(gap, _)| *gap).collect()
    }
}

impl Node {
    pub(crate) async fn start(config: AmqpConfig) -> Self {
        Self::start_with(config, None).await
    }

    pub(crate) async fn start_with(config: AmqpConfig, hook: Option<Hook>) -> Self {
        let id = NodeId::generate();
        let adapter = AmqpAdapter::new(config).expect("a valid configuration");
        let heard = Arc::new(Heard {
            id: id.clone(),
            hook,
            messages: Mutex::default(),
            responses: Mutex::default(),
            connected: Mutex::default(),
        });
        let started = adapter.start(Arc::clone(&heard) as _).await;
        started.expect("a new adapter can be started");
        Self {
            id,
            adapter,
            heard,
            sent: Mutex::default(),
        }
    }

    /// Publishes an event with the next number.
    pub(crate) fn publish(&self) -> Result<(), AdapterError> {
        self.publish_sized(0)
    }

    pub(crate) fn publish_sized(&self, size: usize) -> Result<(), AdapterError> {
        let mut sent = self.sent.lock();
        let message = numbered(&self.id, *sent + 1, size);
        self.adapter.publish(&message)?;
        *sent += 1;
        Ok(())
    }

    pub(crate) fn sent(&self) -> u64 {
        *self.sent.lock()
    }

    pub(crate) fn status(&self) -> AdapterStatus {
        self.adapter.status()
    }

    pub(crate) async fn until_up(&self) {
        until("the adapter is up", || self.status().up).await;
    }

    pub(crate) fn count(&self) -> usize {
        self.heard.messages.lock().len()
    }

    /// The numbers heard of one sender, in order of arrival.
    pub(crate) fn numbers(&self, of: &Self) -> Vec<u64> {
        let messages = self.heard.messages.lock();
        let own = messages.iter().filter(|message| message.node == of.id);
        own.filter_map(|message| message.sequence).collect()
    }

    /// Whether everything that `of` has published was heard, once and in order.
    pub(crate) fn heard_all(&self, of: &Self) -> bool {
        self.numbers(of) == Vec::from_iter(1..=of.sent())
    }

    /// Passes all that was heard to the logic of core: how many messages were lost, and how many
    /// came twice.
    pub(crate) fn lost_and_doubled(&self) -> (u64, u64) {
        let now = Instant::now();
        let mut members = Members::new(self.id.clone(), MembersConfig::default(), now);
        let mut lost = 0;
        for message in self.heard.messages.lock().iter() {
            members.handle_message(now, message);
            while let Some(event) = members.poll_event() {
                if let MemberEvent::Lost(_, count) = event {
                    lost += count;
                }
            }
        }
        (lost, members.duplicates())
    }
}

/// That each sender's numbers only grow: nothing twice, nothing out of order.
pub(crate) fn assert_ordered(node: &Node) {
    let mut last: BTreeMap<NodeId, u64> = BTreeMap::new();
    for message in node.heard.messages.lock().iter() {
        let Some(number) = message.sequence else {
            continue;
        };
        let before = last.insert(message.node.clone(), number).unwrap_or(0);
        assert!(before < number, "{number} came after {before}");
    }
}

pub(crate) fn numbered(node: &NodeId, number: u64, size: usize) -> ClusterMessage {
    let text = "x".repeat(size);
    ClusterMessage {
        node: node.clone(),
        namespace: "/".into(),
        sequence: Some(number),
        trace: None,
        operation: Operation::Broadcast {
            payload: Payload::from_values(&["event".into(), text.into()]),
            target: Target::all(),
            request: None,
        },
    }
}

pub(crate) fn response(node: &NodeId) -> ClusterResponse {
    ClusterResponse {
        node: Some(node.clone()),
        namespace: "/".into(),
        request: RequestId::generate(),
        body: ResponseBody::Sockets(Vec::new()),
    }
}

/// A cluster of its own at a broker: an exchange that nobody else has.
pub(crate) fn cluster(url: &str) -> AmqpConfig {
    AmqpConfig::new(url).exchange(format!("test-{}", NodeId::generate()))
}
