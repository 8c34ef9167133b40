//! How many sockets are in which room of the whole cluster, without asking.

mod peer;
mod share;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytestring::ByteString;

use super::{NamespaceRooms, RoomNews};
use crate::ids::{NodeId, Room};
use peer::{Peer, Turn};
use share::{Share, split};

/// About how many bytes of names and counts one message has.
const PART_BYTES: usize = 64 * 1024;
/// How many messages are sent in one interval, so that much news does not fill the queue to the
/// broker.
const BURST: usize = 16;
/// A snapshot is not sent again before, however many nodes ask for it.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);

/// How a node shares the counts of its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OccupancyConfig {
    /// How long changes are gathered before the others are told, by one message. Default 50 ms.
    pub interval: Duration,
    /// With more rooms and namespaces than this a node shares nothing, and counts name it as
    /// unknown; and it keeps no more of any other node. A room takes about 100 bytes, and the bytes
    /// of its name, on each node of the cluster. Default 250 000; 0 shares nothing at all.
    pub max_rooms: usize,
}

impl Default for OccupancyConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(50),
            max_rooms: 250_000,
        }
    }
}

/// The counts of the rooms of all nodes, as far as they were told.
///
/// The own node's counts are given to [`handle_own`](Self::handle_own) and are told to the others
/// as [`RoomNews`]; those of the others come by [`handle_news`](Self::handle_news).
///
/// A state machine like [`Members`](super::Members): call [`handle_timeout`](Self::handle_timeout)
/// at the [`deadline`](Self::deadline), then gather changes if it
/// [wants some](Self::wants_changes), and drain [`poll_event`](Self::poll_event).
#[derive(Debug)]
pub struct Occupancy {
    me: NodeId,
    config: OccupancyConfig,
    own: Share,
    version: u64,
    /// Changes of the own counts since `version`.
    delta: HashMap<ByteString, Vec<(Room, u64)>>,
    withheld: bool,
    peers: BTreeMap<NodeId, Peer>,
    /// News in the order in which they are to be sent.
    outgoing: VecDeque<RoomNews>,
    send_at: Option<Instant>,
    collect_at: Option<Instant>,
    snapshot_at: Option<Instant>,
    next_snapshot: Option<Instant>,
    notices: bool,
    events: VecDeque<OccupancyEvent>,
}

/// What happened, or is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OccupancyEvent {
    /// To be published as [`Operation::Rooms`](super::Operation::Rooms).
    Publish(RoomNews),
    /// A room that was empty on all nodes has a member.
    Occupied {
        /// The namespace.
        namespace: ByteString,
        /// The room.
        room: Room,
        /// Where the members are.
        node: NodeId,
        /// How many there are.
        count: u64,
    },
    /// A room has no member on any node any more.
    Vacated {
        /// The namespace.
        namespace: ByteString,
        /// The room.
        room: Room,
        /// Where the last ones were.
        node: NodeId,
    },
}

/// What there is now, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OccupancyStats {
    /// Rooms and namespaces that this node knows of others.
    pub rooms: usize,
    /// Other nodes whose counts are not known, or known to be out of date.
    pub unknown_nodes: usize,
    /// Whether this node has more rooms than it shares.
    pub withheld: bool,
}

impl Occupancy {
    /// Knows nothing of anybody.
    #[must_use]
    pub fn new(me: NodeId, config: OccupancyConfig) -> Self {
        Self {
            me,
            config,
            own: Share::default(),
            version: 0,
            delta: HashMap::new(),
            withheld: config.max_rooms == 0,
            peers: BTreeMap::new(),
            outgoing: VecDeque::new(),
            send_at: None,
            collect_at: None,
            snapshot_at: None,
            next_snapshot: None,
            notices: false,
            events: VecDeque::new(),
        }
    }

    /// From now on [`Occupied`](OccupancyEvent::Occupied) and [`Vacated`](OccupancyEvent::Vacated)
    /// are reported; without it they cost nothing.
    pub fn enable_notices(&mut self) {
        self.notices = true;
    }

    // The own rooms

    /// Something about the own rooms has changed: it is to be gathered in due time.
    pub fn handle_change(&mut self, now: Instant) {
        self.collect_at.get_or_insert(now + self.config.interval);
    }

