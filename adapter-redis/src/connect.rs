//! Finding the servers that carry the messages: one, the one that Sentinels name, or a cluster's.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_routing::Slot;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value,
};
use tokio::time::timeout;

use crate::config::{Address, Place, elsewhere};

/// Looks for servers, and connects to them.
#[derive(Debug)]
pub(crate) struct Connector {
    address: Address,
    connect_timeout: Duration,
    /// Whether the server was seen not to know the newer protocol.
    is_old: AtomicBool,
}

/// One server that carries messages.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Host and port, or path: what tells servers apart.
    pub(crate) name: String,
    info: ConnectionInfo,
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The servers and what each is responsible for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    /// At least one. The first one carries what may be sent to any.
    pub(crate) servers: Vec<Server>,
    /// The slots of a cluster and the number of the server that has each; empty without a cluster.
    slots: HashMap<Slot, usize>,
}

impl Layout {
    /// The number of the server on which a sharded channel lives, if one has it at the moment.
    pub(crate) fn server_of(&self, channel: &[u8]) -> Option<usize> {
        if self.slots.is_empty() {
            return Some(0);
        }
        self.slots.get(&Slot::for_key(channel)).copied()
    }

    /// The servers of this layout that have something which with `other` they have not.
    pub(crate) fn losing<'a>(&'a self, other: &Self) -> HashSet<&'a str> {
        let server_in = |layout: &'a Self, number: usize| &layout.servers[number];
        let lost = self.slots.iter().filter(|&(slot, &number)| {
            let with_other = other.slots.get(slot).map(|&to| &other.servers[to]);
            with_other != Some(server_in(self, number))
        });
        let lost = lost.map(|(_, &number)| server_in(self, number));
        // What may be sent to any goes to the first.
        let is_other = self.servers.first() != other.servers.first();
        let first = self.servers.first().filter(|_| is_other);
        lost.chain(first).map(|server| &*server.name).collect()
    }
}

impl Connector {
    pub(crate) fn new(address: Address, connect_timeout: Duration) -> Self {
        Self {
            address,
            connect_timeout,
            is_old: AtomicBool::new(false),
        }
    }

    /// Whether servers may come to be others without a connection breaking.
    pub(crate) fn may_move(&self) -> bool {
        !matches!(self.address.place, Place::Single(_))
    }

