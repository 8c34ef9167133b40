//! What Kombu puts around a message on Redis, which has no properties of messages.
//!
//! There it names its channels `/<database>.<exchange>`, and publishes a JSON object whose `body`
//! is the message in base64. So the name of a channel tells whether messages are wrapped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{self, Fields};
use crate::cluster::wire::WireError;
use crate::ids::NodeId;
use crate::value;

/// The exchange that `channel` stands for, if Kombu would read it.
fn exchange(channel: &str) -> Option<&str> {
    let (database, exchange) = channel.strip_prefix('/')?.split_once('.')?;
    let number = !database.is_empty() && database.bytes().all(|byte| byte.is_ascii_digit());
    number.then_some(exchange)
}

/// `message` as the readers of `channel` expect it.
pub(super) fn wrap(channel: &str, message: Vec<u8>) -> Vec<u8> {
    let Some(exchange) = exchange(channel) else {
        return message;
    };
    let mut out = b"{\"body\":\"".to_vec();
    out.extend_from_slice(STANDARD.encode(message).as_bytes());
    out.extend_from_slice(
        b"\",\"content-encoding\":\"utf-8\",\"content-type\":\"text/plain\",\"headers\":{},\
          \"properties\":{\"delivery_mode\":2,\"delivery_info\":{\"exchange\":",
    );
    value::write_scalar(&mut out, exchange);
    out.extend_from_slice(
        b",\"routing_key\":\"\"},\"priority\":0,\"body_encoding\":\"base64\",\"delivery_tag\":",
    );
    // Kombu keeps what is not yet acknowledged by this.
    value::write_scalar(&mut out, NodeId::generate().as_str());
    out.extend_from_slice(b"}}");
    out
}

/// What is inside, if these are the members of an envelope.
pub(super) fn unwrap(members: &Fields<'_>) -> Result<Option<Vec<u8>>, WireError> {
    let (None, Some(body)) = (members.method, members.body) else {
        return Ok(None);
    };
    let invalid = WireError::Member("body");
    let Some(body) = fields::text(body) else {
        return Err(invalid);
    };
    let properties = Fields::read(members.properties.unwrap_or("{}"))?;
    let encoding = properties.body_encoding.and_then(fields::text);
    match encoding.as_deref() {
        Some("base64") => match fields::BASE64.decode(body.as_bytes()) {
            Ok(message) => Ok(Some(message)),
            Err(_) => Err(invalid),
        },
        _ => Ok(Some(body.into_owned().into_bytes())),
    }
}
