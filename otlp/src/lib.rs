//! Sends spans to an OpenTelemetry collector, by OTLP over gRPC or HTTP: for programs, which choose a
//! subscriber. Libraries only make spans.
//!
//! ```no_run
//! use std::time::Duration;
//! use socketio_otlp::{OtlpConfig, Traces};
//! use tracing_subscriber::layer::SubscriberExt;
//! use tracing_subscriber::util::SubscriberInitExt;
//!
//! # async fn example() -> Result<(), socketio_otlp::OtlpError> {
//! let traces = Traces::new(&OtlpConfig::new("chat", "http://127.0.0.1:4318"))?;
//! let export = traces.start(&tokio::runtime::Handle::current())?;
//! tracing_subscriber::registry().with(export.layer()).init();
//! // … the program …
//! export.finish(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * Only spans of the target [`TARGET`] are sent; they are made only where the sampler wants them.
//! * Ending a span never waits: no more than a bound wait to be sent, and what is too much is counted
//!   and dropped ([`Counts`]).
//! * A collector that is away, hangs or refuses costs spans and nothing else. What it may take later
//!   is tried again within the timeout of a batch; the log says at most once a minute what was lost.
//! * At the end what waits is sent within a time that the caller sets.
//! * Sampler, batches and protocol are those of `opentelemetry_sdk` and `opentelemetry-otlp`. The
//!   standard variables of OpenTelemetry are understood:
//!   [`standard_variables`].

mod bounded;
mod config;
mod connect;
mod counts;
mod environment;
mod exporter;
mod traces;

pub use config::{Compression, OtlpConfig, OtlpError, Protocol, pair};
pub use counts::{Counts, Snapshot};
pub use environment::{Given, standard_variables};
pub use traces::{Export, Traces};

/// The target of the spans that are sent.
pub const TARGET: &str = "socketio_trace";
