//! What became of spans, for `/metrics`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use socketio_core::metrics::Page;
use socketio_otlp::Counts;

/// The families of metrics about spans.
#[derive(Debug)]
pub(crate) struct TraceMetrics(pub(super) Counts);

impl Collector for TraceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(&mut encoder, "socketio_traces_");
        let now = self.0.snapshot();
        page.gauge(
            "queue_spans",
            "Spans that wait to be sent to the collector",
            i64::try_from(now.queued).unwrap_or(i64::MAX),
        )?;
        page.counter(
            "spans_exported",
            "Spans that the collector has taken",
            now.exported,
        )?;
        page.counters(
            "spans_dropped",
            "Spans that were lost",
            "reason",
            now.reasons(),
        )
    }
}
