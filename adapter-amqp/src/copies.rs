//! Knows messages that come again.

use std::collections::HashMap;

use lapin::types::ShortString;

/// So many publishers are remembered; beyond, who was silent for longest is forgotten.
const PUBLISHERS: usize = 4096;

/// The numbers that came from each publisher. A publisher in reliable mode sends again what was
/// not confirmed, and the broker delivers again what was not acknowledged, both in order.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    publishers: HashMap<ShortString, Window>,
    clock: u64,
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
