//! Writing.

use crate::cluster::{
    ClusterMessage, ClusterResponse, NamespaceRooms, Operation, ResponseBody, RoomNews,
};
use crate::ids::NodeId;
use crate::msgpack::{
    write_array_header, write_bool, write_bytes, write_map_header, write_nil, write_str,
    write_uint, write_value,
};
use crate::payload::Payload;
use crate::target::Target;

use super::{VERSION, flag, kind};

/// Elements of each message, and of each response, in front of its own.
const HEAD: usize = 5;
/// Elements of a target.
const TARGET: usize = 4;
/// Elements of a payload.
const PAYLOAD: usize = 2;

pub(super) fn message(message: &ClusterMessage) -> Vec<u8> {
    let mut out = without_trace(message);
    if let Some(trace) = &message.trace {
        write_array_header(&mut out, 2);
        write_str(&mut out, trace.traceparent().as_str());
        optional(&mut out, trace.tracestate(), |out, state| {
            write_str(out, state);
        });
    }
    out
}

/// All but the last element, which is counted already if there is one.
fn without_trace(message: &ClusterMessage) -> Vec<u8> {
    let traced = message.trace.as_ref();
    let start = |kind: u64, own: usize, size: usize| {
        let state = traced.map(|trace| trace.tracestate().map_or(0, str::len));
        let trace = state.map_or(0, |state| state + 64);
        let size = size + trace + message.node.as_str().len() + message.namespace.len() + 32;
        let mut out = head(kind, own + usize::from(traced.is_some()), size);
        write_str(&mut out, message.node.as_str());
        write_str(&mut out, &message.namespace);
        optional(&mut out, message.sequence, |out, number| {
            write_uint(out, number);
        });
        out
    };
    match &message.operation {
        Operation::InitialHeartbeat => start(kind::INITIAL_HEARTBEAT, 0, 0),
        Operation::Heartbeat => start(kind::HEARTBEAT, 0, 0),
        Operation::Close => start(kind::CLOSE, 0, 0),
        Operation::Broadcast {
            payload,
            target,
            request,
        } => {
            let size = size_of_target(target) + size_of_payload(payload);
            let mut out = start(kind::BROADCAST, TARGET + 1 + PAYLOAD, size);
            write_target(&mut out, target);
            optional(&mut out, request.as_ref(), |out, request| {
                write_str(out, request.as_str());
            });
            write_payload(&mut out, payload);
            out
        }
        Operation::Join { target, rooms } => {
            let mut out = start(kind::JOIN, TARGET + 1, size_of_target(target));
            write_target(&mut out, target);
            write_list(&mut out, rooms);
            out
        }
        Operation::Leave { target, rooms } => {
            let mut out = start(kind::LEAVE, TARGET + 1, size_of_target(target));
            write_target(&mut out, target);
            write_list(&mut out, rooms);
            out
        }
        Operation::Disconnect { target, close } => {
            let mut out = start(kind::DISCONNECT, TARGET + 1, size_of_target(target));
            write_target(&mut out, target);
            write_bool(&mut out, *close);
            out
        }
        Operation::FetchSockets { target, request } => {
            let mut out = start(kind::FETCH_SOCKETS, TARGET + 1, size_of_target(target));
            write_target(&mut out, target);
            write_str(&mut out, request.as_str());
            out
        }
        Operation::ListSockets { target, request } => {
            let mut out = start(kind::LIST_SOCKETS, TARGET + 1, size_of_target(target));
            write_target(&mut out, target);
            write_str(&mut out, request.as_str());
            out
        }
        Operation::ListRooms { request } => {
            let mut out = start(kind::LIST_ROOMS, 1, 0);
            write_str(&mut out, request.as_str());
            out
        }
        Operation::ListNodes { request } => {
            let mut out = start(kind::LIST_NODES, 1, 0);
            write_str(&mut out, request.as_str());
            out
        }
        Operation::ServerSideEmit { payload, request } => {
            let size = size_of_payload(payload);
            let mut out = start(kind::SERVER_SIDE_EMIT, 1 + PAYLOAD, size);
            optional(&mut out, request.as_ref(), |out, request| {
                write_str(out, request.as_str());
            });
            write_payload(&mut out, payload);
            out
        }
        Operation::Rooms(RoomNews::Delta { version, changes }) => {
            let mut out = start(kind::ROOMS_DELTA, 2, 0);
            write_uint(&mut out, *version);
            write_counts(&mut out, changes);
            out
        }
        Operation::Rooms(RoomNews::Snapshot {
            version,
            part,
            parts,
            rooms,
        }) => {
            let mut out = start(kind::ROOMS_SNAPSHOT, 4, 0);
            write_uint(&mut out, *version);
            write_uint(&mut out, (*part).into());
            write_uint(&mut out, (*parts).into());
            write_counts(&mut out, rooms);
            out
        }
        Operation::Rooms(RoomNews::Digest { version, hash }) => {
            let mut out = start(kind::ROOMS_DIGEST, 2, 0);
            write_uint(&mut out, *version);
            write_uint(&mut out, *hash);
            out
        }
        Operation::Rooms(RoomNews::Resend { of }) => {
            let mut out = start(kind::ROOMS_RESEND, 1, 0);
            write_str(&mut out, of.as_str());
            out
        }
        Operation::Rooms(RoomNews::Withheld) => start(kind::ROOMS_WITHHELD, 0, 0),
    }
}