    /// Whether the servers share slots.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.address.place, Place::Cluster(_))
    }

    /// Asks which servers there are.
    pub(crate) async fn layout(&self) -> RedisResult<Layout> {
        match &self.address.place {
            Place::Single(info) => Ok(Layout::single(info.clone())),
            Place::Sentinel {
                sentinels,
                service,
                master,
            } => self.master(sentinels, service, master).await,
            Place::Cluster(nodes) => self.cluster(nodes).await,
        }
    }

    /// Connects once, to see whether that works.
    pub(crate) async fn reach(&self) -> RedisResult<()> {
        let is_old = self.is_old();
        let mut reached = self.reach_first().await;
        if reached.is_err() && self.is_old() != is_old {
            reached = self.reach_first().await;
        }
        reached
    }

    async fn reach_first(&self) -> RedisResult<()> {
        let layout = self.layout().await?;
        let server = layout.servers.first().ok_or_else(timed_out)?;
        self.connect(server, AsyncConnectionConfig::new()).await?;
        Ok(())
    }

    /// Connects for commands. What is pushed by the server goes to `push`.
    pub(crate) async fn connect(
        &self,
        server: &Server,
        settings: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let settings = settings.set_connection_timeout(Some(self.connect_timeout));
        let connected = self.client(server)?;
        let connected = connected.get_multiplexed_async_connection_with_config(&settings);
        connected.await.inspect_err(|error| self.learn(error))
    }

    /// Connects for subscriptions in the older protocol.
    pub(crate) async fn connect_old(&self, server: &Server) -> RedisResult<redis::aio::PubSub> {
        let client = self.client(server)?;
        match timeout(self.connect_timeout, client.get_async_pubsub()).await {
            Ok(connected) => connected,
            Err(_) => Err(timed_out()),
        }
    }

    /// Whether the older protocol is spoken.
    pub(crate) fn is_old(&self) -> bool {
        self.address.wants_resp2() || self.is_old.load(Ordering::Relaxed)
    }

    fn client(&self, server: &Server) -> RedisResult<Client> {
        self.address.client(&server.info, !self.is_old())
    }

    /// Remembers that a server is too old for the newer protocol.
    fn learn(&self, error: &RedisError) {
        // The client knows the words of old servers. Others refuse the command too, in other words:
        // newer ones where it is disabled, and what stands before a server.
        let details = error.detail().unwrap_or_default();
        let is_unknown = details.contains("unknown command") && details.contains("HELLO");
        let is_old = is_unknown || error.kind() == ErrorKind::RESP3NotSupported;
        if is_old && self.address.may_fall_back() {
            self.is_old.store(true, Ordering::Relaxed);
        }
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        info: &ConnectionInfo,
        command: &redis::Cmd,
    ) -> RedisResult<T> {
        let server = Server::new(info.clone());
        let settings =
            AsyncConnectionConfig::new().set_response_timeout(Some(self.connect_timeout));
        let mut connection = self.connect(&server, settings).await?;
        command.query_async(&mut connection).await
    }

    /// The first Sentinel that names a server which says itself that it is the master.
    async fn master(
        &self,
        sentinels: &[ConnectionInfo],
        service: &str,
        master: &ConnectionInfo,
    ) -> RedisResult<Layout> {
        let mut last = None;
        for sentinel in sentinels {
            match self.ask_sentinel(sentinel, service, master).await {
                Ok(layout) => return Ok(layout),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| RedisError::from((ErrorKind::EmptySentinelList, "no Sentinel"))))
    }

    async fn ask_sentinel(
        &self,
        sentinel: &ConnectionInfo,
        service: &str,
        master: &ConnectionInfo,
    ) -> RedisResult<Layout> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let found: Option<(String, u16)> = self.ask(sentinel, &command).await?;
        let (host, port) = found.ok_or_else(|| {
            let kind = ErrorKind::MasterNameNotFoundBySentinel;
            RedisError::from((kind, "the Sentinel does not know the service"))
        })?;
        let info = elsewhere(master, &host, port);
        let role: Vec<Value> = self.ask(&info, &redis::cmd("ROLE")).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(Layout::single(info)),
            _ => Err(RedisError::from((
                ErrorKind::Client,
                "the server that the Sentinel names is no master (yet)",
            ))),
        }
    }

    /// What the first node that answers tells of the cluster.
    async fn cluster(&self, nodes: &[ConnectionInfo]) -> RedisResult<Layout> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut last = None;
        for node in nodes {
            let told = self.ask::<Vec<Value>>(node, &command).await;
            match told.and_then(|told| Layout::of_cluster(&told, node)) {
                Ok(layout) => return Ok(layout),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(timed_out))
    }
}

impl Server {
    fn new(info: ConnectionInfo) -> Self {
        Self {
            name: info.addr().to_string(),
            info,
        }
    }
}

impl Layout {
    fn single(info: ConnectionInfo) -> Self {
        Self {
            servers: vec![Server::new(info)],
            slots: HashMap::new(),
        }
    }

    /// Reads the answer to `CLUSTER SLOTS`: first slot, last slot, master, replicas.
    fn of_cluster(told: &[Value], asked: &ConnectionInfo) -> RedisResult<Self> {
        let mut layout = Self {
            servers: Vec::new(),
            slots: HashMap::new(),
        };
        for entry in told {
            let Some((range, host, port)) = slot_range(entry) else {
                return Err(RedisError::from((
                    ErrorKind::Parse,
                    "the answer to CLUSTER SLOTS is not understood",
                )));
            };
            // A node that does not know its own address leaves it out.
            let info = match host {
                Some(host) => elsewhere(asked, &host, port),
                None => asked.clone(),
            };
            let server = Server::new(info);
            let known = (layout.servers.iter()).position(|known| known.name == server.name);
            let number = known.unwrap_or_else(|| {
                layout.servers.push(server);
                layout.servers.len() - 1
            });
            let slots = range.filter_map(Slot::new).map(|slot| (slot, number));
            layout.slots.extend(slots);
        }
        if layout.servers.is_empty() {
            return Err(RedisError::from((
                ErrorKind::ClusterConnectionNotFound,
                "no node of the cluster has slots",
            )));
        }
        Ok(layout)
    }
}

fn slot_range(entry: &Value) -> Option<(RangeInclusive<u16>, Option<String>, u16)> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = entry.as_slice()
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok(),
        _ => None,
    };
    let number = |value: &i64| u16::try_from(*value).ok();
    Some((number(first)?..=number(last)?, host, number(port)?))
}

pub(crate) fn timed_out() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}
