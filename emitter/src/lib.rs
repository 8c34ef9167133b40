//! Emits to the clients of a Socket.IO cluster from processes that are no server: background jobs,
//! cron, other services.
//!
//! The servers must share a broker, Redis or RabbitMQ, and the emitter speaks their wire: that of
//! our own nodes, of Node.js with its Redis adapters, or of python-socketio. See [`Mode`].
//!
//! ```no_run
//! use bytes::Bytes;
//! use socketio_emitter::Emitter;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Emitter::connect("redis://127.0.0.1:6379").await?;
//! // To all clients of the main namespace; a tuple is several arguments.
//! io.emit("news", ("hello", 42))?;
//! // Binary arguments, rooms, exceptions, other namespaces.
//! io.of("/shop").to(["de", "at"]).except("muted").emit("image", Bytes::from_static(b"\x89PNG"))?;
//! // What other emitters cannot: the answers of clients, and how many there are.
//! let all = io.to("room 1").emit_with_ack::<_, String>("name?", ()).await?.collect().await;
//! let count = io.to("room 1").count().await?;
//! println!("{} of {} answered", all.acks.len(), count.sockets);
//! // Waits until the broker has everything.
//! io.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * Connecting fails with what the broker says. Later it reconnects by itself for ever.
//! * Sending never waits: it fills a bounded queue, in order. A full queue is an error, so is a
//!   message that is too large.
//! * [`Emitter::flush`] and [`Emitter::close`] wait until the broker has taken everything, and say so
//!   if it has not. Delivery to servers is as good as the broker: Redis forgets what nobody hears.
//! * A question ([`emit_with_ack`](Operator::emit_with_ack), [`count`](Operator::count),
//!   [`server_side_emit_with_ack`](Operator::server_side_emit_with_ack)) is answered as soon as all
//!   living nodes have answered, at its timeout by the latest; nodes and clients that did not answer
//!   are named. Nodes of Node.js have no names: they are counted.
//!
//! [`Emitter::metrics`] counts all of it, and writes it for Prometheus.
//!
//! # What the wires can carry
//!
//! | | `pubsub`, `sharded-*` | `amqp` | `python` |
//! |---|---|---|---|
//! | events, rooms, exceptions, bytes | yes | yes | exceptions only by socket id |
//! | `sockets_join`, `sockets_leave`, `disconnect_sockets` | yes | yes | only by socket id |
//! | `server_side_emit` | yes | yes | no |
//! | `emit_with_ack`, `count` | yes | yes | no |
//! | hears it: our nodes | yes | yes | if they listen to the dialect |
//! | hears it: Node.js, Python | Node.js | no | Python |
//!
//! For synchronous programs there is [`blocking`], for the shell the command `socketio-emit` of this
//! package.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `command` | the command `socketio-emit` | yes |
//! | `otlp` | its spans go to an OpenTelemetry collector | yes |
//! | `otel` | the context of the current span goes along with what is sent, for programs whose subscriber has a layer of `tracing-opentelemetry` | by `otlp` |
//!
//! The library needs none of the first two: with `default-features = false` it is built without an
//! HTTP client and without what reads a command line.

mod answers;
mod ask;
pub mod blocking;
mod carrier;
mod config;
mod emitter;
mod error;
mod metrics;
mod operator;
mod spans;

pub use answers::{Ack, Acks, AllAcks, Count, Replies, Reply};
pub use config::{EmitterConfig, Mode, UnknownMode};
pub use emitter::Emitter;
pub use error::{AskError, ConnectError, EmitError, FlushError};
pub use metrics::{EmitterCollector, EmitterMetrics};
pub use operator::Operator;
pub use prometheus_client;
pub use socketio_core::cluster::{AdapterError, AdapterStatus, Missing};
pub use socketio_core::ids::{NodeId, Room, SocketId};
pub use socketio_core::metrics::Observed;
pub use socketio_core::payload::{EncodeError, Payload};
pub use socketio_core::target::IntoRooms;
pub use socketio_core::trace::{InvalidTraceparent, TraceContext};
pub use socketio_core::value::{Value, ValueError};
