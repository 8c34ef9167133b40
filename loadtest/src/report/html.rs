//! The report as one HTML file, without anything from elsewhere.

use std::fmt::Write as _;

use super::chart::escape;
use super::charts::charts;
use super::scenario;
use crate::measure::Measure;
use crate::outcome::Outcome;
use crate::run::main_measure;
use crate::units::{bytes, count, micros, utc};

const STYLE: &str = include_str!("style.css");

/// The report.
#[must_use]
pub fn html(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let name = scenario(outcome);
    write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><title>{0}: load test</title><style>{STYLE}</style><main>",
        escape(&name),
    )?;
    header(out, outcome, &name)?;
    let main = main_measure(|measure| outcome.latency.contains_key(&measure));
    cards(out, outcome, main)?;
    thresholds(out, outcome)?;
    out.push_str(&charts(outcome, main));
    latencies(out, outcome)?;
    audit(out, outcome)?;
    incidents(out, outcome)?;
    processes(out, outcome)?;
    writeln!(
        out,
        "<details><summary>Settings (as a scenario file)</summary><pre>{}</pre></details>\
         <footer>socketio-loadtest {}</footer></main></html>",
        escape(&toml::to_string(&outcome.settings).unwrap_or_default()),
        escape(&outcome.version)
    )
}

fn header(out: &mut String, outcome: &Outcome, name: &str) -> std::fmt::Result {
    let targets = outcome.settings.target.join(", ");
    write!(
        out,
        "<header><h1>{}</h1><p>{} clients against {}; {:.1} s measured",
        escape(name),
        outcome.clients,
        escape(&targets),
        outcome.measured
    )?;
    if outcome.began > 0 {
        write!(out, "; {}", utc(outcome.began))?;
    }
    out.push_str("</p></header>");
    if !outcome.generator.bottleneck.is_empty() {
        out.push_str(
            "<div class=alarm><strong>The load tester was itself the bottleneck.</strong> These figures \
             are not the servers’.<ul>",
        );
        for reason in &outcome.generator.bottleneck {
            write!(out, "<li>{}", escape(reason))?;
        }
        out.push_str("</ul></div>");
    }
    if let Some(reason) = &outcome.ended_early {
        write!(
            out,
            "<div class=alarm>Ended early: {}</div>",
            escape(reason)
        )?;
    }
    for note in &outcome.generator.notes {
        write!(out, "<p class=note>{}</p>", escape(note))?;
    }
    let all = outcome.thresholds.len();
    let broken = outcome
        .thresholds
        .iter()
        .filter(|threshold| !threshold.holds);
    match (all, broken.count()) {
        (0, _) => {}
        (_, 0) => write!(
            out,
            "<div class=verdict><b>Passed.</b> {all} of {all} thresholds hold.</div>"
        )?,
        (_, broken) => write!(
            out,
            "<div class=\"verdict failed\"><b>Failed.</b> {broken} of {all} thresholds {} broken.</div>",
            if broken == 1 { "is" } else { "are" }
        )?,
    }
    Ok(())
}

fn cards(out: &mut String, outcome: &Outcome, main: Measure) -> std::fmt::Result {
    let mut cards: Vec<(String, String, bool)> = Vec::new();
    let mut card = |name: String, value: String| cards.push((name, value, false));
    card("clients".to_owned(), count(outcome.clients as f64));
    for (name, rate) in [
        ("sent / s", outcome.rates.sent),
        ("delivered / s", outcome.rates.delivered),
        ("acknowledged / s", outcome.rates.acked),
    ] {
        if rate > 0.0 {
            card(name.to_owned(), count(rate));
        }
    }
    if let Some(latency) = outcome.latency.get(&main) {
        for (statistic, value) in [("p50", latency.p50), ("p99", latency.p99)] {
            card(format!("{} {statistic}", main.name()), micros(value as f64));
        }
    }
    if let Some(cpu) = outcome.cpu_per_delivery() {
        card("server CPU / message".to_owned(), micros(cpu));
    }
    if let Some(rss) = outcome.rss_per_client() {
        card("server memory / client".to_owned(), bytes(rss));
    }
    let audit = outcome.audit;
    for (name, number) in [
        ("lost", audit.lost),
        ("lost, unconfirmed", audit.lost_unconfirmed),
        ("missed", audit.missed),
        ("duplicated", audit.duplicated),
        ("reordered", audit.reordered),
        ("errors", outcome.counters.all_errors()),
    ] {
        let always = matches!(name, "lost" | "duplicated" | "reordered" | "errors");
        if number > 0 || always {
            cards.push((name.to_owned(), count(number as f64), number > 0));
        }
    }
    out.push_str("<section class=cards>");
    for (name, value, bad) in cards {
        let class = if bad { " class=bad" } else { "" };
        let (value, name) = (escape(&value), escape(&name));
        write!(out, "<div{class}><b>{value}</b><span>{name}</span></div>")?;
    }
    out.push_str("</section>");
    Ok(())
}

