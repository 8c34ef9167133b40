//! What is shown while a run goes on, on the standard error, so that the table at the end can be piped:
//! bars on a terminal, a line each second elsewhere.

mod paint;

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use crate::measure::{Counters, Hist, Stage};
use crate::outcome::{Latest, Tally};
use crate::plan::Plan;
use crate::units::{Span, count, micros};

use paint::{Colour, Line, Painter, bar, sparks};

/// The live view.
#[derive(Debug)]
pub(super) struct Live {
    way: Way,
    length: u64,
    shown: Option<i64>,
    connecting: Option<Instant>,
    began: Instant,
    /// Of the last seconds: what arrived.
    history: Vec<f64>,
    errors: Counters,
    /// Faults that are still to be told.
    faults: Vec<(Span, String)>,
}

#[derive(Debug)]
enum Way {
    Nothing,
    Lines,
    Terminal(Painter),
}

/// Seconds whose rates are drawn.
const HISTORY: usize = 40;
/// After so many seconds, only each tenth is worth a line.
const EACH: i64 = 60;

impl Live {
    pub(super) fn new(plan: &Plan, quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let way = if quiet {
            Way::Nothing
        } else if std::io::stderr().is_terminal() && !dumb {
            Way::Terminal(Painter::new())
        } else {
            Way::Lines
        };
        let mut faults: Vec<(Span, String)> = plan
            .faults
            .iter()
            .map(|fault| (fault.at, fault.command.clone()))
            .collect();
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self {
            way,
            length: plan.timetable.length().div_ceil(1_000_000),
            shown: None,
            connecting: None,
            began: Instant::now(),
            history: Vec::new(),
            errors: Counters::default(),
            faults,
        }
    }

    pub(super) fn connecting(&mut self, ready: u32, wanted: u32) {
        let seconds = self.began.elapsed().as_secs_f64();
        let share = f64::from(ready) / f64::from(wanted.max(1));
        let rate = f64::from(ready) / seconds.max(0.001);
        let trouble = trouble(&self.errors);
        match &mut self.way {
            Way::Nothing => {}
            Way::Lines => {
                let due = self
                    .connecting
                    .is_none_or(|last| last.elapsed().as_secs() >= 1);
                if due || ready >= wanted {
                    self.connecting = Some(Instant::now());
                    let trouble: Vec<String> = trouble.into_iter().map(|part| part.1).collect();
                    let colon = if trouble.is_empty() { "" } else { " · " };
                    let trouble = trouble.join(" ");
                    tell(&format!(
                        "connecting: {ready} of {wanted} clients{colon}{trouble}"
                    ));
                }
            }
            Way::Terminal(painter) => {
                let mut line = Line::default();
                line.push(Colour::Dim, "connecting ");
                bar(&mut line, painter.width(), share, Colour::Cyan);
                line.push(Colour::Plain, &format!(" {ready} of {wanted} clients"));
                line.push(
                    Colour::Dim,
                    &format!(" · {}/s · {seconds:.0} s", count(rate)),
                );
                let mut lines = vec![line];
                if !trouble.is_empty() {
                    let mut line = Line::default();
                    line.push(Colour::Dim, "trouble    ");
                    for (colour, text) in &trouble {
                        line.push(*colour, &format!("{text} "));
                    }
                    lines.push(line);
                }
                painter.paint(lines);
            }
        }
    }

    /// A second of one process, whose errors are to be told.
    pub(super) fn errors(&mut self, counters: &Counters) {
        self.errors.add_errors(counters);
    }

