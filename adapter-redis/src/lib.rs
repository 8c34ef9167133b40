//! Carries cluster messages over Redis or Valkey, also to members that run Node.js or Python.
//!
//! * [`RedisAdapter`] joins nodes; it implements [`socketio_core::cluster::Adapter`].
//! * [`Publisher`] is its publishing half, for emitters.
//! * [`RedisConfig`] has all options, with their units and defaults.
//!
//! ```
//! use socketio_adapter_redis::{Mode, PythonConfig, RedisAdapter, RedisConfig};
//!
//! # fn main() -> Result<(), socketio_adapter_redis::ConfigError> {
//! let mut config = RedisConfig::new("redis://user:secret@redis.example");
//! config.mode = Mode::ShardedDynamic;
//! config.python = Some(PythonConfig::member());
//! // To be given to the builder of a server.
//! let adapter = RedisAdapter::new(config)?;
//! # Ok(()) }
//! ```
//!
//! # What it promises
//!
//! * It finds Redis again by itself, as long as it takes: standalone, Sentinel or Cluster. It
//!   subscribes everything again, and is [up](socketio_core::cluster::AdapterStatus::up) when a
//!   message to itself came back.
//! * Messages wait in a bounded queue while Redis is away, and are refused when it is full. What was
//!   on its way when a connection broke is not sent again and counted as dropped: nothing comes
//!   twice, and what one node says arrives in that order. Only in a cluster with sharded channels
//!   messages for different channels may overtake each other, since they take ways over different
//!   servers. Those of a channel whose slot moves wait until the server it leaves has answered for all
//!   that it got.
//! * What was lost on the way, although Redis confirmed it, is counted by the node that lacks it:
//!   [`missed`](socketio_core::cluster::AdapterStatus::missed). Not so for rooms that have channels of
//!   their own, and in a cluster with sharded channels.
//! * Redis keeps nothing for a node that is not connected. It learns from
//!   [`on_connected`](socketio_core::cluster::ClusterHandler::on_connected) that it may have missed
//!   something. After an outage messages wait a [moment](RedisConfig::regroup) until as many nodes
//!   are connected as before.
//! * A node that does not keep up loses messages, which are counted; it is not cut off by Redis,
//!   and does not make others wait.
//!
//! # Who understands what
//!
//! All use the same [prefix](RedisConfig::prefix) and [mode](RedisConfig::mode): those of
//! `createAdapter` or `createShardedAdapter` in Node.js.
//!
//! | What is said | Where | Who hears it |
//! |---|---|---|
//! | events, joins, leaves, disconnects, events for servers | the channels of Node's adapter | all |
//! | requests, as for sockets or with acknowledgements | `<prefix>-cluster#` | ours |
//! | a marked copy of these, if there are others | the channels of Node's adapter | all; ours let it be |
//! | answers to ours | `<prefix>-cluster#<node id>#` | the one that asked |
//! | answers to others | the channels of Node's adapter | the one that asked |
//! | who is there, how many are in which room | `<prefix>-cluster#` | ours |
//! | how many messages a node has sent | `<prefix>-cluster#<namespace>#issued` | ours |
//! | all of the above that it has words for | [channels of Python](RedisConfig::python) | Python; ours let it be |
//!
//! How many others there are is found each [second](RedisConfig::count_interval), as Node.js does,
//! from how many subscribe a channel: of a namespace, and one that only ours subscribe,
//! `<prefix>-cluster#<namespace>#ours`. In the dialect of Python nobody can be counted; what it has
//! no words for is logged, counted in [`untranslatable`](RedisAdapter::untranslatable), and listed in
//! [`Untranslatable`](socketio_core::cluster::wire::python::Untranslatable).
//!
//! # What Redis has to allow
//!
//! The sharded modes need Redis 7 or any Valkey. For the mode [`Pubsub`](Mode::Pubsub) Redis 5 should
//! be enough, and what speaks its protocol: the older version is used where the newer one is refused.
//! The tests run with Redis 7.0; they pass with Valkey 9.1 in its place (but for those of TLS, which
//! was not built into that one). Nothing is stored.
//!
//! An ACL user needs `+publish +subscribe +psubscribe +unsubscribe +punsubscribe +ping +hello
//! +pubsub|numsub` and the channels that begin with the prefix, as `resetchannels &socket.io*`. In
//! the mode [`Pubsub`](Mode::Pubsub) each namespace is subscribed by a pattern, and Redis compares
//! those as they are written: `&socket.io#/#*` for the namespace `/`, `&socket.io#/admin#*` for
//! `/admin`. The sharded modes need `+spublish +ssubscribe +sunsubscribe +pubsub|shardnumsub`
//! instead; a cluster `+cluster|slots`, a server behind Sentinels `+role`; the dialect of Python its
//! channels, as `&socketio`. `+client|info +client|kill` let the adapter end what is left of a broken
//! connection, without which messages may come out of order after the server was stopped for a
//! while.
//!
//! Redis cuts off a subscriber for which too much waits: `client-output-buffer-limit pubsub 32mb 8mb
//! 60` by default. The adapter always reads, so this only matters for bursts: raise it if 32 MB come
//! at once, or if single messages are [large](RedisConfig::max_message_size).
//!
//! # Files
//!
//! Out: `adapter` or `publisher` → `route` → `outbox` → `lane` (one for each server, behind a `gate`)
//! → `lane/window` (with what was `refused`); these make up `sending`. In: `subscription` (with `link` and `repair`) → `inbound`
//! → `deliver`; these make up `hearing`. What is lost between the two: `statement` and `audit`.

mod adapter;
mod audit;
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
mod statement;
mod subscription;

pub use adapter::RedisAdapter;
pub use config::{ConfigError, Mode, RedisConfig};
pub use publisher::Publisher;
pub use socketio_core::cluster::wire::python::{PythonConfig, PythonMode};
