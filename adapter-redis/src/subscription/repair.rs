//! Makes the subscriptions what they should be.

use std::cmp::Reverse;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{RedisError, RedisResult};

use super::Subscription;
use super::link::{Link, is_elsewhere};
use crate::channel::{Channel, Kind};
use crate::connect::{Layout, Server, timed_out};

impl Subscription {
    /// Makes links to all servers that are needed, and subscribes and unsubscribes what is to be.
    pub(super) async fn repair(&mut self) -> RedisResult<()> {
        let layout = self.shared.layouts.current().ok_or_else(timed_out)?;
        if !self.state.is_unsettled {
            let done = self.follow(&layout).await;
            return done.inspect_err(|error| self.complain(error));
        }
        // What has changed is covered below.
        let _ = self.wanted.changes();
        let mut failure = self.connect(&layout).await.err();
        let home = self.home(&layout).map(|server| server.name.clone());
        for number in 0..self.state.links.len() {
            let link = &self.state.links[number];
            let is_home = home.as_ref() == Some(&link.server);
            let wanted = self.channels_of(&link.server, is_home);
            let link = &mut self.state.links[number];
            let surplus = link.subscribed.difference(&wanted).cloned().collect();
            let missing = wanted.difference(&link.subscribed).cloned().collect();
            if let Err(error) = settle(link, missing, surplus).await {
                failure = Some(error);
            }
        }
        match failure {
            None => {
                self.state.is_unsettled = false;
                Ok(())
            }
            Some(error) => {
                self.complain(&error);
                Err(error)
            }
        }
    }

    /// Subscribes and unsubscribes what has changed since the last time.
    async fn follow(&mut self, layout: &Layout) -> RedisResult<()> {
        let home = self.home(layout).map(|server| server.name.clone());
        let mut changes: Vec<(Vec<Channel>, Vec<Channel>)> = Vec::new();
        changes.resize_with(self.state.links.len(), Default::default);
        for (channel, is_wanted) in self.wanted.changes() {
            let server = match channel.kind {
                Kind::Sharded => {
                    let number = layout.server_of(&channel.name);
                    number.map(|number| &layout.servers[number].name)
                }
                Kind::Plain | Kind::Pattern => home.as_ref(),
            };
            let mut links = self.state.links.iter();
            let Some(number) = links.position(|link| Some(&link.server) == server) else {
                self.state.is_unsettled = true;
                return Err(timed_out());
            };
            let is_subscribed = self.state.links[number].subscribed.contains(&channel);
            match (is_wanted, is_subscribed) {
                (true, false) => changes[number].0.push(channel),
                (false, true) => changes[number].1.push(channel),
                (true, true) | (false, false) => {}
            }
        }
        for (link, (missing, surplus)) in self.state.links.iter_mut().zip(changes) {
            settle(link, missing, surplus).await?;
        }
        Ok(())
    }

    /// Makes the links that are needed and missing, and drops those that are needed no more.
    async fn connect(&mut self, layout: &Arc<Layout>) -> RedisResult<()> {
        let needed = self.needed(layout);
        let is_needed = |link: &Link| needed.iter().any(|server| server.name == link.server);
        let before = self.state.links.len();
        self.state.links.retain(is_needed);
        self.state.has_gap |= self.state.links.len() < before;
        let is_missing = |server: &&Server| {
            !self
                .state
                .links
                .iter()
                .any(|link| link.server == server.name)
        };
        let missing: Vec<&Server> = needed.iter().filter(is_missing).collect();
        let first = self.state.next;
        self.state.next += missing.len() as u64;
        let (shared, inbound) = (&self.shared, &self.inbound);
        let events = &self.state.events;
        let attempts = (first..)
            .zip(missing)
            .map(|(number, server)| Link::connect(number, server, shared, inbound, events));
        let mut failure = None;
        for connected in join_all(attempts).await {
            match connected {
                Ok(link) => self.state.links.push(link),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The servers to which there must be links: all if channels are bound to servers, else one.
    fn needed(&self, layout: &Layout) -> Vec<Server> {
        if self.shared.config.mode.is_sharded() {
            return layout.servers.clone();
        }
        self.home(layout).cloned().into_iter().collect()
    }

    /// The server of the channels that are not bound to one.
    fn home<'a>(&self, layout: &'a Layout) -> Option<&'a Server> {
        // A link that is there is kept, whatever failed meanwhile.
        let linked = layout.servers.iter().find(|server| {
            let mut links = self.state.links.iter();
            links.any(|link| link.server == server.name)
        });
        let next = || {
            layout
                .servers
                .get(self.state.failures % layout.servers.len())
        };
        linked.or_else(next)
    }

    fn complain(&mut self, error: &RedisError) {
        if is_elsewhere(error) {
            self.shared.layouts.stale();
        }
        self.state.is_unsettled = true;
    }
}

async fn settle(
    link: &mut Link,
    mut missing: Vec<Channel>,
    mut surplus: Vec<Channel>,
) -> RedisResult<()> {
    missing.sort_by_key(rank);
    surplus.sort_by_key(|channel| Reverse(rank(channel)));
    link.unsubscribe(&surplus).await?;
    link.subscribe(&missing).await
}

/// The order in which channels are subscribed; it is turned round when they are given up.
///
/// Members that are not ours are counted as the difference of two counts. It must not seem larger
/// than it is: our own mark comes first. Who hears a statement must hear what it counts: they come
/// last.
fn rank(channel: &Channel) -> u8 {
    match &channel.name {
        name if name.ends_with(b"#ours") => 0,
        name if name.ends_with(b"#issued") => 2,
        _ => 1,
    }
}
