//! What the node is connected by.

use std::sync::Arc;

use clap::ValueEnum;
use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, PythonConfig, Reliable};
use socketio_adapter_redis::{Mode, RedisAdapter, RedisConfig};
use socketio_server::{Adapter, NodeId};

use crate::{AnyError, Flags};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Carrier {
    Amqp,
    Redis,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Strength {
    Listen,
    Member,
}

pub(crate) fn adapter(flags: &Flags, node: &NodeId) -> Result<Arc<dyn Adapter>, AnyError> {
    Ok(match flags.adapter {
        Carrier::Amqp => {
            let mut config = AmqpConfig::new(&flags.url);
            if let Some(prefix) = &flags.prefix {
                config.exchange.clone_from(prefix);
            }
            if let Some(queue) = flags.queue {
                config.queue_messages = queue;
            }
            match flags.mode.as_deref() {
                None => {}
                Some("reliable") => config.reliable = Some(Reliable::new(node.to_string())),
                Some(other) => return Err(format!("no mode {other}").into()),
            }
            config.python = python(flags);
            AmqpAdapter::new(config)?
        }
        Carrier::Redis => {
            let mut config = RedisConfig::new(&flags.url);
            if let Some(prefix) = &flags.prefix {
                config.prefix.clone_from(prefix);
            }
            if let Some(queue) = flags.queue {
                config.max_queued_messages = queue;
            }
            config.mode = match flags.mode.as_deref() {
                None | Some("pubsub") => Mode::Pubsub,
                Some("sharded-static") => Mode::ShardedStatic,
                Some("sharded" | "sharded-dynamic") => Mode::ShardedDynamic,
                Some("sharded-dynamic-private") => Mode::ShardedDynamicPrivate,
                Some(other) => return Err(format!("no mode {other}").into()),
            };
            config.python = python(flags);
            RedisAdapter::new(config)?
        }
    })
}

fn python(flags: &Flags) -> Option<PythonConfig> {
    let config = match flags.python? {
        Strength::Listen => PythonConfig::listen(),
        Strength::Member => PythonConfig::member(),
    };
    Some(config.channels(&flags.python_channels))
}
