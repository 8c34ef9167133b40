//! Hands on what comes, over a connection of its own, and connects again for ever.

mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use lapin::Event;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::ShortString;
use socketio_core::cluster::wire::python::Python;
use socketio_core::cluster::wire::{Decoded, native};
use socketio_core::cluster::{ClusterMessage, ClusterResponse};
use socketio_core::ids::NodeId;
use tokio::time::Instant;

use crate::copies::Copies;
use crate::names;
use crate::shared::{Attempts, Failure, Heard, Shared};
use queue::Subscription;

/// Takes what comes. The calls come one after the other.
pub(crate) trait Sink: Send + Sync {
    fn message(&self, message: ClusterMessage);
    fn response(&self, response: ClusterResponse);
    /// Heard again, perhaps after a gap.
    fn connected(&self, gap: bool);
}

pub(crate) struct Reader {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    node: NodeId,
    key: ShortString,
    /// Hears what is meant for all, not only the answers to this one.
    everything: bool,
    python: Option<Arc<Python>>,
    copies: Copies,
    probe: Probe,
    /// A queue of the reliable mode was made by this process.
    made: bool,
    connections: u64,
}

/// Whether own messages come back.
struct Probe {
    number: u64,
    /// The one under way.
    sent: Option<Instant>,
    next: Instant,
    /// When something came last, whatever it was.
    heard: Instant,
}

impl Reader {
    /// Nothing if the id of `node` is longer than routing keys are.
    pub(crate) fn new(
        shared: Arc<Shared>,
        sink: Arc<dyn Sink>,
        node: NodeId,
        everything: bool,
    ) -> Option<Self> {
        let now = Instant::now();
        Some(Self {
            shared,
            sink,
            key: names::node_key(&node)?,
            node,
            everything,
            python: None,
            copies: Copies::default(),
            probe: Probe {
                // Others that share the key, if there should be any, count from elsewhere.
                number: first_number(),
                sent: None,
                next: now,
                heard: now,
            },
            made: false,
            connections: 0,
        })
    }

    /// Hears the exchanges of Python too.
    pub(crate) fn with_python(mut self, python: Option<Arc<Python>>) -> Self {
        self.python = python;
        self
    }

    /// Runs until the carrier stops.
    pub(crate) async fn run(mut self) {
        let mut attempts = Attempts::new(self.shared.config());
        let stop = self.shared.stop.clone();
        loop {
            let foreign = self.python.as_ref().map(|python| python.channels());
            let (foreign, made) = (foreign.unwrap_or_default(), self.made);
            let opening =
                Subscription::open(&self.shared, &self.key, self.everything, foreign, made);
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = opening => opened,
            };
            let failure = match opened {
                Ok(mut subscription) => {
                    self.made = true;
                    let end = tokio::select! {
                        () = stop.cancelled() => None,
                        failure = self.read(&mut subscription, &mut attempts) => Some(failure),
                    };
                    let Some(failure) = end else {
                        subscription.close(&self.shared).await;
                        return;
                    };
                    self.shared.counters.set_up(false);
                    failure
                }
                Err(failure) => failure,
            };
            self.shared.heard.send_if_modified(|heard| {
                let first = *heard == Heard::NotYet;
                if first {
                    *heard = Heard::Failed;
                }
                first
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = attempts.failed(&self.shared, "consuming", &failure) => {}
            }
        }
    }

