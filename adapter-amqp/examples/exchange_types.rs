//! What the type of the exchange costs the broker: a fanout exchange with answers by the default
//! exchange, against direct and topic exchanges that carry both. Starts a broker of its own.
//!
//! The broker's processor time is the figure to look at: it is the same whatever the client costs.

use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use socketio_testkit::RabbitMq;

const MESSAGES: usize = 20_000;
const BODY: [u8; 300] = [7; 300];

struct Cluster {
    _connection: Connection,
    channel: Channel,
    consumers: Vec<Consumer>,
    exchange: String,
    /// 2 for messages that go to the disk.
    mode: u8,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rabbit = tokio::task::block_in_place(RabbitMq::start);
    // The last one is what the reliable mode does.
    let kinds = [
        (ExchangeKind::Fanout, false),
        (ExchangeKind::Direct, false),
        (ExchangeKind::Topic, false),
        (ExchangeKind::Direct, true),
    ];
    for nodes in [3, 10] {
        for round in 0..3 {
            for (kind, lasting) in &kinds {
                let name = format!("{kind:?}-{lasting}-{nodes}-{round}");
                let mut cluster = Cluster::new(&rabbit, kind, *lasting, &name, nodes).await?;
                let exchange = cluster.exchange.clone();
                let all = cluster.run(&rabbit, &exchange, "all", nodes).await?;
                let one = match kind {
                    ExchangeKind::Fanout => {
                        cluster.run(&rabbit, "", &format!("{name}.0"), 1).await?
                    }
                    _ => cluster.run(&rabbit, &exchange, "node.0", 1).await?,
                };
                let latency = cluster.latency(&exchange).await?;
                eprintln!(
                    "{nodes} nodes {kind:?} lasting {lasting}: to all {} µs of the broker's time a message ({} /s), \
                     to one {} µs ({} /s), alone p50 {} µs",
                    all.0,
                    all.1,
                    one.0,
                    one.1,
                    latency.as_micros()
                );
            }
        }
    }
    Ok(())
}

impl Cluster {
    async fn new(
        rabbit: &RabbitMq,
        kind: &ExchangeKind,
        lasting: bool,
        name: &str,
        nodes: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let connection =
            Connection::connect(&rabbit.url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let options = ExchangeDeclareOptions {
            durable: lasting,
            ..Default::default()
        };
        let declared =
            channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default());
        declared.await?;
        let mut consumers = Vec::new();
        for node in 0..nodes {
            let queue = format!("{name}.{node}");
            let options = QueueDeclareOptions {
                durable: lasting,
                exclusive: !lasting,
                auto_delete: !lasting,
                ..Default::default()
            };
            let declared =
                channel.queue_declare(queue.as_str().into(), options, FieldTable::default());
            declared.await?;
            for key in ["all".to_owned(), format!("node.{node}")] {
                let options = QueueBindOptions::default();
                let queue = queue.as_str().into();
                let bound = channel.queue_bind(
                    queue,
                    name.into(),
                    key.into(),
                    options,
                    FieldTable::default(),
                );
                bound.await?;
            }
            let options = BasicConsumeOptions {
                no_ack: true,
                ..Default::default()
            };
            let tag = queue.as_str().into();
            let consumer =
                channel.basic_consume(queue.as_str().into(), tag, options, FieldTable::default());
            consumers.push(consumer.await?);
        }
        Ok(Self {
            _connection: connection,
            channel,
            consumers,
            exchange: name.to_owned(),
            mode: if lasting { 2 } else { 1 },
        })
    }

    /// The broker's time for a message in µs, and messages per second.
    async fn run(
        &mut self,
        rabbit: &RabbitMq,
        exchange: &str,
        key: &str,
        receivers: usize,
    ) -> Result<(u64, u64), Box<dyn Error>> {
        let (start, before) = (Instant::now(), processor_time(rabbit)?);
        let receiving = self
            .consumers
            .iter_mut()
            .take(receivers)
            .map(|consumer| async { consumer.take(MESSAGES).count().await });
        let receiving = futures_util::future::join_all(receiving);
        let (channel, mode) = (&self.channel, self.mode);
        let sending = async {
            let mut window = FuturesUnordered::new();
            for _ in 0..MESSAGES {
                if window.len() >= 256 {
                    window.next().await;
                }
                window.push(async {
                    let options = BasicPublishOptions::default();
                    let properties = BasicProperties::default().with_delivery_mode(mode);
                    let published = channel.basic_publish(
                        exchange.into(),
                        key.into(),
                        options,
                        &BODY,
                        properties,
                    );
                    published.await?.await
                });
            }
            while window.next().await.is_some() {}
        };
        tokio::join!(receiving, sending);
        let used = processor_time(rabbit)?.saturating_sub(before);
        let rate = MESSAGES as f64 / start.elapsed().as_secs_f64();
        Ok((used.as_micros() as u64 / MESSAGES as u64, rate as u64))
    }

    /// From publishing to arrival at all, with nothing else under way.
    async fn latency(&mut self, exchange: &str) -> Result<Duration, Box<dyn Error>> {
        let mut times = Vec::new();
        let mode = self.mode;
        for _ in 0..500 {
            let start = Instant::now();
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default().with_delivery_mode(mode);
            let published = self.channel.basic_publish(
                exchange.into(),
                "all".into(),
                options,
                &BODY,
                properties,
            );
            let confirm = published.await?;
            for consumer in &mut self.consumers {
                consumer.next().await;
            }
            times.push(start.elapsed());
            confirm.await?;
        }
        times.sort();
        Ok(times[times.len() / 2])
    }
}

fn processor_time(rabbit: &RabbitMq) -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", rabbit.id()))?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
