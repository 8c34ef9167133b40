//! The Socket.IO layer from outside: a server on a port, raw clients made of the codecs of core, and
//! the public API.

mod acks;
mod broadcast;
mod cluster;
mod cluster_members;
mod cluster_rooms;
mod cluster_support;
mod connect;
mod disconnect;
mod eio3;
mod events;
mod listeners;
mod namespaces;
mod polling;
mod rooms;
mod support;
#[cfg(feature = "otel")]
mod traces;
