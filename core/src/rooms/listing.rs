//! Looking things up, one by one and in lists.

use super::{Rooms, SocketKey};
use crate::ids::{Room, SocketId};

impl<T: Clone> Rooms<T> {
    /// Number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is no socket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of rooms, without those that are only a socket's own.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.by_name.len()
    }

    /// The handle of the socket with this id.
    #[must_use]
    pub fn get(&self, id: &SocketId) -> Option<&T> {
        let index = *self.by_id.get(id)?;
        let slot = self.sockets.get(index)?;
        self.all.get(slot.position).map(|entry| &entry.handle)
    }

    /// The key of the socket with this id.
    #[must_use]
    pub fn key(&self, id: &SocketId) -> Option<SocketKey> {
        let index = *self.by_id.get(id)?;
        let generation = self.sockets.get(index)?.generation;
        Some(SocketKey { index, generation })
    }

    /// Whether the socket is in the room.
    #[must_use]
    pub fn is_member(&self, key: SocketKey, room: &Room) -> bool {
        let Some(slot) = self.slot(key) else {
            return false;
        };
        if slot.id.as_str() == room.as_str() {
            return slot.in_own_room;
        }
        let index = self.by_name.get(room);
        index.is_some_and(|index| self.membership(key.index, *index).is_some())
    }

    /// The rooms of a socket, the one of its own id first, the others in no particular order.
    #[must_use]
    pub fn rooms_of(&self, key: SocketKey) -> Vec<Room> {
        let Some(slot) = self.slot(key) else {
            return Vec::new();
        };
        let own = slot.in_own_room.then(|| Room::from(&slot.id));
        let others = slot.memberships.iter().filter_map(|membership| {
            let entry = self.rooms.get(membership.room)?;
            Some(entry.name.clone())
        });
        own.into_iter().chain(others).collect()
    }

    /// The ids of the sockets in a room.
    #[must_use]
    pub fn members(&self, room: &Room) -> Vec<SocketId> {
        let listed = self.room(room).into_iter().flat_map(|r| r.members.iter());
        let ids = listed.filter_map(|entry| {
            let slot = self.sockets.get(entry.socket)?;
            Some(slot.id.clone())
        });
        let owner = self.owner(room.as_str()).map(|(_, slot)| slot.id.clone());
        owner.into_iter().chain(ids).collect()
    }

    /// Number of sockets in a room.
    #[must_use]
    pub fn member_count(&self, room: &Room) -> usize {
        let listed = self.room(room).map_or(0, |room| room.members.len());
        listed + usize::from(self.owner(room.as_str()).is_some())
    }

    /// Number of sockets in a room that some socket has joined; zero for a room that is only a
    /// socket's own.
    #[must_use]
    pub fn joined_count(&self, room: &Room) -> usize {
        if self.by_name.contains_key(room) {
            self.member_count(room)
        } else {
            0
        }
    }

    /// The ids of all sockets.
    pub fn ids(&self) -> impl Iterator<Item = &SocketId> {
        self.by_id.keys()
    }

    /// The handles of all sockets.
    pub fn handles(&self) -> impl Iterator<Item = &T> {
        self.all.iter().map(|entry| &entry.handle)
    }

    /// Whether the room has a member.
    #[must_use]
    pub fn contains_room(&self, room: &Room) -> bool {
        self.by_name.contains_key(room) || self.owner(room.as_str()).is_some()
    }

    /// The rooms that sockets joined; the rooms of their own ids are not among them.
    pub fn joined_rooms(&self) -> impl Iterator<Item = &Room> {
        self.by_name.keys()
    }

    /// All rooms, also the sockets' own ones.
    #[must_use]
    pub fn all_rooms(&self) -> Vec<Room> {
        let own = self
            .sockets
            .iter()
            .filter(|slot| slot.in_own_room && !self.by_name.contains_key(slot.id.as_str()));
        own.map(|slot| Room::from(&slot.id))
            .chain(self.by_name.keys().cloned())
            .collect()
    }
}
