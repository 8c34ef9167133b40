//! What was taken in and what has become of it, for those who wait until all is sent.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Numbers of messages since the start.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    added: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    settled: Notify,
}

impl Flow {
    pub(crate) fn add(&self, messages: usize) {
        self.added.fetch_add(messages as u64, Ordering::AcqRel);
    }

    pub(crate) fn settle(&self, sent: usize, dropped: usize) {
        self.sent.fetch_add(sent as u64, Ordering::AcqRel);
        self.dropped.fetch_add(dropped as u64, Ordering::AcqRel);
        self.settled.notify_waiters();
    }

    /// How many were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Acquire)
    }

    /// Whether all that were added are sent or dropped.
    pub(crate) fn is_settled(&self) -> bool {
        let added = self.added.load(Ordering::Acquire);
        self.has_settled(added)
    }

    fn has_settled(&self, added: u64) -> bool {
        self.sent.load(Ordering::Acquire) + self.dropped() >= added
    }

    /// Waits until all that were added before the call are sent or dropped.
    pub(crate) async fn flushed(&self) {
        let added = self.added.load(Ordering::Acquire);
        loop {
            let settled = self.settled.notified();
            if self.has_settled(added) {
                return;
            }
            settled.await;
        }
    }
}
