//! Messages for all nodes, and what they have in common with answers.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::cluster::wire::node_js::{self, NATIVE, TRACE};
use crate::cluster::wire::part::Part;
use crate::cluster::wire::writer::{Writer, check};
use crate::cluster::wire::{Decoded, WireError};
use crate::cluster::{ClusterMessage, Operation};
use crate::ids::{NodeId, RequestId};
use crate::payload::Payload;
use crate::target::Target;
use crate::trace::TraceContext;

/// The numbers of messages. 1, 2 and 13 are heartbeats, which sharded nodes neither send nor read.
pub(super) mod kind {
    pub(in super::super) const BROADCAST: u64 = 3;
    pub(in super::super) const JOIN: u64 = 4;
    pub(in super::super) const LEAVE: u64 = 5;
    pub(in super::super) const DISCONNECT: u64 = 6;
    pub(in super::super) const FETCH: u64 = 7;
    pub(in super::super) const FETCH_RESPONSE: u64 = 8;
    pub(in super::super) const SERVER_SIDE_EMIT: u64 = 9;
    pub(in super::super) const SERVER_SIDE_EMIT_RESPONSE: u64 = 10;
    pub(in super::super) const CLIENT_COUNT: u64 = 11;
    pub(in super::super) const BROADCAST_ACK: u64 = 12;

    pub(in super::super) fn is_response(kind: u64) -> bool {
        matches!(
            kind,
            FETCH_RESPONSE | SERVER_SIDE_EMIT_RESPONSE | CLIENT_COUNT | BROADCAST_ACK
        )
    }
}

/// A message whose contents are not read yet.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u64,
    pub(super) node: NodeId,
    pub(super) namespace: Cow<'a, str>,
    pub(super) trace: Option<Box<TraceContext>>,
    pub(super) data: Part<'a>,
}

/// Reads the outside of a message; nothing if it is of no concern.
pub(super) fn read<'a>(me: &NodeId, root: Part<'a>) -> Result<Option<Frame<'a>>, WireError> {
    let names = ["type", "data", "uid", "nsp", NATIVE, TRACE[0], TRACE[1]];
    let [kind, data, uid, nsp, native, parent, state] = root.pick("message", names)?;
    let kind = node_js::kind(kind)?;
    let namespace = nsp.and_then(Part::text).ok_or(WireError::Member("nsp"))?;
    let Some(node) = node_js::sender(uid, me) else {
        return Ok(None);
    };
    if !(kind::BROADCAST..=kind::BROADCAST_ACK).contains(&kind) || native.is_some_and(Part::is_true)
    {
        return Ok(None);
    }
    Ok(Some(Frame {
        kind,
        node,
        namespace,
        trace: node_js::trace(parent, state),
        data: data.ok_or(WireError::Member("data"))?,
    }))
}

/// Writes the outside of a message around its contents, the last member of which ends with them.
pub(super) fn write(
    mut writer: Writer,
    kind: u64,
    me: &NodeId,
    namespace: &str,
    native: bool,
    trace: Option<&TraceContext>,
    data: impl FnOnce(&mut Writer),
) -> Bytes {
    writer.map(4 + usize::from(native) + node_js::trace_members(trace));
    writer.key("type");
    writer.uint(kind);
    writer.key("data");
    data(&mut writer);
    writer.end_map();
    writer.key("uid");
    writer.str(me.as_str());
    writer.key("nsp");
    writer.str(namespace);
    if native {
        writer.key(NATIVE);
        writer.bool(true);
    }
    node_js::write_trace(&mut writer, trace);
    writer.end_map();
    writer.finish()
}

