//! What an emitter counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use socketio_core::cluster::{AdapterError, AdapterStatus};
use socketio_core::metrics::{Histogram, Observed, Page};

use crate::config::Mode;
use crate::error::{AskError, EmitError};

/// Why something was not sent: the values of the label `reason`.
const REFUSALS: [&str; 5] = [
    "queue_full",
    "too_large",
    "encode",
    "untranslatable",
    "closed",
];
/// What is asked: the values of the label `kind`.
const KINDS: [&str; 3] = ["emit_with_ack", "count", "server_side_emit"];
/// How questions end that could be asked.
const OUTCOMES: [&str; 2] = ["complete", "partial"];
/// Why questions have no answer at all.
const FAILURES: [&str; 4] = ["away", "no_node", "not_sent", "unsupported"];

/// A question.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    EmitWithAck,
    Count,
    ServerSideEmit,
}

/// Counted by all clones of an emitter.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    emits: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
    took: [[Histogram; OUTCOMES.len()]; KINDS.len()],
    failed: [AtomicU64; FAILURES.len()],
    answers_dropped: AtomicU64,
}

impl Counters {
    /// Something was to be sent.
    pub(crate) fn emitted(&self, done: &Result<(), EmitError>) {
        let reason = match done {
            Ok(()) => {
                self.emits.fetch_add(1, Relaxed);
                return;
            }
            Err(EmitError::Carrier(AdapterError::QueueFull)) => "queue_full",
            Err(EmitError::Carrier(AdapterError::TooLarge { .. })) => "too_large",
            Err(EmitError::Carrier(AdapterError::Closed)) => "closed",
            Err(EmitError::Untranslatable(_)) => "untranslatable",
            Err(EmitError::Carrier(_) | EmitError::Encode(_) | EmitError::Reserved(_)) => "encode",
        };
        add(&self.refused, &REFUSALS, reason);
    }

    /// A question could not be asked, or nobody is there.
    pub(crate) fn failed(&self, error: &AskError) {
        let reason = match error {
            AskError::Away => "away",
            AskError::NoNode => "no_node",
            AskError::Emit(_) => "not_sent",
            AskError::Unsupported(_) => "unsupported",
        };
        add(&self.failed, &FAILURES, reason);
    }

    /// The answers to a question are all there, or the time is over.
    pub(crate) fn answered(&self, kind: Kind, is_partial: bool, took: Duration) {
        self.took[kind as usize][usize::from(is_partial)].observe(took);
    }

    /// An answer came while too many waited to be read.
    pub(crate) fn answer_dropped(&self) {
        self.answers_dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, mode: Mode, status: AdapterStatus) -> EmitterMetrics {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        EmitterMetrics {
            mode,
            status,
            emits: load(&self.emits),
            refused: self.refused.each_ref().map(load),
            took: self
                .took
                .each_ref()
                .map(|outcomes| outcomes.each_ref().map(Histogram::read)),
            failed: self.failed.each_ref().map(load),
            answers_dropped: load(&self.answers_dropped),
        }
    }
}

fn add<const N: usize>(counters: &[AtomicU64; N], labels: &[&str; N], label: &str) {
    let known = labels.iter().position(|known| *known == label);
    if let Some(counter) = known.and_then(|index| counters.get(index)) {
        counter.fetch_add(1, Relaxed);
    }
}

/// A question that is under way.
pub(crate) struct Timed {
    pub(crate) counters: Arc<Counters>,
    pub(crate) kind: Kind,
    pub(crate) since: std::time::Instant,
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timed").field(&self.kind).finish()
    }
}

impl Timed {
    pub(crate) fn end(self, is_partial: bool) {
        let now = tokio::time::Instant::now().into_std();
        let took = now.saturating_duration_since(self.since);
        self.counters.answered(self.kind, is_partial, took);
    }
}

/// What an emitter has counted since it was made, at one moment. From
/// [`Emitter::metrics`](crate::Emitter::metrics).
///
/// ```no_run
/// # async fn example(io: socketio_emitter::Emitter) {
/// let metrics = io.metrics();
/// println!("{} published, {} lost", metrics.published(), metrics.lost());
/// if let Some(p99) = metrics.confirmations().quantile(0.99) {
///     println!("the broker confirms 99 % within {p99:?}");
/// }
/// // The text for Prometheus:
/// let page = metrics.encode();
/// // Or beside your own metrics, read anew at each scrape:
/// let mut registry = prometheus_client::registry::Registry::default();
/// registry.register_collector(Box::new(io.collector()));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EmitterMetrics {
    mode: Mode,
    status: AdapterStatus,
    emits: u64,
    refused: [u64; REFUSALS.len()],
    took: [[Observed; OUTCOMES.len()]; KINDS.len()],
    failed: [u64; FAILURES.len()],
    answers_dropped: u64,
}

impl EmitterMetrics {
    /// Calls that sent something and were taken into the queue.
    #[must_use]
    pub fn emits(&self) -> u64 {
        self.emits
    }

