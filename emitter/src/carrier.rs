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

#[derive(Debug)]
pub(crate) struct Carrier {
    link: Link,
    /// Speaks the dialect of Python, and nothing else.
    python: Option<Python>,
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
        Ok((Self { link, python }, mode))
    }

    pub(crate) fn publish(&self, message: &ClusterMessage) -> Result<(), EmitError> {
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

fn amqp_config(config: &EmitterConfig) -> AmqpConfig {
    // The name is for queues, of which an emitter has none that outlive it.
    let reliable = config.reliable.then(|| Reliable::new("emitter"));
    AmqpConfig::new(&config.url)
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
