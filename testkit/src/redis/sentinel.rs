//! A master, a replica, and a Sentinel that watches them. Test support: what goes wrong panics.

use std::process::{Command, Stdio};
use std::time::Duration;

use redis::RedisResult;

use super::Redis;
use crate::folder::Folder;
use crate::process::{Process, free_port, until};

/// A master, a replica, and a Sentinel that makes the replica the master when the first one is
/// gone for half a second.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The first master.
    pub first: Redis,
    /// The first replica.
    pub second: Redis,
    sentinel: Process,
    port: u16,
    _folder: Folder,
}

impl RedisSentinel {
    /// The name under which the Sentinel knows them.
    pub const SERVICE: &str = "service";

    /// Starts all three and waits until the Sentinel knows both servers.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    #[must_use]
    pub fn start() -> Self {
        let first = Redis::start();
        let master = first.port().to_string();
        let replica = [
            "--replicaof",
            "127.0.0.1",
            &master,
            "--repl-diskless-sync-delay",
            "0",
        ];
        let second = Redis::builder().arguments(&replica).start();
        let folder = Folder::new();
        let port = free_port();
        let name = Self::SERVICE;
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor {name} 127.0.0.1 {master} 1"),
            format!("sentinel down-after-milliseconds {name} 500"),
            format!("sentinel failover-timeout {name} 3000"),
        ];
        let file = folder.write("sentinel.conf", &lines.join("\n"));
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel").stdout(Stdio::null());
        let started = Self {
            first,
            second,
            sentinel: Process::start(&mut command),
            port,
            _folder: folder,
        };
        until("the Sentinel knows both", Duration::from_secs(60), || {
            started.replicas() == Some(1)
        });
        started
    }

    /// How many replicas the Sentinel has found.
    fn replicas(&self) -> Option<usize> {
        let client = redis::Client::open(self.sentinel_url()).ok()?;
        let mut connection = client.get_connection().ok()?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("REPLICAS").arg(Self::SERVICE);
        let found: RedisResult<Vec<redis::Value>> = command.query(&mut connection);
        found.ok().map(|found| found.len())
    }

    /// `redis+sentinel://127.0.0.1:port/0/service`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "redis+sentinel://127.0.0.1:{}/0/{}",
            self.port,
            Self::SERVICE
        )
    }

    /// The Sentinel itself, as a Redis server.
    #[must_use]
    pub fn sentinel_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The Sentinel's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.sentinel.id()
    }
}
