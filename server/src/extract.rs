//! Extractors: what handlers can ask for by the types of their arguments.
//!
//! | argument | connection, middleware | event | disconnect |
//! |---|---|---|---|
//! | [`Socket`] | yes | yes | yes |
//! | [`Auth<T>`], [`Query<T>`], [`Headers`] | yes | yes | yes |
//! | [`State<T>`], [`Extension<T>`] | yes | yes | yes |
//! | [`Data<T>`], [`Args`], [`EventName`] | | yes | |
//! | [`Ack`] | | yes | |
//! | [`DisconnectReason`] | | | yes |
//! | `Result<E, E::Rejection>`, `Option<E>` | as `E` | as `E` | as `E` |
//!
//! A type of your own becomes an extractor by implementing [`FromContext`] for it:
//!
//! ```
//! use socketio_server::extract::{FromContext, MissingExtension};
//! use socketio_server::handler::Context;
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! impl<C: Context> FromContext<C> for User {
//!     type Rejection = MissingExtension;
//!
//!     fn from_context(context: &mut C) -> Result<Self, MissingExtension> {
//!         // A middleware has put it there.
//!         context.socket().extensions().get::<User>().ok_or_else(MissingExtension::of::<User>)
//!     }
//! }
//! ```

mod query;

use std::any::type_name;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use socketio_core::payload::Payload;
use socketio_core::value::ValueError;

pub use self::query::QueryError;
pub use crate::ack::Ack;
use crate::events::DisconnectReason;
use crate::handler::{Context, DisconnectContext, ErrorContext, EventContext, EventLike};
use crate::handshake::Handshake;
use crate::middleware::EventError;
use crate::socket::Socket;

/// Something that a handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from `{C}`",
    label = "no extractor for this kind of handler",
    note = "see the table in `socketio_server::extract`; `Data`, `Args`, `EventName` and `Ack` exist for events only, `DisconnectReason` for disconnects only"
)]
pub trait FromContext<C: Context>: Sized {
    /// Why it cannot be had.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// Takes it from `context`.
    ///
    /// # Errors
    ///
    /// When the context does not hold it, or holds something else.
    fn from_context(context: &mut C) -> Result<Self, Self::Rejection>;
}

/// The arguments of an event: a tuple takes them all, another type the first one.
///
/// Arguments that are missing count as `null`. Bytes come as `bytes::Bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

/// The arguments of an event as they came, with the event's name in front.
#[derive(Debug, Clone)]
pub struct Args(pub Payload);

/// The name of an event; for catch-all handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub String);

/// What the client sent as `auth` when it connected to the namespace; `{}` when it sent nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<T>(pub T);

/// The query of the request that opened the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// The headers of the request that opened the session.
#[derive(Debug, Clone)]
pub struct Headers(Arc<Handshake>);

/// A value that all handlers of the server share, given to
/// [`ServerBuilder::state`](crate::ServerBuilder::state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

/// A value from the socket's [extensions](Socket::extensions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<T>(pub T);

/// The arguments, the `auth` or the query are not what the handler asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth does not fit: {0}")]
pub struct AuthError(pub(crate) String);

/// The server has no state of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server was built without state of type {0}")]
pub struct MissingState(&'static str);

/// The socket has no extension of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the socket has no extension of type {0}")]
pub struct MissingExtension(&'static str);

impl MissingExtension {
    /// The error for type `T`.
    #[must_use]
    pub fn of<T>() -> Self {
        Self(type_name::<T>())
    }
}

impl Deref for Headers {
    type Target = HeaderMap;
    fn deref(&self) -> &HeaderMap {
        &self.0.headers
    }
}

impl<C: Context> FromContext<C> for Socket {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        Ok(context.socket().clone())
    }
}

impl<C: EventLike, T: DeserializeOwned> FromContext<C> for Data<T> {
    type Rejection = ValueError;
    fn from_context(context: &mut C) -> Result<Self, ValueError> {
        context.payload().deserialize_args(true).map(Self)
    }
}

impl<C: EventLike> FromContext<C> for Args {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        Ok(Self(context.payload().clone()))
    }
}

impl<C: EventLike> FromContext<C> for EventName {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        let name = context.payload().event_name();
        Ok(Self(name.map(Into::into).unwrap_or_default()))
    }
}

impl FromContext<EventContext> for Ack {
    type Rejection = Infallible;
    fn from_context(context: &mut EventContext) -> Result<Self, Infallible> {
        let socket = &context.socket;
        Ok(context.ack.take().unwrap_or_else(|| Self::unasked(socket)))
    }
}

impl FromContext<DisconnectContext> for DisconnectReason {
    type Rejection = Infallible;
    fn from_context(context: &mut DisconnectContext) -> Result<Self, Infallible> {
        Ok(context.reason)
    }
}

impl FromContext<ErrorContext> for EventError {
    type Rejection = Infallible;
    fn from_context(context: &mut ErrorContext) -> Result<Self, Infallible> {
        Ok(context.error.clone())
    }
}

impl<C: Context, T: DeserializeOwned> FromContext<C> for Auth<T> {
    type Rejection = AuthError;
    fn from_context(context: &mut C) -> Result<Self, AuthError> {
        context.socket().auth().map(Self)
    }
}

impl<C: Context, T: DeserializeOwned> FromContext<C> for Query<T> {
    type Rejection = QueryError;
    fn from_context(context: &mut C) -> Result<Self, QueryError> {
        query::from_pairs(&context.socket().handshake().query).map(Self)
    }
}

impl<C: Context> FromContext<C> for Headers {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        Ok(Self(Arc::clone(context.socket().conn().handshake())))
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> FromContext<C> for State<T> {
    type Rejection = MissingState;
    fn from_context(context: &mut C) -> Result<Self, MissingState> {
        let state = context.socket().server().state::<T>();
        if state.is_none() {
            // The application asks for what it did not give: no client is to blame.
            tracing::error!(r#type = type_name::<T>(), "the server has no such state");
        }
        state
            .map(Self)
            .ok_or_else(|| MissingState(type_name::<T>()))
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> FromContext<C> for Extension<T> {
    type Rejection = MissingExtension;
    fn from_context(context: &mut C) -> Result<Self, MissingExtension> {
        let value = context.socket().extensions().get::<T>();
        value.map(Self).ok_or_else(MissingExtension::of::<T>)
    }
}

impl<C: Context, E: FromContext<C>> FromContext<C> for Result<E, E::Rejection> {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        Ok(E::from_context(context))
    }
}

impl<C: Context, E: FromContext<C>> FromContext<C> for Option<E> {
    type Rejection = Infallible;
    fn from_context(context: &mut C) -> Result<Self, Infallible> {
        Ok(E::from_context(context).ok())
    }
}
