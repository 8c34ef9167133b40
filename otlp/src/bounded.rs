//! Around the batch processor of the SDK: how many spans may wait, what became of each, and what the
//! log says of it.
//!
//! The processor drops what does not fit without telling how many, so the bound is kept here, before
//! it. It exports on a thread of its own, where neither timers nor sockets of tokio work, so each
//! export runs on the runtime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::counts::{Counts, Reason};

/// How often at most the log says that spans are lost.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Lets no more spans wait than may.
#[derive(Debug)]
pub(crate) struct BoundedProcessor {
    pub(crate) inner: BatchSpanProcessor,
    pub(crate) counts: Counts,
    pub(crate) limit: u64,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.counts.queued() < self.limit {
            self.inner.on_end(span);
        } else {
            self.counts.dropped(Reason::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, within: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(within)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Exports on the runtime, within a time, and counts.
#[derive(Debug)]
pub(crate) struct CountingExporter<E> {
    inner: Arc<E>,
    runtime: Handle,
    within: Duration,
    counts: Counts,
    log: Mutex<Log>,
}

impl<E> CountingExporter<E> {
    pub(crate) fn new(inner: E, runtime: Handle, within: Duration, counts: Counts) -> Self {
        Self {
            inner: Arc::new(inner),
            runtime,
            within,
            counts,
            log: Mutex::default(),
        }
    }
}

impl<E: SpanExporter + 'static> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let (inner, within) = (Arc::clone(&self.inner), self.within);
        let export = async move { timeout(within, inner.export(batch)).await };
        let done = match self.runtime.spawn(export).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(within)),
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        };
        match &done {
            Ok(()) => self.counts.exported(spans),
            Err(_) => self.counts.dropped(Reason::ExportFailed, spans),
        }
        let problem = done.as_ref().err().map(ToString::to_string);
        self.log
            .lock()
            .tell(problem.as_deref(), self.counts.snapshot().dropped());
        done
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Nothing is exported yet, so nobody else has it.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

/// What was said, so that it is not said too often.
#[derive(Debug, Default)]
struct Log {
    /// When the loss was last told, and what was lost by then.
    told: Option<(Instant, u64)>,
    failing: bool,
}

impl Log {
    /// After each batch: why it failed, if it did, and what is lost by now.
    fn tell(&mut self, problem: Option<&str>, dropped: u64) {
        let failed_before = std::mem::replace(&mut self.failing, problem.is_some());
        if failed_before && problem.is_none() {
            tracing::info!(dropped, "the collector takes spans again");
        }
        let now = Instant::now();
        let behind = self
            .told
            .is_none_or(|(last, then)| dropped > then && now.duration_since(last) >= TELL_EVERY);
        if dropped == 0 || !behind {
            return;
        }
        self.told = Some((now, dropped));
        let problem = problem.unwrap_or("more than the collector takes in time");
        tracing::warn!(dropped, problem, "spans are lost");
    }
}

#[cfg(test)]
mod tests;
