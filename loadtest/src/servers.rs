//! What the servers use: by their page with metrics, or by process id.

use std::time::Duration;

use crate::clock::now;
use crate::net;
use crate::outcome::Server;
use crate::target::Target;

/// Where to look.
#[derive(Debug, Clone)]
enum Source {
    Metrics(Target),
    Process(u32),
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: u64,
    /// Not all servers tell it.
    cpu: Option<f64>,
    rss: f64,
}

/// One server that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    name: String,
    source: Source,
    samples: Vec<Sample>,
}

/// Longest time that a page may take: a busy server is no reason to stop.
const PATIENCE: Duration = Duration::from_secs(2);

impl Watched {
    /// A server by the URL of its metrics; `/metrics` if it names no path.
    ///
    /// # Errors
    ///
    /// When the URL is none, or is of another scheme than `http`.
    pub fn metrics(url: &str) -> Result<Self, String> {
        let mut target = Target::parse(url).map_err(|error| error.to_string())?;
        if target.tls {
            return Err(format!("`{url}`: metrics are read over http:// only"));
        }
        if target.path == "/socket.io/" {
            target.path = "/metrics".to_owned();
        }
        Ok(Self {
            name: url.to_owned(),
            source: Source::Metrics(target),
            samples: Vec::new(),
        })
    }

    /// A process of this machine.
    #[must_use]
    pub fn process(id: u32) -> Self {
        Self {
            name: format!("process {id}"),
            source: Source::Process(id),
            samples: Vec::new(),
        }
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// With what went wrong, in one line.
    pub async fn sample(&mut self) -> Result<(), String> {
        let (cpu, rss) = match &self.source {
            Source::Metrics(target) => {
                let page = tokio::time::timeout(PATIENCE, net::get(target, &target.path)).await;
                let page = page.map_err(|_| format!("{}: no answer", self.name))?;
                let page = page.map_err(|error| format!("{}: {error}", self.name))?;
                parse(&String::from_utf8_lossy(&page))
                    .ok_or_else(|| format!("{}: no process_… of Prometheus", self.name))?
            }
            Source::Process(id) => {
                process(*id).ok_or_else(|| format!("{}: there is none", self.name))?
            }
        };
        self.samples.push(Sample {
            at: now(),
            cpu,
            rss,
        });
        Ok(())
    }

    /// What it used between two times.
    #[must_use]
    pub fn used(&self, from: u64, to: u64) -> Option<Server> {
        let first = self.samples.first()?;
        let begin = self
            .samples
            .iter()
            .rev()
            .find(|sample| sample.at <= from)
            .unwrap_or(first);
        let end = self
            .samples
            .iter()
            .find(|sample| sample.at >= to)
            .or_else(|| self.samples.last())?;
        let length = end.at.saturating_sub(begin.at) as f64 / 1e6;
        // Samples lie a little beside the measured time: scaled to it.
        let used = begin.cpu.zip(end.cpu).filter(|_| length > 0.0);
        let cores = used.map(|(begin, end)| (end - begin).max(0.0) / length);
        Some(Server {
            name: self.name.clone(),
            cpu: cores.map(|cores| cores * to.saturating_sub(from) as f64 / 1e6),
            cores,
            rss_before: first.rss,
            rss_max: self
                .samples
                .iter()
                .map(|sample| sample.rss)
                .fold(0.0, f64::max),
        })
    }
}

/// Processor time and memory on a page in Prometheus' format.
fn parse(page: &str) -> Option<(Option<f64>, f64)> {
    let value = |name: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (cpu, rss) = (
        value("process_cpu_seconds_total"),
        value("process_resident_memory_bytes"),
    );
    (cpu.is_some() || rss.is_some()).then(|| (cpu, rss.unwrap_or(0.0)))
}

/// The same of a process of Linux.
fn process(id: u32) -> Option<(Option<f64>, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: f64 = fields
        .get(11..13)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    let seconds = ticks / rustix::param::clock_ticks_per_second() as f64;
    Some((Some(seconds), kib * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let page = "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.5\n\
                    process_resident_memory_bytes 2048 1700000000\n";
        assert_eq!(parse(page), Some((Some(1.5), 2048.0)));
        assert_eq!(parse("process_resident_memory_bytes 7"), Some((None, 7.0)));
        assert_eq!(parse("process_cpu_seconds_total_x 1"), None);
    }

    #[test]
    fn our_own_process_uses_memory() {
        let (_, rss) = process(std::process::id()).expect("we run");
        assert!(rss > 100_000.0);
        assert_eq!(process(u32::MAX), None);
    }

    #[test]
    fn use_is_scaled_to_the_measured_time() {
        let mut watched = Watched::process(1);
        for (at, cpu) in [
            (0, 10.0),
            (1_000_000, 11.0),
            (3_000_000, 15.0),
            (9_000_000, 15.0),
        ] {
            let cpu = Some(cpu);
            watched.samples.push(Sample { at, cpu, rss: 5.0 });
        }
        let used = watched.used(1_500_000, 2_500_000).expect("samples");
        let near = |value: Option<f64>| value.is_some_and(|value| (value - 2.0).abs() < 1e-9);
        assert!(near(used.cores) && near(used.cpu));
    }
}
