//! From JSON text with attachments straight to MessagePack.

use bytes::Bytes;

use crate::json::{Reader, Token};
use crate::value::{self, Value};

use super::write::{write_array_header, write_bool, write_bytes, write_float};
use super::write::{write_int, write_map_header, write_nil, write_str, write_uint};

/// A container that is still open.
struct Open {
    object: bool,
    /// Where its content begins in the output; the header is put in front when it ends.
    start: usize,
    len: usize,
    key: Key,
    placeholder: bool,
    num: Option<usize>,
}

#[derive(Default)]
enum Key {
    Placeholder,
    Num,
    #[default]
    Other,
}

/// Appends `json`, which must be valid, as MessagePack. Without recursion, so any depth is fine.
/// A placeholder that names no attachment stays an object.
pub(crate) fn write_json(out: &mut Vec<u8>, json: &str, attachments: &[Bytes]) {
    let mut reader = Reader::new(json, usize::MAX);
    let mut open: Vec<Open> = Vec::new();
    // Valid text ends with `None`.
    while let Ok(Some(token)) = reader.next() {
        match token {
            Token::ArrayStart | Token::ObjectStart => {
                note(&mut open, false, None);
                open.push(Open {
                    object: token == Token::ObjectStart,
                    start: out.len(),
                    len: 0,
                    key: Key::Other,
                    placeholder: false,
                    num: None,
                });
            }
            Token::ArrayEnd | Token::ObjectEnd => {
                if let Some(container) = open.pop() {
                    close(out, &container, attachments);
                }
            }
            Token::Key(name) => {
                if let Some(object) = open.last_mut() {
                    object.key = if name.is("_placeholder") {
                        Key::Placeholder
                    } else if name.is("num") {
                        Key::Num
                    } else {
                        Key::Other
                    };
                }
                write_str(out, &name.decode());
            }
            Token::String(text) => {
                note(&mut open, false, None);
                write_str(out, &text.decode());
            }
            Token::Number(text) => {
                note(&mut open, false, text.parse().ok());
                match value::number(text) {
                    Value::Int(value) => write_int(out, value),
                    Value::UInt(value) => write_uint(out, value),
                    Value::Float(value) => write_float(out, value),
                    _ => write_nil(out),
                }
            }
            Token::Bool(value) => {
                note(&mut open, value, None);
                write_bool(out, value);
            }
            Token::Null => {
                note(&mut open, false, None);
                write_nil(out);
            }
        }
    }
}

/// Counts a value in the container it belongs to.
fn note(open: &mut [Open], placeholder: bool, num: Option<usize>) {
    if let Some(container) = open.last_mut() {
        container.len += 1;
        match std::mem::take(&mut container.key) {
            Key::Placeholder => container.placeholder = placeholder,
            Key::Num => container.num = num,
            Key::Other => {}
        }
    }
}

/// Puts the header in front of the content, or the attachment in its place.
fn close(out: &mut Vec<u8>, container: &Open, attachments: &[Bytes]) {
    if container.placeholder
        && let Some(attachment) = container.num.and_then(|num| attachments.get(num))
    {
        out.truncate(container.start);
        write_bytes(out, attachment);
        return;
    }
    let end = out.len();
    if container.object {
        write_map_header(out, container.len);
    } else {
        write_array_header(out, container.len);
    }
    // The header was written behind the content: one to five bytes change places with it.
    let header = out.len() - end;
    out[container.start..].rotate_right(header);
}
