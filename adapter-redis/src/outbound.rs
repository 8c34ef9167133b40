//! What waits for the broker.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use socketio_core::cluster::{AdapterCounters, AdapterError};
use tokio::sync::Notify;

use crate::config::RedisConfig;

/// An encoded message and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) channel: Bytes,
    pub(crate) payload: Bytes,
    /// Whether it goes to a sharded channel.
    pub(crate) is_sharded: bool,
    pub(crate) content: Content,
}

/// What is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Something for other members, and which of them hear the channel.
    Message(Audience),
    /// Serves the adapter itself, and is not counted.
    Probe,
    /// The same, of the messages before it.
    Statement,
}

/// Who hears a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All members that have the namespace.
    Namespace(ByteString),
    /// All nodes of ours.
    Nodes,
    /// Some of them: who, is not known here.
    Some,
}

impl Outgoing {
    /// For a channel of `PUBLISH`, whatever the mode.
    pub(crate) fn plain(channel: String, payload: Bytes) -> Self {
        Self {
            channel: channel.into(),
            payload,
            is_sharded: false,
            content: Content::Message(Audience::Some),
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.channel.len() + self.payload.len()
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self.content, Content::Message(_))
    }

    pub(crate) fn is_probe(&self) -> bool {
        self.content == Content::Probe
    }

    /// The namespace whose members all hear this.
    pub(crate) fn namespace(&self) -> Option<&ByteString> {
        match &self.content {
            Content::Message(Audience::Namespace(namespace)) => Some(namespace),
            Content::Message(_) | Content::Probe | Content::Statement => None,
        }
    }
}

/// Bounds of everything that waits, whatever server it is for.
#[derive(Debug)]
pub(crate) struct Limits {
    max_message: usize,
    max_bytes: usize,
    max_messages: usize,
    used: Mutex<Used>,
    counters: Arc<AdapterCounters>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    messages: usize,
    bytes: usize,
}

impl Limits {
    pub(crate) fn new(config: &RedisConfig, counters: Arc<AdapterCounters>) -> Self {
        Self {
            max_message: config.max_message_size,
            max_bytes: config.max_queued_bytes,
            max_messages: config.max_queued_messages,
            used: Mutex::default(),
            counters,
        }
    }

    /// Reserves room for messages, for all or none.
    pub(crate) fn reserve(&self, messages: &[Outgoing]) -> Result<(), AdapterError> {
        let reserved = self.try_reserve(messages);
        if reserved.is_err() {
            self.counters.dropped_out.add(1);
        }
        reserved
    }

    fn try_reserve(&self, messages: &[Outgoing]) -> Result<(), AdapterError> {
        let limit = self.max_message;
        if let Some(large) = messages.iter().find(|one| one.payload.len() > limit) {
            let size = large.payload.len();
            return Err(AdapterError::TooLarge { size, limit });
        }
        let size: usize = messages.iter().map(Outgoing::size).sum();
        let mut used = self.used.lock();
        let is_full = used.messages + messages.len() > self.max_messages
            || used.bytes + size > self.max_bytes;
        // An empty queue takes what is larger than the whole of it, or it could never be sent.
        if is_full && used.messages > 0 {
            return Err(AdapterError::QueueFull);
        }
        used.messages += messages.len();
        used.bytes += size;
        Ok(())
    }

    fn release(&self, messages: usize, bytes: usize) {
        let mut used = self.used.lock();
        used.messages -= messages;
        used.bytes -= bytes;
    }

    /// Messages and bytes that wait.
    pub(crate) fn used(&self) -> (usize, usize) {
        let used = *self.used.lock();
        (used.messages, used.bytes)
    }
}

/// What waits for one server.
#[derive(Debug)]
pub(crate) struct OutQueue {
    inner: Mutex<VecDeque<Outgoing>>,
    filled: Notify,
    limits: Arc<Limits>,
}

impl OutQueue {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Notify::new(),
            limits,
        }
    }

    /// Adds messages for which room was [reserved](Limits::reserve).
    pub(crate) fn push(&self, messages: impl IntoIterator<Item = Outgoing>) {
        self.inner.lock().extend(messages);
        self.filled.notify_one();
    }

    /// Adds a probe before everything else.
    pub(crate) fn push_probe(&self, probe: Outgoing) {
        let mut inner = self.inner.lock();
        // At most one waits: an older one has nothing more to say.
        if inner.front().is_some_and(Outgoing::is_probe) {
            inner.pop_front();
        }
        inner.push_front(probe);
        drop(inner);
        self.filled.notify_one();
    }

    /// Puts back a probe that was not sent, unless a newer one waits.
    pub(crate) fn return_probe(&self, probe: Outgoing) {
        let mut inner = self.inner.lock();
        if inner.front().is_none_or(|first| !first.is_probe()) {
            inner.push_front(probe);
        }
        drop(inner);
        self.filled.notify_one();
    }

    /// Puts back what was not accepted, before everything else.
    pub(crate) fn put_back(&self, messages: Vec<Outgoing>) {
        let bytes: usize = messages.iter().map(Outgoing::size).sum();
        let mut used = self.limits.used.lock();
        used.messages += messages.len();
        used.bytes += bytes;
        drop(used);
        let mut inner = self.inner.lock();
        for message in messages.into_iter().rev() {
            inner.push_front(message);
        }
        drop(inner);
        self.filled.notify_one();
    }

    /// Takes the first messages, one at least, and no more than `bytes` of them.
    pub(crate) fn take(&self, bytes: usize, messages: usize) -> Vec<Outgoing> {
        let mut taken = Vec::new();
        let (mut size, mut counted, mut counted_size) = (0, 0, 0);
        let mut inner = self.inner.lock();
        while let Some(first) = inner.front() {
            if !taken.is_empty() && (size + first.size() > bytes || taken.len() >= messages) {
                break;
            }
            size += first.size();
            if first.is_message() {
                counted += 1;
                counted_size += first.size();
            }
            taken.extend(inner.pop_front());
        }
        drop(inner);
        if counted > 0 {
            self.limits.release(counted, counted_size);
        }
        taken
    }

    /// Takes everything; the room stays reserved.
    pub(crate) fn take_all(&self) -> VecDeque<Outgoing> {
        std::mem::take(&mut *self.inner.lock())
    }

    /// Forgets everything, and says how much it was.
    pub(crate) fn clear(&self) -> usize {
        let mut count = 0;
        loop {
            let taken = self.take(usize::MAX, usize::MAX);
            if taken.is_empty() {
                return count;
            }
            count += taken.iter().filter(|message| message.is_message()).count();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().is_empty()
    }

    /// Waits for something to be added.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}
