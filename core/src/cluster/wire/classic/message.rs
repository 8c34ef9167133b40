//! Events and requests.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use super::{Classic, kind};
use crate::cluster::wire::node_js::{self, NATIVE, TRACE};
use crate::cluster::wire::part::{Document, Part};
use crate::cluster::wire::writer::{Writer, check};
use crate::cluster::wire::{Decoded, Encoded, WireError};
use crate::cluster::{ClusterMessage, Operation};
use crate::ids::{NodeId, RequestId, Room};
use crate::payload::Payload;
use crate::target::Target;
use crate::trace::TraceContext;

pub(super) fn encode(
    classic: &Classic,
    message: &ClusterMessage,
    native_too: bool,
) -> Result<Option<Encoded>, WireError> {
    let (kind, target, request) = match &message.operation {
        Operation::Broadcast { target, .. }
        | Operation::Join { target, .. }
        | Operation::Leave { target, .. }
        | Operation::Disconnect { target, .. }
        | Operation::FetchSockets { target, .. }
        | Operation::ListSockets { target, .. }
            if target.flags.local =>
        {
            return Ok(None);
        }
        Operation::Broadcast {
            payload,
            target,
            request: None,
        } => return encode_broadcast(classic, message, payload, target).map(Some),
        Operation::Broadcast {
            target, request, ..
        } => (kind::BROADCAST, Some(target), request.as_ref()),
        Operation::Join { target, .. } => (kind::JOIN, Some(target), None),
        Operation::Leave { target, .. } => (kind::LEAVE, Some(target), None),
        Operation::Disconnect { target, .. } => (kind::DISCONNECT, Some(target), None),
        Operation::FetchSockets { target, request } => (kind::FETCH, Some(target), Some(request)),
        Operation::ListSockets { request, .. } => (kind::SOCKETS, None, Some(request)),
        Operation::ListRooms { request } => (kind::ALL_ROOMS, None, Some(request)),
        Operation::ServerSideEmit { request, .. } => {
            (kind::SERVER_SIDE_EMIT, None, request.as_ref())
        }
        Operation::InitialHeartbeat
        | Operation::Heartbeat
        | Operation::ListNodes { .. }
        | Operation::Rooms(_)
        | Operation::Close => return Ok(None),
    };
    let own = match &message.operation {
        Operation::Broadcast { payload, .. } | Operation::ServerSideEmit { payload, .. } => {
            Some(payload)
        }
        _ => None,
    };
    own.map_or(Ok(()), check)?;
    // Of requests Node.js writes only one as MessagePack, but reads both forms of all.
    let json = kind != kind::BROADCAST && own.is_none_or(|own| own.attachments().is_empty());
    let mut writer = Writer::new(json, own.map_or(0, Payload::len));
    // The official emitter does not say who it is where nobody looks.
    let named = !classic.me.is_emitter() || kind == kind::SERVER_SIDE_EMIT;
    let content = match &message.operation {
        Operation::ListRooms { .. } => 0,
        Operation::Broadcast { .. } | Operation::Join { .. } | Operation::Leave { .. } => 2,
        Operation::Disconnect { .. } => 2,
        _ => 1,
    };
    let native = native_too && request.is_some();
    let optional = [named, request.is_some(), native].map(usize::from);
    let trace = message.trace.as_deref();
    let optional = optional.iter().sum::<usize>() + node_js::trace_members(trace);
    writer.map(1 + content + optional);
    if named {
        writer.key("uid");
        writer.str(classic.me.as_str());
    }
    if let Some(request) = request {
        writer.key("requestId");
        writer.str(request.as_str());
    }
    writer.key("type");
    writer.uint(kind);
    if let Operation::Broadcast { payload, .. } = &message.operation {
        write_packet(&mut writer, &message.namespace, payload);
    }
    if let Some(target) = target {
        writer.key("opts");
        writer.map(2 + usize::from(kind == kind::BROADCAST));
        node_js::write_rooms(&mut writer, target);
        if kind == kind::BROADCAST {
            node_js::write_flags(&mut writer, &target.flags);
        }
        writer.end_map();
    }
    match &message.operation {
        Operation::Join { rooms, .. } | Operation::Leave { rooms, .. } => {
            writer.key("rooms");
            writer.strs(rooms);
        }
        Operation::ListSockets { target, .. } => {
            writer.key("rooms");
            writer.strs(&target.rooms);
        }
        Operation::Disconnect { close, .. } => {
            writer.key("close");
            writer.bool(*close);
        }
        Operation::ServerSideEmit { payload, .. } => {
            writer.key("data");
            writer.payload(payload);
        }
        _ => {}
    }
    if native {
        writer.key(NATIVE);
        writer.bool(true);
    }
    node_js::write_trace(&mut writer, trace);
    writer.end_map();
    Ok(Some(Encoded {
        channel: format!("{}{}#", classic.requests, message.namespace),
        payload: writer.finish(),
    }))
}

