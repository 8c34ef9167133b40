//! Knows messages that come again.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use lapin::message::Delivery;
use lapin::types::ShortString;

/// So many publishers are remembered; beyond, who was silent for longest is forgotten.
const PUBLISHERS: usize = 4096;

/// So many messages without a number are remembered, which is more than the broker leaves without
/// an answer at any time.
const UNNUMBERED: usize = 4096;

/// The numbers that came from each publisher. A publisher in reliable mode sends again what was
/// not confirmed, and the broker delivers again what was not acknowledged, both in order.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    publishers: HashMap<ShortString, Window>,
    clock: u64,
    unnumbered: Unnumbered,
    hasher: RandomState,
}

/// Other software, and publishers without the reliable mode, give no numbers. The broker does not
/// deliver their messages twice by itself, but again what was handled and not acknowledged when a
/// connection was lost: marked, in the same order, and before anything new.
#[derive(Debug, Default)]
struct Unnumbered {
    /// Hashes of what came over earlier connections, and may come again.
    before: VecDeque<u64>,
    /// Of what came over this one.
    now: VecDeque<u64>,
}

#[derive(Debug)]
struct Window {
    highest: u64,
    /// Bit `n` stands for the number `highest - n`.
    seen: u128,
    last_used: u64,
}

impl Copies {
    /// Whether a message has come before. Takes note of it.
    pub(crate) fn is_copy(&mut self, publisher: &ShortString, number: u64) -> bool {
        self.clock += 1;
        if let Some(window) = self.publishers.get_mut(publisher) {
            window.last_used = self.clock;
            return window.is_copy(number);
        }
        if self.publishers.len() >= PUBLISHERS {
            let silent = self.publishers.iter().min_by_key(|(_, w)| w.last_used);
            if let Some(silent) = silent.map(|(publisher, _)| publisher.clone()) {
                self.publishers.remove(&silent);
            }
        }
        let window = Window {
            highest: number,
            seen: u128::MAX,
            last_used: self.clock,
        };
        self.publishers.insert(publisher.clone(), window);
        false
    }

    /// Messages come over another connection from now on.
    pub(crate) fn connected(&mut self) {
        self.unnumbered.connected();
    }

    /// Whether a message without a number has come over an earlier connection. Takes note of it.
    pub(crate) fn is_redelivery(&mut self, delivery: &Delivery) -> bool {
        let id = delivery.properties.message_id().as_ref();
        let contents = (
            delivery.exchange.as_str(),
            id.map(ShortString::as_str),
            &delivery.data,
        );
        let hash = self.hasher.hash_one(contents);
        self.unnumbered.is_copy(hash, delivery.redelivered)
    }
}

impl Unnumbered {
    fn connected(&mut self) {
        self.before.append(&mut self.now);
        let excess = self.before.len().saturating_sub(UNNUMBERED);
        self.before.drain(..excess);
    }

    fn is_copy(&mut self, hash: u64, redelivered: bool) -> bool {
        if self.now.len() >= UNNUMBERED {
            self.now.pop_front();
        }
        self.now.push_back(hash);
        if !redelivered {
            self.before.clear();
            return false;
        }
        // Each stands for one message: others may have the same contents.
        match self.before.iter().position(|before| *before == hash) {
            Some(at) => self.before.remove(at).is_some(),
            None => false,
        }
    }
}

impl Window {
    fn is_copy(&mut self, number: u64) -> bool {
        if number > self.highest {
            let step = u32::try_from(number - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.highest = number;
            return false;
        }
        // What is older than the window has come: the carrier keeps the order.
        let age = u32::try_from(self.highest - number).unwrap_or(u32::MAX);
        let Some(bit) = 1u128.checked_shl(age) else {
            return true;
        };
        let copy = self.seen & bit != 0;
        self.seen |= bit;
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(copies: &mut Copies, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let publisher = ShortString::from("p");
        let fresh = |number: &u64| !copies.is_copy(&publisher, *number);
        numbers.into_iter().filter(fresh).collect()
    }

    #[test]
    fn each_number_passes_once() {
        let mut copies = Copies::default();
        assert_eq!(feed(&mut copies, [5, 6, 7, 6, 5, 4, 8]), [5, 6, 7, 8]);
        assert_eq!(feed(&mut copies, [10, 9, 9, 10, 11]), [10, 9, 11]);
        assert_eq!(feed(&mut copies, 9..500), Vec::from_iter(12..500));
        assert_eq!(feed(&mut copies, [1, u64::MAX, u64::MAX, 0]), [u64::MAX]);
    }

    #[test]
    fn without_numbers_only_what_is_delivered_again_is_a_copy() {
        let mut known = Unnumbered::default();
        for hash in [1, 2, 2, 3] {
            assert!(!known.is_copy(hash, false));
        }
        known.connected();
        // One message with the contents 2 was handled less often than it comes now.
        let again = [1, 2, 2, 2, 3].map(|hash| known.is_copy(hash, true));
        assert_eq!(again, [true, true, true, false, true]);
        known.connected();
        assert!(known.is_copy(3, true), "a second time");
        assert!(!known.is_copy(1, false), "somebody says the same");
        assert!(!known.is_copy(2, true), "nothing old comes behind it");
    }

    #[test]
    fn what_is_remembered_without_numbers_is_bounded() {
        let mut known = Unnumbered::default();
        for _ in 0..3 {
            for hash in 0..2 * UNNUMBERED as u64 {
                known.is_copy(hash, hash % 2 == 0);
            }
            known.connected();
            assert_eq!(known.before.len(), UNNUMBERED);
        }
    }

    #[test]
    fn publishers_are_kept_apart_and_forgotten_when_there_are_many() {
        let mut copies = Copies::default();
        let name = |n: usize| ShortString::from(n.to_string());
        for n in 0..PUBLISHERS {
            assert!(!copies.is_copy(&name(n), 1));
        }
        assert!(copies.is_copy(&name(0), 1));
        assert!(!copies.is_copy(&name(PUBLISHERS), 1));
        assert_eq!(copies.publishers.len(), PUBLISHERS);
        assert!(copies.is_copy(&name(0), 1), "was heard lately");
        assert!(!copies.is_copy(&name(1), 1), "was silent for longest");
    }
}
