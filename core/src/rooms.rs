//! Which socket of a namespace is in which room, and whom a [`Target`] means.

mod listing;
mod members;
mod selection;
mod slot;
mod table;

use std::collections::HashMap;

use crate::ids::{Room, SocketId};
use crate::target::Target;
use members::{Entry, Members};
use slot::{Membership, Slot};
use table::Table;

pub use selection::Selection;

/// The sockets of one namespace and their rooms. `T` is the handle that a delivery needs.
///
/// Every socket is in the room named by its id from the start. That room takes no memory; it is
/// listed, and reported in the outcomes, like any other.
///
/// All methods take time independent of the number of sockets and of the size of the rooms, but
/// for listings. Broadcasts iterate a [`Selection`], which needs no lock.
///
/// ```
/// use socketio_core::ids::{Room, SocketId};
/// use socketio_core::rooms::Rooms;
/// use socketio_core::target::Target;
///
/// let mut rooms = Rooms::new();
/// let (ada, bob) = (SocketId::from("a"), SocketId::from("b"));
/// let ada_key = rooms.insert(ada.clone(), "Ada");
/// rooms.insert(bob, "Bob");
/// rooms.join(ada_key, &Room::from("math"));
///
/// let target = Target::room("math").to(ada); // Ada twice, in effect
/// assert_eq!(rooms.select(&target).handles(), ["Ada"]);
/// ```
#[derive(Debug, Clone)]
pub struct Rooms<T> {
    sockets: Table<Slot>,
    by_id: HashMap<SocketId, u32>,
    rooms: Table<RoomEntry<T>>,
    by_name: HashMap<Room, u32>,
    all: Members<T>,
    generation: u32,
}

/// Names a socket within its [`Rooms`]. It is never valid for a later socket: all methods ignore
/// the key of a socket that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketKey {
    index: u32,
    generation: u32,
}

#[derive(Debug, Clone)]
struct RoomEntry<T> {
    name: Room,
    members: Members<T>,
}

/// What [`Rooms::join`] changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JoinOutcome {
    /// The room did not exist before.
    pub created: bool,
    /// The socket was not in the room before.
    pub joined: bool,
}

/// What [`Rooms::leave`] changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaveOutcome {
    /// The socket was in the room.
    pub left: bool,
    /// The room does not exist any more.
    pub deleted: bool,
}

/// One room that a removed socket left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The room.
    pub room: Room,
    /// The room does not exist any more.
    pub deleted: bool,
}

impl<T> Default for Rooms<T> {
    fn default() -> Self {
        Self {
            sockets: Table::default(),
            by_id: HashMap::new(),
            rooms: Table::default(),
            by_name: HashMap::new(),
            all: Members::default(),
            generation: 0,
        }
    }
}

impl<T: Clone> Rooms<T> {
    /// No sockets, no rooms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a socket, in the room of its own id.
    ///
    /// A socket that has the same id already is removed: it is in no room afterwards, and its key
    /// is ignored.
    pub fn insert(&mut self, id: SocketId, handle: T) -> SocketKey {
        if let Some(older) = self.key(&id) {
            self.remove(older);
        }
        self.generation = self.generation.wrapping_add(1);
        // At the end of the list, where the entry is about to be put.
        let position = self.all.len() as u32;
        let slot = Slot::new(id.clone(), self.generation, position);
        let index = self.sockets.insert(slot);
        self.all.push(Entry {
            socket: index,
            membership: 0,
            handle,
        });
        self.by_id.insert(id, index);
        SocketKey {
            index,
            generation: self.generation,
        }
    }

    /// Removes a socket from the namespace and all rooms; tells which rooms it left, the one of
    /// its own id first.
    pub fn remove(&mut self, key: SocketKey) -> Vec<Departure> {
        let Some(slot) = self.slot(key) else {
            return Vec::new();
        };
        let id = slot.id.clone();
        let count = slot.memberships.len() as u32;
        let mut departures = Vec::with_capacity(1 + slot.memberships.len());
        if slot.in_own_room {
            let deleted = !self.by_name.contains_key(id.as_str());
            let room = Room::from(&id);
            departures.push(Departure { room, deleted });
        }
        self.by_id.remove(&id);
        // From the end, so that no other membership has to move.
        for at in (0..count).rev() {
            departures.extend(self.remove_membership(key.index, at));
        }
        if let Some(slot) = self.sockets.remove(key.index)
            && let Some((moved, _)) = self.all.swap_remove(slot.position)
            && let Some(moved) = self.sockets.get_mut(moved)
        {
            moved.position = slot.position;
        }
        self.release_memory();
        departures
    }

    /// Whether a room has the id of another socket for its name.
    #[must_use]
    pub fn is_own_room_of_another(&self, key: SocketKey, room: &Room) -> bool {
        let owner = self.by_id.get(room.as_str());
        owner.is_some_and(|index| *index != key.index)
    }

