//! Names at the broker, and the arguments of queues. Pure.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable, ShortString};
use socketio_core::ids::NodeId;

use crate::config::AmqpConfig;

/// The routing key of what is meant for all nodes.
pub(crate) const ALL: &str = "all";

/// The routing key of what is meant for one node; none if its id is longer than keys may be, which
/// no node of ours has.
pub(crate) fn node_key(node: &NodeId) -> Option<ShortString> {
    ShortString::try_new(format!("node.{node}")).ok()
}

/// The queue of the reliable mode.
pub(crate) fn instance_queue(config: &AmqpConfig, instance: &str) -> ShortString {
    format!("{}.{instance}", config.exchange).into()
}

/// A queue that lives as long as its connection. A new name each time: the broker may take a while
/// to notice that an old connection is gone, and refuses its queues to others until then.
pub(crate) fn passing_queue(config: &AmqpConfig) -> ShortString {
    format!("{}.{}", config.exchange, NodeId::generate()).into()
}

/// What bounds a queue: of a node that does not keep up the oldest messages are dropped. With
/// `expiry` it goes away after so long without a subscription.
pub(crate) fn queue_arguments(config: &AmqpConfig, expiry: Option<Duration>) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    let number = |number: u32| AMQPValue::LongLongInt(number.into());
    set("x-max-length", number(config.broker_queue_messages));
    set("x-max-length-bytes", number(config.broker_queue_bytes));
    set("x-overflow", AMQPValue::LongString("drop-head".into()));
    if let Some(expiry) = expiry {
        let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        set("x-expires", AMQPValue::LongLongInt(expiry));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_key_unless_its_id_is_too_long() {
        let key = node_key(&NodeId::from("0123456789abcdef"));
        assert_eq!(key, Some("node.0123456789abcdef".into()));
        assert_eq!(node_key(&NodeId::from("x".repeat(251))), None);
        assert!(node_key(&NodeId::from("x".repeat(250))).is_some());
    }

    #[test]
    fn queues_are_bounded_and_named_ones_expire() {
        let config = AmqpConfig::new("amqp://h").exchange("e");
        let keys = |expiry| -> Vec<String> {
            let arguments = queue_arguments(&config, expiry);
            let keys = arguments.inner().keys();
            keys.map(ToString::to_string).collect()
        };
        let bounds = ["x-max-length", "x-max-length-bytes", "x-overflow"];
        assert_eq!(keys(None), bounds);
        let expiring = keys(Some(Duration::from_secs(1)));
        assert!(expiring.contains(&"x-expires".to_owned()));
        assert_ne!(passing_queue(&config), passing_queue(&config));
        assert_eq!(instance_queue(&config, "n"), "e.n".into());
    }
}
