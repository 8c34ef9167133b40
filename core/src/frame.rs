//! [`Frame`]: one message as it leaves the server, encoded once for all its recipients.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::engine::{Control, PayloadEncoder, Revision};
use crate::websocket::{OpCode, encode_header};

/// How a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameOptions {
    /// Whether a polling response that holds this message may be compressed.
    pub compress: bool,
}

impl Default for FrameOptions {
    fn default() -> Self {
        Self { compress: true }
    }
}

/// One Engine.IO packet, or a text message with the attachments that must follow it directly.
///
/// The bytes are those of the WebSocket frames of a server, so that a broadcast writes the same
/// memory to every socket. Other forms are derived when first needed. Cloning copies a pointer.
#[derive(Clone)]
pub struct Frame(Arc<Inner>);

struct Inner {
    /// All WebSocket frames in a row, as Engine.IO revision 4 wants them.
    websocket: Bytes,
    /// Where in `websocket` the text packet lies; empty if there is none.
    text: Range<usize>,
    /// Where in `websocket` the attachments lie.
    attachments: SmallVec<[Range<usize>; 1]>,
    compress: bool,
    /// As `websocket`, for revision 3; only for frames with attachments.
    websocket_v3: OnceLock<Bytes>,
    /// The attachments as text packets of revision 4: `b<base64>`.
    base64: OnceLock<Box<[String]>>,
}

impl Frame {
    /// A message: `text`, the encoded Socket.IO packet, and its attachments.
    #[must_use]
    pub fn message(text: &str, attachments: &[Bytes], options: FrameOptions) -> Self {
        Self::build(&[b"4", text.as_bytes()], attachments, options)
    }

    /// A message that is only bytes, as the MessagePack parser sends them.
    #[must_use]
    pub fn binary_message(bytes: Bytes, options: FrameOptions) -> Self {
        Self::build(&[], &[bytes], options)
    }

    /// A text packet of Engine.IO with its type in front, such as `3probe`.
    #[must_use]
    pub fn packet(text: &str) -> Self {
        Self::build(&[text.as_bytes()], &[], FrameOptions { compress: false })
    }

    /// WebSocket frames that are no packet of Engine.IO, such as a pong or a close frame. Polling
    /// recipients get nothing.
    #[must_use]
    pub fn raw(websocket: Bytes) -> Self {
        let options = FrameOptions { compress: false };
        Self::from_parts(websocket, 0..0, SmallVec::new(), options)
    }

    /// A packet of Engine.IO itself. Pings, of which there are many, share one frame.
    #[must_use]
    pub fn control(control: &Control) -> Self {
        static PING: OnceLock<Frame> = OnceLock::new();
        let build = || {
            // As in Node, only the open packet counts when a response is to be compressed.
            let compress = matches!(control, Control::Open(_));
            Self::build(
                &[control.to_text().as_bytes()],
                &[],
                FrameOptions { compress },
            )
        };
        match control {
            Control::Ping => PING.get_or_init(build).clone(),
            _ => build(),
        }
    }

    /// Puts the pieces of a text packet and the attachments into one allocation.
    pub(crate) fn build(pieces: &[&[u8]], attachments: &[Bytes], options: FrameOptions) -> Self {
        let text_len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        // Exact, since `Bytes` needs another allocation for a buffer with room left.
        let framed = |len: usize| header_len(len) + len;
        let mut capacity = attachments.iter().map(|bytes| framed(bytes.len())).sum();
        if !pieces.is_empty() {
            capacity += framed(text_len);
        }
        let mut out = Vec::with_capacity(capacity);
        let mut text = 0..0;
        if !pieces.is_empty() {
            encode_header(&mut out, OpCode::Text, text_len, true, None);
            text = out.len()..out.len() + text_len;
            for piece in pieces {
                out.extend_from_slice(piece);
            }
        }
        let mut ranges = SmallVec::with_capacity(attachments.len());
        for bytes in attachments {
            encode_header(&mut out, OpCode::Binary, bytes.len(), true, None);
            ranges.push(out.len()..out.len() + bytes.len());
            out.extend_from_slice(bytes);
        }
        Self::from_parts(out.into(), text, ranges, options)
    }

