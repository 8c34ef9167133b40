//! Answers.

use bytes::Bytes;

use super::message::{Frame, kind, write};
use crate::cluster::wire::node_js;
use crate::cluster::wire::part::Part;
use crate::cluster::wire::writer::{Writer, check, first_argument};
use crate::cluster::wire::{Decoded, WireError};
use crate::cluster::{ClusterResponse, ResponseBody};
use crate::ids::NodeId;
use crate::payload::Payload;

pub(super) fn encode(me: &NodeId, response: &ClusterResponse) -> Result<Option<Bytes>, WireError> {
    let write = |writer, kind, len, data: &dyn Fn(&mut Writer)| {
        write(
            writer,
            kind,
            me,
            &response.namespace,
            false,
            None,
            |writer| {
                writer.map(1 + len);
                writer.key("requestId");
                writer.str(response.request.as_str());
                data(writer);
            },
        )
    };
    Ok(Some(match &response.body {
        ResponseBody::Ack { payload, .. } | ResponseBody::ServerSideEmit(payload) => {
            check(payload)?;
            let kind = match response.body {
                ResponseBody::Ack { .. } => kind::BROADCAST_ACK,
                _ => kind::SERVER_SIDE_EMIT_RESPONSE,
            };
            let (first, binary) = first_argument(payload);
            let len = usize::from(first.is_some());
            write(Writer::new(!binary, payload.len()), kind, len, &|writer| {
                if let Some(first) = first {
                    writer.key("packet");
                    writer.raw(first, payload.attachments());
                }
            })
        }
        ResponseBody::Recipients { count, .. } => {
            write(Writer::json(0), kind::CLIENT_COUNT, 1, &|writer| {
                writer.key("clientCount");
                writer.uint(*count);
            })
        }
        ResponseBody::Sockets(sockets) => {
            let writer = Writer::new(!node_js::has_bytes(sockets), sockets.len() * 1024);
            write(writer, kind::FETCH_RESPONSE, 1, &|writer| {
                node_js::write_sockets(writer, sockets);
            })
        }
        ResponseBody::SocketIds(_) | ResponseBody::Rooms(_) | ResponseBody::Nodes(_) => {
            return Ok(None);
        }
    }))
}

pub(super) fn decode(frame: Frame<'_>) -> Result<Decoded, WireError> {
    let names = ["requestId", "packet", "clientCount", "sockets"];
    let [request, packet, count, sockets] = frame.data.pick("data", names)?;
    let request = node_js::request(request)?.ok_or(WireError::Member("requestId"))?;
    let argument = || packet.map_or_else(|| Ok(Payload::empty()), Part::argument);
    let body = match frame.kind {
        kind::FETCH_RESPONSE => node_js::sockets(sockets.ok_or(WireError::Member("sockets"))?)?,
        kind::SERVER_SIDE_EMIT_RESPONSE => ResponseBody::ServerSideEmit(argument()?),
        kind::BROADCAST_ACK => ResponseBody::Ack {
            socket: None,
            payload: argument()?,
        },
        _ => ResponseBody::Recipients {
            count: count
                .and_then(Part::uint)
                .ok_or(WireError::Member("clientCount"))?,
            sockets: Vec::new(),
        },
    };
    Ok(Decoded::Response(ClusterResponse {
        node: Some(frame.node),
        namespace: (&*frame.namespace).into(),
        request,
        body,
    }))
}
