//! A JSON reader that walks text without recursion.
//!
//! serde_json cannot do three things the wire asks for: bound the nesting of text that is only
//! passed on, accept the lone surrogate escapes that JavaScript prints, and tell where an element
//! begins and ends. One pass of [`Reader`] does all of them.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Text that is not JSON, or nests deeper than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not the grammar of RFC 8259.
    #[error("invalid JSON at byte {0}")]
    Syntax(usize),
    /// Arrays and objects are nested deeper than the limit.
    #[error("JSON nested too deeply")]
    TooDeep,
}

/// One step through a JSON text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    ArrayStart,
    ArrayEnd,
    ObjectStart,
    ObjectEnd,
    Key(Text<'a>),
    String(Text<'a>),
    Number(&'a str),
    Bool(bool),
    Null,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
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

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expect {
    Value,
    ValueOrEnd,
    KeyOrEnd,
    Key,
    /// After a value: a comma or the end of the container; outside of any, the end of the text.
    CommaOrEnd,
}

/// Reads the tokens of one JSON value. Invariant: `depth` bits of `objects` are in use, one for
/// each open container, set for an object; `in_object` is the last of them, and false without any.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    expect: Expect,
    depth: usize,
    max_depth: usize,
    in_object: bool,
    objects: SmallVec<[u64; 2]>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, max_depth: usize) -> Self {
        Self {
            text,
            at: 0,
            expect: Expect::Value,
            depth: 0,
            max_depth,
            in_object: false,
            objects: SmallVec::new(),
        }
    }

    /// Byte offset behind the last token.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The next token, or `None` behind the one value that the text consists of.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        let mut byte = self.skip_space();
        if self.expect == Expect::CommaOrEnd && byte == Some(b',') && self.depth > 0 {
            self.at += 1;
            self.expect = if self.in_object {
                Expect::Key
            } else {
                Expect::Value
            };
            byte = self.skip_space();
        }
        let Some(byte) = byte else {
            return if self.depth == 0 && self.expect == Expect::CommaOrEnd {
                Ok(None)
            } else {
                Err(self.syntax())
            };
        };
        match (self.expect, byte) {
            (Expect::CommaOrEnd | Expect::ValueOrEnd, b']')
                if self.depth > 0 && !self.in_object =>
            {
                Ok(Some(self.close(Token::ArrayEnd)))
            }
            (Expect::CommaOrEnd | Expect::KeyOrEnd, b'}') if self.in_object => {
                Ok(Some(self.close(Token::ObjectEnd)))
            }
            (Expect::Key | Expect::KeyOrEnd, b'"') => self.key().map(Some),
            (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte).map(Some),
            _ => Err(self.syntax()),
        }
    }

    /// Reads to the end, checking the rest of the text.
    pub(crate) fn finish(&mut self) -> Result<(), JsonError> {
        while self.next()?.is_some() {}
        Ok(())
    }

    /// Reads to the end of the value that `first` began.
    pub(crate) fn skip(&mut self, first: Token<'a>) -> Result<(), JsonError> {
        if let Token::ArrayStart | Token::ObjectStart = first {
            let outside = self.depth - 1;
            while self.depth > outside {
                self.next()?;
            }
        }
        Ok(())
    }

    /// Steps over white space and looks at what follows.
    #[inline]
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    #[inline]
    fn value(&mut self, byte: u8) -> Result<Token<'a>, JsonError> {
        let token = match byte {
            b'[' => return self.open(false),
            b'{' => return self.open(true),
            b'"' => Token::String(self.string()?),
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            b't' => self.literal("true", Token::Bool(true))?,
            b'f' => self.literal("false", Token::Bool(false))?,
            b'n' => self.literal("null", Token::Null)?,
            _ => return Err(self.syntax()),
        };
        self.expect = Expect::CommaOrEnd;
        Ok(token)
    }

    fn key(&mut self) -> Result<Token<'a>, JsonError> {
        let key = self.string()?;
        if self.skip_space() != Some(b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token::Key(key))
    }

    fn open(&mut self, object: bool) -> Result<Token<'a>, JsonError> {
        if self.depth >= self.max_depth {
            return Err(JsonError::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.objects.len() {
            self.objects.push(0);
        }
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        self.at += 1;
        self.in_object = object;
        if object {
            self.expect = Expect::KeyOrEnd;
            Ok(Token::ObjectStart)
        } else {
            self.expect = Expect::ValueOrEnd;
            Ok(Token::ArrayStart)
        }
    }

    fn close(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        self.depth -= 1;
        self.expect = Expect::CommaOrEnd;
        self.in_object = match self.depth.checked_sub(1) {
            Some(top) => self.objects[top / 64] >> (top % 64) & 1 == 1,
            None => false,
        };
        token
    }

    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(token)
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes[self.at] == b'-' {
            self.at += 1;
        }
        // A leading zero stands alone.
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax());
        }
        self.at += count;
        Ok(())
    }

    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Text { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    self.escape()?;
                }
                // The end of the text, or a control character.
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if rest.len() >= 5 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return Err(self.syntax()),
        };
        Ok(())
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }
}

/// Length of the prefix without quote, backslash and control characters.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    // Eight bytes at a time. `x - ONES & !x & HIGH` marks zero bytes (and perhaps bytes above the
    // first one, which does not matter: only the lowest mark is used); `x - ONES * 0x20` likewise
    // marks bytes below 0x20.
    while let Some((chunk, _)) = bytes[at..].split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let marks = (quote.wrapping_sub(ONES) & !quote
            | slash.wrapping_sub(ONES) & !slash
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGH;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = &bytes[at..];
    at + tail
        .iter()
        .position(|&b| b < 0x20 || b == b'"' || b == b'\\')
        .unwrap_or(tail.len())
}

/// Resolves the escapes of a string that was read by [`Reader`].
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

/// Checks that `text` is one JSON value.
pub(crate) fn validate(text: &str, max_depth: usize) -> Result<(), JsonError> {
    Reader::new(text, max_depth).finish()
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

/// The elements of the array `text`, valid JSON, as slices of it. Anything else has none.
pub(crate) fn elements(text: &str) -> Elements<'_> {
    let mut reader = Reader::new(text, usize::MAX);
    let array = matches!(reader.next(), Ok(Some(Token::ArrayStart)));
    Elements {
        reader: array.then_some(reader),
    }
}

/// Iterator of [`elements`].
#[derive(Debug)]
pub(crate) struct Elements<'a> {
    reader: Option<Reader<'a>>,
}

impl<'a> Elements<'a> {
    /// The text of the elements that are left, with the bracket that closes the array.
    pub(crate) fn rest(&self) -> &'a str {
        let rest = self
            .reader
            .as_ref()
            .map_or("]", |reader| &reader.text[reader.offset()..]);
        rest.trim_start_matches([',', ' ', '\n', '\r', '\t'])
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let reader = self.reader.as_mut()?;
        let before = reader.offset();
        match reader.next() {
            Ok(Some(Token::ArrayEnd) | None) | Err(_) => {
                self.reader = None;
                None
            }
            Ok(Some(first)) => {
                if reader.skip(first).is_err() {
                    self.reader = None;
                    return None;
                }
                let slice = &reader.text[before..reader.offset()];
                Some(slice.trim_start_matches([',', ' ', '\n', '\r', '\t']))
            }
        }
    }
}

#[cfg(test)]
mod tests;