    /// Whether it is time to gather what has changed. If so, call
    /// [`handle_own`](Self::handle_own) for each namespace concerned and then
    /// [`handle_gathered`](Self::handle_gathered).
    pub fn wants_changes(&mut self, now: Instant) -> bool {
        // What is being told is told first, so that a snapshot fits the deltas after it.
        let wants = self.outgoing.is_empty() && self.collect_at.is_some_and(|at| at <= now);
        if wants {
            self.collect_at = None;
        }
        wants
    }

    /// The number of own sockets of a namespace, and of those in some of its rooms: only rooms whose
    /// number has changed need to be among them. The rooms that sockets have of their own must not.
    pub fn handle_own(
        &mut self,
        namespace: &str,
        sockets: u64,
        rooms: impl IntoIterator<Item = (Room, u64)>,
    ) {
        let namespace = ByteString::from(namespace);
        let mut changed = self.own.set_sockets(&namespace, sockets) != sockets;
        let mut turns = Vec::new();
        let mut delta = Vec::new();
        for (room, count) in rooms {
            let before = self.own.set_room(&namespace, &room, count);
            if before == count {
                continue;
            }
            changed = true;
            if (before == 0) != (count == 0) {
                turns.push((namespace.clone(), room.clone(), count));
            }
            delta.push((room, count));
        }
        if changed {
            self.delta.entry(namespace).or_default().extend(delta);
        }
        self.notice(None, turns);
    }

    /// All changes were given to [`handle_own`](Self::handle_own): the others are to be told.
    pub fn handle_gathered(&mut self, now: Instant) {
        let delta = std::mem::take(&mut self.delta);
        let max = self.config.max_rooms;
        if self.withheld {
            // Not at the limit itself, lest it comes and goes.
            if max > 0 && self.own.len() <= max - max / 10 {
                self.withheld = false;
                self.version += 1;
                self.push_snapshot(now);
            }
            return;
        }
        if self.own.len() > max {
            self.withheld = true;
            self.outgoing.clear();
            self.push(now, RoomNews::Withheld);
            return;
        }
        let changes = delta.into_iter().map(|(namespace, rooms)| NamespaceRooms {
            sockets: self.own.sockets(&namespace),
            namespace,
            rooms,
        });
        let changes: Vec<NamespaceRooms> = changes.collect();
        if changes.is_empty() {
            return;
        }
        for changes in split(changes, PART_BYTES) {
            self.version += 1;
            let version = self.version;
            self.push(now, RoomNews::Delta { version, changes });
        }
    }

    /// A heartbeat is sent: a summary goes with it.
    pub fn handle_heartbeat(&mut self, now: Instant) {
        if matches!(
            self.outgoing.back(),
            Some(RoomNews::Digest { .. } | RoomNews::Withheld)
        ) {
            return;
        }
        let summary = if self.withheld {
            RoomNews::Withheld
        } else {
            RoomNews::Digest {
                version: self.version,
                hash: self.own.hash(),
            }
        };
        self.push(now, summary);
    }

    // The other nodes

    /// A node has become a member. Only what members tell is taken in.
    pub fn handle_joined(&mut self, now: Instant, node: &NodeId) {
        self.peers.insert(node.clone(), Peer::new(now));
    }

    /// A node is no member any more: its share is gone.
    pub fn handle_left(&mut self, node: &NodeId) {
        if let Some(peer) = self.peers.remove(node)
            && self.notices
        {
            let rooms = peer.share.all();
            let turns = rooms.map(|(namespace, room, _)| (namespace.clone(), room.clone(), 0));
            self.notice(Some(node), turns.collect());
        }
    }

    /// A node told something.
    pub fn handle_news(&mut self, now: Instant, node: &NodeId, news: RoomNews) {
        if let RoomNews::Resend { of } = &news {
            if *of == self.me {
                let at = self.next_snapshot.map_or(now, |next| next.max(now));
                self.snapshot_at.get_or_insert(at);
            }
            return;
        }
        if let Some(peer) = self.peers.get_mut(node) {
            let turns = peer.handle(now, news, self.config.max_rooms);
            self.notice(Some(node), turns);
        }
    }

