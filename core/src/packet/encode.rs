//! Packets as [`Frame`]s.

use smallvec::SmallVec;

use crate::engine::Revision;
use crate::frame::{Frame, FrameOptions};
use crate::ids::AckId;
use crate::payload::Payload;
use crate::value::write_scalar;

use super::{Packet, ParserKind, msgpack};

impl ParserKind {
    /// The server's answer to a CONNECT. `pid` is the private id of connection state recovery.
    #[must_use]
    pub fn encode_connect(self, nsp: &str, sid: &str, pid: Option<&str>) -> Frame {
        let mut data = br#"{"sid":"#.to_vec();
        write_scalar(&mut data, sid);
        if let Some(pid) = pid {
            data.extend_from_slice(br#","pid":"#);
            write_scalar(&mut data, pid);
        }
        data.push(b'}');
        self.control(Type::Connect, nsp, Some(&data))
    }

    /// The server's answer to a CONNECT of revision 4 (Engine.IO 3), which has no payload.
    #[must_use]
    pub fn encode_connect_eio3(self, nsp: &str) -> Frame {
        self.control(Type::Connect, nsp, None)
    }

    /// The CONNECT of a client. `auth` is a JSON object.
    #[must_use]
    pub fn encode_connect_request(self, nsp: &str, auth: Option<&str>) -> Frame {
        self.control(Type::Connect, nsp, auth.map(str::as_bytes))
    }

    /// Refuses a CONNECT. `data` is JSON of the application. In revision 5 the payload is
    /// `{"message":…,"data":…}`; for Engine.IO 3 it is `data`, or without it the message.
    #[must_use]
    pub fn encode_connect_error(
        self,
        nsp: &str,
        message: &str,
        data: Option<&str>,
        revision: Revision,
    ) -> Frame {
        let mut out = Vec::new();
        match (revision, data) {
            (Revision::V3, Some(data)) => out.extend_from_slice(data.as_bytes()),
            (Revision::V3, None) => write_scalar(&mut out, message),
            (Revision::V4, data) => {
                out.extend_from_slice(br#"{"message":"#);
                write_scalar(&mut out, message);
                if let Some(data) = data {
                    out.extend_from_slice(br#","data":"#);
                    out.extend_from_slice(data.as_bytes());
                }
                out.push(b'}');
            }
        }
        self.control(Type::ConnectError, nsp, Some(&out))
    }

    /// Leaves a namespace, or makes the other side leave it.
    #[must_use]
    pub fn encode_disconnect(self, nsp: &str) -> Frame {
        self.control(Type::Disconnect, nsp, None)
    }

    /// An event.
    #[must_use]
    pub fn encode_event(
        self,
        nsp: &str,
        ack: Option<AckId>,
        payload: &Payload,
        options: FrameOptions,
    ) -> Frame {
        self.arguments(Type::Event, nsp, ack, payload, options)
    }

    /// The answer to an event.
    #[must_use]
    pub fn encode_ack(self, nsp: &str, id: AckId, payload: &Payload) -> Frame {
        self.arguments(Type::Ack, nsp, Some(id), payload, FrameOptions::default())
    }

    /// Any packet.
    #[must_use]
    pub fn encode(self, packet: &Packet) -> Frame {
        match packet {
            Packet::Connect { nsp, auth } => self.encode_connect_request(nsp, auth.as_deref()),
            Packet::Disconnect { nsp } => self.encode_disconnect(nsp),
            Packet::Event { nsp, ack, payload } => {
                self.encode_event(nsp, *ack, payload, FrameOptions::default())
            }
            Packet::Ack { nsp, id, payload } => self.encode_ack(nsp, *id, payload),
            Packet::ConnectError { nsp, data } => {
                self.control(Type::ConnectError, nsp, Some(data.as_bytes().as_ref()))
            }
        }
    }

    fn control(self, kind: Type, nsp: &str, data: Option<&[u8]>) -> Frame {
        match self {
            Self::Json => {
                let prefix = prefix(kind as u8, 0, nsp, None);
                let pieces = [prefix.as_slice(), data.unwrap_or_default()];
                Frame::build(&pieces, &[], FrameOptions::default())
            }
            Self::MessagePack => {
                // `data` is made of `str`s.
                let data = data.and_then(|data| std::str::from_utf8(data).ok());
                msgpack::encode(kind, nsp, None, data, &[], FrameOptions::default())
            }
        }
    }

    fn arguments(
        self,
        kind: Type,
        nsp: &str,
        ack: Option<AckId>,
        payload: &Payload,
        options: FrameOptions,
    ) -> Frame {
        let (json, attachments) = (payload.json(), payload.attachments());
        match self {
            Self::Json => {
                let binary = if attachments.is_empty() { 0 } else { BINARY };
                let prefix = prefix(kind as u8 + binary, attachments.len(), nsp, ack);
                Frame::build(&[&prefix, json.as_bytes()], attachments, options)
            }
            Self::MessagePack => msgpack::encode(kind, nsp, ack, Some(json), attachments, options),
        }
    }
}

/// The types that both parsers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
}

/// From EVENT and ACK to BINARY_EVENT and BINARY_ACK.
const BINARY: u8 = 3;

/// What stands before the JSON, from the Engine.IO type on. Hardly ever outgrows the stack.
fn prefix(kind: u8, attachments: usize, nsp: &str, ack: Option<AckId>) -> SmallVec<[u8; 64]> {
    let mut out = SmallVec::new();
    out.extend_from_slice(&[b'4', b'0' + kind]);
    if attachments > 0 {
        push_decimal(&mut out, attachments as u64);
        out.push(b'-');
    }
    if nsp != "/" {
        out.extend_from_slice(nsp.as_bytes());
        out.push(b',');
    }
    if let Some(AckId(id)) = ack {
        push_decimal(&mut out, id);
    }
    out
}

fn push_decimal(out: &mut SmallVec<[u8; 64]>, number: u64) {
    let start = out.len();
    let mut rest = number;
    loop {
        // Below ten.
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out[start..].reverse();
}
