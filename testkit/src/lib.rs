//! Starts real brokers for tests: each on free ports, with a folder of its own, and killed by its
//! process id when the value is dropped.
//!
//! Everything here blocks, so that it can be used from any test. What goes wrong panics, because a
//! test cannot go on without its broker.
//!
//! * [`RabbitMq`]: one `rabbitmq-server`; a start takes some seven seconds of processor time, so
//!   share it among the tests of a binary

mod certificates;
mod folder;
mod process;
pub mod rabbitmq;

pub use certificates::Certificates;
pub use folder::Folder;
pub use process::{Process, free_port, until};
pub use rabbitmq::RabbitMq;
