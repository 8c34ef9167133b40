//! The queue of this node, and the subscription to it.

use futures_util::Stream;
use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, Event};

use crate::link::Link;
use crate::names;
use crate::shared::{Failure, Shared, declare_foreign, is_missing};
use crate::writer::within;

pub(super) struct Subscription {
    pub(super) channel: Channel,
    pub(super) consumer: Consumer,
    /// The queue was there all the time since the last connection.
    pub(super) survived: bool,
    /// To be deleted in the end.
    lasting: Option<ShortString>,
    link: Link,
}

impl Subscription {
    /// Connects, and subscribes to a queue. `foreign` are exchanges of other software that are
    /// heard too; `made` says that this process had a queue before.
    pub(super) async fn open(
        shared: &Shared,
        key: &ShortString,
        everything: bool,
        foreign: &[String],
        made: bool,
    ) -> Result<Self, Failure> {
        let config = shared.config();
        let link = Link::open(&shared.settings, "consume").await?;
        let setup = async {
            let mut channel = link.connection.create_channel().await?;
            shared.declare_exchange(&channel).await?;
            let reliable = config.reliable.as_ref().filter(|_| everything);
            let lasting = reliable.map(|r| names::instance_queue(config, &r.instance));
            let survived = match &lasting {
                Some(queue) if made => {
                    let survived = exists(&channel, queue.clone()).await?;
                    if !survived {
                        // The question has closed it.
                        channel = link.connection.create_channel().await?;
                    }
                    survived
                }
                Some(queue) => {
                    // What an earlier process left is of no use: its clients are gone, and the
                    // nodes that it tells of may be gone too. Fails if a process is using it.
                    let options = QueueDeleteOptions {
                        if_unused: true,
                        ..Default::default()
                    };
                    channel.queue_delete(queue.clone(), options).await?;
                    false
                }
                None => false,
            };
            let queue = lasting.clone();
            let queue = queue.unwrap_or_else(|| names::passing_queue(config));
            if !survived {
                let options = QueueDeclareOptions {
                    durable: lasting.is_some(),
                    exclusive: lasting.is_none(),
                    auto_delete: lasting.is_none(),
                    ..Default::default()
                };
                let expiry = reliable.map(|reliable| reliable.expiry);
                let arguments = names::queue_arguments(config, expiry);
                let declared = channel.queue_declare(queue.clone(), options, arguments);
                declared.await?;
            }
            bind(shared, &channel, &queue, key.clone()).await?;
            if everything {
                bind(shared, &channel, &queue, names::ALL.into()).await?;
            }
            for name in foreign {
                let exchange = ShortString::from(name.as_str());
                declare_foreign(&link.connection, &exchange).await?;
                bind_to(exchange, &channel, &queue, ShortString::default()).await?;
            }
            let qos = BasicQosOptions::default();
            channel.basic_qos(config.prefetch, qos).await?;
            let options = BasicConsumeOptions {
                // A second node of the same name would take every other message.
                exclusive: true,
                ..Default::default()
            };
            let tag = ShortString::default();
            let consumer = channel.basic_consume(queue, tag, options, FieldTable::default());
            let consumer = consumer.await?;
            Ok((channel, consumer, survived, lasting))
        };
        let opened = within(config.connect_timeout, setup).await?;
        let (channel, consumer, survived, lasting) = opened;
        Ok(Self {
            channel,
            consumer,
            survived,
            lasting,
            link,
        })
    }

    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        self.link.events()
    }

    /// Whether an error that [`events`](Self::events) told of has done no harm here.
    pub(super) fn is_sound(&self) -> bool {
        self.link.is_sound(&self.channel)
    }

    /// Leaves nothing behind at the broker.
    pub(super) async fn close(self, shared: &Shared) {
        let limit = shared.config().close_timeout;
        if let Some(queue) = self.lasting {
            let options = QueueDeleteOptions::default();
            let _ = within(limit, self.channel.queue_delete(queue, options)).await;
        }
        self.link.close(limit).await;
    }
}

async fn bind(
    shared: &Shared,
    channel: &Channel,
    queue: &ShortString,
    key: ShortString,
) -> lapin::Result<()> {
    bind_to(shared.exchange.clone(), channel, queue, key).await
}

async fn bind_to(
    exchange: ShortString,
    channel: &Channel,
    queue: &ShortString,
    key: ShortString,
) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue.clone(), exchange, key, options, FieldTable::default());
    bound.await
}

/// Whether a queue exists. If not, the channel is closed.
async fn exists(channel: &Channel, queue: ShortString) -> lapin::Result<bool> {
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let declared = channel.queue_declare(queue, options, FieldTable::default());
    match declared.await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
