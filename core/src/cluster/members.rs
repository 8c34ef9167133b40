//! Which other nodes are alive.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::message::{ClusterMessage, Operation};
use crate::ids::NodeId;

/// How nodes show that they are alive. The defaults are those of the Node.js cluster adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersConfig {
    /// How often a heartbeat is sent, whatever else is: carriers may send other messages where
    /// nodes of ours cannot be told from foreign ones.
    pub heartbeat_interval: Duration,
    /// After so long without any message a node counts as gone.
    pub heartbeat_timeout: Duration,
}

impl Default for MembersConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(10),
        }
    }
}

/// The other nodes of the cluster, as far as they were heard of.
///
/// Only a heartbeat makes a node a member; any message of a member shows that it is alive.
///
/// A state machine: call [`handle_message`](Self::handle_message) with each message that comes, and
/// [`handle_timeout`](Self::handle_timeout) at the [`deadline`](Self::deadline); after each call
/// drain [`poll_event`](Self::poll_event).
#[derive(Debug)]
pub struct Members {
    me: NodeId,
    config: MembersConfig,
    nodes: HashMap<NodeId, Member>,
    next_heartbeat: Instant,
    events: VecDeque<MemberEvent>,
    missed: u64,
    late: u64,
    duplicates: u64,
}

#[derive(Debug)]
struct Member {
    last_seen: Instant,
    standing: Standing,
    window: Option<Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Heard, but not by a heartbeat: its numbers are watched.
    Heard,
    Alive,
    /// Has said goodbye; kept for a while, so that a late copy of an earlier message does not
    /// bring it back.
    Closed,
}

/// What happened, or is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// The first heartbeat of a node was heard.
    Joined(NodeId),
    /// A node said goodbye, or was not heard for too long, or has started again.
    Left(NodeId),
    /// Messages of this node are missing: so many were lost on the way.
    Lost(NodeId, u64),
    /// [`Operation::Heartbeat`] is to be published.
    SendHeartbeat,
    /// [`Operation::InitialHeartbeat`] is to be published.
    SendInitialHeartbeat,
}

impl Members {
    /// Knows nobody, and asks to announce itself.
    #[must_use]
    pub fn new(me: NodeId, config: MembersConfig, now: Instant) -> Self {
        Self {
            me,
            config,
            nodes: HashMap::new(),
            next_heartbeat: now + config.heartbeat_interval,
            events: VecDeque::from([MemberEvent::SendInitialHeartbeat]),
            missed: 0,
            late: 0,
            duplicates: 0,
        }
    }

    /// Takes note of a message. False if it is to be ignored: it is an own one, or came before.
    pub fn handle_message(&mut self, now: Instant, message: &ClusterMessage) -> bool {
        let ClusterMessage {
            node,
            sequence,
            operation,
            ..
        } = message;
        if *node == self.me {
            return false;
        }
        // Neither has heartbeats of ours: nobody could tell when they are gone.
        if node.is_emitter() || node.foreign_name().is_some() {
            return true;
        }
        let is_heartbeat = matches!(
            operation,
            Operation::InitialHeartbeat | Operation::Heartbeat
        );
        if !self.nodes.contains_key(node) {
            // Gone before it was noticed, or nothing that is worth a note.
            if *operation == Operation::Close || (sequence.is_none() && !is_heartbeat) {
                return true;
            }
        }
        let member = self.nodes.entry(node.clone()).or_insert(Member {
            last_seen: now,
            standing: Standing::Heard,
            window: None,
        });
        let arrival = match *sequence {
            Some(number) => member
                .window
                .get_or_insert_with(|| Window::new(number))
                .handle(number),
            None if *operation == Operation::InitialHeartbeat
                && member.standing == Standing::Closed =>
            {
                Arrival::NewLife
            }
            None => Arrival::Next,
        };
        match arrival {
            Arrival::Duplicate => {
                self.duplicates += 1;
                return false;
            }
            Arrival::NewLife => {
                if member.standing == Standing::Alive {
                    self.events.push_back(MemberEvent::Left(node.clone()));
                }
                member.standing = Standing::Heard;
            }
            // What overtook its farewell.
            _ if member.standing == Standing::Closed => {
                self.duplicates += 1;
                return false;
            }
            Arrival::Next => {}
            Arrival::After(missing) => {
                self.missed += missing;
                self.events
                    .push_back(MemberEvent::Lost(node.clone(), missing));
            }
            Arrival::Late => self.late += 1,
        }
        member.last_seen = now;
        if is_heartbeat && member.standing == Standing::Heard {
            member.standing = Standing::Alive;
            self.events.push_back(MemberEvent::Joined(node.clone()));
        }
        match operation {
            Operation::InitialHeartbeat => self.events.push_back(MemberEvent::SendHeartbeat),
            Operation::Close => {
                if member.standing == Standing::Alive {
                    self.events.push_back(MemberEvent::Left(node.clone()));
                }
                member.standing = Standing::Closed;
            }
            _ => {}
        }
        true
    }

