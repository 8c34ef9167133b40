//! One node's end of a [`MemoryBus`].

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Item, MemoryBus};
use crate::cluster::{
    Adapter, AdapterError, AdapterStatus, BoxFuture, ClusterHandler, ClusterMessage,
    ClusterResponse,
};
use crate::ids::NodeId;

/// One node's end of a [`MemoryBus`].
#[derive(Debug)]
pub struct MemoryAdapter {
    bus: MemoryBus,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New,
    Started(NodeId),
    Closed,
}

impl MemoryAdapter {
    pub(super) fn new(bus: MemoryBus) -> Self {
        let state = Mutex::new(State::New);
        Self { bus, state }
    }

    fn node(&self) -> Result<NodeId, AdapterError> {
        match &*self.state.lock() {
            State::New => Err(AdapterError::NotStarted),
            State::Started(node) => Ok(node.clone()),
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
                    let node = handler.node().clone();
                    *state = State::Started(node.clone());
                    self.bus.shared.lock().nodes.insert(node, handler);
                    Ok(())
                }
                State::Started(_) => Err(AdapterError::AlreadyStarted),
                State::Closed => Err(AdapterError::Closed),
            }
        })
    }

    fn publish(&self, message: &ClusterMessage) -> Result<(), AdapterError> {
        let node = self.node()?;
        self.bus.send(&node, None, &Item::Message(message.clone()));
        Ok(())
    }

    fn respond(&self, to: &NodeId, response: ClusterResponse) -> Result<(), AdapterError> {
        let node = self.node()?;
        self.bus.send(&node, Some(to), &Item::Response(response));
        Ok(())
    }

    fn is_alone(&self) -> bool {
        let Ok(own) = self.node() else { return true };
        self.bus.shared.lock().nodes.keys().all(|node| *node == own)
    }

    fn status(&self) -> AdapterStatus {
        AdapterStatus {
            up: self.node().is_ok(),
            ..AdapterStatus::default()
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
            if let State::Started(node) = before {
                self.bus.shared.lock().nodes.remove(&node);
            }
        })
    }
}
