//! Two results side by side.

use std::fmt::Write as _;

use crate::measure::Measure;
use crate::outcome::{Latency, Outcome, Server};
use crate::units::{bytes, count, micros, utc};

/// A statistic of a distribution.
type Pick = fn(&Latency) -> f64;

/// A table of both, with the ratio of the second to the first. What one of them lacks is shown as `-`.
#[must_use]
pub fn comparison(before: &Outcome, after: &Outcome) -> String {
    let mut out = String::new();
    let mut line = |name: &str, a: Option<f64>, b: Option<f64>, show: &dyn Fn(f64) -> String| {
        if a.is_none() && b.is_none() {
            return;
        }
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), show);
        let ratio = match (a, b) {
            (Some(a), Some(b)) if a > 0.0 => format!("×{:.2}", b / a),
            (Some(_), Some(b)) if b > 0.0 => "was 0".to_owned(),
            _ => String::new(),
        };
        let row = format!("  {name:<20} {:>12} {:>12} {ratio:>9}", shown(a), shown(b));
        // Writing to a string never fails.
        let _ = writeln!(out, "{}", row.trim_end());
    };
    let number = |value: f64| count(value);
    let time = |value: f64| micros(value);
    line(
        "clients",
        some(before.clients),
        some(after.clients),
        &number,
    );
    line(
        "sent/s",
        rate(before.rates.sent),
        rate(after.rates.sent),
        &number,
    );
    line(
        "delivered/s",
        rate(before.rates.delivered),
        rate(after.rates.delivered),
        &number,
    );
    line(
        "acknowledged/s",
        rate(before.rates.acked),
        rate(after.rates.acked),
        &number,
    );
    for measure in Measure::ALL {
        let (a, b) = (before.latency.get(&measure), after.latency.get(&measure));
        let statistics: [(&str, Pick); 5] = [
            ("p50", |latency| latency.p50 as f64),
            ("p90", |latency| latency.p90 as f64),
            ("p99", |latency| latency.p99 as f64),
            ("p99.9", |latency| latency.p999 as f64),
            ("max", |latency| latency.max as f64),
        ];
        for (statistic, value) in statistics {
            line(
                &format!("{} {statistic}", measure.name()),
                a.map(value),
                b.map(value),
                &time,
            );
        }
    }
    let audits = [before.audit, after.audit];
    for (name, pick) in [
        (
            "lost",
            (|audit| audit.lost) as fn(&crate::audit::AuditTotals) -> u64,
        ),
        ("lost unconfirmed", |audit| audit.lost_unconfirmed),
        ("missed", |audit| audit.missed),
        ("duplicated", |audit| audit.duplicated),
        ("reordered", |audit| audit.reordered),
    ] {
        line(
            name,
            some(pick(&audits[0])),
            some(pick(&audits[1])),
            &number,
        );
    }
    line(
        "errors",
        some(before.counters.all_errors()),
        some(after.counters.all_errors()),
        &number,
    );
    line(
        "server CPU/message",
        before.cpu_per_delivery(),
        after.cpu_per_delivery(),
        &time,
    );
    let told = |outcome: &Outcome, pick: fn(&Server) -> Option<f64>| {
        let servers = outcome.servers.iter().map(pick);
        let sum = servers.sum::<Option<f64>>();
        sum.filter(|_| !outcome.servers.is_empty())
    };
    for (name, pick, show) in [
        (
            "server cores",
            (|server| server.cores) as fn(&Server) -> Option<f64>,
            &number as &dyn Fn(f64) -> String,
        ),
        ("server memory", |server| Some(server.rss_max), &bytes),
    ] {
        line(name, told(before, pick), told(after, pick), show);
    }
    line(
        "server memory/client",
        before.rss_per_client(),
        after.rss_per_client(),
        &bytes,
    );
    let head = format!(
        "  {:<20} {:>12} {:>12} {:>9}\n",
        "", "before", "after", "ratio"
    );
    let mut about = String::new();
    let mut notes = String::new();
    for (name, outcome) in [("before", before), ("after", after)] {
        let _ = writeln!(about, "  {name:<7}{}", description(outcome));
        for reason in &outcome.generator.bottleneck {
            let _ = writeln!(
                notes,
                "  {name}: THE LOAD TESTER WAS THE BOTTLENECK: {reason}"
            );
        }
        if let Some(reason) = &outcome.ended_early {
            let _ = writeln!(notes, "  {name}: ended early: {reason}");
        }
    }
    if super::scenario(before) != super::scenario(after) {
        let _ = writeln!(notes, "  The scenarios differ.");
    }
    format!("{about}\n{head}{out}{notes}")
}

/// What was run, in one line.
fn description(outcome: &Outcome) -> String {
    let mut out = format!("{}, {} clients", super::scenario(outcome), outcome.clients);
    if let Some(rate) = outcome.settings.rate {
        let _ = write!(out, ", {}/s", count(rate));
    }
    let _ = write!(out, ", {:.0} s", outcome.measured);
    if outcome.began > 0 {
        let _ = write!(out, ", {}", utc(outcome.began));
    }
    let _ = write!(out, ", {}", outcome.settings.target.join(" "));
    out
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "beside values that may be missing"
)]
const fn some(number: u64) -> Option<f64> {
    Some(number as f64)
}

fn rate(rate: f64) -> Option<f64> {
    (rate > 0.0).then_some(rate)
}
