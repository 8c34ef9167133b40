//! What other nodes, and the adapter, learn of the sockets and rooms of this node.
//!
//! A change costs the one who makes it an entry in a set, under the lock that it holds anyway; the
//! cluster's clock gathers these entries and tells the others.

use std::sync::Arc;

use socketio_core::cluster::Interest;
use socketio_core::ids::Room;

use super::{Members, Namespace};
use crate::cluster::Cluster;

/// How many rooms are counted under one lock.
const BATCH: usize = 1024;

/// A room that a socket has joined or left.
pub(super) struct RoomChange<'a> {
    pub(super) room: &'a Room,
    /// It is the socket's own.
    pub(super) private: bool,
    pub(super) opened: bool,
    pub(super) closed: bool,
}

impl Namespace {
    /// Takes note that a room has gained or lost a socket.
    pub(super) fn room_changed(
        &self,
        members: &mut Members,
        cluster: Option<&Arc<Cluster>>,
        change: &RoomChange<'_>,
    ) {
        let Some(cluster) = cluster else { return };
        let &RoomChange { room, private, .. } = change;
        if cluster.watches_rooms() {
            let namespace = self.name();
            if change.opened {
                cluster.watch(Interest::RoomOpened {
                    namespace,
                    room,
                    private,
                });
            }
            if change.closed {
                cluster.watch(Interest::RoomClosed { namespace, room });
            }
        }
        // The room of a socket is told only if others are in it too.
        if cluster.is_sharing() && (!private || members.rooms.joined_count(room) > 0) {
            if !members.changes.rooms.contains(room) {
                members.changes.rooms.insert(room.clone());
            }
            self.changed(members, Some(cluster));
        }
    }

    /// Takes note that something has changed that other nodes are told.
    pub(super) fn changed(&self, members: &mut Members, cluster: Option<&Arc<Cluster>>) {
        if let Some(cluster) = cluster.filter(|cluster| cluster.is_sharing())
            && !std::mem::replace(&mut members.changes.noted, true)
        {
            cluster.namespace_changed(self);
        }
    }

    /// From now on changes are told: everything that is there already counts as one.
    pub(crate) fn share_all(&self) {
        let members = &mut *self.0.members.lock();
        let rooms = members.rooms.joined_rooms().cloned();
        members.changes.rooms.extend(rooms);
        self.changed(members, self.shared().cluster());
    }

    /// The number of sockets, and of those in the rooms that have changed since the last call.
    pub(crate) fn take_changes(&self) -> (u64, Vec<(Room, u64)>) {
        let (mut sockets, changed) = {
            let members = &mut *self.0.members.lock();
            members.changes.noted = false;
            let changed = std::mem::take(&mut members.changes.rooms);
            (members.rooms.len(), changed)
        };
        let changed: Vec<Room> = changed.into_iter().collect();
        let mut counts = Vec::with_capacity(changed.len());
        for batch in changed.chunks(BATCH) {
            let members = self.0.members.lock();
            sockets = members.rooms.len();
            counts.extend(batch.iter().map(|room| {
                let count = members.rooms.joined_count(room) as u64;
                (room.clone(), count)
            }));
        }
        (sockets as u64, counts)
    }
}