fn thresholds(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if outcome.thresholds.is_empty() {
        return Ok(());
    }
    out.push_str("<h2>Thresholds</h2><table><tr><th>condition<th>value<th>verdict");
    for threshold in &outcome.thresholds {
        let verdict = if threshold.holds {
            "<td class=good>✓ holds"
        } else {
            "<td class=broken>✗ broken"
        };
        let (condition, value) = (escape(&threshold.threshold), escape(&threshold.value));
        write!(out, "<tr><td><code>{condition}</code><td>{value}{verdict}")?;
    }
    out.push_str("</table>");
    Ok(())
}

fn latencies(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    out.push_str("<h2>Durations</h2>");
    if outcome.latency.is_empty() {
        out.push_str("<p>Nothing was measured.</p>");
        return Ok(());
    }
    out.push_str(
        "<p>From when each thing was due, not from when it was done.</p>\
         <table class=numbers><tr><th><th>count<th>mean<th>p50<th>p90<th>p99<th>p99.9<th>max",
    );
    for (measure, latency) in &outcome.latency {
        write!(
            out,
            "<tr><td title=\"{}\">{}<td>{}<td>{}",
            escape(measure.meaning()),
            measure.name(),
            latency.count,
            micros(latency.mean)
        )?;
        let quantiles = [latency.p50, latency.p90, latency.p99, latency.p999];
        for value in quantiles.into_iter().chain([latency.max]) {
            write!(out, "<td>{}", micros(value as f64))?;
        }
    }
    out.push_str("</table><dl>");
    for measure in outcome.latency.keys() {
        let (name, meaning) = (measure.name(), escape(measure.meaning()));
        write!(out, "<dt>{name}<dd>{meaning}")?;
    }
    out.push_str("</dl>");
    Ok(())
}

fn audit(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let audit = outcome.audit;
    write!(
        out,
        "<h2>Audit</h2><p>Of every message to every receiver.</p><table class=numbers><tr><th>lost\
         <th>lost, not confirmed<th>missed while away<th>duplicated<th>reordered\
         <tr><td>{}<td>{}<td>{}<td>{}<td>{}</table>",
        audit.lost, audit.lost_unconfirmed, audit.missed, audit.duplicated, audit.reordered
    )
}

/// Errors and faults.
fn incidents(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if !outcome.counters.errors.is_empty() {
        out.push_str("<h2>Errors</h2><table><tr><th>cause<th>count");
        for (cause, number) in super::by_count(&outcome.counters.errors) {
            write!(out, "<tr><td>{}<td>{number}", escape(cause))?;
        }
        out.push_str("</table>");
    }
    if !outcome.faults.is_empty() {
        out.push_str("<h2>Faults</h2><table><tr><th>at<th>command<th>status");
        for fault in &outcome.faults {
            let (command, status) = (escape(&fault.command), escape(&fault.status));
            let at = fault.at;
            write!(
                out,
                "<tr><td>{at:.1} s<td><code>{command}</code><td>{status}"
            )?;
        }
        out.push_str("</table>");
    }
    Ok(())
}

fn processes(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    out.push_str(
        "<h2>Processes</h2><table class=numbers><tr><th><th>cores<th>memory before<th>memory at most",
    );
    for server in &outcome.servers {
        let cores = server.cores.map(|cores| format!("{cores:.2}"));
        let cores = cores.unwrap_or_else(|| "not told".to_owned());
        write!(
            out,
            "<tr><td>{}<td>{cores}<td>{}<td>{}",
            escape(&server.name),
            bytes(server.rss_before),
            bytes(server.rss_max)
        )?;
    }
    let generator = &outcome.generator;
    let name = match generator.processes {
        0 | 1 => "the load tester".to_owned(),
        all => format!("the load tester: busiest of {all}, memory of all"),
    };
    write!(
        out,
        "<tr><td>{name}<td>{:.2}<td><td>{}</table>",
        generator.busiest,
        bytes(generator.rss)
    )
}
