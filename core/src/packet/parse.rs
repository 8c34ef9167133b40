//! The text of a packet: header and payload.

use bytestring::ByteString;
use smallvec::SmallVec;

use crate::engine::Revision;
use crate::ids::AckId;
use crate::json::{self, Reader, Token};
use crate::value::write_scalar;

use super::{DecodeError, DecodeLimits, MAIN, RESERVED_EVENTS};

/// The seven types of the default parser; the binary ones are told by `attachments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

/// A text packet, checked except for the attachments that are still to come.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Not zero in binary packets.
    pub(super) attachments: u32,
    pub(super) nsp: ByteString,
    pub(super) ack: Option<AckId>,
    pub(super) payload: Option<ByteString>,
}

/// Reads a text message. Slices of it are shared, not copied, except in packets that are kept
/// for long: those must not hold on to a larger buffer.
pub(super) fn parse(
    text: &ByteString,
    revision: Revision,
    limits: &DecodeLimits,
) -> Result<Header, DecodeError> {
    let (kind, binary) = match text.as_bytes().first() {
        Some(b'0') => (Kind::Connect, false),
        Some(b'1') => (Kind::Disconnect, false),
        Some(b'2') => (Kind::Event, false),
        Some(b'3') => (Kind::Ack, false),
        Some(b'4') => (Kind::ConnectError, false),
        Some(b'5') => (Kind::Event, true),
        Some(b'6') => (Kind::Ack, true),
        _ => return Err(DecodeError::UnknownType),
    };
    let mut rest = &text[1..];
    let mut attachments = 0;
    if binary {
        let (count, behind) = rest.split_once('-').ok_or(DecodeError::Attachments)?;
        attachments = attachment_count(count, limits)?;
        rest = behind;
    }
    let mut nsp = "/";
    if rest.starts_with('/') {
        (nsp, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut ack = None;
    if digits > 0 {
        let id = rest[..digits].parse().map_err(|_| DecodeError::AckId)?;
        ack = Some(AckId(id));
        rest = &rest[digits..];
    }
    let payload = (!rest.is_empty()).then_some(rest);
    check(kind, attachments, payload, revision, limits)?;

    if kind == Kind::Connect {
        let (nsp, query) = match revision {
            // Revision 4 appends credentials to the namespace.
            Revision::V3 => nsp
                .split_once('?')
                .map_or((nsp, None), |(n, q)| (n, Some(q))),
            Revision::V4 => (nsp, None),
        };
        let payload = query.map(query_to_json).or_else(|| payload.map(Into::into));
        return Ok(Header {
            kind,
            attachments,
            nsp: if nsp == "/" { MAIN } else { nsp.into() },
            ack,
            payload,
        });
    }
    Ok(Header {
        kind,
        attachments,
        nsp: if nsp == "/" {
            MAIN
        } else {
            text.slice_ref(nsp)
        },
        ack,
        payload: payload.map(|payload| text.slice_ref(payload)),
    })
}

fn attachment_count(digits: &str, limits: &DecodeLimits) -> Result<u32, DecodeError> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecodeError::Attachments);
    }
    match digits.parse::<u32>() {
        // Nothing would ever complete a packet without attachments
        // (CVE-2026-69185): later binary messages would pile up.
        Ok(0) => Err(DecodeError::Attachments),
        Ok(count) if count <= limits.max_attachments => Ok(count),
        // Too many for the limit or even for the type.
        _ => Err(DecodeError::TooManyAttachments),
    }
}

/// Checks that a packet of this kind may hold this payload, and its placeholders.
pub(super) fn check(
    kind: Kind,
    attachments: u32,
    payload: Option<&str>,
    revision: Revision,
    limits: &DecodeLimits,
) -> Result<(), DecodeError> {
    let Some(payload) = payload else {
        // A packet without payload is fine, but attachments without a place for them are not.
        return if attachments > 0 {
            Err(DecodeError::Payload)
        } else {
            Ok(())
        };
    };
    let max_depth = limits.max_depth as usize;
    match kind {
        Kind::Connect => object(payload, max_depth),
        Kind::Disconnect => Err(DecodeError::Payload),
        Kind::ConnectError => match revision {
            Revision::V3 => Ok(json::validate(payload, max_depth)?),
            Revision::V4 if payload.trim_start().starts_with('"') => {
                Ok(json::validate(payload, max_depth)?)
            }
            Revision::V4 => object(payload, max_depth),
        },
        Kind::Event => array(payload, true, attachments, max_depth),
        Kind::Ack => array(payload, false, attachments, max_depth),
    }
}

