//! The table at the end.

use std::fmt::Write as _;

use crate::measure::Measure;
use crate::outcome::Outcome;
use crate::units::{count, micros};

/// The result as plain text, to read and to paste.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let scenario = super::html::scenario(outcome);
    writeln!(out)?;
    if !outcome.generator.bottleneck.is_empty() {
        writeln!(out, "{}", "!".repeat(80))?;
        writeln!(
            out,
            "THE LOAD TESTER WAS ITSELF THE BOTTLENECK: these figures are not the servers'."
        )?;
        for reason in &outcome.generator.bottleneck {
            writeln!(out, "  {reason}")?;
        }
        writeln!(out, "{}\n", "!".repeat(80))?;
    }
    write!(
        out,
        "{scenario}: {} clients, {:.1} s measured",
        outcome.clients, outcome.measured
    )?;
    match &outcome.ended_early {
        Some(reason) => writeln!(out, ", ended early: {reason}\n")?,
        None => writeln!(out, "\n")?,
    }
    let rows = [
        ("sent", outcome.counters.sent, outcome.rates.sent),
        (
            "delivered",
            outcome.counters.delivered,
            outcome.rates.delivered,
        ),
        ("acknowledged", outcome.counters.acked, outcome.rates.acked),
    ];
    for (name, number, rate) in rows {
        if number > 0 {
            writeln!(out, "  {name:<14} {number:>12}   {:>8}/s", count(rate))?;
        }
    }
    for (name, number) in [
        ("connections", outcome.counters.connected),
        ("disconnected", outcome.counters.disconnected),
        ("churned", outcome.counters.churned),
        ("slow, closed", outcome.counters.slow_closed),
    ] {
        if number > 0 || name == "connections" {
            writeln!(out, "  {name:<14} {number:>12}")?;
        }
    }
    writeln!(
        out,
        "\n  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "count", "mean", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for measure in Measure::ALL {
        let Some(latency) = outcome.latency.get(&measure) else {
            continue;
        };
        write!(
            out,
            "  {:<10} {:>10} {:>10}",
            measure.name(),
            latency.count,
            micros(latency.mean)
        )?;
        for value in [
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
        ] {
            write!(out, " {:>10}", micros(value as f64))?;
        }
        writeln!(out)?;
    }
    let audit = outcome.audit;
    writeln!(
        out,
        "\n  audit: {} lost, {} lost unconfirmed, {} missed while away, {} duplicated, {} reordered",
        audit.lost, audit.lost_unconfirmed, audit.missed, audit.duplicated, audit.reordered
    )?;
    for (cause, number) in &outcome.counters.errors {
        writeln!(out, "  error: {cause}: {number}")?;
    }
    for fault in &outcome.faults {
        writeln!(
            out,
            "  fault at {:.1} s: {} ({})",
            fault.at, fault.command, fault.status
        )?;
    }
    if !outcome.servers.is_empty() {
        writeln!(out)?;
    }
    for server in &outcome.servers {
        writeln!(
            out,
            "  {}: {}, {:.1} MB before, at most {:.1} MB",
            server.name,
            server.cores.map_or_else(
                || "processor time not told".to_owned(),
                |cores| format!("{cores:.2} cores")
            ),
            server.rss_before / 1e6,
            server.rss_max / 1e6
        )?;
    }
    if let Some(cpu) = outcome.cpu_per_delivery() {
        writeln!(
            out,
            "  processor time of the servers for each message that arrived: {}",
            micros(cpu)
        )?;
    }
    writeln!(
        out,
        "  load tester: {} process{}, the busiest {:.0} % of a core",
        outcome.generator.processes,
        if outcome.generator.processes == 1 {
            ""
        } else {
            "es"
        },
        outcome.generator.busiest * 100.0
    )?;
    if !outcome.thresholds.is_empty() {
        writeln!(out)?;
    }
    for threshold in &outcome.thresholds {
        let verdict = if threshold.holds {
            "ok      "
        } else {
            "BREACHED"
        };
        writeln!(
            out,
            "  {verdict} {} (it is {})",
            threshold.threshold, threshold.value
        )?;
    }
    Ok(())
}
