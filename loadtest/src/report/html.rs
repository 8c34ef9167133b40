//! The report as one HTML file, without anything from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chart::{Chart, Line, escape};
use crate::measure::{Measure, Stage};
use crate::outcome::{Latency, Outcome, Point};
use crate::run::main_measure;
use crate::units::{count, micros};

const STYLE: &str = include_str!("style.css");

/// The name of the scenario.
pub(super) fn scenario(outcome: &Outcome) -> String {
    let scenario = outcome.settings.scenario;
    let name = scenario.and_then(|scenario| clap::ValueEnum::to_possible_value(&scenario));
    name.map_or_else(String::new, |name| name.get_name().to_owned())
}

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
    let targets = outcome.settings.target.join(", ");
    write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><title>{0}: load test</title><style>{STYLE}</style><main>\
         <header><h1>{0}</h1><p>{1} clients against {2}, {3:.1} s measured</p></header>",
        escape(&name),
        outcome.clients,
        escape(&targets),
        outcome.measured
    )?;
    if !outcome.generator.bottleneck.is_empty() {
        write!(
            out,
            "<p class=alarm><strong>The load tester was itself the bottleneck.</strong> These figures are \
             not the servers'. {}</p>",
            escape(&outcome.generator.bottleneck.join("; "))
        )?;
    }
    if let Some(reason) = &outcome.ended_early {
        write!(out, "<p class=alarm>Ended early: {}</p>", escape(reason))?;
    }
    let main = main_measure(|measure| outcome.latency.contains_key(&measure));
    cards(out, outcome, main)?;
    thresholds(out, outcome)?;
    charts(out, outcome, main);
    latencies(out, outcome)?;
    rest(out, outcome)?;
    writeln!(
        out,
        "<details><summary>Settings</summary><pre>{}</pre></details><footer>socketio-loadtest {}</footer></main></html>",
        escape(&toml::to_string(&outcome.settings).unwrap_or_default()),
        escape(&outcome.version)
    )
}

fn cards(out: &mut String, outcome: &Outcome, main: Measure) -> std::fmt::Result {
    let mut cards: Vec<(String, String, bool)> = Vec::new();
    for (name, rate) in [
        ("sent / s", outcome.rates.sent),
        ("delivered / s", outcome.rates.delivered),
        ("acknowledged / s", outcome.rates.acked),
    ] {
        if rate > 0.0 {
            cards.push((name.to_owned(), count(rate), false));
        }
    }
    if let Some(latency) = outcome.latency.get(&main) {
        for (statistic, value) in [("p50", latency.p50), ("p99", latency.p99)] {
            cards.push((
                format!("{} {statistic}", main.name()),
                micros(value as f64),
                false,
            ));
        }
    }
    let audit = outcome.audit;
    for (name, number) in [
        ("lost", audit.lost),
        ("missed", audit.missed),
        ("duplicated", audit.duplicated),
        ("reordered", audit.reordered),
        ("errors", outcome.counters.all_errors()),
    ] {
        cards.push((name.to_owned(), count(number as f64), number > 0));
    }
    out.push_str("<section class=cards>");
    for (name, value, bad) in cards {
        let class = if bad { " class=bad" } else { "" };
        write!(
            out,
            "<div{class}><b>{}</b><span>{}</span></div>",
            escape(&value),
            escape(&name)
        )?;
    }
    out.push_str("</section>");
    Ok(())
}

