//! Which nodes and clients still owe an answer, and until when.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Instant;

use bytestring::ByteString;

use super::message::{ClusterResponse, ResponseBody};
use crate::ids::{NodeId, RequestId, SocketId};

/// What kind of answer completes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// From each node its number of recipients, and from each of those an acknowledgement.
    Broadcast,
    /// As [`Broadcast`](Self::Broadcast), but the first acknowledgement is all that is wanted.
    SingleAck,
    /// One answer from each node.
    OnePerNode,
}

/// Who is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// These nodes.
    pub nodes: Vec<NodeId>,
    /// So many more whose names are not known: the carrier only counts its subscribers.
    pub unnamed: usize,
    /// Others may be there that nobody can count, and clients of theirs may acknowledge. So a
    /// [`SingleAck`](RequestKind::SingleAck) ends with its first acknowledgement only, and a
    /// [`Broadcast`](RequestKind::Broadcast) by its deadline. Other answers they do not give.
    pub uncounted: bool,
}

impl Expected {
    /// These nodes and nobody else.
    #[must_use]
    pub fn nodes(nodes: Vec<NodeId>) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// So many nodes without names.
    #[must_use]
    pub fn count(unnamed: usize) -> Self {
        Self {
            unnamed,
            ..Self::default()
        }
    }
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
/// [`Done`](RequestEvent::Done) exactly once, by its deadline at the latest.
#[derive(Debug, Default)]
pub struct Requests {
    pending: HashMap<RequestId, Pending>,
    events: VecDeque<RequestEvent>,
}

#[derive(Debug)]
struct Pending {
    namespace: ByteString,
    kind: RequestKind,
    deadline: Instant,
    /// The nodes that are asked by name, sorted, so that what is missing is listed in order.
    nodes: BTreeMap<NodeId, Debt>,
    /// Foreign members that have not answered.
    unnamed: usize,
    /// An answer may come from somebody who is not counted.
    uncounted: bool,
    /// What nodes owe that gave a name which was not expected: foreign members, and those that
    /// have come since.
    others: BTreeMap<NodeId, Debt>,
    /// What nodes owe that answered without saying who they are.
    anonymous: Debt,
    /// An acknowledgement has come.
    acked: bool,
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
        namespace: &str,
        kind: RequestKind,
        expected: Expected,
        deadline: Instant,
    ) {
        let nodes = expected.nodes.into_iter();
        let pending = Pending {
            namespace: namespace.into(),
            kind,
            deadline,
            nodes: nodes.map(|node| (node, Debt::default())).collect(),
            unnamed: expected.unnamed,
            uncounted: expected.uncounted,
            others: BTreeMap::new(),
            anonymous: Debt::default(),
            acked: false,
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
        self.write_off(|pending| pending.forget(node));
    }

    /// So many foreign members of a namespace have gone, and `left` are there still. Nobody knows
    /// whether they had answered; it is taken that they had not, so that nothing waits in vain.
    pub fn handle_foreign_left(&mut self, namespace: &str, gone: usize, left: usize) {
        self.write_off(|pending| {
            *pending.namespace == *namespace && pending.forget_unnamed(gone, left)
        });
    }

    fn write_off(&mut self, mut forget: impl FnMut(&mut Pending) -> bool) {
        let mut affected: Vec<RequestId> = Vec::new();
        for (request, pending) in &mut self.pending {
            if forget(pending) {
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
        let wants_acks = self.kind != RequestKind::OnePerNode;
        if wants_acks != response.body.is_about_acks() {
            // The answer to another question.
            return false;
        }
        let is_foreign = node.is_none_or(|node| node.foreign_name().is_some());
        let mut is_unnamed = false;
        let debt = match node {
            None => {
                is_unnamed = true;
                &mut self.anonymous
            }
            Some(node) => match self.nodes.get_mut(node) {
                Some(debt) => debt,
                None => {
                    is_unnamed = is_foreign;
                    self.others.entry(node.clone()).or_default()
                }
            },
        };
        match &response.body {
            ResponseBody::Ack { socket, .. } => {
                if let Some(socket) = socket {
                    if !debt.acked.insert(socket.clone()) {
                        return false;
                    }
                    debt.owing.remove(socket);
                }
                debt.acks += 1;
                self.acked = true;
                return true;
            }
            ResponseBody::Recipients { count, sockets } => {
                if node.is_some() && debt.answered {
                    return false;
                }
                debt.recipients = debt.recipients.saturating_add(*count);
                // An acknowledgement may have overtaken this.
                let owing = sockets.iter().filter(|id| !debt.acked.contains(*id));
                debt.owing.extend(owing.cloned().collect::<Vec<_>>());
            }
            _ if node.is_some() && debt.answered => return false,
            _ => {}
        }
        debt.answered = true;
        if is_unnamed {
            // There may be more answers than were counted: one has come since, and counts too.
            self.unnamed = self.unnamed.saturating_sub(1);
        }
        true
    }

    /// Writes off what a node owes; false if it owes nothing.
    fn forget(&mut self, node: &NodeId) -> bool {
        let kind = self.kind;
        let owes = |debt: &Debt| !debt.is_paid(kind);
        let debt = if self.nodes.get(node).is_some_and(owes) {
            self.nodes.remove(node)
        } else if self.others.get(node).is_some_and(owes) {
            self.others.remove(node)
        } else {
            None
        };
        let Some(debt) = debt else { return false };
        debt.add_to(&mut self.left_debt);
        self.left.push(node.clone());
        true
    }

    /// Writes off what foreign members owe of which so many have gone.
    fn forget_unnamed(&mut self, gone: usize, left: usize) -> bool {
        let silent = gone.min(self.unnamed);
        self.unnamed -= silent;
        self.left_debt.unnamed_nodes += silent;
        let mut owed = false;
        if left == 0 {
            // Nobody is there who could pay.
            let foreign = |node: &NodeId| node.foreign_name().is_some();
            let others = std::mem::take(&mut self.others);
            let (gone, others) = others.into_iter().partition(|(node, _)| foreign(node));
            self.others = others;
            let gone: BTreeMap<NodeId, Debt> = gone;
            let anonymous = std::mem::take(&mut self.anonymous);
            for debt in gone.values().chain([&anonymous]) {
                owed |= debt.outstanding() > 0;
                debt.add_to(&mut self.left_debt);
            }
            if owed && silent == 0 {
                let unnamed = &mut self.left_debt.unnamed_nodes;
                *unnamed = unnamed.saturating_add(1);
            }
        }
        owed || silent > 0
    }

    fn is_complete(&self) -> bool {
        if self.kind == RequestKind::SingleAck && (self.acked || self.uncounted) {
            return self.acked;
        }
        if self.kind == RequestKind::Broadcast && self.uncounted {
            return false;
        }
        let mut unasked = self.others.values().chain([&self.anonymous]);
        self.unnamed == 0
            && unasked.all(|debt| debt.outstanding() == 0)
            && self.nodes.values().all(|debt| debt.is_paid(self.kind))
    }

    fn missing(self) -> Missing {
        let mut missing = self.left_debt;
        if self.kind == RequestKind::SingleAck && self.acked {
            // Nothing more was wanted.
            return Missing::default();
        }
        missing.nodes = self.left;
        missing.unnamed_nodes += self.unnamed;
        self.anonymous.add_to(&mut missing);
        self.others
            .values()
            .for_each(|debt| debt.add_to(&mut missing));
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
