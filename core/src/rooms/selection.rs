//! The recipients of one broadcast, as they were at one instant.

use std::sync::Arc;

use smallvec::SmallVec;

use super::members::{Chunk, Entry, Members};

/// The sockets that a [`Target`](crate::target::Target) means, taken by
/// [`Rooms::select`](super::Rooms::select).
///
/// It shares memory with the rooms, so taking it is cheap, and it needs no lock afterwards: joins
/// and leaves go on while it is iterated, and do not change it.
#[derive(Debug, Clone)]
pub struct Selection<T> {
    sources: SmallVec<[Source<T>; 1]>,
    except: SmallVec<[u32; 4]>,
    except_chunks: Vec<Arc<Chunk<T>>>,
    /// Every socket index here is below this.
    bound: u32,
}

#[derive(Debug, Clone)]
enum Source<T> {
    Few(SmallVec<[Entry<T>; 1]>),
    Chunks(Vec<Arc<Chunk<T>>>),
}

/// Up to so many exceptions are compared one by one; that is faster than preparing a bitmap, and
/// covers `socket.broadcast`, which leaves out one.
const FEW_EXCEPTIONS: usize = 4;

/// Up to so many candidates the sockets already seen are kept in a list.
const FEW_CANDIDATES: usize = 32;

impl<T: Clone> Selection<T> {
    pub(super) fn new(bound: u32) -> Self {
        Self {
            sources: SmallVec::new(),
            except: SmallVec::new(),
            except_chunks: Vec::new(),
            bound,
        }
    }

    pub(super) fn add(&mut self, members: &Members<T>) {
        self.sources.push(match members {
            Members::Few(entries) => Source::Few(entries.clone()),
            Members::Chunks(chunks) => Source::Chunks(chunks.clone()),
        });
    }

    pub(super) fn add_one(&mut self, entry: &Entry<T>) {
        let entries = std::iter::once(entry.clone()).collect();
        self.sources.push(Source::Few(entries));
    }

    pub(super) fn leave_out(&mut self, members: &Members<T>) {
        match members {
            Members::Few(entries) => self.except.extend(entries.iter().map(|e| e.socket)),
            Members::Chunks(chunks) => self.except_chunks.extend(chunks.iter().cloned()),
        }
    }

    pub(super) fn leave_out_one(&mut self, socket: u32) {
        self.except.push(socket);
    }

    /// Calls `visit` with the handle of each selected socket, once each.
    pub fn for_each(&self, mut visit: impl FnMut(&T)) {
        let listed = self.except_chunks.is_empty() && self.except.len() <= FEW_EXCEPTIONS;
        if self.sources.len() <= 1 && listed {
            if self.except.is_empty() {
                self.candidates(|entry| visit(&entry.handle));
            } else {
                self.candidates(|entry| {
                    if !self.except.contains(&entry.socket) {
                        visit(&entry.handle);
                    }
                });
            }
            return;
        }
        // Exceptions count as seen before anybody is visited.
        let mut seen = Seen::new(self.upper_bound() + self.exceptions(), self.bound);
        for socket in &self.except {
            seen.insert(*socket);
        }
        for entry in self.except_chunks.iter().flat_map(|chunk| chunk.iter()) {
            seen.insert(entry.socket);
        }
        self.candidates(|entry| {
            if seen.insert(entry.socket) {
                visit(&entry.handle);
            }
        });
    }

    /// The handles of the selected sockets.
    #[must_use]
    pub fn handles(&self) -> Vec<T> {
        let mut handles = Vec::with_capacity(self.upper_bound());
        self.for_each(|handle| handles.push(handle.clone()));
        handles
    }

    /// How many sockets are selected.
    #[must_use]
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.for_each(|_| count += 1);
        count
    }

    /// A number that [`count`](Self::count) does not exceed, known without iterating.
    #[must_use]
    pub fn upper_bound(&self) -> usize {
        let sizes = self.sources.iter().map(|source| match source {
            Source::Few(entries) => entries.len(),
            Source::Chunks(chunks) => chunks.iter().map(|chunk| chunk.len()).sum(),
        });
        sizes.sum()
    }

    fn exceptions(&self) -> usize {
        let chunked: usize = self.except_chunks.iter().map(|chunk| chunk.len()).sum();
        self.except.len() + chunked
    }

    fn candidates(&self, mut visit: impl FnMut(&Entry<T>)) {
        for source in &self.sources {
            match source {
                Source::Few(entries) => entries.iter().for_each(&mut visit),
                Source::Chunks(chunks) => {
                    for chunk in chunks {
                        chunk.iter().for_each(&mut visit);
                    }
                }
            }
        }
    }
}

/// Sockets that need not be visited any more.
enum Seen {
    List(SmallVec<[u32; FEW_CANDIDATES]>),
    Bitmap(Vec<u64>),
}

impl Seen {
    fn new(candidates: usize, bound: u32) -> Self {
        if candidates <= FEW_CANDIDATES {
            Self::List(SmallVec::new())
        } else {
            Self::Bitmap(vec![0; (bound as usize).div_ceil(64)])
        }
    }

    /// False if it was there already.
    fn insert(&mut self, socket: u32) -> bool {
        match self {
            Self::List(list) => {
                let new = !list.contains(&socket);
                if new {
                    list.push(socket);
                }
                new
            }
            Self::Bitmap(words) => {
                let word = &mut words[socket as usize / 64];
                let bit = 1 << (socket % 64);
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
        }
    }
}
