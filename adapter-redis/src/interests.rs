//! What this node has: its namespaces and their rooms.

use std::collections::HashMap;

use parking_lot::RwLock;
use socketio_core::cluster::Interest;
use socketio_core::ids::Room;

/// Rooms, and whether each is the own one of a socket.
type Rooms = HashMap<Room, bool>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Interests(RwLock<HashMap<String, Rooms>>);

impl Interests {
    /// Takes note of a change. Says whether it is one.
    pub(crate) fn note(&self, change: Interest<'_>) -> bool {
        let mut namespaces = self.0.write();
        match change {
            Interest::NamespaceOpened(namespace) => {
                let is_new = !namespaces.contains_key(namespace);
                namespaces.entry(namespace.to_owned()).or_default();
                is_new
            }
            Interest::NamespaceClosed(namespace) => namespaces.remove(namespace).is_some(),
            Interest::RoomOpened {
                namespace,
                room,
                private,
            } => {
                let Some(rooms) = namespaces.get_mut(namespace) else {
                    return false;
                };
                rooms.insert(room.clone(), private).is_none()
            }
            Interest::RoomClosed { namespace, room } => {
                let rooms = namespaces.get_mut(namespace);
                rooms.is_some_and(|rooms| rooms.remove(room).is_some())
            }
            _ => false,
        }
    }

    /// Whether a namespace is here.
    pub(crate) fn has(&self, namespace: &str) -> bool {
        self.0.read().contains_key(namespace)
    }

    /// Whether a room has members here.
    pub(crate) fn has_room(&self, namespace: &str, room: &str) -> bool {
        let namespaces = self.0.read();
        let rooms = namespaces.get(namespace);
        rooms.is_some_and(|rooms| rooms.contains_key(room))
    }

    /// Whether a room is the own one of a socket; none if it has no members here.
    pub(crate) fn is_private(&self, namespace: &str, room: &str) -> Option<bool> {
        self.0.read().get(namespace)?.get(room).copied()
    }

    /// The rooms of a namespace.
    pub(crate) fn rooms(&self, namespace: &str) -> Vec<(Room, bool)> {
        let namespaces = self.0.read();
        let rooms = namespaces.get(namespace).into_iter().flatten();
        rooms
            .map(|(room, &private)| (room.clone(), private))
            .collect()
    }

    /// The namespaces.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        self.0.read().keys().cloned().collect()
    }
}
