//! How the program ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Codes of exit. Those from 64 on are as in BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Code {
    /// 0: the run is done, and met all thresholds.
    Pass = 0,
    /// 64: wrong flags, scenario file or thresholds; nothing was sent.
    Usage = 64,
    /// 65: a result file that cannot be read.
    Data = 65,
    /// 69: a target or the broker cannot be reached.
    Unavailable = 69,
    /// 70: a fault of the load tester, or a process of it that ended.
    Internal = 70,
    /// 71: too few file descriptors or another limit of the system.
    System = 71,
    /// 73: a file cannot be written.
    CannotCreate = 73,
    /// 76: a target is no Socket.IO server, or refuses the clients.
    Protocol = 76,
    /// 99: a threshold is breached.
    Breach = 99,
    /// 130: interrupted; what was measured until then is reported.
    Interrupted = 130,
}

/// Why there is no result. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// With which code the program ends.
    pub code: Code,
    message: String,
}

impl Failure {
    /// A failure with a code.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        // Whatever wrote it, perhaps a server: it is one line, and no order to the terminal.
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        let message = message.to_string().chars().map(plain).collect();
        Self { code, message }
    }

    /// Wrong settings.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Somebody cannot be reached.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A limit of the system.
    pub fn system(message: impl fmt::Display) -> Self {
        Self::new(Code::System, message)
    }

    /// A fault of ours.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Code::Internal, message)
    }
}
