//! What an application may configure, and what is wrong with it if so.

mod seconds;
mod tls;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use socketio_core::cluster::wire::python::PythonConfig;

pub(crate) use url::{Address, Place, elsewhere};

/// How to reach Redis, and how to behave towards it. Durations are read as seconds.
///
/// ```
/// use socketio_adapter_redis::{Mode, RedisConfig};
///
/// let mut config = RedisConfig::new("redis://user:secret@redis.example:6379/0");
/// config.mode = Mode::ShardedDynamic;
/// config.prefix = "my-app".to_owned();
/// config.validate()?;
/// # Ok::<(), socketio_adapter_redis::ConfigError>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where Redis is:
    /// * `redis://user:password@host:6379/0`, `rediss://…` with TLS, `redis+unix:///path`;
    ///   `valkey` may stand for `redis`
    /// * `redis+sentinel://user:password@host:26379,host2:26379/0/service` (also `rediss+sentinel`)
    /// * `redis-cluster://user:password@host:6379,host2:6379` (also `rediss-cluster`)
    ///
    /// `?protocol=2` or `3` chooses the version of the protocol. `redis://localhost:6379` by
    /// default.
    pub url: String,
    /// Which wire is spoken.
    pub mode: Mode,
    /// What the names of all channels begin with: `key` or `channelPrefix` in Node.js. `socket.io`
    /// by default.
    pub prefix: String,
    /// Also speaks the dialect of python-socketio, on channels of `PUBLISH` in all modes. Kombu puts
    /// the number of the database before their names: `/0.socketio`. For nodes only; an emitter
    /// translates itself. Off by default.
    pub python: Option<PythonConfig>,
    /// The ACL user, if the URL names none.
    pub username: Option<String>,
    /// The password, if the URL has none.
    pub password: Option<String>,
    /// The ACL user at the Sentinels; that of Redis is not sent to them.
    pub sentinel_username: Option<String>,
    /// The password at the Sentinels.
    pub sentinel_password: Option<String>,
    /// PEM file of the authority that signed the server's certificate. The system's authorities
    /// by default.
    pub tls_authority: Option<PathBuf>,
    /// PEM file of the own certificate, if the server asks for one.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the key of the own certificate.
    pub tls_key: Option<PathBuf>,
    /// How often a message to the own node proves that it is heard. 1 second by default.
    #[serde(with = "seconds")]
    pub heartbeat_interval: Duration,
    /// After how long without a sign of life a connection is made anew. 3 seconds by default.
    #[serde(with = "seconds")]
    pub heartbeat_timeout: Duration,
    /// How long one attempt to connect may take. 2 seconds by default.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// The wait after the first failed attempt to connect. It doubles with each one, and up to as
    /// much is added by chance. 20 milliseconds by default.
    #[serde(with = "seconds")]
    pub backoff_min: Duration,
    /// The longest wait between two attempts, without what is added by chance. 300 milliseconds by
    /// default, so that a broker is used again within a second.
    #[serde(with = "seconds")]
    pub backoff_max: Duration,
    /// How long messages wait after a reconnect for the other nodes to be connected again too. 1
    /// second by default.
    #[serde(with = "seconds")]
    pub regroup: Duration,
    /// How long closing may take to send what is queued. 2 seconds by default.
    #[serde(with = "seconds")]
    pub close_timeout: Duration,
    /// How often the members of Node.js are counted. 1 second by default.
    #[serde(with = "seconds")]
    pub count_interval: Duration,
    /// Largest encoded message, in bytes. Redis cuts off subscribers for which too much waits
    /// (`client-output-buffer-limit`, 32 MB for each), so this is best far below. 8 MiB by default.
    pub max_message_size: usize,
    /// Most bytes that wait for the broker; a message beyond is refused. 32 MiB by default.
    pub max_queued_bytes: usize,
    /// Most messages that wait for the broker. 100,000 by default.
    pub max_queued_messages: usize,
    /// Most bytes that were received and wait for this node; what comes beyond is dropped and
    /// counted. 64 MiB by default.
    pub max_received_bytes: usize,
    /// Most messages that were received and wait. 100,000 by default.
    pub max_received_messages: usize,
}

