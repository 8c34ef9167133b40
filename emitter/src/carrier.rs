//! The broker, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use socketio_adapter_amqp::{self as amqp, AmqpConfig, Reliable};
use socketio_adapter_redis::{self as redis, RedisConfig};
use socketio_core::cluster::wire::python::{Python, PythonConfig};
use socketio_core::cluster::{AdapterError, AdapterStatus, ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;

use crate::config::{Broker, EmitterConfig, Mode};
use crate::error::{ConnectError, EmitError};
use crate::metrics::Counters;

#[derive(Debug)]
pub(crate) struct Carrier {
    link: Link,
    /// Speaks the dialect of Python, and nothing else.
    python: Option<Python>,
    pub(crate) counters: Arc<Counters>,
}

#[derive(Debug)]
enum Link {
    Amqp(amqp::Publisher),
    Redis(Box<redis::Publisher>),
}

/// The same call to either.
macro_rules! link {
    ($carrier:expr, $publisher:ident => $call:expr) => {
        match &$carrier.link {
            Link::Amqp($publisher) => $call,
            Link::Redis($publisher) => $call,
        }
    };
}

impl Carrier {
    pub(crate) async fn connect(config: &EmitterConfig) -> Result<(Self, Mode), ConnectError> {
        let broker = Broker::of(&config.url).ok_or(ConnectError::Scheme)?;
        let mode = config.mode.unwrap_or(match broker {
            Broker::Amqp => Mode::Amqp,
            Broker::Redis => Mode::Pubsub,
        });
        let link = match (broker, mode) {
            (Broker::Amqp, Mode::Amqp | Mode::Python) => {
                let publisher = amqp::Publisher::connect(amqp_config(config)).await;
                Link::Amqp(publisher.map_err(connect_error)?)
            }
            (Broker::Amqp, _) | (Broker::Redis, Mode::Amqp) => {
                return Err(ConnectError::Mode(mode));
            }
            (Broker::Redis, _) => {
                let publisher = redis::Publisher::connect(redis_config(config, mode)).await;
                Link::Redis(Box::new(publisher.map_err(connect_error)?))
            }
        };
        let python = (mode == Mode::Python).then(|| {
            let channels = PythonConfig::member().channels([&config.python_channel]);
            Python::new(&NodeId::emitter(), channels)
        });
        let counters = Arc::default();
        Ok((
            Self {
                link,
                python,
                counters,
            },
            mode,
        ))
    }

    pub(crate) fn publish(&self, message: &ClusterMessage) -> Result<(), EmitError> {
        let done = self.send(message);
        self.counters.emitted(&done);
        done
    }

    /// As [`publish`](Self::publish), for what is counted elsewhere.
    pub(crate) fn send(&self, message: &ClusterMessage) -> Result<(), EmitError> {
        match &self.python {
            None => Ok(link!(self, publisher => publisher.publish(message))?),
            Some(python) => self.translate(python, message),
        }
    }

    fn translate(&self, python: &Python, message: &ClusterMessage) -> Result<(), EmitError> {
        let translated = python.encode(message);
        let translated = translated.map_err(|error| AdapterError::Encode(Box::new(error)))?;
        if let Some(&loss) = translated.limits.iter().find(|limit| limit.is_loss()) {
            return Err(EmitError::Untranslatable(loss));
        }
        for limit in &translated.limits {
            tracing::debug!(%limit, "said in another form");
        }
        for message in translated.messages {
            let (channel, payload) = (&message.channel, message.payload);
            link!(self, publisher => publisher.publish_raw(channel, payload))?;
        }
        Ok(())
    }

    pub(crate) async fn listen(
        &self,
        node: &NodeId,
        namespace: &str,
        on_response: Arc<dyn Fn(ClusterResponse) + Send + Sync>,
    ) -> Result<(), AdapterError> {
        link!(self, publisher => publisher.listen(node, namespace, on_response).await)
    }

    /// How many nodes of ours there are, where that is known, and how many others.
    pub(crate) async fn count_members(
        &self,
        namespace: &str,
    ) -> Result<(Option<usize>, usize), AdapterError> {
        link!(self, publisher => publisher.count_members(namespace).await)
    }

    pub(crate) async fn flush(&self) -> Result<(), AdapterError> {
        link!(self, publisher => publisher.flush().await)
    }

    pub(crate) async fn close(&self) -> Result<(), AdapterError> {
        link!(self, publisher => publisher.close().await)
    }

    pub(crate) fn status(&self) -> AdapterStatus {
        link!(self, publisher => publisher.status())
    }
}

/// Closing comes behind a flush: all that may still wait is what was sent meanwhile.
fn close_timeout(config: &EmitterConfig) -> Duration {
    config.flush_timeout.min(Duration::from_secs(1))
}

/// The URL with the user and password that were given beside it.
fn amqp_url(config: &EmitterConfig) -> String {
    let url = &config.url;
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.clone();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (known, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match known.split_once(':') {
        Some((user, password)) => (user, Some(password.to_owned())),
        None => (known, config.password.as_deref().map(escape)),
    };
    let user = match (user, &config.username) {
        ("", Some(user)) => escape(user),
        // The user that a broker has by itself.
        ("", None) if password.is_some() => "guest".to_owned(),
        ("", None) => return url.clone(),
        (user, _) => user.to_owned(),
    };
    let colon = if password.is_some() { ":" } else { "" };
    let password = password.unwrap_or_default();
    format!("{scheme}://{user}{colon}{password}@{host}{path}")
}

/// As it stands in a URL.
fn escape(text: &str) -> String {
    use std::fmt::Write;

    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(byte.into());
        } else {
            // Cannot fail: it is a string.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn amqp_config(config: &EmitterConfig) -> AmqpConfig {
    // The name is for queues, of which an emitter has none that outlive it.
    let reliable = config.reliable.then(|| Reliable::new("emitter"));
    AmqpConfig::new(amqp_url(config))
        .exchange(&config.exchange)
        .reliable(reliable)
        .ca(config.tls_authority.clone())
        .certificate(config.tls_certificate.clone())
        .key(config.tls_key.clone())
        .connect_timeout(config.connect_timeout)
        .close_timeout(close_timeout(config))
        .queue_messages(config.max_queued_messages)
        .queue_bytes(config.max_queued_bytes)
        .max_message_bytes(config.max_message_bytes)
}

fn redis_config(config: &EmitterConfig, mode: Mode) -> RedisConfig {
    let mut redis = RedisConfig::new(&config.url);
    redis.mode = match mode {
        // The dialect of Python uses ordinary channels, and nothing is sent on others then.
        Mode::Pubsub | Mode::Python | Mode::Amqp => redis::Mode::Pubsub,
        Mode::ShardedStatic => redis::Mode::ShardedStatic,
        Mode::ShardedDynamic => redis::Mode::ShardedDynamic,
        Mode::ShardedDynamicPrivate => redis::Mode::ShardedDynamicPrivate,
    };
    redis.prefix.clone_from(&config.prefix);
    redis.username.clone_from(&config.username);
    redis.password.clone_from(&config.password);
    redis.tls_authority.clone_from(&config.tls_authority);
    redis.tls_certificate.clone_from(&config.tls_certificate);
    redis.tls_key.clone_from(&config.tls_key);
    redis.connect_timeout = config.connect_timeout;
    redis.close_timeout = close_timeout(config);
    // Long enough for nodes that have just begun the longest of their pauses.
    redis.regroup = Duration::from_secs(3);
    redis.max_queued_messages = config.max_queued_messages;
    redis.max_queued_bytes = config.max_queued_bytes;
    redis.max_message_size = config.max_message_bytes;
    redis
}

/// Tells a configuration that cannot work from a broker that is away.
fn connect_error(error: AdapterError) -> ConnectError {
    match error {
        AdapterError::Broker(cause)
            if cause.is::<amqp::ConfigError>() || cause.is::<redis::ConfigError>() =>
        {
            ConnectError::Config(cause)
        }
        AdapterError::Broker(cause) => ConnectError::Broker(cause),
        other => ConnectError::Broker(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_does_not_say_is_added_to_it() {
        let url = |url: &str, user: Option<&str>, password: Option<&str>| {
            let config = EmitterConfig::new(url);
            let config = config.username(user.map(str::to_owned));
            amqp_url(&config.password(password.map(str::to_owned)))
        };
        let given = [Some("u@:/é"), Some("p%")];
        for plain in [
            "amqp://h",
            "amqp://h:1/v",
            "amqps://u:p@h/@v",
            "amqp://u:@h",
        ] {
            assert_eq!(url(plain, None, None), plain);
        }
        assert_eq!(
            url("amqps://h:1/v@", given[0], given[1]),
            "amqps://u%40%3A%2F%C3%A9:p%25@h:1/v@"
        );
        assert_eq!(url("amqp://h", given[0], None), "amqp://u%40%3A%2F%C3%A9@h");
        assert_eq!(url("amqp://h", None, given[1]), "amqp://guest:p%25@h");
        // The URL is right where it says something.
        assert_eq!(url("amqp://u@h/v", given[0], given[1]), "amqp://u:p%25@h/v");
        assert_eq!(url("amqp://u:p@h", given[0], given[1]), "amqp://u:p@h");
        assert_eq!(url("nonsense", given[0], given[1]), "nonsense");
    }
}
