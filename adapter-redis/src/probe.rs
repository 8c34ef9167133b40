//! A message to the own node, by which it knows that it is heard and hears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use socketio_core::cluster::AdapterCounters;
use socketio_core::cluster::wire::native;
use socketio_core::ids::NodeId;
use tokio::sync::Notify;

use crate::channel::{Channel, Kind};
use crate::outbound::{Content, Outgoing};

/// The probe that is under way, if any.
#[derive(Debug)]
pub(crate) struct Probe {
    node: NodeId,
    /// The channel that the node hears alone.
    channel: Channel,
    counters: Arc<AdapterCounters>,
    state: Mutex<State>,
    returned: Notify,
}

#[derive(Debug)]
struct State {
    number: u64,
    /// What is waited for.
    payload: Option<Bytes>,
    sent: Instant,
    /// When the broker took it.
    accepted: Option<Instant>,
}

/// How the probe is doing that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing is missing (yet).
    No,
    /// The broker did not take it: publishing does not work.
    NotSent,
    /// The broker took it, but it does not come: the subscription does not work.
    NotHeard,
}

impl Probe {
    pub(crate) fn new(node: &NodeId, channel: Channel, counters: Arc<AdapterCounters>) -> Self {
        Self {
            node: node.clone(),
            channel,
            counters,
            state: Mutex::new(State {
                number: 0,
                payload: None,
                sent: Instant::now(),
                accepted: None,
            }),
            returned: Notify::new(),
        }
    }

    /// A new probe, which replaces one that is under way.
    pub(crate) fn begin(&self) -> Outgoing {
        let mut state = self.state.lock();
        state.number += 1;
        let payload = native::encode_probe(&self.node, state.number);
        state.payload = Some(payload.clone());
        state.sent = Instant::now();
        state.accepted = None;
        Outgoing {
            channel: self.channel.name.clone(),
            payload,
            is_sharded: self.channel.kind == Kind::Sharded,
            content: Content::Probe,
        }
    }

    /// The broker took a probe.
    pub(crate) fn accepted(&self, payload: &Bytes) {
        let mut state = self.state.lock();
        if state.payload.as_ref() == Some(payload) {
            state.accepted = Some(Instant::now());
        }
    }

    /// Looks whether what was received is the probe. For readers, which see it before anything
    /// waits for the handler.
    pub(crate) fn takes(&self, channel: &[u8], payload: &[u8]) -> bool {
        if channel != self.channel.name {
            return false;
        }
        let mut state = self.state.lock();
        if state.payload.as_deref() != Some(payload) {
            return false;
        }
        state.payload = None;
        self.counters.set_round_trip(state.sent.elapsed());
        drop(state);
        self.returned.notify_one();
        true
    }

    /// Whether the probe is missing since longer than `limit`.
    pub(crate) fn overdue(&self, limit: Duration) -> Overdue {
        let state = self.state.lock();
        match (&state.payload, state.accepted) {
            (None, _) => Overdue::No,
            (Some(_), Some(accepted)) if accepted.elapsed() > limit => Overdue::NotHeard,
            (Some(_), None) if state.sent.elapsed() > limit => Overdue::NotSent,
            (Some(_), _) => Overdue::No,
        }
    }

    /// Whether one is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state.lock().payload.is_some()
    }

    /// Waits until one has come back.
    pub(crate) async fn returned(&self) {
        self.returned.notified().await;
    }
}
