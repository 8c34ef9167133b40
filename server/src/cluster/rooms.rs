//! The numbers of sockets in rooms: those of this node are gathered and told to the others; what they
//! tell is here to be asked for, and is told to the application's listeners.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use socketio_core::cluster::{ClusterMessage, OccupancyEvent, Operation};
use socketio_core::ids::{NodeId, Room};

use super::{Action, Cluster, State, now};
use crate::events::RoomPresence;
use crate::metrics::Metrics;
use crate::namespace::Namespace;

/// Notices that wait while a listener runs. Far more than a sane listener lets gather; beyond it they
/// are dropped and counted.
const MAX_NOTICES: usize = 1_000_000;

/// Notices on their way to the listeners.
#[derive(Default)]
pub(super) struct Notices(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<RoomPresence>,
    /// Somebody is telling them: one at a time, so that the order is kept.
    telling: bool,
}

impl State {
    /// What the shared counts ask for.
    pub(super) fn take_room_actions(
        &mut self,
        notices: &Notices,
        metrics: &Metrics,
        actions: &mut Vec<Action>,
    ) {
        while let Some(event) = self.occupancy.poll_event() {
            match event {
                OccupancyEvent::Publish(news) => {
                    actions.push(Action::Publish(Operation::Rooms(news)));
                }
                OccupancyEvent::Occupied {
                    namespace,
                    room,
                    node,
                    count,
                } => notices.push(metrics, &namespace, room, node, count),
                OccupancyEvent::Vacated {
                    namespace,
                    room,
                    node,
                } => notices.push(metrics, &namespace, room, node, 0),
                // Nothing that concerns this node.
                _ => {}
            }
        }
    }
}

impl Notices {
    /// Called under the lock of the state, so that the order is right.
    fn push(&self, metrics: &Metrics, namespace: &str, room: Room, node: NodeId, count: u64) {
        let mut waiting = self.0.lock();
        if waiting.queue.len() >= MAX_NOTICES {
            metrics.dropped("presence_notice", 1);
            return;
        }
        waiting.queue.push_back(RoomPresence {
            namespace: namespace.into(),
            room,
            node,
            count,
        });
    }

    fn next(&self) -> Option<RoomPresence> {
        let mut waiting = self.0.lock();
        if waiting.telling {
            return None;
        }
        let next = waiting.queue.pop_front();
        waiting.telling = next.is_some();
        next
    }

    fn told(&self) {
        self.0.lock().telling = false;
    }
}

impl Cluster {
    /// Whether the others are told of changes.
    pub(crate) fn is_sharing(&self) -> bool {
        self.sharing.load(Ordering::Acquire)
    }

    /// From now on changes are told, and what is there already.
    pub(super) fn begin_sharing(&self) {
        self.sharing.store(true, Ordering::Release);
        if let Some(namespaces) = self.namespaces.upgrade() {
            for namespace in namespaces.all() {
                namespace.share_all();
            }
        }
    }

    pub(super) fn end_sharing(&self) {
        self.sharing.store(false, Ordering::Release);
        self.changed.lock().clear();
    }

    /// Something in a namespace has changed for the first time since it was gathered.
    pub(crate) fn namespace_changed(&self, namespace: &Namespace) {
        self.changed.lock().push(namespace.clone());
        self.rearm.notify_one();
    }

    /// Lets the time of all state machines pass. Only the clock does, so news leave in order.
    pub(super) fn tick(&self) {
        let changed = !self.changed.lock().is_empty();
        let now = now();
        let wants_changes = self.update(|state| {
            state.members.handle_timeout(now);
            state.requests.handle_timeout(now);
            if changed {
                state.occupancy.handle_change(now);
            }
            state.occupancy.handle_timeout(now);
            state.occupancy.wants_changes(now)
        });
        if !wants_changes {
            return;
        }
        let changed = std::mem::take(&mut *self.changed.lock());
        let gathered: Vec<_> = changed
            .into_iter()
            .map(|namespace| {
                let (sockets, rooms) = namespace.take_changes();
                (namespace.shared_name(), sockets, rooms)
            })
            .collect();
        self.update(|state| {
            for (namespace, sockets, rooms) in gathered {
                state.occupancy.handle_own(&namespace, sockets, rooms);
            }
            state.occupancy.handle_gathered(now);
            state.occupancy.handle_timeout(now);
        });
    }

    /// Another node tells of its rooms.
    pub(super) fn handle_news(&self, message: ClusterMessage) {
        self.update(|state| {
            let now = now();
            if state.members.handle_message(now, &message)
                && let Operation::Rooms(news) = message.operation
            {
                self.metrics.cluster().news_received(&news);
                state.occupancy.handle_news(now, &message.node, news);
            }
        });
        // It may be asked for a snapshot, or ask for one.
        self.rearm.notify_one();
    }

    /// Tells the application's listeners what waits for them; not under any lock.
    pub(super) fn tell_notices(&self) {
        while let Some(notice) = self.notices.next() {
            let namespaces = self.namespaces.upgrade();
            let namespace = namespaces.and_then(|all| all.get(&notice.namespace));
            if let Some(namespace) = namespace {
                namespace.tell_presence(&notice);
            }
            self.notices.told();
        }
    }

    pub(crate) fn enable_notices(&self) {
        self.state.lock().occupancy.enable_notices();
    }

    /// How many sockets others have in a room, or in the whole namespace, and whose number is not
    /// known.
    pub(crate) fn shared_count(&self, namespace: &str, room: Option<&Room>) -> (u64, Vec<NodeId>) {
        let state = self.state.lock();
        let occupancy = &state.occupancy;
        let count = match room {
            Some(room) => occupancy.others_in_room(namespace, room.as_str()),
            None => occupancy.others_in_namespace(namespace),
        };
        (count, occupancy.unknown().cloned().collect())
    }

    /// The rooms of others, and whose rooms are not known.
    pub(crate) fn shared_rooms(&self, namespace: &str) -> (Vec<(Room, u64)>, Vec<NodeId>) {
        let state = self.state.lock();
        let rooms = state.occupancy.rooms_of_others(namespace);
        let rooms = rooms.map(|(room, count)| (room.clone(), count)).collect();
        (rooms, state.occupancy.unknown().cloned().collect())
    }
}