    /// Reads until something goes wrong.
    async fn read(&mut self, from: &mut Subscription, attempts: &mut Attempts) -> Failure {
        let mut events = from.events();
        let batch = u32::from(self.shared.config().prefetch).div_ceil(4);
        let mut unacknowledged = 0;
        let mut last_tag = 0;
        let shared = Arc::clone(&self.shared);
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        self.copies.connected();
        self.probe.sent = None;
        self.probe.next = Instant::now();
        let mut verified = false;
        loop {
            // lapin's stream is always ready while there are messages.
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                () = &mut timer => match self.on_timer() {
                    Ok(next) => timer.as_mut().reset(next),
                    Err(failure) => return failure,
                },
                () = shared.renewed.notified() => {
                    self.send_probe();
                    timer.as_mut().reset(Instant::now());
                }
                delivery = from.consumer.next() => {
                    let delivery = match delivery {
                        Some(Ok(delivery)) => delivery,
                        Some(Err(error)) => return error.into(),
                        None => return Failure::Cancelled,
                    };
                    last_tag = delivery.delivery_tag;
                    unacknowledged += 1;
                    if self.take(delivery) {
                        let gap = !verified && self.connections > 0 && !from.survived;
                        if !verified {
                            attempts.succeeded();
                            self.count_connection();
                        }
                        self.verify(!verified, gap);
                        verified = true;
                    }
                    self.probe.heard = Instant::now();
                    if unacknowledged >= batch {
                        acknowledge(from, last_tag, &mut unacknowledged);
                    }
                }
                // Nothing more is there just now.
                () = std::future::ready(()), if unacknowledged > 0 => {
                    acknowledge(from, last_tag, &mut unacknowledged);
                }
                event = events.next() => match event {
                    Some(Event::Error(error)) if !from.is_sound() => return error.into(),
                    Some(_) => {}
                    None => return Failure::Cancelled,
                },
            }
        }
    }

    /// Takes a message; says whether it was the own one that was waited for.
    fn take(&mut self, delivery: Delivery) -> bool {
        let counters = &self.shared.counters;
        let publisher = delivery.properties.app_id();
        let own = publisher.as_ref() == Some(&self.shared.publisher);
        // But a probe and an answer to oneself.
        if own && delivery.routing_key != self.key {
            return false;
        }
        let id = delivery.properties.message_id().as_ref();
        let number = id.and_then(|id| id.as_str().parse().ok());
        let copy = match (publisher, number) {
            (Some(publisher), Some(number)) => self.copies.is_copy(publisher, number),
            // Other queues do not outlive their connection.
            _ if self.shared.is_reliable() => self.copies.is_redelivery(&delivery),
            _ => false,
        };
        if copy {
            return false;
        }
        let body = Bytes::from(delivery.data);
        let size = body.len();
        let decoded = if size > self.shared.config().max_message_bytes {
            Err(format!("{size} bytes are too many"))
        } else {
            let exchange = delivery.exchange.as_str();
            let python = self.python.as_ref();
            let python = python.filter(|_| exchange != self.shared.exchange.as_str());
            let decoded = match python {
                Some(python) => python.decode(exchange, &body),
                None => native::decode(&body),
            };
            decoded.map_err(|error| error.to_string())
        };
        if let Ok(Decoded::Probe(number)) = decoded {
            return own && number == self.probe.number;
        }
        counters.messages_in.increment();
        counters.bytes_in.add(size);
        match decoded {
            Ok(Decoded::Message(message)) => self.guard(|sink| sink.message(message)),
            Ok(Decoded::Response(response)) => self.guard(|sink| sink.response(response)),
            Ok(Decoded::Elsewhere { .. } | Decoded::Probe(_) | Decoded::Skip) => {}
            Err(error) => {
                // Anybody may publish anything any number of times.
                if counters.decode_errors.increment().is_power_of_two() {
                    let exchange = delivery.exchange.as_str();
                    tracing::warn!(exchange, error, "a message is not understood");
                }
            }
        }
        false
    }

    fn on_timer(&mut self) -> Result<Instant, Failure> {
        let now = Instant::now();
        let timeout = self.shared.config().probe_timeout;
        if let Some(sent) = self.probe.sent {
            let deadline = sent.max(self.probe.heard) + timeout;
            if now < deadline {
                return Ok(deadline);
            }
            let writing = self.shared.writing.load(Ordering::Relaxed);
            if writing && !self.shared.blocked.load(Ordering::Relaxed) {
                self.shared.mute.notify_one();
                return Err(Failure::Mute);
            }
            // It could not leave. The writer says when it can.
            return Ok(now + timeout);
        }
        if now >= self.probe.next {
            self.send_probe();
        }
        Ok(match self.probe.sent {
            Some(sent) => sent + timeout,
            None => self.probe.next,
        })
    }

    fn send_probe(&mut self) {
        self.probe.number = self.probe.number.wrapping_add(1);
        self.probe.sent = Some(Instant::now());
        let body = native::encode_probe(&self.node, self.probe.number);
        self.shared.outbox.probe(self.key.clone(), body);
    }

    /// An own message came back.
    fn verify(&mut self, first: bool, gap: bool) {
        let now = Instant::now();
        if let Some(sent) = self.probe.sent.take() {
            self.shared.counters.set_round_trip(now - sent);
        }
        self.probe.next = now + self.shared.config().probe_interval;
        self.shared.counters.set_up(true);
        let gap = self.shared.take_lost() || gap;
        if gap {
            self.shared.counters.gaps.increment();
        }
        if first || gap {
            tracing::info!(
                broker = self.shared.settings.broker(),
                gap,
                "RabbitMQ is connected"
            );
            self.guard(|sink| sink.connected(gap));
        }
        self.shared.heard.send_replace(Heard::Yes);
    }

    fn count_connection(&mut self) {
        self.connections += 1;
        if self.connections > 1 {
            self.shared.counters.reconnects.increment();
        }
    }

    /// A handler that panics does not end the reading.
    fn guard(&self, call: impl FnOnce(&dyn Sink)) {
        if catch_unwind(AssertUnwindSafe(|| call(self.sink.as_ref()))).is_err() {
            tracing::error!("a handler of cluster messages has panicked");
        }
    }
}

/// Tells the broker that all messages so far are done, so that it sends more.
fn acknowledge(from: &Subscription, tag: u64, unacknowledged: &mut u32) {
    *unacknowledged = 0;
    let options = BasicAckOptions { multiple: true };
    // The first poll hands the frame over. An error shows in the stream of messages too.
    let _ = from.channel.basic_ack(tag, options).now_or_never();
}

fn first_number() -> u64 {
    let mut bytes = [0; 8];
    // Without random numbers it is 0, and only the publisher's name tells our probes.
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
