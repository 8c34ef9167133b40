//! Whom a message is for, and how it travels.

use std::time::Duration;

use smallvec::SmallVec;

use crate::ids::{Room, SocketId};

/// The recipients of a broadcast: the members of `rooms` (everybody when there is none) without the
/// members of `except`. A socket in several of the rooms gets one copy.
///
/// ```
/// use socketio_core::target::Target;
///
/// let target = Target::all().to("room 1").to("room 2").except("muted");
/// assert_eq!(target.rooms.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Rooms whose members are meant; empty means the whole namespace.
    pub rooms: SmallVec<[Room; 1]>,
    /// Rooms whose members are left out.
    pub except: SmallVec<[Room; 1]>,
    /// How the message travels.
    pub flags: Flags,
}

impl Target {
    /// Everybody in the namespace.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The members of one room.
    #[must_use]
    pub fn room(room: impl Into<Room>) -> Self {
        Self::all().to(room)
    }

    /// Adds the members of a room.
    #[must_use]
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        push_new(&mut self.rooms, room.into());
        self
    }

    /// Leaves the members of a room out.
    #[must_use]
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        push_new(&mut self.except, room.into());
        self
    }
}

/// One room, or a list of rooms. Names are text or numbers.
pub trait IntoRooms {
    /// The rooms.
    fn into_rooms(self) -> SmallVec<[Room; 1]>;
}

macro_rules! one_room {
    ($($name:ty),*) => {$(
        impl IntoRooms for $name {
            fn into_rooms(self) -> SmallVec<[Room; 1]> {
                SmallVec::from_iter([Room::from(self)])
            }
        }
    )*};
}

one_room!(
    &str, String, &String, Room, &Room, SocketId, &SocketId, i32, i64, u32, u64, usize
);

impl<T: Into<Room>> IntoRooms for Vec<T> {
    fn into_rooms(self) -> SmallVec<[Room; 1]> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<Room>, const N: usize> IntoRooms for [T; N] {
    fn into_rooms(self) -> SmallVec<[Room; 1]> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<'a, T> IntoRooms for &'a [T]
where
    &'a T: Into<Room>,
{
    fn into_rooms(self) -> SmallVec<[Room; 1]> {
        self.iter().map(Into::into).collect()
    }
}

impl IntoRooms for SmallVec<[Room; 1]> {
    fn into_rooms(self) -> SmallVec<[Room; 1]> {
        self
    }
}

// Node.js keeps both lists as sets: naming a room twice is not an error and means it once.
fn push_new(rooms: &mut SmallVec<[Room; 1]>, room: Room) {
    if !rooms.contains(&room) {
        rooms.push(room);
    }
}

/// How a message travels. The default is an ordinary reliable event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// May be dropped when the receiver is not ready.
    pub volatile: bool,
    /// May be compressed by the transport.
    pub compress: bool,
    /// Stays on this node.
    pub local: bool,
    /// Was sent by a socket to the others (`socket.broadcast`); the sender's own room is then among
    /// the exceptions.
    pub broadcast: bool,
    /// The first acknowledgement is enough (the sender asked one remote socket).
    pub expect_single_response: bool,
    /// How long to wait for acknowledgements and other answers.
    pub timeout: Option<Duration>,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            volatile: false,
            compress: true,
            local: false,
            broadcast: false,
            expect_single_response: false,
            timeout: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_named_twice_counts_once() {
        let target = Target::room("a").to("b").to("a").except("c").except("c");
        assert_eq!(target.rooms.as_slice(), [Room::from("a"), Room::from("b")]);
        assert_eq!(target.except.as_slice(), [Room::from("c")]);
    }

    #[test]
    fn an_ordinary_message_may_be_compressed_and_nothing_else() {
        let flags = Flags::default();
        assert!(flags.compress);
        assert!(!flags.volatile && !flags.local && !flags.broadcast);
        assert_eq!(flags.timeout, None);
    }
}
