//! Three `redis-server` that share the slots. Test support: what goes wrong panics.

use std::time::Duration;

use redis::RedisResult;

use super::Redis;
use crate::process::{free_port, until};

const SLOTS: u32 = 16_384;

/// Three masters that share the slots, without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters. The first one has the lowest slots.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts it and waits until every node says that the cluster is whole.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    #[must_use]
    pub fn start() -> Self {
        let mut buses = Vec::new();
        let nodes: Vec<Redis> = (0..3)
            .map(|_| {
                let bus = free_port().to_string();
                let builder = Redis::builder().arguments(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ]);
                buses.push(bus);
                builder.start()
            })
            .collect();
        for (number, node) in (0_u32..).zip(&nodes) {
            let first = number * SLOTS / 3;
            let last = (number + 1) * SLOTS / 3 - 1;
            let mut command = redis::cmd("CLUSTER");
            command.arg("ADDSLOTSRANGE").arg(first).arg(last);
            let done: RedisResult<String> = command.query(&mut node.connection());
            done.expect("slots can be given");
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let mut command = redis::cmd("CLUSTER");
            command
                .arg("MEET")
                .arg("127.0.0.1")
                .arg(node.port())
                .arg(bus);
            let done: RedisResult<String> = command.query(&mut nodes[0].connection());
            done.expect("nodes can meet");
        }
        until("the cluster is whole", Duration::from_secs(60), || {
            nodes.iter().all(is_whole)
        });
        Self { nodes }
    }

    /// The URL of the first node, from which the others are found.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port())
    }

    /// Gives one slot to another master, as resharding does.
    ///
    /// # Panics
    ///
    /// When the cluster refuses.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let mut command = redis::cmd("CLUSTER");
        let id: RedisResult<String> = command.arg("MYID").query(&mut self.nodes[to].connection());
        let id = id.expect("a node has an id");
        // Else the others might believe what the old owner still says.
        let mut command = redis::cmd("CLUSTER");
        let done: RedisResult<String> = command
            .arg("BUMPEPOCH")
            .query(&mut self.nodes[to].connection());
        done.expect("a node can claim a newer epoch");
        // The new owner first: it must not forward to the old one what that one forwards to it.
        let others = (0..self.nodes.len()).filter(|&number| number != to);
        for number in std::iter::once(to).chain(others) {
            let mut command = redis::cmd("CLUSTER");
            command.arg("SETSLOT").arg(slot).arg("NODE").arg(&id);
            let done: RedisResult<String> = command.query(&mut self.nodes[number].connection());
            done.expect("a slot can be given away");
        }
    }
}

fn is_whole(node: &Redis) -> bool {
    let info: RedisResult<String> = redis::cmd("CLUSTER")
        .arg("INFO")
        .query(&mut node.connection());
    let info = info.expect("a node tells of its cluster");
    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
}
