//! The spans that one test has made.

use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanId, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

/// Long enough for a loaded machine; whatever takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Collects what this thread makes, on which all tasks of a test run.
pub(crate) struct Collected {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _guard: DefaultGuard,
}

pub(crate) fn collect() -> Collected {
    collect_with(Sampler::AlwaysOn)
}

pub(crate) fn collect_with(sampler: Sampler) -> Collected {
    let filter = Targets::new().with_target("socketio_trace", LevelFilter::TRACE);
    collect_filtered(sampler, filter)
}

pub(crate) fn collect_filtered(sampler: Sampler, filter: Targets) -> Collected {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .with_sampler(sampler)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    Collected {
        exporter,
        _provider: provider,
        _guard: tracing::subscriber::set_default(subscriber),
    }
}

impl Collected {
    /// The spans that have ended.
    pub(crate) fn all(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().expect("not shut down")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.all()
            .iter()
            .map(|span| span.name.to_string())
            .collect()
    }

    /// So many spans of a name, when they have ended.
    pub(crate) async fn wait(&self, name: &str, count: usize) -> Vec<SpanData> {
        self.find_all(name, count, |_| true).await
    }

    /// The only span of a name, when it has ended.
    pub(crate) async fn one(&self, name: &str) -> SpanData {
        self.find(name, |_| true).await
    }

    pub(crate) async fn find(&self, name: &str, wanted: impl Fn(&SpanData) -> bool) -> SpanData {
        self.find_all(name, 1, wanted).await.remove(0)
    }

    /// The broadcast of an event.
    pub(crate) async fn broadcast(&self, event: &str) -> SpanData {
        self.find("broadcast", |span| {
            attribute(span, "socketio.event") == event
        })
        .await
    }

    pub(crate) async fn find_all(
        &self,
        name: &str,
        count: usize,
        wanted: impl Fn(&SpanData) -> bool,
    ) -> Vec<SpanData> {
        let found = || -> Vec<SpanData> {
            let all = self.all().into_iter();
            all.filter(|span| span.name == name && wanted(span))
                .collect()
        };
        let what = format!("{count} of {name}");
        let end = Instant::now() + PATIENCE;
        while found().len() < count && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let found = found();
        assert_eq!(found.len(), count, "{what}: {:?}", self.names());
        found
    }
}

/// An attribute as text, empty if it is not there.
pub(crate) fn attribute(span: &SpanData, name: &str) -> String {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|known| known.key.as_str() == name);
    found.map_or_else(String::new, |known| known.value.to_string())
}

#[track_caller]
pub(crate) fn assert_child(child: &SpanData, parent: &SpanData) {
    let trace = |span: &SpanData| span.span_context.trace_id();
    assert_eq!(
        trace(child),
        trace(parent),
        "{} of {}",
        child.name,
        parent.name
    );
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

#[track_caller]
pub(crate) fn assert_root(span: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{}", span.name);
}
