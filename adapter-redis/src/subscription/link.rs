//! One connection for subscriptions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::{MultiplexedConnection, PubSubSink};
use redis::{
    AsyncConnectionConfig, ErrorKind, Pipeline, PushInfo, PushKind, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::channel::{Channel, Kind};
use crate::connect::{Server, timed_out};
use crate::inbound::InboundQueue;
use crate::shared::Shared;

/// Channels that are subscribed with one write.
const BATCH: usize = 512;

/// What links tell the task that keeps them. Readers must not wait, and there are few events.
#[derive(Debug, Default)]
pub(super) struct Events {
    inner: Mutex<Vec<Event>>,
    added: Notify,
}

/// Something that happened to a link.
#[derive(Debug)]
pub(super) enum Event {
    /// The link of this number is broken.
    Lost(u64),
    /// The server of the link of this number has ended a subscription.
    Ended(u64, Bytes),
}

impl Events {
    fn add(&self, event: Event) {
        self.inner.lock().push(event);
        self.added.notify_one();
    }

    /// Waits for some.
    pub(super) async fn next(&self) -> Vec<Event> {
        loop {
            let events = std::mem::take(&mut *self.inner.lock());
            if !events.is_empty() {
                return events;
            }
            self.added.notified().await;
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) server: String,
    pub(super) subscribed: HashSet<Channel>,
    connection: Connection,
    patience: Duration,
}

#[derive(Clone)]
enum Connection {
    /// Of the newer protocol, in which the server pushes what was published.
    New(MultiplexedConnection),
    /// Of the older one, with the task that reads it.
    Old(
        PubSubSink,
        #[expect(dead_code, reason = "ends the task when dropped")] Arc<AbortOnDropHandle<()>>,
    ),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New(_) => "RESP3",
            Self::Old(..) => "RESP2",
        })
    }
}

impl Link {
    /// Connects. What is published from then on goes into `inbound`.
    pub(super) async fn connect(
        number: u64,
        server: &Server,
        shared: &Arc<Shared>,
        inbound: &Arc<InboundQueue>,
        events: &Arc<Events>,
    ) -> RedisResult<Self> {
        let reader = Reader {
            number,
            shared: Arc::clone(shared),
            inbound: Arc::clone(inbound),
            events: Arc::clone(events),
        };
        let patience = shared.config.heartbeat_timeout;
        let connection = if shared.connector.is_old() {
            if shared.config.mode.is_sharded() {
                return Err(RedisError::from((
                    ErrorKind::RESP3NotSupported,
                    "the server is too old for sharded channels",
                )));
            }
            let (sink, stream) = shared.connector.connect_old(server).await?.split();
            let task = tokio::spawn(reader.read(stream));
            Connection::Old(sink, Arc::new(AbortOnDropHandle::new(task)))
        } else {
            let settings = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
            let push = move |info: PushInfo| -> Result<(), ()> {
                reader.pushed(info);
                Ok(())
            };
            let settings = settings.set_push_sender(push);
            Connection::New(shared.connector.connect(server, settings).await?)
        };
        Ok(Self {
            number,
            server: server.name.clone(),
            subscribed: HashSet::new(),
            connection,
            patience,
        })
    }

    /// Subscribes channels, and waits until the server has confirmed them.
    pub(super) async fn subscribe(&mut self, channels: &[Channel]) -> RedisResult<()> {
        for batch in channels.chunks(BATCH) {
            self.command(batch, true).await?;
            self.subscribed.extend(batch.iter().cloned());
        }
        Ok(())
    }

    /// Ends the subscription of channels.
    pub(super) async fn unsubscribe(&mut self, channels: &[Channel]) -> RedisResult<()> {
        for batch in channels.chunks(BATCH) {
            for channel in batch {
                self.subscribed.remove(channel);
            }
            self.command(batch, false).await?;
        }
        Ok(())
    }

