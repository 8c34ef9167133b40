//! [`Tally`]: from the seconds of all processes to the outcome.

use std::collections::BTreeMap;

use super::{FORMAT, Generator, Latency, Outcome, Point, Rates};
use crate::audit::AuditTotals;
use crate::measure::{Counters, Hists, Measure, Second, Stage};
use crate::settings::Settings;

/// Sums up seconds of all processes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that more is to come of.
    seconds: BTreeMap<(i64, u8), Merged>,
    /// Those of before, in short: histograms take much memory.
    past: Vec<Point>,
    /// By process, the last second that it told.
    last: Vec<Option<i64>>,
    totals: Hists,
    counters: Counters,
    audits: Vec<AuditTotals>,
    cpu: Vec<f64>,
    waited: Vec<f64>,
    measured: Vec<f64>,
    full: Vec<u64>,
    connecting: Vec<(f64, f64)>,
    rss: Vec<f64>,
    clients: Vec<u64>,
    most: u64,
    sent: Rates,
}

/// A second, as the live view shows it.
#[derive(Debug, Clone, Copy)]
pub struct Latest<'a> {
    /// Seconds from the begin of sending.
    pub at: i64,
    /// The stage.
    pub stage: Stage,
    /// Clients that are on their way.
    pub connecting: u64,
    /// What happened.
    pub counters: &'a Counters,
    /// What was measured.
    pub hists: &'a Hists,
}

#[derive(Debug)]
struct Merged {
    stage: Stage,
    /// By process, in seconds.
    lengths: BTreeMap<usize, f64>,
    clients: BTreeMap<usize, u64>,
    connecting: BTreeMap<usize, u64>,
    counters: Counters,
    audit: AuditTotals,
    hists: Hists,
    cpu: f64,
}

impl Tally {
    /// For so many processes.
    #[must_use]
    pub fn new(processes: usize) -> Self {
        Self {
            audits: vec![AuditTotals::default(); processes],
            cpu: vec![0.0; processes],
            waited: vec![0.0; processes],
            measured: vec![0.0; processes],
            full: vec![0; processes],
            connecting: vec![(0.0, 0.0); processes],
            rss: vec![0.0; processes],
            last: vec![None; processes],
            clients: vec![0; processes],
            ..Self::default()
        }
    }

    /// Adds a second of a process.
    pub fn add(&mut self, process: usize, second: &Second) {
        let stage = second.stage;
        let late = matches!(stage, Stage::Measure | Stage::Drain);
        self.audits[process] = second.audit;
        self.clients[process] = second.clients;
        self.most = self.most.max(self.clients.iter().sum());
        let length = second.length as f64 / 1e6;
        if stage == Stage::Measure {
            self.cpu[process] += second.cpu;
            self.waited[process] += second.waited;
            self.measured[process] += length;
            self.full[process] += u64::from(length > 0.5 && second.cpu > 0.95 * length);
            self.sent.sent += second.counters.sent as f64;
            self.sent.delivered += second.counters.delivered as f64;
            self.sent.acked += second.counters.acked as f64;
        }
        if stage == Stage::Connect {
            let (cpu, time) = &mut self.connecting[process];
            (*cpu, *time) = (*cpu + second.cpu, *time + length);
        }
        self.rss[process] = self.rss[process].max(second.rss);
        let mut counters = second.counters.clone();
        if !late {
            (counters.sent, counters.delivered, counters.acked) = (0, 0, 0);
        }
        self.counters.add(&counters);
        for (measure, hist) in &second.hists {
            let always = matches!(
                measure,
                Measure::Connect | Measure::Upgrade | Measure::First
            );
            if late || always {
                self.totals.entry(*measure).or_default().add(hist);
            }
        }
        // Ends of stages cut seconds; the parts of one belong together.
        let at = (second.at + 1_000).div_euclid(1_000_000);
        let merged = self
            .seconds
            .entry((at, stage as u8))
            .or_insert_with(|| Merged {
                stage,
                lengths: BTreeMap::new(),
                clients: BTreeMap::new(),
                connecting: BTreeMap::new(),
                counters: Counters::default(),
                audit: AuditTotals::default(),
                hists: Hists::new(),
                cpu: 0.0,
            });
        *merged.lengths.entry(process).or_default() += length;
        merged.clients.insert(process, second.clients);
        merged.connecting.insert(process, second.connecting);
        merged.counters.add(&second.counters);
        merged.cpu += if length > 0.05 {
            second.cpu / length
        } else {
            0.0
        };
        for (measure, hist) in &second.hists {
            merged.hists.entry(*measure).or_default().add(hist);
        }
        merged.audit = AuditTotals::default();
        self.audits.iter().for_each(|audit| merged.audit.add(audit));
        self.last[process] = Some(at);
        self.shorten();
    }

