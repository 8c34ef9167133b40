//! The adapter with real servers.

mod garbage;
mod laws;
mod outage;
mod publisher;
mod python;
mod support;
