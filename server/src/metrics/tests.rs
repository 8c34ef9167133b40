use std::collections::HashMap;

use socketio_core::cluster::{AdapterStatus, OccupancyStats, RoomNews};
use socketio_core::metrics::Histogram;

use super::*;

/// The samples of a page as "name{labels}" -> value, checked for the form of each line.
fn samples(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect(line);
            (name.to_owned(), value.parse().expect(line))
        })
        .collect()
}

#[test]
fn counts_are_exposed_by_label() {
    let metrics = Metrics::new();
    metrics.connection_opened("polling");
    metrics.connection_opened("polling");
    metrics.connection_opened("websocket");
    metrics.upgraded();
    metrics.websocket_violation(1009);
    metrics.closed("ping timeout", "polling");
    metrics.handshake_error(1);
    metrics.handshake_error(77);
    metrics.event_in();
    metrics.events_out(1_000);
    metrics.bytes_in(12);
    metrics.bytes_out(34);
    metrics.dropped("volatile", 3);

    let found = samples(&metrics.encode());
    for (name, value) in [
        ("socketio_connections{transport=\"polling\"}", 0.0),
        ("socketio_connections{transport=\"websocket\"}", 2.0),
        (
            "socketio_connections_opened_total{transport=\"polling\"}",
            2.0,
        ),
        ("socketio_upgrades_total", 1.0),
        (
            "socketio_connections_closed_total{reason=\"ping timeout\"}",
            1.0,
        ),
        ("socketio_handshake_errors_total{code=\"1\"}", 1.0),
        ("socketio_handshake_errors_total{code=\"other\"}", 1.0),
        ("socketio_events_received_total", 1.0),
        ("socketio_events_sent_total", 1_000.0),
        ("socketio_received_bytes_total", 12.0),
        ("socketio_sent_bytes_total", 34.0),
        ("socketio_dropped_total{reason=\"volatile\"}", 3.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {found:#?}");
    }
}

#[test]
fn histograms_are_cumulative_and_inclusive() {
    let metrics = Metrics::new();
    for micros in [10, 11, 700, 60_000_000] {
        metrics.handler_time(Duration::from_micros(micros));
    }
    metrics.fanned_out(1_000, Duration::from_micros(300));
    metrics.fanned_out(0, Duration::ZERO);
    let found = samples(&metrics.encode());
    let bucket = |le: &str| found[&format!("socketio_handler_seconds_bucket{{le=\"{le}\"}}")];
    assert_eq!(bucket("0.00001"), 1.0);
    assert_eq!(bucket("0.00002"), 2.0);
    assert_eq!(bucket("0.0005"), 2.0);
    assert_eq!(bucket("0.001"), 3.0);
    assert_eq!(bucket("10.0"), 3.0);
    assert_eq!(bucket("+Inf"), 4.0);
    assert_eq!(found["socketio_handler_seconds_count"], 4.0);
    assert!((found["socketio_handler_seconds_sum"] - 60.000_721).abs() < 1e-9);
    assert_eq!(found["socketio_fan_out_seconds_count"], 2.0);
    assert_eq!(found["socketio_fan_out_recipients_bucket{le=\"0.0\"}"], 1.0);
    assert_eq!(
        found["socketio_fan_out_recipients_bucket{le=\"500.0\"}"],
        1.0
    );
    assert_eq!(
        found["socketio_fan_out_recipients_bucket{le=\"1000.0\"}"],
        2.0
    );
    assert_eq!(found["socketio_fan_out_recipients_sum"], 1_000.0);
    assert_eq!(found["socketio_events_sent_total"], 1_000.0);
}

#[test]
fn counts_of_several_threads_add_up() {
    let metrics = Metrics::new();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| metrics.bytes_in(100));
        }
    });
    assert_eq!(metrics.snapshot().bytes_in, 2_000);
}

#[test]
fn outbox_bytes_are_read_when_asked_for() {
    let metrics = Metrics::new();
    assert_eq!(metrics.snapshot().outbox_bytes, 0);
    let bytes = Arc::new(AtomicU64::new(200));
    let shared = bytes.clone();
    metrics.set_outbox_bytes(move || shared.load(Relaxed) as usize);
    assert_eq!(metrics.snapshot().outbox_bytes, 200);
    bytes.store(7, Relaxed);
    assert_eq!(samples(&metrics.encode())["socketio_outbox_bytes"], 7.0);
}

#[test]
fn namespaces_cannot_grow_the_page_without_bound() {
    let metrics = Metrics::new();
    for n in 0..1_000 {
        let namespace = metrics.namespace(&format!("/n{n}"));
        metrics.socket_connected(&namespace);
        namespace.room_created();
    }
    metrics.socket_connected(&metrics.dynamic_namespaces());
    metrics.socket_connected(&metrics.namespace("/n0"));
    metrics.socket_disconnected(&metrics.namespace("/n1"), "no such reason");

    let found = samples(&metrics.encode());
    let sockets = found
        .keys()
        .filter(|name| name.starts_with("socketio_sockets{"));
    assert_eq!(sockets.count(), NAMED_NAMESPACES + 2);
    assert_eq!(found["socketio_sockets{namespace=\"/n0\"}"], 2.0);
    assert_eq!(found["socketio_sockets{namespace=\"/n1\"}"], 0.0);
    assert_eq!(found["socketio_sockets{namespace=\"dynamic\"}"], 1.0);
    let others = (1_000 - NAMED_NAMESPACES) as f64;
    assert_eq!(found["socketio_sockets{namespace=\"other\"}"], others);
    assert_eq!(found["socketio_rooms{namespace=\"other\"}"], others);
    assert_eq!(
        found["socketio_sockets_disconnected_total{reason=\"other\"}"],
        1.0
    );
    assert_eq!(metrics.snapshot().sockets, 1_001);
    assert_eq!(metrics.snapshot().rooms, 1_000);
}

