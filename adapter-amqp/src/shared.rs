//! What the parts of one carrier share: the adapter or publisher, its writer, and its reader.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use parking_lot::Mutex;
use socketio_core::cluster::{AdapterCounters, AdapterError, Counter};
use socketio_core::ids::NodeId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{AmqpConfig, ConfigError, ExchangeType, Settings};
use crate::outbox::{Bounds, Outbox};

pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) exchange: ShortString,
    pub(crate) outbox: Outbox,
    pub(crate) counters: AdapterCounters,
    /// Why a connection was last lost or not made.
    pub(crate) last_error: Mutex<Option<String>>,
    /// Who publishes, as it stands in each message. Not the node's id: an emitter has none, and a
    /// restarted process must not be taken for its predecessor.
    pub(crate) publisher: ShortString,
    /// The broker has asked to publish nothing.
    pub(crate) blocked: AtomicBool,
    /// Connections of the writer after the first one.
    pub(crate) writer_reconnects: Counter,
    /// The writer can publish.
    pub(crate) writing: AtomicBool,
    /// Messages of ours were lost since the reader last told.
    lost: AtomicBool,
    /// Tells the reader that the writer is connected again.
    pub(crate) renewed: Notify,
    /// Tells the writer that nothing comes back.
    pub(crate) mute: Notify,
    pub(crate) heard: watch::Sender<Heard>,
    pub(crate) stop: CancellationToken,
}

/// Whether this node has heard itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Heard {
    #[default]
    NotYet,
    /// The first attempt has failed.
    Failed,
    Yes,
}

impl Shared {
    pub(crate) fn new(config: AmqpConfig) -> Result<Self, ConfigError> {
        let settings = Settings::new(config)?;
        let config = &settings.config;
        let bounds = Bounds {
            messages: config.queue_messages,
            bytes: config.queue_bytes,
            message: config.max_message_bytes,
            window: config.confirm_window,
            window_bytes: config.confirm_window_bytes,
        };
        Ok(Self {
            exchange: config.exchange.as_str().into(),
            outbox: Outbox::new(bounds),
            counters: AdapterCounters::default(),
            last_error: Mutex::default(),
            publisher: NodeId::generate().as_str().into(),
            blocked: AtomicBool::new(false),
            writer_reconnects: Counter::default(),
            writing: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            renewed: Notify::new(),
            mute: Notify::new(),
            heard: watch::Sender::default(),
            stop: CancellationToken::new(),
            settings: Arc::new(settings),
        })
    }

    pub(crate) fn config(&self) -> &AmqpConfig {
        &self.settings.config
    }

    pub(crate) fn is_reliable(&self) -> bool {
        self.config().reliable.is_some()
    }

    /// Queues a message for the shared exchange, and counts it if there is no room.
    pub(crate) fn push(&self, key: ShortString, body: Bytes) -> Result<(), AdapterError> {
        self.push_to(self.exchange.clone(), key, body)
    }

    /// Queues bytes for an exchange of other software.
    pub(crate) fn push_foreign(&self, exchange: &str, body: Bytes) -> Result<(), AdapterError> {
        let exchange = ShortString::try_new(exchange);
        let exchange = exchange.map_err(|error| AdapterError::Encode(error.into()))?;
        self.push_to(exchange, ShortString::default(), body)
    }

    fn push_to(
        &self,
        exchange: ShortString,
        key: ShortString,
        body: Bytes,
    ) -> Result<(), AdapterError> {
        let result = self.outbox.push(exchange, key, body);
        if matches!(result, Err(AdapterError::QueueFull)) {
            self.counters.dropped_out.increment();
        }
        result
    }