fn encode_broadcast(
    classic: &Classic,
    message: &ClusterMessage,
    payload: &Payload,
    target: &Target,
) -> Result<Encoded, WireError> {
    let (namespace, trace) = (&*message.namespace, message.trace.as_deref());
    check(payload)?;
    let mut writer = Writer::pack(payload.len());
    writer.array(3);
    writer.str(classic.me.as_str());
    writer.map(3);
    write_event(&mut writer, namespace, payload);
    writer.map(3 + node_js::trace_members(trace));
    if classic.me.is_emitter() {
        // In the order of the official emitter.
        writer.key("rooms");
        writer.strs(&target.rooms);
        node_js::write_flags(&mut writer, &target.flags);
        writer.key("except");
        writer.strs(&target.except);
    } else {
        node_js::write_rooms(&mut writer, target);
        node_js::write_flags(&mut writer, &target.flags);
    }
    node_js::write_trace(&mut writer, trace);
    let mut channel = format!("{}{namespace}#", classic.broadcasts);
    if let [room] = target.rooms.as_slice() {
        channel.push_str(room.as_str());
        channel.push('#');
    }
    Ok(Encoded {
        channel,
        payload: writer.finish(),
    })
}

fn write_packet(writer: &mut Writer, namespace: &str, payload: &Payload) {
    writer.key("packet");
    writer.map(3);
    write_event(writer, namespace, payload);
    writer.end_map();
}

/// Writes the three members of an event.
fn write_event(writer: &mut Writer, namespace: &str, payload: &Payload) {
    writer.key("type");
    writer.uint(2);
    writer.key("data");
    writer.payload(payload);
    writer.key("nsp");
    writer.str(namespace);
}

/// Reads an event. `channel` is the name behind the prefix.
pub(super) fn decode_broadcast(
    classic: &Classic,
    channel: &str,
    payload: &Bytes,
    has_room: impl Fn(&str, &str) -> bool,
) -> Result<Decoded, WireError> {
    let document = Document::new(payload)?;
    let mut parts = [None; 3];
    let mut at = 0;
    document.root().each("broadcast", |part| {
        if let Some(slot) = parts.get_mut(at) {
            *slot = part;
        }
        at += 1;
        Ok(())
    })?;
    let [uid, packet, opts] = parts;
    let Some(node) = node_js::sender(uid, &classic.me) else {
        return Ok(Decoded::Skip);
    };
    let packet = packet.ok_or(WireError::Member("packet"))?;
    let [kind, data, nsp] = packet.pick("packet", ["type", "data", "nsp"])?;
    let nsp = namespace(nsp)?;
    let Some(room) = room(channel, &nsp) else {
        return Ok(Decoded::Skip);
    };
    if !node_js::is_event(node_js::kind(kind)?) {
        return Ok(Decoded::Skip);
    }
    let elsewhere = |node| Decoded::Elsewhere {
        node,
        namespace: ByteString::from(&*nsp),
    };
    if !room.is_empty() && !has_room(&nsp, room) {
        return Ok(elsewhere(node));
    }
    let opts = opts.ok_or(WireError::Member("opts"))?;
    let (target, trace) = node_js::target_and_trace(opts)?;
    let rooms = &target.rooms;
    if !rooms.is_empty() && !rooms.iter().any(|room| has_room(&nsp, room.as_str())) {
        return Ok(elsewhere(node));
    }
    let payload = data.ok_or(WireError::Member("data"))?.event()?;
    let operation = Operation::Broadcast {
        payload,
        target,
        request: None,
    };
    Ok(message(node, &nsp, trace, operation))
}