    /// The carrier is connected again: this node announces itself anew, and is answered by those
    /// who are there.
    pub fn handle_connected(&mut self, now: Instant) {
        self.next_heartbeat = now + self.config.heartbeat_interval;
        self.events.push_back(MemberEvent::SendInitialHeartbeat);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + self.config.heartbeat_interval;
            self.events.push_back(MemberEvent::SendHeartbeat);
        }
        let timeout = self.config.heartbeat_timeout;
        let mut gone: Vec<NodeId> = Vec::new();
        self.nodes.retain(|node, member| {
            let heard = now < member.last_seen + timeout;
            if !heard && member.standing == Standing::Alive {
                gone.push(node.clone());
            }
            heard
        });
        gone.sort();
        self.events.extend(gone.into_iter().map(MemberEvent::Left));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let timeout = self.config.heartbeat_timeout;
        let expiries = self.nodes.values().map(|member| member.last_seen + timeout);
        expiries.fold(self.next_heartbeat, Instant::min)
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<MemberEvent> {
        self.events.pop_front()
    }

    /// The other nodes that are alive, in no particular order.
    pub fn alive(&self) -> impl Iterator<Item = &NodeId> {
        let nodes = self.nodes.iter();
        nodes
            .filter(|(_, member)| member.standing == Standing::Alive)
            .map(|(node, _)| node)
    }

    /// Whether this other node is alive.
    #[must_use]
    pub fn is_alive(&self, node: &NodeId) -> bool {
        let member = self.nodes.get(node);
        member.is_some_and(|member| member.standing == Standing::Alive)
    }

    /// How many nodes there are, this one included.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.alive().count()
    }

    /// How many messages of others were lost on the way, as far as their numbers show.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.missed.saturating_sub(self.late)
    }

    /// How many messages had not come when a later one of their sender did. Never falls.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many of the [missed](Self::missed) ones came later. Never falls.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How many messages came twice and were ignored.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

/// The numbers of the messages that came from one node, back to 64 before the highest.
#[derive(Debug)]
struct Window {
    highest: u64,
    /// Bit `n` stands for number `highest - n`.
    seen: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    /// So many before it have not come.
    After(u64),
    Duplicate,
    /// One of those that had not come.
    Late,
    /// The node has started again.
    NewLife,
    Next,
}

/// So many messages are not lost at once: a larger step means that the node has started again (see
/// [`ClusterMessage::first_sequence`]).
const NEW_LIFE: u64 = 1 << 20;

impl Window {
    /// The first message heard of a node that may have been there for long: nothing counts as
    /// lost, and its earlier messages count as seen.
    fn new(first: u64) -> Self {
        Self {
            highest: first.saturating_sub(1),
            seen: u64::MAX,
        }
    }

    fn handle(&mut self, number: u64) -> Arrival {
        if number > self.highest {
            let step = number - self.highest;
            if step >= NEW_LIFE {
                (self.highest, self.seen) = (number, u64::MAX);
                return Arrival::NewLife;
            }
            let shifted = u32::try_from(step)
                .ok()
                .and_then(|step| self.seen.checked_shl(step));
            self.seen = shifted.unwrap_or(0) | 1;
            self.highest = number;
            return match step {
                1 => Arrival::Next,
                _ => Arrival::After(step - 1),
            };
        }
        let age = self.highest - number;
        let bit = match u32::try_from(age) {
            Ok(age) if age < u64::BITS => 1u64 << age,
            // Too old to know: carriers keep the order of one sender, so this is a copy.
            _ => return Arrival::Duplicate,
        };
        if self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests;
