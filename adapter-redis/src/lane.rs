//! The way of messages to one server: a connection that is made again and again, and a window of
//! messages on it that the server has not confirmed yet.
//!
//! A message is sent once. What was in the window when the connection broke may have arrived or
//! not, and is counted as dropped; what was still in the queue is sent on the next connection.

mod gate;
mod identity;
mod refused;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisResult};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::connect::{Server, timed_out};
use crate::outbound::OutQueue;
use crate::shared::Shared;

pub(crate) use gate::Gate;
use identity::Identity;
use window::{End, Window};

/// How long to wait for the new layout of a cluster before trying again.
const MOVED_PAUSE: Duration = Duration::from_millis(50);

/// Which server a lane leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Any one: all of them hand on what one gets.
    Any,
    /// The one of this name: the channels in the lane live there.
    Named(String),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) target: Target,
    pub(crate) queue: OutQueue,
    /// Closed while messages of the queue are about to go to another lane.
    pub(crate) gate: Gate,
    /// Channels came from another lane. Those who listen have to follow too, and are counted before
    /// anything is sent.
    pub(crate) has_gained: AtomicBool,
    /// Whether there is a connection.
    pub(crate) is_connected: AtomicBool,
    /// Cancelled when the server is no more one of those that carry messages.
    pub(crate) retired: CancellationToken,
}

impl Lane {
    /// Sends until the adapter is closed, or for ever.
    pub(crate) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = self.retired.cancelled() => {}
            () = self.send(&shared) => {}
        }
        // Nobody will send what is left. If the lane is retired, others have it.
        shared.dropped(self.queue.clear());
    }

    async fn send(&self, shared: &Shared) {
        let mut backoff = Backoff::new(&shared.config);
        let mut before: Option<Identity> = None;
        let mut attempt = 0;
        loop {
            if shared.has_finished() {
                return;
            }
            let lost = Arc::new(Notify::new());
            let was_old = shared.connector.is_old();
            match self.connect(shared, attempt, &lost).await {
                Ok((server, mut connection)) => {
                    backoff.reset();
                    let identity = Identity::of(&server, &mut connection).await;
                    let is_first = before.is_none();
                    if let Some(before) = before {
                        if shared.probe().is_none() {
                            // Else the subscriptions are what counts.
                            shared.counters.reconnects.add(1);
                        }
                        before.end(&identity, &mut connection).await;
                    }
                    let listeners = &shared.listeners;
                    let mut doubts = shared.doubts.subscribe();
                    if !is_first {
                        let patience = shared.patience();
                        listeners
                            .regroup(&server, &mut connection, shared, patience)
                            .await;
                    } else if shared.probe().is_none() && !self.has_gained.load(Ordering::Relaxed) {
                        listeners.learn(&mut connection, shared).await;
                    }
                    before = Some(identity);
                    if let Some(issued) = shared.issued() {
                        issued.repeat();
                    }
                    shared.subscribed().await;
                    self.is_connected.store(true, Ordering::Relaxed);
                    let end = self
                        .pump(shared, &server, connection, &lost, &mut doubts)
                        .await;
                    self.is_connected.store(false, Ordering::Relaxed);
                    match end {
                        End::Closed => return,
                        End::Moved | End::Held => {}
                        End::Lost => attempt += 1,
                    }
                    shared.layouts.stale();
                }
                // It works in the older protocol, if at all.
                Err(_) if shared.connector.is_old() != was_old => {}
                Err(error) => {
                    // Else it is told why there are no servers.
                    if shared.layouts.current().is_some() {
                        backoff.log(&error, "there is no connection to publish on");
                    }
                    attempt += 1;
                    shared.layouts.stale();
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Sends on one connection for as long as it can.
    async fn pump(
        &self,
        shared: &Shared,
        server: &Server,
        connection: MultiplexedConnection,
        lost: &Notify,
        doubts: &mut watch::Receiver<()>,
    ) -> End {
        loop {
            let pass = tokio::select! {
                biased;
                () = lost.notified() => return End::Lost,
                pass = self.gate.enter() => pass,
            };
            let window = Window::new(self, shared, connection.clone());
            let end = window.pump(server, lost, doubts).await;
            drop(pass);
            match end {
                End::Held => {}
                // Only some slots are elsewhere. As soon as it is known where, what is for them
                // leaves this queue.
                End::Moved if shared.has_server(server) => {
                    shared.layouts.stale();
                    tokio::time::sleep(MOVED_PAUSE).await;
                }
                End::Closed | End::Moved | End::Lost => return end,
            }
        }
    }

    async fn connect(
        &self,
        shared: &Shared,
        attempt: usize,
        lost: &Arc<Notify>,
    ) -> RedisResult<(Server, MultiplexedConnection)> {
        let layout = shared.layouts.current().ok_or_else(timed_out)?;
        let server = match &self.target {
            Target::Any => layout.servers.get(attempt % layout.servers.len()),
            Target::Named(name) => layout.servers.iter().find(|server| server.name == *name),
        };
        let server = server.ok_or_else(timed_out)?.clone();
        // Each answer has its time limit in the window.
        let mut settings = AsyncConnectionConfig::new().set_response_timeout(None);
        if !shared.connector.is_old() {
            let lost = Arc::clone(lost);
            settings = settings.set_push_sender(move |info: PushInfo| -> Result<(), ()> {
                if info.kind == PushKind::Disconnection {
                    lost.notify_one();
                }
                Ok(())
            });
        }
        let connected = shared.connector.connect(&server, settings).await?;
        tracing::debug!(server = server.name, "connected to publish");
        Ok((server, connected))
    }
}
