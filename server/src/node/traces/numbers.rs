//! What became of spans, for `/metrics`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use socketio_otlp::Counts;

#[derive(Debug)]
struct Numbers(Counts);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.0.snapshot();
        let help = "Spans that wait to be sent to the collector";
        let gauge = ConstGauge::new(i64::try_from(now.queued).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(
            "queue_spans",
            help,
            None,
            gauge.metric_type(),
        )?)?;
        let help = "Spans that the collector has taken";
        let counter = ConstCounter::new(now.exported);
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor("spans_exported", help, None, kind)?)?;
        let help = "Spans that were lost";
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor("spans_dropped", help, None, kind)?;
        for (reason, lost) in now.reasons() {
            let labels = [("reason", reason)];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, f64>(&lost, None)?;
        }
        Ok(())
    }
}

/// The families of metrics about spans.
#[derive(Debug)]
pub(crate) struct TraceMetrics(Registry);

impl TraceMetrics {
    pub(crate) fn new(counts: Counts) -> Self {
        let mut registry = Registry::with_prefix("socketio_traces");
        registry.register_collector(Box::new(Numbers(counts)));
        Self(registry)
    }

    /// The text for Prometheus, without its end.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // A String takes whatever is written.
        let _ = encode_registry(&mut text, &self.0);
        text
    }
}
