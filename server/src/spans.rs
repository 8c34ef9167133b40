//! The spans that a server makes, and the contexts that go along with what it sends.
//!
//! They have one target and the level `TRACE`, so that nobody has them by accident. While nobody wants them each
//! place looks at [`enabled`] and does nothing else: no allocation, no lock, no parsing.
//!
//! Contexts come and go only with the feature `otel`; without it the spans are those of this process.

mod attributes;

use http::request::Parts;
use socketio_core::cluster::{ClusterMessage, Operation};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_core::trace::TraceContext;
use tracing::{Level, Span, field, record_all, trace_span};

use self::attributes::{list, short, socket_id};
use crate::engine::Conn;
use crate::namespace::Namespace;
use crate::server::Shared;
use crate::socket::Socket;

/// By this filters tell our spans from all others. Told in the documentation of the crate.
macro_rules! target {
    () => {
        "socketio_trace"
    };
}

/// A span of this name and kind, with what each has: our target, and fields for what went wrong. Its parent is the
/// caller's span, or `None`, which leaves it to [`adopt`].
macro_rules! span {
    ($(parent: $parent:expr,)? $name:literal, $kind:literal, $($fields:tt)*) => {
        trace_span!(
            target: target!(),
            $(parent: $parent,)?
            $name,
            otel.kind = $kind,
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            $($fields)*
        )
    };
}

/// Longest name of an event that becomes part of the name of a span.
const LONGEST_TITLE: usize = 64;

/// Whether anybody wants spans: the look at a number where nobody does.
#[inline]
pub(crate) fn enabled() -> bool {
    tracing::span_enabled!(target: target!(), Level::TRACE)
}

/// The context of the span that the caller is in.
#[inline]
pub(crate) fn context() -> Option<Box<TraceContext>> {
    #[cfg(feature = "otel")]
    if enabled() {
        return TraceContext::current().map(Box::new);
    }
    None
}

fn adopt(span: &Span, parent: Option<&TraceContext>) {
    #[cfg(feature = "otel")]
    if let Some(parent) = parent {
        parent.adopt(span);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, parent);
}

fn link(span: &Span, origin: Option<&TraceContext>) {
    #[cfg(feature = "otel")]
    if let Some(origin) = origin {
        origin.link(span);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, origin);
}

/// Whether anybody will see what a span says: most are not sampled, and to copy its attributes costs more than the span.
/// This starts it, so its parent must be known.
fn is_kept(span: &Span) -> bool {
    #[cfg(feature = "otel")]
    let unsampled = TraceContext::of_span(span).is_some_and(|context| !context.is_sampled());
    #[cfg(not(feature = "otel"))]
    let unsampled = span.is_none();
    !unsampled
}

/// The request that opens a session. Continues the trace that its headers name.
pub(crate) fn handshake(request: &Parts, transport: &'static str) -> Span {
    if !enabled() {
        return Span::none();
    }
    let agent = request.headers.get(http::header::USER_AGENT);
    let span = span!(
        parent: None, "handshake", "server",
        http.request.method = request.method.as_str(),
        http.response.status_code = field::Empty,
        url.path = short(request.uri.path()),
        user_agent.original = agent.and_then(|agent| agent.to_str().ok()).map(short),
        socketio.transport = transport,
    );
    adopt(&span, attributes::of_headers(&request.headers).as_ref());
    span
}

