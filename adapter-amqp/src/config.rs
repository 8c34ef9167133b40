//! What an operator sets.

mod seconds;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use socketio_core::cluster::wire::python::PythonConfig;

pub(crate) use settings::Settings;

/// How to reach RabbitMQ, and the bounds of everything. All times are given in seconds where this
/// is read from a file.
///
/// ```
/// use socketio_adapter_amqp::{AmqpConfig, Reliable};
///
/// let config = AmqpConfig::new("amqps://node:secret@rabbit.example/chat")
///     .exchange("chat-cluster")
///     .reliable(Reliable::new("node-3"));
/// assert_eq!(config.prefetch, 300);
/// ```
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AmqpConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. The virtual host must be
    /// percent-encoded; without a path it is `/`. Default: `amqp://127.0.0.1`.
    pub url: String,
    /// The exchange that all nodes share. It is declared durable, so that nodes with and without
    /// [`reliable`](Self::reliable) agree about it. Default: `socketio-cluster`.
    pub exchange: String,
    /// The type of the exchange; all nodes must agree. Default: direct.
    pub exchange_type: ExchangeType,
    /// A file of certificates in PEM form to trust instead of those of the system.
    pub ca: Option<PathBuf>,
    /// A file with this node's own certificate chain in PEM form, for brokers that ask for one.
    pub certificate: Option<PathBuf>,
    /// The file with the key of [`certificate`](Self::certificate).
    pub key: Option<PathBuf>,
    /// How many messages the broker sends ahead of their handling. The others wait in its queue.
    /// Default: 300.
    pub prefetch: u16,
    /// How many messages may be on their way to the broker without its confirmation. Default: 256.
    pub confirm_window: usize,
    /// The same in bytes. One message may exceed it. Default: 8 MiB.
    pub confirm_window_bytes: usize,
    /// How many messages wait here while the broker is away, blocked or slow; more are refused.
    /// Default: 10,000.
    pub queue_messages: usize,
    /// The same in bytes. Default: 64 MiB.
    pub queue_bytes: usize,
    /// How many messages wait at the broker for a node that does not keep up; the oldest are
    /// dropped there. Default: 100,000.
    pub broker_queue_messages: u32,
    /// The same in bytes. Default: 256 MiB.
    pub broker_queue_bytes: u32,
    /// Messages of more bytes are refused in both directions. Default: 16 MiB.
    pub max_message_bytes: usize,
    /// How often an own message is sent to see whether it comes back. Default: 3 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub probe_interval: Duration,
    /// When nothing at all comes for so long after it was sent, the connection counts as lost.
    /// Default: 5 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub probe_timeout: Duration,
    /// The heartbeat of the AMQP connections, in whole seconds. `?heartbeat=` in the URL takes
    /// precedence. Default: 5 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub heartbeat: Duration,
    /// How long connecting and setting up may take. Default: 10 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub connect_timeout: Duration,
    /// The first pause before connecting again; it doubles with each attempt. Default: 0.1 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub min_backoff: Duration,
    /// The longest such pause, to which up to as much again is added at random. Default: 0.3 s, so
    /// that a broker is found within a second of its return.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub max_backoff: Duration,
    /// How long the end may take to send what is still queued. Default: 5 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub close_timeout: Duration,
    /// Loses no message over a short absence of the broker. Off by default.
    pub reliable: Option<Reliable>,
    /// Speaks the dialect of python-socketio beside our own format, over exchanges named as its
    /// channels. What is sent again in the [`reliable`](Self::reliable) mode may reach members in
    /// Python twice, since they do not know copies. For nodes only: an emitter translates itself
    /// and uses [`publish_raw`](crate::Publisher::publish_raw). Off by default.
    pub python: Option<PythonConfig>,
}

/// The type of the shared exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExchangeType {
    /// Compares whole routing keys.
    #[default]
    Direct,
    /// Matches routing keys with patterns, so that other programs can bind `#` to see everything.
    Topic,
}

/// The reliable mode: the node's queue outlives its connection and the broker's restart.
///
/// All nodes and emitters should use it: only what was published in this mode survives a restart
/// of the broker, and only into queues of this mode. Messages are written to the broker's disk,
/// which costs time; see the crate's documentation for figures.
///
/// An emitter only needs it in order to publish reliably; its instance name is not used.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Reliable {
    /// The name of this node's queue behind that of the exchange. No two nodes may have the same,
    /// and a node must keep its own.
    pub instance: String,
    /// How long the queue is kept without its node. Default: 120 s.
    #[serde(
        default = "Reliable::default_expiry",
        deserialize_with = "seconds::deserialize"
    )]
    pub expiry: Duration,
}

impl Reliable {
    /// With the default expiry.
    #[must_use]
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            expiry: Self::default_expiry(),
        }
    }

    /// Sets [`expiry`](Self::expiry).
    #[must_use]
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }

    fn default_expiry() -> Duration {
        Duration::from_secs(120)
    }
}

impl Default for AmqpConfig {
    fn default() -> Self {
        Self {
            url: "amqp://127.0.0.1".to_owned(),
            exchange: "socketio-cluster".to_owned(),
            exchange_type: ExchangeType::default(),
            ca: None,
            certificate: None,
            key: None,
            prefetch: 300,
            confirm_window: 256,
            confirm_window_bytes: 8 << 20,
            queue_messages: 10_000,
            queue_bytes: 64 << 20,
            broker_queue_messages: 100_000,
            broker_queue_bytes: 256 << 20,
            max_message_bytes: 16 << 20,
            probe_interval: Duration::from_secs(3),
            probe_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(300),
            close_timeout: Duration::from_secs(5),
            reliable: None,
            python: None,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {
        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            pub fn $field(mut self, $field: impl Into<$type>) -> Self {
                self.$field = $field.into();
                self
            }
        )*
    };
}

impl AmqpConfig {
    /// The defaults, with a broker.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    setters! {
        url: String,
        exchange: String,
        exchange_type: ExchangeType,
        ca: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        prefetch: u16,
        confirm_window: usize,
        confirm_window_bytes: usize,
        queue_messages: usize,
        queue_bytes: usize,
        broker_queue_messages: u32,
        broker_queue_bytes: u32,
        max_message_bytes: usize,
        probe_interval: Duration,
        probe_timeout: Duration,
        heartbeat: Duration,
        connect_timeout: Duration,
        min_backoff: Duration,
        max_backoff: Duration,
        close_timeout: Duration,
        reliable: Option<Reliable>,
        python: Option<PythonConfig>,
    }
}

impl std::fmt::Debug for AmqpConfig {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("url", &settings::without_password(&self.url))
            .field("exchange", &self.exchange)
            .field("exchange_type", &self.exchange_type)
            .field("reliable", &self.reliable)
            .field("python", &self.python)
            .finish_non_exhaustive()
    }
}

/// A configuration that cannot work, whatever the broker says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A bound or time is zero, or larger than the protocol can say.
    #[error("`{0}` is zero or too large")]
    Limit(&'static str),
    /// A name is empty, or has more than 200 bytes, or begins with `amq.`, which the broker keeps
    /// for itself. Channels of Python must differ from the exchange of our own.
    #[error("`{0}` is no usable name")]
    Name(&'static str),
    /// A file has no certificate or key in PEM form that can be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// The URL cannot be read. It is not shown, because it may hold a password.
    #[error("invalid URL: {0}")]
    Url(String),
}

#[cfg(test)]
mod tests;
