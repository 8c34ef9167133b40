//! What the cluster answers.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use socketio_core::cluster::{Missing, ResponseBody};
use socketio_core::ids::{NodeId, SocketId};
use socketio_core::payload::Payload;
use socketio_core::value::ValueError;

use crate::ask::{Gathering, sockets_of};

/// The answer of one client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ack<R> {
    /// The socket, unless it is one of a Node.js server, which does not say.
    pub socket: Option<SocketId>,
    /// What the client answered, or why it is not of the type that was asked for.
    pub data: Result<R, ValueError>,
}

/// All answers of clients.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AllAcks<R> {
    /// The answers, in the order in which they came.
    pub acks: Vec<Ack<R>>,
    /// The clients and nodes that did not answer in time.
    pub missing: Missing,
}

impl<R> AllAcks<R> {
    /// Whether every client on every node has answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The answers that are of the type that was asked for.
    pub fn into_data(self) -> impl Iterator<Item = R> {
        self.acks.into_iter().filter_map(|ack| ack.data.ok())
    }
}

impl AllAcks<Payload> {
    pub(crate) fn decode<R: DeserializeOwned>(self) -> AllAcks<R> {
        let decode = |ack: Ack<Payload>| Ack {
            socket: ack.socket,
            data: ack.data.and_then(|data| data.deserialize_args(false)),
        };
        AllAcks {
            acks: self.acks.into_iter().map(decode).collect(),
            missing: self.missing,
        }
    }
}

/// The answers of clients, one after the other. Dropping it forgets those that have not come.
#[derive(Debug)]
#[must_use = "the answers come through this"]
pub struct Acks<R> {
    gathering: Gathering,
    data: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Acks<R> {
    pub(crate) fn new(gathering: Gathering) -> Self {
        Self {
            gathering,
            data: PhantomData,
        }
    }

    /// The next answer; none when all have come, or the time is over.
    ///
    /// # Cancel safety
    ///
    /// No answer is lost.
    pub async fn next(&mut self) -> Option<Ack<R>> {
        let (socket, payload) = self.next_payload().await?;
        let data = payload.deserialize_args(false);
        Some(Ack { socket, data })
    }

    /// As [`next`](Self::next), with the arguments as they came.
    ///
    /// # Cancel safety
    ///
    /// No answer is lost.
    pub async fn next_payload(&mut self) -> Option<(Option<SocketId>, Payload)> {
        while let Some(response) = self.gathering.next().await {
            if let ResponseBody::Ack { socket, payload } = response.body {
                return Some((socket, payload));
            }
        }
        None
    }

    /// Waits for all answers.
    pub async fn collect(self) -> AllAcks<R> {
        self.collect_payloads().await.decode()
    }

    /// As [`collect`](Self::collect), with the arguments as they came.
    pub async fn collect_payloads(mut self) -> AllAcks<Payload> {
        let mut acks = Vec::new();
        while let Some((socket, payload)) = self.next_payload().await {
            let data = Ok(payload);
            acks.push(Ack { socket, data });
        }
        AllAcks {
            acks,
            missing: self.missing(),
        }
    }

    /// What has not come; nothing before [`next`](Self::next) has told the end.
    #[must_use]
    pub fn missing(&self) -> Missing {
        self.gathering.missing()
    }
}

/// How many sockets there are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// So many, on all nodes that answered.
    pub sockets: u64,
    /// The nodes of ours that were asked.
    pub nodes: Vec<NodeId>,
    /// The nodes that did not answer in time, whose sockets are not counted.
    pub missing: Missing,
}

impl Count {
    pub(crate) async fn gather(mut gathering: Gathering) -> Self {
        let mut sockets = 0;
        while let Some(response) = gathering.next().await {
            sockets += sockets_of(&response.body);
        }
        Self {
            sockets,
            nodes: gathering.nodes().to_vec(),
            missing: gathering.missing(),
        }
    }

    /// Whether every node has answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// The answer of one server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reply<R> {
    /// The node, unless it is one of Node.js, which does not say.
    pub node: Option<NodeId>,
    /// What it answered, or why that is not of the type that was asked for.
    pub data: Result<R, ValueError>,
}

/// The answers of servers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Replies<R> {
    /// The answers, in the order in which they came.
    pub replies: Vec<Reply<R>>,
    /// The nodes that did not answer in time.
    pub missing: Missing,
}

impl Replies<Payload> {
    pub(crate) async fn gather(mut gathering: Gathering) -> Self {
        let mut replies = Vec::new();
        while let Some(response) = gathering.next().await {
            if let ResponseBody::ServerSideEmit(payload) = response.body {
                replies.push(Reply {
                    node: response.node,
                    data: Ok(payload),
                });
            }
        }
        Self {
            replies,
            missing: gathering.missing(),
        }
    }

    pub(crate) fn decode<R: DeserializeOwned>(self) -> Replies<R> {
        let decode = |reply: Reply<Payload>| Reply {
            node: reply.node,
            data: reply.data.and_then(|data| data.deserialize_args(false)),
        };
        Replies {
            replies: self.replies.into_iter().map(decode).collect(),
            missing: self.missing,
        }
    }
}

impl<R> Replies<R> {
    /// Whether every node has answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}
