//! From messages to the dialect.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smallvec::SmallVec;

use super::{EMITTERS, Python, Translated, Untranslatable, envelope, fields};
use crate::cluster::wire::{Encoded, WireError};
use crate::cluster::{ClusterMessage, ClusterResponse, Operation, ResponseBody};
use crate::ids::{RequestId, Room};
use crate::json;
use crate::payload::Payload;
use crate::target::Target;
use crate::value::{self, Value};

pub(super) fn encode(codec: &Python, message: &ClusterMessage) -> Result<Translated, WireError> {
    let mut done = Translated::default();
    match &message.operation {
        Operation::Broadcast {
            payload,
            target,
            request,
        } => emit(codec, message, payload, target, request.as_ref(), &mut done)?,
        Operation::Join { target, rooms } => {
            for socket in sockets(target, &mut done) {
                for room in rooms {
                    let members = [("sid", socket), ("room", room)];
                    done.messages
                        .push(simple(codec, "enter_room", &members, message));
                }
            }
        }
        Operation::Leave { target, rooms } => {
            leave(codec, message, target, rooms, &mut done);
        }
        Operation::Disconnect { target, close } => {
            for socket in sockets(target, &mut done) {
                let members = [("sid", socket)];
                done.messages
                    .push(simple(codec, "disconnect", &members, message));
                if *close {
                    done.leave_out(Untranslatable::CloseConnection);
                }
            }
        }
        Operation::FetchSockets { .. }
        | Operation::ListSockets { .. }
        | Operation::ListRooms { .. } => done.leave_out(Untranslatable::FetchSockets),
        Operation::ServerSideEmit { .. } => done.leave_out(Untranslatable::ServerSideEmit),
        Operation::InitialHeartbeat
        | Operation::Heartbeat
        | Operation::ListNodes { .. }
        | Operation::Rooms(_)
        | Operation::Close => {}
    }
    Ok(done)
}

/// The sockets that a target names by the rooms they have of their own.
fn sockets<'a>(target: &'a Target, done: &mut Translated) -> SmallVec<[&'a Room; 1]> {
    let (sockets, others): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) = target
        .rooms
        .iter()
        .partition(|room| room.looks_like_socket());
    if target.rooms.is_empty() || !others.is_empty() || !target.except.is_empty() {
        done.leave_out(Untranslatable::Selection);
    }
    if target.except.is_empty() {
        sockets
    } else {
        SmallVec::new()
    }
}

fn leave(
    codec: &Python,
    message: &ClusterMessage,
    target: &Target,
    rooms: &[Room],
    done: &mut Translated,
) {
    // Everybody in a room leaves it: that can be said of any room.
    if let ([from], []) = (target.rooms.as_slice(), target.except.as_slice())
        && rooms == [from.clone()]
    {
        let members = [("room", from)];
        done.messages
            .push(simple(codec, "close_room", &members, message));
        return;
    }
    for socket in sockets(target, done) {
        for room in rooms {
            let members = [("sid", socket), ("room", room)];
            done.messages
                .push(simple(codec, "leave_room", &members, message));
        }
    }
}

fn simple(
    codec: &Python,
    method: &str,
    members: &[(&str, &Room)],
    message: &ClusterMessage,
) -> Encoded {
    let mut out = begin(method);
    for (name, room) in members {
        string(&mut out, name, room.as_str());
    }
    string(&mut out, "namespace", &message.namespace);
    codec.to_all(end(codec, message, out))
}

