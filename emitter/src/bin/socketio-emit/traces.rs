//! The span of what is sent, to an OpenTelemetry collector.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use socketio_otlp::{Export, OtlpConfig, Traces, pair, standard_variables};
use tokio::runtime::Handle;

use crate::args::seconds;
use crate::exit::{Failure, code};

/// Options of which the standard variables of OpenTelemetry are understood too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traces (the standard OTEL_ variables are understood too)")]
pub(crate) struct TraceArgs {
    /// OpenTelemetry collector that spans are sent to, such as http://127.0.0.1:4318.
    #[arg(long, value_name = "URL", env = "SOCKETIO_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    /// How it is spoken to: http/protobuf or grpc [default: http/protobuf].
    #[arg(long, value_name = "PROTOCOL", env = "SOCKETIO_OTLP_PROTOCOL")]
    otlp_protocol: Option<String>,

    /// Headers of each request: name=value, with commas between them and percent-encoded values.
    #[arg(
        long,
        value_name = "HEADERS",
        env = "SOCKETIO_OTLP_HEADERS",
        hide_env_values = true
    )]
    otlp_headers: Option<String>,

    /// PEM file of the authority that signed the collector's certificate.
    #[arg(long, value_name = "FILE", env = "SOCKETIO_OTLP_CA")]
    otlp_ca: Option<String>,

    /// Part of all traces that is sent, from 0 to 1 [default: 1].
    #[arg(long, value_name = "RATIO", env = "SOCKETIO_TRACE_SAMPLE_RATIO")]
    trace_sample_ratio: Option<String>,

    /// The attribute service.name [default: socketio-emit].
    #[arg(long, value_name = "NAME", env = "SOCKETIO_TRACE_SERVICE_NAME")]
    trace_service_name: Option<String>,

    /// How many seconds the last spans may take at the end.
    #[arg(long, default_value = "2", value_parser = seconds, value_name = "SECONDS")]
    trace_flush_timeout: Duration,
}

/// What sends spans, and for how long it may at the end.
pub(crate) struct Tracing {
    pub(crate) export: Export,
    within: Duration,
}

impl TraceArgs {
    /// Starts sending, if there is a collector.
    pub(crate) fn start(&self, runtime: &Handle) -> Result<Option<Tracing>, Failure> {
        let wrong = |error: String| Failure::new(code::USAGE, error);
        let Some(config) = self
            .config(|name| std::env::var(name).ok())
            .map_err(wrong)?
        else {
            return Ok(None);
        };
        let traces = Traces::new(&config).and_then(|traces| traces.start(runtime));
        let export = traces.map_err(|error| wrong(error.to_string()))?;
        Ok(Some(Tracing {
            export,
            within: self.trace_flush_timeout,
        }))
    }

    fn config(&self, get: impl Fn(&str) -> Option<String>) -> Result<Option<OtlpConfig>, String> {
        let own = [
            ("otlp_endpoint", &self.otlp_endpoint),
            ("otlp_protocol", &self.otlp_protocol),
            ("otlp_headers", &self.otlp_headers),
            ("otlp_ca", &self.otlp_ca),
            ("trace_sample_ratio", &self.trace_sample_ratio),
            ("trace_service_name", &self.trace_service_name),
        ];
        let own: Vec<_> = own
            .into_iter()
            .filter_map(|(option, text)| Some((option, text.as_deref()?)))
            .collect();
        let mut config = OtlpConfig::new("socketio-emit", "");
        let mut unusable = None;
        for given in standard_variables(get) {
            // What is not used need not be good.
            if own.iter().all(|(option, _)| *option != given.option)
                && let Err(problem) = set(&mut config, given.option, &given.text)
            {
                unusable.get_or_insert_with(|| format!("{}: {problem}", given.variable));
            }
        }
        for (option, text) in own {
            let set = set(&mut config, option, text);
            set.map_err(|problem| format!("--{}: {problem}", option.replace('_', "-")))?;
        }
        // On many machines the variables stand for other programs: without a collector they are nothing to this one.
        match (config.endpoint.is_empty(), unusable) {
            (true, _) => Ok(None),
            (false, Some(problem)) => Err(problem),
            (false, None) => Ok(Some(config)),
        }
    }
}