    /// What no process adds to any more needs no histograms.
    fn shorten(&mut self) {
        let Some(slowest) = self.last.iter().copied().min().flatten() else {
            return;
        };
        while let Some(entry) = self.seconds.first_entry() {
            if entry.key().0 >= slowest - 2 {
                return;
            }
            let ((at, _), merged) = entry.remove_entry();
            self.past.push(merged.point(at));
        }
    }

    /// The audit so far, of all processes.
    #[must_use]
    pub fn audit(&self) -> AuditTotals {
        let mut totals = AuditTotals::default();
        self.audits.iter().for_each(|audit| totals.add(audit));
        totals
    }

    /// The final audit of a process.
    pub fn set_audit(&mut self, process: usize, audit: AuditTotals) {
        self.audits[process] = audit;
    }

    /// Clients that are connected now.
    #[must_use]
    pub fn clients(&self) -> u64 {
        self.clients.iter().sum()
    }

    /// Length of the measured time so far, in seconds.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.measured.iter().copied().fold(0.0, f64::max)
    }

    /// The last second that all processes have told, for the live view.
    #[must_use]
    pub fn latest(&self) -> Option<Latest<'_>> {
        let all = self.audits.len();
        let complete = |(_, merged): &(_, &Merged)| {
            merged.clients.len() == all && merged.stage != Stage::Drain
        };
        let ((at, _), merged) = self.seconds.iter().rev().find(complete)?;
        Some(Latest {
            at: *at,
            stage: merged.stage,
            connecting: merged.connecting.values().sum(),
            counters: &merged.counters,
            hists: &merged.hists,
        })
    }

    /// The outcome so far, without [`points`](Self::points); what only the leader knows is still to be
    /// filled in.
    #[must_use]
    pub fn outcome(&self, settings: &Settings) -> Outcome {
        let measured = self.measured();
        let per_second = |count: f64| {
            if measured > 0.0 {
                count / measured
            } else {
                0.0
            }
        };
        // The highest share of the measured time of any process.
        let highest = |seconds: &[f64]| {
            let pairs = seconds.iter().zip(&self.measured);
            let shares = pairs
                .filter(|(_, length)| **length > 0.0)
                .map(|(part, length)| part / length);
            shares.fold(0.0, f64::max)
        };
        let connecting = self.connecting.iter();
        let connecting = connecting
            .filter(|(_, time)| *time > 0.5)
            .map(|(cpu, time)| cpu / time);
        Outcome {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings.without_secrets(),
            measured,
            clients: self.most,
            counters: self.counters.clone(),
            rates: Rates {
                sent: per_second(self.sent.sent),
                delivered: per_second(self.sent.delivered),
                acked: per_second(self.sent.acked),
            },
            audit: self.audit(),
            latency: latencies(&self.totals, true),
            generator: Generator {
                processes: self.cpu.len() as u32,
                busiest: highest(&self.cpu),
                waited: highest(&self.waited),
                full: self.full.iter().copied().max().unwrap_or(0),
                connecting: connecting.fold(0.0, f64::max),
                rss: self.rss.iter().sum(),
                ..Generator::default()
            },
            ..Outcome::default()
        }
    }

    /// Second by second.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let open = self.seconds.iter();
        let open = open.map(|((at, _), merged)| merged.point(*at));
        self.past.iter().cloned().chain(open).collect()
    }
}

impl Merged {
    fn point(&self, at: i64) -> Point {
        Point {
            at,
            length: self.lengths.values().copied().fold(0.0, f64::max),
            stage: self.stage,
            clients: self.clients.values().sum(),
            counters: self.counters.clone(),
            audit: self.audit,
            latency: latencies(&self.hists, false),
            cpu: self.cpu,
        }
    }
}

fn latencies(hists: &Hists, with_histogram: bool) -> BTreeMap<Measure, Latency> {
    let used = hists.iter().filter(|(_, hist)| hist.count() > 0);
    used.map(|(measure, hist)| (*measure, Latency::of(hist, with_histogram)))
        .collect()
}
