//! How many messages this node has sent to all that have a namespace, said beside them.
//!
//! The wires of Node.js have no room for numbers, so a message does not show that others before it
//! are missing. Therefore each node counts what it hands to the broker, whatever becomes of it, and
//! states the sum now and then: on a channel of ours for each namespace, behind the messages that
//! it counts. Who hears a statement compares it with what was [heard](crate::audit).
//!
//! That works where the messages and the statement take the same way: not in a cluster with sharded
//! channels, and not for rooms that have a channel of their own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use socketio_core::ids::NodeId;

use crate::config::RedisConfig;
use crate::outbound::{Content, Outgoing};
use crate::route::is_ours;

/// What the names of the channels end with.
const SUFFIX: &str = "#issued";

/// Messages of further namespaces are not counted. A server may have one for each tenant.
const MAX_NAMESPACES: usize = 10_000;

/// The channel of the statements about a namespace; `prefix` is that of the native wire.
pub(crate) fn channel(prefix: &str, namespace: &str) -> String {
    format!("{prefix}{namespace}{SUFFIX}")
}

/// The namespace that a channel is about, if it is one of statements.
pub(crate) fn namespace<'a>(prefix: &str, channel: &'a str) -> Option<&'a str> {
    channel.strip_prefix(prefix)?.strip_suffix(SUFFIX)
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) node: NodeId,
    /// Messages since the node has started.
    pub(crate) messages: u64,
}

impl Statement {
    fn encode(&self) -> Bytes {
        format!("{} {}", self.node, self.messages).into()
    }

    /// None if it is no statement of a node of ours.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (node, messages) = str::from_utf8(payload).ok()?.split_once(' ')?;
        let messages = messages.parse().ok()?;
        let node = is_ours(node).then(|| NodeId::from(node))?;
        Some(Self { node, messages })
    }
}

/// What this node has handed to the broker, by namespaces.
#[derive(Debug)]
pub(crate) struct Issued {
    node: NodeId,
    prefix: String,
    is_sharded: bool,
    /// Between two statements about a namespace.
    interval: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    totals: HashMap<ByteString, Total>,
    stated: Instant,
}

#[derive(Debug)]
struct Total {
    messages: u64,
    is_stated: bool,
}

impl Issued {
    pub(crate) fn new(node: &NodeId, config: &RedisConfig) -> Self {
        Self {
            node: node.clone(),
            prefix: format!("{}-cluster#", config.prefix),
            is_sharded: config.mode.is_sharded(),
            interval: config.heartbeat_interval,
            inner: Mutex::new(Inner {
                totals: HashMap::new(),
                stated: Instant::now(),
            }),
        }
    }

    /// Counts a batch that is about to leave, and adds the statements that belong to it.
    pub(crate) fn accompany(&self, batch: Vec<Outgoing>) -> Vec<Outgoing> {
        let mut inner = self.inner.lock();
        let mut opening = Vec::new();
        let namespaces = batch.iter().filter_map(Outgoing::namespace);
        for namespace in namespaces {
            if let Some(total) = inner.totals.get_mut(namespace) {
                total.messages += 1;
                total.is_stated = false;
            } else if inner.totals.len() < MAX_NAMESPACES {
                // Who hears this one misses none of those that follow.
                opening.push(self.statement(namespace, 0));
                let first = Total {
                    messages: 1,
                    is_stated: false,
                };
                inner.totals.insert(namespace.clone(), first);
            }
        }
        let is_due = inner.stated.elapsed() >= self.interval;
        if opening.is_empty() && !is_due {
            return batch;
        }
        opening.extend(batch);
        if is_due {
            opening.extend(self.rest(&mut inner));
        }
        opening
    }

    /// The statements that are due although nothing else is to be sent.
    pub(crate) fn due(&self) -> Vec<Outgoing> {
        let mut inner = self.inner.lock();
        if inner.stated.elapsed() < self.interval {
            return Vec::new();
        }
        self.rest(&mut inner)
    }

    /// The last statements.
    pub(crate) fn last(&self) -> Vec<Outgoing> {
        self.rest(&mut self.inner.lock())
    }

    /// Somebody may not have heard the statements, or be new: all are to be made again.
    pub(crate) fn repeat(&self) {
        for total in self.inner.lock().totals.values_mut() {
            total.is_stated = false;
        }
    }

    fn rest(&self, inner: &mut Inner) -> Vec<Outgoing> {
        inner.stated = Instant::now();
        let totals = inner.totals.iter_mut();
        let unsaid = totals.filter(|(_, total)| !total.is_stated);
        unsaid
            .map(|(namespace, total)| {
                total.is_stated = true;
                self.statement(namespace, total.messages)
            })
            .collect()
    }

    fn statement(&self, namespace: &str, messages: u64) -> Outgoing {
        let node = self.node.clone();
        Outgoing {
            channel: channel(&self.prefix, namespace).into(),
            payload: Statement { node, messages }.encode(),
            is_sharded: self.is_sharded,
            content: Content::Statement,
        }
    }
}