/// Sets an option from text. What has no option here keeps its default: it is for programs that run on.
fn set(config: &mut OtlpConfig, option: &str, text: &str) -> Result<(), String> {
    let pairs = || {
        let pairs = text.split(',').filter(|one| !one.trim().is_empty());
        pairs.map(pair).collect::<Result<Vec<_>, _>>()
    };
    match option {
        "otlp_endpoint" => config.endpoint = text.to_owned(),
        "otlp_protocol" => config.protocol = text.parse()?,
        "otlp_headers" => config.headers = pairs()?,
        "otlp_ca" => config.ca = Some(PathBuf::from(text)),
        "otlp_compression" => config.compression = text.parse()?,
        "otlp_timeout" => {
            let millis = text
                .trim()
                .parse()
                .map_err(|_| "expected milliseconds".to_owned())?;
            config.timeout = Duration::from_millis(millis);
        }
        "trace_sample_ratio" => {
            let ratio = text.trim().parse();
            config.sample_ratio = ratio.map_err(|_| "expected a number from 0 to 1".to_owned())?;
        }
        "trace_parent_based" => config.parent_based = text == "true",
        "trace_service_name" => config.service_name = Some(text.to_owned()),
        "trace_resource" => config.resource = pairs()?,
        _ => {}
    }
    Ok(())
}

impl Tracing {
    /// Sends what is left; says so if something was lost, which is no failure of the command.
    pub(crate) async fn finish(self) -> Option<String> {
        let lost = self.export.finish(self.within).await.dropped();
        let plural = if lost == 1 { "" } else { "s" };
        (lost > 0).then(|| format!("{lost} span{plural} did not reach the collector"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use socketio_otlp::Protocol;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        traces: TraceArgs,
    }

    fn config(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Option<OtlpConfig>, String> {
        let command = Command::try_parse_from(["test"].iter().chain(arguments));
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        command.expect("a command line").traces.config(get)
    }

    #[test]
    fn off_by_default_and_on_with_an_endpoint() {
        assert_eq!(config(&[], &[]), Ok(None));
        assert_eq!(config(&[], &[("OTEL_SERVICE_NAME", "job")]), Ok(None));
        let endpoint = ["--otlp-endpoint", "http://h"];
        let found = config(&endpoint, &[("OTEL_SERVICE_NAME", "job")]);
        let mut expected = OtlpConfig::new("socketio-emit", "http://h");
        expected.service_name = Some("job".to_owned());
        assert_eq!(found, Ok(Some(expected)));
        let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://s");
        let found = config(&[], &[standard]).expect("good").expect("on");
        assert_eq!(found.endpoint, "http://s");
        assert_eq!(config(&["--otlp-endpoint="], &[standard]), Ok(None));
    }

    #[test]
    fn options_win_over_variables() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://s"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=%20"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ];
        let found = config(&["--otlp-protocol", "grpc"], &variables);
        let found = found.expect("good").expect("on");
        assert_eq!(found.protocol, Protocol::Grpc);
        assert_eq!(
            found.headers,
            [("a", "1"), ("b", " ")].map(|(name, value)| (name.into(), value.into()))
        );
        assert_eq!((found.sample_ratio, found.parent_based), (0.0, false));
        let error = config(&[], &variables).expect_err("not spoken");
        assert_eq!(
            error,
            "OTEL_EXPORTER_OTLP_PROTOCOL: expected one of grpc, http/protobuf"
        );
        let foreign = [variables[1], ("OTEL_RESOURCE_ATTRIBUTES", "a")];
        assert_eq!(config(&[], &foreign), Ok(None), "meant for others");
        let error = config(&["--trace-sample-ratio", "much"], &[]).expect_err("no number");
        assert_eq!(error, "--trace-sample-ratio: expected a number from 0 to 1");
    }
}
