//! Reading MessagePack.

use std::borrow::Cow;

use bytes::Bytes;

use crate::payload::{Attachments, Payload, write_placeholder};
use crate::value::{MAX_DEPTH, Value, write_scalar};

use super::{EXT_NOTEPACK, date};

/// Bytes that are not MessagePack, or more of it than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessagePackError {
    /// The bytes end before the value does.
    #[error("MessagePack ends too early")]
    Truncated,
    /// The byte `0xc1`, a map key that is neither text nor a number, or bytes behind the value.
    #[error("invalid MessagePack")]
    Invalid,
    /// Arrays and maps are nested deeper than the limit.
    #[error("MessagePack nested too deeply")]
    TooDeep,
    /// More binary values than allowed.
    #[error("too many binary values")]
    TooManyAttachments,
}

/// One step through MessagePack. Of containers it is only the header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Undefined,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    /// Not always UTF-8: JavaScript may write lone surrogates.
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

/// Reads tokens; `input` shrinks from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input }
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>, MessagePackError> {
        let [tag] = self.array()?;
        Ok(match tag {
            0x00..=0x7f => Token::Int(tag.into()),
            0x80..=0x8f => Token::Map((tag & 0x0f).into()),
            0x90..=0x9f => Token::Array((tag & 0x0f).into()),
            0xa0..=0xbf => Token::Str(self.take(u32::from(tag & 0x1f))?),
            0xc0 => Token::Nil,
            0xc1 => return Err(MessagePackError::Invalid),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4 => Token::Bin(self.sized8()?),
            0xc5 => Token::Bin(self.sized16()?),
            0xc6 => Token::Bin(self.sized32()?),
            0xc7 => {
                let [len] = self.array()?;
                self.ext(len.into())?
            }
            0xc8 => {
                let len = u16::from_be_bytes(self.array()?);
                self.ext(len.into())?
            }
            0xc9 => {
                let len = u32::from_be_bytes(self.array()?);
                self.ext(len)?
            }
            0xca => Token::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(u8::from_be_bytes(self.array()?).into()),
            0xcd => Token::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Token::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => {
                let value = u64::from_be_bytes(self.array()?);
                i64::try_from(value).map_or(Token::UInt(value), Token::Int)
            }
            0xd0 => Token::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Token::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Token::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            // fixext 1, 2, 4, 8 and 16
            0xd4..=0xd8 => self.ext(1 << (tag - 0xd4))?,
            0xd9 => Token::Str(self.sized8()?),
            0xda => Token::Str(self.sized16()?),
            0xdb => Token::Str(self.sized32()?),
            0xdc => Token::Array(u16::from_be_bytes(self.array()?).into()),
            0xdd => Token::Array(u32::from_be_bytes(self.array()?)),
            0xde => Token::Map(u16::from_be_bytes(self.array()?).into()),
            0xdf => Token::Map(u32::from_be_bytes(self.array()?)),
            0xe0..=0xff => Token::Int(i8::from_be_bytes([tag]).into()),
        })
    }

    fn ext(&mut self, len: u32) -> Result<Token<'a>, MessagePackError> {
        let [kind] = self.array()?;
        let kind = i8::from_be_bytes([kind]);
        let data = self.take(len)?;
        Ok(match (kind, data) {
            (EXT_NOTEPACK, [_]) => Token::Undefined,
            _ => Token::Ext(kind, data),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessagePackError> {
        let (head, rest) = self
            .input
            .split_first_chunk()
            .ok_or(MessagePackError::Truncated)?;
        self.input = rest;
        Ok(*head)
    }

    fn take(&mut self, len: u32) -> Result<&'a [u8], MessagePackError> {
        let split = self.input.split_at_checked(len as usize);
        let (head, rest) = split.ok_or(MessagePackError::Truncated)?;
        self.input = rest;
        Ok(head)
    }

    fn sized8(&mut self) -> Result<&'a [u8], MessagePackError> {
        let [len] = self.array()?;
        self.take(len.into())
    }

    fn sized16(&mut self) -> Result<&'a [u8], MessagePackError> {
        let len = u16::from_be_bytes(self.array()?);
        self.take(len.into())
    }

    fn sized32(&mut self) -> Result<&'a [u8], MessagePackError> {
        let len = u32::from_be_bytes(self.array()?);
        self.take(len)
    }
}

/// Reads over one value, without recursion.
pub(crate) fn skip(reader: &mut Reader<'_>) -> Result<(), MessagePackError> {
    let mut values = 1u64;
    while values > 0 {
        values -= 1;
        match reader.next()? {
            Token::Array(len) => values += u64::from(len),
            Token::Map(len) => values += 2 * u64::from(len),
            _ => {}
        }
        // Each value takes a byte at least. This also keeps the sum from overflowing.
        if values > reader.input.len() as u64 {
            return Err(MessagePackError::Truncated);
        }
    }
    Ok(())
}

/// The text of a map key.
pub(crate) fn key<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, MessagePackError> {
    match reader.next()? {
        Token::Str(text) => Ok(String::from_utf8_lossy(text)),
        Token::Int(number) => Ok(number.to_string().into()),
        Token::UInt(number) => Ok(number.to_string().into()),
        _ => Err(MessagePackError::Invalid),
    }
}

