//! What the dialect cannot say.

use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::cluster::wire::Encoded;

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Translated {
    /// To be published in this order.
    pub messages: Vec<Encoded>,
    /// What they do not say, each kind once.
    pub limits: SmallVec<[Untranslatable; 2]>,
}

impl Translated {
    pub(super) fn leave_out(&mut self, limit: Untranslatable) {
        if !self.limits.contains(&limit) {
            self.limits.push(limit);
        }
    }
}

/// What the other members are not told, or not quite.
///
/// Not among these is a timeout: waiting ends here, and what comes later is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Untranslatable {
    /// Only single sockets can be left out. The event is not sent at all, so that it never reaches
    /// those it is kept from.
    #[error("an event that leaves out the members of a room is not sent")]
    Except,
    /// Acknowledgements can be asked of exactly one room. The event is sent, and its recipients
    /// are not asked.
    #[error("an event to none or several rooms is sent without asking for acknowledgements")]
    Acknowledgements,
    /// Bytes in an acknowledgement are sent as text in base64.
    #[error("bytes in an acknowledgement are sent as base64")]
    BinaryAcknowledgement,
    /// Sockets are disconnected from the namespace; their connections stay.
    #[error("the connections of disconnected sockets are not closed")]
    CloseConnection,
    /// Nobody can be asked for sockets.
    #[error("sockets are not asked for")]
    FetchSockets,
    /// Only single sockets can be made to join, leave or disconnect, and rooms be emptied.
    #[error("sockets that are chosen by room do not join, leave or disconnect")]
    Selection,
    /// There are no events for servers.
    #[error("an event for the servers is not sent")]
    ServerSideEmit,
    /// A volatile event is sent as an ordinary one.
    #[error("a volatile event is sent as an ordinary one")]
    Volatile,
}

impl Untranslatable {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Except,
        Self::Acknowledgements,
        Self::BinaryAcknowledgement,
        Self::CloseConnection,
        Self::FetchSockets,
        Self::Selection,
        Self::ServerSideEmit,
        Self::Volatile,
    ];

    /// A short name for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Except => "except",
            Self::Acknowledgements => "acknowledgements",
            Self::BinaryAcknowledgement => "binary_acknowledgement",
            Self::CloseConnection => "close_connection",
            Self::FetchSockets => "fetch_sockets",
            Self::Selection => "selection",
            Self::ServerSideEmit => "server_side_emit",
            Self::Volatile => "volatile",
        }
    }

    /// Whether sockets of other members miss something, rather than get it in another form.
    #[must_use]
    pub fn is_loss(self) -> bool {
        match self {
            Self::Except | Self::FetchSockets | Self::Selection | Self::ServerSideEmit => true,
            Self::Acknowledgements
            | Self::BinaryAcknowledgement
            | Self::CloseConnection
            | Self::Volatile => false,
        }
    }
}

/// How often each limit was met.
#[derive(Debug, Default)]
pub struct LimitCounts([AtomicU64; Untranslatable::ALL.len()]);

impl LimitCounts {
    /// Counts one. The result is how many of the kind there are now, so that a caller need not log
    /// each of them.
    pub fn add(&self, limit: Untranslatable) -> u64 {
        self.0[limit as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many of a kind there were.
    #[must_use]
    pub fn of(&self, limit: Untranslatable) -> u64 {
        self.0[limit as usize].load(Ordering::Relaxed)
    }

    /// How many of all kinds there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        Untranslatable::ALL.map(|limit| self.of(limit)).iter().sum()
    }
}
