//! Protocol half of socketio-cluster.
