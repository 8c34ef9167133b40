//! The HTTP half of a WebSocket: validation of the request, the 101, and refusals in the form of Node's stack.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::error::ConnectionError;

const KEY: HeaderName = http::header::SEC_WEBSOCKET_KEY;
const VERSION: HeaderName = http::header::SEC_WEBSOCKET_VERSION;
const PROTOCOL: HeaderName = http::header::SEC_WEBSOCKET_PROTOCOL;

/// A request that is no proper WebSocket handshake; the answer is the one of Node's `ws` package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHandshake {
    Key,
    Method,
    Protocol,
    Upgrade,
    Version,
}

/// Whether the client asks to leave HTTP: `Connection: upgrade` together with any `Upgrade` header.
pub(super) fn is_upgrade(parts: &Parts) -> bool {
    parts.version <= Version::HTTP_11
        && parts.headers.contains_key(UPGRADE)
        && has_token(&parts.headers, CONNECTION, "upgrade")
}

/// Whether a comma separated header has `token` among its values.
pub(super) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Checks the request as [RFC 6455, 4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1) wants, in `ws`' order.
///
/// Returns the subprotocol to confirm, if any was offered: the first one.
pub(super) fn validate(parts: &Parts) -> Result<Option<HeaderValue>, BadHandshake> {
    if parts.method != Method::GET {
        return Err(BadHandshake::Method);
    }
    // HTTP/1.0 has no upgrades.
    if parts.version < Version::HTTP_11
        || single(&parts.headers, UPGRADE).is_none_or(|v| !v.eq_ignore_ascii_case("websocket"))
    {
        return Err(BadHandshake::Upgrade);
    }
    if !single(&parts.headers, KEY).is_some_and(is_key) {
        return Err(BadHandshake::Key);
    }
    // 8 is the last draft before the RFC, with the same frames; `ws` takes both.
    if !matches!(single(&parts.headers, VERSION), Some("13" | "8")) {
        return Err(BadHandshake::Version);
    }
    protocol(&parts.headers)
}

/// The value of a header that must come once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value.trim())
}

/// Base64 of 16 bytes: 22 characters and two signs of padding.
fn is_key(key: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(plain)
}

/// The first offered subprotocol. The whole list must be well formed: tokens, none twice.
fn protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, BadHandshake> {
    let mut seen: Vec<&str> = Vec::new();
    for value in headers.get_all(PROTOCOL) {
        let value = value.to_str().map_err(|_| BadHandshake::Protocol)?;
        for name in value.split(',').map(str::trim) {
            if name.is_empty() || !name.bytes().all(is_token) || seen.contains(&name) {
                return Err(BadHandshake::Protocol);
            }
            seen.push(name);
        }
    }
    // A token is always a valid header value.
    Ok(seen
        .first()
        .and_then(|name| HeaderValue::from_str(name).ok()))
}

/// A `tchar` of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The 101 for a validated request.
pub(super) fn accept(
    parts: &Parts,
    protocol: Option<HeaderValue>,
) -> Result<Response<Bytes>, BadHandshake> {
    // fastwebsockets checks and hashes the key; it gets a request with nothing but that, because the connection's own
    // upgrade future stays with us: its future would wrap the stream in a reader that owns a buffer.
    let mut request = http::Request::new(());
    request
        .headers_mut()
        .insert(VERSION, HeaderValue::from_static("13"));
    if let Some(key) = parts.headers.get(KEY) {
        request.headers_mut().insert(KEY, key.clone());
    }
    let (answer, _) = fastwebsockets::upgrade::upgrade(request).map_err(|_| BadHandshake::Key)?;
    let mut answer = answer.map(|_| Bytes::new());
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(PROTOCOL, protocol);
    }
    Ok(answer)
}

