//! Child processes, ports and waiting.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A child process that is killed by its id when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it without input. Its output goes where the test's goes, which `nextest` shows when
    /// the test fails.
    ///
    /// # Panics
    ///
    /// When the program is not there.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{} cannot be started: {error}", describe(command)),
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Stops it without its knowledge (SIGSTOP): its connections stay open, nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its state as Linux calls it: `T` while it is [paused](Self::pause), `S` or `R` while it goes on.
    #[must_use]
    pub fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // Behind the name, which may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let sent = id.map(|id| kill_process(id, signal));
        assert!(matches!(sent, Some(Ok(()))), "{signal:?} cannot be sent");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn describe(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// Below the ports that Linux gives to outgoing connections (32768 to 60999,
/// `ip_local_port_range`): any connection of the machine could take one of those between the choice
/// and the start of the server, which for RabbitMQ are five seconds.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A TCP port for a server that is started in a moment. It was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let random = RandomState::new().hash_one(()) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(random).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Waits until a condition holds, and looks each five milliseconds.
///
/// # Panics
///
/// With `what` when it does not hold within `limit`.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
