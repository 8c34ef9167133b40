//! Which trace something belongs to, as W3C Trace Context writes it.
//!
//! Nothing here makes spans: a [`TraceContext`] is what travels, in the headers of a handshake, in a
//! [`ClusterMessage`](crate::cluster::ClusterMessage) and perhaps in the arguments of events.

#[cfg(feature = "otel")]
mod otel;
mod payload;
mod state;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;

/// The place in a trace from which something was sent. Once made it is well-formed.
///
/// ```
/// use socketio_core::trace::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse(text, Some("vendor=abc"))?;
/// assert!(context.is_sampled());
/// assert_eq!(context.traceparent().as_str(), text);
/// assert_eq!(context.tracestate(), Some("vendor=abc"));
/// assert!("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01".parse::<TraceContext>().is_err());
/// # Ok::<(), socketio_core::trace::InvalidTraceparent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
    state: Option<Box<str>>,
}

/// Says what is wanted, since what is wrong is seen by comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no valid `traceparent`: 00-<32 hexadecimal digits>-<16>-<2>, in lower case, and neither of the first two all zeros"
)]
pub struct InvalidTraceparent;

/// The flags whose meaning is known: sampled, and that the id of the trace is random.
const FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// Characters of the form that version 00 has, the only one that is written.
const LEN: usize = 55;

impl TraceContext {
    /// From the ids and flags of a span; nothing if one of the ids is all zeros, which means that
    /// there is none. Flags of unknown meaning are left out.
    #[must_use]
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Option<Self> {
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self {
            trace: trace_id,
            span: span_id,
            flags: flags & FLAGS,
            state: None,
        })
    }

    /// Reads the contents of the two headers. Of a later version that is read which this one knows.
    /// A `tracestate` that is malformed or too long is left out.
    ///
    /// # Errors
    ///
    /// When the `traceparent` is malformed. The trace begins anew then, and `tracestate` means nothing.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, InvalidTraceparent> {
        let context = traceparent.parse::<Self>()?;
        Ok(match tracestate {
            Some(state) => context.with_tracestate(state),
            None => context,
        })
    }

    /// Adds what vendors of tracing systems say of the trace, at most 512 bytes of it; what is longer or
    /// malformed is left out, and so is a list without entries.
    #[must_use]
    pub fn with_tracestate(mut self, state: &str) -> Self {
        let state = state.trim_matches([' ', '\t']);
        self.state = (!state.is_empty() && state::is_valid(state)).then(|| state.into());
        self
    }

    /// The contents of the header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        let mut text = [b'-'; LEN];
        hex(&[0], &mut text[0..2]);
        hex(&self.trace, &mut text[3..35]);
        hex(&self.span, &mut text[36..52]);
        hex(&[self.flags], &mut text[53..55]);
        Traceparent(text)
    }

    /// The contents of the header `tracestate`, if there are any.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the trace. Not all zeros.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace
    }

    /// The id of the span from which it was sent. Not all zeros.
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.span
    }

    /// The flags: 1 says that the trace is [sampled](Self::is_sampled), 2 that its id is random.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the sender records the trace, so that who continues it should.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    /// Reads the contents of the header `traceparent`.
    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        Self::read(text.as_bytes()).ok_or(InvalidTraceparent)
    }
}

impl TraceContext {
    fn read(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LEN)?;
        let [version] = unhex(&known[..2])?;
        // A later version may add something behind another dash.
        let ends_well = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.first().is_none_or(|next| *next == b'-'),
        };
        if !ends_well || [2, 35, 52].iter().any(|dash| known[*dash] != b'-') {
            return None;
        }
        let [flags] = unhex(&known[53..])?;
        Self::new(unhex(&known[3..35])?, unhex(&known[36..52])?, flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext")
            .field("traceparent", &self.traceparent().as_str())
            .field("tracestate", &self.state)
            .finish()
    }
}

/// The text of a `traceparent`. Making it takes no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent([u8; LEN]);

impl Traceparent {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only digits and dashes were written.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<str> for Traceparent {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Writes two digits for each byte.
fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, out) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        out[0] = DIGITS[usize::from(byte >> 4)];
        out[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Reads `N` bytes of two digits each, in lower case.
fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}
