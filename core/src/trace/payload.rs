//! A context among the arguments of an event: a member of the last one, if that is an object.
//!
//! What is written is an object with the names of the two headers, so that the propagators of OpenTelemetry read
//! it in any language. A string is read too, as a `traceparent`.

use bytestring::ByteString;

use super::TraceContext;
use crate::json::{self, Reader, Token};
use crate::payload::{Attachments, Payload};
use crate::value::{self, MAX_DEPTH};

impl TraceContext {
    /// The context that the member `key` of the last argument holds.
    ///
    /// ```
    /// use socketio_core::payload::Payload;
    /// use socketio_core::trace::TraceContext;
    ///
    /// let context = TraceContext::new([1; 16], [2; 8], 1).expect("not all zeros");
    /// let payload = Payload::event("order", &("shoes", serde_json::json!({"size": 43})))?;
    /// let traced = context.add_to(&payload, "trace").expect("an object");
    /// assert_eq!(TraceContext::find_in(&traced, "trace"), Some(context));
    /// assert_eq!(TraceContext::find_in(&payload, "trace"), None);
    /// # Ok::<(), socketio_core::payload::EncodeError>(())
    /// ```
    #[must_use]
    pub fn find_in(payload: &Payload, key: &str) -> Option<Self> {
        let [found] = members(last_object(payload)?, [key])?;
        let found = found?;
        if found.starts_with('{') {
            let [parent, state] = members(found, ["traceparent", "tracestate"])?;
            let state = state.and_then(string);
            Self::parse(&string(parent?)?, state.as_deref()).ok()
        } else {
            string(found)?.parse().ok()
        }
    }

    /// The payload with this context as the member `key` of its last argument. Nothing if that is no object, or
    /// has such a member already.
    #[must_use]
    pub fn add_to(&self, payload: &Payload, key: &str) -> Option<Payload> {
        let last = last_object(payload)?;
        let [present] = members(last, [key])?;
        let inside = last.strip_prefix('{')?;
        if present.is_some() {
            return None;
        }
        // Behind the last argument there is nothing but the end of the array.
        let json = payload.json().trim_end().strip_suffix(']')?;
        let before = json.trim_end().strip_suffix(last)?;
        let mut out = Vec::with_capacity(json.len() + key.len() + 128);
        out.extend_from_slice(before.as_bytes());
        out.push(b'{');
        value::write_scalar(&mut out, key);
        out.extend_from_slice(b":{\"traceparent\":");
        value::write_scalar(&mut out, self.traceparent().as_str());
        if let Some(state) = self.tracestate() {
            out.extend_from_slice(b",\"tracestate\":");
            value::write_scalar(&mut out, state);
        }
        out.push(b'}');
        if !inside.trim_start().starts_with('}') {
            out.push(b',');
        }
        out.extend_from_slice(inside.as_bytes());
        out.push(b']');
        let attachments = Attachments::from(payload.attachments());
        let json = ByteString::try_from(out).ok()?;
        Some(Payload::from_parts(json, attachments))
    }
}

/// The text of the last argument, if it is an object and not in the place of bytes.
fn last_object(payload: &Payload) -> Option<&str> {
    let last = json::elements(payload.json()).skip(1).last()?.trim();
    let object = last.starts_with('{');
    let placeholder = !payload.attachments().is_empty()
        && matches!(members(last, ["_placeholder"]), Some([Some("true")]));
    (object && !placeholder).then_some(last)
}

/// The texts of some members of an object.
fn members<'a, const N: usize>(object: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    let mut reader = Reader::new(object, MAX_DEPTH);
    if reader.next().ok()? != Some(Token::ObjectStart) {
        return None;
    }
    while let Some(token) = reader.next().ok()? {
        let Token::Key(name) = token else { continue };
        let start = reader.offset();
        let first = reader.next().ok()??;
        reader.skip(first).ok()?;
        if let Some(at) = names.iter().position(|known| name.is(known)) {
            found[at] = Some(object[start..reader.offset()].trim());
        }
    }
    Some(found)
}

fn string(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    match Reader::new(text, 0).next() {
        Ok(Some(Token::String(text))) => Some(text.decode()),
        _ => None,
    }
}
