//! Whether the load tester was itself the bottleneck.

use super::Outcome;
use crate::measure::Measure;
use crate::net::OWN_LIMIT;

/// A process that is busier than this does not send or read when it should.
const MAX_BUSY: f64 = 0.9;
/// Nor does one that is wholly busy for this share of the seconds.
const MAX_FULL: f64 = 0.1;
/// Waiting longer than this for a processor adds to what is measured.
const MAX_WAITED: f64 = 0.2;
/// Sending later than this is not the schedule any more.
const MAX_LAG: u64 = 10_000;
impl Outcome {
    /// Judges whether the load tester was itself the bottleneck, and what else is to be known.
    pub fn judge(&mut self) {
        let (busiest, full) = (self.generator.busiest, self.generator.full);
        let mut reasons = Vec::new();
        if busiest > MAX_BUSY {
            reasons.push(format!(
                "a process of the load tester used {:.0} % of a core: use more --processes or more cores",
                busiest * 100.0
            ));
        } else if full >= 2 && full as f64 > self.measured * MAX_FULL {
            reasons.push(format!(
                "a process of the load tester used all of a core in {full} of {:.0} seconds: use more \
                 --processes or more cores",
                self.measured
            ));
        }
        let waited = self.generator.waited;
        if waited > MAX_WAITED {
            reasons.push(format!(
                "a process of the load tester waited {:.0} % of the time for a processor: the machine is full",
                waited * 100.0
            ));
        }
        let lag = self.latency.get(&Measure::Lag).map_or(0, |lag| lag.p99);
        if lag > MAX_LAG {
            reasons.push(format!(
                "1 % of the messages were sent more than {} late",
                crate::units::micros(lag as f64)
            ));
        }
        for (cause, count) in &self.counters.errors {
            if cause.contains(OWN_LIMIT) {
                reasons.push(format!(
                    "{count} tries to connect failed by {cause}: use more --source addresses, --processes or \
                     descriptors"
                ));
            }
        }
        self.generator.bottleneck = reasons;
        if self.generator.connecting > MAX_BUSY {
            self.generator.notes.push(format!(
                "while the clients connected, a process of the load tester used {:.0} % of a core: `connect` \
                 and `first` are longer than the servers made them (see --connect-rate)",
                self.generator.connecting * 100.0
            ));
        }
    }
}
