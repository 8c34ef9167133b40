//! Who is in the namespace and in which rooms; and `deliver`, the only fan-out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use socketio_core::frame::{Frame, FrameOptions};
use socketio_core::ids::{AckId, Room};
use socketio_core::payload::Payload;
use socketio_core::target::Target;

use super::Namespace;
use super::changes::RoomChange;
use crate::ack::{Collector, PendingAck, Slot};
use crate::engine::Conn;
use crate::events::RoomEvent;
use crate::socket::Socket;

/// What the rooms hold of a socket.
#[derive(Clone)]
pub(super) struct Member {
    /// What a fan-out needs lies here and not behind the socket: one memory access less for each
    /// recipient.
    conn: Arc<Conn>,
    pub(super) socket: Socket,
}

/// A client that may join a namespace holds the namespace open, from the look at the table on.
///
/// Without it, an empty child could be removed between a client's middlewares and its joining.
#[derive(Debug)]
pub(crate) struct Admission(Option<Namespace>);

impl Admission {
    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        self.0.as_ref()
    }

    /// The socket is now a member, which holds the namespace open until it leaves.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(namespace) = &self.0 {
            namespace.release();
        }
    }
}

impl Namespace {
    /// Reserves a place. `None` if the namespace was removed.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let mut members = self.0.members.lock();
        if members.removed {
            return None;
        }
        members.users += 1;
        drop(members);
        Some(Admission(Some(self.clone())))
    }

    /// A place became free; an empty child may go.
    fn release(&self) {
        let removed = {
            let mut members = self.0.members.lock();
            members.users = members.users.saturating_sub(1);
            let is_child = self.0.parent.is_some();
            members.removed = is_child
                && members.users == 0
                && self.shared().options().cleanup_empty_child_namespaces;
            members.removed
        };
        if removed && let Some(table) = self.0.table.upgrade() {
            table.remove(self);
        }
    }

    /// Makes `socket` a member and sends `connected`, in one step: whoever learns that the socket
    /// is connected can reach it, and nothing is sent to it before `connected` (if that was not sent already).
    ///
    /// `false` if the socket was disconnected meanwhile.
    pub(crate) fn insert(
        &self,
        admission: Admission,
        socket: &Socket,
        connected: Option<&Frame>,
    ) -> bool {
        let member = Member {
            conn: Arc::clone(socket.conn()),
            socket: socket.clone(),
        };
        let events = {
            let members = &mut *self.0.members.lock();
            let key = members.rooms.insert(socket.id().clone(), member);
            if !socket.set_connected(key) {
                members.rooms.remove(key);
                return false;
            }
            let cluster = self.shared().cluster();
            if cluster.is_some() {
                let room = &Room::from(socket.id());
                let change = RoomChange {
                    room,
                    private: true,
                    opened: members.rooms.joined_count(room) == 0,
                    closed: false,
                };
                self.room_changed(members, cluster, &change);
                self.changed(members, cluster);
            }
            // A push into the outbox takes the lock of the outbox only, and never calls back.
            if let Some(connected) = connected {
                socket.send_frame(connected, false);
            }
            let own = Room::from(socket.id());
            let mut events = Vec::new();
            if self.has_room_listeners() {
                events.push(RoomEvent::Created(own.clone()));
                events.push(RoomEvent::Joined(own, socket.id().clone()));
            }
            events
        };
        admission.keep();
        tracing::debug!(namespace = self.name(), socket = %socket.id(), "connected");
        self.shared().metrics().socket_connected(&self.0.metrics);
        self.tell_rooms(&events);
        let early = socket.take_early_rooms();
        if !early.is_empty() {
            self.join(socket, early);
        }
        true
    }

    /// Takes `socket` out of all rooms and returns them.
    pub(crate) fn remove(&self, socket: &Socket) -> Vec<Room> {
        let Some(key) = socket.key() else {
            return Vec::new();
        };
        let cluster = self.shared().cluster();
        let left = {
            let members = &mut *self.0.members.lock();
            let left = members.rooms.remove(key);
            if cluster.is_some() {
                for departure in &left {
                    let change = RoomChange {
                        room: &departure.room,
                        private: departure.room.as_str() == socket.id().as_str(),
                        opened: false,
                        closed: departure.deleted,
                    };
                    self.room_changed(members, cluster, &change);
                }
                self.changed(members, cluster);
            }
            left
        };
        let has_listeners = self.has_room_listeners();
        let mut events = Vec::new();
        let mut rooms = Vec::with_capacity(left.len());
        for departure in left {
            let is_own = departure.room.as_str() == socket.id().as_str();
            if departure.deleted && !is_own {
                self.0.metrics.room_deleted();
                self.tell_alone(&departure.room, 0);
            }
            if has_listeners {
                events.push(RoomEvent::Left(departure.room.clone(), socket.id().clone()));
                if departure.deleted {
                    events.push(RoomEvent::Deleted(departure.room.clone()));
                }
            }
            rooms.push(departure.room);
        }
        self.tell_rooms(&events);
        self.release();
        rooms
    }

    pub(crate) fn join(&self, socket: &Socket, rooms: impl IntoIterator<Item = Room>) {
        let Some(key) = socket.key() else { return };
        let has_listeners = self.has_room_listeners();
        let are_private = self.shared().options().private_id_rooms;
        let cluster = self.shared().cluster();
        let mut events = Vec::new();
        for room in rooms {
            // One lock for each room, so that a long list does not hold up a fan-out.
            let outcome = {
                let mut guard = self.0.members.lock();
                let members = &mut *guard;
                if are_private && members.rooms.is_own_room_of_another(key, &room) {
                    drop(guard);
                    self.refuse_room(socket, &room);
                    continue;
                }
                let outcome = members.rooms.join(key, &room);
                if outcome.joined {
                    let change = RoomChange {
                        room: &room,
                        private: room.as_str() == socket.id().as_str(),
                        opened: outcome.created,
                        closed: false,
                    };
                    self.room_changed(members, cluster, &change);
                }
                outcome
            };
            if outcome.created && room.as_str() != socket.id().as_str() {
                self.0.metrics.room_created();
                self.tell_alone(&room, 1);
            }
            if has_listeners {
                if outcome.created {
                    events.push(RoomEvent::Created(room.clone()));
                }
                if outcome.joined {
                    events.push(RoomEvent::Joined(room, socket.id().clone()));
                }
            }
        }
        self.tell_rooms(&events);
    }

    #[cold]
    fn refuse_room(&self, socket: &Socket, room: &Room) {
        tracing::debug!(
            namespace = self.name(), socket = %socket.id(), %room,
            "not joined: the room belongs to another socket (option private_id_rooms)"
        );
        self.shared().metrics().dropped("private_room", 1);
    }

    pub(crate) fn leave(&self, socket: &Socket, rooms: &[Room]) {
        let Some(key) = socket.key() else { return };
        let has_listeners = self.has_room_listeners();
        let cluster = self.shared().cluster();
        let mut events = Vec::new();
        for room in rooms {
            let outcome = {
                let members = &mut *self.0.members.lock();
                let outcome = members.rooms.leave(key, room);
                if outcome.left {
                    let change = RoomChange {
                        room,
                        private: room.as_str() == socket.id().as_str(),
                        opened: false,
                        closed: outcome.deleted,
                    };
                    self.room_changed(members, cluster, &change);
                }
                outcome
            };
            if outcome.deleted && room.as_str() != socket.id().as_str() {
                self.0.metrics.room_deleted();
                self.tell_alone(room, 0);
            }
            if has_listeners && outcome.left {
                events.push(RoomEvent::Left(room.clone(), socket.id().clone()));
                if outcome.deleted {
                    events.push(RoomEvent::Deleted(room.clone()));
                }
            }
        }
        self.tell_rooms(&events);
    }

    pub(crate) fn rooms_of(&self, socket: &Socket) -> Vec<Room> {
        let Some(key) = socket.key() else {
            return Vec::new();
        };
        self.0.members.lock().rooms.rooms_of(key)
    }

    /// The sockets of this node that `target` means.
    pub(crate) fn sockets_of(&self, target: &Target) -> Vec<Socket> {
        let selection = self.0.members.lock().rooms.select(target);
        let mut sockets = Vec::new();
        selection.for_each(|member| sockets.push(member.socket.clone()));
        sockets
    }

    /// Puts `frame` into the queue of each socket of this node that `target` means, and returns how
    /// many these were. `payload` is what listeners of outgoing events are shown.
    ///
    /// Every delivery goes through here: those of this node and those that other nodes ask for. It
    /// never waits; joins and leaves go on meanwhile, as only the choice is made under the lock.
    pub(crate) fn deliver(&self, frame: &Frame, target: &Target, payload: &Payload) -> usize {
        let started = Instant::now();
        let volatile = target.flags.volatile;
        let selection = self.0.members.lock().rooms.select(target);
        let mut recipients = 0;
        selection.for_each(|member| {
            member.conn.send(frame, volatile);
            recipients += 1;
        });
        if self.0.outgoing.load(Ordering::Relaxed) {
            selection.for_each(|member| member.socket.tell_outgoing(payload));
        }
        self.shared()
            .metrics()
            .fanned_out(recipients, started.elapsed());
        recipients
    }

    /// Encodes an event and [delivers](Self::deliver) it.
    pub(crate) fn deliver_event(&self, payload: &Payload, target: &Target) -> usize {
        let frame = self.encode_event(None, payload, target);
        self.deliver(&frame, target, payload)
    }

    /// As [`deliver_event`](Self::deliver_event), for an event that each recipient acknowledges to
    /// `collector`. Returns how many were asked.
    pub(crate) fn deliver_with_ack(
        &self,
        payload: &Payload,
        target: &Target,
        ack: AckId,
        collector: &Arc<Collector>,
    ) -> usize {
        let frame = self.encode_event(Some(ack), payload, target);
        let sockets = self.sockets_of(target);
        // All are expected before the first is asked, so that an early answer does not look like
        // the last one.
        for socket in &sockets {
            collector.expect(socket.id());
        }
        let mut asked = 0;
        for socket in &sockets {
            match socket.expect_ack(ack, PendingAck::Many(Arc::clone(collector))) {
                Slot::Taken => {
                    socket.send_frame(&frame, target.flags.volatile);
                    socket.tell_outgoing(payload);
                    asked += 1;
                }
                Slot::Closed | Slot::Full => collector.lost(socket.id()),
            }
        }
        self.shared().metrics().events_out(asked);
        asked
    }

    fn encode_event(&self, ack: Option<AckId>, payload: &Payload, target: &Target) -> Frame {
        let options = FrameOptions {
            compress: target.flags.compress,
        };
        self.shared()
            .parser()
            .encode_event(self.name(), ack, payload, options)
    }
}
