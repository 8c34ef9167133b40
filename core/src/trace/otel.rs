//! Between contexts and the spans of `tracing` that OpenTelemetry's layer knows.

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::TraceContext;

impl TraceContext {
    /// The context of a span. Nothing if it is disabled, or the subscriber has no layer of
    /// `tracing-opentelemetry`. Asking starts the span: its parent cannot be changed any more.
    #[must_use]
    pub fn of_span(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let known = context.span();
        let known = known.span_context();
        let context = Self::new(
            known.trace_id().to_bytes(),
            known.span_id().to_bytes(),
            known.trace_flags().to_u8(),
        )?;
        // The empty state has no text, and most are empty.
        Some(if *known.trace_state() == TraceState::NONE {
            context
        } else {
            context.with_tracestate(&known.trace_state().header())
        })
    }

    /// The context of the span that the caller is in.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::of_span(&Span::current())
    }

    /// Makes the span a child of this. Does nothing if the span is disabled, has started or is unknown to
    /// OpenTelemetry.
    pub fn adopt(&self, span: &Span) {
        let parent = Context::new().with_remote_span_context(self.into());
        // The three reasons for a failure are those above.
        let _ = span.set_parent(parent);
    }

    /// Links the span to this: it belongs to another trace, but comes from here.
    pub fn link(&self, span: &Span) {
        span.add_link(self.into());
    }
}

impl From<&TraceContext> for SpanContext {
    fn from(context: &TraceContext) -> Self {
        // What is well-formed here and not there is no more than lost.
        let state = context.tracestate().and_then(|state| state.parse().ok());
        Self::new(
            TraceId::from_bytes(context.trace_id()),
            SpanId::from_bytes(context.span_id()),
            TraceFlags::new(context.flags()),
            true,
            state.unwrap_or(TraceState::NONE),
        )
    }
}
