//! Reading.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::cluster::wire::{Decoded, WireError};
use crate::cluster::{
    ClusterMessage, ClusterResponse, LazyValue, NamespaceRooms, Operation, ResponseBody, RoomNews,
    SocketSnapshot,
};
use crate::ids::{NodeId, RequestId, SocketId};
use crate::json;
use crate::msgpack::{MessagePackError, Reader, Token, read_value, skip};
use crate::packet::placeholders_are_sound;
use crate::payload::{Attachments, Payload};
use crate::target::{Flags, Target};
use crate::trace::TraceContext;
use crate::value::{MAX_DEPTH, Value};

use super::{VERSION, flag, kind};

pub(super) fn decode(input: &Bytes) -> Result<Decoded, WireError> {
    let mut reader = Reader::new(input);
    let mut fields = Fields::open(&mut reader, input, "message")?;
    if fields.uint("version")? != VERSION {
        return Err(WireError::Member("version"));
    }
    let decoded = match fields.uint("kind")? {
        kind::PROBE => {
            fields.str("sender")?;
            Decoded::Probe(fields.uint("number")?)
        }
        kind @ 1..kind::RESPONSES => read_message(&mut fields, kind)?,
        kind @ kind::RESPONSES..kind::END => read_response(&mut fields, kind)?,
        _ => Decoded::Skip,
    };
    fields.close()?;
    if reader.rest().is_empty() {
        Ok(decoded)
    } else {
        Err(MessagePackError::Invalid.into())
    }
}

fn read_message(fields: &mut Fields<'_, '_>, kind: u64) -> Result<Decoded, WireError> {
    let node = fields.str("sender")?.into();
    let namespace = fields.text("namespace")?;
    let sequence = fields.optional(|fields| fields.uint("sequence"))?;
    let operation = match kind {
        kind::INITIAL_HEARTBEAT => Operation::InitialHeartbeat,
        kind::HEARTBEAT => Operation::Heartbeat,
        kind::CLOSE => Operation::Close,
        kind::BROADCAST => {
            let target = fields.target()?;
            let request = fields.optional(Fields::request)?;
            Operation::Broadcast {
                payload: fields.payload()?,
                target,
                request,
            }
        }
        kind::JOIN => Operation::Join {
            target: fields.target()?,
            rooms: fields.names("rooms")?,
        },
        kind::LEAVE => Operation::Leave {
            target: fields.target()?,
            rooms: fields.names("rooms")?,
        },
        kind::DISCONNECT => Operation::Disconnect {
            target: fields.target()?,
            close: fields.bool("close")?,
        },
        kind::FETCH_SOCKETS => Operation::FetchSockets {
            target: fields.target()?,
            request: fields.request()?,
        },
        kind::LIST_SOCKETS => Operation::ListSockets {
            target: fields.target()?,
            request: fields.request()?,
        },
        kind::LIST_ROOMS => Operation::ListRooms {
            request: fields.request()?,
        },
        kind::LIST_NODES => Operation::ListNodes {
            request: fields.request()?,
        },
        kind::SERVER_SIDE_EMIT => {
            let request = fields.optional(Fields::request)?;
            Operation::ServerSideEmit {
                payload: fields.payload()?,
                request,
            }
        }
        kind::ROOMS_DELTA => Operation::Rooms(RoomNews::Delta {
            version: fields.uint("version")?,
            changes: fields.list("counts", Fields::counts)?,
        }),
        kind::ROOMS_SNAPSHOT => Operation::Rooms(RoomNews::Snapshot {
            version: fields.uint("version")?,
            part: fields.u32("part")?,
            parts: fields.u32("parts")?,
            rooms: fields.list("counts", Fields::counts)?,
        }),
        kind::ROOMS_DIGEST => Operation::Rooms(RoomNews::Digest {
            version: fields.uint("version")?,
            hash: fields.uint("hash")?,
        }),
        kind::ROOMS_RESEND => Operation::Rooms(RoomNews::Resend {
            of: fields.str("of")?.into(),
        }),
        kind::ROOMS_WITHHELD => Operation::Rooms(RoomNews::Withheld),
        _ => return Ok(Decoded::Skip),
    };
    Ok(Decoded::Message(ClusterMessage {
        node,
        namespace,
        sequence,
        trace: fields.trace()?,
        operation,
    }))
}

