//! Channels, and which of them this node wants to hear.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A channel and how it is subscribed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    pub(crate) kind: Kind,
    pub(crate) name: Bytes,
}

/// How a channel is subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `SUBSCRIBE`.
    Plain,
    /// `PSUBSCRIBE`; the name is a pattern.
    Pattern,
    /// `SSUBSCRIBE`, on the server that has the channel's slot.
    Sharded,
}

impl Channel {
    pub(crate) fn new(kind: Kind, name: impl Into<Bytes>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

/// What is to be subscribed. It is changed by the application and read by the task that keeps the
/// subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often each is wanted: two rooms may share a name of a channel.
    channels: HashMap<Channel, u32>,
    /// What may have changed since the last look.
    touched: HashSet<Channel>,
    /// Grows with each channel that comes to be wanted.
    version: u64,
}

impl Wanted {
    pub(crate) fn add(&self, channel: Channel) {
        let mut inner = self.inner.lock();
        let count = inner.channels.entry(channel.clone()).or_default();
        *count += 1;
        if *count == 1 {
            inner.touched.insert(channel);
            inner.version += 1;
            self.changed.notify_one();
        }
    }

    pub(crate) fn remove(&self, channel: &Channel) {
        let mut inner = self.inner.lock();
        let Some(count) = inner.channels.get_mut(channel) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            inner.channels.remove(channel);
            inner.touched.insert(channel.clone());
            self.changed.notify_one();
        }
    }

    /// A number that is larger than before when something more is wanted.
    pub(crate) fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// All that are wanted.
    pub(crate) fn all(&self) -> Vec<Channel> {
        self.inner.lock().channels.keys().cloned().collect()
    }

    /// What has changed since the last call, and whether it is wanted now.
    pub(crate) fn changes(&self) -> Vec<(Channel, bool)> {
        let mut inner = self.inner.lock();
        let touched = std::mem::take(&mut inner.touched);
        let changes = touched.into_iter();
        changes
            .map(|channel| {
                let is_wanted = inner.channels.contains_key(&channel);
                (channel, is_wanted)
            })
            .collect()
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
