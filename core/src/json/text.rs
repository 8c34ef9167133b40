//! Strings of JSON: escapes, and the surrogates that JavaScript leaves alone.

use std::borrow::Cow;

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The string itself. A lone surrogate becomes U+FFFD.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Whether the string equals `other`, which must not need escapes.
    pub(crate) fn is(self, other: &str) -> bool {
        if self.escaped {
            unescape(self.raw) == other
        } else {
            self.raw == other
        }
    }
}

/// Resolves the escapes of a string that the reader accepted.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut skip = 1;
        match rest.as_bytes().first() {
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'u') => {
                let (character, length) = unicode_escape(rest.as_bytes());
                out.push(character);
                skip = length;
            }
            // `"`, `\` and `/` stand for themselves; nothing else passes the reader.
            _ => out.extend(rest.chars().next()),
        }
        rest = rest.get(skip..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of `uXXXX`, or of `uXXXX\uXXXX` where both halves of a pair are there, and how
/// many bytes it took.
fn unicode_escape(bytes: &[u8]) -> (char, usize) {
    let unit = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(bytes.get(at + 1..at + 5)?).ok()?;
        (bytes[at] == b'u').then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let high = unit(0).unwrap_or(0xFFFD);
    if let Some(character) = char::from_u32(high) {
        return (character, 5);
    }
    // Only surrogates are no characters.
    if high < 0xDC00
        && bytes.get(5) == Some(&b'\\')
        && let Some(low @ 0xDC00..=0xDFFF) = unit(6)
        && let Some(character) = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    {
        return (character, 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

/// `text`, valid JSON, with every lone surrogate escape replaced by `\ufffd`, so that serde_json
/// reads it.
pub(crate) fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found + 1;
        if bytes.get(at) != Some(&b'u') {
            // Steps over the escaped character, which may be a backslash.
            at += 1;
            at = at.min(bytes.len());
            continue;
        }
        let (character, length) = unicode_escape(&bytes[at..]);
        if character == char::REPLACEMENT_CHARACTER {
            out.push_str(&text[copied..at]);
            out.push_str("ufffd");
            copied = (at + length).min(text.len());
        }
        at = (at + length).min(bytes.len());
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}
