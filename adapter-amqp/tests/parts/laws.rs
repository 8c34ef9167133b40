use std::sync::Arc;
use std::time::Duration;

use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, ExchangeType, Reliable};
use socketio_core::cluster::laws::{Fixture, all};
use socketio_core::cluster::{Adapter, BoxFuture};
use socketio_core::ids::NodeId;
use socketio_testkit::RabbitMq;

use crate::common::cluster;

struct Cluster {
    config: AmqpConfig,
    reliable: bool,
}

impl Fixture for Cluster {
    fn adapter(&self) -> Arc<dyn Adapter> {
        let mut config = self.config.clone();
        if self.reliable {
            config = config.reliable(Reliable::new(NodeId::generate().as_str()));
        }
        AmqpAdapter::new(config).expect("a valid configuration")
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(10)))
    }
}

pub(crate) async fn direct_exchange(rabbit: &RabbitMq) {
    let url = rabbit.url();
    all(|| Cluster {
        config: cluster(&url),
        reliable: false,
    })
    .await;
}

pub(crate) async fn topic_exchange(rabbit: &RabbitMq) {
    let url = rabbit.url();
    all(|| Cluster {
        config: cluster(&url).exchange_type(ExchangeType::Topic),
        reliable: false,
    })
    .await;
}

pub(crate) async fn reliable(rabbit: &RabbitMq) {
    let url = rabbit.url();
    all(|| Cluster {
        config: cluster(&url),
        reliable: true,
    })
    .await;
}