/// What a request was answered.
pub(crate) fn answered(span: &Span, status: http::StatusCode) {
    if !span.is_none() {
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// A client joins a namespace: from its CONNECT to the answer, and the connection handlers. In the trace of the
/// handshake.
pub(crate) fn connect(conn: &Conn, namespace: &str) -> Span {
    if !enabled() {
        return Span::none();
    }
    let span = span!(
        parent: None, "connect", "server",
        error.type = field::Empty,
        messaging.system = "socketio",
        messaging.destination.name = short(namespace),
        socketio.socket_id = field::Empty,
        socketio.transport = conn.transport().as_str(),
    );
    adopt(&span, conn.trace());
    span
}

/// The client has joined, and has a socket.
pub(crate) fn connected(span: &Span, socket: &Socket) {
    if !span.is_none() {
        span.record("socketio.socket_id", socket_id(socket));
    }
}

/// The client was refused; that is for it to put right.
pub(crate) fn refused(span: &Span, reason: &str) {
    if !span.is_none() {
        span.record("error.type", "connect_error");
        span.record("otel.status_description", short(reason));
    }
}

/// An event of a client, until its last handler has ended. A trace of its own, linked to the connection's, or a part
/// of the one that its payload names.
#[inline]
pub(crate) fn event(socket: &Socket, payload: &Payload) -> Span {
    if enabled() {
        traced_event(socket, payload)
    } else {
        Span::none()
    }
}

#[cold]
fn traced_event(socket: &Socket, payload: &Payload) -> Span {
    let name = payload.event_name();
    // Names that handlers were added for are the application's; others are the client's.
    let title = name
        .as_ref()
        .filter(|name| name.len() <= LONGEST_TITLE && socket.handles(name))
        .map(|name| format!("process {name}"));
    let span = span!(
        parent: None, "process", "consumer",
        otel.name = title.as_deref(),
        error.type = field::Empty,
        messaging.system = field::Empty,
        messaging.operation.name = field::Empty,
        messaging.operation.type = field::Empty,
        messaging.destination.name = field::Empty,
        messaging.message.body.size = field::Empty,
        socketio.event = field::Empty,
        socketio.socket_id = field::Empty,
        socketio.transport = field::Empty,
    );
    let key = socket.server().options().trace_payload_key.as_deref();
    let parent = key.and_then(|key| TraceContext::find_in(payload, key));
    adopt(&span, parent.as_ref());
    link(&span, socket.conn().trace());
    if is_kept(&span) {
        record_all!(
            span,
            messaging.system = "socketio",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = short(socket.namespace().name()),
            messaging.message.body.size = payload.len(),
            socketio.event = name.as_deref().map(short),
            socketio.socket_id = socket_id(socket),
            socketio.transport = socket.transport().as_str(),
        );
    }
    span
}

/// Something that handlers do has failed: the caller is inside of one.
#[cold]
pub(crate) fn failed(error: &dyn std::fmt::Display) {
    if enabled() {
        let span = Span::current();
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", short(&error.to_string()));
    }
}

/// What the caller's span was made for could not be done.
#[inline]
pub(crate) fn outcome<E: std::fmt::Display>(outcome: &Result<(), E>) {
    if let Err(error) = outcome {
        failed(error);
    }
}

/// A handler has panicked.
#[cold]
pub(crate) fn panicked(span: &Span) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", "panic");
}

/// Something for the sockets of all nodes; `name` is that of the operation. A child of the caller's span.
#[inline]
pub(crate) fn send(
    name: &'static str,
    namespace: &Namespace,
    target: &Target,
    payload: &Payload,
) -> Span {
    if enabled() {
        traced_send(name, namespace, target, payload)
    } else {
        Span::none()
    }
}

#[cold]
fn traced_send(
    name: &'static str,
    namespace: &Namespace,
    target: &Target,
    payload: &Payload,
) -> Span {
    let span = span!(
        "send", "producer",
        otel.name = name,
        messaging.system = field::Empty,
        messaging.operation.name = field::Empty,
        messaging.operation.type = field::Empty,
        messaging.destination.name = field::Empty,
        messaging.message.body.size = field::Empty,
        socketio.event = field::Empty,
        socketio.rooms = field::Empty,
        socketio.recipients = field::Empty,
        socketio.missing = field::Empty,
    );
    if is_kept(&span) {
        record_all!(
            span,
            messaging.system = "socketio",
            messaging.operation.name = name,
            messaging.operation.type = "send",
            messaging.destination.name = short(namespace.name()),
            messaging.message.body.size = payload.len(),
            socketio.event = payload.event_name().as_deref().map(short),
            socketio.rooms = list(&target.rooms).as_deref(),
        );
    }
    span
}

/// A question to the other nodes, until it is answered. A child of the caller's span.
pub(crate) fn request(name: &'static str, namespace: &Namespace) -> Span {
    if !enabled() {
        return Span::none();
    }
    span!(
        "request",
        "client",
        otel.name = name,
        messaging.system = "socketio",
        messaging.operation.name = name,
        messaging.destination.name = short(namespace.name()),
        socketio.missing = field::Empty,
    )
}

/// So many nodes did not answer.
pub(crate) fn missing(span: &Span, count: usize) {
    if count > 0 && !span.is_none() {
        span.record("socketio.missing", count);
        span.record("otel.status_code", "ERROR");
    }
}

/// The sockets of this node that got something.
#[inline]
pub(crate) fn recipients(span: &Span, count: usize) {
    if !span.is_none() {
        span.record("socketio.recipients", count);
    }
}

/// What another node, or an emitter, sent to this one. A child of the span that it was sent from.
pub(crate) fn deliver(message: &ClusterMessage) -> Span {
    let concerns_members = matches!(
        message.operation,
        Operation::InitialHeartbeat
            | Operation::Heartbeat
            | Operation::ListNodes { .. }
            | Operation::Rooms(_)
            | Operation::Close
    );
    if concerns_members || !enabled() {
        return Span::none();
    }
    let title = format!("deliver {}", message.operation.name());
    let span = span!(
        parent: None, "deliver", "consumer",
        otel.name = title.as_str(),
        error.type = field::Empty,
        messaging.system = field::Empty,
        messaging.operation.name = field::Empty,
        messaging.operation.type = field::Empty,
        messaging.client.id = field::Empty,
        messaging.destination.name = field::Empty,
        socketio.event = field::Empty,
        socketio.recipients = field::Empty,
    );
    adopt(&span, message.trace.as_deref());
    if is_kept(&span) {
        record_all!(
            span,
            messaging.system = "socketio",
            messaging.operation.name = "deliver",
            messaging.operation.type = "process",
            messaging.client.id = short(message.node.as_str()),
            messaging.destination.name = short(&message.namespace),
            socketio.event = message.operation.event_name().as_deref().map(short),
        );
    }
    span
}

/// `payload` with the context of the caller's span in it, where the option says that clients get it.
#[inline]
pub(crate) fn stamp(shared: &Shared, payload: &Payload) -> Option<Payload> {
    #[cfg(feature = "otel")]
    if let Some(key) = &shared.options().trace_payload_key
        && enabled()
    {
        return TraceContext::current()?.add_to(payload, key);
    }
    let _ = (shared, payload);
    None
}
