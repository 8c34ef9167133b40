//! A JSON reader that walks text without recursion.
//!
//! serde_json cannot do three things the wire asks for: bound the nesting of text that is only
//! passed on, accept the lone surrogate escapes that JavaScript prints, and tell where an element
//! begins and ends. One pass of [`Reader`] does all of them.

mod text;

use smallvec::SmallVec;

pub(crate) use text::{Text, without_lone_surrogates};

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
                    return Ok(Text::new(raw, escaped));
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

/// Checks that `text` is one JSON value.
pub(crate) fn validate(text: &str, max_depth: usize) -> Result<(), JsonError> {
    Reader::new(text, max_depth).finish()
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
