//! [`Payload`]: the arguments of an event or an acknowledgement.

mod args;

use std::borrow::Cow;
use std::fmt;
use std::io;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::Formatter;
use smallvec::SmallVec;

use crate::json::{self, Token};
use crate::packet::placeholders_are_sound;
use crate::value::{self, Value, ValueError};

/// Most payloads have no attachment, nearly all others one.
pub(crate) type Attachments = SmallVec<[Bytes; 1]>;

/// Event arguments as JSON text, with the binary parts beside it.
///
/// The text is an array, for an event with the name in front: `["chat",{"n":1}]`. Where bytes
/// belong it holds `{"_placeholder":true,"num":N}`. This is what travels in a packet of the
/// default parser, so a payload that is only passed on is never parsed.
///
/// ```
/// use bytes::Bytes;
/// use socketio_core::payload::Payload;
///
/// let payload = Payload::event("image", &("cat.png", Bytes::from_static(b"\x89PNG")))?;
/// assert_eq!(payload.json(), r#"["image","cat.png",{"_placeholder":true,"num":0}]"#);
/// let (name, data): (String, Bytes) = payload.deserialize_args(true)?;
/// assert_eq!((name.as_str(), &data[..]), ("cat.png", &b"\x89PNG"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    json: ByteString,
    attachments: Attachments,
}

impl Payload {
    /// The payload of `event`. A tuple (or an array of fixed size) is several arguments, `()` none
    /// and everything else one. Fields that serialize as bytes, such as [`Bytes`], become
    /// attachments; a `Vec<u8>` is an array of numbers to serde.
    ///
    /// # Errors
    ///
    /// When `data` refuses to be serialized, or holds bytes beside an object that looks like the
    /// placeholder of some.
    pub fn event<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<Self, EncodeError> {
        Self::build(Some(event), data)
    }

    /// The payload of an acknowledgement: as [`event`](Self::event), without a name.
    ///
    /// # Errors
    ///
    /// As [`event`](Self::event).
    pub fn args<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        Self::build(None, data)
    }

    /// No argument at all: `[]`.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            json: ByteString::from_static("[]"),
            attachments: SmallVec::new(),
        }
    }

    /// The payload of these elements; for an event the name comes first. Bytes are not copied.
    #[must_use]
    pub fn from_values(values: &[Value]) -> Self {
        let mut attachments = Attachments::new();
        let mut out = Vec::with_capacity(INITIAL);
        out.push(b'[');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            value::write(&mut out, value, &mut attachments);
        }
        out.push(b']');
        Self {
            json: text(out).into(),
            attachments,
        }
    }

    /// A payload that came as JSON text, for example over a broker.
    ///
    /// # Errors
    ///
    /// When `json` is no array, nests deeper than 128 levels, or names attachments that are not
    /// there.
    pub fn from_json(json: ByteString, attachments: Vec<Bytes>) -> Result<Self, ValueError> {
        let mut reader = json::Reader::new(&json, value::MAX_DEPTH);
        if reader.next()? != Some(Token::ArrayStart) {
            return Err(ValueError::Mismatch("not an array".to_owned()));
        }
        reader.finish()?;
        if !attachments.is_empty() {
            value::parse(&json, &attachments)?;
        }
        Ok(Self {
            json,
            attachments: attachments.into(),
        })
    }

    /// A payload whose text is known to be an array with a placeholder for each attachment.
    pub(crate) fn from_parts(json: ByteString, attachments: Attachments) -> Self {
        Self { json, attachments }
    }

    /// All elements, the name of the event included.
    ///
    /// # Errors
    ///
    /// When the text nests deeper than 128 levels.
    pub fn to_values(&self) -> Result<Vec<Value>, ValueError> {
        match value::parse(&self.json, &self.attachments)? {
            Value::Array(elements) => Ok(elements),
            _ => Ok(Vec::new()),
        }
    }

    /// The payload without its first `count` elements, the name of the event included. The text of
    /// the others stays as it is.
    ///
    /// # Errors
    ///
    /// When a skipped element may hold an attachment, and the text nests deeper than 128 levels.
    pub fn tail(&self, count: usize) -> Result<Self, ValueError> {
        let mut elements = json::elements(&self.json);
        let mut skipped = elements.by_ref().take(count);
        if skipped.any(|element| element.contains('{')) && !self.attachments.is_empty() {
            // Their numbers change.
            let values = self.to_values()?;
            return Ok(Self::from_values(values.get(count..).unwrap_or_default()));
        }
        // `any` may have stopped early.
        skipped.for_each(drop);
        Ok(Self {
            json: format!("[{}", elements.rest()).into(),
            attachments: self.attachments.clone(),
        })
    }

    /// The first element, if it is a string or a number: the name of the event.
    #[must_use]
    pub fn event_name(&self) -> Option<Cow<'_, str>> {
        event_name(&self.json)
    }

    /// The text: an array.
    #[must_use]
    pub fn json(&self) -> &ByteString {
        &self.json
    }

    /// The binary parts, in the order of their placeholders.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Size of text and attachments in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the text is never empty")]
    pub fn len(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Reads the arguments: a tuple takes them all, `()` none, any other type the first one.
    /// Arguments that are missing are read as `null`, those that are left over are ignored.
    /// `skip_event` leaves out the first element. A lone surrogate, which JavaScript may send but
    /// Rust cannot hold, becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// When the arguments have another shape.
    pub fn deserialize_args<T: DeserializeOwned>(&self, skip_event: bool) -> Result<T, ValueError> {
        let skip = usize::from(skip_event);
        if self.attachments.is_empty() {
            let text = json::without_lone_surrogates(&self.json);
            let mut elements = json::elements(&text);
            if skip_event {
                elements.next();
            }
            args::from_text(elements)
        } else {
            let mut elements = self.to_values()?.into_iter();
            elements.by_ref().take(skip).for_each(drop);
            args::from_values(elements)
        }
    }

    fn build<T: Serialize + ?Sized>(event: Option<&str>, data: &T) -> Result<Self, EncodeError> {
        let mut attachments = Attachments::new();
        let mut out = Vec::with_capacity(INITIAL);
        out.push(b'[');
        if let Some(event) = event {
            value::write_scalar(&mut out, event);
        }
        args::serialize(&mut out, &mut attachments, event.is_some(), data)?;
        out.push(b']');
        let json = ByteString::try_from(out).map_err(EncodeError::new)?;
        // An application that passes on the JSON of one client together with bytes would let that
        // client forge a placeholder, and the parsers of all recipients close their connections
        // when it names no attachment.
        if !attachments.is_empty() && !placeholders_are_sound(&json, attachments.len()) {
            return Err(EncodeError::new(
                "an object imitates the placeholder of bytes",
            ));
        }
        Ok(Self { json, attachments })
    }
}

