//! The messages themselves, as the program sees them; their bytes are the adapters' concern.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use bytestring::ByteString;

use super::LazyValue;
use crate::ids::{NodeId, RequestId, Room, SocketId};
use crate::payload::Payload;
use crate::target::Target;
use crate::trace::TraceContext;
use crate::value::Value;

/// What one node tells all others.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterMessage {
    /// Who says it.
    pub node: NodeId,
    /// The namespace it concerns, with its leading slash.
    pub namespace: ByteString,
    /// Number of this message among those of its node, without gaps, where the carrier's format has
    /// room for it. It shows what is a duplicate and what was lost. A node that starts again under
    /// the same id begins at a number that is larger by a million at least: see
    /// [`first_sequence`](Self::first_sequence).
    pub sequence: Option<u64>,
    /// The span of the sender that this belongs to. All formats have room for it; where there is none,
    /// nothing is written.
    pub trace: Option<Box<TraceContext>>,
    /// What is to be done.
    pub operation: Operation,
}

impl ClusterMessage {
    /// Where a node that starts at `now` begins to number its messages: larger than all numbers of
    /// an earlier process with the same id, as long as that one sent less than a million messages
    /// in each millisecond of its life.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use socketio_core::cluster::ClusterMessage;
    ///
    /// let now = SystemTime::now();
    /// let later = now + Duration::from_secs(1);
    /// let [first, second] = [now, later].map(ClusterMessage::first_sequence);
    /// assert!(second - first > 1_000_000_000);
    /// ```
    #[must_use]
    pub fn first_sequence(now: SystemTime) -> u64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // 20 bits for a millisecond leave 44 for the time: enough for five hundred years.
        (u64::try_from(since.as_millis()).unwrap_or(0) << 20) + 1
    }
}

/// What a [`ClusterMessage`] asks for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// The sender has come and wants to hear from everybody. Answered by a heartbeat.
    InitialHeartbeat,
    /// The sender is alive.
    Heartbeat,
    /// Send an event to the sockets of `target`.
    Broadcast {
        /// Name and arguments of the event.
        payload: Payload,
        /// The recipients.
        target: Target,
        /// Present if acknowledgements are wanted: answered by [`ResponseBody::Recipients`] and a
        /// [`ResponseBody::Ack`] for each.
        request: Option<RequestId>,
    },
    /// Put the sockets of `target` into rooms.
    Join {
        /// The sockets.
        target: Target,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// Take the sockets of `target` out of rooms.
    Leave {
        /// The sockets.
        target: Target,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// Disconnect the sockets of `target` from the namespace.
    Disconnect {
        /// The sockets.
        target: Target,
        /// Whether to close their connections too.
        close: bool,
    },
    /// Describe the sockets of `target`. Answered by [`ResponseBody::Sockets`], also when there is
    /// none.
    FetchSockets {
        /// The sockets.
        target: Target,
        /// What the answer refers to.
        request: RequestId,
    },
    /// Tell the ids of the sockets of `target`. Answered by [`ResponseBody::SocketIds`], also when
    /// there is none. Only old members of other software ask it.
    ListSockets {
        /// The sockets.
        target: Target,
        /// What the answer refers to.
        request: RequestId,
    },
    /// Tell the names of all rooms, those that sockets have of their own among them. Answered by
    /// [`ResponseBody::Rooms`], also when there is none. Only members of other software ask it.
    ListRooms {
        /// What the answer refers to.
        request: RequestId,
    },
    /// An event for the other servers themselves.
    ServerSideEmit {
        /// Name and arguments of the event.
        payload: Payload,
        /// Present if answers are wanted.
        request: Option<RequestId>,
    },
    /// Tell which nodes are alive. Answered by [`ResponseBody::Nodes`]. An emitter asks it, which is
    /// no member itself and must know whose answers to expect.
    ListNodes {
        /// What the answer refers to.
        request: RequestId,
    },
    /// What the sender has in its rooms.
    Rooms(RoomNews),
    /// The sender leaves the cluster.
    Close,
}

/// What one node tells the others of its rooms, so that each can count members without asking.
///
/// Counts are absolute, so a message that comes twice does no harm. Versions begin at 1 and grow by
/// one with each [`Delta`](Self::Delta); who misses one asks for a [`Snapshot`](Self::Snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomNews {
    /// What has changed from version `version - 1` to `version`.
    Delta {
        /// The version that this makes.
        version: u64,
        /// Rooms whose count changed; 0 for a room that is gone.
        changes: Vec<NamespaceRooms>,
    },
    /// Everything at `version`, in `parts` messages.
    Snapshot {
        /// The version that this is.
        version: u64,
        /// Which part this is, from 0.
        part: u32,
        /// How many parts there are.
        parts: u32,
        /// The rooms.
        rooms: Vec<NamespaceRooms>,
    },
    /// A summary that shows whether what others know is right.
    Digest {
        /// The version that it summarizes.
        version: u64,
        /// A hash that does not depend on the order of rooms.
        hash: u64,
    },
    /// The sender has more rooms than it tells: its counts are unknown until its next
    /// [`Snapshot`](Self::Snapshot).
    Withheld,
    /// Asks one node for a [`Snapshot`](Self::Snapshot).
    Resend {
        /// The node that is asked.
        of: NodeId,
    },
}

