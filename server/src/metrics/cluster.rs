//! The part of the page about the cluster and its adapter, which a server without an adapter does
//! not show.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use socketio_core::cluster::{AdapterStatus, OccupancyStats, RoomNews};
use socketio_core::metrics::{Histogram, Page};

use super::exposition::read;
use super::{OTHER, Table, Values};

/// Questions to all nodes.
const REQUESTS: &[&str] = &["broadcast", "fetch_sockets", "server_side_emit"];
/// How they end: all have answered, or not.
const OUTCOMES: [&str; 2] = ["complete", "partial"];
/// What nodes tell each other of their rooms.
const NEWS: &[&str] = &["delta", "digest", "resend", "snapshot", "withheld"];

/// What a node counts of its cluster, and where the rest is known.
#[derive(Debug)]
pub(crate) struct ClusterMetrics {
    requests: Table<AtomicU64>,
    partial: Table<AtomicU64>,
    /// How long complete and partial answers took.
    took: Table<[Histogram; 2]>,
    news_sent: Table<AtomicU64>,
    news_received: Table<AtomicU64>,
    source: Source,
}

/// Asked at each scrape. None when the cluster is gone.
#[derive(Default)]
struct Source(OnceLock<Box<dyn Fn() -> Option<ClusterReading> + Send + Sync>>);

/// The state of the cluster, as this node sees it.
#[derive(Debug, Default)]
pub(crate) struct ClusterReading {
    /// Nodes of ours that are alive, this one included.
    pub(crate) members: usize,
    /// Members that run other software.
    pub(crate) foreign: usize,
    /// The kinds of the requests that are not answered yet.
    pub(crate) pending: Vec<&'static str>,
    /// Messages that did not come, those of them that came later, and copies.
    pub(crate) missed: u64,
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
    pub(crate) rooms: OccupancyStats,
    pub(crate) adapter: &'static str,
    pub(crate) status: AdapterStatus,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.read()).finish()
    }
}

impl Source {
    fn read(&self) -> Option<ClusterReading> {
        self.0.get().and_then(|read| read())
    }
}

impl ClusterMetrics {
    pub(super) fn new() -> Self {
        Self {
            requests: Table::new(REQUESTS),
            partial: Table::new(REQUESTS),
            took: Table::new(REQUESTS),
            news_sent: Table::new(NEWS),
            news_received: Table::new(NEWS),
            source: Source::default(),
        }
    }

    /// Says who knows the rest. Only the first call counts.
    pub(crate) fn set_source(
        &self,
        read: impl Fn() -> Option<ClusterReading> + Send + Sync + 'static,
    ) {
        let _ = self.source.0.set(Box::new(read));
    }

    /// The other nodes were asked something, one of the strings in `REQUESTS`.
    pub(crate) fn asked(&self, kind: &str) {
        self.requests.of(kind).fetch_add(1, Relaxed);
    }

    /// A question of this kind came to its end, and somebody still waited for the answers.
    pub(crate) fn answered(&self, kind: &str, is_partial: bool, took: Duration) {
        if is_partial {
            self.partial.of(kind).fetch_add(1, Relaxed);
        }
        self.took.of(kind)[usize::from(is_partial)].observe(took);
    }

    /// News of this node's rooms were published.
    pub(crate) fn news_sent(&self, news: &RoomNews) {
        self.news_sent.of(label(news)).fetch_add(1, Relaxed);
    }

    /// Another node told of its rooms.
    pub(crate) fn news_received(&self, news: &RoomNews) {
        self.news_received.of(label(news)).fetch_add(1, Relaxed);
    }
}

fn label(news: &RoomNews) -> &'static str {
    match news {
        RoomNews::Delta { .. } => "delta",
        RoomNews::Digest { .. } => "digest",
        RoomNews::Resend { .. } => "resend",
        RoomNews::Snapshot { .. } => "snapshot",
        RoomNews::Withheld => "withheld",
        _ => OTHER,
    }
}

#[derive(Debug)]
pub(super) struct ClusterExposition(pub(super) Arc<Values>);

impl Collector for ClusterExposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counted = &self.0.cluster;
        let Some(reading) = counted.source.read() else {
            return Ok(());
        };
        let page = &mut Page::new(&mut encoder, "");
        members(page, &reading)?;
        requests(page, counted, &reading)?;
        rooms(page, counted, &reading)?;
        adapter(page, &reading)
    }
}

fn members(page: &mut Page<'_, '_>, reading: &ClusterReading) -> fmt::Result {
    page.gauge(
        "cluster_members",
        "Nodes that are alive, this one included",
        signed(reading.members),
    )?;
    page.gauge(
        "cluster_foreign_members",
        "Members that run other software, where the adapter can count them",
        signed(reading.foreign),
    )?;
    page.counter(
        "cluster_missed_messages",
        "Messages of other nodes that were lost on the way, by their numbers or their count",
        reading.missed,
    )?;
    page.counter(
        "cluster_late_messages",
        "Missed messages that came later",
        reading.late,
    )?;
    page.counter(
        "cluster_duplicates",
        "Messages of other nodes that came twice and were ignored",
        reading.duplicates,
    )
}

