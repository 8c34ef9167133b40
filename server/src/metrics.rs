//! What a node counts, and its text for Prometheus.
//!
//! Recording must cost next to nothing: a message in or out touches a few plain atomics of a stripe
//! that belongs to the running thread (`stripes`), with no lock and no lookup of a label. The
//! registry of `prometheus-client` is asked only when somebody scrapes (`exposition`).
//!
//! A label never holds what a client chose. Every label value comes from a table in this file, except
//! the names of namespaces, which only the application creates and of which only the first
//! [`NAMED_NAMESPACES`] are told apart.

mod cluster;
mod exposition;
mod process;
mod stripes;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

pub(crate) use cluster::{ClusterMetrics, ClusterReading};
pub(crate) use stripes::HistogramKind;
use stripes::{Hot, Stripes};

/// How many namespaces have a label of their own; the others share [`OTHER`].
const NAMED_NAMESPACES: usize = 64;
/// The label value of whatever is not in a table.
const OTHER: &str = "other";
/// The label value of all children of dynamic namespaces together.
const DYNAMIC: &str = "dynamic";

/// Transports by their protocol name.
const TRANSPORTS: &[&str] = &["polling", "websocket"];
/// Engine.IO handshake errors by their code.
const HANDSHAKE_ERRORS: usize = 6;
/// Why connections and sockets end: the reason strings of the Node server, and ours.
const REASONS: &[&str] = &[
    "transport close",
    "transport error",
    "ping timeout",
    "parse error",
    "forced close",
    "forced server close",
    "server shutting down",
    "client namespace disconnect",
    "server namespace disconnect",
    "outbox overflow",
];
/// Why something that was to be sent or handled was not.
const DROPS: &[&str] = &[
    "volatile",
    "outbox_full",
    "closed",
    "no_handler",
    "late_ack",
    "private_room",
    "presence_notice",
];

/// Close codes of RFC 6455 with which broken WebSocket input is answered.
const VIOLATIONS: &[&str] = &["1002", "1007", "1009"];

/// Counters, gauges and histograms of one node.
///
/// One instance is shared by all layers of a server. Applications read it ([`encode`](Self::encode),
/// [`snapshot`](Self::snapshot)) and may [add](Self::add) to the page; only the server itself records.
#[derive(Debug)]
pub struct Metrics {
    /// Locked by those who encode and those who add, which is not often.
    registry: Mutex<Registry>,
    values: Arc<Values>,
}

/// The numbers themselves, apart from the registry that refers to them.
#[derive(Debug)]
struct Values {
    started: Instant,
    stripes: Stripes,
    /// Open connections by transport, and those ever opened.
    connections: Table<AtomicI64>,
    opened: Table<AtomicU64>,
    upgrades: AtomicU64,
    violations: Table<AtomicU64>,
    outbox_bytes: OutboxBytes,
    closed: Table<AtomicU64>,
    disconnected: Table<AtomicU64>,
    sockets_connected: AtomicU64,
    connects_refused: AtomicU64,
    handshake_errors: [AtomicU64; HANDSHAKE_ERRORS + 1],
    drops: Table<AtomicU64>,
    handler_panics: AtomicU64,
    namespaces: Mutex<Vec<Arc<NamespaceMetrics>>>,
    dynamic: Arc<NamespaceMetrics>,
    other: Arc<NamespaceMetrics>,
    cluster: ClusterMetrics,
}

impl Metrics {
    /// All zero.
    pub(crate) fn new() -> Self {
        let values = Arc::new(Values {
            started: Instant::now(),
            stripes: Stripes::default(),
            connections: Table::new(TRANSPORTS),
            opened: Table::new(TRANSPORTS),
            upgrades: AtomicU64::new(0),
            violations: Table::new(VIOLATIONS),
            outbox_bytes: OutboxBytes::default(),
            closed: Table::new(REASONS),
            disconnected: Table::new(REASONS),
            sockets_connected: AtomicU64::new(0),
            connects_refused: AtomicU64::new(0),
            handshake_errors: Default::default(),
            drops: Table::new(DROPS),
            handler_panics: AtomicU64::new(0),
            namespaces: Mutex::new(Vec::new()),
            dynamic: NamespaceMetrics::new(DYNAMIC),
            other: NamespaceMetrics::new(OTHER),
            cluster: ClusterMetrics::new(),
        });
        Self {
            registry: Mutex::new(exposition::registry(&values)),
            values,
        }
    }

    // Engine.IO

    /// A connection was opened on `transport` (its protocol name).
    pub(crate) fn connection_opened(&self, transport: &str) {
        self.values.connections.of(transport).fetch_add(1, Relaxed);
        self.values.opened.of(transport).fetch_add(1, Relaxed);
    }