    // Time

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (node, peer) in &mut self.peers {
            if peer.asks(now) {
                let resend = RoomNews::Resend { of: node.clone() };
                self.events.push_back(OccupancyEvent::Publish(resend));
            }
        }
        if self.outgoing.is_empty() && self.snapshot_at.is_some_and(|at| at <= now) {
            self.snapshot_at = None;
            if self.withheld {
                self.push(now, RoomNews::Withheld);
            } else {
                self.push_snapshot(now);
            }
        }
        if self.send_at.is_some_and(|at| at <= now) {
            let count = self.outgoing.len().min(BURST);
            let news = self.outgoing.drain(..count);
            self.events.extend(news.map(OccupancyEvent::Publish));
            let rest = !self.outgoing.is_empty();
            self.send_at = rest.then(|| now + self.config.interval);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) and
    /// [`wants_changes`](Self::wants_changes) are due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let asks = self.peers.values().filter_map(Peer::deadline);
        // Until all is sent, nothing else is begun.
        let own = match self.send_at {
            Some(at) => [Some(at), None],
            None => [self.collect_at, self.snapshot_at],
        };
        asks.chain(own.into_iter().flatten()).min()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<OccupancyEvent> {
        self.events.pop_front()
    }

    // What is known

    /// How many sockets of other nodes are in a room, by what these last told.
    #[must_use]
    pub fn others_in_room(&self, namespace: &str, room: &str) -> u64 {
        let counts = self.peers.values();
        counts
            .map(|peer| peer.share.count(namespace, room))
            .fold(0, u64::saturating_add)
    }

    /// How many sockets other nodes have in a namespace, by what these last told.
    #[must_use]
    pub fn others_in_namespace(&self, namespace: &str) -> u64 {
        let counts = self.peers.values();
        counts
            .map(|peer| peer.share.sockets(namespace))
            .fold(0, u64::saturating_add)
    }

    /// The rooms of other nodes, with the number of their sockets in each.
    pub fn rooms_of_others(&self, namespace: &str) -> impl Iterator<Item = (&Room, u64)> {
        let peers = self.peers.values();
        peers.flat_map(move |peer| peer.share.rooms(namespace))
    }

    /// The members whose counts are not known, or known to be out of date.
    pub fn unknown(&self) -> impl Iterator<Item = &NodeId> {
        let peers = self.peers.iter();
        peers
            .filter(|(_, peer)| !peer.is_known())
            .map(|(node, _)| node)
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> OccupancyStats {
        OccupancyStats {
            rooms: self.peers.values().map(|peer| peer.share.len()).sum(),
            unknown_nodes: self.unknown().count(),
            withheld: self.withheld,
        }
    }

    fn push(&mut self, now: Instant, news: RoomNews) {
        self.outgoing.push_back(news);
        self.send_at.get_or_insert(now);
    }

    fn push_snapshot(&mut self, now: Instant) {
        self.next_snapshot = Some(now + SNAPSHOT_PAUSE);
        let parts = split(self.own.listed(), PART_BYTES);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (part, rooms) in (0..count).zip(parts) {
            let news = RoomNews::Snapshot {
                version: self.version,
                part,
                parts: count,
                rooms,
            };
            self.push(now, news);
        }
    }

    /// Reports which of the turns of one node, none for this one, are turns of the cluster.
    fn notice(&mut self, node: Option<&NodeId>, turns: Vec<Turn>) {
        if !self.notices {
            return;
        }
        for (namespace, room, count) in turns {
            let peers = self.peers.iter().filter(|(id, _)| Some(*id) != node);
            let mut others = peers.map(|(_, peer)| &peer.share);
            let is_here = |share: &Share| share.count(&namespace, room.as_str()) > 0;
            if others.any(is_here) || (node.is_some() && is_here(&self.own)) {
                continue;
            }
            let node = node.unwrap_or(&self.me).clone();
            self.events.push_back(if count == 0 {
                OccupancyEvent::Vacated {
                    namespace,
                    room,
                    node,
                }
            } else {
                OccupancyEvent::Occupied {
                    namespace,
                    room,
                    node,
                    count,
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