    pub(super) fn second(&mut self, tally: &Tally) {
        let Some(latest) = tally.latest() else {
            return;
        };
        let at = latest.at;
        if at < 0 || self.shown == Some(at) {
            return;
        }
        self.shown = Some(at);
        while let Some((due, command)) = self
            .faults
            .pop_if(|(due, _)| due.as_secs() < at as f64 + 1.0)
        {
            self.note(&format!("fault at {due}: {command}"));
        }
        let parts = parts(tally, &latest, &self.errors);
        match &mut self.way {
            Way::Nothing => {}
            Way::Lines => {
                if at < EACH || (at + 1) % 10 == 0 {
                    let texts = parts.iter().flat_map(|(_, parts)| parts);
                    let texts: Vec<&str> = texts.map(|(_, text)| text.as_str()).collect();
                    let warm = match latest.stage {
                        Stage::Warmup => "warming up · ",
                        _ => "",
                    };
                    tell(&format!("{:>4} s  {warm}{}", at + 1, texts.join(" · ")));
                }
            }
            Way::Terminal(painter) => {
                let arrived = latest.counters.delivered.max(latest.counters.acked);
                self.history.push(arrived as f64);
                if self.history.len() > HISTORY {
                    self.history.remove(0);
                }
                let now = u64::try_from(at + 1).unwrap_or(0).min(self.length);
                let mut first = Line::default();
                let label = match latest.stage {
                    Stage::Warmup => "warming up ",
                    _ => "measuring  ",
                };
                first.push(Colour::Dim, label);
                let share = now as f64 / self.length.max(1) as f64;
                bar(&mut first, painter.width(), share, Colour::Green);
                first.push(Colour::Plain, &format!(" {now} of {} s", self.length));
                let mut lines = vec![first];
                for (label, parts) in &parts {
                    let mut line = Line::default();
                    line.push(Colour::Dim, &format!("{label:<11}"));
                    for (at, (colour, text)) in parts.iter().enumerate() {
                        if at > 0 {
                            line.push(Colour::Dim, " · ");
                        }
                        line.push(*colour, text);
                    }
                    if *label == "rates" && self.history.iter().any(|rate| *rate > 0.0) {
                        line.push(Colour::Plain, "  ");
                        sparks(&mut line, painter.width(), &self.history);
                    }
                    lines.push(line);
                }
                painter.paint(lines);
            }
        }
    }

    /// Sending is over; what is under way still comes.
    pub(super) fn draining(&mut self) {
        if let Way::Terminal(painter) = &mut self.way {
            let mut line = Line::default();
            line.push(Colour::Dim, "waiting    ");
            line.push(Colour::Plain, "for what is under way");
            painter.replace_first(line);
        }
    }

    /// A line that stays.
    pub(super) fn note(&mut self, text: &str) {
        match &mut self.way {
            Way::Nothing => {}
            Way::Lines => tell(text),
            Way::Terminal(painter) => painter.above(text),
        }
    }

    pub(super) fn finish(&mut self) {
        if let Way::Terminal(painter) = &mut self.way {
            painter.paint(Vec::new());
        }
    }
}

/// A line on the standard error. Whether anybody reads it, as `head` does only at first, is nothing to the run.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

type Parts = Vec<(Colour, String)>;

/// What there is to say about a second, under its labels; what is zero and no news is left out.
fn parts(tally: &Tally, latest: &Latest<'_>, errors: &Counters) -> Vec<(&'static str, Parts)> {
    let counters = latest.counters;
    let plain = |text: String| (Colour::Plain, text);
    let mut rates = vec![plain(format!("{} clients", count(tally.clients() as f64)))];
    if latest.connecting > 0 {
        rates.push(plain(format!(
            "{} connecting",
            count(latest.connecting as f64)
        )));
    }
    for (name, number) in [
        ("sent", counters.sent),
        ("delivered", counters.delivered),
        ("acked", counters.acked),
        ("connected", counters.connected),
    ] {
        if number > 0 {
            rates.push(plain(format!("{}/s {name}", count(number as f64))));
        }
    }
    let hists = latest.hists;
    let measure =
        super::main_measure(|measure| hists.get(&measure).is_some_and(|hist| hist.count() > 0));
    let none = Hist::default();
    let hist = hists.get(&measure).unwrap_or(&none);
    let mut all = vec![("rates", rates)];
    if hist.count() > 0 {
        let time = |name: &str, value: u64| plain(format!("{name} {}", micros(value as f64)));
        let times = vec![
            time(&format!("{} p50", measure.name()), hist.quantile(0.5)),
            time("p99", hist.quantile(0.99)),
            time("max", hist.max()),
        ];
        all.push(("durations", times));
    }
    let audit = tally.audit();
    let mut bad = Vec::new();
    for (name, number) in [
        ("lost", audit.lost),
        ("duplicated", audit.duplicated),
        ("reordered", audit.reordered),
        ("missed", audit.missed),
    ] {
        if number > 0 {
            bad.push((Colour::Red, format!("{} {name}", count(number as f64))));
        }
    }
    bad.extend(trouble(errors));
    if !bad.is_empty() {
        all.push(("audit", bad));
    }
    all
}

/// Errors so far, and whose fault most of them are.
fn trouble(errors: &Counters) -> Parts {
    let Some((cause, most)) = errors.errors.iter().max_by_key(|(_, count)| **count) else {
        return Vec::new();
    };
    let all = errors.all_errors();
    let cause: String = cause.chars().take(70).collect();
    let mostly = if *most == all { "" } else { "mostly " };
    vec![
        (Colour::Red, format!("{} errors", count(all as f64))),
        (Colour::Dim, format!("({mostly}{cause})")),
    ]
}
