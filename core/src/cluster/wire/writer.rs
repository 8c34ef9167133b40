//! Writing the same message as JSON or as MessagePack.

use bytes::Bytes;

use super::WireError;
use crate::json;
use crate::msgpack;
use crate::payload::{Attachments, Payload};
use crate::value::{self, Value};

/// Appends values. Lengths are told when a container begins, as MessagePack wants it; it is for the
/// caller that so many values follow.
#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    json: bool,
    /// In JSON: whether a comma comes before the next value of the container.
    comma: bool,
}

impl Writer {
    pub(super) fn json(capacity: usize) -> Self {
        Self::new(true, capacity)
    }

    pub(super) fn pack(capacity: usize) -> Self {
        Self::new(false, capacity)
    }

    /// JSON unless there are bytes in the message, for which it has no form.
    pub(super) fn new(json: bool, capacity: usize) -> Self {
        Self {
            // The frame around the arguments is about so long.
            out: Vec::with_capacity(capacity + 160),
            json,
            comma: false,
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.out.into()
    }

    fn begin(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    pub(super) fn map(&mut self, len: usize) {
        if self.json {
            self.begin();
            self.out.push(b'{');
            self.comma = false;
        } else {
            msgpack::write_map_header(&mut self.out, len);
        }
    }

    pub(super) fn end_map(&mut self) {
        if self.json {
            self.out.push(b'}');
            self.comma = true;
        }
    }

    pub(super) fn array(&mut self, len: usize) {
        if self.json {
            self.begin();
            self.out.push(b'[');
            self.comma = false;
        } else {
            msgpack::write_array_header(&mut self.out, len);
        }
    }

    pub(super) fn end_array(&mut self) {
        if self.json {
            self.out.push(b']');
            self.comma = true;
        }
    }

    pub(super) fn key(&mut self, name: &str) {
        self.str(name);
        if self.json {
            self.out.push(b':');
            self.comma = false;
        }
    }

    pub(super) fn str(&mut self, text: &str) {
        if self.json {
            self.begin();
            value::write_scalar(&mut self.out, text);
        } else {
            msgpack::write_str(&mut self.out, text);
        }
    }

    pub(super) fn strs<T: AsRef<str>>(&mut self, texts: &[T]) {
        self.array(texts.len());
        for text in texts {
            self.str(text.as_ref());
        }
        self.end_array();
    }

    pub(super) fn uint(&mut self, value: u64) {
        if self.json {
            self.begin();
            value::write_scalar(&mut self.out, &value);
        } else {
            msgpack::write_uint(&mut self.out, value);
        }
    }

    pub(super) fn bool(&mut self, value: bool) {
        if self.json {
            self.begin();
            value::write_scalar(&mut self.out, &value);
        } else {
            msgpack::write_bool(&mut self.out, value);
        }
    }

    pub(super) fn value(&mut self, value: &Value) {
        if self.json {
            self.begin();
            // There are no bytes in what is written as JSON.
            value::write(&mut self.out, value, &mut Attachments::new());
        } else {
            msgpack::write_value(&mut self.out, value);
        }
    }

    /// All arguments, as an array. The text of JSON is taken as it is.
    pub(super) fn payload(&mut self, payload: &Payload) {
        self.raw(payload.json(), payload.attachments());
    }

    /// One argument, by its text.
    pub(super) fn raw(&mut self, text: &str, attachments: &[Bytes]) {
        if self.json {
            self.begin();
            self.out.extend_from_slice(text.as_bytes());
        } else {
            msgpack::write_json(&mut self.out, text, attachments);
        }
    }
}

/// The text of the first argument, and whether there are bytes in it.
pub(super) fn first_argument(payload: &Payload) -> (Option<&str>, bool) {
    let first = json::elements(payload.json()).next();
    let binary = !payload.attachments().is_empty()
        && first.is_some_and(|text| {
            value::parse(text, payload.attachments()).is_ok_and(|value| value.has_bytes())
        });
    (first, binary)
}

/// Refuses what MessagePack has no length for.
pub(super) fn check(payload: &Payload) -> Result<(), WireError> {
    let size = payload.len();
    if u32::try_from(size).is_ok() {
        Ok(())
    } else {
        Err(WireError::TooLarge(size))
    }
}
