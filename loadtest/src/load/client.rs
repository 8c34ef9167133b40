//! [`Client`]: what is known of one client.

use std::collections::VecDeque;

use socketio_core::ids::AckId;

use crate::audit::Window;
use crate::plan::Plan;

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Not connected, and nothing is under way.
    Idle,
    /// Waits for its turn, or for the delay before the next try.
    Waiting,
    /// Its task connects.
    Connecting,
    /// Connected; not yet in all its rooms.
    Joining,
    /// Takes part.
    Ready,
    /// Closed by plan; its task has not ended.
    Closing,
}

/// A room of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) number: u32,
    pub(super) state: RoomState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoomState {
    Out,
    Joining,
    /// Since before sending began, without a break.
    Early,
    In,
    Leaving,
}

impl Membership {
    pub(super) const fn is_early(&self) -> bool {
        matches!(self.state, RoomState::Early)
    }

    pub(super) const fn is_in(&self) -> bool {
        matches!(self.state, RoomState::Early | RoomState::In)
    }
}

/// What an acknowledgement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Echo,
    Join(u32),
    Leave(u32),
    /// The row, and the number of the message.
    Publish(u32, u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) id: AckId,
    pub(super) due: u64,
    pub(super) sent: u64,
    pub(super) purpose: Purpose,
}

/// One client of this process.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) global: u32,
    pub(super) life: Life,
    pub(super) slow: bool,
    pub(super) paused: bool,
    /// Whether the phases want it connected.
    pub(super) wanted: bool,
    /// When it should have connected, and when its task began to.
    pub(super) due: u64,
    pub(super) since: u64,
    /// Nothing came since it should have connected.
    pub(super) first: bool,
    pub(super) attempts: u32,
    /// How often it has moved on to another target.
    pub(super) moves: u32,
    pub(super) next_ack: u64,
    pub(super) pending: VecDeque<Pending>,
    pub(super) rooms: Box<[Membership]>,
    /// By publisher.
    pub(super) windows: Vec<(u32, Window)>,
}

impl Client {
    pub(super) fn new(plan: &Plan, global: u32) -> Self {
        let membership = |number| Membership {
            number,
            state: RoomState::Out,
        };
        let rooms = if plan.has_rooms() {
            plan.rooms_of(global).map(membership).collect()
        } else {
            Box::default()
        };
        Self {
            global,
            life: Life::Idle,
            slow: plan.is_slow(global),
            paused: false,
            wanted: false,
            due: 0,
            since: 0,
            first: true,
            attempts: 0,
            moves: 0,
            next_ack: 0,
            pending: VecDeque::new(),
            rooms,
            windows: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Ready
    }

    /// Sending begins: nobody has missed anything.
    pub(super) fn begin(&mut self) {
        for room in &mut self.rooms {
            if room.state == RoomState::In {
                room.state = RoomState::Early;
            }
        }
    }
}
