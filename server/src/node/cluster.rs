//! The adapter that the settings ask for.

use std::error::Error;
use std::sync::Arc;

use socketio_core::cluster::wire::python::PythonConfig;
use socketio_server::Adapter;

use super::config::{AdapterKind, PythonMode, Settings};
use super::options::PrepareError;

/// The adapter that joins this node with others; none if it is to be on its own.
pub(crate) fn adapter(settings: &Settings) -> Result<Option<Arc<dyn Adapter>>, PrepareError> {
    match settings.adapter {
        AdapterKind::Memory => Ok(None),
        AdapterKind::Redis => redis::adapter(settings).map(Some),
        AdapterKind::Amqp => amqp::adapter(settings).map(Some),
    }
}

/// The dialect of python-socketio, if it is spoken.
fn python(settings: &Settings) -> Option<PythonConfig> {
    let config = match settings.python {
        PythonMode::Off => return None,
        PythonMode::Listen => PythonConfig::listen(),
        PythonMode::Member => PythonConfig::member(),
    };
    Some(config.channels(settings.python_channels.iter().cloned()))
}

fn at_fault(error: impl Error + Send + Sync + 'static) -> PrepareError {
    PrepareError::Adapter(Box::new(error))
}

#[cfg(feature = "redis")]
mod redis {
    use socketio_adapter_redis::{Mode, RedisAdapter, RedisConfig};

    use super::{Adapter, Arc, PrepareError, Settings, at_fault};
    use crate::node::config::RedisMode;

    pub(super) fn adapter(settings: &Settings) -> Result<Arc<dyn Adapter>, PrepareError> {
        let mut config = RedisConfig::new(&settings.redis_url);
        config.mode = match settings.redis_mode {
            RedisMode::Pubsub => Mode::Pubsub,
            RedisMode::ShardedDynamic => Mode::ShardedDynamic,
            RedisMode::ShardedDynamicPrivate => Mode::ShardedDynamicPrivate,
            RedisMode::ShardedStatic => Mode::ShardedStatic,
        };
        config.prefix.clone_from(&settings.redis_prefix);
        config.tls_authority.clone_from(&settings.redis_ca);
        config.python = super::python(settings);
        Ok(RedisAdapter::new(config).map_err(at_fault)?)
    }
}

#[cfg(feature = "amqp")]
mod amqp {
    use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, Reliable};

    use super::{Adapter, Arc, PrepareError, Settings, at_fault};

    pub(super) fn adapter(settings: &Settings) -> Result<Arc<dyn Adapter>, PrepareError> {
        let mut config = AmqpConfig::new(&settings.amqp_url);
        config.exchange.clone_from(&settings.amqp_exchange);
        config.ca.clone_from(&settings.amqp_ca);
        config.reliable = settings.amqp_reliable.as_ref().map(Reliable::new);
        config.python = super::python(settings);
        Ok(AmqpAdapter::new(config).map_err(at_fault)?)
    }
}

#[cfg(not(feature = "redis"))]
mod redis {
    use super::{Adapter, Arc, PrepareError, Settings};

    pub(super) fn adapter(_: &Settings) -> Result<Arc<dyn Adapter>, PrepareError> {
        Err(PrepareError::NotBuiltIn)
    }
}

#[cfg(not(feature = "amqp"))]
mod amqp {
    use super::{Adapter, Arc, PrepareError, Settings};

    pub(super) fn adapter(_: &Settings) -> Result<Arc<dyn Adapter>, PrepareError> {
        Err(PrepareError::NotBuiltIn)
    }
}
