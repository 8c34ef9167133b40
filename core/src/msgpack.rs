//! [MessagePack](https://github.com/msgpack/msgpack/blob/master/spec.md) as the JavaScript of the
//! Socket.IO family writes it (notepack 2 and 3).
//!
//! Two departures from the plain format: `undefined` is extension type 0 with one byte, a date is
//! extension type 0 with eight bytes of milliseconds, or the timestamp of the specification. Dates
//! are read as the text that `JSON.stringify` makes of them. An unknown extension becomes the array
//! of its type and its bytes.

mod date;
mod json;
mod read;
mod write;

pub use read::{MessagePackError, decode, decode_payload};
pub use write::{
    encode, write_array_header, write_bool, write_bytes, write_int, write_map_header, write_nil,
    write_payload, write_str, write_uint, write_value,
};

pub(crate) use json::write_json;
pub(crate) use read::{Reader, Token, key, read_value, skip, to_json};

/// Extension type of notepack 2 for `undefined` and dates.
pub(crate) const EXT_NOTEPACK: i8 = 0;
/// Extension type of timestamps.
pub(crate) const EXT_TIMESTAMP: i8 = -1;

#[cfg(test)]
mod tests;