fn thresholds(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if outcome.thresholds.is_empty() {
        return Ok(());
    }
    out.push_str("<h2>Thresholds</h2><table><tr><th>condition<th>value<th>");
    for threshold in &outcome.thresholds {
        let verdict = if threshold.holds {
            "<td class=good>holds"
        } else {
            "<td class=broken>broken"
        };
        write!(
            out,
            "<tr><td>{}<td>{}{verdict}",
            escape(&threshold.threshold),
            escape(&threshold.value)
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn charts(out: &mut String, outcome: &Outcome, main: Measure) {
    let sending = |point: &&Point| matches!(point.stage, Stage::Warmup | Stage::Measure);
    let points: Vec<&Point> = outcome.seconds.iter().filter(sending).collect();
    let series = |name, value: &dyn Fn(&Point) -> Option<f64>| Line {
        name,
        points: points
            .iter()
            .filter_map(|point| Some((point.at as f64 + 0.5, value(point)?)))
            .collect(),
    };
    let length = points.last().map_or(1.0, |point| point.at as f64 + 1.0);
    let ticks = time_ticks(length);
    let marks: Vec<(f64, String)> = outcome
        .faults
        .iter()
        .map(|fault| (fault.at, fault.command.clone()))
        .collect();
    let rates: Vec<Line> = [
        series("sent", &|point| Some(point.counters.sent as f64)),
        series("delivered", &|point| Some(point.counters.delivered as f64)),
        series("acknowledged", &|point| Some(point.counters.acked as f64)),
    ]
    .into_iter()
    .filter(|line| line.points.iter().any(|point| point.1 > 0.0))
    .collect();
    let statistic = |name, pick: fn(&Latency) -> u64| {
        series(name, &move |point| {
            point.latency.get(&main).map(|latency| pick(latency) as f64)
        })
    };
    let title = format!("{} over time", capital(main.name()));
    let distribution = format!("{}: how many are slower", capital(main.name()));
    let shape = format!(
        "{}: share of all in each tenth of a decade",
        capital(main.name())
    );
    for chart in [
        Chart {
            title: "Messages per second",
            lines: rates,
            log_y: false,
            show_y: &count,
            ticks: ticks.clone(),
            marks: marks.clone(),
        },
        Chart {
            title: &title,
            lines: vec![
                statistic("p50", |latency| latency.p50),
                statistic("p90", |latency| latency.p90),
                statistic("p99", |latency| latency.p99),
                statistic("max", |latency| latency.max),
            ],
            log_y: true,
            show_y: &micros,
            ticks: ticks.clone(),
            marks: marks.clone(),
        },
        Chart {
            title: &distribution,
            lines: percentiles(outcome, main),
            log_y: true,
            show_y: &micros,
            ticks: [
                ("0 %", 0.0),
                ("90 %", 1.0),
                ("99 %", 2.0),
                ("99.9 %", 3.0),
                ("99.99 %", 4.0),
                ("99.999 %", 5.0),
            ]
            .map(|(label, at)| (at, label.to_owned()))
            .to_vec(),
            marks: Vec::new(),
        },
        histogram(outcome, main, &shape),
        Chart {
            title: "Connected clients",
            lines: vec![series("clients", &|point| Some(point.clients as f64))],
            log_y: false,
            show_y: &count,
            ticks,
            marks,
        },
    ] {
        out.push_str(&chart.draw());
    }
}

/// How many lie in each tenth of a power of ten.
fn histogram<'a>(outcome: &Outcome, main: Measure, title: &'a str) -> Chart<'a> {
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    let all = outcome
        .latency
        .get(&main)
        .map_or(0, |latency| latency.count)
        .max(1) as f64;
    let recorded = outcome
        .latency
        .get(&main)
        .and_then(|latency| latency.histogram.histogram());
    for value in recorded
        .iter()
        .flat_map(|histogram| histogram.iter_recorded())
    {
        let bucket = (value.value_iterated_to() as f64).max(1.0).log10() * 10.0;
        *buckets.entry(bucket.floor() as i32).or_default() += value.count_at_value();
    }
    let first = buckets
        .keys()
        .next()
        .map_or(0, |bucket| bucket.div_euclid(10));
    let last = buckets
        .keys()
        .next_back()
        .map_or(1, |bucket| bucket.div_euclid(10) + 1);
    let mut points = vec![(f64::from(first), 0.0)];
    for bucket in first * 10..last * 10 {
        let share = buckets.get(&bucket).copied().unwrap_or(0) as f64 * 100.0 / all;
        points.push((f64::from(bucket) / 10.0, share));
        points.push((f64::from(bucket + 1) / 10.0, share));
    }
    points.push((f64::from(last), 0.0));
    let tick = |power: i32| (f64::from(power), micros(10f64.powi(power)));
    Chart {
        title,
        lines: vec![Line {
            name: main.name(),
            points,
        }],
        log_y: false,
        show_y: &|share| format!("{share:.0} %"),
        ticks: (first..=last).map(tick).collect(),
        marks: Vec::new(),
    }
}

/// By the number of nines: 90 % is 1, 99 % is 2.
fn percentiles(outcome: &Outcome, main: Measure) -> Vec<Line> {
    let line = |name, measure: Measure| {
        let histogram = outcome
            .latency
            .get(&measure)?
            .histogram
            .histogram()?
            .clone();
        let mut points: Vec<(f64, f64)> = Vec::new();
        for step in 0..=100u32 {
            let nines = f64::from(step) / 20.0;
            // Beyond the last one there is nothing to know.
            if 10f64.powf(nines) > histogram.len() as f64 * 1.001 {
                break;
            }
            let quantile = 1.0 - 10f64.powf(-nines);
            points.push((nines, histogram.value_at_quantile(quantile) as f64));
        }
        Some(Line { name, points })
    };
    let mut lines: Vec<Line> = line(main.name(), main).into_iter().collect();
    if main == Measure::Delivery {
        lines.extend(line("ack", Measure::Ack));
    }
    lines
}

fn time_ticks(length: f64) -> Vec<(f64, String)> {
    let choices = [
        1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    ];
    let step = choices
        .into_iter()
        .find(|step| length / step <= 10.0)
        .unwrap_or(length / 10.0);
    let count = (length / step).ceil().max(1.0) as u32;
    let at = (0..=count).map(|number| f64::from(number) * step);
    at.map(|at| (at, format!("{at:.0} s"))).collect()
}

fn latencies(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    out.push_str(
        "<h2>Durations</h2><p>From when each thing was due, not from when it was done.</p>\
         <table class=numbers><tr><th><th>count<th>mean<th>p50<th>p90<th>p99<th>p99.9<th>max",
    );
    for (measure, latency) in &outcome.latency {
        write!(
            out,
            "<tr><td>{}<td>{}<td>{}",
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
            write!(out, "<td>{}", micros(value as f64))?;
        }
    }
    out.push_str("</table>");
    Ok(())
}

fn rest(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let audit = outcome.audit;
    write!(
        out,
        "<h2>Audit</h2><table class=numbers><tr><th>lost<th>lost, not confirmed<th>missed while away<th>duplicated\
         <th>reordered<tr><td>{}<td>{}<td>{}<td>{}<td>{}</table>",
        audit.lost, audit.lost_unconfirmed, audit.missed, audit.duplicated, audit.reordered
    )?;
    if !outcome.counters.errors.is_empty() {
        out.push_str("<h2>Errors</h2><table><tr><th>cause<th>count");
        for (cause, number) in &outcome.counters.errors {
            write!(out, "<tr><td>{}<td>{number}", escape(cause))?;
        }
        out.push_str("</table>");
    }
    if !outcome.faults.is_empty() {
        out.push_str("<h2>Faults</h2><table><tr><th>at<th>command<th>status");
        for fault in &outcome.faults {
            write!(
                out,
                "<tr><td>{:.1} s<td><code>{}</code><td>{}",
                fault.at,
                escape(&fault.command),
                escape(&fault.status)
            )?;
        }
        out.push_str("</table>");
    }
    out.push_str(
        "<h2>Processes</h2><table class=numbers><tr><th><th>cores<th>memory before<th>at most",
    );
    for server in &outcome.servers {
        write!(
            out,
            "<tr><td>{}<td>{}<td>{:.1} MB<td>{:.1} MB",
            escape(&server.name),
            server
                .cores
                .map_or_else(|| "not told".to_owned(), |cores| format!("{cores:.2}")),
            server.rss_before / 1e6,
            server.rss_max / 1e6
        )?;
    }
    write!(
        out,
        "<tr><td>busiest of the load tester's {}<td>{:.2}<td><td></table>",
        outcome.generator.processes, outcome.generator.busiest
    )?;
    if let Some(cpu) = outcome.cpu_per_delivery() {
        write!(
            out,
            "<p>Processor time of the servers for each message that arrived: {}</p>",
            micros(cpu)
        )?;
    }
    Ok(())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
