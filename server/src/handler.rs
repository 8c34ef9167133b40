//! Handlers: async functions whose arguments are extractors.
//!
//! What a handler may ask for depends on when it runs, and that is a type: an event handler is a
//! [`Handler`] for [`EventContext`], a connection handler one for [`ConnectContext`], and so on. An
//! argument that makes no sense in its place is a compile error.

mod context;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tracing::Span;

pub use self::context::{
    AdmitContext, ConnectContext, Context, DisconnectContext, ErrorContext, EventContext,
    EventLike, PacketContext,
};
use crate::ack::Ack;
use crate::extract::FromContext;
use crate::metrics::Metrics;
use crate::middleware::{ConnectError, EventError};
use crate::spans;

/// An async function (or a closure that returns a future) whose arguments are extractors.
///
/// Up to eight arguments, each a [`FromContext`]; the list of those that exist is in
/// [`extract`](crate::extract). When one of them cannot be had (say, the event's arguments are no
/// `Data<T>`), the handler is not called; ask for `Result<E, E::Rejection>` or `Option<E>` to be
/// called anyway.
///
/// # Example
///
/// ```
/// use socketio_server::{Server, Socket};
/// use socketio_server::extract::{Ack, Data};
///
/// async fn add(Data((a, b)): Data<(i64, i64)>, ack: Ack) {
///     let _ = ack.send(a + b);
/// }
///
/// let io = Server::builder().build();
/// io.on_connect(async |socket: Socket| {
///     socket.on("add", add);
///     socket.on("greet", |socket: Socket, Data(name): Data<String>| async move {
///         let _ = socket.emit("greeting", format!("hello {name}"));
///     });
/// });
/// ```
///
/// A function that does not fit is refused with a reason:
///
/// ```compile_fail
/// # use socketio_server::{Server, Socket};
/// # let io = Server::builder().build();
/// io.on_connect(|socket: Socket| { println!("not async"); });
/// ```
///
/// ```compile_fail
/// # use socketio_server::{Server, Socket};
/// # use socketio_server::extract::Data;
/// # let io = Server::builder().build();
/// // A connection brings no event, so there is no `Data`.
/// io.on_connect(|socket: Socket, data: Data<String>| async move {});
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for `{C}`",
    label = "does not fit",
    note = "a handler is an async function of up to eight arguments, or a `Clone` closure that returns a `Send` future: `async fn(Socket, Data<T>, Ack)`",
    note = "each argument must be an extractor that `{C}` can give (see `socketio_server::extract`)",
    note = "it returns `()`, or a `Result` of it; an event handler may return `Reply<T>`; a middleware returns `Result<(), E>`"
)]
pub trait Handler<C: Context, T>: Clone + Send + Sync + 'static {
    /// Runs the handler.
    fn call(self, context: C) -> impl Future<Output = C::Outcome> + Send + 'static;
}

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler for `{C}` cannot return `{Self}`",
    note = "handlers return `()` or a `Result`; an event handler may return `Reply<T>` to acknowledge; a middleware returns `Result<(), E>` where `E: Into<ConnectError>` (of a namespace) or `E: Into<EventError>` (of a socket)"
)]
pub trait IntoOutcome<C: Context> {
    #[doc(hidden)]
    fn into_outcome(self, rest: C::Rest) -> C::Outcome;
}

/// Acknowledges an event with `T` when returned by its handler. A tuple becomes several arguments.
///
/// Does nothing when the client asked for no acknowledgement, or when the handler took the
/// [`Ack`] itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<T>(pub T);

impl IntoOutcome<EventContext> for () {
    fn into_outcome(self, _ack: Option<Ack>) {}
}

impl<T: Serialize> IntoOutcome<EventContext> for Reply<T> {
    fn into_outcome(self, ack: Option<Ack>) {
        if let Some(ack) = ack
            && let Err(error) = ack.send(self.0)
        {
            tracing::error!(%error, "the value of a Reply cannot be sent");
        }
    }
}

impl<T: IntoOutcome<EventContext>, E: fmt::Display> IntoOutcome<EventContext> for Result<T, E> {
    fn into_outcome(self, ack: Option<Ack>) {
        match self {
            Ok(value) => value.into_outcome(ack),
            Err(error) => {
                spans::failed(&error);
                tracing::warn!(%error, "event handler failed");
            }
        }
    }
}

impl<E: Into<ConnectError>> IntoOutcome<AdmitContext> for Result<(), E> {
    fn into_outcome(self, (): ()) -> Result<(), ConnectError> {
        self.map_err(Into::into)
    }
}

impl<E: Into<EventError>> IntoOutcome<PacketContext> for Result<(), E> {
    fn into_outcome(self, (): ()) -> Result<(), EventError> {
        self.map_err(Into::into)
    }
}

