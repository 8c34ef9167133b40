//! SIGTERM and SIGINT, as often as they come.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals that ask the process to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupt,
    Terminate,
}

impl Stop {
    /// What a shell reports for a process that this signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        let number = match self {
            Self::Interrupt => SignalKind::interrupt().as_raw_value(),
            Self::Terminate => SignalKind::terminate().as_raw_value(),
        };
        // Both numbers are below 128 everywhere.
        128 | u8::try_from(number).unwrap_or(0)
    }
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
        }
    }
}
