//! Carries cluster messages over Redis.
