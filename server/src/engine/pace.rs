//! When each of many connections is closed, so that their clients do not come back all at once.

use std::time::Duration;

use tokio::time::Instant;

/// What was late is caught up with in steps this much shorter: a machine that stood still for a while must not make up
/// for it by a storm.
const HURRY: (u32, u32) = (4, 5);
/// So much is always made up for at once; timers are late by some of it all the time.
const LATE: Duration = Duration::from_millis(100);

/// Spreads turns evenly over a window. In no second are there more than 1.4 × turns / window, however late some of them
/// are, so the last one may be later than the window.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    window: Duration,
    turns: u32,
    turn: u32,
    /// Of the turn before.
    last: Instant,
}

impl Pace {
    pub(super) fn new(start: Instant, window: Duration, turns: usize) -> Self {
        Self {
            start,
            window,
            turns: u32::try_from(turns).unwrap_or(u32::MAX).max(1),
            turn: 0,
            last: start,
        }
    }

    /// When the next turn is due, seen from `now`; it may be in the past.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        let even = self.start + self.window * self.turn / self.turns;
        let (times, of) = HURRY;
        let soonest = match self.turn {
            0 => self.start,
            _ => self.last + self.window * times / (of * self.turns),
        };
        let earliest = now.checked_sub(LATE).unwrap_or(self.start);
        self.turn = self.turn.saturating_add(1);
        self.last = even.max(soonest).max(earliest);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// When turns were taken, in ms since the start, if at each `(turn, delay)` everything stands still for `delay` ms.
    fn turns(window: u64, count: usize, stalls: &[(usize, u64)]) -> Vec<u64> {
        let start = Instant::now();
        let mut pace = Pace::new(start, Duration::from_millis(window), count);
        let mut now = start;
        let mut taken = Vec::new();
        for turn in 0..count {
            now += stalls
                .iter()
                .filter(|(at, _)| *at == turn)
                .map(|(_, delay)| Duration::from_millis(*delay))
                .sum::<Duration>();
            let due = pace.next(now);
            // As in `close_all`: turns of the same millisecond are taken together.
            if due > now + Duration::from_millis(1) {
                now = due;
            }
            taken.push(u64::try_from((now - start).as_millis()).expect("a short test"));
        }
        taken
    }

    /// The most turns in any second.
    fn peak(taken: &[u64]) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (last, time) in taken.iter().enumerate() {
            while taken[first] + 1_000 <= *time {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most
    }

    #[test]
    fn turns_are_even_and_end_with_the_window() {
        let taken = turns(10_000, 5_000, &[]);
        for (turn, time) in taken.iter().enumerate() {
            assert!(
                time.abs_diff(turn as u64 * 2) <= 1,
                "turn {turn} at {time} ms"
            );
        }
    }

    #[test]
    fn a_stall_is_not_made_up_for_at_once() {
        let taken = turns(10_000, 5_000, &[(1_000, 3_000)]);
        let most = peak(&taken);
        assert!((600..=700).contains(&most), "{most} in a second");
        // 4 000 turns that are 20 % shorter make up for it within the window but for a little.
        let last = *taken.last().expect("turns");
        assert!((10_000..=12_000).contains(&last), "{last} ms");
    }

    #[test]
    fn timers_that_are_always_late_do_not_make_the_window_longer() {
        let late: Vec<_> = (0..5_000).step_by(25).map(|turn| (turn, 50)).collect();
        let last = *turns(10_000, 5_000, &late).last().expect("turns");
        assert!(last <= 10_100, "{last} ms");
    }

    #[test]
    fn without_a_window_all_turns_are_now() {
        assert_eq!(turns(0, 1_000, &[]), [0; 1_000]);
        assert_eq!(turns(0, 1, &[]), [0]);
    }

    proptest! {
        #[test]
        fn no_second_has_too_many_turns(
            window in 2_000u64..20_000,
            count in 100usize..3_000,
            stalls in prop::collection::vec((0usize..3_000, 0u64..3_000), 0..5),
        ) {
            let taken = turns(window, count, &stalls);
            let rate = count as f64 * 1_000.0 / window as f64;
            // One at both ends, and those of a millisecond.
            let most = 1.4 * rate + 2.0 + rate / 500.0;
            prop_assert!(peak(&taken) as f64 <= most, "{} in a second, rate {rate}", peak(&taken));
            // Nothing is given up for it: at worst every turn after the last stall is in a hurry or on time.
            let stood: u64 = stalls.iter().map(|(_, delay)| delay).sum();
            prop_assert!(*taken.last().expect("turns") <= window + stood + 2);
        }
    }
}
