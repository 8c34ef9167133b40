//! Writing MessagePack, every value in its shortest form.

use crate::payload::Payload;
use crate::value::Value;

use super::write_json;

/// `value` as MessagePack.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    write_value(&mut out, value);
    out
}

/// Appends a value with all that is inside.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => write_nil(out),
        Value::Bool(value) => write_bool(out, *value),
        Value::Int(value) => write_int(out, *value),
        Value::UInt(value) => write_uint(out, *value),
        Value::Float(value) => write_float(out, *value),
        Value::String(text) => write_str(out, text),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Array(elements) => {
            write_array_header(out, elements.len());
            for element in elements {
                write_value(out, element);
            }
        }
        Value::Object(members) => {
            write_map_header(out, members.len());
            for (name, member) in members {
                write_str(out, name);
                write_value(out, member);
            }
        }
    }
}

/// Appends the array that a payload is, bytes in place of their placeholders.
pub fn write_payload(out: &mut Vec<u8>, payload: &Payload) {
    write_json(out, payload.json(), payload.attachments());
}

/// Appends `null`.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends a boolean.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 + u8::from(value));
}

/// Appends an integer.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else if let Ok(small) = i8::try_from(value) {
        if small < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends an integer that is not negative.
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    if let Ok(value) = u8::try_from(value) {
        if value > 0x7f {
            out.push(0xcc);
        }
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_float(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends text.
///
/// # Panics
///
/// With 4 GiB or more, which no length of MessagePack can express.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    if text.len() < 32 {
        out.push(0xa0 | text.len() as u8);
    } else {
        write_len(out, [Some(0xd9), Some(0xda), Some(0xdb)], text.len());
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends bytes.
///
/// # Panics
///
/// With 4 GiB or more, which no length of MessagePack can express.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_len(out, [Some(0xc4), Some(0xc5), Some(0xc6)], bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the start of an array; `len` values follow.
///
/// # Panics
///
/// With 2³² or more elements.
pub fn write_array_header(out: &mut Vec<u8>, len: usize) {
    if len < 16 {
        out.push(0x90 | len as u8);
    } else {
        write_len(out, [None, Some(0xdc), Some(0xdd)], len);
    }
}

/// Appends the start of a map; `len` pairs of a key and a value follow.
///
/// # Panics
///
/// With 2³² or more members.
pub fn write_map_header(out: &mut Vec<u8>, len: usize) {
    if len < 16 {
        out.push(0x80 | len as u8);
    } else {
        write_len(out, [None, Some(0xde), Some(0xdf)], len);
    }
}

/// Writes a length behind the tag for its size: one, two or four bytes.
fn write_len(out: &mut Vec<u8>, [tag8, tag16, tag32]: [Option<u8>; 3], len: usize) {
    if let (Some(tag), Ok(len)) = (tag8, u8::try_from(len)) {
        out.extend_from_slice(&[tag, len]);
    } else if let (Some(tag), Ok(len)) = (tag16, u16::try_from(len)) {
        out.push(tag);
        out.extend_from_slice(&len.to_be_bytes());
    } else if let (Some(tag), Ok(len)) = (tag32, u32::try_from(len)) {
        out.push(tag);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        panic!("{len} is too long for MessagePack");
    }
}
