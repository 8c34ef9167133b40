//! What the tasks of one adapter have in common.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use socketio_core::cluster::AdapterCounters;
use socketio_core::ids::NodeId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Address, ConfigError, RedisConfig};
use crate::connect::{Connector, Server};
use crate::flow::Flow;
use crate::layout::Layouts;
use crate::listeners::Listeners;
use crate::probe::Probe;
use crate::statement::Issued;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RedisConfig,
    pub(crate) connector: Connector,
    pub(crate) counters: Arc<AdapterCounters>,
    pub(crate) layouts: Layouts,
    pub(crate) listeners: Listeners,
    /// Present as soon as something is to be heard.
    probe: OnceLock<Probe>,
    /// Present if others can be told how much this node has sent.
    issued: OnceLock<Issued>,
    /// Nothing more is published; what is queued is sent.
    pub(crate) closing: CancellationToken,
    /// Everything ends.
    pub(crate) stop: CancellationToken,
    /// Told when an attempt to connect has failed, and when all is heard.
    pub(crate) progress: Notify,
    pub(crate) flow: Flow,
    /// Told when it is worth while to count the members anew.
    pub(crate) recount: Notify,
    /// A connection to a server broke: others to it may be broken too.
    pub(crate) doubts: watch::Sender<()>,
    /// Which [version](crate::channel::Wanted::version) of what is wanted is heard; 0 while it is
    /// not certain that anything is.
    pub(crate) heard: watch::Sender<u64>,
    /// Whether everything was subscribed once.
    is_subscribed: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(
        config: RedisConfig,
        counters: Arc<AdapterCounters>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let address = Address::new(&config)?;
        Ok(Self {
            connector: Connector::new(address, config.connect_timeout),
            counters,
            layouts: Layouts::new(),
            listeners: Listeners::default(),
            is_subscribed: watch::Sender::new(false),
            heard: watch::Sender::new(0),
            probe: OnceLock::new(),
            issued: OnceLock::new(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
            progress: Notify::new(),
            flow: Flow::default(),
            recount: Notify::new(),
            doubts: watch::Sender::new(()),
            config,
        })
    }

    /// Waits until the node hears for the first time: what it publishes asks others to answer.
    pub(crate) async fn subscribed(&self) {
        let mut is_subscribed = self.is_subscribed.subscribe();
        // Cannot fail: the sender is in `self`.
        let _ = is_subscribed.wait_for(|&is_subscribed| is_subscribed).await;
    }

    pub(crate) fn set_subscribed(&self) {
        self.is_subscribed.send_replace(true);
    }

    /// Whether nothing more is published, and nothing waits: nothing can come to any lane, neither
    /// from somebody who publishes, nor from another lane.
    pub(crate) fn has_finished(&self) -> bool {
        self.closing.is_cancelled() && self.flow.is_settled()
    }

    /// How long listeners are waited for after an outage if nobody knows how many there are: one
    /// that only publishes does not know servers of Node.js.
    pub(crate) fn patience(&self) -> Duration {
        if self.probe().is_none() {
            self.config.regroup
        } else {
            Duration::ZERO
        }
    }

    /// Waits until [it has finished](Self::has_finished).
    pub(crate) async fn finished(&self) {
        self.closing.cancelled().await;
        self.flow.flushed().await;
    }

    /// Messages that were taken in will not be sent, or nobody knows whether they arrived.
    pub(crate) fn dropped(&self, messages: usize) {
        if messages > 0 {
            self.counters.dropped_out.add(messages);
            self.counters.lost_out.add(messages);
            self.flow.settle(0, messages);
        }
    }

    /// Proves from now on by `probe` that something is heard.
    pub(crate) fn begin_to_hear(&self, probe: Probe) {
        let before = self.probe.set(probe);
        debug_assert!(before.is_ok(), "one half hears");
    }

    /// States from now on how much `node` sends.
    pub(crate) fn begin_to_state(&self, node: &NodeId) {
        // Over several servers a statement would overtake what it counts.
        if !(self.config.mode.is_sharded() && self.connector.is_cluster()) {
            let before = self.issued.set(Issued::new(node, &self.config));
            debug_assert!(before.is_ok(), "one adapter sends");
        }
    }

    pub(crate) fn issued(&self) -> Option<&Issued> {
        self.issued.get()
    }

    /// Whether the broker's answer to a message counts all that hear it: in a cluster, where each
    /// server hands on what the others got, it counts those of one server.
    pub(crate) fn counts_all(&self) -> bool {
        self.config.mode.is_sharded() || !self.connector.is_cluster()
    }

    pub(crate) fn probe(&self) -> Option<&Probe> {
        self.probe.get()
    }

    pub(crate) fn probe_accepted(&self, payload: &Bytes) {
        if let Some(probe) = self.probe() {
            probe.accepted(payload);
        }
    }

    /// Whether a server still is one of those that carry messages.
    pub(crate) fn has_server(&self, server: &Server) -> bool {
        let layout = self.layouts.current();
        layout.is_none_or(|layout| layout.servers.contains(server))
    }

    /// Whether all that hear a channel are known to one server.
    pub(crate) fn serves(&self, server: &Server, channel: &str) -> bool {
        if !self.connector.is_cluster() {
            return true;
        }
        let Some(layout) = self.layouts.current() else {
            return false;
        };
        let number = layout.server_of(channel.as_bytes());
        let is_sharded = self.config.mode.is_sharded();
        is_sharded && number.is_some_and(|number| layout.servers[number] == *server)
    }
}