fn requests(
    page: &mut Page<'_, '_>,
    counted: &ClusterMetrics,
    reading: &ClusterReading,
) -> fmt::Result {
    page.counters(
        "cluster_requests",
        "Questions to the other nodes",
        "kind",
        read(counted.requests.iter()),
    )?;
    page.counters(
        "cluster_requests_partial",
        "Questions that not all nodes or clients answered in time",
        "kind",
        read(counted.partial.iter()),
    )?;
    let pending = REQUESTS.iter().map(|kind| {
        let of_kind = reading.pending.iter().filter(|pending| *pending == kind);
        ((*kind).to_owned(), signed(of_kind.count()))
    });
    page.gauges(
        "cluster_requests_pending",
        "Questions that are not answered yet",
        "kind",
        pending,
    )?;
    let [complete, partial] = OUTCOMES;
    let took: Vec<_> = REQUESTS
        .iter()
        .flat_map(|kind| {
            let [all, some] = counted.took.of(kind);
            [(kind, complete, all.read()), (kind, partial, some.read())]
        })
        .map(|(kind, outcome, took)| ([("kind", *kind), ("outcome", outcome)], took))
        .collect();
    page.histograms(
        "cluster_request_seconds",
        "Time from a question to the last answer, or to the end of waiting",
        took.iter().map(|(labels, took)| (&labels[..], took)),
    )
}

fn rooms(
    page: &mut Page<'_, '_>,
    counted: &ClusterMetrics,
    reading: &ClusterReading,
) -> fmt::Result {
    page.counters(
        "cluster_room_news_sent",
        "Messages about this node's rooms",
        "kind",
        read(counted.news_sent.iter()),
    )?;
    page.counters(
        "cluster_room_news_received",
        "Messages about the rooms of other nodes",
        "kind",
        read(counted.news_received.iter()),
    )?;
    page.gauge(
        "cluster_remote_rooms",
        "Rooms and namespaces of other nodes that this one keeps the counts of",
        signed(reading.rooms.rooms),
    )?;
    page.gauge(
        "cluster_unknown_members",
        "Other nodes whose counts are not known or out of date",
        signed(reading.rooms.unknown_nodes),
    )?;
    page.gauge(
        "cluster_rooms_withheld",
        "1 if this node has too many rooms to share their counts",
        i64::from(reading.rooms.withheld),
    )
}

fn adapter(page: &mut Page<'_, '_>, reading: &ClusterReading) -> fmt::Result {
    let status = &reading.status;
    page.info(
        "adapter",
        "What carries messages between nodes",
        &[("name", reading.adapter)],
    )?;
    page.gauge(
        "adapter_up",
        "1 if connected, and an own message came back since",
        i64::from(status.up),
    )?;
    for (name, help, value) in [
        (
            "adapter_reconnects",
            "Connections to the broker after the first one",
            status.reconnects,
        ),
        (
            "adapter_gaps",
            "Spans of time in which messages may have been lost",
            status.gaps,
        ),
        (
            "adapter_messages_received",
            "Messages received from the broker",
            status.messages_in,
        ),
        (
            "adapter_received_bytes",
            "Bytes of messages received from the broker",
            status.bytes_in,
        ),
        (
            "adapter_messages_sent",
            "Messages handed to the broker",
            status.messages_out,
        ),
        (
            "adapter_sent_bytes",
            "Bytes of messages handed to the broker",
            status.bytes_out,
        ),
        (
            "adapter_decode_errors",
            "Received messages that were not understood",
            status.decode_errors,
        ),
        (
            "adapter_unheard_messages",
            "Messages that the broker handed to fewer members than were counted before",
            status.unheard,
        ),
        (
            "adapter_untranslated",
            "Messages that members of other software were not told, or not wholly",
            status.untranslated,
        ),
    ] {
        page.counter(name, help, value)?;
    }
    let dropped = [
        ("received".to_owned(), status.dropped_in),
        ("sent".to_owned(), status.dropped_out),
    ];
    page.counters(
        "adapter_dropped",
        "Messages dropped because this node, or the broker, did not keep up",
        "direction",
        dropped,
    )?;
    page.gauge(
        "adapter_queued_messages",
        "Messages waiting for the broker",
        signed(status.queued_messages),
    )?;
    page.gauge(
        "adapter_queued_bytes",
        "Bytes of messages waiting for the broker",
        signed(status.queued_bytes),
    )?;
    if let Some(took) = status.round_trip {
        page.gauge(
            "adapter_last_round_trip_seconds",
            "Time in which an own message last came back through the broker",
            took.as_secs_f64(),
        )?;
    }
    page.histogram(
        "adapter_round_trip_seconds",
        "Time in which an own message came back through the broker",
        &status.round_trips,
    )?;
    page.histogram(
        "adapter_publish_seconds",
        "Time until the broker confirmed a message, without the time in the queue",
        &status.confirmations,
    )
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
