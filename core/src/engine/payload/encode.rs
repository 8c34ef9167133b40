//! Writing payloads.

use base64::Engine as _;
use bytes::Bytes;
use smallvec::SmallVec;

use super::{LENGTH_END, SEPARATOR};
use crate::engine::{PacketKind, Revision, packet::BASE64};

/// A finished body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPayload {
    /// The bytes.
    pub body: Bytes,
    /// Whether it is `application/octet-stream` and not text.
    pub binary: bool,
}

/// Collects packets into one body.
#[derive(Debug)]
pub struct PayloadEncoder {
    revision: Revision,
    supports_binary: bool,
    has_binary: bool,
    packets: usize,
    /// Revision 4: the body. Revision 3: the packets without framing, because their framing is
    /// only known when it is known whether any of them is binary.
    content: Vec<u8>,
    /// Revision 3 only.
    spans: SmallVec<[Span; 4]>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    end: usize,
    /// Length in UTF-16 units; meaningless for binary packets.
    units: usize,
    binary: bool,
}

impl PayloadEncoder {
    /// Starts an empty body. `supports_binary` is false for a client that asked for base64 (`b64`
    /// or JSONP); it makes no difference in revision 4.
    #[must_use]
    pub fn new(revision: Revision, supports_binary: bool) -> Self {
        Self {
            revision,
            supports_binary,
            has_binary: false,
            packets: 0,
            content: Vec::new(),
            spans: SmallVec::new(),
        }
    }

    /// Whether bytes go out as base64, so that a caller who has them as base64 already should
    /// call [`push_base64`](Self::push_base64).
    #[must_use]
    pub const fn wants_base64(&self) -> bool {
        matches!(self.revision, Revision::V4) || !self.supports_binary
    }

    /// Number of packets so far.
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// Length so far in bytes, without the lengths that revision 3 adds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether there is no packet yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Adds a packet in its text form, type included: `4hello`.
    pub fn push_text(&mut self, packet: &str) {
        self.begin();
        self.content.extend_from_slice(packet.as_bytes());
        self.end_text(|| utf16_len(packet));
    }

    /// Adds a binary message, given without type.
    pub fn push_binary(&mut self, message: &[u8]) {
        self.begin();
        if self.wants_base64() {
            self.content.extend_from_slice(self.base64_prefix());
            let start = self.content.len();
            let length = message.len().div_ceil(3) * 4;
            self.content.resize(start + length, 0);
            // The slice has the exact length of the padded encoding, so this cannot fail.
            let _ = BASE64.encode_slice(message, &mut self.content[start..]);
            self.end_base64(length);
        } else {
            self.content.push(PacketKind::Message as u8);
            self.content.extend_from_slice(message);
            self.has_binary = true;
            self.packets += 1;
            self.spans.push(Span {
                end: self.content.len(),
                units: 0,
                binary: true,
            });
        }
    }

    /// Adds a binary message that is base64 already (standard alphabet, padded), given without
    /// type. For callers that send the same message to many; see
    /// [`wants_base64`](Self::wants_base64).
    pub fn push_base64(&mut self, message: &str) {
        self.begin();
        self.content.extend_from_slice(self.base64_prefix());
        self.content.extend_from_slice(message.as_bytes());
        self.end_base64(message.len());
    }

    /// The body. Without packets that is nothing in revision 4 and `0:` in revision 3.
    #[must_use]
    pub fn finish(self) -> EncodedPayload {
        let body = match (self.revision, self.has_binary) {
            (Revision::V4, _) => self.content,
            (Revision::V3, false) => self.frame_as_text(),
            (Revision::V3, true) => self.frame_as_binary(),
        };
        EncodedPayload {
            body: body.into(),
            binary: self.has_binary,
        }
    }

    fn begin(&mut self) {
        if self.revision == Revision::V4 && self.packets > 0 {
            self.content.push(SEPARATOR);
        }
    }

    fn end_text(&mut self, units: impl FnOnce() -> usize) {
        self.packets += 1;
        if self.revision == Revision::V3 {
            self.spans.push(Span {
                end: self.content.len(),
                units: units(),
                binary: false,
            });
        }
    }

    fn end_base64(&mut self, length: usize) {
        let prefix = self.base64_prefix().len();
        self.end_text(|| prefix + length);
    }

    const fn base64_prefix(&self) -> &'static [u8] {
        match self.revision {
            Revision::V3 => b"b4",
            Revision::V4 => b"b",
        }
    }

    fn frame_as_text(&self) -> Vec<u8> {
        if self.spans.is_empty() {
            return b"0:".to_vec();
        }
        let mut out = Vec::with_capacity(self.content.len() + self.spans.len() * 6);
        let mut start = 0;
        for span in &self.spans {
            out.extend_from_slice(span.units.to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(&self.content[start..span.end]);
            start = span.end;
        }
        out
    }

    fn frame_as_binary(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.content.len() + self.spans.len() * 8);
        let mut start = 0;
        for span in &self.spans {
            out.push(u8::from(span.binary));
            let length = (span.end - start).to_string();
            out.extend(length.bytes().map(|digit| digit - b'0'));
            out.push(LENGTH_END);
            out.extend_from_slice(&self.content[start..span.end]);
            start = span.end;
        }
        out
    }
}

fn utf16_len(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().map(char::len_utf16).sum()
    }
}