/// The wire that is spoken, which is that of an adapter of Node.js.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// `createAdapter` of `@socket.io/redis-adapter`.
    #[default]
    Pubsub,
    /// `createShardedAdapter` with `subscriptionMode: "static"`: one channel for each namespace.
    /// The sharded modes need Redis 7.
    ShardedStatic,
    /// With `"dynamic"`, Node's default: rooms have channels too, but not those of single sockets.
    ShardedDynamic,
    /// With `"dynamic-private"`: every room has a channel.
    ShardedDynamicPrivate,
}

impl Mode {
    pub(crate) fn is_sharded(self) -> bool {
        self != Self::Pubsub
    }
}

impl RedisConfig {
    /// The defaults with a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Looks for mistakes that need no broker to be found.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let address = Address::new(self)?;
        if self.mode.is_sharded() && address.wants_resp2() {
            return Err(ConfigError::ShardedNeedsResp3);
        }
        let own = ["#", "-"].map(|mark| format!("{}{mark}", self.prefix));
        let channels = self.python.iter().flat_map(|python| &python.channels);
        for channel in channels {
            let is_own = own.iter().any(|own| channel.starts_with(own.as_str()));
            if is_own || channel.is_empty() {
                let channel = channel.clone();
                return Err(ConfigError::PythonChannel { channel });
            }
        }
        let durations = [
            ("heartbeat-interval", self.heartbeat_interval),
            ("heartbeat-timeout", self.heartbeat_timeout),
            ("connect-timeout", self.connect_timeout),
            ("backoff-min", self.backoff_min),
            ("backoff-max", self.backoff_max),
            ("count-interval", self.count_interval),
        ];
        for (key, duration) in durations {
            if duration.is_zero() {
                return Err(ConfigError::Zero { key });
            }
        }
        let limits = [
            ("max-message-size", self.max_message_size),
            ("max-queued-bytes", self.max_queued_bytes),
            ("max-queued-messages", self.max_queued_messages),
            ("max-received-bytes", self.max_received_bytes),
            ("max-received-messages", self.max_received_messages),
        ];
        for (key, limit) in limits {
            if limit == 0 {
                return Err(ConfigError::Zero { key });
            }
        }
        Ok(())
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://localhost:6379".to_owned(),
            mode: Mode::default(),
            prefix: "socket.io".to_owned(),
            python: None,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            tls_authority: None,
            tls_certificate: None,
            tls_key: None,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_millis(300),
            regroup: Duration::from_secs(1),
            close_timeout: Duration::from_secs(2),
            count_interval: Duration::from_secs(1),
            max_message_size: 8 << 20,
            max_queued_bytes: 32 << 20,
            max_queued_messages: 100_000,
            max_received_bytes: 64 << 20,
            max_received_messages: 100_000,
        }
    }
}

/// Without what is secret: the URL is told without its user and password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &url::without_secrets(&self.url))
            .field("mode", &self.mode)
            .field("prefix", &self.prefix)
            .field("python", &self.python)
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("heartbeat_timeout", &self.heartbeat_timeout)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a [`RedisConfig`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A certificate or key cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A channel of the dialect of Python has no name, or the name of one of the adapter's own.
    #[error("{channel:?} cannot be a channel of Python's dialect")]
    PythonChannel {
        /// The name.
        channel: String,
    },
    /// The server speaks TLS, and it is not said whom to trust.
    #[error("the system trusts no authority, and there is no tls-authority")]
    NoAuthority,
    /// The sharded modes are only known to the newer version of the protocol.
    #[error("the sharded modes need protocol 3")]
    ShardedNeedsResp3,
    /// A certificate or key is not what it should be.
    #[error("the certificates cannot be used")]
    Tls(#[source] redis::RedisError),
    /// A certificate of the own without its key, or the other way round.
    #[error("tls-certificate and tls-key belong together")]
    TlsPair,
    /// The URL is not understood.
    #[error("the URL {url:?} is not understood: {problem}")]
    Url {
        /// The URL, without user and password.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// Something must be more than nothing.
    #[error("{key} must be more than 0")]
    Zero {
        /// What.
        key: &'static str,
    },
}

#[cfg(test)]
mod tests;
