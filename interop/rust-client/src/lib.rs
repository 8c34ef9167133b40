//! The interop server (see `interop/README.md`) as a child process. Test support, so it panics when something goes wrong.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; it ends when its standard input closes, with this process at the latest.
pub struct Server {
    child: Child,
    /// Base URL.
    pub url: String,
    log: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Server {
    /// Starts what `INTEROP_SERVER` names, the reference server otherwise.
    pub fn start() -> Self {
        let reference = concat!("node ", env!("CARGO_MANIFEST_DIR"), "/../reference-server.mjs");
        let command = std::env::var("INTEROP_SERVER").unwrap_or_else(|_| reference.to_owned());
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().expect("INTEROP_SERVER names a command"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let url = loop {
            let line = lines.next().expect("the server says where it listens").expect("UTF-8");
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for entry in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                sink.0.lock().expect("no panic while locked").push(entry);
                sink.1.notify_all();
            }
        });
        Self { child, url, log }
    }

    /// Why the server saw this socket of the namespace go. Blocks.
    pub fn reason(&self, nsp: &str, id: &str) -> String {
        let (entries, changed) = &*self.log;
        let matches = |entry: &Value| entry["event"] == "disconnect" && entry["nsp"] == nsp && entry["id"] == id;
        let guard = entries.lock().expect("no panic while locked");
        let (guard, _) = changed
            .wait_timeout_while(guard, PATIENCE, |entries| !entries.iter().any(matches))
            .expect("no panic while locked");
        let entry = guard.iter().find(|entry| matches(entry));
        entry.expect("the server saw the socket go")["reason"].as_str().expect("a reason is text").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
