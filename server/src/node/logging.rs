//! Log lines on standard error, and spans to a collector.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::config::{LogFormat, Settings};
use super::traces::Export;

/// The target of the server's spans, which are no log lines.
const SPANS: &str = "socketio_trace";

/// Starts logging for the whole process. The settings' filter was found good.
pub(crate) fn start(settings: &Settings, export: Option<&Export>) {
    let filter = without_spans(filter(&settings.log).unwrap_or_default(), &settings.log);
    let colours = std::io::stderr().is_terminal();
    let Some(export) = export else {
        // One filter for all: where it says no, nothing more is asked.
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(colours);
        return match settings.log_format {
            LogFormat::Json => lines.json().flatten_event(true).init(),
            LogFormat::Pretty => lines.init(),
        };
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let lines = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(export.layer())
        .with(lines.with_filter(filter))
        .init();
}

/// Reads a filter such as `info,hyper=debug`.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::builder().parse(text);
    filter.map_err(|error| format!("not a filter such as info or info,hyper=debug: {error}"))
}

/// Spans would be made for every event, only to stand in front of the few lines that there are;
/// whoever wants that must name them.
fn without_spans(filter: EnvFilter, text: &str) -> EnvFilter {
    match format!("{SPANS}=off").parse() {
        Ok(off) if !text.contains(SPANS) => filter.add_directive(off),
        _ => filter,
    }
}
