//! What the two formats of Node.js have in common: senders, targets and descriptions of sockets.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use smallvec::SmallVec;

use super::WireError;
use super::part::Part;
use super::writer::Writer;
use crate::cluster::{ResponseBody, SocketSnapshot};
use crate::ids::{NodeId, RequestId, Room, SocketId};
use crate::target::{Flags, Target};
use crate::trace::TraceContext;
use crate::value::Value;

/// The names of the two members that say which trace a message belongs to. Node.js does not look at
/// them either.
pub(super) const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// Marks the copy of a request that our own nodes get in our own format. Node.js does not look at
/// members that it does not know.
pub(super) const NATIVE: &str = "native";

/// Whose message it is; nobody if it is an own one.
pub(super) fn sender(uid: Option<Part<'_>>, me: &NodeId) -> Option<NodeId> {
    match uid.and_then(Part::name) {
        None => Some(NodeId::emitter()),
        Some(uid) if uid == me.as_str() => None,
        Some(uid) if NodeId::emitter() == *uid => Some(NodeId::emitter()),
        Some(uid) => Some(NodeId::foreign(&uid)),
    }
}

/// The name that the receiver of an answer has on its wire.
pub(super) fn name_of(node: &NodeId) -> &str {
    node.foreign_name().unwrap_or(node.as_str())
}

pub(super) fn request(id: Option<Part<'_>>) -> Result<Option<RequestId>, WireError> {
    match id.filter(|id| !id.is_null()) {
        None => Ok(None),
        Some(id) => {
            let id = id.name().ok_or(WireError::Member("requestId"))?;
            Ok(Some(RequestId::from(&*id)))
        }
    }
}

/// The type of a packet or message, by its number.
pub(super) fn kind(part: Option<Part<'_>>) -> Result<u64, WireError> {
    part.and_then(Part::uint).ok_or(WireError::Member("type"))
}

/// Whether a packet is an event. Old versions give one with bytes a type of its own.
pub(super) fn is_event(kind: u64) -> bool {
    kind == 2 || kind == 5
}

pub(super) fn target(opts: Part<'_>) -> Result<Target, WireError> {
    target_and_trace(opts).map(|(target, _)| target)
}

/// The trace is in the options where a message has no object around them.
pub(super) fn target_and_trace(
    opts: Part<'_>,
) -> Result<(Target, Option<Box<TraceContext>>), WireError> {
    let [parent_name, state_name] = TRACE;
    let names = ["rooms", "except", "flags", parent_name, state_name];
    let [rooms, except, flags, parent, state] = opts.pick("opts", names)?;
    let target = Target {
        rooms: self::names("rooms", rooms)?.into_iter().collect(),
        except: self::names("except", except)?.into_iter().collect(),
        flags: flags.map_or_else(|| Ok(Flags::default()), self::flags)?,
    };
    Ok((target, trace(parent, state)))
}

/// Who sends something malformed has no trace.
pub(super) fn trace(
    parent: Option<Part<'_>>,
    state: Option<Part<'_>>,
) -> Option<Box<TraceContext>> {
    let parent = parent.and_then(Part::text)?;
    let state = state.and_then(Part::text);
    let context = TraceContext::parse(&parent, state.as_deref());
    context.ok().map(Box::new)
}

/// How many members [`write_trace`] writes.
pub(super) fn trace_members(trace: Option<&TraceContext>) -> usize {
    trace.map_or(0, |trace| 1 + usize::from(trace.tracestate().is_some()))
}

pub(super) fn write_trace(writer: &mut Writer, trace: Option<&TraceContext>) {
    let Some(trace) = trace else { return };
    writer.key(TRACE[0]);
    writer.str(trace.traceparent().as_str());
    if let Some(state) = trace.tracestate() {
        writer.key(TRACE[1]);
        writer.str(state);
    }
}

/// The names in an array, each once. An array that is missing is empty.
pub(super) fn names(
    what: &'static str,
    part: Option<Part<'_>>,
) -> Result<SmallVec<[Room; 1]>, WireError> {
    let mut names = SmallVec::new();
    let Some(part) = part.filter(|part| !part.is_null()) else {
        return Ok(names);
    };
    // Comparing each with each would take too long with many.
    let mut seen: HashSet<Room> = HashSet::new();
    part.each(what, |part| {
        let name = match part {
            Some(part) => part.name().ok_or(WireError::Member(what))?,
            None => Cow::Borrowed("undefined"),
        };
        let name = Room::from(&*name);
        let is_new = if names.len() < 8 {
            !names.contains(&name)
        } else {
            if seen.is_empty() {
                seen.extend(names.iter().cloned());
            }
            seen.insert(name.clone())
        };
        if is_new {
            names.push(name);
        }
        Ok(())
    })?;
    Ok(names)
}

