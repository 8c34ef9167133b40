//! Publishes what is in the outbox, over a connection of its own, and connects again for ever.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Event};

use crate::link::Link;
use crate::outbox::{Letter, Next};
use crate::shared::{Attempts, Failure, Shared, declare_foreign};

/// A connection that is ready to publish.
pub(crate) struct Writer {
    link: Link,
    channel: Arc<Channel>,
    /// Exchanges of other software that are known to exist.
    declared: HashSet<ShortString>,
}

/// What has become of a letter, or of a probe if there is no number.
struct Outcome {
    letter: Option<(u64, usize)>,
    /// When it was handed to the connection.
    sent: Instant,
    result: lapin::Result<Confirmation>,
}

/// Runs until the carrier stops; begins with `writer` if there is one.
pub(crate) async fn run(shared: Arc<Shared>, mut writer: Option<Writer>) {
    let mut attempts = Attempts::new(shared.config());
    let stop = shared.stop.clone();
    let mut away = false;
    loop {
        let connected = match writer.take() {
            Some(writer) => Ok(writer),
            None => tokio::select! {
                () = stop.cancelled() => return,
                opened = Writer::open(&shared) => opened,
            },
        };
        let failure = match connected {
            Ok(mut writer) => {
                attempts.succeeded();
                if away {
                    shared.writer_reconnects.increment();
                }
                shared.writing.store(true, Ordering::Relaxed);
                shared.renewed.notify_one();
                let end = tokio::select! {
                    () = stop.cancelled() => None,
                    failure = writer.publish(&shared, hold(&shared, away)) => Some(failure),
                };
                shared.writing.store(false, Ordering::Relaxed);
                shared.blocked.store(false, Ordering::Relaxed);
                let Some(failure) = end else {
                    writer.link.close(shared.config().close_timeout).await;
                    return;
                };
                shared.counters.set_up(false);
                let lost = shared.outbox.connection_lost(shared.is_reliable());
                shared.note_lost(lost);
                failure
            }
            Err(failure) => failure,
        };
        away = true;
        tokio::select! {
            () = stop.cancelled() => return,
            () = attempts.failed(&shared, "publishing", &failure) => {}
        }
    }
}

/// How long letters wait behind a connection. When the broker was away, the others are connecting
/// again too, and what is published before their queues are there is lost, unless these survived.
fn hold(shared: &Shared, away: bool) -> Duration {
    if away && !shared.is_reliable() {
        // The longest pause of the others, and some time to connect.
        shared.config().max_backoff * 2 + Duration::from_millis(200)
    } else {
        Duration::ZERO
    }
}

impl Writer {
    pub(crate) async fn open(shared: &Shared) -> Result<Self, Failure> {
        let link = Link::open(&shared.settings, "publish").await?;
        let limit = shared.config().connect_timeout;
        let setup = async {
            let channel = link.connection.create_channel().await?;
            let options = ConfirmSelectOptions::default();
            channel.confirm_select(options).await?;
            shared.declare_exchange(&channel).await?;
            Ok::<_, lapin::Error>(Arc::new(channel))
        };
        let channel = within(limit, setup).await?;
        Ok(Self {
            link,
            channel,
            declared: HashSet::new(),
        })
    }

