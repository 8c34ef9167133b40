//! What is kept of each socket.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::ids::SocketId;

/// Up to so many rooms a socket's memberships are searched one by one.
const SEARCHED: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) id: SocketId,
    pub(super) generation: u32,
    /// `all.get(position)` is this socket.
    pub(super) position: u32,
    /// Whether it is still in the room of its own id; an application may leave that one too.
    pub(super) in_own_room: bool,
    /// Without the own room. `rooms[m.room].members.get(m.position)` is this socket.
    pub(super) memberships: SmallVec<[Membership; 2]>,
    /// Room to index in `memberships`; only for sockets in many rooms.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each socket instead of 48"
    )]
    lookup: Option<Box<HashMap<u32, u32>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    pub(super) room: u32,
    pub(super) position: u32,
}

impl Slot {
    /// A socket in its own room only.
    pub(super) fn new(id: SocketId, generation: u32, position: u32) -> Self {
        Self {
            id,
            generation,
            position,
            in_own_room: true,
            memberships: SmallVec::new(),
            lookup: None,
        }
    }

    pub(super) fn find(&self, room: u32) -> Option<u32> {
        match &self.lookup {
            Some(lookup) => lookup.get(&room).copied(),
            None => {
                let at = self.memberships.iter().position(|m| m.room == room)?;
                Some(at as u32)
            }
        }
    }

    pub(super) fn add(&mut self, membership: Membership) {
        let at = self.memberships.len() as u32;
        self.memberships.push(membership);
        match &mut self.lookup {
            Some(lookup) => {
                lookup.insert(membership.room, at);
            }
            None if self.memberships.len() > SEARCHED => {
                let indexed = self.memberships.iter().zip(0..).map(|(m, at)| (m.room, at));
                self.lookup = Some(Box::new(indexed.collect()));
            }
            None => {}
        }
    }

    /// Removes a membership; the last one takes its place and is returned if it moved.
    pub(super) fn take(&mut self, at: u32) -> (Membership, Option<Membership>) {
        let removed = self.memberships.swap_remove(at as usize);
        let moved = self.memberships.get(at as usize).copied();
        if let Some(lookup) = &mut self.lookup {
            lookup.remove(&removed.room);
            if let Some(moved) = moved {
                lookup.insert(moved.room, at);
            }
            // Half of the limit, so that a socket moving around it does not rebuild each time.
            if self.memberships.len() < SEARCHED / 2 {
                self.lookup = None;
                self.memberships.shrink_to_fit();
            }
        }
        (removed, moved)
    }
}