fn read_response(fields: &mut Fields<'_, '_>, kind: u64) -> Result<Decoded, WireError> {
    let node = fields.optional(|fields| fields.str("sender"))?;
    let namespace = fields.text("namespace")?;
    let request = fields.request()?;
    let body = match kind {
        kind::ACK => {
            let socket = fields.optional(|fields| fields.str("socket"))?;
            ResponseBody::Ack {
                socket: socket.map(SocketId::from),
                payload: fields.payload()?,
            }
        }
        kind::RECIPIENTS => ResponseBody::Recipients {
            count: fields.uint("count")?,
            sockets: fields.names("sockets")?,
        },
        kind::SERVER_SIDE_ANSWER => ResponseBody::ServerSideEmit(fields.payload()?),
        kind::SOCKETS => ResponseBody::Sockets(fields.list("sockets", Fields::snapshot)?),
        kind::SOCKET_IDS => ResponseBody::SocketIds(fields.names("sockets")?),
        kind::ROOMS => ResponseBody::Rooms(fields.names("rooms")?),
        kind::NODES => ResponseBody::Nodes(fields.names("nodes")?),
        _ => return Ok(Decoded::Skip),
    };
    Ok(Decoded::Response(ClusterResponse {
        node: node.map(NodeId::from),
        namespace,
        request,
        body,
    }))
}

/// The elements of one array, in order.
struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    input: &'a Bytes,
    left: u32,
}

impl<'r, 'a> Fields<'r, 'a> {
    fn open(
        reader: &'r mut Reader<'a>,
        input: &'a Bytes,
        name: &'static str,
    ) -> Result<Self, WireError> {
        match reader.next()? {
            Token::Array(left) => Ok(Self {
                reader,
                input,
                left,
            }),
            _ => Err(WireError::Member(name)),
        }
    }

    /// Reads over what a later version has added.
    fn close(self) -> Result<(), WireError> {
        for _ in 0..self.left {
            skip(self.reader)?;
        }
        Ok(())
    }

