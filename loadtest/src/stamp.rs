//! What each message carries, so that its receiver can audit it: publisher, sequence, and when it
//! was due.
//!
//! A stamp is a string such as `~lt.2a.1f.5e3b.`, in base 16. A receiver looks for it anywhere in
//! the text of an event, so that servers may wrap what they pass on as they like.

use memchr::memmem;

/// What begins a stamp.
const MARK: &str = "~lt.";

/// Who published a message, its place in the row of that publisher, and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher: see [`Publisher`](crate::audit::Publisher).
    pub publisher: u32,
    /// The first message of a publisher has 1.
    pub sequence: u64,
    /// When it was due, in microseconds of the machine's monotonic clock.
    pub due: u64,
}

impl Stamp {
    /// The text, which needs no escape in JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        format!(
            "{MARK}{:x}.{:x}.{:x}.",
            self.publisher, self.sequence, self.due
        )
    }

    /// The first stamp in a text.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut start = 0;
        // Text of others may hold the mark too.
        while let Some(at) = memmem::find(&bytes[start..], MARK.as_bytes()) {
            start += at + MARK.len();
            if let Some(stamp) = Self::decode(&bytes[start..]) {
                return Some(stamp);
            }
        }
        None
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (publisher, rest) = number(bytes)?;
        let (sequence, rest) = number(rest)?;
        let (due, _) = number(rest)?;
        let publisher = u32::try_from(publisher).ok()?;
        Some(Self {
            publisher,
            sequence,
            due,
        })
    }
}

/// A number in base 16 that ends with a dot, and what follows.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(17) {
        match (byte, at) {
            (b'.', 0) => return None,
            (b'.', _) => return Some((value, &bytes[at + 1..])),
            (_, 16) => return None,
            (byte, _) => {
                let digit = char::from(*byte).to_digit(16)?;
                value = (value << 4) | u64::from(digit);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamp_is_found_in_any_text(
            publisher: u32, sequence: u64, due: u64, before in "[^~]*(~lt\\.)?[^~]*", after in ".*"
        ) {
            let stamp = Stamp { publisher, sequence, due };
            let text = format!("{before}{}{after}", stamp.encode());
            prop_assert_eq!(Stamp::find(&text), Some(stamp));
        }

        #[test]
        fn no_text_panics(text in "(~lt|[0-9a-f]|\\.|.){0,60}") {
            let _ = Stamp::find(&text);
        }
    }

    #[test]
    fn half_a_stamp_is_none() {
        for text in [
            "",
            "~lt.",
            "~lt.1.2.3",
            "~lt.1..3.",
            "~lt.g.2.3.",
            "~lt.fffffffff.1.1.",
        ] {
            assert_eq!(Stamp::find(text), None, "{text}");
        }
    }
}
