//! How a Rust value stands for a list of arguments: a tuple is several, `()` none, the rest one.
//!
//! Both directions ask the type itself, by offering it a serde back end that only knows tuples and
//! `()`. Whatever asks for something else is one argument.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{self, Impossible, Serialize, SerializeTuple, Serializer};

use super::{Attachments, EncodeError, serialize_into};
use crate::json::Elements;
use crate::value::{Value, ValueDeserializer, ValueError};

/// Why the back end of this module gave up.
#[derive(Debug)]
enum Outcome {
    /// Neither a tuple nor `()`.
    OneArgument,
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneArgument => f.write_str("one argument"),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Outcome {}

impl ser::Error for Outcome {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Failed(message.to_string())
    }
}

impl de::Error for Outcome {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Failed(message.to_string())
    }
}

/// Appends the arguments that `data` stands for, separated by commas; `comma` asks for one in
/// front of the first.
pub(super) fn serialize<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    attachments: &mut Attachments,
    comma: bool,
    data: &T,
) -> Result<(), EncodeError> {
    let writer = Writer {
        out,
        attachments,
        comma,
    };
    match data.serialize(writer) {
        Ok(()) => Ok(()),
        Err(Outcome::Failed(message)) => Err(EncodeError::new(message)),
        Err(Outcome::OneArgument) => {
            if comma {
                out.push(b',');
            }
            serialize_into(out, attachments, data)
        }
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    attachments: &'a mut Attachments,
    comma: bool,
}

impl SerializeTuple for Writer<'_> {
    type Ok = ();
    type Error = Outcome;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Outcome> {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        serialize_into(self.out, self.attachments, value)
            .map_err(|err| Outcome::Failed(err.message))
    }

    fn end(self) -> Result<(), Outcome> {
        Ok(())
    }
}

macro_rules! one_argument {
    ($($method:ident($($type:ty),*))*) => {$(
        fn $method(self, $(_: $type),*) -> Result<(), Outcome> {
            Err(Outcome::OneArgument)
        }
    )*};
}

macro_rules! one_compound_argument {
    ($($method:ident($($type:ty),*) -> $compound:ident)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<Self::$compound, Outcome> {
            Err(Outcome::OneArgument)
        }
    )*};
}

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = Outcome;
    type SerializeSeq = Impossible<(), Outcome>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Outcome>;
    type SerializeTupleVariant = Impossible<(), Outcome>;
    type SerializeMap = Impossible<(), Outcome>;
    type SerializeStruct = Impossible<(), Outcome>;
    type SerializeStructVariant = Impossible<(), Outcome>;

    fn serialize_unit(self) -> Result<(), Outcome> {
        Ok(())
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self, Outcome> {
        Ok(self)
    }

    one_argument! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_none()
        serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    one_compound_argument! {
        serialize_seq(Option<usize>) -> SerializeSeq
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant
        serialize_map(Option<usize>) -> SerializeMap
        serialize_struct(&'static str, usize) -> SerializeStruct
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Outcome> {
        Err(Outcome::OneArgument)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Outcome> {
        Err(Outcome::OneArgument)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Outcome> {
        Err(Outcome::OneArgument)
    }

    // Otherwise the text would be formatted only to be thrown away.
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Outcome> {
        Err(Outcome::OneArgument)
    }
}

/// Reads a `T` from JSON elements without attachments.
pub(super) fn from_text<T: DeserializeOwned>(elements: Elements<'_>) -> Result<T, ValueError> {
    let mut first = None;
    let source = TextSource {
        elements,
        first: &mut first,
    };
    match T::deserialize(Args(source)) {
        Ok(value) => Ok(value),
        Err(Outcome::Failed(message)) => Err(ValueError::Mismatch(message)),
        Err(Outcome::OneArgument) => {
            let text = first.unwrap_or("null");
            serde_json::from_str(text).map_err(|err| ValueError::Mismatch(err.to_string()))
        }
    }
}

/// Reads a `T` from elements that may hold bytes.
pub(super) fn from_values<T: DeserializeOwned>(
    elements: std::vec::IntoIter<Value>,
) -> Result<T, ValueError> {
    let mut first = None;
    let source = ValueSource {
        elements,
        first: &mut first,
    };
    match T::deserialize(Args(source)) {
        Ok(value) => Ok(value),
        Err(Outcome::Failed(message)) => Err(ValueError::Mismatch(message)),
        Err(Outcome::OneArgument) => T::deserialize(ValueDeserializer(first.unwrap_or_default())),
    }
}

/// Where the arguments come from.
trait Source<'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Outcome>;
    /// Hands the first argument back to the caller.
    fn give_back(self);
}

struct TextSource<'de, 'a> {
    elements: Elements<'de>,
    first: &'a mut Option<&'de str>,
}

impl<'de> Source<'de> for TextSource<'de, '_> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Outcome> {
        let text = self.elements.next().unwrap_or("null");
        let mut deserializer = serde_json::Deserializer::from_str(text);
        seed.deserialize(&mut deserializer)
            .map_err(|err| Outcome::Failed(err.to_string()))
    }

    fn give_back(mut self) {
        *self.first = self.elements.next();
    }
}

struct ValueSource<'a> {
    elements: std::vec::IntoIter<Value>,
    first: &'a mut Option<Value>,
}

impl<'de> Source<'de> for ValueSource<'_> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Outcome> {
        let value = self.elements.next().unwrap_or_default();
        seed.deserialize(ValueDeserializer(value))
            .map_err(|err| Outcome::Failed(err.to_string()))
    }

    fn give_back(mut self) {
        *self.first = self.elements.next();
    }
}

/// The back end that knows tuples and `()`.
struct Args<S>(S);

impl<'de, S: Source<'de>> Deserializer<'de> for Args<S> {
    type Error = Outcome;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Outcome> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Outcome> {
        let source = self.0;
        visitor.visit_seq(Tuple { source, left: len })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Outcome> {
        self.0.give_back();
        Err(Outcome::OneArgument)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple_struct map struct enum identifier ignored_any
    }
}

struct Tuple<S> {
    source: S,
    left: usize,
}

impl<'de, S: Source<'de>> SeqAccess<'de> for Tuple<S> {
    type Error = Outcome;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Outcome> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.source.next(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
