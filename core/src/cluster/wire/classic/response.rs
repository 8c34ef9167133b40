//! Answers. They do not say who answers.

use bytes::Bytes;

use super::{Classic, kind};
use crate::cluster::wire::node_js;
use crate::cluster::wire::part::{Document, Part};
use crate::cluster::wire::writer::{Writer, check, first_argument};
use crate::cluster::wire::{Decoded, Encoded, WireError};
use crate::cluster::{ClusterResponse, ResponseBody};
use crate::ids::NodeId;
use crate::payload::Payload;

pub(super) fn encode(
    classic: &Classic,
    to: &NodeId,
    response: &ClusterResponse,
) -> Result<Option<Encoded>, WireError> {
    let request = response.request.as_str();
    let mut channel = format!("{}{}#", classic.responses, response.namespace);
    let to = node_js::name_of(to);
    // Whoever asks listens to both channels. Node.js never uses the second one here.
    let server_side = matches!(response.body, ResponseBody::ServerSideEmit(_));
    if classic.specific_responses && !to.is_empty() && !server_side {
        channel.push_str(to);
        channel.push('#');
    }
    let begin = |mut writer: Writer, kind: Option<u64>, len: usize| {
        writer.map(1 + usize::from(kind.is_some()) + len);
        if let Some(kind) = kind {
            writer.key("type");
            writer.uint(kind);
        }
        writer.key("requestId");
        writer.str(request);
        writer
    };
    let mut writer = match &response.body {
        ResponseBody::Ack { payload, .. } => {
            check(payload)?;
            let (first, _) = first_argument(payload);
            let writer = Writer::pack(payload.len());
            let kind = Some(kind::BROADCAST_ACK);
            let mut writer = begin(writer, kind, usize::from(first.is_some()));
            if let Some(first) = first {
                writer.key("packet");
                writer.raw(first, payload.attachments());
            }
            writer
        }
        ResponseBody::Recipients { count, .. } => {
            let mut writer = begin(Writer::json(0), Some(kind::CLIENT_COUNT), 1);
            writer.key("clientCount");
            writer.uint(*count);
            writer
        }
        ResponseBody::ServerSideEmit(payload) => {
            check(payload)?;
            let (first, binary) = first_argument(payload);
            let writer = Writer::new(!binary, payload.len());
            let kind = Some(kind::SERVER_SIDE_EMIT);
            let mut writer = begin(writer, kind, usize::from(first.is_some()));
            if let Some(first) = first {
                writer.key("data");
                writer.raw(first, payload.attachments());
            }
            writer
        }
        ResponseBody::Sockets(sockets) => {
            let writer = Writer::new(!node_js::has_bytes(sockets), sockets.len() * 1024);
            let mut writer = begin(writer, None, 1);
            node_js::write_sockets(&mut writer, sockets);
            writer
        }
        ResponseBody::SocketIds(ids) => {
            let mut writer = begin(Writer::json(ids.len() * 23), None, 1);
            writer.key("sockets");
            writer.strs(ids);
            writer
        }
        ResponseBody::Rooms(rooms) => {
            let mut writer = begin(Writer::json(rooms.len() * 23), None, 1);
            writer.key("rooms");
            writer.strs(rooms);
            writer
        }
        ResponseBody::Nodes(_) => return Ok(None),
    };
    writer.end_map();
    Ok(Some(Encoded {
        channel,
        payload: writer.finish(),
    }))
}

pub(super) fn decode(namespace: &str, payload: &Bytes) -> Result<Decoded, WireError> {
    let document = Document::new(payload)?;
    let names = [
        "type",
        "requestId",
        "clientCount",
        "packet",
        "data",
        "sockets",
        "rooms",
    ];
    let parts = document.root().pick("response", names)?;
    let [kind, request, count, packet, data, sockets, rooms] = parts;
    let request = node_js::request(request)?.ok_or(WireError::Member("requestId"))?;
    let argument =
        |part: Option<Part<'_>>| part.map_or_else(|| Ok(Payload::empty()), Part::argument);
    let body = if kind.is_some() {
        match node_js::kind(kind)? {
            kind::SERVER_SIDE_EMIT => ResponseBody::ServerSideEmit(argument(data)?),
            kind::CLIENT_COUNT => ResponseBody::Recipients {
                count: count
                    .and_then(Part::uint)
                    .ok_or(WireError::Member("clientCount"))?,
                sockets: Vec::new(),
            },
            kind::BROADCAST_ACK => ResponseBody::Ack {
                socket: None,
                payload: argument(packet)?,
            },
            _ => return Ok(Decoded::Skip),
        }
    } else if let Some(sockets) = sockets {
        node_js::sockets(sockets)?
    } else if let Some(rooms) = rooms {
        ResponseBody::Rooms(node_js::names("rooms", Some(rooms))?.into_vec())
    } else {
        // An old member confirms what no version of ours asked.
        return Ok(Decoded::Skip);
    };
    Ok(Decoded::Response(ClusterResponse {
        node: None,
        namespace: namespace.into(),
        request,
        body,
    }))
}
