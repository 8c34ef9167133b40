//! Brokers that go away, stall, or are not there yet.
