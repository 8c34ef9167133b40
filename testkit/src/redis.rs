//! `redis-server`: one, three as a cluster, or watched by a Sentinel. Test support: what goes wrong panics.

mod cluster;
mod sentinel;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::RedisResult;

use crate::certificates::Certificates;
use crate::folder::Folder;
use crate::process::{Process, free_port, until};

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

/// How long a server may take to start; machines of CI are slow at times.
const START: Duration = Duration::from_secs(30);

/// A running `redis-server`.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    builder: RedisBuilder,
    port: u16,
    folder: Folder,
}

/// What a [`Redis`] is to be like.
#[derive(Debug, Default)]
pub struct RedisBuilder {
    arguments: Vec<String>,
    certificates: Option<Certificates>,
    port: Option<u16>,
    is_away: bool,
}

impl RedisBuilder {
    /// Options of the command line, as `--maxmemory 1mb`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Speaks TLS, and nothing else, with these certificates.
    #[must_use]
    pub fn tls(mut self, certificates: Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Does not start the server yet; [`Redis::restart`] does.
    #[must_use]
    pub fn away(mut self) -> Self {
        self.is_away = true;
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn start(self) -> Redis {
        let is_away = self.is_away;
        let mut server = Redis {
            process: None,
            port: self.port.unwrap_or_else(free_port),
            builder: self,
            folder: Folder::new(),
        };
        if is_away {
            return server;
        }
        for _ in 0..5 {
            if server.try_start() {
                return server;
            }
            // Somebody else took the port in between.
            server.port = free_port();
        }
        panic!("redis-server does not start");
    }
}

impl Redis {
    /// Starts a plain server.
    #[must_use]
    pub fn start() -> Self {
        RedisBuilder::default().start()
    }

    /// For a server that is not plain.
    #[must_use]
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--loglevel", "warning", "--daemonize", "no"]);
        match &self.builder.certificates {
            None => {
                command.args(["--port", &port]);
            }
            Some(certificates) => {
                command.args(["--port", "0", "--tls-port", &port]);
                command.arg("--tls-ca-cert-file");
                command.arg(&certificates.authority);
                command
                    .arg("--tls-cert-file")
                    .arg(&certificates.certificate);
                command.arg("--tls-key-file").arg(&certificates.key);
                command.args(["--tls-auth-clients", "no"]);
            }
        }
        command.arg("--dir").arg(self.folder.path());
        command.arg("--unixsocket").arg(self.socket());
        command.args(&self.builder.arguments).stdout(Stdio::null());
        let mut process = Process::start(&mut command);
        let mut is_up = false;
        until("redis-server answers", START, || {
            is_up = self.answers();
            is_up || !process.is_alive()
        });
        self.process = Some(process);
        is_up
    }

    /// Whether the server behind the own socket is there; an error is an answer too.
    fn answers(&self) -> bool {
        let url = format!("redis+unix://{}", self.socket().display());
        let connected = redis::Client::open(url).and_then(|client| client.get_connection());
        match connected.and_then(|mut own| redis::cmd("PING").query::<String>(&mut own)) {
            Ok(_) => true,
            Err(error) => !error.is_io_error() && !error.is_connection_dropped(),
        }
    }

    /// Its TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, 0 while it is away.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// The path of its unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The certificates, if it speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.builder.certificates.as_ref()
    }

    /// `redis://127.0.0.1:port`, or `rediss://localhost:port` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        match self.builder.certificates {
            None => format!("redis://127.0.0.1:{}", self.port),
            Some(_) => format!("rediss://localhost:{}", self.port),
        }
    }

    /// A connection over the unix socket, for what a test does beside the program.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[must_use]
    pub fn connection(&self) -> redis::Connection {
        let url = format!("redis+unix://{}", self.socket().display());
        let connected = redis::Client::open(url).and_then(|client| client.get_connection());
        connected.expect("the server answers")
    }

    /// Publishes on a channel and says how many heard it.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[expect(clippy::must_use_candidate, reason = "most tests look at what arrives")]
    pub fn publish(&self, channel: &str, payload: &[u8]) -> u64 {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(payload);
        let heard: RedisResult<u64> = command.query(&mut self.connection());
        heard.expect("PUBLISH works")
    }

    /// How many subscribe a channel.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[must_use]
    pub fn subscribers(&self, channel: &str) -> u64 {
        let mut command = redis::cmd("PUBSUB");
        command.arg("NUMSUB").arg(channel);
        let counted: RedisResult<(String, u64)> = command.query(&mut self.connection());
        counted.expect("PUBSUB works").1
    }

    /// Kills it: no goodbye to anybody.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port, after [`kill`](Self::kill).
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process = None;
        assert!(self.try_start(), "redis-server starts again");
    }

    /// Stops it without its knowledge: connections stay open, nobody answers.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            process.pause();
        }
    }

    /// Whether it is paused, as the system sees it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.process.as_ref().and_then(Process::state) == Some('T')
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.resume();
        }
    }
}
