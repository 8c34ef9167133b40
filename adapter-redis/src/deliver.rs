//! Decodes what was received and hands it over, one after the other.

use std::sync::Arc;

use bytes::Bytes;
use socketio_core::cluster::wire::{Decoded, WireError};
use socketio_core::cluster::{ClusterHandler, Operation};

use crate::inbound::{Inbound, InboundQueue};
use crate::interests::Interests;
use crate::route::Routes;
use crate::shared::Shared;

/// Messages after which other tasks get their turn.
const TURN: usize = 32;

pub(crate) async fn run(
    handler: Arc<dyn ClusterHandler>,
    routes: Arc<Routes>,
    interests: Arc<Interests>,
    shared: Arc<Shared>,
    inbound: Arc<InboundQueue>,
) {
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
                    let decoded = routes.decode(&channel, &payload, &interests);
                    drop(payload);
                    hand_over(handler.as_ref(), &shared, &channel, decoded);
                    inbound.done(&channel, size);
                }
                Inbound::Connected { gap } => handler.on_connected(gap),
                Inbound::Foreign { namespace, count } => handler.on_foreign(&namespace, count),
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
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
                if message.operation == Operation::InitialHeartbeat {
                    shared.recount.notify_one();
                }
                handler.on_message(message);
            }
        }
        Ok(Decoded::Response(response)) => handler.on_response(response),
        Ok(Decoded::Probe(_) | Decoded::Skip) => {}
        Err(error) => {
            shared.counters.decode_errors.add(1);
            let channel = String::from_utf8_lossy(channel);
            tracing::debug!(%error, %channel, "a message is not understood");
        }
    }
}