fn namespace(nsp: Option<Part<'_>>) -> Result<Cow<'_, str>, WireError> {
    match nsp {
        Some(nsp) => nsp.text().ok_or(WireError::Member("nsp")),
        None => Ok(Cow::Borrowed("/")),
    }
}

/// The room that `channel` names, empty for none; nothing if it is a channel of another namespace.
fn room<'a>(channel: &'a str, namespace: &str) -> Option<&'a str> {
    let rest = channel.strip_prefix(namespace)?.strip_prefix('#')?;
    if rest.is_empty() {
        Some("")
    } else {
        rest.strip_suffix('#')
    }
}

pub(super) fn decode_request(
    classic: &Classic,
    namespace: &str,
    payload: &Bytes,
) -> Result<Decoded, WireError> {
    let document = Document::new(payload)?;
    let names = [
        "type",
        "uid",
        "requestId",
        "opts",
        "rooms",
        "packet",
        "data",
        "close",
        "sid",
        "room",
        NATIVE,
        TRACE[0],
        TRACE[1],
    ];
    let parts = document.root().above_arguments(2).pick("request", names)?;
    let [
        kind,
        uid,
        request,
        opts,
        rooms,
        packet,
        data,
        close,
        sid,
        room,
        native,
        parent,
        state,
    ] = parts;
    let Some(node) = node_js::sender(uid, &classic.me) else {
        return Ok(Decoded::Skip);
    };
    if native.is_some_and(Part::is_true) {
        return Ok(Decoded::Skip);
    }
    let kind = node_js::kind(kind)?;
    let request = node_js::request(request)?;
    // The sockets that a request without answer concerns, and the rooms that it names.
    let concerned = |room: Option<Part<'_>>| -> Result<(Target, Vec<Room>), WireError> {
        if let Some(opts) = opts {
            let rooms = node_js::names("rooms", rooms)?.into_vec();
            return Ok((node_js::target(opts)?, rooms));
        }
        let sid = sid.and_then(Part::text).ok_or(WireError::Member("opts"))?;
        let room = room.and_then(Part::name);
        Ok((
            Target::room(&*sid),
            room.map(|room| Room::from(&*room)).into_iter().collect(),
        ))
    };
    let wanted = |request: Option<RequestId>| request.ok_or(WireError::Member("requestId"));
    let close = close.is_some_and(Part::is_true);
    let operation = match kind {
        kind::SOCKETS => {
            let mut target = Target::all();
            target.rooms = node_js::names("rooms", rooms)?;
            let request = wanted(request)?;
            Operation::ListSockets { target, request }
        }
        kind::ALL_ROOMS => Operation::ListRooms {
            request: wanted(request)?,
        },
        kind::JOIN | kind::LEAVE => {
            let (target, rooms) = concerned(room)?;
            if kind == kind::JOIN {
                Operation::Join { target, rooms }
            } else {
                Operation::Leave { target, rooms }
            }
        }
        kind::DISCONNECT => {
            let (target, _) = concerned(None)?;
            Operation::Disconnect { target, close }
        }
        kind::FETCH => {
            let target = node_js::target(opts.ok_or(WireError::Member("opts"))?)?;
            let request = wanted(request)?;
            Operation::FetchSockets { target, request }
        }
        kind::SERVER_SIDE_EMIT => {
            let payload = data.ok_or(WireError::Member("data"))?.event()?;
            Operation::ServerSideEmit { payload, request }
        }
        kind::BROADCAST => {
            let packet = packet.ok_or(WireError::Member("packet"))?;
            let [kind, data] = packet.pick("packet", ["type", "data"])?;
            if !node_js::is_event(node_js::kind(kind)?) {
                return Ok(Decoded::Skip);
            }
            let target = node_js::target(opts.ok_or(WireError::Member("opts"))?)?;
            let request = Some(wanted(request)?);
            let payload = data.ok_or(WireError::Member("data"))?.event()?;
            Operation::Broadcast {
                payload,
                target,
                request,
            }
        }
        _ => return Ok(Decoded::Skip),
    };
    // An answer can be sent to one without a name, since all hear the common channel.
    let node = if node.is_emitter() && operation.request().is_some() {
        NodeId::foreign("")
    } else {
        node
    };
    let trace = node_js::trace(parent, state);
    Ok(message(node, namespace, trace, operation))
}

fn message(
    node: NodeId,
    namespace: &str,
    trace: Option<Box<TraceContext>>,
    operation: Operation,
) -> Decoded {
    Decoded::Message(ClusterMessage {
        node,
        namespace: ByteString::from(namespace),
        sequence: None,
        trace,
        operation,
    })
}
