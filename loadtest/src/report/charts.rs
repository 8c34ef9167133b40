//! From a result to its charts.

use std::collections::BTreeMap;

use super::chart::{Chart, Line, Mark};
use crate::measure::{Measure, Stage};
use crate::outcome::{Latency, Outcome, Point};
use crate::units::{bytes, count, micros};

/// Points of a line; of longer runs several seconds share one.
const MAX_POINTS: usize = 400;

/// Several seconds that share a point.
struct Bin<'a>(&'a [Point]);

impl Bin<'_> {
    fn at(&self) -> f64 {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0.0, |(first, last)| (first.at + last.at) as f64 / 2.0 + 0.5)
    }

    /// Per second.
    fn rate(&self, pick: impl Fn(&Point) -> u64) -> f64 {
        let length: f64 = self.0.iter().map(|point| point.length).sum();
        let sum: u64 = self.0.iter().map(pick).sum();
        sum as f64 / length.max(0.001)
    }

    fn highest(&self, pick: impl Fn(&Point) -> Option<f64>) -> Option<f64> {
        self.0.iter().filter_map(pick).reduce(f64::max)
    }
}

struct Times {
    ticks: Vec<(f64, String)>,
    marks: Vec<Mark>,
}

/// All charts of a result, one after the other.
pub(super) fn charts(outcome: &Outcome, main: Measure) -> String {
    let points = whole_seconds(outcome);
    let each = points.len().div_ceil(MAX_POINTS).max(1);
    let all: Vec<Bin<'_>> = points.chunks(each).map(Bin).collect();
    let sending = |bin: &&Bin<'_>| bin.0.iter().any(|point| point.stage != Stage::Connect);
    let bins: Vec<&Bin<'_>> = all.iter().filter(sending).collect();
    let series = |name: &str, value: &dyn Fn(&Bin<'_>) -> Option<f64>| Line {
        name: name.to_owned(),
        points: bins
            .iter()
            .filter_map(|bin| Some((bin.at(), value(bin)?)))
            .collect(),
    };
    let end = points.last().map_or(1.0, |point| point.at as f64 + 1.0);
    let begin = points.first().map_or(0.0, |point| point.at as f64).min(0.0);
    let mut marks: Vec<Mark> = outcome
        .faults
        .iter()
        .map(|fault| Mark {
            at: fault.at,
            label: fault.command.clone(),
            fault: true,
        })
        .collect();
    let measured = outcome
        .seconds
        .iter()
        .find(|point| point.stage == Stage::Measure);
    if let Some(point) = measured.filter(|point| point.at > 0) {
        marks.push(Mark {
            at: point.at as f64,
            label: "measured".to_owned(),
            fault: false,
        });
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    }
    let of_sending = Times {
        ticks: time_ticks(0.0, end),
        marks: marks.clone(),
    };
    let of_all = Times {
        ticks: time_ticks(begin, end),
        marks,
    };
    let joined = match each {
        1 => String::new(),
        each => format!("; each point is of {each} s"),
    };
    let used = |line: &Line| line.points.iter().any(|point| point.1 > 0.0);
    let rate = |name: &str, pick: fn(&Point) -> u64| series(name, &move |bin| Some(bin.rate(pick)));
    let statistic = |name: &str, pick: fn(&Latency) -> u64| {
        series(name, &move |bin| {
            bin.highest(|point| point.latency.get(&main).map(|latency| pick(latency) as f64))
        })
    };
    let total = |name: &str, pick: fn(&Point) -> u64| {
        series(name, &move |bin| {
            bin.0.last().map(|point| pick(point) as f64)
        })
    };
    let counts = |title: &str, axes: &str, lines: Vec<Line>, times: &Times| Chart {
        title: title.to_owned(),
        axes: format!("{axes}{joined}"),
        lines: lines.into_iter().filter(used).collect(),
        log_y: false,
        filled: false,
        show_y: &count,
        show_x: &seconds,
        ticks: times.ticks.clone(),
        marks: times.marks.clone(),
    };
    let clients = Line {
        name: "clients".to_owned(),
        points: all
            .iter()
            .filter_map(|bin| Some((bin.at(), bin.0.last()?.clients as f64)))
            .collect(),
    };
    let charts = [
        counts(
            "Messages",
            "per second, over time",
            vec![
                rate("sent", |point| point.counters.sent),
                rate("delivered", |point| point.counters.delivered),
                rate("acknowledged", |point| point.counters.acked),
            ],
            &of_sending,
        ),
        Chart {
            log_y: true,
            show_y: &micros,
            ..counts(
                capital(main.name()).as_str(),
                "duration, over time",
                vec![
                    statistic("p50", |latency| latency.p50),
                    statistic("p90", |latency| latency.p90),
                    statistic("p99", |latency| latency.p99),
                    statistic("max", |latency| latency.max),
                ],
                &of_sending,
            )
        },
        percentiles(outcome, main),
        histogram(outcome, main),
        Chart {
            filled: true,
            ..counts("Connected clients", "over time", vec![clients], &of_all)
        },
        counts(
            "Connections",
            "per second, over time",
            vec![
                rate("opened", |point| point.counters.connected),
                rate("lost", |point| point.counters.disconnected),
                rate("errors", |point| point.counters.all_errors()),
            ],
            &of_sending,
        ),
        counts(
            "Audit",
            "messages so far, over time; what is lost may still come",
            vec![
                total("lost", |point| point.audit.lost),
                total("missed while away", |point| point.audit.missed),
                total("duplicated", |point| point.audit.duplicated),
                total("reordered", |point| point.audit.reordered),
            ],
            &of_sending,
        ),
    ];
    let mut out: String = charts.iter().map(Chart::draw).collect();
    out.push_str(&processors(outcome, &bins, &of_sending).draw());
    out.push_str(&memory(outcome, &of_all).draw());
    out
}

