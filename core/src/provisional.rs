//! Stand-ins for types of `engine` and `ids` until those modules are here.

/// Revision of the Engine.IO protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// Spoken by Socket.IO 2.
    V3,
    /// Spoken by Socket.IO 3 and 4.
    V4,
}

/// The id of an event that wants an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(pub u64);
