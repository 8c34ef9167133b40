//! How load changes with time.

use crate::units::Span;

/// A stage of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// How long it takes.
    pub duration: Span,
    /// Messages per second at its begin and end; none: no open loop.
    pub rate: Option<(f64, f64)>,
    /// Clients at its end, reached evenly; none: as before.
    pub clients: Option<u32>,
}

/// Messages per second that a run may be asked for: more than any machine sends, and still one at a time for the
/// clock.
pub const MAX_RATE: f64 = 1e6;

/// A text that is no phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no phase: {reason}")]
pub struct PhaseError {
    text: String,
    reason: String,
}

impl Phase {
    /// Reads `30s`, `10s rate=100..500`, `1m clients=2000 rate=500`.
    ///
    /// # Errors
    ///
    /// When a word is none of these.
    pub fn parse(text: &str) -> Result<Self, PhaseError> {
        let error = |reason: String| PhaseError {
            text: text.to_owned(),
            reason,
        };
        let mut words = text.split_whitespace();
        let duration = words.next().unwrap_or_default();
        let duration: Span = duration
            .parse()
            .map_err(|cause: crate::units::ParseError| error(cause.to_string()))?;
        if duration.0.is_zero() {
            return Err(error("it must last".to_owned()));
        }
        let mut phase = Self {
            duration,
            rate: None,
            clients: None,
        };
        for word in words {
            let unknown = || error(format!("`{word}` is neither rate=… nor clients=…"));
            let (name, value) = word.split_once('=').ok_or_else(unknown)?;
            match name {
                "rate" => {
                    let (from, to) = value.split_once("..").unwrap_or((value, value));
                    let number = |text: &str| {
                        let number = text.parse().ok();
                        number.filter(|number: &f64| (0.0..=MAX_RATE).contains(number))
                    };
                    let (from, to) = (number(from), number(to));
                    let rate = from.zip(to).ok_or_else(|| {
                        error(format!("`{value}` is no rate from 0 to {MAX_RATE}"))
                    })?;
                    phase.rate = Some(rate);
                }
                "clients" => {
                    let clients = value
                        .parse()
                        .map_err(|_| error(format!("`{value}` is no number of clients")))?;
                    phase.clients = Some(clients);
                }
                _ => return Err(unknown()),
            }
        }
        Ok(phase)
    }
}

/// The phases of a run, on a clock that starts with the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Timetable {
    phases: Vec<Phase>,
    /// Clients before the first phase.
    initial: u32,
}

impl Timetable {
    /// These phases, with `initial` clients at their begin.
    #[must_use]
    pub const fn new(phases: Vec<Phase>, initial: u32) -> Self {
        Self { phases, initial }
    }

