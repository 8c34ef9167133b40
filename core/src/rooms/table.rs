//! A table whose entries are named by small numbers that are used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::members::release;

/// Entries by index. The lowest free index is taken first, so that the table can shrink after a
/// peak: its unused end is cut off.
#[derive(Debug, Clone)]
pub(super) struct Table<E> {
    entries: Vec<Option<E>>,
    /// May name an index that was cut off, or taken again since: checked when taken from here.
    free: BinaryHeap<Reverse<u32>>,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: BinaryHeap::new(),
        }
    }
}

impl<E> Table<E> {
    pub(super) fn insert(&mut self, entry: E) -> u32 {
        while let Some(Reverse(index)) = self.free.pop() {
            if let Some(place @ None) = self.entries.get_mut(index as usize) {
                *place = Some(entry);
                return index;
            }
        }
        self.entries.push(Some(entry));
        // An entry takes dozens of bytes: memory ends long before u32.
        (self.entries.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<E> {
        let removed = self.entries.get_mut(index as usize)?.take()?;
        if index as usize + 1 < self.entries.len() {
            self.free.push(Reverse(index));
        }
        while let Some(None) = self.entries.last() {
            self.entries.pop();
        }
        release(&mut self.entries);
        if self.entries.is_empty() {
            self.free = BinaryHeap::new();
        }
        Some(removed)
    }

    pub(super) fn get(&self, index: u32) -> Option<&E> {
        self.entries.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut E> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().flatten()
    }

    /// All indexes are below this.
    pub(super) fn bound(&self) -> u32 {
        self.entries.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_indexes_are_used_again_and_the_end_is_cut_off() {
        let mut table = Table::default();
        let indexes: Vec<u32> = (0..1000).map(|n| table.insert(n)).collect();
        assert_eq!(indexes, (0..1000).collect::<Vec<_>>());
        for index in (10..1000).rev().chain([3, 5]) {
            assert_eq!(table.remove(index), Some(index));
        }
        assert_eq!(table.bound(), 10);
        assert!(table.entries.capacity() < 100);
        assert_eq!(
            [table.insert(0), table.insert(0), table.insert(0)],
            [3, 5, 10]
        );
    }

    #[test]
    fn an_index_that_was_cut_off_and_taken_again_is_not_given_twice() {
        let mut table = Table::default();
        (0..4).for_each(|n| {
            table.insert(n);
        });
        table.remove(2); // free
        table.remove(3); // cuts 2 and 3 off, 2 stays noted as free
        assert_eq!(table.insert(20), 2);
        table.remove(1);
        table.remove(2);
        let mut given = [table.insert(0), table.insert(0), table.insert(0)];
        given.sort_unstable();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(table.remove(9), None);
    }
}
