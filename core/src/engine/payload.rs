//! Several packets in the body of one polling request or response.
//!
//! * Revision 4: text, packets separated by `\x1e`, bytes as `b<base64>`.
//! * Revision 3, text: `<length>:<packet>` repeated, the length in UTF-16 code units.
//! * Revision 3, binary: `<0 text | 1 binary><length: one byte per decimal digit>\xff<packet>`
//!   repeated, the length in bytes.
//!
//! The size of a body is limited by whoever reads it from the network, before it comes here.

mod decode;
mod encode;

pub use decode::{PayloadDecoder, PayloadError};
pub use encode::{EncodedPayload, PayloadEncoder};

/// Separates the packets of a payload in revision 4.
const SEPARATOR: u8 = 0x1e;

/// Ends the length of a packet in the binary form of revision 3.
const LENGTH_END: u8 = 0xff;

#[cfg(test)]
mod tests;
