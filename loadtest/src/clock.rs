//! Time: the machine's monotonic clock, our own processor time and memory, and an alarm finer than
//! the runtime's.

use std::io;

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the monotonic clock, which all processes of a machine share.
#[must_use]
pub fn now() -> u64 {
    micros(ClockId::Monotonic)
}

/// Processor time of this process, in seconds.
#[must_use]
pub fn cpu_seconds() -> f64 {
    micros(ClockId::ProcessCPUTime) as f64 / 1e6
}

/// How long this process's main thread, which does all the work, has waited for a processor while it
/// could have run, in seconds; 0 where the system does not tell.
#[must_use]
pub fn waited_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let waited = told.and_then(|told| told.split_whitespace().nth(1)?.parse::<u64>().ok());
    waited.unwrap_or(0) as f64 / 1e9
}

/// Resident memory of this process, in bytes; 0 where the system does not tell.
#[must_use]
pub fn resident_bytes() -> f64 {
    let told = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = told.and_then(|told| told.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * rustix::param::page_size() as f64
}

fn micros(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither is ever negative.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Sleeps until a time of [`now`].
///
/// The runtime's own timers are exact to a millisecond, which an open loop would add to all that it
/// measures.
#[derive(Debug)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// An alarm on the running runtime.
    ///
    /// # Errors
    ///
    /// When the system gives no timer: out of file descriptors.
    pub fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "the replacement is unsafe, for types whose descriptor may change; that of `OwnedFd` does not"
        )]
        let timer = tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Sleeps.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; the next call sets the timer anew.
    ///
    /// # Errors
    ///
    /// When the system does not take the time, which would be a fault of ours.
    pub async fn until(&self, at: u64) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        if at <= now() {
            // The clients' tasks have their turn too.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: (at / 1_000_000) as i64,
            tv_nsec: ((at % 1_000_000) * 1_000) as i64,
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        loop {
            let mut guard = self.timer.readable().await?;
            let mut count = [0; 8];
            let read = guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?));
            if read.is_ok() {
                return Ok(());
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// An alarm on the running runtime.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Sleeps; to a millisecond.
    ///
    /// # Errors
    ///
    /// None here.
    pub async fn until(&self, at: u64) -> io::Result<()> {
        let left = at.saturating_sub(now());
        tokio::time::sleep(std::time::Duration::from_micros(left)).await;
        Ok(())
    }
}
