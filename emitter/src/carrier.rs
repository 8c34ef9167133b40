//! The broker, whichever it is.

use std::sync::Arc;

use socketio_adapter_amqp::{self as amqp, AmqpConfig, Reliable};
use socketio_core::cluster::{AdapterError, AdapterStatus, ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;

use crate::config::{Broker, EmitterConfig, Mode};
use crate::error::{ConnectError, EmitError};

#[derive(Debug)]
pub(crate) struct Carrier {
    link: Link,
}

#[derive(Debug)]
enum Link {
    Amqp(amqp::Publisher),
}

/// The same call to either.
macro_rules! link {
    ($carrier:expr, $publisher:ident => $call:expr) => {
        match &$carrier.link {
            Link::Amqp($publisher) => $call,
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
            (Broker::Amqp, Mode::Amqp) => {
                let publisher = amqp::Publisher::connect(amqp_config(config)).await;
                Link::Amqp(publisher.map_err(connect_error)?)
            }
            (Broker::Amqp, _) | (Broker::Redis, Mode::Amqp) => {
                return Err(ConnectError::Mode(mode));
            }
            (Broker::Redis, _) => {
                return Err(ConnectError::Scheme);
            }
        };
        Ok((Self { link }, mode))
    }

    pub(crate) fn publish(&self, message: &ClusterMessage) -> Result<(), EmitError> {
        Ok(link!(self, publisher => publisher.publish(message))?)
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
        .close_timeout(config.flush_timeout)
        .queue_messages(config.max_queued_messages)
        .queue_bytes(config.max_queued_bytes)
        .max_message_bytes(config.max_message_bytes)
}

/// Tells a configuration that cannot work from a broker that is away.
fn connect_error(error: AdapterError) -> ConnectError {
    match error {
        AdapterError::Broker(cause) if cause.is::<amqp::ConfigError>() => {
            ConnectError::Config(cause)
        }
        AdapterError::Broker(cause) => ConnectError::Broker(cause),
        other => ConnectError::Broker(other.into()),
    }
}
