//! Arguments of events, with places for what differs from message to message.
//!
//! A template is a JSON array. Strings in it that are exactly one of the [`PLACES`] are filled in with
//! what belongs there: a number, or bytes. Within longer strings places are filled in as text.

use bytes::Bytes;
use socketio_core::payload::Payload;
use socketio_core::value::Value;

/// What a template may hold.
pub const PLACES: [&str; 5] = ["{room}", "{event}", "{stamp}", "{data}", "{client}"];

/// A template that is no JSON array of something to fill in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No JSON array.
    #[error("`{0}` is no JSON array")]
    NoArray(String),
    /// A place that does not exist.
    #[error(
        "`{0}` is no place of a template; there are {{room}}, {{event}}, {{stamp}}, {{data}} and {{client}}"
    )]
    UnknownPlace(String),
}

/// The arguments of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    values: Vec<Value>,
}

/// What is filled in.
#[derive(Debug, Clone, Default)]
pub struct Fill<'a> {
    /// For `{room}`.
    pub room: &'a str,
    /// For `{event}`.
    pub event: &'a str,
    /// For `{stamp}`.
    pub stamp: &'a str,
    /// For `{data}`.
    pub data: Option<&'a Data>,
    /// For `{client}`.
    pub client: u32,
}

/// The load that a message carries besides its stamp.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A string.
    Text(String),
    /// An attachment.
    Binary(Bytes),
}

impl Data {
    /// `size` bytes that follow from `seed`; text is printable and needs no escapes.
    #[must_use]
    pub fn generate(size: usize, binary: bool, seed: u64) -> Self {
        let mut rng = crate::rng::Rng::new(seed);
        if binary {
            Self::Binary((0..size).map(|_| rng.next() as u8).collect())
        } else {
            let letter = |rng: &mut crate::rng::Rng| char::from(b'a' + (rng.next() % 26) as u8);
            Self::Text((0..size).map(|_| letter(&mut rng)).collect())
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Binary(bytes) => Value::Bytes(bytes.clone()),
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When the text is no JSON array, or names a place that does not exist.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let no_array = || TemplateError::NoArray(text.to_owned());
        let json: serde_json::Value = serde_json::from_str(text).map_err(|_| no_array())?;
        let serde_json::Value::Array(elements) = &json else {
            return Err(no_array());
        };
        elements.iter().try_for_each(check)?;
        let values = elements.iter().map(socketio_core::value::to_value);
        let values = values.collect::<Result<_, _>>().map_err(|_| no_array())?;
        Ok(Self { values })
    }

    /// Whether the place occurs.
    #[must_use]
    pub fn has(&self, place: &str) -> bool {
        let holds = |text: &str| text.contains(place);
        self.values.iter().any(|value| any_text(value, &holds))
    }

    /// Whether the place occurs within a longer string.
    #[must_use]
    pub fn has_inside(&self, place: &str) -> bool {
        self.values
            .iter()
            .any(|value| any_text(value, &|text| text != place && text.contains(place)))
    }

    /// The payload of `event` with everything filled in.
    #[must_use]
    pub fn payload(&self, event: &str, fill: &Fill<'_>) -> Payload {
        let mut values = Vec::with_capacity(1 + self.values.len());
        values.push(Value::String(event.to_owned()));
        values.extend(self.values.iter().map(|value| filled(value, fill)));
        Payload::from_values(&values)
    }
}

fn check(value: &serde_json::Value) -> Result<(), TemplateError> {
    match value {
        serde_json::Value::String(text) => {
            // A misspelt place would go unnoticed; braces with anything else in them are text.
            let name = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'));
            let is_name = name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase()));
            if is_name && !PLACES.contains(&text.as_str()) {
                return Err(TemplateError::UnknownPlace(text.clone()));
            }
            Ok(())
        }
        serde_json::Value::Array(values) => values.iter().try_for_each(check),
        serde_json::Value::Object(map) => map.values().try_for_each(check),
        _ => Ok(()),
    }
}

fn any_text(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(values) => values.iter().any(|value| any_text(value, is)),
        Value::Object(members) => members.iter().any(|(_, value)| any_text(value, is)),
        _ => false,
    }
}

fn filled(value: &Value, fill: &Fill<'_>) -> Value {
    match value {
        Value::String(text) => match text.as_str() {
            "{room}" => Value::String(fill.room.to_owned()),
            "{event}" => Value::String(fill.event.to_owned()),
            "{stamp}" => Value::String(fill.stamp.to_owned()),
            "{data}" => fill.data.map_or(Value::Null, Data::value),
            "{client}" => Value::UInt(u64::from(fill.client)),
            text if text.contains('{') => Value::String(inside(text, fill)),
            _ => value.clone(),
        },
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| filled(value, fill)).collect())
        }
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), filled(value, fill)))
                .collect(),
        ),
        _ => value.clone(),
    }
}

/// A longer string with its places filled in.
fn inside(text: &str, fill: &Fill<'_>) -> String {
    let data = match fill.data {
        Some(Data::Text(text)) => text.as_str(),
        _ => "",
    };
    text.replace("{room}", fill.room)
        .replace("{event}", fill.event)
        .replace("{stamp}", fill.stamp)
        .replace("{client}", &fill.client.to_string())
        .replace("{data}", data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_at_any_depth() {
        let template =
            Template::parse(r#"["{room}",{"d":["{stamp}"],"s":"{data}"},7]"#).expect("valid");
        let data = Data::Binary(Bytes::from_static(b"\x01"));
        let fill = Fill {
            room: "r\"1",
            stamp: "~lt.1.1.1.",
            data: Some(&data),
            ..Fill::default()
        };
        let payload = template.payload("publish", &fill);
        assert_eq!(
            payload.json(),
            r#"["publish","r\"1",{"d":["~lt.1.1.1."],"s":{"_placeholder":true,"num":0}},7]"#
        );
        assert_eq!(payload.attachments(), [Bytes::from_static(b"\x01")]);
        assert!(template.has("{stamp}") && !template.has("{event}"));
    }

    #[test]
    fn places_are_filled_in_within_longer_strings() {
        let template = Template::parse(r#"["{client}: {stamp} {data}","{client}","{a} {"]"#);
        let template = template.expect("valid");
        let data = Data::Text("abc".to_owned());
        let fill = Fill {
            stamp: "~lt.1.1.1.",
            data: Some(&data),
            client: 7,
            ..Fill::default()
        };
        let payload = template.payload("say", &fill);
        assert_eq!(payload.json(), r#"["say","7: ~lt.1.1.1. abc",7,"{a} {"]"#);
        assert!(template.has("{stamp}") && template.has_inside("{stamp}"));
        assert!(template.has("{client}") && !template.has("{room}"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["", "{}", "[1", "\"a\""] {
            assert!(matches!(
                Template::parse(text),
                Err(TemplateError::NoArray(_))
            ));
        }
        let error = Template::parse(r#"[{"a":"{rooms}"}]"#).expect_err("unknown");
        assert_eq!(error, TemplateError::UnknownPlace("{rooms}".to_owned()));
    }

    #[test]
    fn data_follows_from_the_seed() {
        let text = Data::generate(64, false, 7);
        assert_eq!(text, Data::generate(64, false, 7));
        assert_ne!(text, Data::generate(64, false, 8));
        assert!(matches!(text, Data::Text(text) if text.len() == 64));
        assert!(matches!(Data::generate(3, true, 7), Data::Binary(bytes) if bytes.len() == 3));
    }
}
