//! What middlewares refuse with.
//!
//! A middleware of a namespace decides whether a client may join it
//! ([`Namespace::use_middleware`](crate::Namespace::use_middleware)); a middleware of a socket
//! decides about each event ([`Socket::use_middleware`](crate::Socket::use_middleware)).

use serde::Serialize;
use socketio_core::payload::EncodeError;

/// Refuses a client that wants to join a namespace; the client gets it as `connect_error`.
///
/// ```
/// use socketio_server::ConnectError;
///
/// let error = ConnectError::new("not authorized").with_data(&("retry", 5))?;
/// assert_eq!(error.message(), "not authorized");
/// # Ok::<(), socketio_server::EncodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    message: String,
    data: Option<String>,
}

impl ConnectError {
    /// Refuses with `message`, which the client sees as `err.message`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds what the client sees as `err.data`.
    ///
    /// # Errors
    ///
    /// When `data` cannot be JSON.
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Result<Self, EncodeError> {
        // The only element of an array, so that the text goes the way of all other data.
        let payload = socketio_core::payload::Payload::args(&(data,))?;
        let json = payload.json();
        self.data = Some(json[1..json.len() - 1].to_owned());
        Ok(self)
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The data as JSON.
    #[must_use]
    pub fn data_json(&self) -> Option<&str> {
        self.data.as_deref()
    }
}

impl From<&str> for ConnectError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for ConnectError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// Refuses one event; the [error handlers](crate::Socket::on_error) of the socket are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EventError {
    message: String,
}

impl EventError {
    /// Refuses with `message`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl From<&str> for EventError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for EventError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_any_json() {
        let error = ConnectError::new("no").with_data("text").unwrap();
        assert_eq!(error.data_json(), Some("\"text\""));
        let error = error
            .with_data(&serde_json::json!({"code": [1, 2]}))
            .unwrap();
        assert_eq!(error.data_json(), Some(r#"{"code":[1,2]}"#));
        // A tuple is one value here, not several arguments.
        let error = error.with_data(&(1, "b")).unwrap();
        assert_eq!(error.data_json(), Some(r#"[1,"b"]"#));
    }
}
