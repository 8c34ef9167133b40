//! Which nodes and clients still owe an answer, and until when.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::message::{ClusterResponse, ResponseBody};
use crate::ids::{NodeId, RequestId, SocketId};

/// What kind of answer completes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// From each node its number of recipients, and from each of those an acknowledgement.
    Broadcast,
    /// One answer from each node.
    OnePerNode,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// So many nodes whose names are not known: the carrier only counts its subscribers.
    Count(usize),
    /// These nodes.
    Nodes(Vec<NodeId>),
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestEvent {
    /// An answer came.
    Response(RequestId, ClusterResponse),
    /// Nothing more will be reported. What is missing is named; if nothing is, the answers are
    /// complete.
    Done(RequestId, Missing),
}

/// What a request did not get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// The nodes that did not answer, or left before all their clients did.
    pub nodes: Vec<NodeId>,
    /// How many more nodes did not answer, whose names are not known.
    pub unnamed_nodes: usize,
    /// The sockets that did not acknowledge, as far as their ids are known.
    pub sockets: Vec<SocketId>,
    /// How many clients did not acknowledge, of the nodes that told how many there are.
    pub acks: u64,
}

impl Missing {
    /// Whether all answers came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The requests of this node that are not answered yet.
///
/// A state machine like [`Members`](super::Members): after each call drain
/// [`poll_event`](Self::poll_event). Each request that was started is reported
/// [`Done`](RequestEvent::Done) exactly once, by its deadline at the latest, unless it is
/// [cancelled](Self::cancel).
#[derive(Debug, Default)]
pub struct Requests {
    pending: HashMap<RequestId, Pending>,
    events: VecDeque<RequestEvent>,
}

#[derive(Debug)]
struct Pending {
    kind: RequestKind,
    deadline: Instant,
    /// The nodes that are asked by name, sorted, so that what is missing is listed in order.
    nodes: BTreeMap<NodeId, Debt>,
    /// Nodes without a name that have not answered.
    unnamed: usize,
    /// What nodes owe that answered without saying who they are.
    anonymous: Debt,
    /// Nodes that left while they owed something.
    left: Vec<NodeId>,
    left_debt: Missing,
}

/// What one node owes.
#[derive(Debug, Default)]
struct Debt {
    answered: bool,
    /// Recipients that it named.
    recipients: u64,
    acks: u64,
    /// Those who owe an acknowledgement, where it named them.
    owing: HashSet<SocketId>,
    /// Those who have given it, so that a copy does not count.
    acked: HashSet<SocketId>,
}

impl Requests {
    /// No request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects answers to a request. Nobody being asked, it is done at once.
    pub fn start(
        &mut self,
        request: &RequestId,
        kind: RequestKind,
        expected: Expected,
        deadline: Instant,
    ) {
        let (nodes, unnamed) = match expected {
            Expected::Count(count) => (BTreeMap::new(), count),
            Expected::Nodes(nodes) => {
                let debts = nodes.into_iter().map(|node| (node, Debt::default()));
                (debts.collect(), 0)
            }
        };
        let pending = Pending {
            kind,
            deadline,
            nodes,
            unnamed,
            anonymous: Debt::default(),
            left: Vec::new(),
            left_debt: Missing::default(),
        };
        self.pending.insert(request.clone(), pending);
        self.finish_if_complete(request);
    }

    /// Takes an answer. One that nobody waits for, or that came before, is ignored.
    pub fn handle_response(&mut self, response: ClusterResponse) {
        let request = response.request.clone();
        let Some(pending) = self.pending.get_mut(&request) else {
            return;
        };
        if pending.accept(&response) {
            self.events
                .push_back(RequestEvent::Response(request.clone(), response));
            self.finish_if_complete(&request);
        }
    }

    /// Nothing more is to be expected of a node.
    pub fn handle_node_left(&mut self, node: &NodeId) {
        let mut affected: Vec<RequestId> = Vec::new();
        for (request, pending) in &mut self.pending {
            if pending.forget(node) {
                affected.push(request.clone());
            }
        }
        affected.sort();
        for request in affected {
            self.finish_if_complete(&request);
        }
    }

