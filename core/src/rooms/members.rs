//! The members of one room, or of a whole namespace, in chunks that are shared with the broadcasts
//! going on and copied only when one of them changes meanwhile.

use std::sync::Arc;

use smallvec::SmallVec;

/// Entries of a chunk. A broadcast clones one pointer for each chunk while it holds the lock, and a
/// join or leave during a broadcast copies up to two chunks: 128 keeps both at a few microseconds
/// for 100 000 members.
pub(super) const CHUNK: usize = 128;

/// Up to so many members are kept without a chunk: most rooms are this small (one user, one
/// document), and a chunk costs two allocations.
const FEW: usize = 4;

/// A list in chunks returns to the small form only here, so that a room whose size moves around
/// `FEW` does not change its form each time.
const FEW_AGAIN: usize = 2;

/// One member.
#[derive(Debug, Clone)]
pub(super) struct Entry<T> {
    /// Index of the socket.
    pub(super) socket: u32,
    /// Where the socket's own list of rooms holds this membership.
    pub(super) membership: u32,
    /// What a delivery needs.
    pub(super) handle: T,
}

pub(super) type Chunk<T> = Vec<Entry<T>>;

/// A list with positions that joins and leaves keep dense.
///
/// Every chunk but the last is full, so position `p` is entry `p % CHUNK` of chunk `p / CHUNK`.
#[derive(Debug, Clone)]
pub(super) enum Members<T> {
    Few(SmallVec<[Entry<T>; 1]>),
    Chunks(Vec<Arc<Chunk<T>>>),
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl<T: Clone> Members<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Chunks(chunks) => chunks
                .last()
                .map_or(0, |last| (chunks.len() - 1) * CHUNK + last.len()),
        }
    }

    pub(super) fn get(&self, position: u32) -> Option<&Entry<T>> {
        let position = position as usize;
        match self {
            Self::Few(entries) => entries.get(position),
            Self::Chunks(chunks) => chunks.get(position / CHUNK)?.get(position % CHUNK),
        }
    }

    fn get_mut(&mut self, position: u32) -> Option<&mut Entry<T>> {
        let position = position as usize;
        match self {
            Self::Few(entries) => entries.get_mut(position),
            Self::Chunks(chunks) => {
                Arc::make_mut(chunks.get_mut(position / CHUNK)?).get_mut(position % CHUNK)
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        let (few, chunks): (&[Entry<T>], &[Arc<Chunk<T>>]) = match self {
            Self::Few(entries) => (entries, &[]),
            Self::Chunks(chunks) => (&[], chunks),
        };
        few.iter()
            .chain(chunks.iter().flat_map(|chunk| chunk.iter()))
    }

    /// Appends a member and returns its position.
    pub(super) fn push(&mut self, entry: Entry<T>) -> u32 {
        let position = self.len();
        match self {
            Self::Few(entries) if entries.len() < FEW => entries.push(entry),
            Self::Few(entries) => {
                let mut chunk = Vec::with_capacity(2 * FEW);
                chunk.extend(entries.drain(..));
                chunk.push(entry);
                *self = Self::Chunks(vec![Arc::new(chunk)]);
            }
            Self::Chunks(chunks) => match chunks.last_mut().filter(|last| last.len() < CHUNK) {
                Some(last) => push_bounded(Arc::make_mut(last), entry),
                None => {
                    let mut chunk = Vec::with_capacity(2 * FEW);
                    chunk.push(entry);
                    chunks.push(Arc::new(chunk));
                }
            },
        }
        // A list has at most as many entries as there are socket indexes, which are u32.
        position as u32
    }

    /// Removes the member at `position`; the last one takes its place. Returns where the socket
    /// that moved keeps this membership: (socket, membership).
    pub(super) fn swap_remove(&mut self, position: u32) -> Option<(u32, u32)> {
        match self {
            Self::Few(entries) => {
                entries.swap_remove(position as usize);
            }
            Self::Chunks(chunks) => {
                let last_chunk = chunks.last_mut()?;
                let last = Arc::make_mut(last_chunk).pop()?;
                if last_chunk.is_empty() {
                    chunks.pop();
                    release(chunks);
                }
                // There is none if the removed member was the last itself.
                if let Some(entry) = self.get_mut(position) {
                    *entry = last;
                }
                self.compact();
            }
        }
        let moved = self.get(position)?;
        Some((moved.socket, moved.membership))
    }

    /// Records that a socket moved this membership within its own list.
    pub(super) fn set_membership(&mut self, position: u32, membership: u32) {
        if let Some(entry) = self.get_mut(position) {
            entry.membership = membership;
        }
    }

    fn compact(&mut self) {
        let Self::Chunks(chunks) = self else { return };
        if chunks.is_empty() {
            *self = Self::default();
        } else if let [only] = &mut chunks[..]
            && only.len() <= FEW_AGAIN
        {
            let entries = std::mem::take(Arc::make_mut(only));
            *self = Self::Few(entries.into_iter().collect());
        } else if let Some(last) = chunks.last_mut()
            && last.capacity() > 2 * FEW
            && last.capacity() > 4 * last.len()
        {
            let last = Arc::make_mut(last);
            last.shrink_to(2 * last.len());
        }
    }
}

/// `Vec::push` doubles, which would leave a copied chunk of 100 entries with room for 200.
fn push_bounded<T>(chunk: &mut Chunk<T>, entry: Entry<T>) {
    if chunk.len() == chunk.capacity() {
        let wanted = (2 * chunk.len()).clamp(2 * FEW, CHUNK);
        chunk.reserve_exact(wanted - chunk.len());
    }
    chunk.push(entry);
}

/// Gives memory back once three quarters of it are unused: each such step follows at least as
/// many removals as it moves elements.
pub(super) fn release<E>(list: &mut Vec<E>) {
    if list.capacity() > 16 && list.len() * 4 < list.capacity() {
        list.shrink_to(list.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(socket: u32) -> Entry<u32> {
        Entry {
            socket,
            membership: socket + 1000,
            handle: socket,
        }
    }

    fn filled(count: u32) -> Members<u32> {
        let mut members = Members::default();
        for socket in 0..count {
            assert_eq!(members.push(entry(socket)), socket);
        }
        members
    }

    #[test]
    fn positions_stay_dense_through_all_forms() {
        let mut members = filled(1000);
        assert_eq!(members.len(), 1000);
        // The last member takes the place of the first.
        assert_eq!(members.swap_remove(0), Some((999, 1999)));
        assert_eq!(members.get(0).map(|e| e.socket), Some(999));
        // Removing the last moves nobody.
        assert_eq!(members.swap_remove(998), None);
        while members.len() > 0 {
            let expected = members.len() - 1;
            members.swap_remove(0);
            assert_eq!(members.len(), expected);
        }
        assert!(matches!(members, Members::Few(_)));
    }

    #[test]
    fn a_few_members_need_no_chunk_and_a_shrunken_list_returns_to_few() {
        let mut members = filled(4);
        assert!(matches!(members, Members::Few(_)));
        members.push(entry(4));
        assert!(matches!(members, Members::Chunks(_)));
        members.swap_remove(0);
        members.swap_remove(0);
        assert!(matches!(members, Members::Chunks(_)), "no flapping");
        members.swap_remove(0);
        assert!(matches!(members, Members::Few(_)));
        assert_eq!(members.iter().count(), 2);
    }

    #[test]
    fn a_change_copies_only_the_chunks_it_touches() {
        let mut members = filled(10 * CHUNK as u32);
        let snapshot = members.clone();
        members.swap_remove(0);
        let (Members::Chunks(before), Members::Chunks(after)) = (&snapshot, &members) else {
            panic!("both are large");
        };
        let copied = before
            .iter()
            .zip(after)
            .filter(|(before, after)| !Arc::ptr_eq(before, after))
            .count();
        assert_eq!(copied, 2);
        assert_eq!(snapshot.len(), 10 * CHUNK);
        assert_eq!(snapshot.get(0).map(|e| e.socket), Some(0));
    }

    #[test]
    fn a_copied_chunk_does_not_grow_beyond_its_size() {
        let mut members = filled(100);
        let _snapshot = members.clone();
        members.push(entry(100));
        let Members::Chunks(chunks) = &members else {
            panic!("large");
        };
        assert!(chunks[0].capacity() <= CHUNK);
    }
}