    /// Messages that the broker has confirmed. One call may be several messages.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.status.messages_out
    }

    /// Bytes of these.
    #[must_use]
    pub fn published_bytes(&self) -> u64 {
        self.status.bytes_out
    }

    /// Messages that wait for the broker, or for its confirmation.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.status.queued_messages
    }

    /// Messages that were taken into the queue and then dropped, or whose fate is unknown because the
    /// connection broke.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.status.lost_out
    }

    /// Calls that were answered with an error, by its reason: `queue_full`, `too_large`, `encode`,
    /// `untranslatable` and `closed`.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSALS.into_iter().zip(self.refused)
    }

    /// Connections made after the first one.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.status.reconnects
    }

    /// How long the broker took to confirm messages, without the time in the queue.
    #[must_use]
    pub fn confirmations(&self) -> &Observed {
        &self.status.confirmations
    }

    /// How the connection is doing.
    #[must_use]
    pub fn status(&self) -> &AdapterStatus {
        &self.status
    }

    /// The page in the OpenMetrics format, as Prometheus wants it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Shown(self.clone())));
        let mut text = String::new();
        // A String takes whatever is written, so only a bug could make this fail, and half a page is
        // then the more useful answer.
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        text
    }

    /// The media type of [`encode`](Self::encode).
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    fn write(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(&mut encoder, "socketio_emitter_");
        let status = &self.status;
        page.info(
            "build",
            "Version of the emitter, and the wire that it speaks",
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("mode", self.mode.as_str()),
            ],
        )?;
        page.gauge(
            "up",
            "1 while the broker can be reached",
            i64::from(status.up),
        )?;
        page.counter(
            "emits",
            "Calls that sent something and were taken into the queue",
            self.emits,
        )?;
        page.counter(
            "published",
            "Messages that the broker has confirmed",
            status.messages_out,
        )?;
        page.counter(
            "published_bytes",
            "Bytes of messages that the broker has confirmed",
            status.bytes_out,
        )?;
        page.gauge(
            "queued_messages",
            "Messages waiting for the broker",
            signed(status.queued_messages),
        )?;
        page.gauge(
            "queued_bytes",
            "Bytes of messages waiting for the broker",
            signed(status.queued_bytes),
        )?;
        page.counters(
            "dropped",
            "Calls that were refused, by the reason, and messages lost behind the queue",
            "reason",
            self.refused().chain([("lost", status.lost_out)]),
        )?;
        page.counter(
            "reconnects",
            "Connections to the broker after the first one",
            status.reconnects,
        )?;
        page.histogram(
            "publish_seconds",
            "Time until the broker confirmed a message, without the time in the queue",
            &status.confirmations,
        )?;
        let took: Vec<_> = KINDS
            .iter()
            .zip(&self.took)
            .flat_map(|(kind, outcomes)| {
                OUTCOMES
                    .iter()
                    .zip(outcomes)
                    .map(move |(outcome, took)| ([("kind", *kind), ("outcome", *outcome)], took))
            })
            .collect();
        page.histograms(
            "request_seconds",
            "Time from a question to the last answer, or to the end of waiting",
            took.iter().map(|(labels, took)| (&labels[..], *took)),
        )?;
        page.counters(
            "request_failures",
            "Questions without any answer",
            "reason",
            FAILURES.into_iter().zip(self.failed),
        )?;
        page.counter(
            "answers_dropped",
            "Answers dropped because too many waited to be read",
            self.answers_dropped,
        )
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One moment.
#[derive(Debug)]
struct Shown(EmitterMetrics);

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(encoder)
    }
}

/// Shows an emitter in a registry of `prometheus-client`, from [`Emitter::collector`](crate::Emitter::collector). It keeps the
/// emitter.
#[derive(Debug)]
pub struct EmitterCollector(pub(crate) crate::Emitter);

impl Collector for EmitterCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.metrics().write(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_and_outcome_has_its_place() {
        let counters = Counters::default();
        counters.emitted(&Ok(()));
        for error in [
            AdapterError::QueueFull,
            AdapterError::QueueFull,
            AdapterError::Closed,
            AdapterError::TooLarge { size: 2, limit: 1 },
        ] {
            counters.emitted(&Err(error.into()));
        }
        counters.failed(&AskError::NoNode);
        counters.answered(Kind::Count, true, Duration::from_secs(1));
        counters.answer_dropped();
        let mut status = AdapterStatus::default();
        (status.messages_out, status.lost_out) = (5, 7);
        let metrics = counters.read(Mode::Pubsub, status);
        let text = metrics.encode();
        for line in [
            "socketio_emitter_build_info{version=\"0.1.0\",mode=\"pubsub\"} 1",
            "socketio_emitter_emits_total 1",
            "socketio_emitter_published_total 5",
            "socketio_emitter_dropped_total{reason=\"queue_full\"} 2",
            "socketio_emitter_dropped_total{reason=\"too_large\"} 1",
            "socketio_emitter_dropped_total{reason=\"closed\"} 1",
            "socketio_emitter_dropped_total{reason=\"lost\"} 7",
            "socketio_emitter_request_seconds_count{kind=\"count\",outcome=\"partial\"} 1",
            "socketio_emitter_request_seconds_count{kind=\"count\",outcome=\"complete\"} 0",
            "socketio_emitter_request_failures_total{reason=\"no_node\"} 1",
            "socketio_emitter_answers_dropped_total 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
