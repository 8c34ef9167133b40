//! One trace over several nodes.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry_sdk::trace::Sampler;
use socketio_core::cluster::{ClusterHandler, ClusterMessage, ClusterResponse, Operation};
use socketio_core::ids::NodeId;
use socketio_core::target::Target;
use socketio_core::trace::TraceContext;
use socketio_server::{Adapter as _, MemoryBus, Payload, Reply, ServerEvent, Socket};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::collected::{self, attribute, collect, collect_with};
use super::{SPAN, TRACE};
use crate::cluster_support::{Deaf, client_in, nodes};
use crate::support::until;

#[tokio::test]
async fn an_event_a_broadcast_and_its_deliveries_are_one_trace() {
    let collected = collect();
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 3).await;
    nodes[0].io.on("shout", async |socket: Socket| {
        let _ = socket.within("a").emit("shouted", 1);
        Reply(())
    });
    let mut here = client_in(&nodes[0], &[]).await;
    let mut there = [
        client_in(&nodes[1], &["a"]).await,
        client_in(&nodes[2], &["a", "b"]).await,
    ];
    let (): () = here.call("shout", ()).await;
    for client in &mut there {
        let number: u32 = client.expect("shouted").await;
        assert_eq!(number, 1);
    }
    let event = collected.one("process shout").await;
    let broadcast = collected.one("broadcast").await;
    collected::assert_root(&event);
    collected::assert_child(&broadcast, &event);
    assert_eq!(attribute(&broadcast, "socketio.rooms"), "a");
    for delivered in collected.wait("deliver broadcast", 2).await {
        collected::assert_child(&delivered, &broadcast);
        assert!(delivered.parent_span_is_remote);
        assert_eq!(delivered.span_kind, SpanKind::Consumer);
        assert_eq!(attribute(&delivered, "socketio.recipients"), "1");
        assert_eq!(attribute(&delivered, "messaging.client.id"), "node 1");
        assert_eq!(attribute(&delivered, "socketio.event"), "shouted");
    }
}

#[tokio::test]
async fn requests_to_other_nodes_are_spans_and_so_is_what_they_do() {
    let collected = collect();
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    let mut client = client_in(&nodes[1], &["a"]).await;
    let io = &nodes[0].io;
    assert_eq!(
        io.within("a")
            .fetch_sockets()
            .await
            .expect("answered")
            .len(),
        1
    );
    let asked = collected.one("fetch_sockets").await;
    assert_eq!(asked.span_kind, SpanKind::Client);
    collected::assert_child(&collected.one("deliver fetch_sockets").await, &asked);

    nodes[1].io.on_server_event("work", {
        let io = nodes[1].io.clone();
        move |event: ServerEvent| {
            let io = io.clone();
            async move {
                tokio::task::yield_now().await;
                let _ = io.local().emit("working", ());
                let _ = event.reply(7);
            }
        }
    });
    let replies = io
        .server_side_emit_with_ack::<_, u32>("work", ())
        .await
        .expect("sent");
    assert_eq!(replies.replies.len(), 1);
    let () = client.expect("working").await;
    let asked = collected.one("server_side_emit").await;
    let worked = collected.one("deliver server_side_emit").await;
    collected::assert_child(&worked, &asked);
    collected::assert_child(&collected.one("broadcast").await, &worked);
    assert!(
        asked.end_time >= worked.end_time,
        "it ends with the answers"
    );

    let mut acks = io
        .within("a")
        .emit_with_ack::<_, u32>("n?", ())
        .expect("sent");
    let (ack, ()) = client.expect_question("n?").await;
    client.answer(ack, 5).await;
    assert_eq!(acks.next().await.expect("an answer").data, Ok(5));
    assert_eq!(
        collected.wait("broadcast", 1).await.len(),
        1,
        "it ends with the answers"
    );
    drop(acks);
    let asked = collected.broadcast("n?").await;
    let delivered = collected.one("deliver broadcast").await;
    collected::assert_child(&delivered, &asked);

    // What needs no span of its own is carried out in that of the caller.
    let job = tracing::trace_span!(target: "socketio_trace", "job");
    job.in_scope(|| io.within("a").join("b")).expect("sent");
    drop(job);
    let job = collected.one("job").await;
    collected::assert_child(&collected.one("deliver join").await, &job);
}

#[tokio::test]
async fn what_comes_from_elsewhere_is_continued_as_its_context_says() {
    let collected = collect_with(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 1).await;
    let mut client = client_in(&nodes[0], &["a"]).await;
    let broker = bus.adapter();
    broker
        .start(Arc::new(Deaf("broker".into())))
        .await
        .expect("new");
    let emitted = |trace: Option<&str>| ClusterMessage {
        node: NodeId::emitter(),
        namespace: "/".into(),
        sequence: None,
        trace: trace.map(|text| Box::new(text.parse::<TraceContext>().expect("valid"))),
        operation: Operation::Broadcast {
            payload: Payload::event("news", &1).expect("data"),
            target: Target::room("a"),
            request: None,
        },
    };
    let texts = [
        Some(format!("00-{TRACE}-{SPAN}-01")),
        Some(format!("00-{TRACE}-{SPAN}-00")),
        None,
    ];
    for text in &texts {
        broker.publish(&emitted(text.as_deref())).expect("started");
        let _: u32 = client.expect("news").await;
    }
    // The second was not sampled, the third has no parent.
    let delivered = collected.wait("deliver broadcast", 2).await;
    assert_eq!(delivered[0].span_context.trace_id().to_string(), TRACE);
    assert_eq!(delivered[0].parent_span_id.to_string(), SPAN);
    collected::assert_root(&delivered[1]);
}

#[tokio::test]
async fn heartbeats_and_counts_are_no_spans_and_carry_nothing() {
    let collected = collect();
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    let heard = Arc::new(Heard("spy".into(), Mutex::default()));
    let spy = bus.adapter();
    spy.start(Arc::clone(&heard) as _).await.expect("new");
    // Joins within a span make news of rooms, which are told later.
    let span = tracing::trace_span!(target: "socketio_trace", "job");
    assert!(span.context().span().span_context().is_valid());
    let _inside = span.enter();
    let client = client_in(&nodes[0], &["a"]).await;
    until("heartbeats and news", || {
        let heard = heard.1.lock().expect("whole");
        heard
            .iter()
            .filter(|message| matches!(message.operation, Operation::Heartbeat))
            .count()
            > 4
            && heard
                .iter()
                .any(|message| matches!(message.operation, Operation::Rooms(_)))
    })
    .await;
    let heard = heard.1.lock().expect("whole");
    assert!(
        heard.iter().all(|message| message.trace.is_none()),
        "{heard:?}"
    );
    let names = collected.names();
    assert!(
        !names.iter().any(|name| name.starts_with("deliver")),
        "{names:?}"
    );
    drop(client);
}

/// Keeps what is said on the bus.
struct Heard(NodeId, Mutex<Vec<ClusterMessage>>);

impl ClusterHandler for Heard {
    fn node(&self) -> &NodeId {
        &self.0
    }

    fn on_message(&self, message: ClusterMessage) {
        self.1.lock().expect("whole").push(message);
    }

    fn on_response(&self, _: ClusterResponse) {}
}
