//! Reading frames.

use bytes::Bytes;
use bytestring::ByteString;

use super::header::{Header, Rules};
use super::{MAX_HEADER_LEN, OpCode, Role, WsError, apply_mask};

/// Memory that a frame gets with its first byte because of what it announced; beyond it, memory
/// follows the bytes that really come. 64 KiB holds nearly every message in one allocation, and a
/// thousand attackers who only announce cost 64 MB.
const MAX_PREALLOCATION: usize = 64 * 1024;

/// Something complete that came from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WsEvent {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with a pong of the same data.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame with its code and reason, if any. Nothing that follows is read.
    Close(Option<(u16, String)>),
}

/// What [`FrameDecoder::decode`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decoded {
    /// So many bytes of the input were read; call again with the rest.
    pub consumed: usize,
    /// `None`: all of the input was read, and the next event is not complete.
    pub event: Option<WsEvent>,
}

/// Reads frames from bytes as they come, in any pieces.
///
/// Made for one large read buffer that many connections share: a message that lies in the input
/// as a whole is unmasked there and copied once, into memory of its exact size. Only the part of a
/// message that is not complete is kept, so that between messages a decoder owns no memory.
///
/// The cost is linear in the input, whatever its fragmentation, and fragments are joined as they
/// come, so that the memory of a message is bounded by its size and not by the number of its
/// fragments.
///
/// After an error or a close frame everything is swallowed.
#[derive(Debug)]
pub struct FrameDecoder {
    max_message: usize,
    role: Role,
    ended: bool,
    /// The kind of the message whose last fragment has not begun.
    message: Option<OpCode>,
    /// The start of a header whose end has not come.
    header: [u8; MAX_HEADER_LEN],
    header_len: u8,
    /// The frame whose payload is being read.
    frame: Option<Header>,
    /// Payload of the current message so far, unmasked.
    data: Vec<u8>,
    /// Payload of the current control frame so far; apart, since it may come amid a message.
    control: Vec<u8>,
}

impl FrameDecoder {
    /// A decoder at the start of a connection. A message longer than `max_message` bytes is
    /// refused as soon as a header announces it.
    #[must_use]
    pub const fn new(role: Role, max_message: usize) -> Self {
        Self {
            max_message,
            role,
            ended: false,
            message: None,
            header: [0; MAX_HEADER_LEN],
            header_len: 0,
            frame: None,
            data: Vec::new(),
            control: Vec::new(),
        }
    }

    /// Reads up to the next event. What was consumed of `input` is changed by unmasking; the rest
    /// is untouched, and is to be given again.
    ///
    /// # Errors
    /// [`WsError`] if the peer broke a rule; then nothing that follows is read.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, WsError> {
        let result = self.decode_next(input);
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Iterates over the events in `input`. Dropped early, the rest of the input is lost unless it
    /// is taken with [`Events::into_rest`].
    pub const fn feed<'a>(&'a mut self, input: &'a mut [u8]) -> Events<'a> {
        Events {
            decoder: self,
            input,
        }
    }

