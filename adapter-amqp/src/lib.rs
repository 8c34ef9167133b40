//! Carries cluster messages over RabbitMQ.

mod adapter;
mod config;
mod copies;
mod counters;
mod link;
mod names;
mod outbox;
mod publisher;
mod reader;
mod shared;
mod writer;

pub use adapter::AmqpAdapter;
pub use config::{AmqpConfig, ConfigError, ExchangeType, Reliable};
pub use publisher::Publisher;