    /// Says that one element is to be read.
    fn enter(&mut self, name: &'static str) -> Result<&mut Reader<'a>, WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::Member(name))?;
        Ok(self.reader)
    }

    fn token(&mut self, name: &'static str) -> Result<Token<'a>, WireError> {
        Ok(self.enter(name)?.next()?)
    }

    fn uint(&mut self, name: &'static str) -> Result<u64, WireError> {
        uint(self.token(name)?, name)
    }

    fn u32(&mut self, name: &'static str) -> Result<u32, WireError> {
        let value = self.uint(name)?;
        value.try_into().map_err(|_| WireError::Member(name))
    }

    fn bool(&mut self, name: &'static str) -> Result<bool, WireError> {
        match self.token(name)? {
            Token::Bool(value) => Ok(value),
            _ => Err(WireError::Member(name)),
        }
    }

    fn str(&mut self, name: &'static str) -> Result<&'a str, WireError> {
        utf8(self.token(name)?, name)
    }

    /// Text that shares the memory of the input.
    fn text(&mut self, name: &'static str) -> Result<ByteString, WireError> {
        match self.token(name)? {
            Token::Str(text) => {
                let text = self.input.slice_ref(text);
                text.try_into().map_err(|_| WireError::Utf8)
            }
            _ => Err(WireError::Member(name)),
        }
    }

    fn request(&mut self) -> Result<RequestId, WireError> {
        self.str("request").map(RequestId::from)
    }

    /// What `read` reads, unless the next element is nil.
    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        let mut ahead = *self.reader;
        if self.left > 0 && ahead.next()? == Token::Nil {
            self.left -= 1;
            *self.reader = ahead;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// A list, each element of which is read by `read`. Its length is a claim: nothing is reserved
    /// for it.
    fn list<T, L: FromIterator<T>>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'a>, &'a Bytes) -> Result<T, WireError>,
    ) -> Result<L, WireError> {
        let input = self.input;
        let reader = self.enter(name)?;
        let Token::Array(len) = reader.next()? else {
            return Err(WireError::Member(name));
        };
        (0..len).map(|_| read(reader, input)).collect()
    }

    fn names<T: From<&'a str>, L: FromIterator<T>>(
        &mut self,
        name: &'static str,
    ) -> Result<L, WireError> {
        self.list(name, |reader, _| utf8(reader.next()?, name).map(T::from))
    }

    fn target(&mut self) -> Result<Target, WireError> {
        let bits = self.uint("flags")?;
        let rooms = self.names("rooms")?;
        let except = self.names("except")?;
        let timeout = self.optional(|fields| fields.uint("timeout"))?;
        let flags = Flags {
            volatile: bits & flag::VOLATILE != 0,
            compress: bits & flag::COMPRESS != 0,
            local: bits & flag::LOCAL != 0,
            broadcast: bits & flag::BROADCAST != 0,
            expect_single_response: bits & flag::EXPECT_SINGLE_RESPONSE != 0,
            timeout: timeout.map(Duration::from_nanos),
        };
        Ok(Target {
            rooms,
            except,
            flags,
        })
    }

    fn payload(&mut self) -> Result<Payload, WireError> {
        let json = self.text("payload")?;
        let attachments: Attachments =
            self.list("attachments", |reader, input| match reader.next()? {
                Token::Bin(bytes) => Ok(input.slice_ref(bytes)),
                _ => Err(WireError::Member("attachments")),
            })?;
        let mut text = json::Reader::new(&json, MAX_DEPTH);
        if text.next()? != Some(json::Token::ArrayStart) {
            return Err(WireError::Member("payload"));
        }
        text.finish()?;
        if !attachments.is_empty() && !placeholders_are_sound(&json, attachments.len()) {
            return Err(WireError::Member("attachments"));
        }
        Ok(Payload::from_parts(json, attachments))
    }

    /// Older versions write none, and what is malformed must not keep the message from its readers.
    fn trace(&mut self) -> Result<Option<Box<TraceContext>>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        let reader = self.enter("trace")?;
        let mut inside = *reader;
        skip(reader)?;
        Ok(trace(&mut inside).map(Box::new))
    }

    /// Any MessagePack.
    fn value(&mut self, name: &'static str) -> Result<Value, WireError> {
        let input = self.input;
        let value = read_value(self.enter(name)?, input, MAX_DEPTH)?;
        Ok(value.unwrap_or_default())
    }

    fn lazy(&mut self, name: &'static str) -> Result<LazyValue, WireError> {
        let reader = self.enter(name)?;
        let before = reader.rest();
        skip(reader)?;
        let (value, _) = before.split_at(before.len() - reader.rest().len());
        Ok(LazyValue::skipped(value))
    }

    fn snapshot(reader: &mut Reader<'a>, input: &'a Bytes) -> Result<SocketSnapshot, WireError> {
        let mut fields = Fields::open(reader, input, "snapshot")?;
        let snapshot = SocketSnapshot {
            id: fields.str("socket")?.into(),
            handshake: fields.lazy("handshake")?,
            rooms: fields.names("rooms")?,
            data: fields.value("data")?,
        };
        fields.close()?;
        Ok(snapshot)
    }

    fn counts(reader: &mut Reader<'a>, input: &'a Bytes) -> Result<NamespaceRooms, WireError> {
        let mut fields = Fields::open(reader, input, "counts")?;
        // A copy: counts are kept, and must not keep the whole message.
        let namespace = fields.str("namespace")?.into();
        let sockets = fields.uint("sockets")?;
        let reader = fields.enter("rooms")?;
        let Token::Map(len) = reader.next()? else {
            return Err(WireError::Member("rooms"));
        };
        let mut rooms = Vec::new();
        for _ in 0..len {
            let room = utf8(reader.next()?, "room")?.into();
            rooms.push((room, uint(reader.next()?, "count")?));
        }
        fields.close()?;
        Ok(NamespaceRooms {
            namespace,
            sockets,
            rooms,
        })
    }
}

/// Reads what was found to be some MessagePack.
fn trace(reader: &mut Reader<'_>) -> Option<TraceContext> {
    let Ok(Token::Array(len @ 1..)) = reader.next() else {
        return None;
    };
    let parent = utf8(reader.next().ok()?, "traceparent").ok()?;
    let state = if len > 1 { reader.next().ok() } else { None };
    let state = state.and_then(|state| utf8(state, "tracestate").ok());
    TraceContext::parse(parent, state).ok()
}

fn uint(token: Token<'_>, name: &'static str) -> Result<u64, WireError> {
    match token {
        Token::UInt(value) => Ok(value),
        Token::Int(value) => value.try_into().map_err(|_| WireError::Member(name)),
        _ => Err(WireError::Member(name)),
    }
}

fn utf8<'a>(token: Token<'a>, name: &'static str) -> Result<&'a str, WireError> {
    match token {
        Token::Str(text) => std::str::from_utf8(text).map_err(|_| WireError::Utf8),
        _ => Err(WireError::Member(name)),
    }
}
