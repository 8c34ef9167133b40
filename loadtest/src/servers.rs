//! What the servers use: by their page with metrics, or by process id.

mod read;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::now;
use crate::net::{self, Connector};
use crate::outcome::{Server, Usage};
use crate::plan::Plan;
use crate::target::Target;

use read::{page, process};

/// Where to look.
#[derive(Debug, Clone)]
enum Source {
    Metrics(Target),
    Process(u32),
}

/// What a server tells at once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Reading {
    /// Seconds of processor time; not all servers tell it.
    cpu: Option<f64>,
    /// Resident bytes.
    rss: f64,
    /// When the process began, in seconds since 1970.
    started: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: u64,
    /// Of all processes that this server was: a new one counts on where the old one ended.
    cpu: Option<f64>,
    reading: Reading,
}

/// One server that is watched.
#[derive(Debug)]
pub struct Watched {
    name: String,
    source: Source,
    samples: RefCell<Vec<Sample>>,
}

/// Longest time that a page may take: a busy server is no reason to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

impl Watched {
    fn new(name: String, source: Source) -> Self {
        Self {
            name,
            source,
            samples: RefCell::default(),
        }
    }

    /// All servers that a run is to watch.
    #[must_use]
    pub fn all(plan: &Plan, processes: &[u32]) -> Vec<Rc<Self>> {
        let pages = plan
            .metrics
            .iter()
            .map(|(url, target)| Self::new(url.clone(), Source::Metrics(target.clone())));
        let processes = processes
            .iter()
            .map(|id| Self::new(format!("process {id}"), Source::Process(*id)));
        pages.chain(processes).map(Rc::new).collect()
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// With what went wrong, in one line.
    pub async fn sample(&self, connector: &Connector) -> Result<(), String> {
        let reading = match &self.source {
            Source::Metrics(target) => {
                let answer = tokio::time::timeout(PATIENCE, net::get(connector, target)).await;
                let answer = answer.map_err(|_| format!("--metrics {}: no answer", self.name))?;
                let answer = answer.map_err(|error| format!("--metrics {}: {error}", self.name))?;
                page(&String::from_utf8_lossy(&answer)).ok_or_else(|| {
                    format!("--metrics {}: the page tells no process_…", self.name)
                })?
            }
            Source::Process(id) => process(*id)
                .ok_or_else(|| format!("--server-pid {id}: there is no such process"))?,
        };
        self.take(now(), reading);
        Ok(())
    }

    fn take(&self, at: u64, reading: Reading) {
        let mut samples = self.samples.borrow_mut();
        let last = samples.last();
        let cpu = reading.cpu.map(|cpu| match last {
            Some(Sample {
                cpu: Some(sum),
                reading: Reading {
                    cpu: Some(before), ..
                },
                ..
            }) => {
                // Less than before: it was started again.
                let more = if cpu < *before { cpu } else { cpu - before };
                sum + more
            }
            _ => cpu,
        });
        samples.push(Sample { at, cpu, reading });
    }

    /// Looks each second until it is dropped.
    pub async fn watch(self: Rc<Self>, connector: Rc<Connector>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        // The first sample was taken before.
        tick.tick().await;
        loop {
            tick.tick().await;
            // It may be one that was killed by plan.
            let _ = self.sample(&connector).await;
        }
    }

    /// Processor time so far at a time, between the samples around it.
    fn cpu_at(&self, at: u64) -> Option<f64> {
        let samples = self.samples.borrow();
        let after = samples.iter().position(|sample| sample.at >= at);
        let (before, after) = match after {
            Some(0) => (samples.first()?, samples.first()?),
            Some(after) => (&samples[after - 1], &samples[after]),
            // It was not seen any more, perhaps because it is gone.
            None => (samples.last()?, samples.last()?),
        };
        let (from, to) = (before.cpu?, after.cpu?);
        let length = after.at.saturating_sub(before.at) as f64;
        if length == 0.0 {
            return Some(to);
        }
        let share = at.saturating_sub(before.at) as f64 / length;
        Some(from + (to - from) * share)
    }

    /// What it used between two times; none if it was never seen.
    #[must_use]
    pub fn used(&self, begin: u64, from: u64, to: u64) -> Option<Server> {
        let samples = self.samples.borrow();
        let first = samples.first()?;
        let used = self.cpu_at(from).zip(self.cpu_at(to));
        let cpu = used.map(|(from, to)| (to - from).max(0.0));
        let length = to.saturating_sub(from) as f64 / 1e6;
        let seconds = samples.windows(2).map(|pair| {
            let length = pair[1].at.saturating_sub(pair[0].at) as f64 / 1e6;
            let used = pair[0].cpu.zip(pair[1].cpu);
            Usage {
                at: (pair[1].at as f64 - begin as f64) / 1e6,
                cores: used
                    .filter(|_| length > 0.0)
                    .map(|(from, to)| (to - from) / length),
                rss: pair[1].reading.rss,
            }
        });
        Some(Server {
            name: self.name.clone(),
            cpu,
            cores: cpu.filter(|_| length > 0.0).map(|cpu| cpu / length),
            rss_before: first.reading.rss,
            rss_max: samples
                .iter()
                .map(|sample| sample.reading.rss)
                .fold(0.0, f64::max),
            seconds: seconds.collect(),
        })
    }

    /// Whether a page and a process id are most likely of the same process: they began together and used
    /// as much.
    fn is_same(&self, other: &Self) -> bool {
        let kinds = (&self.source, &other.source);
        if !matches!(kinds, (Source::Metrics(_), Source::Process(_))) {
            return false;
        }
        let (ours, theirs) = (self.samples.borrow(), other.samples.borrow());
        let ends = |samples: &[Sample]| Some((samples.first()?.reading, samples.last()?.reading));
        let Some(((first, last), (other_first, other_last))) = ends(&ours).zip(ends(&theirs))
        else {
            return false;
        };
        let began = first.started.zip(other_first.started);
        let near = |a: Reading, b: Reading| {
            let cpu = a.cpu.zip(b.cpu);
            let cpu = cpu.is_none_or(|(a, b)| (a - b).abs() < 0.3 + 0.1 * a.max(b));
            cpu && (a.rss - b.rss).abs() < 0.15 * a.rss.max(b.rss)
        };
        // Node's rounds its begin to seconds.
        began.is_none_or(|(a, b)| (a - b).abs() < 2.0)
            && near(first, other_first)
            && near(last, other_last)
    }
}

/// What all used; a process that is also named by its page counts once, and each of both has one other.
#[must_use]
pub fn used(all: &[Rc<Watched>], begin: u64, from: u64, to: u64) -> Vec<Server> {
    let mut merged = vec![false; all.len()];
    let mut servers = Vec::new();
    for watched in all {
        let same = (0..all.len()).find(|at| !merged[*at] && watched.is_same(&all[*at]));
        let Some(mut server) = watched.used(begin, from, to) else {
            continue;
        };
        if let Some(at) = same {
            merged[at] = true;
            server.name = format!("{} ({})", server.name, all[at].name);
            // The page may not tell what the system does.
            if server.cpu.is_none()
                && let Some(process) = all[at].used(begin, from, to)
            {
                server = Server {
                    name: server.name,
                    ..process
                };
            }
        }
        servers.push((watched, server));
    }
    // Processes come behind all pages, so they are marked by now.
    let is_merged = |watched: &Rc<Watched>| {
        let at = all.iter().position(|other| Rc::ptr_eq(other, watched));
        at.is_some_and(|at| merged[at])
    };
    let left = servers
        .into_iter()
        .filter(|(watched, _)| !is_merged(watched));
    left.map(|(_, server)| server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(source: Source, samples: &[(u64, f64, f64)]) -> Rc<Watched> {
        let name = match source {
            Source::Metrics(_) => "page",
            Source::Process(_) => "process",
        };
        let watched = Watched::new(name.to_owned(), source);
        for &(at, cpu, rss) in samples {
            let reading = Reading {
                cpu: Some(cpu),
                rss,
                started: Some(1000.0),
            };
            watched.take(at * 1_000_000, reading);
        }
        Rc::new(watched)
    }

    fn page() -> Source {
        Source::Metrics(Target::parse("http://h").expect("valid"))
    }

    fn close(value: Option<f64>, to: f64) -> bool {
        value.is_some_and(|value| (value - to).abs() < 1e-9)
    }

    #[test]
    fn use_is_that_of_the_measured_time() {
        let samples = [
            (0, 10.0, 5.0),
            (1, 11.0, 9.0),
            (3, 15.0, 7.0),
            (9, 15.0, 5.0),
        ];
        let watched = watched(Source::Process(1), &samples);
        let used = watched.used(0, 500_000, 2_000_000).expect("samples");
        // Half of one, and half of four.
        assert!(close(used.cpu, 2.5) && close(used.cores, 2.5 / 1.5));
        assert!((used.rss_before - 5.0).abs() < 1e-9 && (used.rss_max - 9.0).abs() < 1e-9);
        assert_eq!(used.seconds.len(), 3);
        assert!(close(used.seconds[1].cores, 2.0));
    }

    #[test]
    fn a_server_that_begins_anew_counts_on_and_one_that_is_gone_uses_nothing() {
        let again = watched(page(), &[(0, 50.0, 1.0), (2, 52.0, 1.0), (4, 1.0, 1.0)]);
        let used = again.used(0, 0, 4_000_000).expect("samples");
        assert!(close(used.cpu, 3.0), "{used:?}");
        let gone = watched(Source::Process(1), &[(0, 0.0, 1.0), (2, 1.0, 1.0)]);
        let used = gone.used(0, 0, 10_000_000).expect("samples");
        assert!(
            close(used.cpu, 1.0) && close(used.cores, 0.1),
            "one that is killed uses nothing more: {used:?}"
        );
    }

    #[test]
    fn a_process_that_has_a_page_too_counts_once() {
        let pages: Vec<_> = [1.0, 2.0]
            .map(|cpu| watched(page(), &[(0, 0.5, 1e7), (9, 5.0 * cpu, 2e7)]))
            .into();
        let processes = [2.0, 1.0, 3.0].map(|cpu| {
            let samples = [(0, 0.52, 1.05e7), (9, 5.0 * cpu + 0.1, 2e7)];
            watched(Source::Process(1), &samples)
        });
        let all: Vec<_> = pages.into_iter().chain(processes).collect();
        let servers = used(&all, 0, 0, 9_000_000);
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["page (process)", "page (process)", "process"]);
        let cpu: f64 = servers.iter().filter_map(|server| server.cpu).sum();
        assert!((cpu - (4.5 + 9.5 + 14.58)).abs() < 1e-6, "{cpu}");
    }
}
