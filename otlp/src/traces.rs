//! The pieces put together: sampler → bound → batches → exporter.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Uri};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::TARGET;
use crate::bounded::{BoundedProcessor, CountingExporter};
use crate::config::{OtlpConfig, OtlpError};
use crate::connect::{Connector, connector};
use crate::counts::{Counts, Snapshot};
use crate::exporter::exporter;

/// A configuration that was found good. Nothing is made or connected before [`start`](Self::start).
pub struct Traces {
    config: OtlpConfig,
    uri: Uri,
    headers: HeaderMap,
    connector: Connector,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration may hold secrets.
        f.debug_struct("Traces")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl Traces {
    /// Checks the configuration, and reads the files that it names.
    ///
    /// # Errors
    ///
    /// Something in it cannot be used.
    pub fn new(config: &OtlpConfig) -> Result<Self, OtlpError> {
        config.check()?;
        let uri = config.uri()?;
        let over_tls = uri.scheme_str() == Some("https");
        Ok(Self {
            connector: connector(config, over_tls)?,
            headers: config.header_map()?,
            config: config.clone(),
            uri,
        })
    }

    /// Starts what sends: a thread that collects batches, which go out on `runtime`.
    ///
    /// # Errors
    ///
    /// A standard variable of OpenTelemetry, which the exporter reads by itself, is at fault.
    pub fn start(self, runtime: &Handle) -> Result<Export, OtlpError> {
        // Channels of tonic start a task when they are made.
        let _within = runtime.enter();
        let config = &self.config;
        let exporter = exporter(config, self.uri, self.headers, self.connector);
        let exporter =
            exporter.map_err(|error| OtlpError::option("otlp_endpoint", error.to_string()))?;
        let counts = Counts::default();
        let exporter =
            CountingExporter::new(exporter, runtime.clone(), config.timeout, counts.clone());
        let limits = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue)
            .with_max_export_batch_size(config.batch)
            .with_scheduled_delay(config.delay)
            .build();
        let processor = BoundedProcessor {
            inner: BatchSpanProcessor::new(exporter, limits),
            counts: counts.clone(),
            limit: config.queue as u64,
        };
        let by_ratio = Sampler::TraceIdRatioBased(config.sample_ratio);
        let sampler = match config.parent_based {
            true => Sampler::ParentBased(Box::new(by_ratio)),
            false => by_ratio,
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource(config))
            .with_span_processor(processor)
            .build();
        Ok(Export { provider, counts })
    }
}

/// The attributes of the process; later ones win.
fn resource(config: &OtlpConfig) -> Resource {
    let given = config.resource.iter();
    let given = given.map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let mut builder = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(config.program.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(given);
    if let Some(name) = &config.service_name {
        builder = builder.with_service_name(name.clone());
    }
    builder.build()
}

/// What sends.
#[derive(Debug)]
#[must_use = "without it nobody can wait for the last spans"]
pub struct Export {
    provider: SdkTracerProvider,
    counts: Counts,
}

impl Export {
    /// What a subscriber needs to pass the spans of [`TARGET`] on.
    #[must_use]
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let scope = InstrumentationScope::builder("socketio-cluster")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
    }

    /// The numbers, from now to the end.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Sends what waits, for this long at most; what is left then is dropped. Returns the numbers at
    /// the end.
    pub async fn finish(self, within: Duration) -> Snapshot {
        let Self { provider, counts } = self;
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        // What went wrong shows in the numbers.
        let _ = ended.await;
        counts.end();
        counts.snapshot()
    }
}