    /// Puts a socket into a room.
    pub fn join(&mut self, key: SocketKey, room: &Room) -> JoinOutcome {
        let Some(slot) = self.slot_mut(key) else {
            return JoinOutcome::default();
        };
        if slot.id.as_str() == room.as_str() {
            let joined = !std::mem::replace(&mut slot.in_own_room, true);
            let created = joined && !self.by_name.contains_key(room);
            return JoinOutcome { created, joined };
        }
        let position_in_all = slot.position;
        let (index, created) = match self.by_name.get(room) {
            Some(&index) if self.membership(key.index, index).is_some() => {
                return JoinOutcome::default();
            }
            Some(&index) => (index, false),
            None => {
                let index = self.rooms.insert(RoomEntry {
                    name: room.clone(),
                    members: Members::default(),
                });
                self.by_name.insert(room.clone(), index);
                (index, self.owner(room.as_str()).is_none())
            }
        };
        // All three exist: the slot was found above, and by_name and all only name what exists.
        if let Some(slot) = self.sockets.get_mut(key.index)
            && let Some(entry) = self.rooms.get_mut(index)
            && let Some(own) = self.all.get(position_in_all)
        {
            let membership = slot.memberships.len() as u32;
            let position = entry.members.push(Entry {
                socket: key.index,
                membership,
                handle: own.handle.clone(),
            });
            slot.add(Membership {
                room: index,
                position,
            });
        }
        let joined = true;
        JoinOutcome { created, joined }
    }

    /// Takes a socket out of a room.
    pub fn leave(&mut self, key: SocketKey, room: &Room) -> LeaveOutcome {
        let Some(slot) = self.slot_mut(key) else {
            return LeaveOutcome::default();
        };
        if slot.id.as_str() == room.as_str() {
            let left = std::mem::replace(&mut slot.in_own_room, false);
            let deleted = left && !self.by_name.contains_key(room);
            return LeaveOutcome { left, deleted };
        }
        let at = self
            .by_name
            .get(room)
            .and_then(|index| self.membership(key.index, *index));
        match at.and_then(|at| self.remove_membership(key.index, at)) {
            Some(departure) => LeaveOutcome {
                left: true,
                deleted: departure.deleted,
            },
            None => LeaveOutcome::default(),
        }
    }

    /// The recipients that `target` means now. Cheap: see [`Selection`].
    #[must_use]
    pub fn select(&self, target: &Target) -> Selection<T> {
        let mut selection = Selection::new(self.sockets.bound());
        if target.rooms.is_empty() {
            selection.add(&self.all);
        }
        for room in &target.rooms {
            if let Some(entry) = self.room(room) {
                selection.add(&entry.members);
            }
            if let Some((_, slot)) = self.owner(room.as_str())
                && let Some(entry) = self.all.get(slot.position)
            {
                selection.add_one(entry);
            }
        }
        for room in &target.except {
            if let Some(entry) = self.room(room) {
                selection.leave_out(&entry.members);
            }
            if let Some((index, _)) = self.owner(room.as_str()) {
                selection.leave_out_one(index);
            }
        }
        selection
    }

    fn slot(&self, key: SocketKey) -> Option<&Slot> {
        let slot = self.sockets.get(key.index)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn slot_mut(&mut self, key: SocketKey) -> Option<&mut Slot> {
        let slot = self.sockets.get_mut(key.index)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn room(&self, name: &Room) -> Option<&RoomEntry<T>> {
        self.rooms.get(*self.by_name.get(name)?)
    }

    /// The socket whose own room has this name.
    fn owner(&self, name: &str) -> Option<(u32, &Slot)> {
        let index = *self.by_id.get(name)?;
        let slot = self.sockets.get(index)?;
        slot.in_own_room.then_some((index, slot))
    }

    fn membership(&self, socket: u32, room: u32) -> Option<u32> {
        self.sockets.get(socket)?.find(room)
    }

    /// Undoes the membership number `at` of a socket, on both sides.
    fn remove_membership(&mut self, socket: u32, at: u32) -> Option<Departure> {
        let slot = self.sockets.get_mut(socket)?;
        let (removed, moved) = slot.take(at);
        if let Some(moved) = moved
            && let Some(entry) = self.rooms.get_mut(moved.room)
        {
            entry.members.set_membership(moved.position, at);
        }
        let entry = self.rooms.get_mut(removed.room)?;
        let moved = entry.members.swap_remove(removed.position);
        let room = entry.name.clone();
        let is_empty = entry.members.len() == 0;
        if let Some((other, membership)) = moved
            && let Some(other) = self.sockets.get_mut(other)
        {
            other.memberships[membership as usize].position = removed.position;
        }
        if is_empty {
            self.rooms.remove(removed.room);
            self.by_name.remove(&room);
        }
        let deleted = is_empty && self.owner(room.as_str()).is_none();
        Some(Departure { room, deleted })
    }

    fn release_memory(&mut self) {
        if self.by_id.is_empty() {
            // Keys stay unique, because the generation goes on.
            let generation = self.generation;
            *self = Self::default();
            self.generation = generation;
            return;
        }
        if self.by_id.capacity() > 64 && self.by_id.len() * 8 < self.by_id.capacity() {
            self.by_id.shrink_to(self.by_id.len() * 2);
        }
        if self.by_name.capacity() > 64 && self.by_name.len() * 8 < self.by_name.capacity() {
            self.by_name.shrink_to(self.by_name.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests;
