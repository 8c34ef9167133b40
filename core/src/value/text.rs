//! [`Value`] from and to JSON text with attachments.

use bytes::Bytes;

use crate::json::{Reader, Token};
use crate::payload::{Attachments, write_placeholder};

use super::{MAX_DEPTH, Value, ValueError};

/// Reads `text`, putting `attachments` where their placeholders stand.
pub(crate) fn parse(text: &str, attachments: &[Bytes]) -> Result<Value, ValueError> {
    let mut reader = Reader::new(text, MAX_DEPTH);
    // The containers that are still open, and in objects the name of the member being read.
    let mut open: Vec<(Value, String)> = Vec::new();
    let mut done = None;
    while let Some(token) = reader.next()? {
        let value = match token {
            Token::ArrayStart => {
                open.push((Value::Array(Vec::new()), String::new()));
                continue;
            }
            Token::ObjectStart => {
                open.push((Value::Object(Vec::new()), String::new()));
                continue;
            }
            Token::Key(key) => {
                if let Some((_, name)) = open.last_mut() {
                    *name = key.decode().into_owned();
                }
                continue;
            }
            Token::ArrayEnd => open.pop().unwrap_or_default().0,
            Token::ObjectEnd => resolve(open.pop().unwrap_or_default().0, attachments)?,
            Token::String(text) => Value::String(text.decode().into_owned()),
            Token::Number(text) => number(text),
            Token::Bool(value) => Value::Bool(value),
            Token::Null => Value::Null,
        };
        match open.last_mut() {
            Some((Value::Array(elements), _)) => elements.push(value),
            Some((Value::Object(members), name)) => members.push((std::mem::take(name), value)),
            _ => done = Some(value),
        }
    }
    // The reader yields exactly one complete value or an error.
    Ok(done.unwrap_or_default())
}

/// JavaScript's reading of a number, except that integers of 64 bits stay exact. Too large ones
/// become infinite.
pub(crate) fn number(text: &str) -> Value {
    if let Ok(value) = text.parse::<i64>() {
        // `-0` is a float.
        if value != 0 || !text.starts_with('-') {
            return Value::Int(value);
        }
    } else if let Ok(value) = text.parse::<u64>() {
        return Value::UInt(value);
    }
    Value::Float(text.parse().unwrap_or(f64::NAN))
}

/// Turns an object that is a placeholder into its attachment.
fn resolve(object: Value, attachments: &[Bytes]) -> Result<Value, ValueError> {
    // Without attachments nothing is a placeholder, whatever it looks like.
    if attachments.is_empty() || object.get("_placeholder") != Some(&Value::Bool(true)) {
        return Ok(object);
    }
    let num = object.get("num").and_then(Value::as_u64);
    let num = num.and_then(|num| usize::try_from(num).ok());
    let attachment = num.and_then(|num| attachments.get(num));
    attachment
        .map(|bytes| Value::Bytes(bytes.clone()))
        .ok_or(ValueError::Placeholder)
}

/// Writes `value` as JSON, collecting its bytes without copying them.
pub(crate) fn write(out: &mut Vec<u8>, value: &Value, attachments: &mut Attachments) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bytes(bytes) => {
            write_placeholder(out, attachments.len());
            attachments.push(bytes.clone());
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, element, attachments);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_scalar(out, name);
                out.push(b':');
                write(out, member, attachments);
            }
            out.push(b'}');
        }
        Value::Bool(value) => write_scalar(out, value),
        Value::Int(value) => write_scalar(out, value),
        Value::UInt(value) => write_scalar(out, value),
        Value::Float(value) => write_scalar(out, value),
        Value::String(value) => write_scalar(out, value),
    }
}

/// Writes a string, number or boolean.
pub(crate) fn write_scalar<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Neither a `Vec` nor a scalar can fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}
