//! Reading messages that may be JSON or MessagePack, without building a tree of them.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use super::WireError;
use crate::json::{self, Token};
use crate::msgpack::{self, Reader, Token as Pack};
use crate::packet::placeholders_are_sound;
use crate::payload::{Attachments, Payload, event_name};
use crate::value::{self, MAX_DEPTH, Value};

/// How many levels down arguments and other values of the application begin at most: `data`, its
/// `sockets`, one of them, and its `data`.
const LEVELS: usize = 4;

/// A whole message.
#[derive(Debug)]
pub(super) enum Document {
    Json(ByteString),
    Pack(Bytes),
}

/// One value of a message, as it stands there. What is behind it is well-formed, as far as the
/// walk that found it checks: all of JSON, all but the keys and extensions of MessagePack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Json {
        document: &'a ByteString,
        text: &'a str,
        /// It nests no deeper than this.
        depth: usize,
    },
    Pack {
        document: &'a Bytes,
        bytes: &'a [u8],
    },
}

impl Document {
    /// A message of the Node.js adapters: JSON if it begins with a brace.
    pub(super) fn new(bytes: &Bytes) -> Result<Self, WireError> {
        if bytes.first() == Some(&b'{') {
            let text = ByteString::try_from(bytes.clone()).map_err(|_| WireError::Utf8)?;
            Ok(Self::Json(text))
        } else {
            Ok(Self::Pack(bytes.clone()))
        }
    }

    /// The outermost value.
    pub(super) fn root(&self) -> Part<'_> {
        match self {
            Self::Json(document) => Part::Json {
                document,
                text: document,
                depth: MAX_DEPTH + LEVELS,
            },
            Self::Pack(document) => Part::Pack {
                document,
                bytes: document,
            },
        }
    }
}

impl<'a> Part<'a> {
    /// The same, for reading with [`pick`](Self::pick) where arguments begin at most `levels` levels
    /// below it.
    pub(super) fn above_arguments(self, levels: usize) -> Self {
        match self {
            Part::Json {
                document,
                text,
                depth,
            } => Part::Json {
                document,
                text,
                depth: depth.min(MAX_DEPTH + levels),
            },
            Part::Pack { .. } => self,
        }
    }

    /// The members of an object by their names; of a name that occurs twice the last one. What is
    /// `undefined` is not there.
    pub(super) fn pick<const N: usize>(
        self,
        what: &'static str,
        names: [&str; N],
    ) -> Result<[Option<Self>; N], WireError> {
        let mut found = [None; N];
        let at = |name: &str| names.iter().position(|known| *known == name);
        match self {
            Part::Json {
                document,
                text,
                depth,
            } => {
                let mut reader = json::Reader::new(text, depth);
                if reader.next()? != Some(Token::ObjectStart) {
                    return Err(WireError::Member(what));
                }
                while let Some(token) = reader.next()? {
                    let Token::Key(name) = token else { continue };
                    let start = reader.offset();
                    let Some(first) = reader.next()? else { break };
                    reader.skip(first)?;
                    if let Some(at) = at(&name.decode()) {
                        found[at] = Some(Part::Json {
                            document,
                            text: text[start..reader.offset()].trim_start(),
                            depth: depth - 1,
                        });
                    }
                }
            }
            Part::Pack { document, bytes } => {
                let mut reader = Reader::new(bytes);
                let Pack::Map(len) = reader.next()? else {
                    return Err(WireError::Member(what));
                };
                for _ in 0..len {
                    let at = at(&msgpack::key(&mut reader)?);
                    let part = next_part(document, &mut reader)?;
                    if let Some(at) = at {
                        found[at] = part;
                    }
                }
                end(&reader)?;
            }
        }
        Ok(found)
    }

