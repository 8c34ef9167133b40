//! What is measured: counts and histograms, second by second.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Durations that are measured. All start when the thing was due, not when it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// From when a client should connect until the namespace has it.
    Connect,
    /// From the end of the first poll to the end of the upgrade.
    Upgrade,
    /// From when a client should connect until the first event or acknowledgement comes.
    First,
    /// From when an event was due until its acknowledgement.
    Ack,
    /// From when a message was due until a receiver has it.
    Delivery,
    /// How late we were ourselves: from when something was due until it was sent.
    Lag,
}

impl Measure {
    /// All, in the order of tables.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Upgrade,
        Self::First,
        Self::Ack,
        Self::Delivery,
        Self::Lag,
    ];

    /// The name in thresholds and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Upgrade => "upgrade",
            Self::First => "first",
            Self::Ack => "ack",
            Self::Delivery => "delivery",
            Self::Lag => "lag",
        }
    }

    /// What is measured, for reports.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Connect => "from when a client should connect until the namespace has it",
            Self::Upgrade => "from the first poll until the WebSocket carries the session",
            Self::First => {
                "from when a client should connect until its first event or acknowledgement"
            }
            Self::Ack => "from when an event was due until its acknowledgement came",
            Self::Delivery => "from when a message was due until a receiver had it",
            Self::Lag => "how late the load tester itself sent: part of the others",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name)
    }
}

/// A histogram of microseconds with three digits, up to an hour; it allocates when first used.
#[derive(Debug, Clone, Default)]
pub struct Hist(Option<Box<Histogram<u64>>>);

/// An hour.
const LONGEST: u64 = 3_600_000_000;

fn empty() -> Option<Box<Histogram<u64>>> {
    // The bounds are valid.
    Histogram::new_with_bounds(1, LONGEST, 3).ok().map(Box::new)
}

impl Hist {
    /// Records a duration in microseconds.
    pub fn record(&mut self, micros: u64) {
        if self.0.is_none() {
            self.0 = empty();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros.max(1));
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        let Some(other) = &other.0 else { return };
        match &mut self.0 {
            // The bounds are the same, so nothing is out of them.
            Some(own) => drop(own.add(&**other)),
            None => self.0 = Some(other.clone()),
        }
    }

    /// How many are recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// The duration that this share of all does not exceed, in microseconds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |histogram| histogram.value_at_quantile(quantile))
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.max())
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |histogram| histogram.mean())
    }

    /// The histogram, if something was recorded.
    #[must_use]
    pub fn histogram(&self) -> Option<&Histogram<u64>> {
        self.0.as_deref()
    }

    /// The interchange format V2, compressed, as base64: what tools for HDR histograms read.
    #[must_use]
    pub fn encode(&self) -> String {
        let Some(histogram) = &self.0 else {
            return String::new();
        };
        let mut out = Vec::new();
        // A `Vec` takes every write.
        match V2DeflateSerializer::new().serialize(histogram, &mut out) {
            Ok(_) => STANDARD.encode(out),
            Err(_) => String::new(),
        }
    }

    /// Reads what [`encode`](Self::encode) writes; none if it is not that.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let bytes = STANDARD.decode(text).ok()?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .ok()?;
        // Into our bounds, so that it can be added to.
        let mut own = empty()?;
        own.add(&read).ok()?;
        Some(Self(Some(own)))
    }
}

impl Serialize for Hist {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Hist {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).ok_or_else(|| serde::de::Error::custom("no histogram"))
    }
}

/// Histograms by measure; those without a value are left out.
pub type Hists = BTreeMap<Measure, Hist>;

/// Counts of one process, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Messages sent: published or to be acknowledged.
    pub sent: u64,
    /// Messages that reached a receiver; those of the scenario `slow` that stop reading do not count.
    pub delivered: u64,
    /// Acknowledgements.
    pub acked: u64,
    /// Clients that connected, again included.
    pub connected: u64,
    /// Clients that lost their connection against their will.
    pub disconnected: u64,
    /// Times that clients left or joined rooms, or disconnected, by plan.
    pub churned: u64,
    /// Slow clients that the server closed.
    pub slow_closed: u64,
    /// What went wrong, by cause.
    pub errors: BTreeMap<String, u64>,
}

/// Causes that are kept apart; beyond it they count as `other`.
const MAX_CAUSES: usize = 50;

impl Counters {
    /// Counts an error. Control characters, which may be a server's, are left out.
    pub fn error(&mut self, cause: impl Into<String>) {
        let cause: String = cause.into();
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        self.errors(cause.chars().map(plain).collect(), 1);
    }

    fn errors(&mut self, cause: String, count: u64) {
        let known = self.errors.contains_key(&cause) || self.errors.len() < MAX_CAUSES;
        let cause = if known { cause } else { "other".to_owned() };
        *self.errors.entry(cause).or_default() += count;
    }

    /// All errors.
    #[must_use]
    pub fn all_errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds those of another second or process.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.acked += other.acked;
        self.connected += other.connected;
        self.disconnected += other.disconnected;
        self.churned += other.churned;
        self.slow_closed += other.slow_closed;
        self.add_errors(other);
    }

    /// Adds only the errors.
    pub fn add_errors(&mut self, other: &Self) {
        for (cause, count) in &other.errors {
            self.errors(cause.clone(), *count);
        }
    }
}

/// Where in the run a second lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Clients connect and join; nothing is sent.
    Connect,
    /// Load, not measured.
    Warmup,
    /// Load, measured.
    Measure,
    /// What is under way still comes; nothing new is sent.
    Drain,
}

/// What happened in one second, or in what a change of stage left of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Second {
    /// Its begin, in microseconds from the begin of sending; negative while connecting.
    pub at: i64,
    /// Its length in microseconds.
    pub length: u64,
    /// The stage.
    pub stage: Stage,
    /// Clients that are connected at its end.
    pub clients: u64,
    /// Those that are on their way.
    pub connecting: u64,
    /// What happened.
    pub counters: Counters,
    /// Open gaps, and what was counted in it.
    pub audit: crate::audit::AuditTotals,
    /// What was measured.
    pub hists: Hists,
    /// Processor time of the load tester, in seconds.
    pub cpu: f64,
    /// Seconds that it waited for a processor, because others had them.
    pub waited: f64,
    /// Its resident memory, in bytes.
    pub rss: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_causes_share_a_place() {
        let mut counters = Counters::default();
        for cause in 0..100 {
            counters.error(cause.to_string());
        }
        assert_eq!(counters.all_errors(), 100);
        assert_eq!(counters.errors.len(), MAX_CAUSES + 1);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(Hist::decode("?").is_none());
        assert!(Hist::decode("AAAA").is_none());
        assert_eq!(Hist::decode("").map(|hist| hist.count()), Some(0));
    }

    proptest! {
        #[test]
        fn histograms_of_processes_add_up(
            parts in prop::collection::vec(prop::collection::vec(1u64..10_000_000, 0..50), 1..4)
        ) {
            let (mut merged, mut whole) = (Hist::default(), Hist::default());
            for part in &parts {
                let mut hist = Hist::default();
                for &micros in part {
                    hist.record(micros);
                    whole.record(micros);
                }
                merged.add(&Hist::decode(&hist.encode()).expect("just written"));
            }
            prop_assert_eq!(merged.count(), whole.count());
            for quantile in [0.0, 0.5, 0.99, 1.0] {
                let (a, b) = (merged.quantile(quantile), whole.quantile(quantile));
                prop_assert!(a.abs_diff(b) as f64 <= b as f64 * 0.002 + 1.0, "{a} {b}");
            }
        }
    }
}
