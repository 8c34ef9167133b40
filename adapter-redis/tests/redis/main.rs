//! The adapter with real servers.

mod laws;
mod outage;
mod support;
