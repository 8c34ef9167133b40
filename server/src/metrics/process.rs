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

fn open_descriptors() -> Option<u64> {
    // One of them is the directory that is being read.
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(entries.saturating_sub(1) as u64)
}
