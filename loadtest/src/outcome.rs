//! [`Outcome`]: the result of a run, as it is written to files and shown.

mod judge;
mod tally;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::AuditTotals;
use crate::measure::{Counters, Hist, Measure, Stage};
use crate::settings::Settings;
use crate::threshold::{Number, Quantity, Statistic, Threshold};

pub use tally::{Latest, Tally};

/// The version of the format of result files.
pub const FORMAT: u32 = 1;

/// Everything about one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the load tester.
    pub version: String,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// What was asked for, without what may be secret.
    pub settings: Settings,
    /// How long was measured, in seconds.
    pub measured: f64,
    /// Most clients that were connected at once.
    pub clients: u64,
    /// Counts: messages of the measured time, and what arrived of them; connections and errors of the
    /// whole run.
    pub counters: Counters,
    /// Sent, delivered and acknowledged per second, of the measured time.
    pub rates: Rates,
    /// The audit, of the whole run.
    pub audit: AuditTotals,
    /// Durations in microseconds.
    pub latency: BTreeMap<Measure, Latency>,
    /// Second by second.
    pub seconds: Vec<Point>,
    /// The servers.
    pub servers: Vec<Server>,
    /// The load tester itself.
    pub generator: Generator,
    /// Commands that were run.
    pub faults: Vec<FaultOutcome>,
    /// Conditions.
    pub thresholds: Vec<ThresholdOutcome>,
    /// Why it ended early, if so.
    pub ended_early: Option<String>,
}

/// Per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as in `Counters`")]
pub struct Rates {
    pub sent: f64,
    pub delivered: f64,
    pub acked: f64,
}

/// A distribution of durations, in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "percentiles")]
pub struct Latency {
    pub count: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    /// All of it: HdrHistogram's interchange format V2, compressed, base64.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub histogram: Hist,
}

fn is_empty(hist: &Hist) -> bool {
    hist.count() == 0
}

impl Latency {
    fn of(hist: &Hist, with_histogram: bool) -> Self {
        Self {
            count: hist.count(),
            mean: hist.mean(),
            p50: hist.quantile(0.5),
            p90: hist.quantile(0.9),
            p99: hist.quantile(0.99),
            p999: hist.quantile(0.999),
            max: hist.max(),
            histogram: if with_histogram {
                hist.clone()
            } else {
                Hist::default()
            },
        }
    }
}

/// One second.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// Seconds from the begin of sending; negative while connecting.
    pub at: i64,
    /// Its length in seconds: less than 1 when a stage ended.
    #[serde(default = "one")]
    pub length: f64,
    /// The stage.
    pub stage: Stage,
    /// Clients at its end.
    pub clients: u64,
    /// What happened.
    pub counters: Counters,
    /// The audit up to its end; `lost` are gaps that may still be filled.
    pub audit: AuditTotals,
    /// Durations.
    pub latency: BTreeMap<Measure, Latency>,
    /// The load tester's processes together, in cores.
    pub cpu: f64,
}

const fn one() -> f64 {
    1.0
}

/// What a server used while it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Server {
    /// URL or process id.
    pub name: String,
    /// Processor time in seconds, if it tells.
    pub cpu: Option<f64>,
    /// The same in cores.
    pub cores: Option<f64>,
    /// Resident memory in bytes: before the clients connected, and the most since.
    pub rss_before: f64,
    /// The most since.
    pub rss_max: f64,
    /// About every second.
    #[serde(default)]
    pub seconds: Vec<Usage>,
}

/// What a server used at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds from the begin of sending.
    pub at: f64,
    /// Processor time since the time before, in cores, if it tells.
    pub cores: Option<f64>,
    /// Resident memory in bytes.
    pub rss: f64,
}

/// The load tester itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Generator {
    /// Processes.
    pub processes: u32,
    /// The busiest process, in cores, over the measured time. Each process can use one.
    pub busiest: f64,
    /// The share of the measured time for which the one that waited longest had no processor, because
    /// others had them all.
    pub waited: f64,
    /// Of the process for which there were most: seconds in which it used its core wholly.
    pub full: u64,
    /// The busiest process while clients connected, in cores.
    pub connecting: f64,
    /// Resident memory of all processes at most, in bytes.
    pub rss: f64,
    /// Why the figures say more about the load tester than about the servers; empty if they do not.
    pub bottleneck: Vec<String>,
    /// What to know about the figures besides.
    pub notes: Vec<String>,
}

