//! Keeps the subscriptions: connects, subscribes what is wanted, proves that it is heard, and begins
//! anew when it is not.

mod link;
mod repair;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::RedisResult;
use tokio::time::{MissedTickBehavior, interval};

use crate::backoff::Backoff;
use crate::channel::{Channel, Kind, Wanted};
use crate::inbound::{Inbound, InboundQueue};
use crate::outbox::Outbox;
use crate::probe::{Overdue, Probe};
use crate::shared::Shared;

use link::{Event, Events, Link};

/// See the module.
pub(crate) struct Subscription {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbound: Arc<InboundQueue>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) state: State,
}

/// What only the task itself looks at.
#[derive(Debug, Default)]
pub(crate) struct State {
    links: Vec<Link>,
    events: Arc<Events>,
    /// Number of the next link.
    next: u64,
    /// How often connecting failed: others of several servers are tried then.
    failures: usize,
    /// The version of what is subscribed.
    version: u64,
    /// Everything must be looked through, not only what has changed.
    is_unsettled: bool,
    is_up: bool,
    was_up: bool,
    /// A link was made anew since the last time that all was heard.
    has_gap: bool,
}

impl Subscription {
    /// Runs until the adapter is closed.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = self.keep() => {}
        }
        self.shared.counters.set_up(false);
    }

    async fn keep(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (events, wanted) = (Arc::clone(&self.state.events), Arc::clone(&self.wanted));
        let Some(probe) = shared.probe() else {
            return;
        };
        let mut layouts = shared.layouts.subscribe();
        if layouts.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut backoff = Backoff::new(&shared.config);
        let mut beat = interval(shared.config.heartbeat_interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pings: FuturesUnordered<BoxFuture<'static, (u64, RedisResult<()>)>> =
            FuturesUnordered::new();
        let mut is_complete = false;
        self.state.is_unsettled = true;
        loop {
            if !is_complete {
                let version = wanted.version();
                let was_old = shared.connector.is_old();
                match self.repair().await {
                    Ok(()) => {
                        is_complete = true;
                        self.state.version = version;
                        backoff.reset();
                        shared.set_subscribed();
                        if self.state.is_up {
                            shared.heard.send_replace(version);
                        } else {
                            self.outbox.push_probe(probe.begin());
                        }
                    }
                    // It works in the older protocol, if at all.
                    Err(_) if shared.connector.is_old() != was_old => continue,
                    Err(error) => {
                        backoff.log(&error, "not everything is subscribed");
                        self.shared.progress.notify_one();
                        shared.layouts.stale();
                        self.state.failures += 1;
                        self.state.is_unsettled = true;
                    }
                }
            }
            let retry = tokio::time::sleep(if is_complete {
                shared.config.heartbeat_interval
            } else {
                backoff.next()
            });
            tokio::select! {
                happened = events.next() => {
                    is_complete &= !self.note(happened);
                }
                () = wanted.changed(), if is_complete => is_complete = false,
                Ok(()) = layouts.changed() => {
                    self.state.is_unsettled = true;
                    is_complete = false;
                }
                () = probe.returned() => self.heard(),
                Some((number, answer)) = pings.next() => {
                    if let Err(error) = answer {
                        tracing::debug!(%error, "a subscription does not answer");
                        is_complete &= !self.note(vec![Event::Lost(number)]);
                    }
                }
                _ = beat.tick() => {
                    if self.check(probe) {
                        is_complete = false;
                    }
                    if pings.is_empty() {
                        pings.extend(self.state.links.iter().map(|link| -> BoxFuture<'static, _> {
                            Box::pin(link.ping())
                        }));
                    }
                }
                () = retry, if !is_complete => {}
            }
        }
    }

    /// Takes note of what happened to links. Says whether there is something to mend.
    fn note(&mut self, events: Vec<Event>) -> bool {
        let mut is_broken = false;
        for event in events {
            match event {
                Event::Lost(number) => {
                    let before = self.state.links.len();
                    self.state.links.retain(|link| link.number != number);
                    if self.state.links.len() < before {
                        is_broken = true;
                        self.down("a connection for subscriptions broke");
                    }
                }
                Event::Ended(number, name) => {
                    let channel = Channel::new(Kind::Sharded, name);
                    let mut links = self.state.links.iter_mut();
                    let link = links.find(|link| link.number == number);
                    // Else it was this node that ended it.
                    if link.is_some_and(|link| link.subscribed.remove(&channel)) {
                        is_broken = true;
                        self.shared.layouts.stale();
                        self.down("the server ended a subscription");
                    }
                }
            }
        }
        self.state.is_unsettled |= is_broken;
        is_broken
    }

    /// Looks after the probe. Says whether there is something to mend.
    fn check(&mut self, probe: &Probe) -> bool {
        match probe.overdue(self.shared.config.heartbeat_timeout) {
            Overdue::No => {
                if !probe.is_under_way() {
                    self.outbox.push_probe(probe.begin());
                }
                false
            }
            Overdue::NotSent => {
                // The lane that publishes makes its connection anew by itself.
                self.set_up(false);
                self.outbox.push_probe(probe.begin());
                false
            }
            Overdue::NotHeard => {
                self.state.links.clear();
                self.state.is_unsettled = true;
                self.down("the own messages do not come back");
                self.outbox.push_probe(probe.begin());
                true
            }
        }
    }

    /// Messages are missed from now on.
    fn down(&mut self, why: &'static str) {
        self.state.has_gap = true;
        // First, so that nothing is published on a broken connection by who sees that it is down.
        self.shared.doubts.send_replace(());
        if self.state.is_up {
            tracing::warn!(why, "messages of other nodes may be missed");
        }
        self.set_up(false);
    }

    fn set_up(&mut self, is_up: bool) {
        self.state.is_up = is_up;
        self.shared.counters.set_up(is_up);
        let heard = if is_up { self.state.version } else { 0 };
        self.shared.heard.send_replace(heard);
    }

    /// The probe came back.
    fn heard(&mut self) {
        if self.state.is_up || self.state.is_unsettled {
            return;
        }
        let counters = &self.shared.counters;
        let gap = self.state.was_up && self.state.has_gap;
        if gap {
            counters.gaps.add(1);
            counters.reconnects.add(1);
            tracing::info!("messages of other nodes are heard again");
        }
        self.set_up(true);
        self.state.was_up = true;
        self.state.has_gap = false;
        self.inbound.tell(Inbound::Connected { gap });
        self.shared.progress.notify_one();
    }

    /// All channels that belong to a link.
    fn channels_of(&self, server: &str, is_home: bool) -> HashSet<Channel> {
        let layout = self.shared.layouts.current();
        let all = self.wanted.all().into_iter();
        all.filter(|channel| match (channel.kind, &layout) {
            (Kind::Sharded, Some(layout)) => {
                let number = layout.server_of(&channel.name);
                number.is_some_and(|number| layout.servers[number].name == server)
            }
            (Kind::Sharded, None) => false,
            (Kind::Plain | Kind::Pattern, _) => is_home,
        })
        .collect()
    }
}
