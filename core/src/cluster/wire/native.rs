//! Our own format, which carries everything that a [`ClusterMessage`] and a [`ClusterResponse`]
//! can say.
//!
//! # The bytes
//!
//! Each message is one MessagePack array. Integers are read in any of their forms and written in
//! the shortest; text is UTF-8; `x?` is `x` or nil. A reader ignores elements behind those it knows,
//! of the message and of each array inside that is not a list, so that a later version can add
//! some. It ignores messages of a kind it does not know. What is no such array, or of another
//! version, is an error.
//!
//! ```text
//! message    [1, kind, sender, namespace, sequence?, …, trace?]      kinds 1 to 31
//! response   [1, kind, sender?, namespace, request, …]       kinds 32 to 63
//! probe      [1, 0, sender, number]
//!
//! 1, the version; sender, text: the id of the node, or of an emitter; namespace, text: with its
//! leading slash; sequence, integer: the number of the message among those of the sender;
//! request, text: what the message or the response belongs to; trace: the span that it was sent
//! from, behind the elements of the kind, and no element at all if there is none. A trace that is
//! malformed is ignored.
//!
//! kind  operation             what follows
//!    1  InitialHeartbeat
//!    2  Heartbeat
//!    3  Close
//!    4  Broadcast             target, request?, payload
//!    5  Join                  target, rooms
//!    6  Leave                 target, rooms
//!    7  Disconnect            target, close
//!    8  FetchSockets          target, request
//!    9  ServerSideEmit        request?, payload
//!   10  ListSockets           target, request
//!   11  ListRooms             request
//!   12  ListNodes             request
//!   16  Rooms: Delta          version, [counts, …]
//!   17  Rooms: Snapshot       version, part, parts, [counts, …]
//!   18  Rooms: Digest         version, hash
//!   19  Rooms: Resend         of
//!   20  Rooms: Withheld
//!
//! kind  answer                what follows
//!   32  Ack                   socket?, payload
//!   33  Recipients            count, [socket, …]
//!   34  ServerSideEmit        payload
//!   35  Sockets               [snapshot, …]
//!   36  SocketIds             [socket, …]
//!   37  Rooms                 [room, …]
//!   38  Nodes                 [node, …]
//!
//! target     flags, [room, …], [room, …], timeout?     four elements: flags, rooms, except, timeout
//! payload    json, [bytes, …]                          two elements: an array as JSON text, in which
//!            {"_placeholder":true,"num":N} stands for the N-th of the bytes behind it
//! rooms      [room, …]
//! counts     [namespace, sockets, {room: count, …}]
//! snapshot   [socket, handshake, [room, …], data]      handshake and data are any MessagePack
//! trace      [traceparent, tracestate?]      two elements: texts as in the headers of W3C Trace Context
//! flags      integer: 1 volatile, 2 compress, 4 local, 8 broadcast, 16 expect_single_response
//! timeout    integer: nanoseconds
//! close      boolean
//! room, socket, node, of: text; version, part, parts, count, hash, number: integers, none negative
//! ```
//!
//! Payloads stay the JSON text that clients get, so a node that receives one copies nothing: text
//! and attachments share the memory of the message. The text is checked, once, since clients would
//! take the blame for what a broker or a foolish peer spoils.
//!
//! What is decoded takes memory in proportion to the bytes, whatever lengths they claim.

mod decode;
mod encode;

use bytes::Bytes;

use super::{Decoded, WireError};
use crate::cluster::{ClusterMessage, ClusterResponse};
use crate::ids::NodeId;

/// The version that stands at the head of each message.
pub const VERSION: u64 = 1;

/// The bytes of a message.
///
/// ```
/// use socketio_core::cluster::wire::{Decoded, native};
/// use socketio_core::cluster::{ClusterMessage, Operation};
/// use socketio_core::ids::NodeId;
///
/// let message = ClusterMessage {
///     node: NodeId::generate(),
///     namespace: "/".into(),
///     sequence: Some(1),
///     trace: None,
///     operation: Operation::Heartbeat,
/// };
/// let bytes = native::encode_message(&message);
/// assert_eq!(native::decode(&bytes)?, Decoded::Message(message));
/// # Ok::<(), socketio_core::cluster::wire::WireError>(())
/// ```
///
/// # Panics
///
/// When a text, attachment or list of the message has 4 GiB or 2³² elements; adapters refuse what
/// is far smaller.
#[must_use]
pub fn encode_message(message: &ClusterMessage) -> Bytes {
    encode::message(message).into()
}

/// The bytes of an answer.
///
/// # Panics
///
/// As [`encode_message`].
#[must_use]
pub fn encode_response(response: &ClusterResponse) -> Bytes {
    encode::response(response).into()
}

/// The bytes of a message by which a node sees whether it hears itself. Other nodes ignore it, if it
/// reaches them.
///
/// # Panics
///
/// As [`encode_message`].
#[must_use]
pub fn encode_probe(node: &NodeId, number: u64) -> Bytes {
    encode::probe(node, number).into()
}

/// Reads what one of the functions above wrote. Payloads share the memory of `input`.
///
/// # Errors
///
/// When `input` is not of this format or not of this version.
pub fn decode(input: &Bytes) -> Result<Decoded, WireError> {
    decode::decode(input)
}

/// Numbers of the kinds.
mod kind {
    pub(super) const PROBE: u64 = 0;
    pub(super) const INITIAL_HEARTBEAT: u64 = 1;
    pub(super) const HEARTBEAT: u64 = 2;
    pub(super) const CLOSE: u64 = 3;
    pub(super) const BROADCAST: u64 = 4;
    pub(super) const JOIN: u64 = 5;
    pub(super) const LEAVE: u64 = 6;
    pub(super) const DISCONNECT: u64 = 7;
    pub(super) const FETCH_SOCKETS: u64 = 8;
    pub(super) const SERVER_SIDE_EMIT: u64 = 9;
    pub(super) const LIST_SOCKETS: u64 = 10;
    pub(super) const LIST_ROOMS: u64 = 11;
    pub(super) const LIST_NODES: u64 = 12;
    pub(super) const ROOMS_DELTA: u64 = 16;
    pub(super) const ROOMS_SNAPSHOT: u64 = 17;
    pub(super) const ROOMS_DIGEST: u64 = 18;
    pub(super) const ROOMS_RESEND: u64 = 19;
    pub(super) const ROOMS_WITHHELD: u64 = 20;
    /// Here responses begin.
    pub(super) const RESPONSES: u64 = 32;
    pub(super) const ACK: u64 = 32;
    pub(super) const RECIPIENTS: u64 = 33;
    pub(super) const SERVER_SIDE_ANSWER: u64 = 34;
    pub(super) const SOCKETS: u64 = 35;
    pub(super) const SOCKET_IDS: u64 = 36;
    pub(super) const ROOMS: u64 = 37;
    pub(super) const NODES: u64 = 38;
    /// What follows is neither a message nor a response of this version.
    pub(super) const END: u64 = 64;
}

/// The bits of the flags of a target.
mod flag {
    pub(super) const VOLATILE: u64 = 1;
    pub(super) const COMPRESS: u64 = 2;
    pub(super) const LOCAL: u64 = 4;
    pub(super) const BROADCAST: u64 = 8;
    pub(super) const EXPECT_SINGLE_RESPONSE: u64 = 16;
}

#[cfg(test)]
mod tests;
