//! From a page or the system to a reading.

use super::Reading;

/// Processor time and memory on a page in Prometheus' format.
pub(super) fn page(page: &str) -> Option<Reading> {
    let value = |name: &str| {
        let line = page.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            // Labels that say which process it is may stand between name and value.
            match rest.strip_prefix('{') {
                Some(labels) => labels.split_once('}').map(|(_, rest)| rest),
                None => rest.strip_prefix(' '),
            }
        })?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let cpu = value("process_cpu_seconds_total");
    let rss = value("process_resident_memory_bytes");
    (cpu.is_some() || rss.is_some()).then(|| Reading {
        cpu,
        rss: rss.unwrap_or(0.0),
        started: value("process_start_time_seconds"),
    })
}

/// The same of a process of Linux.
pub(super) fn process(id: u32) -> Option<Reading> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    // One that has ended and is not yet waited for has none.
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let since_boot = ticks(19)? / per_second;
    Some(Reading {
        cpu: Some((ticks(11)? + ticks(12)?) / per_second),
        rss: kib * 1024.0,
        started: boot_time().map(|boot| boot + since_boot),
    })
}

/// In seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let text = "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.5\n\
                    process_resident_memory_bytes{app=\"a b\"} 2048 1700000000\n";
        let reading = Reading {
            cpu: Some(1.5),
            rss: 2048.0,
            started: None,
        };
        assert_eq!(page(text), Some(reading));
        let reading = Reading {
            rss: 7.0,
            ..Reading::default()
        };
        assert_eq!(page("process_resident_memory_bytes 7"), Some(reading));
        assert_eq!(page("process_cpu_seconds_total_x 1"), None);
    }

    #[test]
    fn our_own_process_uses_memory() {
        let reading = process(std::process::id()).expect("we run");
        assert!(reading.rss > 100_000.0);
        assert_eq!(process(u32::MAX), None);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs_f64();
        let age = now - reading.started.expect("Linux tells");
        assert!((-3.0..600.0).contains(&age), "{age}");
    }
}
