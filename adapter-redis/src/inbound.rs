//! What was received and waits for the handler: filled by the readers, which never wait.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use socketio_core::cluster::AdapterCounters;
use tokio::sync::Notify;

/// Something for the handler, in the order in which it is to hear of it.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A message of some channel.
    Message { channel: Bytes, payload: Bytes },
    /// All channels are heard (again).
    Connected { gap: bool },
    /// A namespace is heard no more.
    Closed { namespace: String },
    /// As many foreign members hear a namespace.
    Foreign { namespace: String, count: usize },
}

/// The queue between the connections and the handler, bounded in messages and bytes.
#[derive(Debug)]
pub(crate) struct InboundQueue {
    inner: Mutex<Inner>,
    filled: Notify,
    counters: Arc<AdapterCounters>,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Inbound>,
    /// Messages in the queue and with the handler.
    messages: usize,
    bytes: usize,
    /// Messages were dropped, and the handler has not been told yet.
    has_gap: bool,
}

impl InboundQueue {
    pub(crate) fn new(
        counters: Arc<AdapterCounters>,
        max_messages: usize,
        max_bytes: usize,
    ) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Notify::new(),
            counters,
            max_messages,
            max_bytes,
        }
    }

    /// Takes a message in, or drops it when there is no room.
    pub(crate) fn push(&self, channel: Bytes, payload: Bytes) {
        let size = channel.len() + payload.len();
        self.counters.messages_in.add(1);
        self.counters.bytes_in.add(size);
        let mut inner = self.inner.lock();
        // One message is always taken, even if it is larger than everything together may be.
        let is_full = inner.messages >= self.max_messages || inner.bytes + size > self.max_bytes;
        if is_full && inner.messages > 0 {
            inner.has_gap = true;
            drop(inner);
            self.counters.dropped_in.add(1);
            return;
        }
        inner.messages += 1;
        inner.bytes += size;
        inner.queue.push_back(Inbound::Message { channel, payload });
        drop(inner);
        self.filled.notify_one();
    }

    /// Takes in what is no message; there are few of these, and none may be lost.
    pub(crate) fn tell(&self, news: Inbound) {
        self.inner.lock().queue.push_back(news);
        self.filled.notify_one();
    }

    /// Everything that waits; waits itself until there is something.
    pub(crate) async fn take(&self) -> VecDeque<Inbound> {
        loop {
            {
                let mut inner = self.inner.lock();
                if inner.queue.is_empty() && inner.has_gap {
                    inner.has_gap = false;
                    self.counters.gaps.add(1);
                    inner.queue.push_back(Inbound::Connected { gap: true });
                }
                if !inner.queue.is_empty() {
                    return std::mem::take(&mut inner.queue);
                }
            }
            self.filled.notified().await;
        }
    }

    /// A message that was taken is done with.
    pub(crate) fn done(&self, channel: &Bytes, payload_size: usize) {
        let mut inner = self.inner.lock();
        inner.messages -= 1;
        inner.bytes -= channel.len() + payload_size;
    }
}
