//! The configuration, checked and read.

use std::io;
use std::path::Path;
use std::time::Duration;

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{AmqpConfig, ConfigError};

/// A configuration that was found usable, with what its files hold.
pub(crate) struct Settings {
    pub(crate) config: AmqpConfig,
    pub(crate) uri: AMQPUri,
    pub(crate) tls: Option<RustlsConnector>,
}

impl Settings {
    pub(crate) fn new(config: AmqpConfig) -> Result<Self, ConfigError> {
        check_names(&config)?;
        check_limits(&config)?;
        let mut uri: AMQPUri = config.url.parse().map_err(ConfigError::Url)?;
        if uri.query.heartbeat.is_none() {
            let seconds = u16::try_from(config.heartbeat.as_secs());
            uri.query.heartbeat = Some(seconds.unwrap_or(u16::MAX));
        }
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(connector(&config)?),
        };
        Ok(Self { config, uri, tls })
    }

    /// Where the broker is, for logs.
    pub(crate) fn broker(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

fn check_names(config: &AmqpConfig) -> Result<(), ConfigError> {
    let instance = config.reliable.as_ref().map(|r| r.instance.as_str());
    let names = [
        ("exchange", Some(config.exchange.as_str())),
        ("reliable.instance", instance),
    ];
    // Names and routing keys have 255 bytes at most; that of a queue holds two names and more.
    for (option, name) in names {
        if name.is_some_and(|name| name.is_empty() || name.starts_with("amq.")) {
            return Err(ConfigError::Name(option));
        }
    }
    let length: usize = names.iter().filter_map(|(_, n)| n.map(str::len)).sum();
    if length > 200 {
        return Err(ConfigError::Name("exchange"));
    }
    let channels = config.python.iter().flat_map(|python| &python.channels);
    for name in channels {
        if name.is_empty() || name.len() > 255 || *name == config.exchange {
            return Err(ConfigError::Name("python.channels"));
        }
    }
    Ok(())
}

fn check_limits(config: &AmqpConfig) -> Result<(), ConfigError> {
    let counts = [
        ("prefetch", usize::from(config.prefetch)),
        ("confirm-window", config.confirm_window),
        ("confirm-window-bytes", config.confirm_window_bytes),
        ("queue-messages", config.queue_messages),
        ("queue-bytes", config.queue_bytes),
        (
            "broker-queue-messages",
            config.broker_queue_messages as usize,
        ),
        ("broker-queue-bytes", config.broker_queue_bytes as usize),
        ("max-message-bytes", config.max_message_bytes),
    ];
    let times = [
        ("probe-interval", config.probe_interval),
        ("probe-timeout", config.probe_timeout),
        ("connect-timeout", config.connect_timeout),
        ("min-backoff", config.min_backoff),
        ("max-backoff", config.max_backoff),
        ("close-timeout", config.close_timeout),
    ];
    // A year keeps all sums of times and all numbers of the protocol in their types.
    let year = Duration::from_secs(366 * 24 * 3600);
    let count = counts.iter().find(|(_, count)| *count == 0);
    let time = times.iter().find(|(_, t)| t.is_zero() || *t > year);
    if let Some(option) = count.map(|c| c.0).or_else(|| time.map(|t| t.0)) {
        return Err(ConfigError::Limit(option));
    }
    // The broker counts in milliseconds of 32 bits, and heartbeats in seconds of 16.
    let second = Duration::from_secs(1);
    if config.heartbeat < second || config.heartbeat.as_secs() > u64::from(u16::MAX) {
        return Err(ConfigError::Limit("heartbeat"));
    }
    let expiry = config.reliable.as_ref().map(|reliable| reliable.expiry);
    if expiry.is_some_and(|e| e < second || e > Duration::from_secs(40 * 24 * 3600)) {
        return Err(ConfigError::Limit("reliable.expiry"));
    }
    Ok(())
}

fn connector(config: &AmqpConfig) -> Result<RustlsConnector, ConfigError> {
    let trusted = match &config.ca {
        Some(path) => {
            let certificates = certificates(path)?;
            RustlsConnectorConfig::default().with_parsable_certificates(certificates)
        }
        None => RustlsConnectorConfig::new_with_native_certs().map_err(tls)?,
    };
    match (&config.certificate, &config.key) {
        (None, None) => trusted.connector_with_no_client_auth(),
        (Some(chain), Some(key)) => {
            let pem = read(key)?;
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|error| ConfigError::Tls(format!("{}: {error}", key.display())))?;
            trusted.connector_with_single_cert(certificates(chain)?, key)
        }
        _ => {
            let message = "`certificate` and `key` belong together";
            return Err(ConfigError::Tls(message.to_owned()));
        }
    }
    .map_err(tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let pem = read(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(ConfigError::Tls(format!(
            "{}: no certificate",
            path.display()
        ))),
        Err(error) => Err(ConfigError::Tls(format!("{}: {error}", path.display()))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
fn tls(error: io::Error) -> ConfigError {
    ConfigError::Tls(error.to_string())
}

/// The URL with its password masked, or nothing of it if it cannot be read.
pub(super) fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) => {
            if url.password().is_some() && url.set_password(Some("***")).is_err() {
                return "…".to_owned();
            }
            url.into()
        }
        Err(_) => "…".to_owned(),
    }
}
