//! The receiving half: subscriptions, and handing over what they bring.

use std::sync::Arc;

use socketio_core::cluster::ClusterHandler;

use crate::channel::{Channel, Wanted};
use crate::deliver;
use crate::inbound::InboundQueue;
use crate::interests::Interests;
use crate::probe::Probe;
use crate::route::Routes;
use crate::sending::Sending;
use crate::subscription::{State, Subscription};

/// See the module.
pub(crate) struct Hearing {
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) inbound: Arc<InboundQueue>,
}

impl Hearing {
    /// Begins to hear `channels`. A half of its own is needed to send, since what is heard is
    /// proven by a message to itself.
    pub(crate) fn start(
        sending: &Sending,
        handler: Arc<dyn ClusterHandler>,
        routes: Arc<Routes>,
        interests: Arc<Interests>,
        channels: impl IntoIterator<Item = Channel>,
    ) -> Self {
        let (shared, tasks) = (&sending.shared, &sending.tasks);
        let own = routes.own();
        shared.begin_to_hear(Probe::new(
            handler.node(),
            own,
            Arc::clone(&shared.counters),
        ));
        let wanted = Arc::new(Wanted::default());
        for channel in channels {
            wanted.add(channel);
        }
        let config = &shared.config;
        let inbound = Arc::new(InboundQueue::new(
            Arc::clone(&shared.counters),
            config.max_received_messages,
            config.max_received_bytes,
        ));
        let subscription = Subscription {
            shared: Arc::clone(shared),
            inbound: Arc::clone(&inbound),
            outbox: Arc::clone(&sending.outbox),
            wanted: Arc::clone(&wanted),
            state: State::default(),
        };
        tasks.spawn(subscription.run());
        tasks.spawn(deliver::run(
            handler,
            routes,
            interests,
            Arc::clone(shared),
            Arc::clone(&inbound),
        ));
        Self { wanted, inbound }
    }
}
