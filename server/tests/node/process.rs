//! Starts the binary and looks at what it says.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::PATIENCE;

/// The binary, with an environment that has nothing in it that a node reads.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-server"));
    let ours = std::env::vars()
        .filter(|(name, _)| name.starts_with("SOCKETIO_") || name.starts_with("OTEL_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs the binary to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("started")
}

/// A running node on a free port; killed when the test ends.
pub(crate) struct Node {
    child: Child,
    lines: Receiver<Value>,
    address: Option<SocketAddr>,
    pub(crate) internal: Option<SocketAddr>,
    pub(crate) start: Value,
}

impl Node {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("address in the start-up line")
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(&["--port=0", "--log-format=json"]);
        let started = command.args(arguments).stderr(Stdio::piped()).spawn();
        let mut child = started.expect("started");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let start = wait_for(&lines, "listening");
        let address = |key: &str| {
            let text = start[key].as_str()?;
            text.rsplit('/').next()?.parse().ok()
        };
        Self {
            address: address("address"),
            internal: address("internal_address"),
            start,
            child,
            lines,
        }
    }

    /// The next log line with this message.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        wait_for(&self.lines, message)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("signalled");
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the node does not end");
            std::thread::yield_now();
            // The end of the log is the end of the process, or near it.
            let _ = self.lines.recv_timeout(PATIENCE - start.elapsed());
        }
    }
}

fn wait_for(lines: &Receiver<Value>, message: &str) -> Value {
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
        let Ok(line) = lines.recv_timeout(left) else {
            break;
        };
        if line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with(message))
        {
            return line;
        }
        seen.push(line);
    }
    panic!("no line {message:?} in {seen:#?}");
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
