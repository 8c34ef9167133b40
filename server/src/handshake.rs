//! What is kept of the request that opened a session.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};

/// Details of the first HTTP request of a session, as in Node's `socket.handshake`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Handshake {
    /// Headers of the request. The values are copies: the request's own buffer is not kept alive by them.
    pub headers: HeaderMap,
    /// Query parameters, decoded. Where a key was repeated the last value is the one that counts.
    pub query: Vec<(String, String)>,
    /// Raw request target.
    pub url: String,
    /// Address of the peer, where the listener told it.
    pub address: Option<SocketAddr>,
    /// Whether the request came over TLS.
    pub secure: bool,
    /// Whether the request named a foreign `Origin`.
    pub xdomain: bool,
    /// When the session was opened.
    pub issued: SystemTime,
}

impl Handshake {
    /// Value of the query parameter `key`; the last one where it was repeated.
    #[must_use]
    pub fn query_value(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }
}

/// Copies `headers` so that nothing of the connection's read buffer stays referenced: hyper's values are slices of the
/// 8 KiB buffer that the request was read into, and a session may live for days.
pub(crate) fn detach_headers(headers: &HeaderMap) -> HeaderMap {
    let total = headers.values().map(HeaderValue::len).sum();
    let mut text = BytesMut::with_capacity(total);
    for value in headers.values() {
        text.extend_from_slice(value.as_bytes());
    }
    let mut text: Bytes = text.freeze();
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        // The bytes came out of a `HeaderValue`, so they form one again.
        if let Ok(mut owned) = HeaderValue::from_maybe_shared(text.split_to(value.len())) {
            owned.set_sensitive(value.is_sensitive());
            copy.append(name.clone(), owned);
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_headers_are_equal_and_own_their_bytes() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_static("b=2"));
        headers.append("x-custom", HeaderValue::from_static(""));
        let copy = detach_headers(&headers);
        assert_eq!(copy, headers);
        let original = headers.get("cookie").map(|v| v.as_bytes().as_ptr());
        assert_ne!(copy.get("cookie").map(|v| v.as_bytes().as_ptr()), original);
    }

    #[test]
    fn repeated_query_keys_count_last() {
        let handshake = Handshake {
            headers: HeaderMap::new(),
            query: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
            url: "/socket.io/?a=1&a=2".into(),
            address: None,
            secure: false,
            xdomain: false,
            issued: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(handshake.query_value("a"), Some("2"));
        assert_eq!(handshake.query_value("b"), None);
    }
}
