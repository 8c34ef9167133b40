//! [`Value`]: event arguments whose shape is not known, with bytes anywhere inside.

mod de;
mod ser;
mod text;

use std::fmt;

use bytes::Bytes;

pub(crate) use de::ValueDeserializer;
pub use de::from_value;
pub use ser::to_value;
pub(crate) use text::{number, parse, write, write_scalar};

/// How deep a [`Value`] that comes from outside may nest. Far above what applications send, far
/// below what the stack of a thread holds when such a tree is dropped or written.
pub(crate) const MAX_DEPTH: usize = 128;

/// A JSON value that may also be bytes.
///
/// Objects keep the order of their members, since JavaScript does.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// `null`; also what JavaScript's `undefined` becomes.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// Any other number. Not finite ones become `null` in JSON.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes: an attachment of the packet.
    Bytes(Bytes),
    /// An array.
    Array(Vec<Self>),
    /// An object. A name that occurs twice is kept twice; [`get`](Self::get) finds the last.
    Object(Vec<(String, Self)>),
}

impl Value {
    /// The member `name` of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let members = self.as_object()?;
        let found = members.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if this is binary.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if this is an integer that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The number, if this is an integer that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if this is one; large integers lose precision.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::UInt(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether bytes occur anywhere inside.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Array(elements) => elements.iter().any(Self::has_bytes),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_bytes()),
            _ => false,
        }
    }
}

/// Why a value and a Rust type do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// What serde reports.
    #[error("{0}")]
    Mismatch(String),
    /// The text is no JSON.
    #[error(transparent)]
    Json(#[from] crate::json::JsonError),
    /// A placeholder does not name an attachment.
    #[error("a placeholder names no attachment")]
    Placeholder,
}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Mismatch(message.to_string())
    }
}

/// Compact JSON, for logs; bytes are shown as their placeholder.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        write(&mut out, self, &mut crate::payload::Attachments::new());
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

macro_rules! from {
    ($($source:ty => |$value:ident| $target:expr;)*) => {$(
        impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $target
            }
        }
    )*};
}

from! {
    bool => |value| Self::Bool(value);
    i8 => |value| Self::Int(value.into());
    i16 => |value| Self::Int(value.into());
    i32 => |value| Self::Int(value.into());
    i64 => |value| Self::Int(value);
    u8 => |value| Self::Int(value.into());
    u16 => |value| Self::Int(value.into());
    u32 => |value| Self::Int(value.into());
    u64 => |value| i64::try_from(value).map_or(Self::UInt(value), Self::Int);
    f32 => |value| Self::Float(value.into());
    f64 => |value| Self::Float(value);
    &str => |value| Self::String(value.to_owned());
    String => |value| Self::String(value);
    Bytes => |value| Self::Bytes(value);
    Vec<Self> => |value| Self::Array(value);
    Vec<(String, Self)> => |value| Self::Object(value);
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(elements: I) -> Self {
        Self::Array(elements.into_iter().collect())
    }
}

impl<K: Into<String>> FromIterator<(K, Self)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, Self)>>(members: I) -> Self {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Self::Object(members.collect())
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::arbitrary;
