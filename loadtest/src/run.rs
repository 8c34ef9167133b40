//! [`run`]: leads a run: starts the workers, here or as processes, collects what they tell, and runs
//! what happens besides.

mod live;
mod preflight;
mod process;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::audit::Ledger;
use crate::clock::now;
use crate::exit::{Code, Failure};
use crate::measure::{Measure, Stage};
use crate::net::{Connector, ConnectorError};
use crate::outcome::{FaultOutcome, Outcome, Tally};
use crate::plan::{Plan, Share};
use crate::servers::{self, Watched};
use crate::settings::Settings;
use crate::threshold::{Number, Quantity};
use crate::worker::{Order, Report, work};

use live::Live;
pub use process::{WORKER_FLAG, serve};

/// Orders and reports that may wait: one second of all processes is far less.
const QUEUE: usize = 256;
/// So many seconds a condition that could still heal must be broken before a run is aborted.
const PATIENCE: u32 = 3;

/// Microseconds in which the order to begin reaches all processes, also on a machine that is full.
const AHEAD: u64 = 300_000;

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What was measured.
    pub outcome: Outcome,
    /// Whether the operator interrupted it.
    pub interrupted: bool,
}

struct Worker {
    orders: mpsc::Sender<Order>,
}

/// Runs a plan, on a local set of tasks.
///
/// # Errors
///
/// With what made it impossible.
pub async fn run(settings: &Settings, plan: Plan) -> Result<Ended, Failure> {
    let plan = Arc::new(plan);
    let connector = connector(&plan).await?;
    let servers = Watched::all(&plan, &settings.server_pid);
    for server in &servers {
        server
            .sample(&connector)
            .await
            .map_err(Failure::unavailable)?;
    }
    crate::limits::check_descriptors(
        &plan,
        Share {
            index: 0,
            count: plan.processes,
        },
    )?;
    preflight::check(&plan, &connector).await?;

    let (reports, inbox) = mpsc::channel(QUEUE);
    let count = plan.processes as usize;
    let mut workers = Vec::with_capacity(count);
    for index in 0..plan.processes {
        let share = Share {
            index,
            count: plan.processes,
        };
        let (orders, order_inbox) = mpsc::channel(QUEUE);
        if count == 1 {
            let (plan, connector, reports) =
                (Arc::clone(&plan), Rc::clone(&connector), reports.clone());
            tokio::task::spawn_local(async move {
                let (send, mut own) = mpsc::channel(QUEUE);
                let forward = async {
                    while let Some(report) = own.recv().await {
                        if reports.send((0, report)).await.is_err() {
                            break;
                        }
                    }
                };
                let work = work(plan, share, connector, order_inbox, send);
                let (result, ()) = tokio::join!(work, forward);
                if let Err(failure) = result {
                    let _ = reports.send((0, Report::Failed(failure))).await;
                }
            });
        } else {
            process::start(settings, share, order_inbox, reports.clone())?;
        }
        workers.push(Worker { orders });
    }
    drop(reports);
    let mut watching = JoinSet::new();
    for server in &servers {
        watching.spawn_local(Rc::clone(server).watch(Rc::clone(&connector)));
    }
    let leader = Leader {
        live: Live::new(&plan, settings.quiet.unwrap_or(false)),
        tally: Tally::new(count),
        servers,
        settings,
        plan,
        workers,
        inbox,
        faults: JoinSet::new(),
        broken: Vec::new(),
    };
    // With it ends the watching.
    let ended = leader.lead().await;
    drop(watching);
    ended
}

pub(crate) async fn connector(plan: &Plan) -> Result<Rc<Connector>, Failure> {
    let connector = Connector::new(plan).await;
    connector.map(Rc::new).map_err(|error| match error {
        ConnectorError::Lookup { .. } => Failure::unavailable(error),
        ConnectorError::Authorities(_) => Failure::usage(error),
    })
}

struct Leader<'a> {
    settings: &'a Settings,
    plan: Arc<Plan>,
    tally: Tally,
    servers: Vec<Rc<Watched>>,
    live: Live,
    workers: Vec<Worker>,
    inbox: mpsc::Receiver<(usize, Report)>,
    faults: JoinSet<FaultOutcome>,
    /// For each threshold, since how many seconds it is broken.
    broken: Vec<u32>,
}

/// Ctrl-C, and what `docker stop` and others send.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Failure::system(format!("no signals can be taken: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What the workers are waited for.
#[derive(Default)]
struct Counts {
    ready: usize,
    drained: usize,
    done: usize,
    progress: Vec<(u32, u32)>,
    ledger: Ledger,
}

