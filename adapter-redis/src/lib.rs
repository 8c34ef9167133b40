//! Carries cluster messages over Redis (or Valkey), on the wires of Node.js.
//!
//! [`RedisAdapter`] implements the contract [`Adapter`](socketio_core::cluster::Adapter); how it
//! reaches Redis and which wire it speaks is told by a [`RedisConfig`].
//!
//! # What it promises
//!
//! * It finds Redis again by itself, as long as it takes: standalone, Sentinel or Cluster. It
//!   subscribes everything again, and is [up](socketio_core::cluster::AdapterStatus::up) when a
//!   message to itself came back.
//! * Messages wait in a bounded queue while Redis is away. What was on its way when a connection
//!   broke is not sent again and counted as dropped: nothing comes twice, nothing out of order.
//! * A node that does not keep up loses messages, which are counted; it is not cut off by Redis,
//!   and does not make others wait.
//!
//! # What Redis has to allow
//!
//! An ACL user needs `+publish +subscribe +psubscribe +unsubscribe +punsubscribe +ping +hello
//! +pubsub|numsub` and the channels that begin with the prefix, as `resetchannels &socket.io*`. In
//! the mode [`Pubsub`](Mode::Pubsub) each namespace is subscribed by a pattern, and Redis compares
//! those as they are written: `&socket.io#/#*` for the namespace `/`, `&socket.io#/admin#*` for
//! `/admin`. The sharded modes need `+spublish +ssubscribe +sunsubscribe +pubsub|shardnumsub`
//! instead; a cluster `+cluster|slots`, a server behind Sentinels `+role`. `+client|info
//! +client|kill` let the adapter end what is left of a broken connection, without which messages
//! may come out of order after the server was stopped for a while.
//!
//! # Files
//!
//! Out: `adapter` → `route` → `outbox` → `lane` (one for each server) → `lane/window`.
//! In: `subscription` (with `link` and `repair`) → `inbound` → `deliver`.

mod adapter;
mod backoff;
mod census;
mod channel;
mod config;
mod connect;
mod deliver;
mod flow;
mod hearing;
mod inbound;
mod interests;
mod lane;
mod layout;
mod listeners;
mod outbound;
mod outbox;
mod probe;
mod publisher;
mod route;
mod sending;
mod shared;
mod status;
mod subscription;

pub use adapter::RedisAdapter;
pub use config::{ConfigError, Mode, RedisConfig};
pub use publisher::Publisher;
pub use socketio_core::cluster::wire::python::{PythonConfig, PythonMode};