/// Refusal of a handshake that is no WebSocket's.
pub(super) fn refuse_handshake(error: BadHandshake) -> Response<Bytes> {
    let (status, text) = match error {
        BadHandshake::Key => (
            StatusCode::BAD_REQUEST,
            "Missing or invalid Sec-WebSocket-Key header",
        ),
        BadHandshake::Method => (StatusCode::METHOD_NOT_ALLOWED, "Invalid HTTP method"),
        BadHandshake::Protocol => (
            StatusCode::BAD_REQUEST,
            "Invalid Sec-WebSocket-Protocol header",
        ),
        BadHandshake::Upgrade => (StatusCode::BAD_REQUEST, "Invalid Upgrade header"),
        BadHandshake::Version => (
            StatusCode::BAD_REQUEST,
            "Missing or invalid Sec-WebSocket-Version header",
        ),
    };
    let mut answer = plain(status, Bytes::from_static(text.as_bytes()));
    if error == BadHandshake::Version {
        answer
            .headers_mut()
            .insert(VERSION, HeaderValue::from_static("13, 8"));
    }
    answer
}

/// Refusal of an upgrade by the protocol's rules: plain text, and always status 400, as in Node.
pub(super) fn refuse(error: &ConnectionError) -> Response<Bytes> {
    plain(
        StatusCode::BAD_REQUEST,
        Bytes::copy_from_slice(error.message.as_bytes()),
    )
}

fn plain(status: StatusCode, text: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];

    /// The good request with one header replaced, or removed where `value` is empty.
    fn request(method: Method, name: &str, value: &str) -> Parts {
        let mut builder = http::Request::builder().method(method).uri("/socket.io/");
        for (known, good) in GOOD {
            if known != name {
                builder = builder.header(known, good);
            }
        }
        if !value.is_empty() {
            builder = builder.header(name, value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn answers_the_example_of_the_rfc() {
        let parts = request(Method::GET, "x", "y");
        assert!(is_upgrade(&parts));
        assert_eq!(validate(&parts), Ok(None));
        let answer = accept(&parts, None).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(
            answer.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(answer.headers()["upgrade"], "websocket");
    }

    #[test]
    fn refuses_what_ws_refuses() {
        use BadHandshake::{Key, Method as BadMethod, Protocol, Upgrade, Version};
        assert_eq!(validate(&request(Method::POST, "x", "y")), Err(BadMethod));
        for (name, value, error) in [
            ("upgrade", "h2c", Upgrade),
            ("sec-websocket-key", "", Key),
            ("sec-websocket-key", "short==", Key),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=!", Key),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ ==", Key),
            ("sec-websocket-version", "", Version),
            ("sec-websocket-version", "7", Version),
            ("sec-websocket-version", "13, 8", Version),
            ("sec-websocket-protocol", "a,,b", Protocol),
            ("sec-websocket-protocol", "a, a", Protocol),
            ("sec-websocket-protocol", "a b", Protocol),
            ("sec-websocket-protocol", ",", Protocol),
        ] {
            assert_eq!(
                validate(&request(Method::GET, name, value)),
                Err(error),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn first_subprotocol_is_confirmed() {
        let parts = request(Method::GET, "sec-websocket-protocol", "chat, superchat");
        let protocol = validate(&parts).unwrap();
        assert_eq!(
            accept(&parts, protocol).unwrap().headers()["sec-websocket-protocol"],
            "chat"
        );
    }

    #[test]
    fn refusals_close_the_connection() {
        let version = refuse_handshake(BadHandshake::Version);
        assert_eq!(version.status(), 400);
        assert_eq!(version.headers()["sec-websocket-version"], "13, 8");
        assert_eq!(version.headers()["connection"], "close");
        assert_eq!(refuse_handshake(BadHandshake::Method).status(), 405);
        let forbidden = refuse(&ConnectionError::forbidden(None));
        assert_eq!(
            (forbidden.status().as_u16(), &forbidden.body()[..]),
            (400, &b"Forbidden"[..])
        );
    }
}
