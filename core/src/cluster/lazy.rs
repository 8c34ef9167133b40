//! A value that few look at.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::msgpack;
use crate::value::Value;

/// A value that is read from MessagePack when somebody looks at it, for answers with thousands of
/// values that hardly anybody does.
///
/// ```
/// use socketio_core::cluster::LazyValue;
///
/// let lazy = LazyValue::from_msgpack(b"\x81\xa1n\x01".to_vec());
/// assert_eq!(lazy.read().get("n").and_then(|n| n.as_u64()), Some(1));
/// ```
#[derive(Clone)]
pub struct LazyValue(Form);

#[derive(Clone)]
enum Form {
    Read(Value),
    /// One value.
    MessagePack(Bytes),
}

impl LazyValue {
    /// Of the bytes of one value; other bytes are `null`.
    #[must_use]
    pub fn from_msgpack(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let mut reader = msgpack::Reader::new(&bytes);
        match msgpack::skip(&mut reader) {
            Ok(()) if reader.rest().is_empty() => Self(Form::MessagePack(bytes)),
            _ => Self(Form::Read(Value::Null)),
        }
    }

    /// The value; `null` if it is nested deeper than 128 levels.
    #[must_use]
    pub fn read(&self) -> Cow<'_, Value> {
        match &self.0 {
            Form::Read(value) => Cow::Borrowed(value),
            Form::MessagePack(bytes) => Cow::Owned(msgpack::decode(bytes).unwrap_or_default()),
        }
    }

    /// Appends it as MessagePack.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Read(value) => msgpack::write_value(out, value),
            Form::MessagePack(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// Of what [`skip`](msgpack::skip) has read over.
    pub(crate) fn skipped(bytes: &[u8]) -> Self {
        // A copy, lest one socket keeps the answer of thousands.
        Self(Form::MessagePack(Bytes::copy_from_slice(bytes)))
    }
}

impl From<Value> for LazyValue {
    fn from(value: Value) -> Self {
        Self(Form::Read(value))
    }
}

impl PartialEq for LazyValue {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl fmt::Debug for LazyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_value_is_taken() {
        let lazy = LazyValue::from_msgpack(b"\x92\x01\xa1x".to_vec());
        assert_eq!(lazy, Value::Array(vec![1.into(), "x".into()]).into());
        for broken in [&b""[..], b"\x92\x01", b"\x01\x01", b"\xc1"] {
            assert_eq!(LazyValue::from_msgpack(broken.to_vec()), Value::Null.into());
        }
        let deep = [&[0x91; 200][..], &[0xc0]].concat();
        assert_eq!(*LazyValue::from_msgpack(deep).read(), Value::Null);
    }
}
