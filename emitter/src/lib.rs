//! Emits to the clients of a cluster from processes that are no server.
