//! The adapter with real servers.

mod channels;
mod garbage;
mod laws;
mod outage;
mod publisher;
mod python;
mod relay;
mod support;
