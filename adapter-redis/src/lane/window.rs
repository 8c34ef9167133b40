//! Messages on their way over one connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Lane;
use super::refused::Refused;
use crate::connect::Server;
use crate::listeners::BEHIND;
use crate::outbound::{Content, Outgoing};
use crate::shared::Shared;
use crate::statement::Issued;

/// Bytes that are written together. More would not save much, and delay the first of them.
const BATCH_BYTES: usize = 64 << 10;
/// Messages that are written together.
const BATCH_MESSAGES: usize = 256;
/// Bytes that may be unconfirmed: about what is lost when a connection breaks.
const WINDOW_BYTES: usize = 1 << 20;
/// Batches that may be unconfirmed; below what a connection's own queue holds, so that handing one
/// over never waits.
const WINDOW_BATCHES: usize = 32;

/// For the last answers of a connection that is given up.
const FAREWELL: Duration = Duration::from_millis(50);

/// Why no more is sent on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything is sent, and nothing more will come.
    Closed,
    /// Other servers are responsible now.
    Moved,
    /// The lane is held back.
    Held,
    /// It broke, or answers no more.
    Lost,
}

struct Batch {
    at: Instant,
    size: usize,
    messages: usize,
}

type Sent = (Vec<Outgoing>, RedisResult<Vec<Value>>);

