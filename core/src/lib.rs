//! Protocol half of socketio-cluster.

pub mod frame;
mod json;
pub mod msgpack;
pub mod packet;
pub mod payload;
pub mod provisional;
pub mod value;

pub use json::JsonError;
