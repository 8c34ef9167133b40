//! What waits to be published, and what was published without being confirmed yet.
//!
//! A letter is in one of two places: in the queue, or in flight. [`Outbox::next`] moves it on,
//! [`Outbox::settle`] takes it away when the broker has it, and [`Outbox::connection_lost`] decides
//! about what was in flight: put back in reliable mode, given up otherwise, since the broker may
//! have it.

use std::collections::VecDeque;

use bytes::Bytes;
use lapin::types::ShortString;
use parking_lot::Mutex;
use socketio_core::cluster::AdapterError;
use tokio::sync::{Notify, watch};

/// One message for the broker.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) exchange: ShortString,
    pub(crate) key: ShortString,
    pub(crate) body: Bytes,
    /// From 1 in the order of publishing. The same when it is sent again.
    pub(crate) number: u64,
}

/// The bounds of an outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) message: usize,
    pub(crate) window: usize,
    pub(crate) window_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    bounds: Bounds,
    /// Tells the one writer that there is something to do.
    wake: Notify,
    /// Tells those that wait for their letters.
    settled: watch::Sender<Settled>,
}

/// How far the broker has everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// No letter up to this number is waiting any more.
    pub(crate) up_to: u64,
    /// How many were given up.
    pub(crate) lost: u64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Letter>,
    queue_bytes: usize,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// Goes before the queue, is in no count and is not sent again.
    probe: Option<(ShortString, Bytes)>,
    last_number: u64,
    closed: bool,
}

#[derive(Debug)]
struct InFlight {
    letter: Letter,
    confirmed: bool,
}

/// What the writer is to send.
#[derive(Debug)]
pub(crate) enum Next {
    Letter(Letter),
    Probe(ShortString, Bytes),
}

impl Outbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            state: Mutex::default(),
            bounds,
            wake: Notify::new(),
            settled: watch::Sender::default(),
        }
    }

    /// Queues a message.
    pub(crate) fn push(
        &self,
        exchange: ShortString,
        key: ShortString,
        body: Bytes,
    ) -> Result<(), AdapterError> {
        let size = body.len();
        if size > self.bounds.message {
            let limit = self.bounds.message;
            return Err(AdapterError::TooLarge { size, limit });
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(AdapterError::Closed);
        }
        let bytes = state.queue_bytes + size;
        // One message always fits, else a small bound would make a large one impossible for ever.
        let full = state.queue.len() >= self.bounds.messages || bytes > self.bounds.bytes;
        if full && !state.queue.is_empty() {
            return Err(AdapterError::QueueFull);
        }
        state.last_number += 1;
        let number = state.last_number;
        state.queue_bytes = bytes;
        state.queue.push_back(Letter {
            exchange,
            key,
            body,
            number,
        });
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Asks for a probe to be sent, in place of one that was not sent yet.
    pub(crate) fn probe(&self, key: ShortString, body: Bytes) {
        self.state.lock().probe = Some((key, body));
        self.wake.notify_one();
    }

    /// What is to be sent now; no letters with `held`, nor while too much is in flight.
    pub(crate) fn next(&self, held: bool) -> Option<Next> {
        let mut state = self.state.lock();
        if let Some((key, body)) = state.probe.take() {
            return Some(Next::Probe(key, body));
        }
        if held {
            return None;
        }
        let next = state.queue.front()?;
        let bytes = state.in_flight_bytes + next.body.len();
        let full = state.in_flight.len() >= self.bounds.window || bytes > self.bounds.window_bytes;
        if full && !state.in_flight.is_empty() {
            return None;
        }
        let letter = state.queue.pop_front()?;
        state.queue_bytes -= letter.body.len();
        state.in_flight_bytes += letter.body.len();
        state.in_flight.push_back(InFlight {
            letter: letter.clone(),
            confirmed: false,
        });
        Some(Next::Letter(letter))
    }

    /// Waits until [`next`](Self::next) may give something. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The broker has a letter, or will never have it.
    pub(crate) fn settle(&self, number: u64, lost: bool) {
        let mut state = self.state.lock();
        let place = state
            .in_flight
            .binary_search_by_key(&number, |flight| flight.letter.number);
        let Some(flight) = place.ok().and_then(|place| state.in_flight.get_mut(place)) else {
            return;
        };
        flight.confirmed = true;
        while let Some(flight) = state.in_flight.pop_front_if(|flight| flight.confirmed) {
            state.in_flight_bytes -= flight.letter.body.len();
        }
        self.tell(&state, usize::from(lost));
    }

    /// The connection is gone. With `again` the letters in flight are put back in front of the
    /// queue; else they are given up, and their number is returned.
    pub(crate) fn connection_lost(&self, again: bool) -> usize {
        let mut state = self.state.lock();
        state.probe = None;
        state.in_flight_bytes = 0;
        let mut lost = 0;
        while let Some(flight) = state.in_flight.pop_back() {
            if flight.confirmed {
            } else if again {
                state.queue_bytes += flight.letter.body.len();
                state.queue.push_front(flight.letter);
            } else {
                lost += 1;
            }
        }
        self.tell(&state, lost);
        lost
    }

    fn tell(&self, state: &State, lost: usize) {
        let in_flight = state.in_flight.front().map(|flight| flight.letter.number);
        let queued = state.queue.front().map(|letter| letter.number);
        // Numbers grow from the flight to the queue.
        let up_to = match in_flight.or(queued) {
            Some(first) => first - 1,
            None => state.last_number,
        };
        self.settled.send_if_modified(|settled| {
            let before = *settled;
            settled.up_to = up_to;
            settled.lost += lost as u64;
            *settled != before
        });
    }

    /// Takes no more letters; those that it has can still be sent.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Forgets everything, and says how much that was.
    pub(crate) fn clear(&self) -> usize {
        let mut state = self.state.lock();
        let unconfirmed = |flight: &&InFlight| !flight.confirmed;
        let lost = state.queue.len() + state.in_flight.iter().filter(unconfirmed).count();
        state.queue.clear();
        state.in_flight.clear();
        (state.queue_bytes, state.in_flight_bytes) = (0, 0);
        self.tell(&state, lost);
        lost
    }

    /// How many messages and bytes wait, those in flight included.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        let messages = state.queue.len() + state.in_flight.len();
        (messages, state.queue_bytes + state.in_flight_bytes)
    }

    /// Waits until all letters of now are settled; says whether none was given up meanwhile.
    pub(crate) async fn flush(&self) -> bool {
        let mut settled = self.settled.subscribe();
        let lost = settled.borrow().lost;
        let target = self.state.lock().last_number;
        match settled.wait_for(|settled| settled.up_to >= target).await {
            Ok(settled) => settled.lost == lost,
            // The sender is in `self`.
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
