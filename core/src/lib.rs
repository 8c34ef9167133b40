//! Protocol half of socketio-cluster.

pub mod cluster;
pub mod engine;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod ids;
mod json;
pub mod metrics;
pub mod msgpack;
pub mod packet;
pub mod payload;
pub mod rooms;
pub mod target;
pub mod trace;
pub mod value;
pub mod websocket;

pub use json::JsonError;
