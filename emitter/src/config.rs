//! What an application may configure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How to reach the cluster.
///
/// ```
/// use socketio_emitter::{EmitterConfig, Mode};
///
/// let config = EmitterConfig::new("redis://127.0.0.1:6379")
///     .mode(Mode::ShardedDynamic)
///     .prefix("my-app");
/// assert_eq!(config.max_queued_messages, 10_000);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmitterConfig {
    /// Where the broker is:
    /// * `redis://user:password@host:6379/0`, `rediss://…` with TLS, `redis+unix:///path`
    /// * `redis+sentinel://host:26379,host2:26379/0/service`, `redis-cluster://host:6379,host2:6379`
    /// * `amqp://user:password@host:5672/vhost`, `amqps://…` with TLS
    pub url: String,
    /// Which wire is spoken. By default [`Mode::Pubsub`] on Redis and [`Mode::Amqp`] on RabbitMQ.
    pub mode: Option<Mode>,
    /// What the names of the channels of Redis begin with, as at the servers: `key` or
    /// `channelPrefix` in Node.js. Default: `socket.io`.
    pub prefix: String,
    /// The exchange of our nodes at RabbitMQ. Default: `socketio-cluster`.
    pub exchange: String,
    /// The channel of Redis, or exchange of RabbitMQ, in mode [`Python`](Mode::Python). Default:
    /// `socketio`; Flask-SocketIO uses `flask-socketio` unless it is told otherwise.
    pub python_channel: String,
    /// Publishes messages that survive a restart of RabbitMQ, where the nodes use their reliable
    /// mode. Default: off.
    pub reliable: bool,
    /// The user, where the URL names none.
    pub username: Option<String>,
    /// The password, where the URL has none, so that it need not stand in a URL.
    pub password: Option<String>,
    /// PEM file of the authority that signed the broker's certificate. Default: those of the
    /// system.
    pub tls_authority: Option<PathBuf>,
    /// PEM file of an own certificate, if the broker asks for one.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the key of the own certificate.
    pub tls_key: Option<PathBuf>,
    /// How long connecting may take, and the second connection that the first question opens to
    /// hear answers. Lost connections are made again for ever. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long [`flush`](crate::Emitter::flush) and [`close`](crate::Emitter::close) wait for the
    /// broker. Default: 30 s.
    pub flush_timeout: Duration,
    /// Most messages that wait for the broker; a further one is refused. Default: 10,000.
    pub max_queued_messages: usize,
    /// Most bytes that wait for the broker. Default: 64 MiB.
    pub max_queued_bytes: usize,
    /// Largest message in bytes. Default: 8 MiB.
    pub max_message_bytes: usize,
    /// Most answers to one question that wait to be read; what comes beyond is dropped and counts as
    /// missing. Default: 100,000.
    pub max_answers: usize,
}

/// The wire that is spoken: that of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// RabbitMQ, to our nodes. `amqp`.
    Amqp,
    /// Redis, to our nodes and to Node.js with `createAdapter`. `pubsub`.
    Pubsub,
    /// Redis or RabbitMQ, to servers of python-socketio and to our nodes that listen to its
    /// dialect. `python`.
    Python,
    /// Redis, to our nodes and to Node.js with `createShardedAdapter`, `subscriptionMode:
    /// "static"`. `sharded-static`.
    ShardedStatic,
    /// With `"dynamic"`, Node's default. `sharded` or `sharded-dynamic`.
    ShardedDynamic,
    /// With `"dynamic-private"`. `sharded-dynamic-private`.
    ShardedDynamicPrivate,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 6] = [
        Self::Amqp,
        Self::Pubsub,
        Self::Python,
        Self::ShardedStatic,
        Self::ShardedDynamic,
        Self::ShardedDynamicPrivate,
    ];

    /// The name in options of commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Pubsub => "pubsub",
            Self::Python => "python",
            Self::ShardedStatic => "sharded-static",
            Self::ShardedDynamic => "sharded-dynamic",
            Self::ShardedDynamicPrivate => "sharded-dynamic-private",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        if name == "sharded" {
            return Ok(Self::ShardedDynamic);
        }
        let mut all = Self::ALL.into_iter();
        all.find(|mode| mode.as_str() == name)
            .ok_or_else(|| UnknownMode(name.to_owned()))
    }
}

/// Text that names no [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no mode: amqp, pubsub, python, sharded (which is sharded-dynamic), sharded-static, \
     sharded-dynamic or sharded-dynamic-private"
)]
pub struct UnknownMode(pub(crate) String);

/// The brokers that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broker {
    Amqp,
    Redis,
}

impl Broker {
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once(':')?;
        // The adapters say what else is wrong with a URL.
        match scheme {
            "amqp" | "amqps" => Some(Self::Amqp),
            _ if scheme.starts_with("redis") || scheme.starts_with("valkey") => Some(Self::Redis),
            _ => None,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

impl EmitterConfig {
    /// The defaults with a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            mode: None,
            prefix: "socket.io".to_owned(),
            exchange: "socketio-cluster".to_owned(),
            python_channel: "socketio".to_owned(),
            reliable: false,
            username: None,
            password: None,
            tls_authority: None,
            tls_certificate: None,
            tls_key: None,
            connect_timeout: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(30),
            max_queued_messages: 10_000,
            max_queued_bytes: 64 << 20,
            max_message_bytes: 8 << 20,
            max_answers: 100_000,
        }
    }

    setters! {
        url: String,
        mode: Option<Mode>,
        prefix: String,
        exchange: String,
        python_channel: String,
        reliable: bool,
        username: Option<String>,
        password: Option<String>,
        tls_authority: Option<PathBuf>,
        tls_certificate: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        connect_timeout: Duration,
        flush_timeout: Duration,
        max_queued_messages: usize,
        max_queued_bytes: usize,
        max_message_bytes: usize,
        max_answers: usize,
    }
}

/// Without URL and password: the URL may hold one too.
impl fmt::Debug for EmitterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitterConfig")
            .field("mode", &self.mode)
            .field("prefix", &self.prefix)
            .field("exchange", &self.exchange)
            .field("python_channel", &self.python_channel)
            .field("reliable", &self.reliable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_known_by_its_name() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("sharded".parse(), Ok(Mode::ShardedDynamic));
        let error = "classic".parse::<Mode>().expect_err("no mode");
        assert!(error.to_string().contains("`classic`"));
    }

    #[test]
    fn the_scheme_tells_the_broker() {
        let redis = [
            "redis://h",
            "rediss://h",
            "redis+sentinel://h",
            "redis+unix:///run/r",
            "redis-cluster://h",
            "valkeys://h",
        ];
        for url in redis {
            assert_eq!(Broker::of(url), Some(Broker::Redis), "{url}");
        }
        assert_eq!(Broker::of("amqp://h"), Some(Broker::Amqp));
        assert_eq!(Broker::of("amqps://h"), Some(Broker::Amqp));
        assert_eq!(Broker::of("http://h"), None);
        assert_eq!(Broker::of("localhost"), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = EmitterConfig::new("redis://u:secret@h").password("secret".to_owned());
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn every_field_and_its_default_are_documented() {
        // A field more does not compile.
        socketio_testkit::documented!(
            "The emitter",
            EmitterConfig::new("") => EmitterConfig {
                url, mode, prefix, exchange, python_channel, reliable, username, password, tls_authority, tls_certificate, tls_key, connect_timeout, flush_timeout, max_queued_messages, max_queued_bytes, max_message_bytes, max_answers
            }
        );
    }
}
