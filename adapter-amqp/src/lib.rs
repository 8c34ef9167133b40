//! Carries cluster messages over RabbitMQ (3.10 and later).
//!
//! * [`AmqpAdapter`] joins nodes; it implements [`socketio_core::cluster::Adapter`].
//! * [`Publisher`] is its publishing half, for emitters.
//! * [`AmqpConfig`] has all options.
//!
//! ```
//! use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, PythonConfig, Reliable};
//!
//! # fn main() -> Result<(), socketio_adapter_amqp::ConfigError> {
//! // The virtual host `live`, and TLS.
//! let config = AmqpConfig::new("amqps://user:secret@rabbit.example/live")
//!     .reliable(Reliable::new("node-1"))
//!     .python(PythonConfig::member());
//! // To be given to the builder of a server.
//! let adapter = AmqpAdapter::new(config)?;
//! # Ok(()) }
//! ```
//!
//! # What is at the broker
//!
//! One durable exchange for the cluster, and a queue for each node, bound with two routing keys:
//! `all`, and `node.<node id>` for the answers to this node's requests and for probes. The queue is
//! exclusive, goes away with its connection, and has a new random name at each one: the broker may
//! take a while to notice the end of a connection, and refuses its queue to others until then.
//! Messages are in the format of [`socketio_core::cluster::wire::native`]; the AMQP property
//! `app_id` says which process published, so that each skips what it said itself.
//!
//! The user needs the permissions to configure, write and read names that begin with that of the
//! exchange.
//!
//! # Why a direct exchange
//!
//! The example `exchange_types` of this crate measures the broker's processor time for a message
//! of 300 bytes (RabbitMQ 3.10.8, medians of three runs on a busy machine of two cores):
//!
//! | exchange | to all of 3 nodes | to all of 10 nodes | to one node |
//! |---|---|---|---|
//! | fanout, answers by the default exchange | 103 µs | 253 µs | 36 µs |
//! | direct | 94 µs | 278 µs | 41 µs |
//! | topic | 104 µs | 307 µs | 50 µs |
//!
//! Making the copies costs far more than finding the queues. A direct exchange is as cheap as a
//! fanout, within what runs differ, and carries the answers too: with a fanout these go to queues
//! by name, for which queues need names that others can guess, and the user the permission for the
//! default exchange. Patterns of a topic exchange have no use here, but for programs that want to
//! see everything; it is an [option](ExchangeType).
//!
//! # When the broker is away
//!
//! Publishing and consuming have connections of their own, since the broker stops reading from
//! publishers when it is short of memory or disk. Each is made again for ever, with jittered
//! pauses. Connected means that an own message has come back through the exchange; it is sent
//! regularly afterwards. Whatever goes wrong, a cancelled subscription or mere silence, the
//! connection is cut and made anew, and [`on_connected`] tells whether messages may have been lost.
//!
//! What is published waits in a bounded queue meanwhile, and also while the broker
//! [asks](https://www.rabbitmq.com/docs/connection-blocked) to publish nothing. It is refused when
//! that is full. Publishing never waits. Up to 256 messages are on their way without confirmation;
//! when the connection is lost, the broker may have them or not, so they are given up and counted
//! in `dropped_out`: none is sent twice.
//!
//! A node that does not keep up leaves its messages at the broker, which drops the oldest beyond a
//! bound; at most [`prefetch`](AmqpConfig#structfield.prefetch) are in this process. One message
//! may be as large as the broker takes, though; it is discarded here if it exceeds
//! [`max_message_bytes`](AmqpConfig#structfield.max_message_bytes).
//!
//! # Reliable mode
//!
//! With [`Reliable`] the node's queue is durable, has a name of its own that stays, and expires
//! when its node is away for long. Messages are persistent, and those that were not confirmed are
//! sent again; receivers remove the copies by their numbers. Messages of others, which have none, are
//! known again by their contents when the broker delivers them a second time. So neither a restart of the broker nor
//! a short cut of the network loses a message, which a test shows with a broker that is killed
//! under traffic. A new process begins with an empty queue: its clients are new too. An orderly end
//! deletes the queue.
//!
//! What is still lost: what exceeds the bounds of a queue, here or at the broker, and what a node
//! has not sent when it dies.
//!
//! # Python
//!
//! With [`python`](AmqpConfig#structfield.python) the queue is also bound to the exchanges that
//! python-socketio uses, declared as aio-pika and Kombu declare them (fanout, not durable), or
//! taken as they are if they exist. `AsyncAioPikaManager`, `KombuManager` and Flask-SocketIO can
//! share them. Our own nodes still hear each other in our own format, and pass over each other's
//! copies there. What the dialect cannot say is logged, counted in
//! [`untranslatable`](AmqpAdapter::untranslatable), and listed in
//! [`Untranslatable`](socketio_core::cluster::wire::python::Untranslatable).
//!
//! The reliable mode does not extend to members in Python: their queues do not survive, and they
//! do not know copies of messages that are sent again.
//!
//! # RabbitMQ 4
//!
//! The tests run with 3.10. Nothing is used that 4.x has deprecated or removed: queues are
//! exclusive or durable, never transient for all (refused from 4.3 on); the prefetch limit is that
//! of a consumer, never of a channel; queues are not mirrored; and frames are as large as the
//! broker offers. The queues that python-socketio declares itself are transient for all, so that
//! its managers need the broker's permission for these from 4.3 on; ours do not.
//!
//! [`on_connected`]: socketio_core::cluster::ClusterHandler::on_connected

mod adapter;
mod config;
mod copies;
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
pub use socketio_core::cluster::wire::python::{PythonConfig, PythonMode};
