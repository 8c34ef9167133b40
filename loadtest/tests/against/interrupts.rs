//! Runs that are ended from outside: signals, and processes that die.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use socketio_testkit::{Folder, until};

use super::support::Node;

/// A long run that has sent for a second, and what it says from then on.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Running {
    fn start(node: &Node, file: &Path, extra: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_socketio-loadtest"))
            .args(["run", "echo", "--target", &node.url, "--clients", "4"])
            .args(["--duration", "60s", "--warmup", "0s", "--rate", "50"])
            .args(extra)
            .arg("--json")
            .arg(file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the load tester starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        // The second second, so that the first is complete.
        let begun = lines.any(|line| line.trim_start().starts_with("2 s"));
        assert!(begun, "no second was told");
        Self {
            child,
            lines: Box::new(lines),
        }
    }

    fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }

    /// Its code of exit, and the last line that it wrote.
    fn end(mut self) -> (Option<i32>, String) {
        let last = self.lines.last().unwrap_or_default();
        (self.child.wait().expect("waited").code(), last)
    }

    fn workers(&self) -> Vec<u32> {
        let id = self.child.id();
        let file = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(file).expect("Linux");
        let ids = children.split_whitespace();
        ids.map(|id| id.parse().expect("a number")).collect()
    }
}

fn send(signal: &str, id: u32) {
    let sent = Command::new("kill")
        .args([signal, &id.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

fn is_alive(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let node = Node::start(&[]);
    let folder = Folder::new();
    let file = folder.path().join("result.json");
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&node, &file, &["--processes", "2"]);
        running.signal(signal);
        assert_eq!(running.end().0, Some(130));
        let result = std::fs::read(&file).expect("a result");
        let result: Value = serde_json::from_slice(&result).expect("JSON");
        assert_eq!(result["ended_early"], "interrupted");
        assert!(result["counters"]["acked"].as_u64() > Some(20), "{result}");
        assert_eq!(result["audit"]["lost"], 0);
        std::fs::remove_file(&file).expect("removed");
    }
}

#[test]
fn a_second_interrupt_ends_at_once_and_writes_nothing() {
    let node = Node::start(&[]);
    let folder = Folder::new();
    let file = folder.path().join("result.json");
    let mut running = Running::start(&node, &file, &["--drain", "60s"]);
    // Nothing is acknowledged any more, so that there is something to wait for.
    send("-STOP", node.id());
    let rate = running.lines.nth(1);
    assert!(rate.is_some(), "it goes on");
    running.signal("-INT");
    let told = running.lines.find(|line| line.contains("interrupted"));
    assert!(told.is_some_and(|line| line.contains("once more")));
    running.signal("-INT");
    let (code, last) = running.end();
    assert_eq!(code, Some(130), "{last}");
    assert!(last.contains("interrupted twice"), "{last}");
    let left = std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0);
    send("-CONT", node.id());
}

#[test]
fn a_process_that_dies_ends_the_run_with_one_line() {
    let node = Node::start(&[]);
    let folder = Folder::new();
    let file = folder.path().join("result.json");
    let running = Running::start(&node, &file, &["--processes", "3"]);
    let workers = running.workers();
    assert_eq!(workers.len(), 3);
    send("-KILL", workers[1]);
    let (code, last) = running.end();
    assert_eq!(code, Some(70), "{last}");
    assert!(
        last.starts_with("process ") && last.contains(" of 3 of the load tester was killed"),
        "{last}"
    );
    let left = std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0);
    let gone = || !workers.iter().any(|id| is_alive(*id));
    until("the other processes to end", Duration::from_secs(10), gone);
}

#[test]
fn processes_end_with_their_leader() {
    let node = Node::start(&[]);
    let folder = Folder::new();
    let running = Running::start(&node, &folder.path().join("a"), &["--processes", "2"]);
    let workers = running.workers();
    running.signal("-KILL");
    running.end();
    let gone = || !workers.iter().any(|id| is_alive(*id));
    until("the processes to end", Duration::from_secs(10), gone);
}