/// Counts of one namespace of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRooms {
    /// The namespace, with its leading slash.
    pub namespace: ByteString,
    /// How many sockets the node has in it.
    pub sockets: u64,
    /// Rooms and how many of these sockets are in each. The rooms that sockets have of their own
    /// are not among them.
    pub rooms: Vec<(Room, u64)>,
}

impl Operation {
    /// A short name for logs, metrics and spans: `broadcast`, `fetch_sockets`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InitialHeartbeat | Self::Heartbeat => "heartbeat",
            Self::Broadcast { .. } => "broadcast",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Disconnect { .. } => "disconnect",
            Self::FetchSockets { .. } => "fetch_sockets",
            Self::ListSockets { .. } => "list_sockets",
            Self::ListRooms { .. } => "list_rooms",
            Self::ServerSideEmit { .. } => "server_side_emit",
            Self::ListNodes { .. } => "list_nodes",
            Self::Rooms(_) => "rooms",
            Self::Close => "close",
        }
    }

    /// The name of the event that it carries.
    #[must_use]
    pub fn event_name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Broadcast { payload, .. } | Self::ServerSideEmit { payload, .. } => {
                payload.event_name()
            }
            _ => None,
        }
    }

    /// The request that is to be answered.
    #[must_use]
    pub fn request(&self) -> Option<&RequestId> {
        match self {
            Self::Broadcast { request, .. } | Self::ServerSideEmit { request, .. } => {
                request.as_ref()
            }
            Self::FetchSockets { request, .. }
            | Self::ListNodes { request }
            | Self::ListSockets { request, .. }
            | Self::ListRooms { request } => Some(request),
            Self::InitialHeartbeat
            | Self::Heartbeat
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Disconnect { .. }
            | Self::Rooms(_)
            | Self::Close => None,
        }
    }
}

/// What one node answers to another.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterResponse {
    /// Who answers; the classic Redis format does not say.
    pub node: Option<NodeId>,
    /// The namespace of the request.
    pub namespace: ByteString,
    /// The request.
    pub request: RequestId,
    /// The answer.
    pub body: ResponseBody,
}

/// The contents of a [`ClusterResponse`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponseBody {
    /// To [`Operation::Broadcast`]: what one client acknowledged.
    Ack {
        /// The socket that answered, where the format has room for it.
        socket: Option<SocketId>,
        /// Its arguments.
        payload: Payload,
    },
    /// To [`Operation::Broadcast`]: how many clients got the event. Sent before their
    /// acknowledgements.
    Recipients {
        /// The number of clients.
        count: u64,
        /// Who they are, where the format has room for it; else empty.
        sockets: Vec<SocketId>,
    },
    /// To [`Operation::ServerSideEmit`]: what a handler answered.
    ServerSideEmit(Payload),
    /// To [`Operation::FetchSockets`].
    Sockets(Vec<SocketSnapshot>),
    /// To [`Operation::ListSockets`].
    SocketIds(Vec<SocketId>),
    /// To [`Operation::ListRooms`].
    Rooms(Vec<Room>),
    /// To [`Operation::ListNodes`]: the living nodes as the one that answers knows them, itself
    /// among them.
    Nodes(Vec<NodeId>),
}

impl ResponseBody {
    /// Whether it answers a broadcast that wants acknowledgements.
    pub(super) fn is_about_acks(&self) -> bool {
        matches!(self, Self::Ack { .. } | Self::Recipients { .. })
    }
}

/// A socket of some node at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketSnapshot {
    /// Its id.
    pub id: SocketId,
    /// Its handshake, with the members that Node.js gives it.
    pub handshake: LazyValue,
    /// Its rooms, the one of its own id among them.
    pub rooms: Vec<Room>,
    /// What the application attached to it.
    pub data: Value,
}
