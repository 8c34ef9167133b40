//! Query parameters into a type: texts that become numbers and flags where the type asks for them.

use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The query does not fit the type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query does not fit: {0}")]
pub struct QueryError(String);

impl serde::de::Error for QueryError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Where a key is repeated, the last one counts.
pub(super) fn from_pairs<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, QueryError> {
    let is_last = |index: usize, key: &str| pairs[index + 1..].iter().all(|(k, _)| k != key);
    let last = pairs
        .iter()
        .enumerate()
        .filter(|(i, (key, _))| is_last(*i, key));
    let entries = last.map(|(_, (key, value))| (key.as_str(), Text(value)));
    T::deserialize(MapDeserializer::new(entries))
}

struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, QueryError> for Text<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        let text: serde::de::value::BorrowedStrDeserializer<'de, QueryError> =
            serde::de::value::BorrowedStrDeserializer::new(self.0);
        text.deserialize_enum(name, variants, visitor)
    }

    parsed! {
        deserialize_bool => visit_bool;
        deserialize_i8 => visit_i8;
        deserialize_i16 => visit_i16;
        deserialize_i32 => visit_i32;
        deserialize_i64 => visit_i64;
        deserialize_u8 => visit_u8;
        deserialize_u16 => visit_u16;
        deserialize_u32 => visit_u32;
        deserialize_u64 => visit_u64;
        deserialize_f32 => visit_f32;
        deserialize_f64 => visit_f64;
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wanted {
        name: String,
        age: u32,
        #[serde(default)]
        vip: bool,
        ratio: Option<f64>,
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    #[test]
    fn texts_become_what_the_type_asks_for() {
        let query = pairs(&[
            ("EIO", "4"),
            ("name", "7"),
            ("age", "41"),
            ("age", "42"),
            ("vip", "true"),
        ]);
        let wanted: Wanted = from_pairs(&query).unwrap();
        let expected = Wanted {
            name: "7".into(),
            age: 42,
            vip: true,
            ratio: None,
        };
        assert_eq!(wanted, expected);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(from_pairs::<Wanted>(&pairs(&[("name", "a")])).is_err());
        let error = from_pairs::<Wanted>(&pairs(&[("name", "a"), ("age", "old")])).unwrap_err();
        assert!(error.to_string().contains("old"), "{error}");
    }
}