    /// A connection moved from polling to WebSocket.
    pub(crate) fn upgraded(&self) {
        self.values.connections.of("polling").fetch_sub(1, Relaxed);
        self.values
            .connections
            .of("websocket")
            .fetch_add(1, Relaxed);
        self.values.upgrades.fetch_add(1, Relaxed);
    }

    /// A connection ended for `reason` on `transport` (the protocol's strings).
    pub(crate) fn closed(&self, reason: &str, transport: &str) {
        self.values.connections.of(transport).fetch_sub(1, Relaxed);
        self.values.closed.of(reason).fetch_add(1, Relaxed);
    }

    /// A client broke the rules of WebSocket framing and is answered with `close_code`.
    pub(crate) fn websocket_violation(&self, close_code: u16) {
        let label = close_code.to_string();
        self.values.violations.of(&label).fetch_add(1, Relaxed);
    }

    /// A request was refused with an Engine.IO error code (0 to 5).
    pub(crate) fn handshake_error(&self, code: u8) {
        let index = usize::from(code).min(HANDSHAKE_ERRORS);
        self.values.handshake_errors[index].fetch_add(1, Relaxed);
    }

    /// Bytes of message data were read from clients.
    pub(crate) fn bytes_in(&self, bytes: usize) {
        self.values.stripes.add(Hot::BytesIn, bytes as u64);
    }

    /// Bytes of message data were handed to transports.
    pub(crate) fn bytes_out(&self, bytes: usize) {
        self.values.stripes.add(Hot::BytesOut, bytes as u64);
    }

    /// Says who knows how many bytes wait in outboxes. Asked at each scrape, so that sending a
    /// message needs no account of it; only the first call counts.
    pub(crate) fn set_outbox_bytes(&self, read: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.values.outbox_bytes.0.set(Box::new(read));
    }

    /// `count` packets or events were dropped for `reason`, one of the strings in `DROPS`.
    pub(crate) fn dropped(&self, reason: &str, count: u64) {
        self.values.drops.of(reason).fetch_add(count, Relaxed);
    }

    // Socket.IO

    /// The counters of a namespace that the application created by name.
    pub(crate) fn namespace(&self, name: &str) -> Arc<NamespaceMetrics> {
        let mut namespaces = self.values.namespaces.lock();
        if let Some(known) = namespaces.iter().find(|known| known.name == name) {
            return known.clone();
        }
        if namespaces.len() >= NAMED_NAMESPACES {
            return self.values.other.clone();
        }
        let added = NamespaceMetrics::new(name);
        namespaces.push(added.clone());
        added
    }

    /// The counters that all children of dynamic namespaces share, as clients choose their names.
    pub(crate) fn dynamic_namespaces(&self) -> Arc<NamespaceMetrics> {
        self.values.dynamic.clone()
    }

    /// A client was refused by a middleware or asked for a namespace that does not exist.
    pub(crate) fn connect_refused(&self) {
        self.values.connects_refused.fetch_add(1, Relaxed);
    }

    /// A socket joined its namespace.
    pub(crate) fn socket_connected(&self, namespace: &NamespaceMetrics) {
        namespace.sockets.fetch_add(1, Relaxed);
        self.values.sockets_connected.fetch_add(1, Relaxed);
    }

    /// A socket left its namespace for `reason` (the protocol's string).
    pub(crate) fn socket_disconnected(&self, namespace: &NamespaceMetrics, reason: &str) {
        namespace.sockets.fetch_sub(1, Relaxed);
        self.values.disconnected.of(reason).fetch_add(1, Relaxed);
    }

    /// An event (or an acknowledgement) came from a client.
    pub(crate) fn event_in(&self) {
        self.values.stripes.add(Hot::EventsIn, 1);
    }

    /// An event (or an acknowledgement) was queued for `recipients` clients.
    pub(crate) fn events_out(&self, recipients: usize) {
        self.values.stripes.add(Hot::EventsOut, recipients as u64);
    }

    /// How long a handler ran, from its start to its end.
    pub(crate) fn handler_time(&self, took: Duration) {
        self.values
            .stripes
            .observe_time(HistogramKind::Handler, took);
    }

    /// How long it took to put one broadcast into the outboxes of so many local recipients.
    pub(crate) fn fanned_out(&self, recipients: usize, took: Duration) {
        let stripes = &self.values.stripes;
        stripes.add(Hot::EventsOut, recipients as u64);
        stripes.observe_time(HistogramKind::FanOut, took);
        stripes.observe(HistogramKind::Recipients, recipients as u64);
    }

    /// A handler panicked and was caught.
    pub(crate) fn handler_panicked(&self) {
        self.values.handler_panics.fetch_add(1, Relaxed);
    }

    // Cluster

    /// What is counted of the cluster.
    pub(crate) fn cluster(&self) -> &ClusterMetrics {
        &self.values.cluster
    }

    // Reading

