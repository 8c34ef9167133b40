//! What a worker does by the clock: seconds, and the stages of its run.

use std::rc::Rc;

use super::{LOOK, Report, SECOND, Shell};
use crate::audit::Ledger;
use crate::clock::{cpu_seconds, now, resident_bytes, waited_seconds};
use crate::exit::Failure;
use crate::measure::Stage;
use crate::plan::Plan;

/// Less than this is no second worth telling.
const BLINK: u64 = 50_000;

/// Where a worker is.
pub(super) enum State {
    Connecting,
    /// The leader knows that we are ready.
    Waiting,
    Sending {
        end: u64,
        measure: u64,
    },
    Draining {
        deadline: u64,
    },
    /// The leader knows what we sent.
    Drained,
    Finishing {
        ledger: Ledger,
        deadline: u64,
    },
}

/// What happens by the clock besides the load: seconds and stages.
pub(super) struct Ticks {
    second: u64,
    cpu: f64,
    waited: f64,
    best: u32,
    progress: u64,
    /// When the leader was told of it.
    told: u64,
    patience: u64,
}

impl Ticks {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            second: now() + SECOND,
            cpu: cpu_seconds(),
            waited: waited_seconds(),
            best: 0,
            progress: now(),
            told: 0,
            patience: plan.connect_timeout.as_micros()
                + 2 * SECOND
                + plan.connect_rate.map_or(0, |rate| (3e6 / rate) as u64)
                    * u64::from(plan.processes),
        }
    }

    pub(super) fn next(&self, state: &State) -> u64 {
        let stage = match state {
            State::Sending { end, measure } if *measure > now() => (*end).min(*measure),
            State::Sending { end, .. } => *end,
            State::Draining { .. } | State::Finishing { .. } => now() + LOOK,
            State::Connecting => now() + LOOK,
            State::Waiting | State::Drained => u64::MAX,
        };
        stage.min(self.second)
    }

    pub(super) fn begin(&mut self, shell: &Rc<Shell>, at: u64) -> State {
        let mut load = shell.load.borrow_mut();
        load.begin(at);
        drop(load);
        shell.act();
        self.second = at + SECOND;
        let plan = &shell.plan;
        State::Sending {
            end: at + plan.timetable.length(),
            measure: at + plan.warmup.as_micros(),
        }
    }

    pub(super) fn stop_early(&self, state: &mut State) {
        if let State::Sending { end, .. } = state {
            *end = now();
        }
    }

    fn take(&mut self, shell: &Shell, time: u64) -> Report {
        let cpu = cpu_seconds();
        let used = cpu - std::mem::replace(&mut self.cpu, cpu);
        let waited = waited_seconds();
        let idle = waited - std::mem::replace(&mut self.waited, waited);
        let rss = resident_bytes();
        let mut second = shell.load.borrow_mut().take_second(time, used, idle);
        second.rss = rss;
        Report::Second(Box::new(second))
    }

    fn whole_second(&mut self, shell: &Shell, time: u64) -> Vec<Report> {
        if time < self.second {
            return Vec::new();
        }
        let report = self.take(shell, time);
        let links = shell.links.borrow();
        links.iter().flatten().for_each(|link| link.check(time));
        // A pause of the process leaves out seconds.
        self.second += SECOND * ((time - self.second) / SECOND + 1);
        vec![report]
    }

    /// What a stage that ends has of a second; if it is little it goes with the next one.
    fn rest_of_second(&mut self, shell: &Shell, time: u64) -> Option<Report> {
        (time + SECOND > self.second + BLINK).then(|| self.take(shell, time))
    }

    /// Ends the warm-up when its time is over. Before anything is sent that is due then: it is measured.
    pub(super) fn measure(&mut self, shell: &Shell, state: &State, time: u64) -> Vec<Report> {
        let warm = shell.load.borrow().stage() == Stage::Warmup;
        if !matches!(state, State::Sending { measure, .. } if warm && time >= *measure) {
            return Vec::new();
        }
        let mut reports = self.whole_second(shell, time);
        reports.extend(self.rest_of_second(shell, time));
        shell.load.borrow_mut().measure();
        reports
    }

    pub(super) fn tick(
        &mut self,
        shell: &Rc<Shell>,
        state: &mut State,
        time: u64,
    ) -> Result<Vec<Report>, Failure> {
        let mut reports = self.whole_second(shell, time);
        match state {
            State::Connecting => {
                let (ready, wanted) = shell.load.borrow().readiness();
                if ready > self.best {
                    self.best = ready;
                    self.progress = time;
                }
                if time >= self.told + LOOK {
                    self.told = time;
                    reports.push(Report::Progress(ready, wanted));
                }
                let stuck = ready < wanted && time.saturating_sub(self.progress) > self.patience;
                if stuck {
                    return Err(shell.stuck(ready, wanted));
                }
                if ready >= wanted {
                    reports.push(self.take(shell, time));
                    reports.push(Report::Ready);
                    *state = State::Waiting;
                }
            }
            State::Sending { end, .. } => {
                if time >= *end {
                    reports.extend(self.rest_of_second(shell, time));
                    shell.load.borrow_mut().stop();
                    shell.act();
                    *state = State::Draining {
                        deadline: time + shell.plan.drain.as_micros(),
                    };
                }
            }
            State::Draining { deadline } => {
                if shell.load.borrow().is_drained() || time >= *deadline {
                    reports.push(Report::Drained(shell.load.borrow().ledger()));
                    *state = State::Drained;
                }
            }
            State::Finishing { ledger, deadline } => {
                let audit = shell.load.borrow().audit(ledger);
                if (audit.lost == 0 && audit.lost_unconfirmed == 0) || time >= *deadline {
                    reports.push(self.take(shell, time));
                    reports.push(Report::Done(audit));
                }
            }
            State::Waiting | State::Drained => {}
        }
        Ok(reports)
    }
}