    /// Publishes until something goes wrong, letters only after `hold`.
    async fn publish(&mut self, shared: &Shared, hold: Duration) -> Failure {
        let mut events = self.link.events();
        let mut sent: FuturesUnordered<BoxFuture<'static, Outcome>> = FuturesUnordered::new();
        let mut blocked = self.link.connection.status().blocked();
        // A permit of before is about an earlier connection.
        let _ = shared.mute.notified().now_or_never();
        let mut held = !hold.is_zero();
        let hold = tokio::time::sleep(hold);
        tokio::pin!(hold);
        loop {
            while !blocked && let Some(next) = shared.outbox.next(held) {
                if let Err(error) = self.declare(shared, &next).await {
                    return error.into();
                }
                let mut sending = self.send(shared, next).boxed();
                // The first poll hands the frames over, so that letters leave in this order. The
                // rest is waiting for the confirmation, in any order.
                match futures_util::poll!(&mut sending) {
                    std::task::Poll::Pending => sent.push(sending),
                    std::task::Poll::Ready(outcome) => {
                        if let Err(failure) = settle(shared, outcome) {
                            return failure;
                        }
                    }
                }
            }
            tokio::select! {
                Some(outcome) = sent.next() => {
                    if let Err(failure) = settle(shared, outcome) {
                        return failure;
                    }
                }
                () = shared.outbox.changed(), if !blocked => {}
                () = &mut hold, if held => held = false,
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        let broker = shared.settings.broker();
                        tracing::warn!(broker, reason, "RabbitMQ takes no messages for now");
                        blocked = true;
                        shared.blocked.store(true, Ordering::Relaxed);
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ takes messages again");
                        blocked = false;
                        shared.blocked.store(false, Ordering::Relaxed);
                    }
                    // The question whether an exchange exists may have cost the channel it was
                    // asked on.
                    Some(Event::Error(error)) if !self.link.is_sound(&self.channel) => {
                        return error.into();
                    }
                    Some(_) => {}
                    None => return Failure::Cancelled,
                },
                () = shared.mute.notified() => return Failure::Mute,
            }
        }
    }

    /// Publishing to an exchange that does not exist would cost the channel.
    async fn declare(&mut self, shared: &Shared, next: &Next) -> lapin::Result<()> {
        let Next::Letter(letter) = next else {
            return Ok(());
        };
        let exchange = &letter.exchange;
        if *exchange != shared.exchange && !self.declared.contains(exchange) {
            let limit = shared.config().connect_timeout;
            within(limit, declare_foreign(&self.link.connection, exchange)).await?;
            self.declared.insert(exchange.clone());
        }
        Ok(())
    }

    fn send(&self, shared: &Shared, next: Next) -> impl Future<Output = Outcome> + Send + 'static {
        let channel = Arc::clone(&self.channel);
        let mut properties = BasicProperties::default().with_app_id(shared.publisher.clone());
        let (letter, exchange, key, body) = match next {
            Next::Letter(Letter {
                exchange,
                key,
                body,
                number,
            }) => {
                if shared.is_reliable() {
                    // By these numbers receivers know copies.
                    let id = ShortString::from(number.to_string());
                    properties = properties.with_message_id(id);
                }
                (Some((number, body.len())), exchange, key, body)
            }
            Next::Probe(key, body) => (None, shared.exchange.clone(), key, body),
        };
        if exchange != shared.exchange {
            // Without these Kombu gives its callers bytes.
            properties = properties
                .with_content_type("text/plain".into())
                .with_content_encoding("utf-8".into());
        }
        let persistent = shared.is_reliable() && letter.is_some();
        let properties = properties.with_delivery_mode(if persistent { 2 } else { 1 });
        async move {
            let sent = Instant::now();
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish(exchange, key, options, &body, properties);
            let result = match published.await {
                Ok(confirmation) => confirmation.await,
                Err(error) => Err(error),
            };
            Outcome {
                letter,
                sent,
                result,
            }
        }
    }
}

fn settle(shared: &Shared, outcome: Outcome) -> Result<(), Failure> {
    let confirmation = outcome.result?;
    let Some((number, size)) = outcome.letter else {
        return Ok(());
    };
    match confirmation {
        // A connection of its own puts it in its place again.
        Confirmation::Nack(_) if shared.is_reliable() => return Err(Failure::Nack),
        Confirmation::Nack(_) => {
            shared.outbox.settle(number, true);
            shared.note_lost(1);
        }
        Confirmation::Ack(_) | Confirmation::NotRequested => {
            let counters = &shared.counters;
            counters.confirmations.observe(outcome.sent.elapsed());
            counters.messages_out.increment();
            counters.bytes_out.add(size);
            // Last: who waits for it may look at the counters.
            shared.outbox.settle(number, false);
        }
    }
    Ok(())
}

/// Gives up with a time-out: lapin waits for ever where the broker is mute.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = lapin::Result<T>>,
) -> lapin::Result<T> {
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
