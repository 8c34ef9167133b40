//! The parts of the test with a healthy broker.

pub(crate) mod access;
pub(crate) mod laws;
pub(crate) mod python;
pub(crate) mod queues;
pub(crate) mod traffic;
