//! [`PacketDecoder`]: from the messages of one connection to packets.

use bytes::Bytes;
use bytestring::ByteString;

use crate::engine::Revision;
use crate::payload::{Attachments, Payload};

use super::parse::{self, Header, Kind};
use super::{DecodeError, DecodeLimits, Packet, ParserKind, msgpack};

/// Turns the messages of one connection into packets, collecting attachments. Holds no heap while
/// no attachment is awaited.
///
/// ```
/// use bytes::Bytes;
/// use socketio_core::engine::Revision;
/// use socketio_core::packet::{DecodeLimits, Packet, PacketDecoder, ParserKind};
///
/// let mut decoder = PacketDecoder::new(ParserKind::Json, Revision::V4, DecodeLimits::default());
/// let text = r#"51-["image",{"_placeholder":true,"num":0}]"#;
/// assert_eq!(decoder.handle_text(text.into())?, None);
/// let packet = decoder.handle_binary(Bytes::from_static(b"\x89PNG"))?;
/// assert!(matches!(packet, Some(Packet::Event { payload, .. }) if payload.attachments().len() == 1));
/// # Ok::<(), socketio_core::packet::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct PacketDecoder {
    parser: ParserKind,
    revision: Revision,
    limits: DecodeLimits,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments are not complete.
#[derive(Debug)]
struct Pending {
    header: Header,
    attachments: Attachments,
    /// Bytes that may still come.
    budget: usize,
}

impl PacketDecoder {
    /// A decoder for a connection that speaks `parser` over this revision of Engine.IO.
    #[must_use]
    pub fn new(parser: ParserKind, revision: Revision, limits: DecodeLimits) -> Self {
        Self {
            parser,
            revision,
            limits,
            pending: None,
        }
    }

    /// Takes a text message. `None` means that attachments must follow, or that the packet is one
    /// to be ignored: an acknowledgement without an id.
    ///
    /// # Errors
    ///
    /// When the message is no valid packet, or attachments were expected. The connection is to be
    /// closed; the decoder is empty again.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a packet keeps slices of the message"
    )]
    pub fn handle_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        if self.pending.take().is_some() || self.parser == ParserKind::MessagePack {
            return Err(DecodeError::UnexpectedText);
        }
        let header = parse::parse(&text, self.revision, &self.limits)?;
        if header.attachments == 0 {
            return Ok(packet(header, Attachments::new()));
        }
        let budget = self.limits.max_attachment_bytes;
        let budget = budget
            .checked_sub(text.len())
            .ok_or(DecodeError::TooLarge)?;
        self.pending = Some(Box::new(Pending {
            header,
            attachments: Attachments::new(),
            budget,
        }));
        Ok(None)
    }

    /// Takes a binary message: an attachment, or with the MessagePack parser a packet.
    ///
    /// # Errors
    ///
    /// When no attachment was expected, the packet becomes too large, or is not valid. The
    /// connection is to be closed; the decoder is empty again.
    pub fn handle_binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, DecodeError> {
        if self.parser == ParserKind::MessagePack {
            return msgpack::decode(&bytes, self.revision, &self.limits);
        }
        let mut pending = self.pending.take().ok_or(DecodeError::UnexpectedBinary)?;
        let budget = pending.budget.checked_sub(bytes.len());
        pending.budget = budget.ok_or(DecodeError::TooLarge)?;
        if pending.attachments.len() + 1 < pending.header.attachments as usize {
            // What waits here may be a few bytes of a large body (Engine.IO 3 puts attachments
            // into one). A thousand such slices would hold a thousand bodies, which no limit sees.
            let own = if bytes.is_unique() {
                bytes
            } else {
                Bytes::copy_from_slice(&bytes)
            };
            pending.attachments.push(own);
            self.pending = Some(pending);
            return Ok(None);
        }
        pending.attachments.push(bytes);
        Ok(packet(pending.header, pending.attachments))
    }

    /// Forgets a packet that is not complete.
    pub fn reset(&mut self) {
        self.pending = None;
    }

    /// Whether attachments are awaited.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

/// The packet of a checked header.
pub(super) fn packet(header: Header, attachments: Attachments) -> Option<Packet> {
    let Header {
        kind,
        nsp,
        ack,
        payload,
        ..
    } = header;
    let arguments = |json: Option<ByteString>| match json {
        Some(json) => Payload::from_parts(json, attachments),
        None => Payload::empty(),
    };
    Some(match kind {
        Kind::Connect => Packet::Connect { nsp, auth: payload },
        Kind::Disconnect => Packet::Disconnect { nsp },
        Kind::Event => Packet::Event {
            nsp,
            ack,
            payload: arguments(payload),
        },
        Kind::Ack => Packet::Ack {
            nsp,
            id: ack?,
            payload: arguments(payload),
        },
        Kind::ConnectError => Packet::ConnectError {
            nsp,
            data: payload.unwrap_or(ByteString::from_static("null")),
        },
    })
}