/// A command that was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultOutcome {
    /// For the shell.
    pub command: String,
    /// When, in seconds from the begin of sending.
    pub at: f64,
    /// How it ended.
    pub status: String,
}

/// A condition, and what came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThresholdOutcome {
    /// As it was given.
    pub threshold: String,
    /// The value, shown.
    pub value: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Outcome {
    /// The value of a quantity; none if nothing of the kind was measured.
    #[must_use]
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        let number = match quantity {
            Quantity::Time(measure, statistic) => {
                let Some(latency) = self.latency.get(&measure) else {
                    // Of what never happened there were none, but no durations.
                    return (statistic == Statistic::Count).then_some(0.0);
                };
                return Some(match statistic {
                    Statistic::Count => latency.count as f64,
                    Statistic::Quantile(quantile) => latency.histogram.quantile(quantile) as f64,
                    Statistic::Max => latency.max as f64,
                    Statistic::Mean => latency.mean,
                });
            }
            Quantity::Number(number) => number,
        };
        let count = |count: u64| count as f64;
        Some(match number {
            Number::Lost => count(self.audit.lost),
            Number::LostUnconfirmed => count(self.audit.lost_unconfirmed),
            Number::Missed => count(self.audit.missed),
            Number::Duplicated => count(self.audit.duplicated),
            Number::Reordered => count(self.audit.reordered),
            Number::Errors => count(self.counters.all_errors()),
            Number::Disconnected => count(self.counters.disconnected),
            Number::Sent => count(self.counters.sent),
            Number::Delivered => count(self.counters.delivered),
            Number::Acked => count(self.counters.acked),
            Number::SentRate => self.rates.sent,
            Number::DeliveredRate => self.rates.delivered,
            Number::AckedRate => self.rates.acked,
            Number::Clients => count(self.clients),
            Number::Connections => count(self.counters.connected),
            Number::Churned => count(self.counters.churned),
            Number::SlowClosed => count(self.counters.slow_closed),
            Number::CpuPerDelivery => return self.cpu_per_delivery(),
            Number::Cores => {
                let cores = self.servers.iter().map(|server| server.cores);
                return cores
                    .sum::<Option<f64>>()
                    .filter(|_| !self.servers.is_empty());
            }
            Number::Rss => {
                let rss = self.servers.iter().map(|server| server.rss_max);
                return (!self.servers.is_empty()).then(|| rss.sum());
            }
            Number::RssPerClient => return self.rss_per_client(),
            Number::OwnCores => self.generator.busiest,
            Number::OwnWait => self.generator.waited,
        })
    }

    /// Processor time of all servers for each message that reached a receiver or was acknowledged, in
    /// microseconds.
    #[must_use]
    pub fn cpu_per_delivery(&self) -> Option<f64> {
        let reached = match (self.rates.delivered, self.rates.acked) {
            // Where something is delivered, acknowledgements only say that it was taken.
            (delivered, _) if delivered > 0.0 => delivered * self.measured,
            (_, acked) => acked * self.measured,
        };
        // One that does not tell would make the others look good.
        let cpu: f64 = self
            .servers
            .iter()
            .map(|server| server.cpu)
            .sum::<Option<f64>>()?;
        (!self.servers.is_empty() && reached > 0.0).then(|| cpu * 1e6 / reached)
    }

    /// By how much the memory of the servers grew for each client, in bytes, if they were told to us
    /// before the clients came.
    #[must_use]
    pub fn rss_per_client(&self) -> Option<f64> {
        let grown = self.servers.iter();
        let grown: f64 = grown
            .map(|server| (server.rss_max - server.rss_before).max(0.0))
            .sum();
        (!self.servers.is_empty() && self.clients > 0).then(|| grown / self.clients as f64)
    }

    /// Compares with all thresholds. What was not measured meets none.
    pub fn compare(&mut self, thresholds: &[Threshold]) {
        self.thresholds = thresholds
            .iter()
            .map(|threshold| {
                let value = self.value(threshold.quantity);
                ThresholdOutcome {
                    threshold: threshold.to_string(),
                    value: value
                        .map_or_else(|| "not measured".to_owned(), |value| threshold.show(value)),
                    holds: value.is_some_and(|value| threshold.holds(value)),
                }
            })
            .collect();
    }

    /// Whether all thresholds hold.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.thresholds.iter().all(|threshold| threshold.holds)
    }
}
