//! Two results side by side.

use std::fmt::Write as _;

use crate::measure::Measure;
use crate::outcome::{Latency, Outcome};
use crate::units::{count, micros};

/// A statistic of a distribution.
type Pick = fn(&Latency) -> f64;

/// A table of both, with the ratio of the second to the first.
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
            _ => String::new(),
        };
        // Writing to a string never fails.
        let _ = writeln!(
            out,
            "  {name:<20} {:>12} {:>12} {ratio:>9}",
            shown(a),
            shown(b)
        );
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
    let rss = |outcome: &Outcome| {
        let sum = outcome
            .servers
            .iter()
            .map(|server| server.rss_max)
            .sum::<f64>();
        (sum > 0.0).then_some(sum)
    };
    line("server memory", rss(before), rss(after), &|value| {
        format!("{:.1} MB", value / 1e6)
    });
    let head = format!(
        "  {:<20} {:>12} {:>12} {:>9}\n",
        "", "before", "after", "ratio"
    );
    let mut notes = String::new();
    for (name, outcome) in [("before", before), ("after", after)] {
        for reason in &outcome.generator.bottleneck {
            let _ = writeln!(
                notes,
                "  {name}: THE LOAD TESTER WAS THE BOTTLENECK: {reason}"
            );
        }
    }
    if before.settings.scenario != after.settings.scenario {
        let _ = writeln!(notes, "  The scenarios differ.");
    }
    format!("{head}{out}{notes}")
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
