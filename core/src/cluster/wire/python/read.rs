//! From the dialect to messages.

use bytestring::ByteString;

use super::fields::{self, Fields};
use super::{MARK, NODES, Python, envelope};
use crate::cluster::wire::{Decoded, WireError};
use crate::cluster::{ClusterMessage, ClusterResponse, Operation, ResponseBody};
use crate::ids::{NodeId, RequestId, Room};
use crate::json::{self, JsonError};
use crate::payload::Payload;
use crate::target::{Flags, Target};
use crate::trace::TraceContext;
use crate::value;

/// The first byte of a pickle of protocol 2 or later; earlier ones were never written.
const PICKLE: u8 = 0x80;

pub(super) fn decode(codec: &Python, channel: &str, payload: &[u8]) -> Result<Decoded, WireError> {
    read(codec, channel, payload, true)
}

fn read(
    codec: &Python,
    channel: &str,
    payload: &[u8],
    outermost: bool,
) -> Result<Decoded, WireError> {
    if payload.first() == Some(&PICKLE) {
        return Err(WireError::Pickle);
    }
    // Where members are published to, most of what comes is from our own nodes: our encoder writes
    // `host_id` last, so a look at the end spares reading the rest.
    if let Some(before) = payload.strip_suffix(b"\"}")
        && before.ends_with(NODES.as_bytes())
    {
        return Ok(Decoded::Skip);
    }
    let text = std::str::from_utf8(payload).map_err(|_| WireError::Utf8)?;
    let corrected;
    let fields = match Fields::read(text) {
        Err(WireError::Json(JsonError::Syntax(at))) => {
            corrected = fields::without_constants(text).ok_or(JsonError::Syntax(at))?;
            Fields::read(&corrected)
        }
        fields => fields,
    }?;
    match envelope::unwrap(&fields)? {
        Some(message) if outermost => read(codec, channel, &message, false),
        _ => interpret(codec, channel, &fields),
    }
}

fn interpret(codec: &Python, channel: &str, fields: &Fields<'_>) -> Result<Decoded, WireError> {
    let method = required(fields.method, "method")?;
    let host = fields.host_id.and_then(fields::text);
    if method == "callback" {
        // Here `host_id` is who asked, not who answers.
        return if host.as_deref() == Some(codec.host_id()) {
            callback(fields).map(Decoded::Response)
        } else {
            Ok(Decoded::Skip)
        };
    }
    // Before 5.10 some messages did not say whose they are.
    let host = host.unwrap_or_default();
    if host == codec.host_id() || host.ends_with(NODES) {
        return Ok(Decoded::Skip);
    }
    let operation = match &*method {
        "emit" => emit(channel, &host, fields)?,
        "disconnect" => Operation::Disconnect {
            target: Target::room(&*required(fields.sid, "sid")?),
            close: false,
        },
        "enter_room" => Operation::Join {
            target: Target::room(&*required(fields.sid, "sid")?),
            rooms: vec![room(fields)?],
        },
        "leave_room" => Operation::Leave {
            target: Target::room(&*required(fields.sid, "sid")?),
            rooms: vec![room(fields)?],
        },
        "close_room" => Operation::Leave {
            target: Target::room(room(fields)?),
            rooms: vec![room(fields)?],
        },
        _ => return Ok(Decoded::Skip),
    };
    Ok(Decoded::Message(ClusterMessage {
        node: NodeId::foreign(&format!("{MARK}{host}")),
        namespace: (&*required(fields.namespace, "namespace")?).into(),
        sequence: None,
        trace: trace(fields).map(Box::new),
        operation,
    }))
}

/// Who sends something malformed has no trace.
fn trace(fields: &Fields<'_>) -> Option<TraceContext> {
    let parent = fields.traceparent.and_then(fields::text)?;
    let state = fields.tracestate.and_then(fields::text);
    TraceContext::parse(&parent, state.as_deref()).ok()
}

fn required<'a>(
    json: Option<&'a str>,
    member: &'static str,
) -> Result<std::borrow::Cow<'a, str>, WireError> {
    json.and_then(fields::text).ok_or(WireError::Member(member))
}

fn room(fields: &Fields<'_>) -> Result<Room, WireError> {
    required(fields.room, "room").map(|room| Room::from(&*room))
}

fn emit(channel: &str, host: &str, fields: &Fields<'_>) -> Result<Operation, WireError> {
    let rooms = fields::names(fields.room).ok_or(WireError::Member("room"))?;
    // An empty array is a fault of the sender; it must not become an event for everybody.
    if rooms.is_empty() && fields.room.is_some_and(|room| room != "null") {
        return Err(WireError::Member("room"));
    }
    let except = fields::names(fields.skip_sid).ok_or(WireError::Member("skip_sid"))?;
    let request = fields
        .callback
        .and_then(|callback| request(channel, host, callback));
    Ok(Operation::Broadcast {
        payload: event(fields)?,
        target: Target {
            rooms,
            except,
            flags: Flags {
                expect_single_response: request.is_some(),
                ..Flags::default()
            },
        },
        request,
    })
}

fn event(fields: &Fields<'_>) -> Result<Payload, WireError> {
    let name = fields.event.ok_or(WireError::Member("event"))?;
    required(Some(name), "event")?;
    let data = fields.data.ok_or(WireError::Member("data"))?;
    let arguments = fields::arguments(data, fields.is_binary(), "data")?;
    let json = match arguments.inner {
        "" => format!("[{name}]"),
        inner => format!("[{name},{inner}]"),
    };
    Ok(Payload::from_json(json.into(), arguments.attachments)?)
}

/// All that the answer must hold, as a JSON array: where the request came from, who asked, and
/// the three parts of `callback` as they are written there. Other lengths of `callback` mean
/// that none is wanted.
fn request(channel: &str, host: &str, callback: &str) -> Option<RequestId> {
    let parts: Vec<&str> = json::elements(callback).take(4).collect();
    if parts.len() != 3 || host.is_empty() {
        return None;
    }
    let mut out = vec![b'['];
    value::write_scalar(&mut out, channel);
    out.push(b',');
    value::write_scalar(&mut out, host);
    for part in parts {
        out.push(b',');
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b']');
    String::from_utf8(out).ok().map(RequestId::from)
}

fn callback(fields: &Fields<'_>) -> Result<ClusterResponse, WireError> {
    let args = fields.args.ok_or(WireError::Member("args"))?;
    if !args.starts_with('[') {
        return Err(WireError::Member("args"));
    }
    let payload = if fields.is_binary() {
        let arguments = fields::arguments(args, true, "args")?;
        let json = format!("[{}]", arguments.inner);
        Payload::from_json(json.into(), arguments.attachments)?
    } else {
        Payload::from_json(args.into(), Vec::new())?
    };
    let namespace = fields.namespace.and_then(fields::text);
    Ok(ClusterResponse {
        node: None,
        namespace: namespace.map_or(ByteString::from_static("/"), |name| (&*name).into()),
        request: RequestId::from(&*required(fields.id, "id")?),
        body: ResponseBody::Ack {
            socket: None,
            payload,
        },
    })
}
