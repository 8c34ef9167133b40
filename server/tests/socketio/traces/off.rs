//! Nobody asked: nothing is made and nothing is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_sdk::trace::Sampler;
use serde_json::{Value, json};
use socketio_server::{MemoryBus, Reply, Server, Socket};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::collected::collect_filtered;
use super::{SPAN, TRACE, client_with};
use crate::cluster_support::{client_in, nodes};
use crate::support::serve;

/// What an application logs: everything down to a level.
#[tokio::test]
async fn who_logs_everything_but_traces_has_no_spans() {
    let filter = Targets::new().with_default(LevelFilter::DEBUG);
    let collected = collect_filtered(Sampler::AlwaysOn, filter);
    let served = serve(Server::builder().trace_payload_key(Some("t".to_owned()))).await;
    served.io.on("say", async |socket: Socket| {
        let _ = socket.namespace().emit("said", json!({}));
        Reply(())
    });
    let headers = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n");
    let mut client = client_with(&served, &headers).await;
    client
        .ask(1, "say", json!({"t": format!("00-{TRACE}-{SPAN}-01")}))
        .await;
    let said: Value = client.expect("said").await;
    assert_eq!(said, json!({}), "nothing is added");
    assert_eq!(collected.names(), [""; 0]);
}

/// Counts spans of every kind, and says of ours that it never wants them.
struct Counting(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Counting {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "socketio_trace" {
            self.1.fetch_add(1, Ordering::Relaxed);
            Interest::never()
        } else {
            Interest::always()
        }
    }

    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn where_they_are_off_the_answer_is_kept() {
    let (spans, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counting = Counting(Arc::clone(&spans), Arc::clone(&asked));
    let subscriber = tracing_subscriber::registry().with(counting);
    let _guard = tracing::subscriber::set_default(subscriber);
    let bus = MemoryBus::immediate();
    let nodes = nodes(&bus, 2).await;
    nodes[0].io.on("shout", async |socket: Socket| {
        let _ = socket.within("a").emit("shouted", 1);
        Reply(())
    });
    let mut here = client_in(&nodes[0], &[]).await;
    let mut there = client_in(&nodes[1], &["a"]).await;
    for _ in 0..3 {
        let (): () = here.call("shout", ()).await;
        let _: u32 = there.expect("shouted").await;
    }
    assert_eq!(spans.load(Ordering::Relaxed), 0);
    // One question for each place that was passed, however often.
    let asked = asked.load(Ordering::Relaxed);
    assert!((1..20).contains(&asked), "{asked}");
}
