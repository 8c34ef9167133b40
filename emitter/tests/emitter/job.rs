//! An emitter whose broker goes away.

use std::time::{Duration, Instant};

use bytes::Bytes;
use socketio_emitter::{AdapterError, AskError, EmitError, Emitter, EmitterConfig, FlushError};

use crate::client::until;
use crate::cluster::{Cluster, reach};

pub(crate) trait Broker {
    fn stop(&mut self);
    fn start(&mut self);
}

/// What is emitted while the broker is away waits, up to the bound, and is neither lost nor doubled
/// nor out of order.
pub(crate) async fn outage(cluster: &mut Cluster, config: &EmitterConfig, mut broker: impl Broker) {
    const ROOM: usize = 50;
    let config = config.clone().max_queued_messages(ROOM);
    let patient = config.clone();
    let short = Duration::from_millis(200);
    let hasty = config.flush_timeout(short);
    let hasty = hasty.connect_timeout(Duration::from_secs(2));
    let io = Emitter::connect_with(hasty).await.expect("a broker");
    let narrow = patient.clone().max_queued_bytes(10_000_usize);
    let narrow = Emitter::connect_with(narrow).await.expect("a broker");
    let patient = Emitter::connect_with(patient).await.expect("a broker");
    reach(&io, "a", &mut cluster.a, "before").await;
    cluster.fence_behind(&io).await;
    // What the broker has not confirmed would be in the queue again.
    while io.flush().await.is_err() {}

    broker.stop();
    until("the emitter notices", || !io.status().up).await;
    for number in 0..ROOM {
        io.emit("kept", number).expect("room");
    }
    let refused = io.emit("refused", ());
    assert!(
        matches!(refused, Err(EmitError::Carrier(AdapterError::QueueFull))),
        "{refused:?}"
    );
    assert_eq!(io.status().queued_messages, ROOM);
    let late = io.flush().await;
    assert!(
        matches!(late, Err(FlushError::Timeout { queued: ROOM })),
        "{late:?}"
    );
    until("another notices", || !narrow.status().up).await;
    let kilobytes = Bytes::from(vec![0; 4000]);
    for room in [true, true, false] {
        let sent = narrow.to("nobody").emit("bytes", kilobytes.clone());
        assert_eq!(sent.is_ok(), room, "{sent:?}");
    }
    let asked = io.count().await;
    assert!(matches!(asked, Err(AskError::Away)), "{asked:?}");
    // A job that ends now waits for the broker.
    until("the other notices", || !patient.status().up).await;
    patient.to("nobody").emit("patient", ()).expect("room");
    let closing = tokio::spawn(async move { patient.close().await });

    broker.start();
    closing.await.expect("no panic").expect("taken");
    narrow.close().await.expect("taken");
    for client in [&mut cluster.a, &mut cluster.b] {
        for number in 0..ROOM {
            assert_eq!(client.expect::<usize>("kept").await, number);
        }
    }
    until("everything is sent", || io.status().queued_messages == 0).await;
    assert_eq!(io.status().dropped_out, 1, "the refused one");
    io.emit("after", ()).expect("room");
    cluster.both_hear("after", &()).await;
    cluster.fence(&io).await;
    io.close().await.expect("taken");
}

/// There is a broker, but no node.
pub(crate) async fn nobody(config: &EmitterConfig) {
    let io = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    io.emit("heard by nobody", ()).expect("room");
    let start = Instant::now();
    let count = io.count().await;
    assert!(matches!(count, Err(AskError::NoNode)), "{count:?}");
    let asked = io.emit_with_ack::<_, ()>("question", ()).await.map(|_| ());
    assert!(matches!(asked, Err(AskError::NoNode)), "{asked:?}");
    // Not as long as nodes may take to answer.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    io.close().await.expect("taken");
}
