//! The members of a message, as slices of its text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::cluster::wire::WireError;
use crate::ids::Room;
use crate::json::{self, JsonError, Reader, Token};
use crate::value::MAX_DEPTH;

pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The JSON texts of those members of a message that mean something.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) method: Option<&'a str>,
    pub(super) event: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) binary: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) room: Option<&'a str>,
    pub(super) skip_sid: Option<&'a str>,
    pub(super) callback: Option<&'a str>,
    pub(super) host_id: Option<&'a str>,
    pub(super) sid: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) args: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) tracestate: Option<&'a str>,
    /// These three are of an [envelope](super::envelope).
    pub(super) body: Option<&'a str>,
    pub(super) properties: Option<&'a str>,
    pub(super) body_encoding: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Takes a JSON object apart. Of members with the same name the last one counts.
    pub(super) fn read(text: &'a str) -> Result<Self, WireError> {
        // The arguments are two levels down, three with attachments.
        let mut reader = Reader::new(text, MAX_DEPTH + 2);
        if reader.next()? != Some(Token::ObjectStart) {
            return Err(WireError::Member("method"));
        }
        let mut fields = Self::default();
        while let Some(token) = reader.next()? {
            let Token::Key(key) = token else {
                // The end of the object; what follows can only be white space.
                continue;
            };
            let start = reader.offset();
            let first = reader.next()?.ok_or(JsonError::Syntax(start))?;
            reader.skip(first)?;
            let value = Some(text[start..reader.offset()].trim_ascii_start());
            match &*key.decode() {
                "method" => fields.method = value,
                "event" => fields.event = value,
                "data" => fields.data = value,
                "binary" => fields.binary = value,
                "namespace" => fields.namespace = value,
                "room" => fields.room = value,
                "skip_sid" => fields.skip_sid = value,
                "callback" => fields.callback = value,
                "host_id" => fields.host_id = value,
                "sid" => fields.sid = value,
                "id" => fields.id = value,
                "args" => fields.args = value,
                "traceparent" => fields.traceparent = value,
                "tracestate" => fields.tracestate = value,
                "body" => fields.body = value,
                "properties" => fields.properties = value,
                "body_encoding" => fields.body_encoding = value,
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Whether `data` or `args` hold attachments.
    pub(super) fn is_binary(&self) -> bool {
        self.binary == Some("true")
    }
}

/// `text` with the words that Python writes for numbers which JSON does not have replaced by
/// `null`, if there are any.
pub(super) fn without_constants(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut in_string = false;
    while let Some(&byte) = text.as_bytes().get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                let rest = &text.as_bytes()[at..];
                let word = ["NaN", "Infinity", "-Infinity"]
                    .into_iter()
                    .find(|word| rest.starts_with(word.as_bytes()));
                if let Some(word) = word {
                    out.push_str(&text[copied..at]);
                    out.push_str("null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// A string, or a number as its text.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match Reader::new(json, 1).next() {
        Ok(Some(Token::String(text))) => Some(text.decode()),
        Ok(Some(Token::Number(number))) => Some(Cow::Borrowed(number)),
        _ => None,
    }
}

/// `null` or nothing, one name, or an array of names; `None` for anything else.
pub(super) fn names(json: Option<&str>) -> Option<SmallVec<[Room; 1]>> {
    match json {
        None | Some("null") => Some(SmallVec::new()),
        Some(array) if array.starts_with('[') => json::elements(array)
            .filter(|element| *element != "null")
            .map(|element| text(element).map(|name| Room::from(&*name)))
            .collect(),
        Some(name) => text(name).map(|name| SmallVec::from([Room::from(&*name)])),
    }
}

/// Arguments: what is between the brackets of their array, and the attachments.
pub(super) struct Arguments<'a> {
    pub(super) inner: &'a str,
    pub(super) attachments: Vec<Bytes>,
}

/// Reads `data` or `args`. Versions before 5.15.1 send an only argument bare.
pub(super) fn arguments<'a>(
    json: &'a str,
    binary: bool,
    member: &'static str,
) -> Result<Arguments<'a>, WireError> {
    let mut array = json;
    let mut attachments = Vec::new();
    if binary {
        let mut elements = json::elements(json);
        array = elements.next().ok_or(WireError::Member(member))?;
        for element in elements {
            let encoded = text(element).ok_or(WireError::Member(member))?;
            let decoded = BASE64.decode(encoded.as_bytes());
            attachments.push(decoded.map_err(|_| WireError::Member(member))?.into());
        }
    }
    let inside = array
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'));
    let inner = match inside.unwrap_or(array).trim_ascii() {
        // Python's way of saying that there is no argument.
        "null" => "",
        inner => inner,
    };
    Ok(Arguments { inner, attachments })
}