pub(super) fn encode(
    me: &NodeId,
    message: &ClusterMessage,
    native_too: bool,
) -> Result<Option<Bytes>, WireError> {
    let native = native_too && message.operation.request().is_some();
    let write = |writer, kind, data: &dyn Fn(&mut Writer)| {
        let trace = message.trace.as_deref();
        write(writer, kind, me, &message.namespace, native, trace, data)
    };
    Ok(Some(match &message.operation {
        Operation::Broadcast { target, .. }
        | Operation::Join { target, .. }
        | Operation::Leave { target, .. }
        | Operation::Disconnect { target, .. }
        | Operation::FetchSockets { target, .. }
            if target.flags.local =>
        {
            return Ok(None);
        }
        Operation::Broadcast {
            payload,
            target,
            request,
        } => write(writer(payload)?, kind::BROADCAST, &|writer| {
            writer.map(2 + usize::from(request.is_some()));
            writer.key("packet");
            writer.map(2);
            writer.key("type");
            writer.uint(2);
            writer.key("data");
            writer.payload(payload);
            writer.end_map();
            write_request(writer, request.as_ref());
            write_opts(writer, target);
        }),
        Operation::Join { target, rooms } | Operation::Leave { target, rooms } => {
            let join = matches!(message.operation, Operation::Join { .. });
            let kind = if join { kind::JOIN } else { kind::LEAVE };
            write(Writer::json(0), kind, &|writer| {
                writer.map(2);
                write_opts(writer, target);
                writer.key("rooms");
                writer.strs(rooms);
            })
        }
        Operation::Disconnect { target, close } => {
            write(Writer::json(0), kind::DISCONNECT, &|writer| {
                writer.map(2);
                write_opts(writer, target);
                writer.key("close");
                writer.bool(*close);
            })
        }
        Operation::FetchSockets { target, request } => {
            write(Writer::json(0), kind::FETCH, &|writer| {
                writer.map(2);
                write_opts(writer, target);
                write_request(writer, Some(request));
            })
        }
        Operation::ServerSideEmit { payload, request } => {
            write(writer(payload)?, kind::SERVER_SIDE_EMIT, &|writer| {
                writer.map(1 + usize::from(request.is_some()));
                write_request(writer, request.as_ref());
                writer.key("packet");
                writer.payload(payload);
            })
        }
        Operation::InitialHeartbeat
        | Operation::Heartbeat
        | Operation::ListSockets { .. }
        | Operation::ListRooms { .. }
        | Operation::ListNodes { .. }
        | Operation::Rooms(_)
        | Operation::Close => return Ok(None),
    }))
}

/// MessagePack where bytes are among the arguments.
fn writer(payload: &Payload) -> Result<Writer, WireError> {
    check(payload)?;
    Ok(Writer::new(payload.attachments().is_empty(), payload.len()))
}

fn write_request(writer: &mut Writer, request: Option<&RequestId>) {
    if let Some(request) = request {
        writer.key("requestId");
        writer.str(request.as_str());
    }
}

fn write_opts(writer: &mut Writer, target: &Target) {
    writer.key("opts");
    writer.map(3);
    node_js::write_rooms(writer, target);
    node_js::write_flags(writer, &target.flags);
    writer.end_map();
}

pub(super) fn decode(
    frame: Frame<'_>,
    has_room: impl Fn(&str, &str) -> bool,
) -> Result<Decoded, WireError> {
    let names = ["packet", "opts", "requestId", "rooms", "close"];
    let levels = if frame.kind == kind::BROADCAST { 2 } else { 1 };
    let data = frame.data.above_arguments(levels);
    let [packet, opts, request, rooms, close] = data.pick("data", names)?;
    let request = node_js::request(request)?;
    let target = || node_js::target(opts.ok_or(WireError::Member("opts"))?);
    let operation = match frame.kind {
        kind::BROADCAST => {
            let packet = packet.ok_or(WireError::Member("packet"))?;
            let [kind, data] = packet.pick("packet", ["type", "data"])?;
            let target = target()?;
            let mut rooms = target.rooms.iter();
            let is_for_others = request.is_none()
                && !target.rooms.is_empty()
                && !rooms.any(|room| has_room(&frame.namespace, room.as_str()));
            if !node_js::is_event(node_js::kind(kind)?) {
                return Ok(Decoded::Skip);
            }
            if is_for_others {
                return Ok(Decoded::Elsewhere {
                    node: frame.node,
                    namespace: ByteString::from(&*frame.namespace),
                });
            }
            Operation::Broadcast {
                payload: data.ok_or(WireError::Member("data"))?.event()?,
                target,
                request,
            }
        }
        kind::JOIN => Operation::Join {
            target: target()?,
            rooms: node_js::names("rooms", rooms)?.into_vec(),
        },
        kind::LEAVE => Operation::Leave {
            target: target()?,
            rooms: node_js::names("rooms", rooms)?.into_vec(),
        },
        kind::DISCONNECT => Operation::Disconnect {
            target: target()?,
            close: close.is_some_and(Part::is_true),
        },
        kind::FETCH => Operation::FetchSockets {
            target: target()?,
            request: request.ok_or(WireError::Member("requestId"))?,
        },
        kind::SERVER_SIDE_EMIT => Operation::ServerSideEmit {
            payload: packet.ok_or(WireError::Member("packet"))?.event()?,
            request,
        },
        _ => return Ok(Decoded::Skip),
    };
    Ok(Decoded::Message(ClusterMessage {
        node: frame.node,
        namespace: ByteString::from(&*frame.namespace),
        sequence: None,
        trace: frame.trace,
        operation,
    }))
}
