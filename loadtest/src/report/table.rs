//! The table at the end.

use std::fmt::Write as _;

use crate::measure::Measure;
use crate::outcome::Outcome;
use crate::units::{bytes, count, micros};

/// The result as plain text, to read and to paste.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let scenario = super::scenario(outcome);
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
    if !outcome.latency.is_empty() {
        writeln!(
            out,
            "\n  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "", "count", "mean", "p50", "p90", "p99", "p99.9", "max"
        )?;
    }
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
    if !outcome.counters.errors.is_empty() {
        writeln!(out, "\n  {:>10} errors", outcome.counters.all_errors())?;
    }
    for (cause, number) in super::by_count(&outcome.counters.errors) {
        writeln!(out, "  {number:>10} {cause}")?;
    }
    if !outcome.faults.is_empty() {
        writeln!(out)?;
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
            "  {}: {}, memory {} before, at most {}",
            server.name,
            server.cores.map_or_else(
                || "processor time not told".to_owned(),
                |cores| format!("{cores:.2} cores")
            ),
            bytes(server.rss_before),
            bytes(server.rss_max)
        )?;
    }
    if let Some(cpu) = outcome.cpu_per_delivery() {
        writeln!(
            out,
            "  processor time of the servers for each message that arrived: {}",
            micros(cpu)
        )?;
    }
    if let Some(rss) = outcome.rss_per_client() {
        writeln!(
            out,
            "  memory of the servers for each client: {}",
            bytes(rss)
        )?;
    }
    let generator = &outcome.generator;
    let busiest = generator.busiest * 100.0;
    match generator.processes {
        0 | 1 => write!(out, "  load tester: {busiest:.0} % of a core")?,
        all => write!(
            out,
            "  load tester: {all} processes, the busiest {busiest:.0} % of a core"
        )?,
    }
    writeln!(out, ", memory {}", bytes(generator.rss))?;
    for note in &generator.notes {
        writeln!(out, "  note: {note}")?;
    }
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