    /// Whether nothing was read of a message or frame whose end has not come: no memory is held.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.message.is_none() && self.frame.is_none() && self.header_len == 0
    }

    /// Bytes of memory held beside the decoder itself.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.data.capacity() + self.control.capacity()
    }

    fn decode_next(&mut self, input: &mut [u8]) -> Result<Decoded, WsError> {
        let mut consumed = 0;
        while !self.ended {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(input, &mut consumed)? {
                    Some(frame) => frame,
                    None => break,
                },
            };
            let end = input.len().min(consumed + (frame.len - frame.read));
            let piece = &mut input[consumed..end];
            consumed = end;
            if let Some(mask) = frame.mask {
                apply_mask(piece, mask, frame.read);
            }
            frame.read += piece.len();
            if frame.read < frame.len {
                self.keep(frame, piece);
                break;
            }
            let event = if frame.opcode.is_control() {
                Some(self.finish_control(frame, piece)?)
            } else {
                self.finish_data(frame, piece)?
            };
            if event.is_some() {
                return Ok(Decoded { consumed, event });
            }
        }
        if self.ended {
            consumed = input.len();
        }
        Ok(Decoded {
            consumed,
            event: None,
        })
    }

    /// Reads a header from what was kept of it and the input; `None` if it is not complete.
    fn read_header(
        &mut self,
        input: &[u8],
        consumed: &mut usize,
    ) -> Result<Option<Header>, WsError> {
        let rest = &input[*consumed..];
        let kept = usize::from(self.header_len);
        if kept == 0 {
            if let Some((header, len)) = Header::parse(rest, &self.rules())? {
                *consumed += len;
                return Ok(Some(header));
            }
            self.header[..rest.len()].copy_from_slice(rest);
        } else {
            let more = rest.len().min(MAX_HEADER_LEN - kept);
            self.header[kept..kept + more].copy_from_slice(&rest[..more]);
            let bytes = self.header;
            if let Some((header, len)) = Header::parse(&bytes[..kept + more], &self.rules())? {
                self.header_len = 0;
                *consumed += len - kept;
                return Ok(Some(header));
            }
        }
        // An incomplete header is shorter than the longest one, so all of `rest` was kept.
        self.header_len += rest.len() as u8;
        *consumed = input.len();
        Ok(None)
    }

    const fn rules(&self) -> Rules {
        Rules {
            masked: matches!(self.role, Role::Server),
            in_message: self.message.is_some(),
            // `data` never exceeds the limit, so this does not overflow.
            room: self.max_message - self.data.len(),
        }
    }

    /// Keeps the first part of a payload whose end has not come.
    fn keep(&mut self, frame: Header, piece: &[u8]) {
        self.frame = Some(frame);
        if piece.is_empty() {
            // Only announced: no memory yet, and if the payload comes at once, none at all.
        } else if frame.opcode.is_control() {
            self.control.reserve_exact(frame.len - self.control.len());
            self.control.extend_from_slice(piece);
        } else {
            self.append(piece, frame.len - frame.read, frame.fin);
        }
    }

    /// Adds to the message; so many more bytes are `announced` and, if it is the `last` frame, no
    /// others will come.
    fn append(&mut self, piece: &[u8], announced: usize, last: bool) {
        let needed = self.data.len() + piece.len();
        if needed > self.data.capacity() {
            // Doubling keeps the cost linear; the last step hits the total exactly.
            let mut capacity =
                (needed + announced.min(MAX_PREALLOCATION)).max(self.data.capacity() * 2);
            if last {
                capacity = capacity.min(needed + announced);
            }
            self.data.reserve_exact(capacity - self.data.len());
        }
        self.data.extend_from_slice(piece);
    }

    fn finish_control(&mut self, frame: Header, piece: &[u8]) -> Result<WsEvent, WsError> {
        let payload = if piece.len() == frame.len {
            Bytes::copy_from_slice(piece)
        } else {
            self.control.extend_from_slice(piece);
            std::mem::take(&mut self.control).into()
        };
        Ok(match frame.opcode {
            OpCode::Ping => WsEvent::Ping(payload),
            OpCode::Pong => WsEvent::Pong(payload),
            // Data frames do not come here.
            _ => {
                let close = parse_close(&payload)?;
                self.end();
                WsEvent::Close(close)
            }
        })
    }

    fn finish_data(&mut self, frame: Header, piece: &[u8]) -> Result<Option<WsEvent>, WsError> {
        let opcode = self.message.unwrap_or(frame.opcode);
        if !frame.fin {
            self.message = Some(opcode);
            self.append(piece, 0, false);
            return Ok(None);
        }
        self.message = None;
        if self.data.is_empty() {
            return Ok(Some(if opcode == OpCode::Text {
                let text = std::str::from_utf8(piece).map_err(|_| WsError::InvalidUtf8)?;
                WsEvent::Text(text.into())
            } else {
                WsEvent::Binary(Bytes::copy_from_slice(piece))
            }));
        }
        self.append(piece, 0, true);
        let mut data = std::mem::take(&mut self.data);
        // Only fragmented messages have room to spare.
        data.shrink_to_fit();
        Ok(Some(if opcode == OpCode::Text {
            WsEvent::Text(ByteString::try_from(data).map_err(|_| WsError::InvalidUtf8)?)
        } else {
            WsEvent::Binary(data.into())
        }))
    }

    fn end(&mut self) {
        *self = Self {
            ended: true,
            ..Self::new(self.role, self.max_message)
        };
    }
}

/// RFC 6455, section 7.4: codes that may be sent.
const fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn parse_close(payload: &[u8]) -> Result<Option<(u16, String)>, WsError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(WsError::BadClose)?;
    let code = u16::from_be_bytes(*code);
    if !is_valid_close_code(code) {
        return Err(WsError::BadClose);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WsError::InvalidUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

/// The events in one input; see [`FrameDecoder::feed`]. Ends after an error or a close frame.
#[derive(Debug)]
pub struct Events<'a> {
    decoder: &'a mut FrameDecoder,
    input: &'a mut [u8],
}

impl<'a> Events<'a> {
    /// What was not read of the input, for the next [`FrameDecoder::feed`].
    #[must_use]
    pub fn into_rest(self) -> &'a mut [u8] {
        self.input
    }
}

impl Iterator for Events<'_> {
    type Item = Result<WsEvent, WsError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.decoder.decode(self.input) {
            Ok(Decoded { consumed, event }) => {
                self.input = &mut std::mem::take(&mut self.input)[consumed..];
                event.map(Ok)
            }
            Err(error) => {
                self.input = &mut [];
                Some(Err(error))
            }
        }
    }
}