    /// The phases.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// How long all take, in microseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.phases
            .iter()
            .map(|phase| phase.duration.as_micros())
            .sum()
    }

    /// Most clients of any moment.
    #[must_use]
    pub fn most_clients(&self) -> u32 {
        let most = self.phases.iter().filter_map(|phase| phase.clients).max();
        most.unwrap_or(0).max(self.initial)
    }

    /// Clients that should be connected `at` microseconds after the begin.
    #[must_use]
    pub fn clients(&self, at: u64) -> u32 {
        let mut before = self.initial;
        let mut start = 0;
        for phase in &self.phases {
            let length = phase.duration.as_micros();
            let after = phase.clients.unwrap_or(before);
            if at < start + length {
                let share = (at - start) as f64 / length as f64;
                let clients = f64::from(before) + (f64::from(after) - f64::from(before)) * share;
                return clients.round() as u32;
            }
            start += length;
            before = after;
        }
        before
    }

    /// When a message is due that `before` others come before; none when the phases end first.
    ///
    /// Found from all that was to be sent until then and not from the message before, so that nothing adds up
    /// that is lost when a time is rounded.
    #[must_use]
    pub fn due(&self, before: f64) -> Option<u64> {
        let (mut start, mut left) = (0, before);
        for phase in &self.phases {
            let (from, to) = phase.rate.unwrap_or((0.0, 0.0));
            let length = phase.duration.as_secs();
            let messages = (from + to) / 2.0 * length;
            if left < messages {
                // Where from·t + (to − from)·t² / 2·length, which is what was sent until t, is `left`; written so
                // that it neither divides by zero nor takes one number from another that is nearly the same.
                let slope = (to - from) / length;
                let root = (from * from + 2.0 * slope * left).max(0.0).sqrt();
                let time = if left > 0.0 {
                    2.0 * left / (from + root)
                } else {
                    0.0
                };
                let due = start + (time * 1e6).round() as u64;
                return (due < self.length()).then_some(due);
            }
            left -= messages;
            start += phase.duration.as_micros();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(phases: &[&str]) -> Timetable {
        let phases = phases.iter().map(|text| Phase::parse(text).expect("valid"));
        Timetable::new(phases.collect(), 100)
    }

    fn due(table: &Timetable, share: f64) -> Vec<u64> {
        let due = |number: u32| table.due(f64::from(number) / share);
        (0..).map_while(due).collect()
    }

    #[test]
    fn phases_are_read() {
        let phase = Phase::parse("10s rate=100..500 clients=7").expect("valid");
        assert_eq!(phase.rate, Some((100.0, 500.0)));
        assert_eq!(phase.clients, Some(7));
        for text in [
            "",
            "0s",
            "rate=5",
            "5s rate",
            "5s rate=x",
            "5s rate=-1",
            "5s rate=1e7",
            "5s rate=inf",
            "5s speed=1",
            "5s clients=1.5",
        ] {
            assert!(Phase::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clients_are_reached_evenly_and_kept() {
        let table = table(&["10s clients=200", "5s", "10s clients=0"]);
        assert_eq!(table.clients(0), 100);
        assert_eq!(table.clients(5_000_000), 150);
        assert_eq!(table.clients(12_000_000), 200);
        assert_eq!(table.clients(20_000_000), 100);
        assert_eq!(table.clients(99_000_000), 0);
        assert_eq!(table.most_clients(), 200);
    }

    #[test]
    fn a_ramp_sends_what_its_area_says() {
        let all = due(
            &table(&["10s rate=0..1000", "5s rate=1000", "5s", "10s rate=1000..0"]),
            1.0,
        );
        let between = |from: u64, to: u64| {
            let of = all
                .iter()
                .filter(|at| (from..to).contains(&(**at / 1_000_000)));
            of.count()
        };
        assert_eq!(
            (between(0, 10), between(10, 15), between(15, 20)),
            (5000, 5000, 0)
        );
        assert_eq!(
            (between(0, 5), between(20, 25), between(20, 30)),
            (1250, 3750, 5000)
        );
        assert!(all.is_sorted());
    }

    #[test]
    fn without_a_rate_nothing_is_due() {
        assert!(due(&table(&["5s", "5s rate=0"]), 1.0).is_empty());
        let late = due(&table(&["5s rate=0", "1s rate=2"]), 1.0);
        assert_eq!(late, [5_000_000, 5_500_000]);
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_kept(rate in 0.5f64..100_000.0, parts in 1u32..4) {
            let table = table(&[&format!("1s rate={rate}")]);
            let all = due(&table, 1.0 / f64::from(parts)).len() as f64;
            let wanted = rate / f64::from(parts);
            prop_assert!((all - wanted).abs() <= 1.0, "{all} of {wanted}");
        }

        #[test]
        fn what_is_due_is_due_in_turn(from in 0.0f64..1000.0, to in 0.0f64..1000.0) {
            let all = due(&table(&[&format!("2s rate={from}..{to}")]), 1.0);
            prop_assert!(all.is_sorted());
            prop_assert!((all.len() as f64 - (from + to)).abs() <= 1.0, "{}", all.len());
        }
    }
}
