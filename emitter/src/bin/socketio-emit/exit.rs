//! How the command ends.

use std::error::Error;
use std::fmt;

use socketio_emitter::{AdapterError, AskError, ConnectError, EmitError, FlushError};

/// The exit codes; those from 64 on are of `sysexits.h`.
pub(crate) mod code {
    /// Clients or nodes did not answer in time.
    pub(crate) const INCOMPLETE: u8 = 1;
    /// The command line or configuration is wrong.
    pub(crate) const USAGE: u8 = 64;
    /// An argument or line cannot be sent.
    pub(crate) const DATA: u8 = 65;
    /// A file cannot be read.
    pub(crate) const INPUT: u8 = 66;
    /// The broker cannot be reached or refuses, or no node is there to answer.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The file of the figures cannot be written.
    pub(crate) const OUTPUT: u8 = 73;
    /// The broker did not take everything.
    pub(crate) const TEMPORARY: u8 = 75;
}

/// Why the command fails, with all causes, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, error: impl Into<Box<dyn Error>>) -> Self {
        let error = error.into();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Some errors repeat their cause.
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        Self { code, text }
    }

    /// Says where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.text = format!("{place}: {}", self.text);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = match error {
            ConnectError::Config(_) | ConnectError::Mode(_) | ConnectError::Scheme => code::USAGE,
            _ => code::UNAVAILABLE,
        };
        Self::new(code, error)
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Self {
        let code = match error {
            EmitError::Carrier(AdapterError::TooLarge { .. } | AdapterError::Encode(_))
            | EmitError::Encode(_)
            | EmitError::Reserved(_) => code::DATA,
            EmitError::Untranslatable(_) => code::USAGE,
            _ => code::TEMPORARY,
        };
        Self::new(code, error)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Emit(error) => error.into(),
            AskError::Unsupported(_) => Self::new(code::USAGE, error),
            _ => Self::new(code::UNAVAILABLE, error),
        }
    }
}

impl From<FlushError> for Failure {
    fn from(error: FlushError) -> Self {
        Self::new(code::TEMPORARY, error)
    }
}
