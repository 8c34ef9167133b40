//! Errors of the handshake and of later requests: Node's codes, messages and contexts.

use std::fmt;

use http::StatusCode;

/// Why a request was refused. The numbers and texts go to the client, the same as in Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The transport does not exist or is not enabled.
    UnknownTransport,
    /// No session has this id, or no longer.
    UnknownSid,
    /// A session can only be opened by `GET`.
    BadHandshakeMethod,
    /// Anything else that is wrong with the request.
    BadRequest,
    /// The `allow_request` hook refused.
    Forbidden,
    /// Revision 3 of the protocol without `allow_eio3`.
    UnsupportedProtocolVersion,
}

impl ErrorCode {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::UnknownTransport,
        Self::UnknownSid,
        Self::BadHandshakeMethod,
        Self::BadRequest,
        Self::Forbidden,
        Self::UnsupportedProtocolVersion,
    ];

    /// The number in the answer's body.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The text in the answer's body.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::UnknownTransport
            | Self::UnknownSid
            | Self::BadHandshakeMethod
            | Self::BadRequest
            | Self::UnsupportedProtocolVersion => StatusCode::BAD_REQUEST,
        }
    }
}

/// A refused request, as told to the client and to the `connection_error` hook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionError {
    /// What kind of error.
    pub code: ErrorCode,
    /// Text for the client: the code's own, or what `allow_request` said.
    pub message: String,
    /// Details for the operator, in Node's words: the transport, session id, method or protocol in question, or a name
    /// such as `TRANSPORT_MISMATCH`. Not sent to the client.
    pub context: String,
}

impl ConnectionError {
    pub(crate) fn new(code: ErrorCode, context: impl Into<String>) -> Self {
        Self {
            code,
            message: code.message().to_owned(),
            context: context.into(),
        }
    }

    /// Refusal by `allow_request`, whose text, if any, replaces the message.
    pub(crate) fn forbidden(message: Option<String>) -> Self {
        let message = message.unwrap_or_else(|| ErrorCode::Forbidden.message().to_owned());
        Self {
            code: ErrorCode::Forbidden,
            context: message.clone(),
            message,
        }
    }

    /// Body of the answer to a plain HTTP request.
    pub(crate) fn json(&self) -> String {
        serde_json::json!({ "code": self.code.number(), "message": self.message }).to_string()
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bodies_are_nodes() {
        let bodies: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|code| ConnectionError::new(*code, "").json())
            .collect();
        assert_eq!(
            bodies,
            [
                r#"{"code":0,"message":"Transport unknown"}"#,
                r#"{"code":1,"message":"Session ID unknown"}"#,
                r#"{"code":2,"message":"Bad handshake method"}"#,
                r#"{"code":3,"message":"Bad request"}"#,
                r#"{"code":4,"message":"Forbidden"}"#,
                r#"{"code":5,"message":"Unsupported protocol version"}"#,
            ]
        );
        let refused = ConnectionError::forbidden(Some("no \"beta\" access".into()));
        assert_eq!(
            refused.json(),
            r#"{"code":4,"message":"no \"beta\" access"}"#
        );
        assert_eq!(
            ErrorCode::ALL.map(|code| code.status().as_u16()),
            [400, 400, 400, 400, 403, 400]
        );
    }
}
