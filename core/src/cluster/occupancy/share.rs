//! The rooms of one node, and a hash of them.

use std::collections::HashMap;

use bytestring::ByteString;

use crate::cluster::NamespaceRooms;
use crate::ids::Room;

/// How many sockets one node has in its namespaces and rooms.
#[derive(Debug, Default)]
pub(super) struct Share {
    namespaces: HashMap<ByteString, Counts>,
    /// Of all counts; kept up to date with each change, and independent of their order.
    hash: u64,
    /// Number of rooms and namespaces.
    len: usize,
}

#[derive(Debug, Default)]
struct Counts {
    sockets: u64,
    rooms: HashMap<Room, u64>,
}

impl Share {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn sockets(&self, namespace: &str) -> u64 {
        let counts = self.namespaces.get(namespace);
        counts.map_or(0, |counts| counts.sockets)
    }

    pub(super) fn count(&self, namespace: &str, room: &str) -> u64 {
        let counts = self.namespaces.get(namespace);
        let count = counts.and_then(|counts| counts.rooms.get(room));
        count.copied().unwrap_or(0)
    }

    pub(super) fn rooms(&self, namespace: &str) -> impl Iterator<Item = (&Room, u64)> {
        let counts = self.namespaces.get(namespace).into_iter();
        counts.flat_map(|counts| counts.rooms.iter().map(|(room, count)| (room, *count)))
    }

    /// All rooms of all namespaces.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ByteString, &Room, u64)> {
        self.namespaces.iter().flat_map(|(namespace, counts)| {
            let rooms = counts.rooms.iter();
            rooms.map(move |(room, count)| (namespace, room, *count))
        })
    }

    /// Returns what it was before.
    pub(super) fn set_sockets(&mut self, namespace: &ByteString, sockets: u64) -> u64 {
        let before = self.sockets(namespace);
        if before == sockets {
            return before;
        }
        let counts = self.namespaces.entry(namespace.clone()).or_insert_with(|| {
            self.len += 1;
            Counts::default()
        });
        counts.sockets = sockets;
        self.replace(namespace, None, before, sockets);
        self.forget_if_empty(namespace);
        before
    }

    /// Returns what it was before.
    pub(super) fn set_room(&mut self, namespace: &ByteString, room: &Room, count: u64) -> u64 {
        let before = self.count(namespace, room.as_str());
        if before == count {
            return before;
        }
        let counts = self.namespaces.entry(namespace.clone()).or_insert_with(|| {
            self.len += 1;
            Counts::default()
        });
        if count == 0 {
            counts.rooms.remove(room);
            self.len -= 1;
        } else if counts.rooms.insert(room.clone(), count).is_none() {
            self.len += 1;
        }
        self.replace(namespace, Some(room), before, count);
        self.forget_if_empty(namespace);
        before
    }

    /// All of it, as it is told to others.
    pub(super) fn listed(&self) -> Vec<NamespaceRooms> {
        let namespaces = self.namespaces.iter();
        namespaces
            .map(|(namespace, counts)| NamespaceRooms {
                namespace: namespace.clone(),
                sockets: counts.sockets,
                rooms: counts.rooms.iter().map(|(r, n)| (r.clone(), *n)).collect(),
            })
            .collect()
    }

    fn forget_if_empty(&mut self, namespace: &ByteString) {
        let counts = self.namespaces.get_mut(namespace);
        if let Some(counts) = counts {
            if counts.sockets == 0 && counts.rooms.is_empty() {
                self.namespaces.remove(namespace);
                self.len -= 1;
            } else if counts.rooms.capacity() > 64
                && counts.rooms.len() * 8 < counts.rooms.capacity()
            {
                counts.rooms.shrink_to(counts.rooms.len() * 2);
            }
        }
    }

    fn replace(&mut self, namespace: &str, room: Option<&Room>, before: u64, after: u64) {
        for (count, is_new) in [(before, false), (after, true)] {
            if count == 0 {
                continue;
            }
            let hash = hash(namespace, room, count);
            self.hash = if is_new {
                self.hash.wrapping_add(hash)
            } else {
                self.hash.wrapping_sub(hash)
            };
        }
    }
}

/// Sums of it are compared between nodes, so it must be the same everywhere and for ever: FNV-1a,
/// then the last step of SplitMix64, without which sums of similar counts would be similar.
fn hash(namespace: &str, room: Option<&Room>, count: u64) -> u64 {
    // No byte of a text is 255 or 254.
    let (mark, room) = room.map_or((254, ""), |room| (255, room.as_str()));
    let bytes = namespace.bytes().chain([mark]).chain(room.bytes());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes.chain([255]).chain(count.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Distributes counts over messages of about `bytes` bytes each; one at least.
pub(super) fn split(counts: Vec<NamespaceRooms>, bytes: usize) -> Vec<Vec<NamespaceRooms>> {
    let mut parts = vec![Vec::new()];
    let mut free = bytes;
    for NamespaceRooms {
        namespace,
        sockets,
        rooms,
    } in counts
    {
        let mut current = NamespaceRooms {
            namespace: namespace.clone(),
            sockets,
            rooms: Vec::new(),
        };
        free = free.saturating_sub(namespace.len() + ENTRY);
        for (room, count) in rooms {
            let size = room.as_str().len() + ENTRY;
            if size > free && !current.rooms.is_empty() {
                let next = NamespaceRooms {
                    namespace: namespace.clone(),
                    sockets,
                    rooms: Vec::new(),
                };
                push_last(&mut parts, std::mem::replace(&mut current, next));
                parts.push(Vec::new());
                free = bytes.saturating_sub(namespace.len() + ENTRY);
            }
            free = free.saturating_sub(size);
            current.rooms.push((room, count));
        }
        push_last(&mut parts, current);
        if free == 0 {
            parts.push(Vec::new());
            free = bytes;
        }
    }
    if parts.len() > 1 && parts.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    parts
}

fn push_last(parts: &mut [Vec<NamespaceRooms>], counts: NamespaceRooms) {
    if let Some(last) = parts.last_mut() {
        last.push(counts);
    }
}

/// What an entry takes beside its name.
const ENTRY: usize = 12;
