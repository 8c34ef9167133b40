//! A Socket.IO server: Engine.IO 4 and 3, Socket.IO 5 and 4, as a hyper and tower service.
//!
//! ```no_run
//! use socketio_server::extract::Data;
//! use socketio_server::{Listener, Reply, Server, Socket};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::builder().build();
//! io.on_connect(async |socket: Socket| {
//!     socket.join("lobby");
//!     socket.on("say", async |socket: Socket, Data(text): Data<String>| {
//!         let _ = socket.to("lobby").emit("said", (socket.id(), text));
//!         Reply("sent")
//!     });
//! });
//! Listener::bind("127.0.0.1:3000").await?.serve(io.service()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`Server`] and its [builder](ServerBuilder); [`Namespace`] and [`ParentNamespace`]; [`Socket`].
//! * [`handler`]: what a handler is; [`extract`]: what it may ask for.
//! * [`BroadcastOperator`]: whom to send to, and what else to do with many sockets.
//! * [`Server::service`] and [`Server::layer`]: mounting it; [`Listener`]: without an HTTP server of
//!   your own.
//! * [`Options`]: everything that can be set, with Node's names and defaults.
//!
//! # Traces
//!
//! The server makes `tracing` spans of handshakes, of clients that join namespaces, of events, broadcasts, questions to
//! other nodes, and of what other nodes send. They have the target `socketio_trace` and the level `TRACE`: an application
//! that logs at `DEBUG` or above has none of them, and pays the look at one number for each.
//!
//! With the feature `otel` contexts of [W3C Trace Context](https://www.w3.org/TR/trace-context/) go along:
//!
//! * A handshake continues the trace of its `traceparent` header, and the namespaces that its client joins are part of it.
//! * An event is a trace of its own, linked to the handshake: a connection may last for days. Its middlewares and handlers
//!   run inside its span, so what they do becomes a part of it; what they spawn does if the task is
//!   [`in_current_span`](https://docs.rs/tracing/latest/tracing/trait.Instrument.html#method.in_current_span).
//! * A broadcast is a child of the span that it is made in. Its context travels to the other nodes, on whatever wire, and
//!   the deliveries there are its children, as they are of what an emitter sends.
//! * [`Options::trace_payload_key`] names a member of the last argument of events in which contexts come from clients and go
//!   to them: `{"traceparent": …, "tracestate": …}`, which the propagators of OpenTelemetry read and write in any language.
//!
//! Clients decide by the sampled flag of what they send whether a trace is recorded, unless the sampler says otherwise:
//! strip the headers at the edge, or do not use a parent-based sampler, where that matters. Ids of sockets, names of
//! namespaces, rooms and events are among the attributes, the beginning of each at most. A name of an event is part of the name
//! of a span only if it has a handler of its own.
//!
//! An application sets it up once, with its own exporter in place of the one here:
//!
//! ```
//! # #[cfg(feature = "otel")]
//! # {
//! use opentelemetry::trace::TracerProvider as _;
//! use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};
//! use tracing::level_filters::LevelFilter;
//! use tracing_subscriber::filter::Targets;
//! use tracing_subscriber::prelude::*;
//!
//! let ratio = Sampler::TraceIdRatioBased(0.01);
//! let provider = SdkTracerProvider::builder()
//!     .with_sampler(Sampler::ParentBased(Box::new(ratio)))
//!     .with_simple_exporter(InMemorySpanExporter::default())
//!     .build();
//! let ours = Targets::new().with_target("socketio_trace", LevelFilter::TRACE);
//! let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("chat"));
//! let log = tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO);
//! tracing_subscriber::registry()
//!     .with(log)
//!     // Each layer with a filter of its own, so that spans are no matter for the log.
//!     .with(traces.with_filter(ours))
//!     .init();
//! // … then serve; at the end:
//! provider.shutdown()?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ways through the code
//!
//! * An event comes in: `http` or `engine::websocket`, `engine::session`, `client`, `namespace`,
//!   `handler`. What the handler sends goes by `socket` to `engine::outbox`.
//! * A broadcast: `broadcast`, `namespace::operators`, then `Namespace::deliver` for this node and
//!   `cluster` for the others.
//! * From another node: `cluster`, then the same `Namespace::deliver`.

pub mod extract;
pub mod handler;

mod ack;
mod broadcast;
mod client;
mod cluster;
mod engine;
mod events;
mod extensions;
mod handshake;
mod http;
mod listeners;
mod metrics;
mod middleware;
mod namespace;
mod options;
mod remote;
mod server;
mod socket;
mod spans;

pub use ack::{AckError, AckFuture, AckResponse, AckResponses, BroadcastAcks};
pub use broadcast::{BroadcastOperator, IntoRooms};
pub use events::{AdapterFailure, DisconnectReason, EmitError, RoomEvent, RoomPresence};
pub use extensions::Extensions;
pub use handler::Reply;
pub use handshake::Handshake;
pub use listeners::HandlerId;
pub use metrics::{Metrics, Snapshot};
pub use middleware::{ConnectError, EventError};
pub use namespace::{
    Namespace, NamespaceRequest, ParentNamespace, PatternError, RoomCount, RoomList,
};
pub use options::Options;
pub use prometheus_client;
pub use remote::{
    FetchError, LazyHandshake, MissingNodes, RemoteHandshake, RemoteSocket, ServerEvent,
    ServerReplies, ServerReply,
};
pub use server::{Server, ServerBuilder};
pub use socket::{Socket, SocketEmitter};
pub use socketio_core::cluster::{
    Adapter, AdapterError, AdapterStatus, MembersConfig, MemoryBus, OccupancyConfig,
};
pub use socketio_core::engine::TransportKind;
pub use socketio_core::ids::{NodeId, Room, SocketId};
pub use socketio_core::metrics::Page as MetricsPage;
pub use socketio_core::packet::ParserKind;
pub use socketio_core::payload::{EncodeError, Payload};
pub use socketio_core::value::{Value, ValueError};

pub use http::{
    AllowRequest, AllowedOrigins, ClientFiles, ClientFilesError, ConnectionError,
    ConnectionErrorHook, Cookie, Cors, CorsOrigin, ErrorCode, GenerateId, HeadersHook,
    HttpCompression, Limits, Listener, NotFound, OriginMatch, OriginPredicate, PeerAddr, SameSite,
    Secure, SocketIoLayer, SocketIoService, Tls, TlsError,
};

/// README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
