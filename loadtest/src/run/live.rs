//! What is shown while a run goes on: bars on a terminal, a line each second elsewhere.

use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::measure::Hist;
use crate::outcome::Tally;
use crate::plan::Plan;
use crate::units::{count, micros};

/// The live view, on the standard error, so that the table at the end can be piped.
#[derive(Debug)]
pub(super) struct Live {
    bar: ProgressBar,
    quiet: bool,
    terminal: bool,
    length: u64,
    shown: Option<i64>,
    connecting: Option<Instant>,
}

/// The bar of connecting, and of sending.
const CONNECTING: &str = "connecting {bar:30.cyan/dim} {pos}/{len} clients";
const SENDING: &str = "{bar:30.green/dim} {elapsed} of {len} s · {msg}";

impl Live {
    pub(super) fn new(plan: &Plan, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(u64::from(plan.timetable.clients(0)))
        };
        bar.set_style(style(CONNECTING));
        Self {
            bar,
            quiet,
            terminal,
            length: plan.timetable.length() / 1_000_000,
            shown: None,
            connecting: None,
        }
    }

    pub(super) fn connecting(&mut self, ready: u32, wanted: u32) {
        self.bar.set_length(u64::from(wanted));
        self.bar.set_position(u64::from(ready));
        let due = self
            .connecting
            .is_none_or(|last| last.elapsed().as_secs() >= 1);
        if due && !self.terminal && !self.quiet {
            self.connecting = Some(Instant::now());
            eprintln!("connecting: {ready} of {wanted} clients");
        }
    }

    pub(super) fn second(&mut self, tally: &Tally) {
        let Some((at, counters, hists)) = tally.latest() else {
            return;
        };
        if at < 0 || self.shown == Some(at) {
            return;
        }
        if self.shown.is_none() {
            self.bar.set_style(style(SENDING));
            self.bar.set_length(self.length);
            self.bar.reset_elapsed();
        }
        self.shown = Some(at);
        let measure =
            super::main_measure(|measure| hists.get(&measure).is_some_and(|hist| hist.count() > 0));
        let none = Hist::default();
        let hist = hists.get(&measure).unwrap_or(&none);
        let mut line = format!(
            "{} clients · {}/s sent · {}/s delivered · {}/s acked · {} p50 {} p99 {}",
            count(tally.clients() as f64),
            count(counters.sent as f64),
            count(counters.delivered as f64),
            count(counters.acked as f64),
            measure.name(),
            micros(hist.quantile(0.5) as f64),
            micros(hist.quantile(0.99) as f64),
        );
        let audit = tally.audit();
        for (name, number) in [
            ("lost", audit.lost),
            ("duplicated", audit.duplicated),
            ("reordered", audit.reordered),
            ("missed", audit.missed),
            ("errors", counters.all_errors()),
        ] {
            if number > 0 {
                line.push_str(&format!(" · {} {name}", count(number as f64)));
            }
        }
        self.bar
            .set_position(u64::try_from(at + 1).unwrap_or(0).min(self.length));
        self.bar.set_message(line.clone());
        if !self.terminal && !self.quiet {
            eprintln!("{:>4} s  {line}", at + 1);
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
