//! Starts nodes and the load tester.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The stock node. A run of the whole workspace has built it; a run of this package alone builds it
/// here.
fn server() -> &'static PathBuf {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let ours = PathBuf::from(env!("CARGO_BIN_EXE_socketio-loadtest"));
        let server = ours.with_file_name("socketio-server");
        if !server.exists() {
            let built = Command::new(env!("CARGO"))
                .args([
                    "build",
                    "--package",
                    "socketio-server",
                    "--bin",
                    "socketio-server",
                ])
                .status();
            assert!(built.expect("cargo runs").success());
        }
        server
    })
}

/// A stock node on a free port, killed by its process id when the test ends.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(server());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SOCKETIO_")) {
            command.env_remove(name);
        }
        let started = command
            .args(["--port=0", "--log-format=json"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.expect("the stock node starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut address = None;
        while let Some(Ok(line)) = lines.next() {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "listening" {
                address = line["address"].as_str().map(str::to_owned);
                break;
            }
        }
        // The node must be able to go on writing.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("the start-up line names the address");
        let address = address.rsplit('/').next().expect("an address");
        let scheme = if arguments.contains(&"--tls-cert") {
            "https"
        } else {
            "http"
        };
        Self {
            url: format!("{scheme}://{address}"),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run of the load tester.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) table: String,
    pub(crate) errors: String,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-loadtest"));
    command.args(arguments);
    command
}

pub(crate) fn loadtest(arguments: &[&str]) -> Run {
    let output: Output = command(arguments).output().expect("the load tester starts");
    Run {
        code: output.status.code(),
        table: String::from_utf8(output.stdout).expect("text"),
        errors: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs a scenario for two seconds and reads its result.
pub(crate) fn measured(node: &Node, arguments: &[&str]) -> (Run, Value) {
    measured_over(std::slice::from_ref(node), arguments)
}

/// The same with the clients of several nodes.
pub(crate) fn measured_over(nodes: &[Node], arguments: &[&str]) -> (Run, Value) {
    let folder = socketio_testkit::Folder::new();
    let file = folder.path().join("result.json");
    let file = file.to_str().expect("text");
    let mut all = vec!["run", arguments[0], "--json", file];
    for node in nodes {
        all.extend(["--target", &node.url]);
    }
    all.extend(&arguments[1..]);
    if !arguments.contains(&"--phase") {
        all.extend(["--duration", "2s", "--warmup", "0s"]);
    }
    let run = loadtest(&all);
    let json = std::fs::read(file).unwrap_or_else(|_| panic!("no result: {}", run.errors));
    (run, serde_json::from_slice(&json).expect("JSON"))
}

/// That nothing was lost, duplicated or reordered, and nothing failed.
pub(crate) fn assert_clean(run: &Run, result: &Value) {
    assert_eq!(run.code, Some(0), "{}{}", run.errors, run.table);
    for name in [
        "lost",
        "lost_unconfirmed",
        "missed",
        "duplicated",
        "reordered",
    ] {
        assert_eq!(result["audit"][name], 0, "{name}: {}", run.table);
    }
    assert_eq!(
        result["counters"]["errors"],
        serde_json::json!({}),
        "{}",
        run.table
    );
}
