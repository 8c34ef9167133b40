//! What the laws are tried with: nodes that remember what they hear, and waiting for it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Fixture;
use crate::cluster::{
    Adapter, ClusterHandler, ClusterMessage, ClusterResponse, Operation, ResponseBody,
};
use crate::ids::{NodeId, RequestId};
use crate::payload::Payload;
use crate::target::Target;

/// A started node that remembers what it hears.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) heard: Arc<Heard>,
}

pub(super) type Reaction = Box<dyn Fn(&NodeId, &dyn Adapter, &ClusterMessage) + Send + Sync>;

pub(super) struct Heard {
    id: NodeId,
    pub(super) messages: Mutex<Vec<ClusterMessage>>,
    pub(super) responses: Mutex<Vec<ClusterResponse>>,
    reaction: Option<(Arc<dyn Adapter>, Reaction)>,
}

impl ClusterHandler for Heard {
    fn node(&self) -> &NodeId {
        &self.id
    }

    fn on_message(&self, message: ClusterMessage) {
        if let Some((adapter, react)) = &self.reaction {
            react(&self.id, adapter.as_ref(), &message);
        }
        self.messages.lock().push(message);
    }

    fn on_response(&self, response: ClusterResponse) {
        self.responses.lock().push(response);
    }
}

impl Node {
    pub(super) async fn start(fixture: &impl Fixture, reaction: Option<Reaction>) -> Self {
        let id = NodeId::generate();
        let adapter = fixture.adapter();
        let heard = Arc::new(Heard {
            id: id.clone(),
            messages: Mutex::default(),
            responses: Mutex::default(),
            reaction: reaction.map(|reaction| (Arc::clone(&adapter), reaction)),
        });
        let started = adapter.start(Arc::clone(&heard) as _).await;
        started.expect("a new adapter can be started");
        Self { id, adapter, heard }
    }

    pub(super) async fn start_some<const N: usize>(fixture: &impl Fixture) -> [Self; N] {
        let mut nodes = Vec::new();
        for _ in 0..N {
            nodes.push(Self::start(fixture, None).await);
        }
        match nodes.try_into() {
            Ok(nodes) => nodes,
            Err(_) => unreachable!("the loop above ran N times"),
        }
    }

    pub(super) fn message(&self, namespace: &str, operation: Operation) -> ClusterMessage {
        ClusterMessage {
            node: self.id.clone(),
            namespace: namespace.into(),
            sequence: None,
            trace: None,
            operation,
        }
    }

    pub(super) fn publish(&self, operation: Operation) {
        let message = self.message("/", operation);
        let published = self.adapter.publish(&message);
        published.expect("a started adapter publishes");
    }

    pub(super) fn response(&self, body: ResponseBody) -> ClusterResponse {
        ClusterResponse {
            node: Some(self.id.clone()),
            namespace: "/".into(),
            request: RequestId::from("0123456789abcdef"),
            body,
        }
    }

    pub(super) fn heard(&self) -> Vec<Operation> {
        let messages = self.heard.messages.lock();
        messages.iter().map(|m| m.operation.clone()).collect()
    }

    pub(super) async fn wait_for(&self, fixture: &impl Fixture, count: usize, law: &str) {
        until(fixture, law, || self.heard.messages.lock().len() >= count).await;
    }
}

pub(super) async fn until(fixture: &impl Fixture, law: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        fixture.pause().await;
    }
    panic!("law broken, or too slow: {law}");
}

/// Time in which what should not come would come, where nothing that comes behind it can tell.
pub(super) async fn settle(fixture: &impl Fixture) {
    for _ in 0..10 {
        fixture.pause().await;
    }
}

pub(super) fn event(name: &str, number: u64) -> Operation {
    Operation::Broadcast {
        payload: Payload::from_values(&[name.into(), number.into()]),
        target: Target::all(),
        request: None,
    }
}