pub(super) fn response(response: &ClusterResponse) -> Vec<u8> {
    let start = |kind: u64, own: usize, size: usize| {
        let mut out = head(kind, own, size + response.namespace.len() + 64);
        optional(&mut out, response.node.as_ref(), |out, node| {
            write_str(out, node.as_str());
        });
        write_str(&mut out, &response.namespace);
        write_str(&mut out, response.request.as_str());
        out
    };
    match &response.body {
        ResponseBody::Ack { socket, payload } => {
            let mut out = start(kind::ACK, 1 + PAYLOAD, 32 + size_of_payload(payload));
            optional(&mut out, socket.as_ref(), |out, socket| {
                write_str(out, socket.as_str());
            });
            write_payload(&mut out, payload);
            out
        }
        ResponseBody::Recipients { count, sockets } => {
            let mut out = start(kind::RECIPIENTS, 2, 24 * sockets.len());
            write_uint(&mut out, *count);
            write_list(&mut out, sockets);
            out
        }
        ResponseBody::ServerSideEmit(payload) => {
            let size = size_of_payload(payload);
            let mut out = start(kind::SERVER_SIDE_ANSWER, PAYLOAD, size);
            write_payload(&mut out, payload);
            out
        }
        ResponseBody::Sockets(sockets) => {
            // A handshake with its headers takes some hundred bytes.
            let mut out = start(kind::SOCKETS, 1, 512 * sockets.len());
            write_array_header(&mut out, sockets.len());
            for socket in sockets {
                write_array_header(&mut out, 4);
                write_str(&mut out, socket.id.as_str());
                socket.handshake.write(&mut out);
                write_list(&mut out, &socket.rooms);
                write_value(&mut out, &socket.data);
            }
            out
        }
        ResponseBody::SocketIds(sockets) => {
            let mut out = start(kind::SOCKET_IDS, 1, 24 * sockets.len());
            write_list(&mut out, sockets);
            out
        }
        ResponseBody::Rooms(rooms) => {
            let mut out = start(kind::ROOMS, 1, 24 * rooms.len());
            write_list(&mut out, rooms);
            out
        }
        ResponseBody::Nodes(nodes) => {
            let mut out = start(kind::NODES, 1, 24 * nodes.len());
            write_list(&mut out, nodes);
            out
        }
    }
}

pub(super) fn probe(node: &NodeId, number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    write_array_header(&mut out, 4);
    write_uint(&mut out, VERSION);
    write_uint(&mut out, kind::PROBE);
    write_str(&mut out, node.as_str());
    write_uint(&mut out, number);
    out
}

/// The start of a message with `own` elements behind the head, in room for `size` bytes.
fn head(kind: u64, own: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    write_array_header(&mut out, HEAD + own);
    write_uint(&mut out, VERSION);
    write_uint(&mut out, kind);
    out
}

fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => write_nil(out),
    }
}

fn write_list<T: AsRef<str>>(out: &mut Vec<u8>, texts: &[T]) {
    write_array_header(out, texts.len());
    for text in texts {
        write_str(out, text.as_ref());
    }
}

fn write_target(out: &mut Vec<u8>, target: &Target) {
    let flags = [
        (target.flags.volatile, flag::VOLATILE),
        (target.flags.compress, flag::COMPRESS),
        (target.flags.local, flag::LOCAL),
        (target.flags.broadcast, flag::BROADCAST),
        (
            target.flags.expect_single_response,
            flag::EXPECT_SINGLE_RESPONSE,
        ),
    ];
    let bits = flags.iter().filter(|(set, _)| *set);
    write_uint(out, bits.map(|(_, bit)| bit).sum());
    write_list(out, &target.rooms);
    write_list(out, &target.except);
    optional(out, target.flags.timeout, |out, timeout| {
        // Five hundred years must be enough.
        write_uint(out, u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
    });
}

fn size_of_target(target: &Target) -> usize {
    let rooms = target.rooms.iter().chain(&target.except);
    rooms.map(|room| room.as_str().len() + 5).sum::<usize>() + 32
}

fn write_payload(out: &mut Vec<u8>, payload: &Payload) {
    write_str(out, payload.json());
    write_array_header(out, payload.attachments().len());
    for attachment in payload.attachments() {
        write_bytes(out, attachment);
    }
}

fn size_of_payload(payload: &Payload) -> usize {
    payload.len() + 5 * payload.attachments().len() + 16
}

fn write_counts(out: &mut Vec<u8>, namespaces: &[NamespaceRooms]) {
    write_array_header(out, namespaces.len());
    for counts in namespaces {
        write_array_header(out, 3);
        write_str(out, &counts.namespace);
        write_uint(out, counts.sockets);
        write_map_header(out, counts.rooms.len());
        for (room, count) in &counts.rooms {
            write_str(out, room.as_str());
            write_uint(out, *count);
        }
    }
}