/// What is left of a second when a stage ends is no second; its rate would only be noise.
fn whole_seconds(outcome: &Outcome) -> Vec<Point> {
    let points = outcome.seconds.iter();
    let whole = points.filter(|point| point.stage != Stage::Drain && point.length > 0.2);
    whole.cloned().collect()
}

fn processors<'a>(outcome: &Outcome, bins: &[&Bin<'_>], times: &Times) -> Chart<'a> {
    let mut lines: Vec<Line> = outcome
        .servers
        .iter()
        .map(|server| Line {
            name: server.name.clone(),
            points: thinned(server.seconds.iter().filter_map(|usage| {
                usage
                    .cores
                    .filter(|_| usage.at > 0.0)
                    .map(|cores| (usage.at, cores))
            })),
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let own = |bin: &&Bin<'_>| {
        let cores: f64 = bin.0.iter().map(|point| point.cpu).sum();
        (bin.at(), cores / bin.0.len().max(1) as f64)
    };
    lines.push(Line {
        name: "load tester".to_owned(),
        points: bins.iter().map(own).collect(),
    });
    Chart {
        title: "Processors".to_owned(),
        axes: "in use, in cores, over time".to_owned(),
        lines,
        log_y: false,
        filled: false,
        show_y: &|cores| format!("{cores:.2}"),
        show_x: &seconds,
        ticks: times.ticks.clone(),
        marks: times.marks.clone(),
    }
}

fn memory<'a>(outcome: &Outcome, times: &Times) -> Chart<'a> {
    let begin = times.ticks.first().map_or(0.0, |tick| tick.0);
    let lines = outcome.servers.iter().map(|server| Line {
        name: server.name.clone(),
        points: thinned(
            server
                .seconds
                .iter()
                .filter(|usage| usage.at >= begin)
                .map(|usage| (usage.at, usage.rss)),
        ),
    });
    Chart {
        title: "Memory of the servers".to_owned(),
        axes: "resident, over time".to_owned(),
        lines: lines.filter(|line| !line.points.is_empty()).collect(),
        log_y: false,
        filled: false,
        show_y: &bytes,
        show_x: &seconds,
        ticks: times.ticks.clone(),
        marks: times.marks.clone(),
    }
}

fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.collect();
    let each = points.len().div_ceil(MAX_POINTS).max(1);
    points.into_iter().step_by(each).collect()
}

