//! JSONP polling: a payload as a script, and a payload as a form.

use bytes::Bytes;

/// A POST body that is no JSONP form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonpError {
    /// The field `d` is missing.
    #[error("the form has no field `d`")]
    Missing,
    /// The field `d` is there more than once, so it is unclear what was meant.
    #[error("the form has several fields `d`")]
    Repeated,
}

/// Wraps a text payload in the script that the client waits for: `___eio[<j>]("…");`.
///
/// `index` is the query parameter `j`. Only its digits are echoed, since this is a script.
#[must_use]
pub fn wrap(index: &str, payload: &str) -> String {
    let mut out = String::with_capacity(payload.len() + payload.len() / 8 + 24);
    out.push_str("___eio[");
    out.extend(index.chars().filter(char::is_ascii_digit));
    out.push_str("](\"");
    for character in payload.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Line ends for JavaScript of before 2019, though JSON allows them in strings.
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            '\0'..='\x1f' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let code = character as usize;
                out.push_str("\\u00");
                out.push(char::from(HEX[code >> 4]));
                out.push(char::from(HEX[code & 15]));
            }
            other => out.push(other),
        }
    }
    out.push_str("\");");
    out
}

/// Takes the payload out of a form body `d=<payload>`.
///
/// The client doubles the backslash before an `n` of its own, because browsers change line ends
/// in forms: backslash-n is a newline, backslash-backslash-n is backslash-n.
///
/// # Errors
/// [`JsonpError`] if there is not exactly one field `d`.
pub fn unwrap_body(form: &[u8]) -> Result<Bytes, JsonpError> {
    let mut found = None;
    for field in form.split(|&byte| byte == b'&') {
        if let Some(value) = field.strip_prefix(b"d=")
            && found.replace(value).is_some()
        {
            return Err(JsonpError::Repeated);
        }
    }
    let decoded = decode_form_value(found.ok_or(JsonpError::Missing)?);
    Ok(restore_newlines(decoded).into())
}

/// Percent decoding; a `%` without two hexadecimal digits stands for itself.
fn decode_form_value(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match tail {
                [high, low, tail @ ..] if let Some(byte) = hex_pair(*high, *low) => {
                    out.push(byte);
                    rest = tail;
                }
                _ => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
    out
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    // Two hexadecimal digits fit a byte.
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

fn restore_newlines(text: Vec<u8>) -> Vec<u8> {
    if memchr::memmem::find(&text, b"\\n").is_none() {
        return text;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = &text[..];
    loop {
        rest = match rest {
            [b'\\', b'\\', b'n', tail @ ..] => {
                out.extend_from_slice(b"\\n");
                tail
            }
            [b'\\', b'n', tail @ ..] => {
                out.push(b'\n');
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_as_node_does() {
        assert_eq!(wrap("0", "4hello"), r#"___eio[0]("4hello");"#);
        assert_eq!(
            wrap("7", "2:4\"\\\n\u{2028}\u{2029}\u{1}é"),
            r#"___eio[7]("2:4\"\\\n\u2028\u2029\u0001é");"#
        );
    }

    #[test]
    fn the_index_cannot_carry_script() {
        assert_eq!(wrap("1];alert(2)//", "6"), r#"___eio[12]("6");"#);
        assert_eq!(wrap("", "6"), r#"___eio[]("6");"#);
    }

    #[test]
    fn unwraps_forms() {
        for (form, payload) in [
            (&b"d=4hello"[..], &b"4hello"[..]),
            (b"d=1%3A4+a%2b", b"1:4 a+"),
            (b"x=1&d=4&y", b"4"),
            (b"d=", b""),
            (b"d=%", b"%"),
            (b"d=%4", b"%4"),
            (b"d=%zz%34", b"%zz4"),
            (b"d=a%5Cnb", b"a\nb"),
            (b"d=a%5C%5Cnb", b"a\\nb"),
            (b"d=a%5C%5Cb", b"a\\\\b"),
            (b"d=%5C%5C%5Cn", b"\\\\n"),
            (b"d=%C3%A9=", b"\xc3\xa9="),
        ] {
            let text = String::from_utf8_lossy(form);
            assert_eq!(unwrap_body(form).as_deref(), Ok(payload), "{text}");
        }
        assert_eq!(unwrap_body(b""), Err(JsonpError::Missing));
        assert_eq!(unwrap_body(b"e=4"), Err(JsonpError::Missing));
        assert_eq!(unwrap_body(b"d=4&d=5"), Err(JsonpError::Repeated));
    }

    proptest! {
        #[test]
        fn the_script_holds_the_payload_as_json(payload in ".*") {
            let script = wrap("3", &payload);
            let json = script.strip_prefix("___eio[3](").and_then(|s| s.strip_suffix(");"));
            let back: String = serde_json::from_str(json.expect("wrapped")).expect("JSON");
            prop_assert_eq!(back, payload);
            let safe = !script.contains(['\u{2028}', '\u{2029}', '\n']);
            prop_assert!(safe);
        }

        #[test]
        fn a_form_never_grows(form in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(body) = unwrap_body(&form) {
                prop_assert!(body.len() <= form.len());
            }
        }
    }
}
