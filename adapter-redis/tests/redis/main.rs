//! The adapter with real servers.

mod channels;
mod garbage;
mod laws;
mod losses;
mod moves;
mod network;
mod outage;
mod publisher;
mod python;
mod relay;
mod support;
