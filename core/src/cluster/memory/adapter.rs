//! One node's end of a [`MemoryBus`].

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Item, MemoryBus};
use crate::cluster::{
    Adapter, AdapterError, BoxFuture, ClusterHandler, ClusterMessage, ClusterResponse,
};
use crate::ids::NodeId;

/// One node's end of a [`MemoryBus`].
#[derive(Debug)]
pub struct MemoryAdapter {
    bus: MemoryBus,
    node: NodeId,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Started,
    Closed,
}

impl MemoryAdapter {
    pub(super) fn new(bus: MemoryBus, node: NodeId) -> Self {
        let state = Mutex::new(State::New);
        Self { bus, node, state }
    }

    /// The node whose end this is.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    fn check(&self) -> Result<(), AdapterError> {
        match *self.state.lock() {
            State::New => Err(AdapterError::NotStarted),
            State::Started => Ok(()),
            State::Closed => Err(AdapterError::Closed),
        }
    }
}

impl Adapter for MemoryAdapter {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn start(&self, handler: Arc<dyn ClusterHandler>) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            match *state {
                State::New => {
                    *state = State::Started;
                    let mut shared = self.bus.shared.lock();
                    shared.nodes.insert(self.node.clone(), handler);
                    Ok(())
                }
                State::Started => Err(AdapterError::AlreadyStarted),
                State::Closed => Err(AdapterError::Closed),
            }
        })
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        self.check()?;
        self.bus
            .send(&self.node, None, &Item::Message(message.clone()));
        Ok(())
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        self.check()?;
        self.bus
            .send(&self.node, Some(to), &Item::Response(response));
        Ok(())
    }

    fn is_alone(&self) -> bool {
        let nodes = &self.bus.shared.lock().nodes;
        nodes.keys().all(|node| *node == self.node)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
            if before == State::Started {
                self.bus.shared.lock().nodes.remove(&self.node);
            }
        })
    }
}
