//! Log lines on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::config::{LogFormat, Settings};

/// Starts logging for the whole process. The settings' filter was found good.
pub(crate) fn start(settings: &Settings) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(&settings.log).unwrap_or_default())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Pretty => lines.init(),
    }
}

/// Reads a filter such as `info,hyper=debug`.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::builder().parse(text);
    filter.map_err(|error| format!("not a filter such as info or info,hyper=debug: {error}"))
}
