//! Server half of socketio-cluster.

pub mod metrics;