/// Reads one value, which must be all there is. Binary values share the memory of `input`.
///
/// # Errors
///
/// When `input` is no MessagePack, or nests deeper than 128 levels.
pub fn decode(input: &Bytes) -> Result<Value, MessagePackError> {
    let mut reader = Reader::new(input);
    let value = read_value(&mut reader, input, MAX_DEPTH)?;
    if reader.input.is_empty() {
        Ok(value.unwrap_or_default())
    } else {
        Err(MessagePackError::Invalid)
    }
}

/// `None` is `undefined`. Recursion ends with `depth`.
pub(crate) fn read_value(
    reader: &mut Reader<'_>,
    input: &Bytes,
    depth: usize,
) -> Result<Option<Value>, MessagePackError> {
    Ok(Some(match reader.next()? {
        Token::Undefined => return Ok(None),
        Token::Nil => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Int(value) => Value::Int(value),
        Token::UInt(value) => Value::UInt(value),
        Token::Float(value) => Value::Float(value),
        Token::Str(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
        Token::Bin(bytes) => Value::Bytes(input.slice_ref(bytes)),
        Token::Ext(kind, data) => match date::parse(kind, data) {
            Some(text) => text.into(),
            None => Value::Array(vec![kind.into(), Value::Bytes(input.slice_ref(data))]),
        },
        // The lengths are claims: nothing is reserved for them.
        Token::Array(len) => {
            let depth = depth.checked_sub(1).ok_or(MessagePackError::TooDeep)?;
            let mut elements = Vec::new();
            for _ in 0..len {
                elements.push(read_value(reader, input, depth)?.unwrap_or_default());
            }
            Value::Array(elements)
        }
        Token::Map(len) => {
            let depth = depth.checked_sub(1).ok_or(MessagePackError::TooDeep)?;
            let mut members = Vec::new();
            for _ in 0..len {
                let name = key(reader)?.into_owned();
                if let Some(value) = read_value(reader, input, depth)? {
                    members.push((name, value));
                }
            }
            Value::Object(members)
        }
    }))
}

/// Reads an array as a [`Payload`]: `input` begins with it, and what follows it is returned too.
///
/// # Errors
///
/// When there is no array, or it nests deeper than 128 levels.
pub fn decode_payload(input: &Bytes) -> Result<(Payload, Bytes), MessagePackError> {
    let mut reader = Reader::new(input);
    if !matches!(reader.clone().next()?, Token::Array(_)) {
        return Err(MessagePackError::Invalid);
    }
    let mut json = Vec::with_capacity(input.len());
    let mut attachments = Attachments::new();
    let limit = usize::MAX;
    to_json(
        &mut reader,
        input,
        MAX_DEPTH,
        limit,
        &mut json,
        &mut attachments,
    )?;
    let json = String::from_utf8(json).map_err(|_| MessagePackError::Invalid)?;
    let rest = input.slice_ref(reader.rest());
    Ok((Payload::from_parts(json.into(), attachments), rest))
}

/// Rewrites one value as JSON, collecting binary values as slices of `input`. Returns whether
/// anything but `undefined` was read; of that nothing is written. Recursion ends with `depth`.
///
/// The text is at most some 20 times as long as what was read: an empty binary value of two bytes
/// becomes a placeholder.
pub(crate) fn to_json(
    reader: &mut Reader<'_>,
    input: &Bytes,
    depth: usize,
    max_attachments: usize,
    out: &mut Vec<u8>,
    attachments: &mut Attachments,
) -> Result<bool, MessagePackError> {
    let mut bytes = |out: &mut Vec<u8>, bytes: &[u8]| {
        if attachments.len() >= max_attachments {
            return Err(MessagePackError::TooManyAttachments);
        }
        write_placeholder(out, attachments.len());
        attachments.push(input.slice_ref(bytes));
        Ok(())
    };
    match reader.next()? {
        Token::Undefined => return Ok(false),
        Token::Nil => out.extend_from_slice(b"null"),
        Token::Bool(value) => write_scalar(out, &value),
        Token::Int(value) => write_scalar(out, &value),
        Token::UInt(value) => write_scalar(out, &value),
        Token::Float(value) => write_scalar(out, &value),
        Token::Str(text) => write_scalar(out, &String::from_utf8_lossy(text)),
        Token::Bin(data) => bytes(out, data)?,
        Token::Ext(kind, data) => match date::parse(kind, data) {
            Some(text) => write_scalar(out, &text),
            None => {
                out.push(b'[');
                write_scalar(out, &kind);
                out.push(b',');
                bytes(out, data)?;
                out.push(b']');
            }
        },
        Token::Array(len) => {
            let depth = depth.checked_sub(1).ok_or(MessagePackError::TooDeep)?;
            out.push(b'[');
            for at in 0..len {
                if at > 0 {
                    out.push(b',');
                }
                if !to_json(reader, input, depth, max_attachments, out, attachments)? {
                    out.extend_from_slice(b"null");
                }
            }
            out.push(b']');
        }
        Token::Map(len) => {
            let depth = depth.checked_sub(1).ok_or(MessagePackError::TooDeep)?;
            out.push(b'{');
            let mut first = true;
            for _ in 0..len {
                let start = out.len();
                if !first {
                    out.push(b',');
                }
                write_scalar(out, &key(reader)?);
                out.push(b':');
                if to_json(reader, input, depth, max_attachments, out, attachments)? {
                    first = false;
                } else {
                    // `undefined` members do not exist in JSON.
                    out.truncate(start);
                }
            }
            out.push(b'}');
        }
    }
    Ok(true)
}