/// See the module.
pub(super) struct Window<'a> {
    lane: &'a Lane,
    shared: &'a Shared,
    connection: MultiplexedConnection,
    under_way: FuturesOrdered<BoxFuture<'static, Sent>>,
    /// The batches that are under way.
    sent: VecDeque<Batch>,
    bytes: usize,
    /// When something was last sent or confirmed.
    active: Instant,
    refused: Refused,
    /// Messages that fewer heard than should have, since that was last logged.
    unheard: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(
        lane: &'a Lane,
        shared: &'a Shared,
        connection: MultiplexedConnection,
    ) -> Self {
        Self {
            lane,
            shared,
            connection,
            under_way: FuturesOrdered::new(),
            sent: VecDeque::new(),
            bytes: 0,
            active: Instant::now(),
            refused: Refused::default(),
            unheard: 0,
        }
    }

    /// Sends what is queued until there is a reason to stop.
    pub(super) async fn pump(
        mut self,
        server: &Server,
        lost: &Notify,
        doubts: &mut watch::Receiver<()>,
    ) -> End {
        let end = self.pump_on(server, lost, doubts).await;
        // What was not confirmed may have arrived or not. What failed is known here at once; a
        // connection that neither answers nor breaks is not waited for.
        if timeout(FAREWELL, self.drain()).await.is_err() {
            self.under_way = FuturesOrdered::new();
        }
        // If nobody knows what has become of later messages, those before them come too late.
        if self.sent.is_empty() {
            self.refused.put_back(&self.lane.queue);
        }
        self.log_unheard();
        end
    }

    async fn drain(&mut self) {
        while let Some((batch, replies)) = self.under_way.next().await {
            self.sent.pop_front();
            self.account(batch, replies);
        }
    }

    async fn pump_on(
        &mut self,
        server: &Server,
        lost: &Notify,
        doubts: &mut watch::Receiver<()>,
    ) -> End {
        let limit = self.shared.config.heartbeat_timeout;
        let mut look = interval(limit / 4);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if !self.lane.gate.is_closed() && !self.is_sure(server, doubts).await {
                return End::Lost;
            }
            if !self.lane.has_gained.load(Ordering::Relaxed) {
                self.fill();
            }
            if self.under_way.is_empty() {
                if self.lane.gate.is_closed() {
                    return End::Held;
                }
                if !self.refused.is_empty() && !self.shared.has_finished() {
                    return End::Moved;
                }
                if self.shared.has_finished() {
                    let issued = self.shared.issued();
                    let statements = issued.map(Issued::last).unwrap_or_default();
                    if statements.is_empty() {
                        return End::Closed;
                    }
                    self.hand_over(statements);
                }
            }
            let is_held = self.lane.gate.is_closed();
            // If the gate has been closed since it was looked at, there is nothing to wait for.
            let may_fill = self.has_room() || self.under_way.is_empty();
            tokio::select! {
                biased;
                Some((batch, replies)) = self.under_way.next() => {
                    self.active = Instant::now();
                    let is_lost = replies.is_err();
                    if let Some(first) = self.sent.pop_front() {
                        self.bytes -= first.size;
                        if !is_lost {
                            let took = self.active - first.at;
                            let confirmations = &self.shared.counters.confirmations;
                            confirmations.observe_times(took, first.messages as u64);
                        }
                    }
                    self.account(batch, replies);
                    if is_lost {
                        return End::Lost;
                    }
                }
                () = self.lane.queue.filled(), if may_fill => behind_the_others().await,
                () = self.lane.gate.closed(), if may_fill => {}
                () = lost.notified() => return End::Lost,
                Ok(()) = doubts.changed(), if !is_held => doubts.mark_changed(),
                () = self.shared.finished(), if self.under_way.is_empty() => {}
                _ = look.tick() => {
                    self.log_unheard();
                    if let Some(issued) = self.shared.issued().filter(|_| self.has_room()) {
                        let statements = issued.due();
                        if !statements.is_empty() {
                            self.hand_over(statements);
                        }
                    }
                    let oldest = self.sent.front();
                    if oldest.is_some_and(|oldest| oldest.at.elapsed() > limit) {
                        tracing::warn!("the broker does not answer");
                        // The futures would end only with the connection.
                        self.under_way = FuturesOrdered::new();
                        return End::Lost;
                    }
                    if self.under_way.is_empty() && !self.shared.has_server(server) {
                        return End::Moved;
                    }
                }
            }
        }
    }

    /// Asks the server, if there is a reason to, whether the connection still works; and waits for
    /// those who listen, if they may not be there (any more). Says whether the connection works.
    async fn is_sure(&mut self, server: &Server, doubts: &mut watch::Receiver<()>) -> bool {
        // After a stall of the server this connection may go on, while the others give theirs up.
        let was_told = doubts.has_changed().unwrap_or(false);
        if was_told {
            doubts.mark_unchanged();
        }
        let has_gained = self.lane.has_gained.swap(false, Ordering::Relaxed);
        let limit = self.shared.config.heartbeat_timeout;
        if !was_told && !has_gained && !self.was_idle(limit / 2) {
            return true;
        }
        if !self.is_answered().await {
            self.lane.has_gained.fetch_or(has_gained, Ordering::Relaxed);
            return false;
        }
        if was_told || has_gained {
            let patience = if was_told {
                self.shared.patience()
            } else {
                BEHIND
            };
            let listeners = &self.shared.listeners;
            let regroup = listeners.regroup(server, &mut self.connection, self.shared, patience);
            tokio::select! {
                biased;
                () = self.lane.gate.closed() => {
                    // The next window does it.
                    if was_told {
                        doubts.mark_changed();
                    }
                    self.lane.has_gained.fetch_or(has_gained, Ordering::Relaxed);
                }
                () = regroup => {}
            }
        }
        true
    }

    /// Whether there is something to send after a long time in which the connection may have broken:
    /// firewalls forget those on which nothing moves.
    fn was_idle(&self, limit: Duration) -> bool {
        let is_idle = self.under_way.is_empty() && self.active.elapsed() > limit;
        is_idle && !self.lane.queue.is_empty()
    }

    /// Whether the connection still works. That of the older protocol does not tell when it breaks.
    async fn is_answered(&mut self) -> bool {
        let ping = redis::cmd("PING");
        let answer = ping.query_async::<Value>(&mut self.connection);
        let limit = self.shared.config.heartbeat_timeout;
        let is_answered = matches!(timeout(limit, answer).await, Ok(Ok(_)));
        self.active = Instant::now();
        is_answered
    }

    fn has_room(&self) -> bool {
        let has_room = self.bytes < WINDOW_BYTES && self.sent.len() < WINDOW_BATCHES;
        // What was refused goes first, so nothing may overtake it.
        has_room && self.refused.is_empty() && !self.lane.gate.is_closed()
    }

    fn fill(&mut self) {
        while self.has_room() {
            let batch = self.lane.queue.take(BATCH_BYTES, BATCH_MESSAGES);
            if batch.is_empty() {
                return;
            }
            let batch = match self.shared.issued() {
                Some(issued) => issued.accompany(batch),
                None => batch,
            };
            self.hand_over(batch);
        }
    }

    fn hand_over(&mut self, batch: Vec<Outgoing>) {
        let size = batch.iter().map(Outgoing::size).sum();
        self.active = Instant::now();
        self.bytes += size;
        self.sent.push_back(Batch {
            at: Instant::now(),
            size,
            messages: batch.iter().filter(|message| message.is_message()).count(),
        });
        let mut connection = self.connection.clone();
        let send = async move {
            let mut pipeline = Pipeline::with_capacity(batch.len());
            for message in &batch {
                let verb = if message.is_sharded {
                    "SPUBLISH"
                } else {
                    "PUBLISH"
                };
                let (channel, payload) = (&message.channel[..], &message.payload[..]);
                pipeline.cmd(verb).arg(channel).arg(payload);
            }
            let count = batch.len();
            let replies = connection.send_packed_commands(&pipeline, 0, count).await;
            (batch, replies)
        };
        self.under_way.push_back(Box::pin(send));
    }

    fn account(&mut self, batch: Vec<Outgoing>, replies: RedisResult<Vec<Value>>) {
        let counters = &self.shared.counters;
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => {
                // They may have arrived.
                let channels = batch.iter().map(|message| &message.channel);
                let overtaken: usize = channels.map(|it| self.refused.overtaken(it)).sum();
                let lost = overtaken + batch.iter().filter(|one| one.is_message()).count();
                // It does no harm if it comes twice.
                for probe in batch.into_iter().filter(Outgoing::is_probe) {
                    self.lane.queue.return_probe(probe);
                }
                tracing::debug!(%error, lost, "the fate of messages is unknown");
                self.shared.dropped(lost);
                return;
            }
        };
        let expected = self.shared.listeners.expected();
        let expected = expected.filter(|_| self.shared.counts_all());
        let mut unheard = 0;
        for (message, reply) in batch.into_iter().zip(replies) {
            match reply {
                Value::ServerError(error) => {
                    let kind = error.kind();
                    let is_elsewhere = matches!(
                        kind,
                        Some(ServerErrorKind::Moved | ServerErrorKind::ClusterDown)
                    );
                    if is_elsewhere {
                        self.refused.push(message);
                    } else if message.is_message() {
                        tracing::warn!(code = error.code(), "the broker refused a message");
                        self.shared.dropped(1);
                    }
                }
                reply => {
                    let audience = match &message.content {
                        Content::Message(audience) => audience,
                        Content::Probe => {
                            self.shared.probe_accepted(&message.payload);
                            continue;
                        }
                        Content::Statement => continue,
                    };
                    if let (Value::Int(heard), Some(expected)) = (reply, &expected)
                        && u64::try_from(heard).unwrap_or(0) < expected.of(audience)
                    {
                        unheard += 1;
                    }
                    let overtaken = self.refused.overtaken(&message.channel);
                    self.shared.dropped(overtaken);
                    counters.messages_out.add(1);
                    counters.bytes_out.add(message.size());
                    self.shared.flow.settle(1, 0);
                }
            }
        }
        if unheard > 0 {
            counters.unheard.add(unheard);
            self.unheard += unheard;
            // Perhaps somebody is gone for good.
            self.shared.recount.notify_one();
        }
    }

    fn log_unheard(&mut self) {
        let messages = std::mem::take(&mut self.unheard);
        if messages > 0 {
            tracing::warn!(messages, "fewer members than before have heard messages");
        }
    }
}

/// Lets what else is ready on this thread go first. A broadcast wakes the lane last, so it would go
/// before the node's own clients are written to; and what is published meanwhile leaves in the same
/// batch.
async fn behind_the_others() {
    let mut is_behind = false;
    poll_fn(|cx| {
        if is_behind {
            return Poll::Ready(());
        }
        is_behind = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Drop for Window<'_> {
    /// What is under way is forgotten: the server does not answer, or the adapter ends.
    fn drop(&mut self) {
        let sent: usize = self.sent.iter().map(|batch| batch.messages).sum();
        let lost = sent + self.refused.messages();
        if lost > 0 {
            tracing::warn!(lost, "the fate of messages is unknown");
            self.shared.dropped(lost);
        }
    }
}
