//! What is known of the rooms of one other node.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytestring::ByteString;

use super::share::Share;
use crate::cluster::{NamespaceRooms, RoomNews};
use crate::ids::Room;

/// How long an answer to a question for a snapshot may take before it is asked again. Each part
/// that comes begins this time anew.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// When to ask a node again that has told more than is kept.
const OVERFLOW_RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Peer {
    /// What it last told, also while that is not up to date.
    pub(super) share: Share,
    version: u64,
    standing: Standing,
    partial: Option<Partial>,
    /// When to ask it for a snapshot.
    ask_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing was heard yet.
    Unheard,
    Current,
    /// Something is missing or wrong.
    Stale,
    /// The node keeps its counts for itself.
    Withheld,
    /// The node told more than is kept.
    Overflow,
}

/// A snapshot of which parts have come.
#[derive(Debug)]
struct Partial {
    version: u64,
    parts: u32,
    come: HashSet<u32>,
    share: Share,
}

/// A room whose count has begun or ceased to be zero.
pub(super) type Turn = (ByteString, Room, u64);

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            share: Share::default(),
            version: 0,
            standing: Standing::Unheard,
            partial: None,
            // Its digest should come before.
            ask_at: Some(now + RETRY),
        }
    }

    /// Whether its counts are right, as far as anybody can know.
    pub(super) fn is_known(&self) -> bool {
        self.standing == Standing::Current
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether it is to be asked for a snapshot now.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = Some(now + RETRY);
        }
        due
    }

    /// Takes what it told in; returns the rooms that got their first or lost their last member on
    /// it.
    pub(super) fn handle(&mut self, now: Instant, news: RoomNews, max_rooms: usize) -> Vec<Turn> {
        match news {
            RoomNews::Delta { version, changes } => {
                let is_first = self.standing == Standing::Unheard && version == 1;
                if is_first || (self.is_known() && version.checked_sub(1) == Some(self.version)) {
                    self.version = version;
                    self.become_current();
                    let turns = apply(&mut self.share, changes);
                    if self.share.len() > max_rooms {
                        self.overflow(now);
                    }
                    return turns;
                }
                if !self.is_known() || version > self.version {
                    self.become_stale(now);
                }
            }
            RoomNews::Digest { version, hash } => {
                if hash == self.share.hash() && self.standing != Standing::Overflow {
                    self.version = version;
                    self.become_current();
                } else if !self.is_known() || version >= self.version {
                    self.become_stale(now);
                }
            }
            RoomNews::Snapshot {
                version,
                part,
                parts,
                rooms,
            } => {
                if !self.is_known() || version > self.version {
                    return self.handle_part(now, version, (part, parts), rooms, max_rooms);
                }
            }
            RoomNews::Withheld => {
                self.standing = Standing::Withheld;
                (self.partial, self.ask_at) = (None, None);
            }
            RoomNews::Resend { .. } => {}
        }
        Vec::new()
    }

    fn handle_part(
        &mut self,
        now: Instant,
        version: u64,
        (part, parts): (u32, u32),
        rooms: Vec<NamespaceRooms>,
        max_rooms: usize,
    ) -> Vec<Turn> {
        if part >= parts {
            return Vec::new();
        }
        let partial = match &mut self.partial {
            Some(partial) if partial.version > version => return Vec::new(),
            Some(partial) if partial.version == version && partial.parts == parts => partial,
            other => other.insert(Partial {
                version,
                parts,
                come: HashSet::new(),
                share: Share::default(),
            }),
        };
        if partial.come.insert(part) {
            apply(&mut partial.share, rooms);
        }
        if partial.share.len() > max_rooms {
            self.overflow(now);
            return Vec::new();
        }
        if partial.come.len() < parts as usize {
            self.ask_at = Some(now + RETRY);
            return Vec::new();
        }
        let Some(complete) = self.partial.take() else {
            return Vec::new();
        };
        self.version = version;
        self.become_current();
        let before = std::mem::replace(&mut self.share, complete.share);
        let gone = before
            .all()
            .filter(|(n, r, _)| self.share.count(n, r.as_str()) == 0);
        let come = self
            .share
            .all()
            .filter(|(n, r, _)| before.count(n, r.as_str()) == 0);
        let gone = gone.map(|(namespace, room, _)| (namespace.clone(), room.clone(), 0));
        let come = come.map(|(namespace, room, count)| (namespace.clone(), room.clone(), count));
        gone.chain(come).collect()
    }

    fn become_current(&mut self) {
        self.standing = Standing::Current;
        (self.partial, self.ask_at) = (None, None);
    }

    fn become_stale(&mut self, now: Instant) {
        if self.standing == Standing::Overflow {
            return;
        }
        // Not twice for one gap, and not while a snapshot is coming in.
        let is_asked = self.standing == Standing::Stale && self.ask_at.is_some();
        if !is_asked && self.partial.is_none() {
            self.ask_at = Some(now);
        }
        self.standing = Standing::Stale;
    }

    fn overflow(&mut self, now: Instant) {
        self.standing = Standing::Overflow;
        self.partial = None;
        self.ask_at = Some(now + OVERFLOW_RETRY);
    }
}

fn apply(share: &mut Share, changes: Vec<NamespaceRooms>) -> Vec<Turn> {
    let mut turns = Vec::new();
    for NamespaceRooms {
        namespace,
        sockets,
        rooms,
    } in changes
    {
        share.set_sockets(&namespace, sockets);
        for (room, count) in rooms {
            let before = share.set_room(&namespace, &room, count);
            if (before == 0) != (count == 0) {
                turns.push((namespace.clone(), room, count));
            }
        }
    }
    turns
}
