//! What is counted, shared by the server, the adapters and the emitter.
//!
//! Recording is a matter of relaxed atomics ([`Histogram`]). The text for Prometheus is made by the
//! crate `prometheus-client` when somebody asks (feature `metrics`: [`Page`]).

mod histogram;
#[cfg(feature = "metrics")]
mod page;

pub use histogram::{DURATIONS, Histogram, Observed, SIZES, bucket_of};
#[cfg(feature = "metrics")]
pub use page::Page;
