//! The emitter and its command against real brokers, real nodes and clients.

/// The client of the server's own tests: nothing but the protocol.
#[path = "../../../server/tests/socketio/support.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod client;

mod amqp;
mod cluster;
mod command;
mod docs;
mod dry;
mod job;
mod metrics;
mod python;
mod redis;
mod suite;
#[cfg(feature = "otel")]
mod traces;
