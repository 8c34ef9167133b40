//! Time, memory, file descriptors and start time of the process, under the names that all Prometheus
//! clients use.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use socketio_core::metrics::Page;

#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    pub(super) fn new() -> Self {
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(&mut encoder, "");
        page.gauge(
            "process_start_time_seconds",
            "When this server was built, in seconds since 1970",
            self.started,
        )?;
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        page.counter(
            "process_cpu_seconds",
            "Time on processors, of the system included",
            cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        )?;
        if let Some(bytes) = resident_bytes() {
            page.gauge(
                "process_resident_memory_bytes",
                "Memory in RAM, in bytes",
                bytes,
            )?;
        }
        if let Some(open) = open_descriptors() {
            page.gauge("process_open_fds", "Open file descriptors", open)?;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if let Some(limit) = limit.current {
            page.gauge("process_max_fds", "Limit of open file descriptors", limit)?;
        }
        Ok(())
    }
}

/// Only Linux tells; elsewhere the family is left out.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Since Linux 6.2 the size of the directory is their number. To read it makes the kernel look at each descriptor: with
/// 19 000 of them that took 15 to 28 ms, in which a thread served nobody.
fn open_descriptors() -> Option<u64> {
    match std::fs::metadata("/proc/self/fd").ok()?.len() {
        0 => listed_descriptors(),
        open => Some(open),
    }
}

fn listed_descriptors() -> Option<u64> {
    // One of them is the directory that is being read.
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(entries.saturating_sub(1) as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted_in_either_way() {
        const MORE: u64 = 200;
        // Other tests of this process open and close some, too.
        const OTHERS: u64 = 50;
        let before = open_descriptors().expect("/proc");
        let files: Vec<_> = (0..MORE)
            .map(|_| std::fs::File::open("/proc/self/status").expect("a file"))
            .collect();
        for count in [open_descriptors(), listed_descriptors()] {
            let more = count.expect("/proc").abs_diff(before);
            assert!(more.abs_diff(MORE) < OTHERS, "{more} more");
        }
        drop(files);
    }
}
