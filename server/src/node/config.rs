//! Configuration of the stock node: flags over environment over file over defaults.

mod settings;
mod sources;
mod values;

use std::path::PathBuf;

use thiserror::Error;

use super::logging;

pub(crate) use settings::Settings;
pub(crate) use sources::{Request, read};
pub(crate) use values::{
    AdapterKind, LogFormat, OtlpCompression, OtlpProtocol, Parser, PythonMode, RedisMode, SameSite,
    Transport,
};

/// Why a configuration cannot be used; always one line.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{place} {key} is unknown; did you mean {nearest}?")]
    UnknownKey {
        place: String,
        key: String,
        nearest: String,
    },
    #[error("{0}")]
    Usage(String),
    #[error("{place}: {problem}")]
    Value { place: String, problem: String },
}

impl ConfigError {
    fn value(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

/// What each value alone cannot tell.
fn validate(settings: &Settings) -> Result<(), ConfigError> {
    let wrong = |key: &str, problem: &str| Err(ConfigError::value(key, problem));
    let durations = [
        ("ping_interval", settings.ping_interval),
        ("ping_timeout", settings.ping_timeout),
        ("upgrade_timeout", settings.upgrade_timeout),
        ("connect_timeout", settings.connect_timeout),
        ("header_read_timeout", settings.header_read_timeout),
        ("body_read_timeout", settings.body_read_timeout),
        ("heartbeat_interval", settings.heartbeat_interval),
        ("otlp_timeout", settings.otlp_timeout),
        ("trace_delay", settings.trace_delay),
    ];
    for (key, duration) in durations {
        if duration.is_zero() {
            return wrong(key, "must be longer than 0");
        }
    }
    let limits = [
        ("max_http_buffer_size", settings.max_http_buffer_size.0),
        ("max_outbox_bytes", settings.max_outbox_bytes.0),
        ("max_pending_handlers", settings.max_pending_handlers),
        (
            "max_namespaces_per_client",
            settings.max_namespaces_per_client,
        ),
        ("max_connections", settings.max_connections.unwrap_or(1)),
        ("worker_threads", settings.worker_threads.unwrap_or(1)),
        ("trace_queue", settings.trace_queue),
        ("trace_batch", settings.trace_batch),
    ];
    for (key, limit) in limits {
        if limit == 0 {
            return wrong(key, "must be greater than 0");
        }
    }
    if settings.max_outbox_bytes.0 < settings.max_http_buffer_size.0 {
        return wrong(
            "max_outbox_bytes",
            "must not be smaller than max_http_buffer_size, else one message closes its receiver",
        );
    }
    if !settings.path.starts_with('/') || settings.path.contains(['?', '#', ' ']) {
        return wrong("path", "must start with / and contain no ?, # or blank");
    }
    if settings.transports.is_empty() {
        return wrong("transports", "must name at least one transport");
    }
    if settings.tls_cert.is_some() != settings.tls_key.is_some() {
        return wrong("tls_cert", "tls_cert and tls_key must be given together");
    }
    if settings.heartbeat_timeout <= settings.heartbeat_interval {
        return wrong(
            "heartbeat_timeout",
            "must be longer than heartbeat_interval, else living nodes count as gone",
        );
    }
    if settings.python != PythonMode::Off && settings.adapter == AdapterKind::Memory {
        return wrong("python", "needs an adapter: redis or amqp");
    }
    if settings.python != PythonMode::Off && settings.python_channels.is_empty() {
        return wrong("python_channels", "must name at least one channel");
    }
    if settings.drain_grace < settings.drain_delay + settings.drain_window {
        return wrong(
            "drain_grace",
            "must not be shorter than drain_delay and drain_window together",
        );
    }
    if let Some(cookie) = &settings.cookie
        && !cookie
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    {
        return wrong("cookie", "must be letters, digits and -_. only");
    }
    if settings.cookie_same_site == SameSite::None
        && settings.cookie.is_some()
        && !settings.cookie_secure
    {
        return wrong(
            "cookie_same_site",
            "browsers accept none only with cookie_secure",
        );
    }
    logging::filter(&settings.log).map_err(|problem| ConfigError::value("log", problem))?;
    Ok(())
}

/// The effective settings as a file that can be read back.
pub(crate) fn to_toml(settings: &Settings) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in settings::KEYS {
        if key.section != section {
            let blank = if section.is_empty() { "" } else { "\n" };
            section = key.section;
            text += &format!("{blank}# {section}\n");
        }
        for line in key.help {
            text += &format!("\n#{line}");
        }
        text += &match (key.get)(settings) {
            Some(value) => format!("\n{} = {value}\n", key.name),
            None => format!("\n# {} =\n", key.name),
        };
    }
    text
}

#[cfg(test)]
mod tests;