fn emit(
    codec: &Python,
    message: &ClusterMessage,
    payload: &Payload,
    target: &Target,
    request: Option<&RequestId>,
    done: &mut Translated,
) -> Result<(), WireError> {
    let namespace = &*message.namespace;
    if !target.except.iter().all(Room::looks_like_socket) {
        done.leave_out(Untranslatable::Except);
        return Ok(());
    }
    if target.flags.volatile {
        done.leave_out(Untranslatable::Volatile);
    }
    let mut elements = json::elements(payload.json());
    let (Some(event), Some(_)) = (elements.next(), payload.event_name()) else {
        return Err(WireError::Member("event"));
    };
    let mut out = begin("emit");
    raw(&mut out, "event", event);
    out.extend_from_slice(b",\"data\":");
    let binary = !payload.attachments().is_empty();
    let arguments = elements.rest();
    match elements.next() {
        Some(only)
            if codec.bare_argument
                && !binary
                && only != "null"
                && !only.starts_with('[')
                && elements.next().is_none() =>
        {
            out.extend_from_slice(only.as_bytes());
        }
        _ => {
            out.extend_from_slice(if binary { b"[[" } else { b"[" });
            out.extend_from_slice(arguments.as_bytes());
            if binary {
                attachments(&mut out, payload.attachments());
                out.push(b']');
            }
        }
    }
    raw(&mut out, "binary", if binary { "true" } else { "false" });
    string(&mut out, "namespace", namespace);
    match target.rooms.as_slice() {
        [] => raw(&mut out, "room", "null"),
        [room] => string(&mut out, "room", room.as_str()),
        rooms => strings(&mut out, "room", rooms.iter().map(Room::as_str)),
    }
    match target.except.as_slice() {
        [] => raw(&mut out, "skip_sid", "null"),
        sockets => strings(&mut out, "skip_sid", sockets.iter().map(Room::as_str)),
    }
    match (request, target.rooms.as_slice()) {
        (Some(request), [room]) => {
            let parts = [room.as_str(), namespace, request.as_str()];
            strings(&mut out, "callback", parts.into_iter());
        }
        (Some(_), _) => {
            done.leave_out(Untranslatable::Acknowledgements);
            raw(&mut out, "callback", "null");
        }
        (None, _) => raw(&mut out, "callback", "null"),
    }
    done.messages.push(codec.to_all(end(codec, message, out)));
    Ok(())
}

pub(super) fn encode_response(
    codec: &Python,
    response: &ClusterResponse,
) -> Result<Translated, WireError> {
    let mut done = Translated::default();
    let ResponseBody::Ack { payload, .. } = &response.body else {
        return Ok(done);
    };
    let parts: SmallVec<[&str; 5]> = json::elements(response.request.as_str()).collect();
    let &[channel, host, room, namespace, id] = parts.as_slice() else {
        return Err(WireError::Member("callback"));
    };
    let channel = fields::text(channel).unwrap_or_default().into_owned();
    if !codec.channels.contains(&channel) {
        return Err(WireError::Channel);
    }
    let mut out = begin("callback");
    raw(&mut out, "host_id", host);
    raw(&mut out, "sid", room);
    raw(&mut out, "namespace", namespace);
    raw(&mut out, "id", id);
    if payload.attachments().is_empty() {
        raw(&mut out, "args", payload.json());
    } else if host.trim_end_matches('"').ends_with(EMITTERS) {
        out.extend_from_slice(b",\"args\":[");
        out.extend_from_slice(payload.json().as_bytes());
        attachments(&mut out, payload.attachments());
        out.push(b']');
        raw(&mut out, "binary", "true");
    } else {
        let mut values = Value::Array(payload.to_values()?);
        bytes_to_text(&mut values);
        out.extend_from_slice(b",\"args\":");
        value::write(&mut out, &values, &mut SmallVec::new());
        done.leave_out(Untranslatable::BinaryAcknowledgement);
    }
    out.push(b'}');
    let payload = envelope::wrap(&channel, out).into();
    done.messages.push(Encoded { channel, payload });
    Ok(done)
}

fn begin(method: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"method\":");
    value::write_scalar(&mut out, method);
    out
}

/// `host_id` comes last, where [`decode`](super::read::decode) looks for it.
fn end(codec: &Python, message: &ClusterMessage, mut out: Vec<u8>) -> Vec<u8> {
    if let Some(trace) = &message.trace {
        // Python takes what it knows out of a dictionary, and lets the rest be.
        string(&mut out, "traceparent", trace.traceparent().as_str());
        if let Some(state) = trace.tracestate() {
            string(&mut out, "tracestate", state);
        }
    }
    string(&mut out, "host_id", codec.host_id());
    out.push(b'}');
    out
}

fn raw(out: &mut Vec<u8>, name: &str, json: &str) {
    out.push(b',');
    value::write_scalar(out, name);
    out.push(b':');
    out.extend_from_slice(json.as_bytes());
}

fn string(out: &mut Vec<u8>, name: &str, text: &str) {
    raw(out, name, "");
    value::write_scalar(out, text);
}

fn strings<'a>(out: &mut Vec<u8>, name: &str, texts: impl Iterator<Item = &'a str>) {
    raw(out, name, "[");
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        value::write_scalar(out, text);
    }
    out.push(b']');
}

fn attachments(out: &mut Vec<u8>, attachments: &[Bytes]) {
    for attachment in attachments {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(STANDARD.encode(attachment).as_bytes());
        out.push(b'"');
    }
}

fn bytes_to_text(value: &mut Value) {
    match value {
        Value::Bytes(bytes) => *value = Value::String(STANDARD.encode(bytes)),
        Value::Array(elements) => elements.iter_mut().for_each(bytes_to_text),
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(_, value)| bytes_to_text(value)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::String(_) => {}
    }
}
