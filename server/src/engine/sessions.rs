//! The table of sessions by their secret id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;
use socketio_core::ids::SessionId;

use super::conn::Conn;

/// Every request of a polling client looks its session up, so the table is split to keep writers out of the way.
const SHARDS: usize = 32;

#[derive(Debug)]
pub(super) struct Sessions {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<SessionId, Arc<Conn>>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

impl Sessions {
    fn shard(&self, sid: &str) -> &RwLock<HashMap<SessionId, Arc<Conn>>> {
        let index = self.hasher.hash_one(sid) as usize % SHARDS;
        &self.shards[index]
    }

    pub(super) fn get(&self, sid: &str) -> Option<Arc<Conn>> {
        self.shard(sid).read().get(sid).cloned()
    }

    /// `false` if another session has this id.
    pub(super) fn insert(&self, conn: Arc<Conn>) -> bool {
        let mut shard = self.shard(conn.id().as_ref()).write();
        match shard.entry(conn.id().clone()) {
            Entry::Vacant(free) => {
                free.insert(conn);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    pub(super) fn remove(&self, sid: &SessionId) {
        let mut shard = self.shard(sid.as_ref()).write();
        let removed = shard.remove(sid);
        // A burst of clients may have made the table large.
        if shard.capacity() > 1024 && shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit();
        }
        drop(shard);
        // The last reference may go here; that must not happen under the lock.
        drop(removed);
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub(super) fn all(&self) -> Vec<Arc<Conn>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            all.extend(shard.read().values().cloned());
        }
        all
    }
}
