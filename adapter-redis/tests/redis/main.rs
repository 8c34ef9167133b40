//! The adapter with real servers.

mod channels;
mod garbage;
mod laws;
mod moves;
mod network;
mod outage;
mod publisher;
mod python;
mod relay;
mod support;
