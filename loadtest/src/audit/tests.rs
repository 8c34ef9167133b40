use proptest::prelude::*;

use super::*;

fn all(last: u64) -> Sent {
    Sent {
        last,
        unconfirmed: Vec::new(),
    }
}

/// The sums after these arrivals, of `last` messages that were sent.
fn audit(window: &mut Window, arrivals: &[u64], last: u64) -> AuditTotals {
    let mut totals = AuditTotals::default();
    for &sequence in arrivals {
        match window.receive(sequence) {
            Arrival::Reordered => totals.reordered += 1,
            Arrival::Duplicate => totals.duplicated += 1,
            Arrival::Missed(count) => totals.missed += count,
            Arrival::InOrder | Arrival::Gap(_) | Arrival::NotJudged => {}
        }
    }
    totals.lost = window.lost(&all(last)).confirmed;
    totals
}

#[test]
fn each_fault_is_told_from_the_others() {
    let case = |arrivals: &[u64], last| {
        let totals = audit(&mut Window::new(0), arrivals, last);
        (totals.lost, totals.duplicated, totals.reordered)
    };
    assert_eq!(case(&[1, 2, 3], 3), (0, 0, 0));
    assert_eq!(case(&[1, 3], 3), (1, 0, 0));
    assert_eq!(case(&[2, 3], 5), (3, 0, 0));
    assert_eq!(case(&[1, 1, 2], 2), (0, 1, 0));
    assert_eq!(case(&[1, 3, 2], 3), (0, 0, 1));
    assert_eq!(case(&[1, 4, 2, 2, 4], 4), (1, 2, 1));
    assert_eq!(case(&[], 4), (4, 0, 0));
}

#[test]
fn what_was_sent_before_is_not_judged() {
    let mut window = Window::new(10);
    let totals = audit(&mut window, &[9, 10, 11, 13], 14);
    assert_eq!(
        (totals.lost, totals.duplicated, totals.reordered),
        (2, 0, 0)
    );
    let totals = audit(&mut Window::unknown(), &[7, 8, 10], 10);
    assert_eq!((totals.lost, totals.missed), (1, 0));
    assert_eq!(
        audit(&mut Window::unknown(), &[], 10),
        AuditTotals::default()
    );
}

#[test]
fn who_was_away_missed_and_did_not_lose() {
    let mut window = Window::new(0);
    audit(&mut window, &[1, 2, 4], 4);
    window.leave();
    assert_eq!(window.lost(&all(9)).confirmed, 1);
    assert_eq!(window.missed(&all(9)), 5);
    assert_eq!(window.clone().rejoin(9), 5);
    // The same, when the publisher is in another process.
    assert_eq!(window.receive(10), Arrival::Missed(5));
    assert_eq!(window.receive(12), Arrival::Gap(1));
    assert_eq!(window.lost(&all(12)).confirmed, 2);
}

#[test]
fn what_the_server_did_not_confirm_is_counted_apart() {
    let mut window = Window::new(0);
    audit(&mut window, &[1, 5], 5);
    let mut open = Unconfirmed::default();
    (1..=8).for_each(|sequence| open.sent(sequence));
    [1, 2, 5, 8]
        .iter()
        .for_each(|&sequence| open.confirmed(sequence));
    let sent = Sent {
        last: 8,
        unconfirmed: open.ranges(),
    };
    assert_eq!(sent.unconfirmed, [(3, 4), (6, 7)]);
    let lost = window.lost(&sent);
    assert_eq!((lost.confirmed, lost.unconfirmed), (2, 4));
}

#[test]
fn publishers_keep_their_kind_in_a_stamp() {
    for publisher in [
        Publisher::Client(0),
        Publisher::Client(57_000),
        Publisher::Emitter(3),
    ] {
        assert_eq!(Publisher::from_id(publisher.id()), publisher);
    }
}

proptest! {
    /// Against a model that keeps everything.
    #[test]
    fn the_counts_are_those_of_a_full_record(arrivals in prop::collection::vec(1u64..60, 0..120)) {
        let totals = audit(&mut Window::new(0), &arrivals, 60);
        let mut seen = std::collections::BTreeSet::new();
        let (mut duplicated, mut reordered, mut highest) = (0, 0, 0);
        for &sequence in &arrivals {
            if !seen.insert(sequence) {
                duplicated += 1;
            } else if sequence < highest {
                reordered += 1;
            }
            highest = highest.max(sequence);
        }
        prop_assert_eq!(totals.lost, 60 - seen.len() as u64);
        prop_assert_eq!(totals.duplicated, duplicated);
        prop_assert_eq!(totals.reordered, reordered);
    }

    #[test]
    fn memory_is_bounded_and_nothing_uncounted(step in 2u64..9, count in 1u64..2000) {
        let mut window = Window::new(0);
        for number in 1..=count {
            window.receive(number * step);
        }
        prop_assert!(window.gaps.len() <= MAX_GAPS);
        prop_assert_eq!(window.lost(&all(count * step)).confirmed, count * (step - 1));
        // All that was missing comes late, and once.
        let missing: Vec<u64> = (1..count * step).filter(|number| number % step != 0).collect();
        let totals = audit(&mut window, &missing, count * step);
        prop_assert_eq!(totals.duplicated, 0);
        prop_assert_eq!(totals.lost + totals.reordered, count * (step - 1));
    }

    #[test]
    fn no_order_of_calls_panics(calls in prop::collection::vec((0u8..4, 0u64..50), 0..80)) {
        let mut window = Window::unknown();
        for (call, value) in calls {
            match call {
                0 | 1 => { window.receive(value); }
                2 => window.leave(),
                _ => { window.rejoin(value); }
            }
            let _ = window.lost(&all(value));
        }
    }
}
