//! Starts real brokers for tests: each on free ports, with a folder of its own, and killed by its
//! process id when the value is dropped.
//!
//! Everything here blocks, so that it can be used from any test. What goes wrong panics, because a
//! test cannot go on without its broker.
//!
//! * [`RabbitMq`]: one `rabbitmq-server`; a start takes some seven seconds of processor time, so
//!   share it among the tests of a binary
//! * [`Redis`]: one `redis-server`, plain or with TLS, an ACL user, a unix socket; some tens of
//!   milliseconds
//! * [`RedisCluster`]: three masters that share the slots; some three seconds
//! * [`RedisSentinel`]: a master, a replica and a Sentinel that watches them

mod certificates;
pub mod docs;
mod folder;
mod process;
pub mod rabbitmq;
pub mod redis;

pub use certificates::Certificates;
pub use folder::Folder;
pub use process::{Process, free_port, until};
pub use rabbitmq::RabbitMq;
pub use redis::{Redis, RedisBuilder, RedisCluster, RedisSentinel};