    /// Notes that messages of ours were lost: the others must be told anew what they know of us.
    pub(crate) fn note_lost(&self, count: usize) {
        if count > 0 {
            self.counters.dropped_out.add(count);
            self.counters.lost_out.add(count);
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether messages of ours were lost since the last call.
    pub(crate) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }

    /// Makes sure that the exchange is there.
    pub(crate) async fn declare_exchange(&self, channel: &Channel) -> lapin::Result<()> {
        let kind = match self.config().exchange_type {
            ExchangeType::Direct => ExchangeKind::Direct,
            ExchangeType::Topic => ExchangeKind::Topic,
        };
        let options = lapin::options::ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let name = self.exchange.clone();
        let arguments = lapin::types::FieldTable::default();
        channel
            .exchange_declare(name, kind, options, arguments)
            .await
    }

    /// Sends what is queued as long as the configuration allows, and gives up the rest.
    pub(crate) async fn drain(&self) {
        self.outbox.close();
        let limit = self.config().close_timeout;
        let _ = tokio::time::timeout(limit, self.outbox.flush()).await;
        let left = self.outbox.clear();
        self.counters.dropped_out.add(left);
        self.counters.lost_out.add(left);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

/// Makes sure that an exchange is there that programs in Python share, as they declare it. One that
/// somebody has declared otherwise is taken as it is.
pub(crate) async fn declare_foreign(
    connection: &Connection,
    exchange: &ShortString,
) -> lapin::Result<()> {
    for passive in [true, false] {
        // A channel of its own, because a refusal closes it.
        let channel = connection.create_channel().await?;
        let options = lapin::options::ExchangeDeclareOptions {
            passive,
            ..Default::default()
        };
        let arguments = lapin::types::FieldTable::default();
        let kind = ExchangeKind::Fanout;
        let declared = channel.exchange_declare(exchange.clone(), kind, options, arguments);
        match declared.await {
            Ok(()) => return channel.close(200, "OK".into()).await,
            Err(error) if passive && is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the broker says that something does not exist.
pub(crate) fn is_missing(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(cause) => {
            *cause.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
        }
        _ => false,
    }
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the broker has ended the subscription")]
    Cancelled,
    #[error(transparent)]
    Lapin(#[from] lapin::Error),
    #[error("own messages do not come back")]
    Mute,
    #[error("the broker could not take a message")]
    Nack,
}

impl Failure {
    /// Whether the broker was reached and does not want us, which only an operator can change.
    fn is_refusal(&self) -> bool {
        let Self::Lapin(error) = self else {
            return false;
        };
        let ErrorKind::ProtocolError(error) = error.kind() else {
            return false;
        };
        match error.kind() {
            AMQPErrorKind::Hard(error) => *error == AMQPHardError::NOTALLOWED,
            AMQPErrorKind::Soft(error) => {
                matches!(
                    error,
                    AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED
                )
            }
        }
    }
}

/// The pauses between attempts to connect, and what is said about failures.
pub(crate) struct Attempts {
    builder: ExponentialBuilder,
    backoff: ExponentialBackoff,
    said: Option<String>,
    refusals: u32,
}

/// The pause after refusals, because each one is an entry in the broker's log.
const AFTER_REFUSALS: Duration = Duration::from_secs(2);

/// So many are not taken seriously: a broker that is just starting refuses too.
const REFUSALS: u32 = 5;

impl Attempts {
    pub(crate) fn new(config: &AmqpConfig) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(config.min_backoff)
            .with_max_delay(config.max_backoff)
            .with_jitter()
            .without_max_times();
        let backoff = builder.build();
        Self {
            builder,
            backoff,
            said: None,
            refusals: 0,
        }
    }

    /// The connection works.
    pub(crate) fn succeeded(&mut self) {
        self.backoff = self.builder.build();
        self.said = None;
        self.refusals = 0;
    }

    /// Reports a failure, and waits before the next attempt. The same failure again and again is
    /// one warning.
    pub(crate) async fn failed(&mut self, shared: &Shared, part: &str, failure: &Failure) {
        let broker = shared.settings.broker();
        let text = failure.to_string();
        if self.said.as_ref() == Some(&text) {
            tracing::debug!(
                broker,
                part,
                error = text,
                "still no connection to RabbitMQ"
            );
        } else {
            tracing::warn!(broker, part, error = text, "no connection to RabbitMQ");
        }
        *shared.last_error.lock() = Some(text.clone());
        self.said = Some(text);
        let mut pause = self.backoff.next().unwrap_or(AFTER_REFUSALS);
        self.refusals = if failure.is_refusal() {
            self.refusals + 1
        } else {
            0
        };
        if self.refusals > REFUSALS {
            pause = pause.max(AFTER_REFUSALS);
        }
        tokio::time::sleep(pause).await;
    }
}
