//! Whole families at once, for collectors that read their own atomics.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Observed;

/// Writes families, one after the other, in
/// [`Collector::encode`](prometheus_client::collector::Collector::encode).
///
/// Names are given without what is added: `_total` to counters and `_info` to facts. Those that
/// end with `_seconds` or `_bytes` tell their unit. Label values must be escaped.
#[derive(Debug)]
pub struct Page<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    prefix: &'static str,
}

impl<'a, 'e> Page<'a, 'e> {
    /// All names begin with `prefix`, behind the prefix of the registry.
    pub fn new(encoder: &'a mut DescriptorEncoder<'e>, prefix: &'static str) -> Self {
        Self { encoder, prefix }
    }

    /// A counter without labels.
    ///
    /// # Errors
    ///
    /// As the encoder, here and below.
    pub fn counter<V: EncodeCounterValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: V,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |mut metric| {
            metric.encode_counter::<NoLabelSet, V, f64>(&value, None)
        })
    }

    /// A counter with one label.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn counters<L: AsRef<str>, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |mut family| {
            for (value_label, value) in values {
                let labels = [(label, value_label.as_ref())];
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, V, f64>(&value, None)?;
            }
            Ok(())
        })
    }

    /// A gauge without labels.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn gauge<V: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: V,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |mut metric| {
            metric.encode_gauge(&value)
        })
    }

    /// A gauge with one label.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn gauges<L: AsRef<str>, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |mut family| {
            for (value_label, value) in values {
                let labels = [(label, value_label.as_ref())];
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
            Ok(())
        })
    }

    /// Facts, as labels of a 1. It is a gauge, since parsers of the older text format, as those of
    /// node_exporter, know no type for facts.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let name = format!("{name}_info");
        self.family(&name, help, MetricType::Gauge, |mut family| {
            family.encode_family(&labels)?.encode_gauge(&1_i64)
        })
    }

    /// A histogram without labels.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn histogram(&mut self, name: &str, help: &str, observed: &Observed) -> fmt::Result {
        let (sum, count, buckets) = shown(name, observed);
        self.family(name, help, MetricType::Histogram, |mut metric| {
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// A histogram for each set of labels.
    ///
    /// # Errors
    ///
    /// See [`counter`](Self::counter).
    pub fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (&'l [(&'l str, &'l str)], &'l Observed)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, |mut family| {
            for (labels, observed) in all {
                let (sum, count, buckets) = shown(name, observed);
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
            Ok(())
        })
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let name = format!("{}{name}", self.prefix);
        let units = [(Unit::Seconds, "_seconds"), (Unit::Bytes, "_bytes")];
        let found = units
            .iter()
            .find_map(|(unit, suffix)| Some((name.strip_suffix(suffix)?, unit)));
        let (name, unit) = match found {
            Some((name, unit)) => (name, Some(unit)),
            None => (name.as_str(), None),
        };
        write(self.encoder.encode_descriptor(name, help, unit, kind)?)
    }
}

/// The sum, the count, and the buckets: durations are kept in nanoseconds and shown in seconds.
fn shown(name: &str, observed: &Observed) -> (f64, u64, Vec<(f64, u64)>) {
    let scale = if name.ends_with("_seconds") { 1e9 } else { 1.0 };
    let buckets = observed.buckets().map(|(bound, count)| {
        // The encoder writes the largest number as "+Inf".
        (bound.map_or(f64::MAX, |bound| bound as f64 / scale), count)
    });
    let sum = observed.sum() as f64 / scale;
    (sum, observed.count(), buckets.collect())
}