impl Leader<'_> {
    async fn lead(mut self) -> Result<Ended, Failure> {
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let began = began.map_or(0, |since| since.as_secs());
        let all = self.workers.len();
        let initial = self.plan.timetable.clients(0);
        let count = self.plan.processes;
        let wanted = |index| (0, Share { index, count }.of(initial));
        let mut counts = Counts {
            progress: (0..self.plan.processes).map(wanted).collect(),
            ..Counts::default()
        };
        let mut begin = u64::MAX;
        let mut ended_early = None;
        let mut interrupted = false;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut interrupts = Interrupts::new()?;
        while counts.done < all {
            tokio::select! {
                report = self.inbox.recv() => {
                    let Some((from, report)) = report else {
                        return Err(Failure::internal("the workers are gone"));
                    };
                    self.take(from, report, &mut counts)?;
                    if counts.ready == all && begin == u64::MAX {
                        begin = now() + if all > 1 { AHEAD } else { 0 };
                        self.order(&Order::Begin(begin)).await;
                        self.start_faults(begin);
                    }
                    if counts.drained == all {
                        counts.drained = 0;
                        let ledger = std::mem::take(&mut counts.ledger);
                        self.order(&Order::Finish(ledger)).await;
                    }
                }
                _ = tick.tick() => {
                    if begin != u64::MAX && ended_early.is_none() && self.settings.abort_on_fail.unwrap_or(false)
                        && let Some(threshold) = self.hopeless()
                    {
                        ended_early = Some(format!("{threshold} is broken"));
                        self.order(&Order::Stop).await;
                    }
                }
                () = interrupts.next() => {
                    let failure = match (interrupted, begin) {
                        (true, _) => Some("interrupted twice: nothing is reported"),
                        (false, u64::MAX) => Some("interrupted before anything was sent"),
                        (false, _) => None,
                    };
                    if let Some(text) = failure {
                        self.live.finish();
                        return Err(Failure::new(Code::Interrupted, text));
                    }
                    interrupted = true;
                    self.live.note("interrupted: waiting for what is under way; once more to end at once");
                    ended_early = Some("interrupted".to_owned());
                    self.order(&Order::Stop).await;
                }
            }
        }
        self.live.finish();
        let from = begin.saturating_add(self.plan.warmup.as_micros());
        let to = from.saturating_add((self.tally.measured() * 1e6) as u64);
        let mut outcome = self.tally.outcome(self.settings);
        outcome.began = began;
        outcome.seconds = self.tally.points();
        outcome.servers = servers::used(&self.servers, begin, from, to);
        outcome.ended_early = ended_early;
        outcome.faults = self.ended_faults().await;
        outcome.judge();
        outcome.compare(&self.plan.thresholds);
        Ok(Ended {
            outcome,
            interrupted,
        })
    }

    fn take(&mut self, from: usize, report: Report, counts: &mut Counts) -> Result<(), Failure> {
        match report {
            Report::Progress(ready, wanted) => {
                counts.progress[from] = (ready, wanted);
                let sum = |pick: fn(&(u32, u32)) -> u32| counts.progress.iter().map(pick).sum();
                self.live.connecting(sum(|pair| pair.0), sum(|pair| pair.1));
            }
            Report::Ready => counts.ready += 1,
            Report::Second(second) => {
                self.tally.add(from, &second);
                self.live.errors(&second.counters);
                self.live.second(&self.tally);
                if second.stage == Stage::Drain {
                    self.live.draining();
                }
            }
            Report::Drained(ledger) => {
                counts.drained += 1;
                counts.ledger.extend(ledger);
            }
            Report::Done(audit) => {
                counts.done += 1;
                self.tally.set_audit(from, audit);
            }
            Report::Failed(failure) => {
                self.live.finish();
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn order(&self, order: &Order) {
        for worker in &self.workers {
            // A worker that is gone is noticed by its report.
            let _ = worker.orders.send(order.clone()).await;
        }
    }

    fn start_faults(&mut self, begin: u64) {
        for fault in self.plan.faults.clone() {
            let due = begin + fault.at.as_micros();
            self.faults.spawn_local(async move {
                let wait = due.saturating_sub(now());
                tokio::time::sleep(Duration::from_micros(wait)).await;
                let at = now().saturating_sub(begin) as f64 / 1e6;
                let mut command = tokio::process::Command::new("/bin/sh");
                command
                    .arg("-c")
                    .arg(&fault.command)
                    .stdin(std::process::Stdio::null());
                // What it prints must not end up between our lines.
                command.stdout(std::process::Stdio::null());
                let status = match command.status().await {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                FaultOutcome {
                    command: fault.command,
                    at,
                    status,
                }
            });
        }
    }

    /// Those that have ended; a command may go on beyond the run.
    async fn ended_faults(&mut self) -> Vec<FaultOutcome> {
        let mut all = Vec::new();
        while !self.faults.is_empty() {
            match tokio::time::timeout(Duration::from_millis(200), self.faults.join_next()).await {
                Ok(Some(Ok(fault))) => all.push(fault),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        all.sort_by(|a, b| a.at.total_cmp(&b.at));
        for fault in &self.plan.faults {
            if !all.iter().any(|ended| ended.command == fault.command) {
                all.push(FaultOutcome {
                    command: fault.command.clone(),
                    at: fault.at.as_secs(),
                    status: "not ended, or not begun, when the run was over".to_owned(),
                });
            }
        }
        all
    }

    /// A threshold that cannot hold any more, or is broken for some seconds already.
    fn hopeless(&mut self) -> Option<String> {
        if self.tally.measured() == 0.0 {
            return None;
        }
        let outcome = self.tally.outcome(self.settings);
        self.broken.resize(self.plan.thresholds.len(), 0);
        for (threshold, broken) in self.plan.thresholds.iter().zip(&mut self.broken) {
            let Some(value) = outcome.value(threshold.quantity) else {
                continue;
            };
            let heals = match threshold.quantity {
                Quantity::Number(Number::Lost) => true,
                // A few slow ones at the begin are no percentile.
                Quantity::Time(measure, _) => outcome
                    .latency
                    .get(&measure)
                    .is_some_and(|latency| latency.count >= 100),
                Quantity::Number(_) => false,
            };
            *broken = if heals && !threshold.holds(value) {
                *broken + 1
            } else {
                0
            };
            if threshold.is_beyond_hope(value) || *broken >= PATIENCE {
                return Some(threshold.to_string());
            }
        }
        None
    }
}

/// The measure that says most about a scenario: of deliveries if there are any, else of
/// acknowledgements, else of connecting.
#[must_use]
pub fn main_measure(has: impl Fn(Measure) -> bool) -> Measure {
    let order = [Measure::Delivery, Measure::Ack];
    order
        .into_iter()
        .find(|measure| has(*measure))
        .unwrap_or(Measure::Connect)
}