/// How many lie in each tenth of a power of ten.
fn histogram<'a>(outcome: &Outcome, main: Measure) -> Chart<'a> {
    let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
    let latency = outcome.latency.get(&main);
    let all = latency.map_or(0, |latency| latency.count).max(1) as f64;
    let recorded = latency.and_then(|latency| latency.histogram.histogram());
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
    let last = buckets.keys().next_back();
    let last = last.map_or(1, |bucket| bucket.div_euclid(10) + 1);
    let mut points = vec![(f64::from(first), 0.0)];
    for bucket in first * 10..last * 10 {
        let share = buckets.get(&bucket).copied().unwrap_or(0) as f64 * 100.0 / all;
        points.push((f64::from(bucket) / 10.0, share));
        points.push((f64::from(bucket + 1) / 10.0, share));
    }
    points.push((f64::from(last), 0.0));
    let step = |power: f64| (power, micros(10f64.powf(power)));
    let fine = [0.0, 2f64.log10(), 5f64.log10()];
    let powers = first..last;
    let ticks = powers.flat_map(|power| fine.map(|part| f64::from(power) + part));
    let lines = if buckets.is_empty() {
        Vec::new()
    } else {
        vec![Line {
            name: main.name().to_owned(),
            points,
        }]
    };
    Chart {
        title: format!("{}: histogram", capital(main.name())),
        axes: "share of all in each tenth of a decade, by duration".to_owned(),
        lines,
        log_y: false,
        filled: true,
        show_y: &|share| format!("{} %", count(share)),
        show_x: &|power| format!("from {}", micros(10f64.powf(power))),
        ticks: ticks.chain([f64::from(last)]).map(step).collect(),
        marks: Vec::new(),
    }
}

/// By the number of nines: 90 % is 1, 99 % is 2.
fn percentiles<'a>(outcome: &Outcome, main: Measure) -> Chart<'a> {
    let line = |measure: Measure| {
        let latency = outcome.latency.get(&measure)?;
        let histogram = latency.histogram.histogram()?;
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
        Some(Line {
            name: measure.name().to_owned(),
            points,
        })
    };
    let others = [Measure::Delivery, Measure::Ack, Measure::Connect];
    let others = others.into_iter().filter(|measure| *measure != main);
    let lines: Vec<Line> = [main].into_iter().chain(others).filter_map(line).collect();
    let reached = lines.iter().filter_map(|line| line.points.last());
    let most = reached.map(|point| point.0).fold(1.0, f64::max).ceil();
    let ticks = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
    let ticks = ticks
        .iter()
        .enumerate()
        .map(|(at, label)| (at as f64, (*label).to_owned()));
    Chart {
        title: "Percentiles".to_owned(),
        axes: "duration that so many do not exceed".to_owned(),
        lines,
        log_y: true,
        filled: false,
        show_y: &micros,
        show_x: &|nines| {
            let share = 100.0 * (1.0 - 10f64.powf(-nines));
            format!("{share:.3} % take at most")
        },
        ticks: ticks.filter(|tick| tick.0 <= most).collect(),
        marks: Vec::new(),
    }
}

fn time_ticks(begin: f64, end: f64) -> Vec<(f64, String)> {
    let choices = [
        1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
    ];
    let length = (end - begin).max(1.0);
    let step = choices.into_iter().find(|step| length / step <= 11.0);
    let step = step.unwrap_or(length / 10.0);
    let (from, to) = ((begin / step).floor() as i64, (end / step).ceil() as i64);
    let at = (from..=to.max(from + 1)).map(|number| number as f64 * step);
    at.map(|at| (at, seconds(at))).collect()
}

/// A time of a run: `90 s`, `10 min`, `2 h 30 min`.
fn seconds(at: f64) -> String {
    let sign = if at < 0.0 { "−" } else { "" };
    let whole = at.abs().round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes, rest) {
        (0, 0..=4, _) => format!("{sign}{whole} s"),
        (0, minutes, 0) => format!("{sign}{minutes} min"),
        (0, minutes, rest) => format!("{sign}{minutes} min {rest} s"),
        (hours, 0, 0) => format!("{sign}{hours} h"),
        (hours, minutes, _) => format!("{sign}{hours} h {minutes} min"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_units() {
        let told = [0.0, -3.0, 90.0, 600.0, 630.0, 3600.0, 9000.0].map(seconds);
        let wanted = [
            "0 s",
            "−3 s",
            "90 s",
            "10 min",
            "10 min 30 s",
            "1 h",
            "2 h 30 min",
        ];
        assert_eq!(told, wanted);
        for (begin, end) in [(0.0, 0.4), (-7.0, 30.0), (0.0, 100_000.0)] {
            let ticks = time_ticks(begin, end);
            assert!((2..=14).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks[0].0 <= begin && ticks[ticks.len() - 1].0 >= end);
        }
    }
}