    /// The OpenMetrics text, to be served as [`CONTENT_TYPE`](Self::CONTENT_TYPE).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // A String takes whatever is written, so only a bug in a collector could make this fail,
        // and half a page is then the more useful answer.
        if let Err(error) =
            prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
        {
            tracing::error!(%error, "metrics could not be encoded");
        }
        text
    }

    /// Adds metrics to the page, as those of an application: `add` gets the registry.
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// # let io = socketio_server::Server::builder().build();
    /// let orders = Counter::<u64>::default();
    /// io.metrics().add(|registry| registry.register("orders", "Orders taken", orders.clone()));
    /// orders.inc();
    /// assert!(io.metrics().encode().contains("orders_total 1\n"));
    /// ```
    pub fn add(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock());
    }

    /// The media type of [`encode`](Self::encode).
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The numbers of this moment that people ask for most.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let values = &self.values;
        let open = |transport| non_negative(values.connections.of(transport).load(Relaxed));
        let mut snapshot = Snapshot {
            uptime: values.started.elapsed(),
            polling: open("polling"),
            websocket: open("websocket"),
            sockets: 0,
            rooms: 0,
            events_in: values.stripes.sum(Hot::EventsIn),
            events_out: values.stripes.sum(Hot::EventsOut),
            bytes_in: values.stripes.sum(Hot::BytesIn),
            bytes_out: values.stripes.sum(Hot::BytesOut),
            outbox_bytes: values.outbox_bytes.get(),
        };
        values.for_each_namespace(|namespace| {
            snapshot.sockets += non_negative(namespace.sockets.load(Relaxed));
            snapshot.rooms += non_negative(namespace.rooms.load(Relaxed));
        });
        snapshot
    }
}

/// Where the bytes in outboxes are known.
#[derive(Default)]
struct OutboxBytes(OnceLock<Box<dyn Fn() -> usize + Send + Sync>>);

impl OutboxBytes {
    fn get(&self) -> u64 {
        self.0.get().map_or(0, |read| read() as u64)
    }
}

impl fmt::Debug for OutboxBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutboxBytes").field(&self.get()).finish()
    }
}

impl Values {
    fn for_each_namespace(&self, mut visit: impl FnMut(&NamespaceMetrics)) {
        let namespaces = self.namespaces.lock().clone();
        namespaces.iter().for_each(|namespace| visit(namespace));
        visit(&self.dynamic);
        visit(&self.other);
    }
}

/// Gauges of one namespace (or of several that share a label).
#[derive(Debug)]
pub(crate) struct NamespaceMetrics {
    name: String,
    /// The name, escaped for the text format.
    label: String,
    sockets: AtomicI64,
    rooms: AtomicI64,
}

impl NamespaceMetrics {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            // The encoder writes label values as they are.
            label: name
                .replace('\\', r"\\")
                .replace('"', r#"\""#)
                .replace('\n', r"\n"),
            sockets: AtomicI64::new(0),
            rooms: AtomicI64::new(0),
        })
    }

    /// A room came into being; rooms named by a socket's own id do not count.
    pub(crate) fn room_created(&self) {
        self.rooms.fetch_add(1, Relaxed);
    }

    /// A room lost its last member.
    pub(crate) fn room_deleted(&self) {
        self.rooms.fetch_sub(1, Relaxed);
    }
}

/// Totals of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Time since the server was built.
    pub uptime: Duration,
    /// Open connections on HTTP long-polling.
    pub polling: u64,
    /// Open connections on WebSocket.
    pub websocket: u64,
    /// Connected sockets of all namespaces.
    pub sockets: u64,
    /// Rooms of all namespaces, without those named by a socket's own id.
    pub rooms: u64,
    /// Events and acknowledgements received since the start.
    pub events_in: u64,
    /// Events and acknowledgements queued for clients since the start, one per recipient.
    pub events_out: u64,
    /// Bytes of messages received since the start.
    pub bytes_in: u64,
    /// Bytes of messages handed to transports since the start.
    pub bytes_out: u64,
    /// Bytes that wait in outboxes.
    pub outbox_bytes: u64,
}

/// One number per value of a label with a fixed set of values, and one for all others.
#[derive(Debug)]
struct Table<A> {
    labels: &'static [&'static str],
    cells: Box<[A]>,
}

impl<A: Default> Table<A> {
    fn new(labels: &'static [&'static str]) -> Self {
        let cells = (0..=labels.len()).map(|_| A::default()).collect();
        Self { labels, cells }
    }

    fn of(&self, label: &str) -> &A {
        let known = self.labels.iter().position(|known| *known == label);
        // There is one cell more than labels.
        &self.cells[known.unwrap_or(self.labels.len())]
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &A)> {
        let labels = self.labels.iter().copied().chain([OTHER]);
        labels.zip(&self.cells)
    }
}

/// Gauges are read while others change them, so a closing may be seen before its opening.
fn non_negative(value: i64) -> u64 {
    value.max(0).unsigned_abs()
}

#[cfg(test)]
mod tests;
