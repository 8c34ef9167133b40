//! How many sockets are where, in the whole cluster.

use std::collections::HashMap;

use socketio_core::ids::{NodeId, Room};
use socketio_core::target::Target;

use super::Namespace;
use crate::remote::MissingNodes;

/// A number of sockets, and of whom it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomCount {
    /// How many sockets there are. Of nodes in `unknown` what they last told is in it.
    pub count: u64,
    /// Nodes whose sockets are not known, or not as they are now.
    pub unknown: MissingNodes,
    /// Members may be there that nobody can count or ask
    /// ([`Server::has_uncounted_members`](crate::Server::has_uncounted_members)).
    pub uncounted: bool,
}

impl RoomCount {
    /// Whether nobody was left out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty() && !self.uncounted
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.unknown.merge(other.unknown);
        self.uncounted |= other.uncounted;
    }
}

/// The rooms of the cluster, and of whom they say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomList {
    /// The rooms with the number of sockets in each, in order.
    pub rooms: Vec<(Room, u64)>,
    /// Nodes whose rooms are not known, or not as they are now.
    pub unknown: MissingNodes,
    /// Members may be there that nobody can count or ask
    /// ([`Server::has_uncounted_members`](crate::Server::has_uncounted_members)).
    pub uncounted: bool,
}

impl RoomList {
    /// Whether nobody was left out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty() && !self.uncounted
    }

    /// How many sockets are in a room; zero if it is not among them.
    #[must_use]
    pub fn count(&self, room: impl Into<Room>) -> u64 {
        let room = room.into();
        let found = self.rooms.binary_search_by(|(name, _)| name.cmp(&room));
        found.map_or(0, |at| self.rooms[at].1)
    }
}

/// What counts can tell without asking.
enum Shared<'a> {
    Namespace,
    Room(&'a Room),
}

/// Of several rooms the counts do not tell who is in two of them, and the rooms that sockets have of
/// their own are not shared.
fn shared(target: &Target) -> Option<Shared<'_>> {
    match (&target.rooms[..], &target.except[..]) {
        ([], []) => Some(Shared::Namespace),
        ([room], []) if !may_be_socket(room.as_str()) => Some(Shared::Room(room)),
        _ => None,
    }
}

/// Whether a room has the form of a socket id.
fn may_be_socket(room: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    room.len() == 20 && room.bytes().all(alphabet)
}

impl Namespace {
    /// The rooms of the whole cluster that sockets have joined, without those that are only a
    /// socket's own. A child of a dynamic namespace has its own.
    ///
    /// Our nodes share the numbers, so nobody is asked, and what happened on other nodes within the
    /// last [interval](crate::ServerBuilder::room_sharing) and on the way is not in it. Only where
    /// servers of other software are members all are asked, for 5 seconds at most. The list holds
    /// up joins while it is made, so do not ask for it often where there are very many rooms.
    pub async fn rooms(&self) -> RoomList {
        let mut rooms: HashMap<Room, u64> = HashMap::new();
        {
            let members = self.0.members.lock();
            let joined = members.rooms.joined_rooms();
            rooms
                .extend(joined.map(|room| (room.clone(), members.rooms.joined_count(room) as u64)));
        }
        let mut list = RoomList::default();
        if let Some(cluster) = self.others(&Target::all()) {
            list.uncounted = cluster.has_uncounted_members();
            if cluster.foreign(self.name()) == 0 {
                let (others, unknown) = cluster.shared_rooms(self.name());
                for (room, count) in others {
                    *rooms.entry(room).or_default() += count;
                }
                list.unknown.nodes = unknown;
            } else {
                let (sockets, missing) = cluster.fetch(self.name(), &Target::all()).await;
                list.unknown = missing;
                for socket in sockets {
                    let joined = socket.rooms.into_iter();
                    for room in joined.filter(|room| room.as_str() != socket.id.as_str()) {
                        *rooms.entry(room).or_default() += 1;
                    }
                }
            }
        }
        list.rooms = rooms.into_iter().collect();
        list.rooms.sort_unstable();
        list
    }

    pub(crate) async fn count(&self, target: &Target) -> RoomCount {
        let mut count = RoomCount {
            count: self.count_local(target),
            ..RoomCount::default()
        };
        let Some(cluster) = self.others(target) else {
            return count;
        };
        count.uncounted = cluster.has_uncounted_members();
        match shared(target).filter(|_| cluster.foreign(self.name()) == 0) {
            Some(what) => {
                let room = match what {
                    Shared::Namespace => None,
                    Shared::Room(room) => Some(room),
                };
                let (others, unknown): (u64, Vec<NodeId>) = cluster.shared_count(self.name(), room);
                count.count = count.count.saturating_add(others);
                count.unknown.nodes = unknown;
            }
            None => {
                let (sockets, missing) = cluster.fetch(self.name(), target).await;
                count.count += sockets.len() as u64;
                count.unknown = missing;
            }
        }
        count
    }

    fn count_local(&self, target: &Target) -> u64 {
        let members = self.0.members.lock();
        match (&target.rooms[..], &target.except[..]) {
            ([], []) => members.rooms.len() as u64,
            ([room], []) => members.rooms.member_count(room) as u64,
            _ => {
                let selection = members.rooms.select(target);
                drop(members);
                let mut count = 0;
                selection.for_each(|_| count += 1);
                count
            }
        }
    }
}
