//! Former places of types that now live in `engine` and `ids`.

pub use crate::engine::Revision;
pub use crate::ids::AckId;