/// Room for a small event without growing.
const INITIAL: usize = 256;

/// The first element of a valid JSON array, if it may name an event.
pub(crate) fn event_name(json: &str) -> Option<Cow<'_, str>> {
    let mut reader = json::Reader::new(json, 1);
    reader.next().ok()?;
    match reader.next() {
        Ok(Some(Token::String(name))) => Some(name.decode()),
        Ok(Some(Token::Number(name))) => Some(Cow::Borrowed(name)),
        _ => None,
    }
}

/// `data` as JSON text, its bytes collected in `attachments`.
pub(crate) fn serialize<T: Serialize + ?Sized>(
    attachments: &mut Attachments,
    data: &T,
) -> Result<String, EncodeError> {
    let mut out = Vec::with_capacity(INITIAL);
    serialize_into(&mut out, attachments, data)?;
    String::from_utf8(out).map_err(EncodeError::new)
}

fn serialize_into<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    attachments: &mut Attachments,
    data: &T,
) -> Result<(), EncodeError> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Collect { attachments });
    data.serialize(&mut serializer).map_err(EncodeError::new)
}

/// serde_json's compact format, except that bytes are put aside.
struct Collect<'a> {
    attachments: &'a mut Attachments,
}

impl Formatter for Collect<'_> {
    fn write_byte_array<W>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let num = self.attachments.len();
        self.attachments.push(Bytes::copy_from_slice(value));
        write!(writer, r#"{{"_placeholder":true,"num":{num}}}"#)
    }
}

/// Writes what stands in the text for attachment `num`.
pub(crate) fn write_placeholder(out: &mut Vec<u8>, num: usize) {
    out.extend_from_slice(br#"{"_placeholder":true,"num":"#);
    value::write_scalar(out, &num);
    out.push(b'}');
}

/// Text that was put together from valid UTF-8 only.
fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap_or_else(|err| {
        debug_assert!(false, "not UTF-8: {err}");
        String::from_utf8_lossy(err.as_bytes()).into_owned()
    })
}

/// Data that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot serialize the data: {message}")]
pub struct EncodeError {
    message: String,
}

impl EncodeError {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        let message = cause.to_string();
        Self { message }
    }
}

#[cfg(test)]
mod tests;
