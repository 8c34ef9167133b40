//! Server half of socketio-cluster.