    fn from_parts(
        websocket: Bytes,
        text: Range<usize>,
        attachments: SmallVec<[Range<usize>; 1]>,
        options: FrameOptions,
    ) -> Self {
        Self(Arc::new(Inner {
            websocket,
            text,
            attachments,
            compress: options.compress,
            websocket_v3: OnceLock::new(),
            base64: OnceLock::new(),
        }))
    }

    /// The WebSocket frames, one behind the other.
    #[must_use]
    pub fn websocket(&self, revision: Revision) -> &Bytes {
        if revision == Revision::V4 || self.0.attachments.is_empty() {
            return &self.0.websocket;
        }
        self.0.websocket_v3.get_or_init(|| {
            let mut out = Vec::with_capacity(self.0.websocket.len() + self.0.attachments.len());
            self.write_text_frame(&mut out);
            for attachment in self.attachments() {
                encode_header(&mut out, OpCode::Binary, attachment.len() + 1, true, None);
                out.push(MESSAGE_V3);
                out.extend_from_slice(attachment);
            }
            out.into()
        })
    }

    /// The WebSocket frames for a client that asked for base64 (`b64=1`). Not kept: hardly any
    /// client that can open a WebSocket does so.
    #[must_use]
    pub fn websocket_b64(&self, revision: Revision) -> Bytes {
        let mut out = Vec::with_capacity(self.0.websocket.len() * 4 / 3 + 10);
        self.write_text_frame(&mut out);
        for packet in self.base64() {
            match revision {
                Revision::V3 => {
                    encode_header(&mut out, OpCode::Text, packet.len() + 1, true, None);
                    out.extend_from_slice(b"b4");
                    out.extend_from_slice(&packet.as_bytes()[1..]);
                }
                Revision::V4 => {
                    encode_header(&mut out, OpCode::Text, packet.len(), true, None);
                    out.extend_from_slice(packet.as_bytes());
                }
            }
        }
        out.into()
    }

    /// Appends the packets to the body of a polling response. Base64 is computed once for all
    /// recipients.
    pub fn write_payload(&self, payload: &mut PayloadEncoder) {
        if let Some(text) = self.text() {
            payload.push_text(text);
        }
        if payload.wants_base64() {
            for packet in self.base64() {
                payload.push_base64(&packet[1..]);
            }
        } else {
            for attachment in self.attachments() {
                payload.push_binary(attachment);
            }
        }
    }

    /// The text packet, with its Engine.IO type in front.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if self.0.text.is_empty() {
            return None;
        }
        // Built from `str`s only, so this does not fail.
        std::str::from_utf8(&self.0.websocket[self.0.text.clone()]).ok()
    }

    /// The binary messages.
    #[must_use]
    pub fn attachments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let ranges = self.0.attachments.iter();
        ranges.map(|range| &self.0.websocket[range.clone()])
    }

    /// Size in bytes, for the bounds of queues: that of the WebSocket frames.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame has at least a header")]
    pub fn len(&self) -> usize {
        self.0.websocket.len()
    }

    /// Number of Engine.IO packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        usize::from(!self.0.text.is_empty()) + self.0.attachments.len()
    }

    /// Whether a polling response may be compressed on behalf of this frame.
    #[must_use]
    pub fn compress(&self) -> bool {
        self.0.compress
    }

    fn write_text_frame(&self, out: &mut Vec<u8>) {
        if !self.0.text.is_empty() {
            // From the header of the first frame to the end of its text.
            out.extend_from_slice(&self.0.websocket[..self.0.text.end]);
        }
    }

    fn base64(&self) -> &[String] {
        self.0.base64.get_or_init(|| {
            self.attachments()
                .map(|attachment| {
                    let mut packet = String::with_capacity(1 + attachment.len().div_ceil(3) * 4);
                    packet.push('b');
                    STANDARD.encode_string(attachment, &mut packet);
                    packet
                })
                .collect()
        })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("text", &self.text())
            .field("attachments", &self.0.attachments.len())
            .field("len", &self.len())
            .finish()
    }
}

/// The type byte in front of a binary message of revision 3.
const MESSAGE_V3: u8 = 4;

/// Length of the header of an unmasked frame.
fn header_len(len: usize) -> usize {
    match len {
        0..126 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

#[cfg(test)]
mod tests;