    /// The elements of an array. `each` gets nothing for one that is `undefined`.
    pub(super) fn each(
        self,
        what: &'static str,
        mut each: impl FnMut(Option<Self>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        match self {
            Part::Json {
                document,
                text,
                depth,
            } => {
                if !text.starts_with('[') {
                    return Err(WireError::Member(what));
                }
                for text in json::elements(text) {
                    each(Some(Part::Json {
                        document,
                        text,
                        depth: depth - 1,
                    }))?;
                }
            }
            Part::Pack { document, bytes } => {
                let mut reader = Reader::new(bytes);
                let Pack::Array(len) = reader.next()? else {
                    return Err(WireError::Member(what));
                };
                for _ in 0..len {
                    each(next_part(document, &mut reader)?)?;
                }
                end(&reader)?;
            }
        }
        Ok(())
    }

    /// Text, if it is that.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Part::Json { text, .. } => match json::Reader::new(text, 0).next() {
                Ok(Some(Token::String(text))) => Some(text.decode()),
                _ => None,
            },
            Part::Pack { bytes, .. } => match Reader::new(bytes).next() {
                Ok(Pack::Str(text)) => Some(String::from_utf8_lossy(text)),
                _ => None,
            },
        }
    }

    /// The text of a name, which JavaScript may also hold as a number or as anything else that is
    /// no object.
    pub(super) fn name(self) -> Option<Cow<'a, str>> {
        if let Some(text) = self.text() {
            return Some(text);
        }
        match self.scalar()? {
            Value::Null => Some("null".into()),
            Value::Bool(value) => Some(value.to_string().into()),
            Value::Int(value) => Some(value.to_string().into()),
            Value::UInt(value) => Some(value.to_string().into()),
            Value::Float(value) => Some(number_name(value).into()),
            _ => None,
        }
    }

    /// A number, a boolean or `null`.
    pub(super) fn scalar(self) -> Option<Value> {
        match self {
            Part::Json { text, .. } => match json::Reader::new(text, 0).next() {
                Ok(Some(Token::Number(text))) => Some(value::number(text)),
                Ok(Some(Token::Bool(value))) => Some(value.into()),
                Ok(Some(Token::Null)) => Some(Value::Null),
                _ => None,
            },
            Part::Pack { bytes, .. } => match Reader::new(bytes).next() {
                Ok(Pack::Nil) => Some(Value::Null),
                Ok(Pack::Bool(value)) => Some(value.into()),
                Ok(Pack::Int(value)) => Some(value.into()),
                Ok(Pack::UInt(value)) => Some(value.into()),
                Ok(Pack::Float(value)) => Some(value.into()),
                _ => None,
            },
        }
    }

    pub(super) fn is_null(self) -> bool {
        self.scalar() == Some(Value::Null)
    }

    /// `true`, and nothing else that JavaScript takes for it.
    pub(super) fn is_true(self) -> bool {
        self.scalar() == Some(Value::Bool(true))
    }

    /// An integer that is not negative.
    pub(super) fn uint(self) -> Option<u64> {
        match self.scalar()? {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked, and larger ones saturate"
            )]
            Value::Float(value) if value >= 0.0 && value.fract() == 0.0 => Some(value as u64),
            value => value.as_u64(),
        }
    }

    /// An array as name and arguments of an event.
    pub(super) fn event(self) -> Result<Payload, WireError> {
        let payload = self.arguments()?;
        // Clients close their connection when they get an event without a name.
        if event_name(payload.json()).is_none() {
            return Err(WireError::Member("event"));
        }
        Ok(payload)
    }

    /// An array as arguments.
    fn arguments(self) -> Result<Payload, WireError> {
        match self {
            Part::Json {
                document,
                text,
                depth,
            } => {
                if !text.starts_with('[') {
                    return Err(WireError::Member("arguments"));
                }
                if depth > MAX_DEPTH {
                    json::validate(text, MAX_DEPTH)?;
                }
                // The text is taken as it is.
                let json = document.slice_ref(text);
                Ok(Payload::from_parts(json, Attachments::new()))
            }
            Part::Pack { bytes, .. } => {
                if !matches!(Reader::new(bytes).next()?, Pack::Array(_)) {
                    return Err(WireError::Member("arguments"));
                }
                self.pack_payload(Vec::with_capacity(bytes.len()), MAX_DEPTH, b"")
            }
        }
    }

    /// Any value as the only argument.
    pub(super) fn argument(self) -> Result<Payload, WireError> {
        match self {
            Part::Json { text, depth, .. } => {
                if depth >= MAX_DEPTH {
                    json::validate(text, MAX_DEPTH - 1)?;
                }
                let json = format!("[{text}]");
                Ok(Payload::from_parts(json.into(), Attachments::new()))
            }
            Part::Pack { .. } => self.pack_payload(vec![b'['], MAX_DEPTH - 1, b"]"),
        }
    }

    /// MessagePack rewritten as JSON between what is in `json` and `tail`.
    fn pack_payload(
        self,
        mut json: Vec<u8>,
        depth: usize,
        tail: &[u8],
    ) -> Result<Payload, WireError> {
        let Part::Pack { document, bytes } = self else {
            return self.argument();
        };
        let mut attachments = Attachments::new();
        let mut reader = Reader::new(bytes);
        let (out, max) = (&mut json, usize::MAX);
        msgpack::to_json(&mut reader, document, depth, max, out, &mut attachments)?;
        end(&reader)?;
        json.extend_from_slice(tail);
        let json = ByteString::try_from(json).map_err(|_| WireError::Utf8)?;
        // A map that looks like the placeholder of bytes would make recipients fail.
        if !attachments.is_empty() && !placeholders_are_sound(&json, attachments.len()) {
            return Err(WireError::Member("arguments"));
        }
        Ok(Payload::from_parts(json, attachments))
    }

    /// The value as a tree.
    pub(super) fn value(self) -> Result<Value, WireError> {
        match self {
            Part::Json { text, .. } => Ok(value::parse(text, &[])?),
            Part::Pack { document, bytes } => Ok(msgpack::decode(&document.slice_ref(bytes))?),
        }
    }
}

/// Steps over one value; nothing if it is `undefined`.
fn next_part<'a>(
    document: &'a Bytes,
    reader: &mut Reader<'a>,
) -> Result<Option<Part<'a>>, WireError> {
    let rest = reader.rest();
    let undefined = matches!(reader.clone().next()?, Pack::Undefined);
    msgpack::skip(reader)?;
    let bytes = &rest[..rest.len() - reader.rest().len()];
    Ok((!undefined).then_some(Part::Pack { document, bytes }))
}

/// Nothing may follow.
fn end(reader: &Reader<'_>) -> Result<(), WireError> {
    if reader.rest().is_empty() {
        Ok(())
    } else {
        Err(msgpack::MessagePackError::Invalid.into())
    }
}

/// The text that JavaScript makes of a number.
fn number_name(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}Infinity")
    } else if size == 0.0 {
        "0".to_owned()
    } else if size < 1e-6 {
        format!("{value:e}")
    } else if size < 1e21 {
        value.to_string()
    } else {
        format!("{value:e}").replace('e', "e+")
    }
}
