//! Stand-ins for types of `engine` and `ids` until those modules are here.

pub use crate::engine::Revision;

/// The id of an event that wants an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(pub u64);