    async fn command(&mut self, channels: &[Channel], is_wanted: bool) -> RedisResult<()> {
        match &mut self.connection {
            Connection::New(connection) => {
                let mut pipeline = Pipeline::with_capacity(channels.len());
                for channel in channels {
                    pipeline
                        .cmd(verb(channel.kind, is_wanted))
                        .arg(&channel.name[..]);
                }
                let sent = connection.send_packed_commands(&pipeline, 0, channels.len());
                sent.await?.into_iter().try_for_each(|reply| match reply {
                    Value::ServerError(error) => Err(RedisError::from(error)),
                    _ => Ok(()),
                })
            }
            Connection::Old(sink, _) => {
                let told = tell_old(sink, channels, is_wanted);
                timeout(self.patience, told)
                    .await
                    .unwrap_or_else(|_| Err(timed_out()))
            }
        }
    }

    /// A question to the server that fails when it does not answer in time.
    pub(super) fn ping(&self) -> impl Future<Output = (u64, RedisResult<()>)> + Send + 'static {
        let (mut connection, number) = (self.connection.clone(), self.number);
        let patience = self.patience;
        async move {
            let ping = async {
                match &mut connection {
                    Connection::New(connection) => {
                        let mut command = redis::cmd("PING");
                        command.arg("").query_async::<Value>(connection).await
                    }
                    Connection::Old(sink, _) => sink.ping::<Value>().await,
                }
            };
            let answer = timeout(patience, ping)
                .await
                .unwrap_or_else(|_| Err(timed_out()));
            (number, answer.map(|_| ()))
        }
    }
}

/// Whether an error says that another server has the slot.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved))
}

fn verb(kind: Kind, is_wanted: bool) -> &'static str {
    match (kind, is_wanted) {
        (Kind::Plain, true) => "SUBSCRIBE",
        (Kind::Plain, false) => "UNSUBSCRIBE",
        (Kind::Pattern, true) => "PSUBSCRIBE",
        (Kind::Pattern, false) => "PUNSUBSCRIBE",
        (Kind::Sharded, true) => "SSUBSCRIBE",
        (Kind::Sharded, false) => "SUNSUBSCRIBE",
    }
}

async fn tell_old(sink: &mut PubSubSink, channels: &[Channel], is_wanted: bool) -> RedisResult<()> {
    // In order: what a count is compared with must be there before what is counted.
    for channel in channels {
        let name = &channel.name[..];
        match (channel.kind, is_wanted) {
            (Kind::Plain, true) => sink.subscribe(name).await?,
            (Kind::Plain, false) => sink.unsubscribe(name).await?,
            (Kind::Pattern, true) => sink.psubscribe(name).await?,
            (Kind::Pattern, false) => sink.punsubscribe(name).await?,
            (Kind::Sharded, _) => {}
        }
    }
    Ok(())
}

/// Brings what a connection receives into the queue.
struct Reader {
    number: u64,
    shared: Arc<Shared>,
    inbound: Arc<InboundQueue>,
    events: Arc<Events>,
}

impl Reader {
    async fn read(self, mut stream: redis::aio::PubSubStream) {
        while let Some(message) = stream.next().await {
            let channel = Bytes::copy_from_slice(message.get_channel_name().as_bytes());
            self.received(channel, Bytes::copy_from_slice(message.get_payload_bytes()));
        }
        self.events.add(Event::Lost(self.number));
    }

    fn pushed(&self, info: PushInfo) {
        let PushInfo { kind, mut data } = info;
        match kind {
            PushKind::Disconnection => self.events.add(Event::Lost(self.number)),
            PushKind::Message | PushKind::PMessage | PushKind::SMessage => {
                // `pmessage` has the pattern before channel and payload.
                let payload = data.pop();
                let channel = data.pop();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                    (channel, payload)
                {
                    self.received(channel.into(), payload.into());
                }
            }
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = data.into_iter().next() {
                    self.events.add(Event::Ended(self.number, channel.into()));
                }
            }
            // Confirmations are answers to commands too.
            _ => {}
        }
    }

    fn received(&self, channel: Bytes, payload: Bytes) {
        let probe = self.shared.probe();
        if !probe.is_some_and(|probe| probe.takes(&channel, &payload)) {
            self.inbound.push(channel, payload);
        }
    }
}
