//! Spans to an OpenTelemetry collector, if the settings name one.

use std::ffi::OsString;

use super::config::Settings;
use super::options::PrepareError;

/// A value that a standard variable of OpenTelemetry gives to a setting.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) variable: &'static str,
}

#[cfg(feature = "otlp")]
mod numbers;

#[cfg(feature = "otlp")]
pub(crate) use built_in::*;
#[cfg(not(feature = "otlp"))]
pub(crate) use left_out::*;

#[cfg(feature = "otlp")]
mod built_in {
    use socketio_core::ids::NodeId;
    pub(crate) use socketio_otlp::Export;
    use socketio_otlp::{Compression, OtlpConfig, OtlpError, Protocol, Traces, pair};
    use tokio::runtime::Handle;

    pub(crate) use super::numbers::TraceMetrics;
    use super::{Given, OsString, PrepareError, Settings};
    use crate::node::config::{OtlpCompression, OtlpProtocol};

    /// What the environment says in OpenTelemetry's own variables.
    pub(crate) fn standard_settings(environment: &[(OsString, OsString)]) -> Vec<Given> {
        let get = |name: &str| {
            let (_, value) = environment.iter().find(|(known, _)| known == name)?;
            value.to_str().map(str::to_owned)
        };
        let given = socketio_otlp::standard_variables(get).into_iter();
        given
            .map(|given| Given {
                key: given.option,
                text: given.text,
                variable: given.variable,
            })
            .collect()
    }

    /// The way to the collector, not yet connected; none if there is no collector.
    pub(crate) fn prepare(
        settings: &Settings,
        node: &NodeId,
    ) -> Result<Option<Traces>, PrepareError> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            return Ok(None);
        };
        let mut config = OtlpConfig::new("socketio-server", endpoint);
        config.protocol = match settings.otlp_protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::HttpProtobuf => Protocol::HttpProtobuf,
        };
        config.headers = pairs("otlp_headers", &settings.otlp_headers)?;
        config.ca.clone_from(&settings.otlp_ca);
        config.compression = match settings.otlp_compression {
            OtlpCompression::Gzip => Compression::Gzip,
            OtlpCompression::None => Compression::None,
        };
        config.timeout = settings.otlp_timeout;
        config.sample_ratio = settings.trace_sample_ratio.0;
        config.parent_based = settings.trace_parent_based;
        config.service_name.clone_from(&settings.trace_service_name);
        // The name that the log and other nodes have for this one, unless another one is given.
        config.resource = vec![("service.instance.id".to_owned(), node.to_string())];
        config
            .resource
            .extend(pairs("trace_resource", &settings.trace_resource)?);
        config.queue = settings.trace_queue;
        config.batch = settings.trace_batch;
        config.delay = settings.trace_delay;
        Traces::new(&config).map(Some).map_err(PrepareError::Traces)
    }

    /// What is told of spans.
    pub(crate) fn metrics(export: &Export) -> TraceMetrics {
        TraceMetrics(export.counts())
    }

    /// Starts what sends.
    pub(crate) fn start(
        traces: Option<Traces>,
        runtime: &Handle,
    ) -> Result<Option<Export>, PrepareError> {
        let export = traces.map(|traces| traces.start(runtime)).transpose();
        export.map_err(PrepareError::Traces)
    }

    fn pairs(
        option: &'static str,
        texts: &[String],
    ) -> Result<Vec<(String, String)>, PrepareError> {
        let pairs = texts
            .iter()
            .map(|text| pair(text))
            .collect::<Result<_, _>>();
        pairs.map_err(|problem| PrepareError::Traces(OtlpError::Option { option, problem }))
    }
}

/// The same names for a node that cannot send traces; no value of these types exists.
#[cfg(not(feature = "otlp"))]
mod left_out {
    use std::fmt;
    use std::time::Duration;

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;
    use socketio_core::ids::NodeId;
    use tokio::runtime::Handle;
    use tracing_subscriber::layer::Identity;

    use super::{Given, OsString, PrepareError, Settings};

    #[derive(Debug)]
    pub(crate) enum Traces {}
    #[derive(Debug)]
    pub(crate) enum Export {}
    #[derive(Debug)]
    pub(crate) enum TraceMetrics {}

    pub(crate) fn standard_settings(_: &[(OsString, OsString)]) -> Vec<Given> {
        Vec::new()
    }

    pub(crate) fn prepare(settings: &Settings, _: &NodeId) -> Result<Option<Traces>, PrepareError> {
        match settings.otlp_endpoint {
            None => Ok(None),
            Some(_) => Err(PrepareError::NoTraces),
        }
    }

    pub(crate) fn start(
        traces: Option<Traces>,
        _: &Handle,
    ) -> Result<Option<Export>, PrepareError> {
        Ok(traces.map(|none| match none {}))
    }

    pub(crate) fn metrics(export: &Export) -> TraceMetrics {
        match *export {}
    }

    impl Collector for TraceMetrics {
        fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
            match *self {}
        }
    }

    impl Export {
        pub(crate) async fn finish(self, _: Duration) {
            match self {}
        }

        pub(crate) fn layer(&self) -> Identity {
            match *self {}
        }
    }
}
