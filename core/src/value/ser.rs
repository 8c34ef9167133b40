//! `Serialize` for [`Value`], and any `Serialize` type as a [`Value`].

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::payload::{Attachments, EncodeError, serialize};

use super::Value;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::UInt(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// The value that `data` serializes to. Byte fields become [`Value::Bytes`].
///
/// # Errors
///
/// When `data` refuses to be serialized, or nests deeper than 128 levels.
pub fn to_value<T: Serialize + ?Sized>(data: &T) -> Result<Value, EncodeError> {
    let mut attachments = Attachments::new();
    let json = serialize(&mut attachments, data)?;
    super::parse(&json, &attachments).map_err(EncodeError::new)
}
