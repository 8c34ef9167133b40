//! The span of what is sent, and the context that goes along.
//!
//! Spans have the target `socketio_trace` and the level `TRACE`, so that nobody has them by accident.
//! While none are wanted this costs the look at one number.

use socketio_core::cluster::Operation;
use socketio_core::trace::TraceContext;
use tracing::{Span, field};

/// The span for sending `operation`, and the context that goes with the message: that of the span, or
/// `explicit`, of which the span is a child, if there is none.
pub(crate) fn sending(
    namespace: &str,
    operation: &Operation,
    explicit: Option<&TraceContext>,
) -> (Span, Option<Box<TraceContext>>) {
    let span = tracing::trace_span!(
        target: "socketio_trace",
        "send",
        otel.name = operation.name(),
        otel.kind = "producer",
        otel.status_code = field::Empty,
        messaging.system = "socketio",
        messaging.operation.name = operation.name(),
        messaging.operation.type = "send",
        messaging.destination.name = namespace,
        socketio.event = operation.event_name().as_deref(),
    );
    #[cfg(feature = "otel")]
    {
        if let Some(explicit) = explicit {
            explicit.adopt(&span);
        }
        if let Some(own) = TraceContext::of_span(&span) {
            return (span, Some(Box::new(own)));
        }
    }
    (span, explicit.cloned().map(Box::new))
}
