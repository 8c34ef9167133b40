//! Decodes what was received and hands it over, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use socketio_core::cluster::wire::{Decoded, WireError};
use socketio_core::cluster::{ClusterHandler, Operation};

use crate::audit::Audit;
use crate::inbound::{Inbound, InboundQueue};
use crate::interests::Interests;
use crate::route::Routes;
use crate::shared::Shared;
use crate::statement::Statement;

/// Messages after which other tasks get their turn.
const TURN: usize = 32;

pub(crate) async fn run(
    handler: Arc<dyn ClusterHandler>,
    routes: Arc<Routes>,
    interests: Arc<Interests>,
    shared: Arc<Shared>,
    inbound: Arc<InboundQueue>,
) {
    let mut audit = Audit::new(Arc::clone(&shared.counters));
    loop {
        let batch = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            batch = inbound.take() => batch,
        };
        for (number, news) in (1..).zip(batch) {
            if shared.stop.is_cancelled() {
                return;
            }
            match news {
                Inbound::Message { channel, payload } => {
                    let size = payload.len();
                    if let Some(namespace) = routes.stated(&channel) {
                        let statement = Statement::decode(&payload);
                        let others = statement.filter(|said| said.node != *handler.node());
                        if let Some(said) = others.filter(|_| interests.has(namespace)) {
                            audit.stated(namespace, said);
                        }
                    } else {
                        let decoded = routes.decode(&channel, &payload, &interests);
                        drop(payload);
                        let audited = decoded.as_ref().ok();
                        let audited = audited.and_then(|it| routes.audited(&channel, it));
                        if let Some((namespace, node)) = audited {
                            audit.heard(namespace, node);
                        }
                        guarded(|| hand_over(handler.as_ref(), &shared, &channel, decoded));
                    }
                    inbound.done(&channel, size);
                }
                Inbound::Connected { gap } => guarded(|| handler.on_connected(gap)),
                Inbound::Closed { namespace } => audit.closed(&namespace),
                Inbound::Foreign { namespace, count } => {
                    guarded(|| handler.on_foreign(&namespace, count))
                }
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A handler that panics does not keep those behind it from being handed over.
fn guarded(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a handler of cluster messages has panicked");
    }
}

fn hand_over(
    handler: &dyn ClusterHandler,
    shared: &Shared,
    channel: &Bytes,
    decoded: Result<Decoded, WireError>,
) {
    match decoded {
        Ok(Decoded::Message(message)) => {
            if message.node != *handler.node() {
                match message.operation {
                    Operation::InitialHeartbeat => {
                        shared.recount.notify_one();
                        if let Some(issued) = shared.issued() {
                            issued.repeat();
                        }
                    }
                    Operation::Close => shared.listeners.expect_fewer(shared.config.close_timeout),
                    _ => {}
                }
                handler.on_message(message);
            }
        }
        Ok(Decoded::Response(response)) => handler.on_response(response),
        Ok(Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip) => {}
        Err(error) => {
            shared.counters.decode_errors.add(1);
            let channel = String::from_utf8_lossy(channel);
            tracing::debug!(%error, %channel, "a message is not understood");
        }
    }
}