#[test]
fn a_hostile_namespace_name_is_escaped() {
    let metrics = Metrics::new();
    metrics.socket_connected(&metrics.namespace("/a\"b\n\\c"));
    assert!(
        metrics
            .encode()
            .contains(r#"socketio_sockets{namespace="/a\"b\n\\c"} 1"#)
    );
}

#[test]
fn a_cluster_is_shown_with_what_carries_it() {
    let metrics = Metrics::new();
    let shows_cluster = |text: &str| text.contains("cluster") || text.contains("adapter");
    assert!(!shows_cluster(&metrics.encode()), "there is none");
    let cluster = metrics.cluster();
    cluster.set_source(|| {
        let mut status = AdapterStatus::default();
        status.up = true;
        (status.reconnects, status.gaps) = (2, 3);
        (status.messages_in, status.bytes_in) = (4, 5);
        (status.messages_out, status.bytes_out) = (6, 7);
        (status.decode_errors, status.untranslated) = (8, 9);
        (status.dropped_in, status.dropped_out) = (10, 11);
        status.unheard = 21;
        (status.queued_messages, status.queued_bytes) = (12, 13);
        status.round_trip = Some(Duration::from_micros(1_500));
        let took = Histogram::default();
        took.observe_times(Duration::from_millis(2), 3);
        status.round_trips = took.read();
        took.observe(Duration::from_secs(1));
        status.confirmations = took.read();
        let mut rooms = OccupancyStats::default();
        (rooms.rooms, rooms.unknown_nodes, rooms.withheld) = (14, 15, true);
        Some(ClusterReading {
            members: 16,
            foreign: 17,
            pending: vec!["broadcast", "fetch_sockets", "broadcast"],
            missed: 18,
            late: 19,
            duplicates: 20,
            rooms,
            adapter: "redis",
            status,
        })
    });
    cluster.asked("fetch_sockets");
    cluster.answered("server_side_emit", true, Duration::from_secs(5));
    cluster.answered("fetch_sockets", false, Duration::from_millis(3));
    cluster.news_sent(&RoomNews::Withheld);
    cluster.news_received(&RoomNews::Resend { of: "a".into() });

    let found = samples(&metrics.encode());
    for (name, value) in [
        ("adapter_info{name=\"redis\"}", 1.0),
        ("adapter_up", 1.0),
        ("adapter_reconnects_total", 2.0),
        ("adapter_gaps_total", 3.0),
        ("adapter_messages_received_total", 4.0),
        ("adapter_received_bytes_total", 5.0),
        ("adapter_messages_sent_total", 6.0),
        ("adapter_sent_bytes_total", 7.0),
        ("adapter_decode_errors_total", 8.0),
        ("adapter_untranslated_total", 9.0),
        ("adapter_dropped_total{direction=\"received\"}", 10.0),
        ("adapter_dropped_total{direction=\"sent\"}", 11.0),
        ("adapter_queued_messages", 12.0),
        ("adapter_queued_bytes", 13.0),
        ("adapter_last_round_trip_seconds", 0.0015),
        ("adapter_round_trip_seconds_bucket{le=\"0.001\"}", 0.0),
        ("adapter_round_trip_seconds_bucket{le=\"0.002\"}", 3.0),
        ("adapter_publish_seconds_count", 4.0),
        ("cluster_remote_rooms", 14.0),
        ("cluster_unknown_members", 15.0),
        ("cluster_rooms_withheld", 1.0),
        ("cluster_members", 16.0),
        ("cluster_foreign_members", 17.0),
        ("cluster_requests_pending{kind=\"broadcast\"}", 2.0),
        ("cluster_requests_pending{kind=\"server_side_emit\"}", 0.0),
        ("cluster_requests_total{kind=\"fetch_sockets\"}", 1.0),
        (
            "cluster_requests_partial_total{kind=\"server_side_emit\"}",
            1.0,
        ),
        (
            "cluster_requests_partial_total{kind=\"fetch_sockets\"}",
            0.0,
        ),
        (
            "cluster_request_seconds_bucket{le=\"2.0\",kind=\"server_side_emit\",outcome=\"partial\"}",
            0.0,
        ),
        (
            "cluster_request_seconds_bucket{le=\"5.0\",kind=\"server_side_emit\",outcome=\"partial\"}",
            1.0,
        ),
        (
            "cluster_request_seconds_count{kind=\"fetch_sockets\",outcome=\"complete\"}",
            1.0,
        ),
        ("cluster_room_news_sent_total{kind=\"withheld\"}", 1.0),
        ("cluster_room_news_sent_total{kind=\"resend\"}", 0.0),
        ("cluster_room_news_received_total{kind=\"resend\"}", 1.0),
        ("cluster_missed_messages_total", 18.0),
        ("cluster_late_messages_total", 19.0),
        ("cluster_duplicates_total", 20.0),
        ("adapter_unheard_messages_total", 21.0),
    ] {
        let name = format!("socketio_{name}");
        assert_eq!(found.get(&name), Some(&value), "{name} in {found:#?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_described() {
    let found = samples(&Metrics::new().encode());
    assert!(found["process_resident_memory_bytes"] > 100_000.0);
    assert!(found["process_cpu_seconds_total"] > 0.0);
    assert!(found["process_open_fds"] >= 3.0);
    assert!(found["process_start_time_seconds"] > 1.6e9);
}

#[test]
fn every_reason_of_the_protocol_has_a_label() {
    for reason in socketio_core::engine::CloseReason::ALL {
        assert!(REASONS.contains(&reason.as_str()), "{reason:?}");
    }
}