fn flags(part: Part<'_>) -> Result<Flags, WireError> {
    if part.is_null() {
        return Ok(Flags::default());
    }
    let names = [
        "volatile",
        "compress",
        "broadcast",
        "expectSingleResponse",
        "timeout",
    ];
    let [volatile, compress, broadcast, single, timeout] = part.pick("flags", names)?;
    let is_true = |part: Option<Part<'_>>| part.is_some_and(Part::is_true);
    Ok(Flags {
        volatile: is_true(volatile),
        compress: compress.and_then(Part::scalar) != Some(Value::Bool(false)),
        local: false,
        broadcast: is_true(broadcast),
        expect_single_response: is_true(single),
        timeout: timeout.and_then(Part::scalar).and_then(millis),
    })
}

/// Milliseconds, if it is a number that makes sense.
fn millis(value: Value) -> Option<Duration> {
    match value {
        Value::Float(value) => Duration::try_from_secs_f64(value / 1000.0).ok(),
        value => value.as_u64().map(Duration::from_millis),
    }
}

/// Writes `rooms` and `except`, two members.
pub(super) fn write_rooms(writer: &mut Writer, target: &Target) {
    writer.key("rooms");
    writer.strs(&target.rooms);
    writer.key("except");
    writer.strs(&target.except);
}

/// Writes the member `flags`.
pub(super) fn write_flags(writer: &mut Writer, flags: &Flags) {
    let Flags {
        volatile,
        compress,
        local: _,
        broadcast,
        expect_single_response,
        timeout,
    } = *flags;
    let set = [
        ("volatile", volatile, true),
        ("compress", !compress, false),
        ("broadcast", broadcast, true),
        ("expectSingleResponse", expect_single_response, true),
    ];
    let count = set.iter().filter(|(_, set, _)| *set).count();
    writer.key("flags");
    writer.map(count + usize::from(timeout.is_some()));
    for (name, _, value) in set.into_iter().filter(|(_, set, _)| *set) {
        writer.key(name);
        writer.bool(value);
    }
    if let Some(timeout) = timeout {
        writer.key("timeout");
        // What is left of a millisecond is rounded up, so that a timeout does not become none.
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        writer.uint(u64::try_from(millis).unwrap_or(u64::MAX));
    }
    writer.end_map();
}

/// Sockets, or their ids: what it is shows in the array itself.
pub(super) fn sockets(part: Part<'_>) -> Result<ResponseBody, WireError> {
    let (mut ids, mut sockets) = (Vec::new(), Vec::new());
    part.each("sockets", |part| {
        let part = part.ok_or(WireError::Member("sockets"))?;
        match part.text() {
            Some(id) => ids.push(SocketId::from(&*id)),
            None => sockets.push(snapshot(part)?),
        }
        Ok(())
    })?;
    match (ids.is_empty(), sockets.is_empty()) {
        (_, true) if !ids.is_empty() => Ok(ResponseBody::SocketIds(ids)),
        (true, _) => Ok(ResponseBody::Sockets(sockets)),
        (false, _) => Err(WireError::Member("sockets")),
    }
}

fn snapshot(part: Part<'_>) -> Result<SocketSnapshot, WireError> {
    let names = ["id", "handshake", "rooms", "data"];
    let [id, handshake, rooms, data] = part.pick("sockets", names)?;
    let id = id.and_then(Part::text).ok_or(WireError::Member("id"))?;
    let value = |part: Option<Part<'_>>| part.map_or(Ok(Value::Null), Part::value);
    Ok(SocketSnapshot {
        id: SocketId::from(&*id),
        handshake: value(handshake)?.into(),
        rooms: self::names("rooms", rooms)?.into_vec(),
        data: value(data)?,
    })
}

pub(super) fn has_bytes(sockets: &[SocketSnapshot]) -> bool {
    let mut sockets = sockets.iter();
    sockets.any(|socket| socket.handshake.read().has_bytes() || socket.data.has_bytes())
}

/// Writes the member `sockets`.
pub(super) fn write_sockets(writer: &mut Writer, sockets: &[SocketSnapshot]) {
    writer.key("sockets");
    writer.array(sockets.len());
    for socket in sockets {
        writer.map(4);
        writer.key("id");
        writer.str(socket.id.as_str());
        writer.key("handshake");
        writer.value(&socket.handshake.read());
        writer.key("rooms");
        writer.strs(&socket.rooms);
        writer.key("data");
        writer.value(&socket.data);
        writer.end_map();
    }
    writer.end_array();
}
