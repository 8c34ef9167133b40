//! The names, help texts and labels under which the numbers are shown.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use socketio_core::metrics::Page;

use super::cluster::ClusterExposition;
use super::stripes::{HistogramKind, Hot};
use super::{HANDSHAKE_ERRORS, OTHER, Values, process};

/// A registry that shows `values` and the process.
pub(super) fn registry(values: &Arc<Values>) -> Registry {
    let mut registry = Registry::default();
    let prefixed = registry.sub_registry_with_prefix("socketio");
    prefixed.register_collector(Box::new(Exposition(values.clone())));
    prefixed.register_collector(Box::new(ClusterExposition(values.clone())));
    registry.register_collector(Box::new(process::Process::new()));
    registry
}

#[derive(Debug)]
struct Exposition(Arc<Values>);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(&mut encoder, "");
        let values = &*self.0;
        let stripes = &values.stripes;

        page.info(
            "build",
            "Version of the server",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        page.gauges(
            "connections",
            "Open Engine.IO connections",
            "transport",
            values
                .connections
                .iter()
                .map(|(transport, open)| (transport.to_owned(), open.load(Relaxed))),
        )?;
        page.counters(
            "connections_opened",
            "Engine.IO connections opened",
            "transport",
            read(values.opened.iter()),
        )?;
        page.counter(
            "upgrades",
            "Connections that moved to another transport",
            values.upgrades.load(Relaxed),
        )?;
        page.counters(
            "connections_closed",
            "Engine.IO connections closed",
            "reason",
            read(values.closed.iter()),
        )?;
        page.counters(
            "websocket_violations",
            "Connections that broke the framing rules of WebSocket",
            "close_code",
            read(values.violations.iter()),
        )?;
        page.counters(
            "handshake_errors",
            "Requests refused with an Engine.IO error",
            "code",
            values.handshake_errors.iter().enumerate().map(|(code, n)| {
                let label = match code {
                    HANDSHAKE_ERRORS => OTHER.to_owned(),
                    _ => code.to_string(),
                };
                (label, n.load(Relaxed))
            }),
        )?;

        let (mut sockets, mut rooms) = (Vec::new(), Vec::new());
        values.for_each_namespace(|namespace| {
            sockets.push((namespace.label.clone(), namespace.sockets.load(Relaxed)));
            rooms.push((namespace.label.clone(), namespace.rooms.load(Relaxed)));
        });
        page.gauges("sockets", "Connected sockets", "namespace", sockets)?;
        page.gauges(
            "rooms",
            "Rooms with a member on this node, without those named by a socket's id",
            "namespace",
            rooms,
        )?;
        page.counter(
            "sockets_connected",
            "Sockets that joined a namespace",
            values.sockets_connected.load(Relaxed),
        )?;
        page.counters(
            "sockets_disconnected",
            "Sockets that left their namespace",
            "reason",
            read(values.disconnected.iter()),
        )?;
        page.counter(
            "connects_refused",
            "Namespace connections answered with connect_error",
            values.connects_refused.load(Relaxed),
        )?;

        let hot = [
            ("events_received", "Events and acks received", Hot::EventsIn),
            (
                "events_sent",
                "Events and acks queued, one per recipient",
                Hot::EventsOut,
            ),
            ("received_bytes", "Bytes of messages received", Hot::BytesIn),
            (
                "sent_bytes",
                "Bytes of messages handed to transports",
                Hot::BytesOut,
            ),
        ];
        for (name, help, counter) in hot {
            page.counter(name, help, stripes.sum(counter))?;
        }
        page.gauge(
            "outbox_bytes",
            "Bytes waiting in outboxes",
            values.outbox_bytes.get(),
        )?;
        page.counters(
            "dropped",
            "Packets and events dropped",
            "reason",
            read(values.drops.iter()),
        )?;
        page.counter(
            "handler_panics",
            "Handlers that panicked",
            values.handler_panics.load(Relaxed),
        )?;
        page.histogram(
            "handler_seconds",
            "Time from a handler's start to its end",
            &stripes.observed(HistogramKind::Handler),
        )?;
        page.histogram(
            "fan_out_seconds",
            "Time to queue one broadcast for all recipients of this node",
            &stripes.observed(HistogramKind::FanOut),
        )?;
        page.histogram(
            "fan_out_recipients",
            "Recipients of one broadcast on this node",
            &stripes.observed(HistogramKind::Recipients),
        )
    }
}

pub(super) fn read<'a>(
    cells: impl Iterator<Item = (&'static str, &'a AtomicU64)>,
) -> impl Iterator<Item = (String, u64)> {
    cells.map(|(label, cell)| (label.to_owned(), cell.load(Relaxed)))
}
