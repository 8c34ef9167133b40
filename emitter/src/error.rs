//! What can go wrong.

use std::error::Error;

use socketio_core::cluster::AdapterError;
use socketio_core::cluster::wire::python::Untranslatable;
use socketio_core::payload::EncodeError;

use crate::config::Mode;

/// Why there is no emitter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The broker cannot be reached, or refuses. What it says is the source.
    #[error("no connection to the broker")]
    Broker(#[source] Box<dyn Error + Send + Sync>),
    /// The configuration is at fault, whatever the broker says.
    #[error("the configuration is at fault")]
    Config(#[source] Box<dyn Error + Send + Sync>),
    /// The mode is for another broker.
    #[error("the mode `{0}` does not go with this URL")]
    Mode(Mode),
    /// The runtime of a blocking emitter cannot be made.
    #[error("no runtime can be started")]
    Runtime(#[source] std::io::Error),
    /// The URL names no broker that is known. It is not shown, since it may hold a password.
    #[error(
        "the URL must begin with redis, rediss, redis+unix, redis+sentinel, redis-cluster, amqp or amqps"
    )]
    Scheme,
}

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// It was not taken: the queue is full, the message too large, or the emitter closed.
    #[error(transparent)]
    Carrier(#[from] AdapterError),
    /// The data cannot be serialized.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Clients raise an event of this name themselves, so it cannot be sent.
    #[error("the event name `{0}` is reserved")]
    Reserved(String),
    /// Mode [`Python`](Mode::Python) cannot say it, so nothing was sent. What it can only say in
    /// another form, as a volatile event, is sent.
    #[error("the mode `python` has no words for this")]
    Untranslatable(#[source] Untranslatable),
}

/// Why a question has no answer at all. If only some are missing, they are named beside the others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The broker is not there within [`connect_timeout`](crate::EmitterConfig::connect_timeout), so
    /// answers could not be heard. Nothing was sent.
    #[error("the broker is away, so no answers can be heard")]
    Away,
    /// The question was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No node of the cluster is there, or none said so in time.
    #[error("no node of the cluster answers")]
    NoNode,
    /// Nobody answers on this wire.
    #[error("in mode `{0}` no questions can be asked")]
    Unsupported(Mode),
}

impl From<AdapterError> for AskError {
    fn from(error: AdapterError) -> Self {
        Self::Emit(error.into())
    }
}

/// Why it is not certain that the broker has everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Something was dropped or refused.
    #[error("the broker did not take everything")]
    Carrier(#[from] AdapterError),
    /// The broker is away or slow: after [`flush_timeout`](crate::EmitterConfig::flush_timeout)
    /// messages still wait.
    #[error("{queued} messages still wait for the broker")]
    Timeout {
        /// How many.
        queued: usize,
    },
}
