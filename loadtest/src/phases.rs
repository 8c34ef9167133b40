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
                        number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
                    };
                    let (from, to) = (number(from), number(to));
                    let rate = from
                        .zip(to)
                        .ok_or_else(|| error(format!("`{value}` is no rate")))?;
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

    /// Messages per second `at` microseconds after the begin.
    #[must_use]
    pub fn rate(&self, at: u64) -> f64 {
        let mut start = 0;
        for phase in &self.phases {
            let length = phase.duration.as_micros();
            if at < start + length {
                let (from, to) = phase.rate.unwrap_or((0.0, 0.0));
                return from + (to - from) * (at - start) as f64 / length as f64;
            }
            start += length;
        }
        0.0
    }

    /// When the message after the one of `at` is due, if `share` of all are ours; none when the phases
    /// end before.
    ///
    /// The interval is that of the rate in its middle, found by one correction: within a ramp it is
    /// exact to a share of the interval that no measure sees.
    #[must_use]
    pub fn next_due(&self, at: u64, share: f64) -> Option<u64> {
        let end = self.length();
        let mut at = at;
        // A rate of zero: look a little later, until there is one.
        while at < end {
            let rate = self.rate(at) * share;
            if rate > 0.0 {
                let first = (1e6 / rate).min(STEP as f64);
                let middle = self.rate(at + (first / 2.0) as u64) * share;
                let interval = if middle > 0.0 { 1e6 / middle } else { first };
                if interval <= STEP as f64 {
                    let due = at + interval.round() as u64;
                    return (due < end).then_some(due);
                }
                // So slow that the rate may change meanwhile: go on by shares of the interval.
                let due = self.slow_due(at, share);
                return due.filter(|due| *due < end);
            }
            at += STEP;
        }
        None
    }

    /// Adds up small pieces of the rate until one message is due.
    fn slow_due(&self, at: u64, share: f64) -> Option<u64> {
        let end = self.length();
        let (mut at, mut done) = (at, 0.0);
        while at < end {
            let piece = self.rate(at) * share * STEP as f64 / 1e6;
            if done + piece >= 1.0 {
                return Some(at + ((1.0 - done) / piece * STEP as f64) as u64);
            }
            done += piece;
            at += STEP;
        }
        None
    }
}

/// Step at which a rate of zero, or nearly, is looked at again: 10 ms.
const STEP: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(phases: &[&str]) -> Timetable {
        let phases = phases.iter().map(|text| Phase::parse(text).expect("valid"));
        Timetable::new(phases.collect(), 100)
    }

    fn due(table: &Timetable, share: f64) -> Vec<u64> {
        let mut all = Vec::new();
        let mut at = 0;
        while let Some(next) = table.next_due(at, share) {
            all.push(next);
            at = next;
        }
        all
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
        let all = due(&table(&["10s rate=0..1000", "5s rate=1000", "5s"]), 1.0);
        let ramp = all.iter().filter(|at| **at < 10_000_000).count();
        assert!(ramp.abs_diff(5000) < 50, "{ramp}");
        assert!((all.len() - ramp).abs_diff(5000) < 5, "{}", all.len());
        assert!(all.last().expect("some") <= &15_001_000);
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_kept(rate in 0.5f64..20_000.0, parts in 1u32..4) {
            let table = table(&[&format!("4s rate={rate}")]);
            let all = due(&table, 1.0 / f64::from(parts)).len() as f64;
            let wanted = 4.0 * rate / f64::from(parts);
            // Intervals are whole microseconds.
            prop_assert!((all - wanted).abs() <= 1.5 + wanted * rate / 1e6, "{all} of {wanted}");
        }
    }
}