    /// Lets time pass: what is due is done, with what has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let pending = self.pending.iter();
        let mut due: Vec<RequestId> = pending
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(request, _)| request.clone())
            .collect();
        due.sort();
        for request in due {
            self.finish(request);
        }
    }

    /// Ends a request now, with what has come.
    pub fn end(&mut self, request: &RequestId) {
        self.finish(request.clone());
    }

    /// Forgets a request, because nobody waits for it any more.
    pub fn cancel(&mut self, request: &RequestId) {
        self.pending.remove(request);
    }

    /// Ends all requests with what has come, because this node leaves the cluster.
    pub fn finish_all(&mut self) {
        let mut all: Vec<RequestId> = self.pending.keys().cloned().collect();
        all.sort();
        for request in all {
            self.finish(request);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; none if nothing is asked.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<RequestEvent> {
        self.events.pop_front()
    }

    /// How many requests are not answered yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn finish_if_complete(&mut self, request: &RequestId) {
        if self.pending.get(request).is_some_and(Pending::is_complete) {
            self.finish(request.clone());
        }
    }

    fn finish(&mut self, request: RequestId) {
        if let Some(pending) = self.pending.remove(&request) {
            let missing = pending.missing();
            self.events.push_back(RequestEvent::Done(request, missing));
        }
    }
}

impl Pending {
    /// Books an answer; false if it does not count.
    fn accept(&mut self, response: &ClusterResponse) -> bool {
        let node = response.node.as_ref();
        if node.is_some_and(|node| self.left.contains(node)) {
            // It is reported as missing, so its late answers do not count.
            return false;
        }
        let named = node.and_then(|node| self.nodes.get_mut(node));
        let (debt, is_named) = match named {
            Some(debt) => (debt, true),
            None => (&mut self.anonymous, false),
        };
        match (&response.body, self.kind) {
            (ResponseBody::Ack { socket, .. }, RequestKind::Broadcast) => {
                if let Some(socket) = socket {
                    if !debt.acked.insert(socket.clone()) {
                        return false;
                    }
                    debt.owing.remove(socket);
                }
                debt.acks += 1;
                true
            }
            (ResponseBody::Recipients { count, sockets }, RequestKind::Broadcast) => {
                if is_named {
                    if debt.answered {
                        return false;
                    }
                    debt.answered = true;
                } else {
                    self.unnamed = self.unnamed.saturating_sub(1);
                }
                debt.recipients = debt.recipients.saturating_add(*count);
                // An acknowledgement may have overtaken this.
                let owing = sockets.iter().filter(|id| !debt.acked.contains(*id));
                debt.owing.extend(owing.cloned().collect::<Vec<_>>());
                true
            }
            (
                ResponseBody::ServerSideEmit(_)
                | ResponseBody::Sockets(_)
                | ResponseBody::SocketIds(_)
                | ResponseBody::Rooms(_),
                RequestKind::OnePerNode,
            ) => {
                if is_named {
                    return !std::mem::replace(&mut debt.answered, true);
                }
                // More answers than nodes were counted: one has come since. Its answer counts.
                self.unnamed = self.unnamed.saturating_sub(1);
                true
            }
            // The answer to another question.
            _ => false,
        }
    }

    /// Writes off what a node owes; false if it owes nothing.
    fn forget(&mut self, node: &NodeId) -> bool {
        let Some(debt) = self.nodes.get(node) else {
            return false;
        };
        if debt.is_paid(self.kind) {
            return false;
        }
        debt.add_to(&mut self.left_debt);
        self.left.push(node.clone());
        self.nodes.remove(node);
        true
    }

    fn is_complete(&self) -> bool {
        self.unnamed == 0
            && self.anonymous.outstanding() == 0
            && self.nodes.values().all(|debt| debt.is_paid(self.kind))
    }

    fn missing(self) -> Missing {
        let mut missing = self.left_debt;
        missing.nodes = self.left;
        missing.unnamed_nodes = self.unnamed;
        self.anonymous.add_to(&mut missing);
        for (node, debt) in &self.nodes {
            debt.add_to(&mut missing);
            if !debt.answered {
                missing.nodes.push(node.clone());
            }
        }
        missing.nodes.sort();
        missing.sockets.sort();
        missing
    }
}

impl Debt {
    fn is_paid(&self, kind: RequestKind) -> bool {
        self.answered && (kind == RequestKind::OnePerNode || self.outstanding() == 0)
    }

    fn outstanding(&self) -> u64 {
        self.recipients.saturating_sub(self.acks)
    }

    fn add_to(&self, missing: &mut Missing) {
        missing.acks = missing.acks.saturating_add(self.outstanding());
        missing.sockets.extend(self.owing.iter().cloned());
    }
}

#[cfg(test)]
mod tests;