fn object(payload: &str, max_depth: usize) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload, max_depth);
    if reader.next()? != Some(Token::ObjectStart) {
        return Err(DecodeError::Payload);
    }
    Ok(reader.finish()?)
}

/// Checks the payload of an event or an acknowledgement.
fn array(
    payload: &str,
    event: bool,
    attachments: u32,
    max_depth: usize,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload, max_depth);
    if reader.next()? != Some(Token::ArrayStart) {
        return Err(DecodeError::Payload);
    }
    if event {
        match reader.next()? {
            Some(Token::Number(_)) => {}
            Some(Token::String(name)) => {
                if RESERVED_EVENTS.iter().any(|reserved| name.is(reserved)) {
                    return Err(DecodeError::ReservedEvent);
                }
            }
            // Anything else, such as an object with a `toString` of its own (CVE-2023-32695).
            _ => return Err(DecodeError::Payload),
        }
    }
    if attachments == 0 {
        return Ok(reader.finish()?);
    }
    placeholders(&mut reader, attachments)
}

/// Whether the placeholders in `json`, an array, name attachments that exist, each once at most.
pub(crate) fn placeholders_are_sound(json: &str, attachments: usize) -> bool {
    let Ok(attachments) = u32::try_from(attachments) else {
        return false;
    };
    let mut reader = Reader::new(json, usize::MAX);
    reader.next() == Ok(Some(Token::ArrayStart)) && placeholders(&mut reader, attachments).is_ok()
}

/// What is known about an object that is still open.
#[derive(Debug, Default)]
struct Candidate {
    placeholder: bool,
    num: Option<u32>,
    key: Key,
}

#[derive(Debug, Default, Clone, Copy)]
enum Key {
    Placeholder,
    Num,
    #[default]
    Other,
}

/// Reads on to the end and checks that every placeholder names one of the attachments, and no two
/// of them the same: else a small packet could be made to hold one large attachment many times.
fn placeholders(reader: &mut Reader<'_>, attachments: u32) -> Result<(), DecodeError> {
    let mut seen = vec![false; attachments as usize];
    // One entry for each container, arrays too; the outermost array is open already.
    let mut open: SmallVec<[Candidate; 8]> = SmallVec::new();
    open.push(Candidate::default());
    while let Some(token) = reader.next()? {
        match token {
            Token::ArrayStart | Token::ObjectStart => {
                set(&mut open, false, None);
                open.push(Candidate::default());
            }
            Token::ArrayEnd => {
                open.pop();
            }
            Token::ObjectEnd => {
                let Some(Candidate {
                    placeholder: true,
                    num,
                    ..
                }) = open.pop()
                else {
                    continue;
                };
                let num = num.ok_or(DecodeError::Placeholder)? as usize;
                let seen = seen.get_mut(num).ok_or(DecodeError::Placeholder)?;
                if std::mem::replace(seen, true) {
                    return Err(DecodeError::Placeholder);
                }
            }
            Token::Key(name) => {
                if let Some(candidate) = open.last_mut() {
                    candidate.key = if name.is("_placeholder") {
                        Key::Placeholder
                    } else if name.is("num") {
                        Key::Num
                    } else {
                        Key::Other
                    };
                }
            }
            Token::Bool(value) => set(&mut open, value, None),
            Token::Number(text) => set(&mut open, false, text.parse().ok()),
            Token::String(_) | Token::Null => set(&mut open, false, None),
        }
    }
    Ok(())
}

/// Notes the value of the member that was just read. Of members of the same name the last counts.
fn set(open: &mut [Candidate], placeholder: bool, num: Option<u32>) {
    if let Some(candidate) = open.last_mut() {
        match std::mem::take(&mut candidate.key) {
            Key::Placeholder => candidate.placeholder = placeholder,
            Key::Num => candidate.num = num,
            Key::Other => {}
        }
    }
}

/// `a=1&b=x%20y` as `{"a":"1","b":"x y"}`.
fn query_to_json(query: &str) -> ByteString {
    let mut out = vec![b'{'];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if out.len() > 1 {
            out.push(b',');
        }
        write_scalar(&mut out, &percent_decode(name));
        out.push(b':');
        write_scalar(&mut out, &percent_decode(value));
    }
    out.push(b'}');
    String::from_utf8(out)
        .unwrap_or_else(|_| "{}".to_owned())
        .into()
}

/// Reads `%XX` and `+`; what is not UTF-8 is replaced, broken escapes stay as they are.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let digits = escaped.and_then(|hex| {
            let high = char::from(hex[0]).to_digit(16)?;
            let low = char::from(hex[1]).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        });
        match digits {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