macro_rules! plain_outcomes {
    ($($context:ty, $name:literal;)*) => {$(
        impl IntoOutcome<$context> for () {
            fn into_outcome(self, (): ()) {}
        }

        impl<E: fmt::Display> IntoOutcome<$context> for Result<(), E> {
            fn into_outcome(self, (): ()) {
                if let Err(error) = self {
                    spans::failed(&error);
                    tracing::warn!(%error, concat!($name, " handler failed"));
                }
            }
        }
    )*};
}

plain_outcomes! {
    ConnectContext, "connection";
    DisconnectContext, "disconnect";
    ErrorContext, "error";
}

macro_rules! handlers {
    ($($name:ident)*) => {
        impl<C, F, Fut, $($name,)*> Handler<C, ($($name,)*)> for F
        where
            C: Context,
            F: FnOnce($($name,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoOutcome<C>,
            $($name: FromContext<C> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, reason = "a macro for any number of arguments")]
            async fn call(self, mut context: C) -> C::Outcome {
                $(
                    let $name = match $name::from_context(&mut context) {
                        Ok(value) => value,
                        Err(rejection) => return context.rejected(&rejection),
                    };
                )*
                let rest = context.into_rest();
                self($($name,)*).await.into_outcome(rest)
            }
        }
    };
}

handlers!();
handlers!(A1);
handlers!(A1 A2);
handlers!(A1 A2 A3);
handlers!(A1 A2 A3 A4);
handlers!(A1 A2 A3 A4 A5);
handlers!(A1 A2 A3 A4 A5 A6);
handlers!(A1 A2 A3 A4 A5 A6 A7);
handlers!(A1 A2 A3 A4 A5 A6 A7 A8);

/// A handler whose arguments are forgotten.
///
/// Calling clones the handler into the future, and nothing of the application runs before the
/// future is polled: so this may be called under a lock. A plain function has no size, so its box
/// costs a socket no allocation.
pub(crate) trait Erased<C: Context>: Send + Sync {
    fn call(&self, context: C) -> BoxFuture<'static, C::Outcome>;
}

pub(crate) type BoxHandler<C> = Box<dyn Erased<C>>;

struct Bound<H, T>(H, PhantomData<fn(T)>);

impl<C: Context, T: 'static, H: Handler<C, T>> Erased<C> for Bound<H, T> {
    fn call(&self, context: C) -> BoxFuture<'static, C::Outcome> {
        Box::pin(self.0.clone().call(context))
    }
}

pub(crate) fn erase<C: Context, T: 'static>(handler: impl Handler<C, T>) -> BoxHandler<C> {
    Box::new(Bound(handler, PhantomData))
}

/// A handler at work: catches its panic, and measures its time.
///
/// `None` is the outcome of a handler that panicked.
pub(crate) struct Running<O> {
    future: BoxFuture<'static, O>,
    metrics: Arc<Metrics>,
    /// Absent where the future is made of several handlers that measure themselves.
    started: Option<Instant>,
    /// What it runs in.
    span: Span,
}

impl<O> Running<O> {
    pub(crate) fn new(future: BoxFuture<'static, O>, metrics: &Arc<Metrics>) -> Self {
        Self {
            future,
            metrics: Arc::clone(metrics),
            started: Some(Instant::now()),
            span: Span::none(),
        }
    }

    /// Runs it inside a span, which ends when the last of its handlers has.
    pub(crate) fn within(mut self, span: &Span) -> Self {
        self.span.clone_from(span);
        self
    }

    pub(crate) fn untimed(future: BoxFuture<'static, O>, metrics: &Arc<Metrics>) -> Self {
        Self {
            future,
            metrics: Arc::clone(metrics),
            started: None,
            span: Span::none(),
        }
    }
}

impl<O> Future for Running<O> {
    type Output = Option<O>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<O>> {
        let this = &mut *self;
        let _inside = this.span.enter();
        let future = this.future.as_mut();
        // The future is not polled again after a panic, so nobody sees what it left half done inside.
        let outcome = match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Some(outcome),
            Err(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(message, "handler panicked");
                spans::panicked(&this.span);
                this.metrics.handler_panicked();
                None
            }
        };
        if let Some(started) = this.started {
            this.metrics.handler_time(started.elapsed());
        }
        Poll::Ready(outcome)
    }
}

/// Calls a listener of the application that is no future. A panic in it concerns nobody else: neither the session in
/// whose task it runs nor the one who sends what it listens to.
pub(crate) fn guarded(metrics: &Metrics, call: impl FnOnce()) {
    // What the listener left half done is its own.
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(call)) {
        let message = panic_message(&*panic);
        tracing::error!(message, "listener panicked");
        metrics.handler_panicked();
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
