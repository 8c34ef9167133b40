//! A RabbitMQ broker of its own for a test.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Certificates, Folder, Process, free_port, until};

/// The scripts of Debian's package that do not insist on the system's service user.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// A start takes 7 s of processor time, and other tests may run meanwhile.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running `rabbitmq-server` with a port mapper of its own, so that neither knows of others on
/// this machine. It has the user `guest` and the virtual host `/`, no plugins, and keeps its data
/// over [`kill`](Self::kill) and [`start_again`](Self::start_again).
///
/// Declared order matters: the broker is killed before the mapper, and the folder goes last.
#[derive(Debug)]
pub struct RabbitMq {
    broker: Process,
    mapper: Process,
    ports: Ports,
    tls: bool,
    folder: Folder,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    amqps: u16,
    distribution: u16,
    mapper: u16,
}

impl RabbitMq {
    /// Starts one and waits until it takes connections.
    ///
    /// # Panics
    ///
    /// When it is not installed, or does not come up within two minutes.
    #[must_use]
    pub fn start() -> Self {
        Self::launch("", false)
    }

    /// Starts one that also listens for TLS.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with_tls(certificates: &Certificates) -> Self {
        let settings = format!(
            "ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
            certificates.authority.display(),
            certificates.certificate.display(),
            certificates.key.display(),
        );
        Self::launch(&settings, true)
    }

    fn launch(settings: &str, tls: bool) -> Self {
        let folder = Folder::new();
        let ports = Ports {
            amqp: free_port(),
            amqps: free_port(),
            distribution: free_port(),
            mapper: free_port(),
        };
        let mut listeners = format!("listeners.tcp.1 = 127.0.0.1:{}\n", ports.amqp);
        if tls {
            listeners += &format!("listeners.ssl.1 = 127.0.0.1:{}\n", ports.amqps);
        }
        // No alarm because of a full disk of the machine that runs the tests.
        let limits = "disk_free_limit.absolute = 1MB\n";
        folder.write("rabbitmq.conf", &format!("{listeners}{settings}{limits}"));
        folder.write("env.conf", "");
        folder.write("plugins", "[].\n");
        let mapper = Process::start(
            Command::new("epmd")
                .args(["-port", &ports.mapper.to_string()])
                .args(["-address", "127.0.0.1"])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        until("epmd listens", Duration::from_secs(30), || {
            is_open(ports.mapper)
        });
        let broker = Process::start(&mut server(folder.path(), ports));
        let mut rabbit = Self {
            broker,
            mapper,
            ports,
            tls,
            folder,
        };
        rabbit.wait();
        rabbit
    }

    /// Where it is found, with the credentials and the virtual host that it has by itself.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// The port for connections without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The port for TLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.ports.amqps
    }

    /// The broker's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.broker.id()
    }

    /// Kills it, as a crash does. It does not come back before [`start_again`](Self::start_again).
    pub fn kill(&mut self) {
        self.broker.kill();
    }

    /// Starts it again on the same ports with the same data, and waits until it takes
    /// connections. Says when it began to.
    ///
    /// # Panics
    ///
    /// When it does not come up within two minutes.
    pub fn start_again(&mut self) -> Instant {
        self.broker.kill();
        self.broker = Process::start(&mut server(self.folder.path(), self.ports));
        self.wait()
    }

    /// Stops its execution; connections stay open, and mute.
    pub fn pause(&self) {
        self.broker.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.broker.resume();
    }

    /// Runs `rabbitmqctl` for this broker, and gives what it prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[expect(clippy::must_use_candidate, reason = "most commands print nothing")]
    pub fn control(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(Path::new(SCRIPTS).join("rabbitmqctl"));
        environment(&mut command, self.folder.path(), self.ports);
        // A port of its own, since several may run at once.
        let port = free_port().to_string();
        command
            .env("RABBITMQ_CTL_DIST_PORT_MIN", &port)
            .env("RABBITMQ_CTL_DIST_PORT_MAX", &port)
            .args(["-q", "-n", &node_name()])
            .args(arguments);
        let output = command.output().expect("rabbitmqctl is installed");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "rabbitmqctl {arguments:?} failed: {printed}{complaint}"
        );
        printed
    }

    fn wait(&mut self) -> Instant {
        let (ports, tls) = (self.ports, self.tls);
        until("rabbitmq-server listens", START_LIMIT, || {
            assert!(
                self.broker.is_alive(),
                "rabbitmq-server has ended: {}",
                std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
            );
            is_open(ports.amqp) && (!tls || is_open(ports.amqps))
        });
        let open = Instant::now();
        // The listener opens a moment before the broker calls itself started.
        assert!(self.mapper.is_alive(), "epmd has ended");
        self.control(&["await_startup"]);
        open
    }
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn node_name() -> String {
    "socketio@localhost".to_owned()
}

fn server(dir: &Path, ports: Ports) -> Command {
    let output = File::options()
        .create(true)
        .append(true)
        .open(dir.join("out"))
        .expect("a file in the test's folder");
    let errors = output.try_clone().expect("a second handle of a file");
    let mut command = Command::new(Path::new(SCRIPTS).join("rabbitmq-server"));
    environment(&mut command, dir, ports);
    command
        // Makes the script become the broker instead of its parent, so that signals reach it.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env(
            "RABBITMQ_SERVER_START_ARGS",
            "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
        )
        .stdout(output)
        .stderr(errors);
    command
}

/// Nothing of the machine's own broker is read or written, the cookie in the home folder included.
fn environment(command: &mut Command, dir: &Path, ports: Ports) {
    command
        .env("HOME", dir)
        .env("ERL_EPMD_PORT", ports.mapper.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", node_name())
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_CONF_ENV_FILE", dir.join("env.conf"))
        .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
        .env("RABBITMQ_FEATURE_FLAGS_FILE", dir.join("feature_flags"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_LOGS", dir.join("log/broker.log"))
        .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
        .env("RABBITMQ_PID_FILE", dir.join("pid"))
        .env("RABBITMQ_PLUGINS_EXPAND_DIR", dir.join("expanded"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_starts_answers_restarts_and_ends() {
        let mut rabbit = RabbitMq::start();
        assert!(is_open(rabbit.port()));
        rabbit.control(&["add_vhost", "other"]);
        rabbit.kill();
        assert!(!is_open(rabbit.port()));
        rabbit.start_again();
        assert!(rabbit.control(&["list_vhosts"]).contains("other"));
        let (port, path) = (rabbit.port(), rabbit.folder.path().to_owned());
        drop(rabbit);
        assert!(!is_open(port));
        assert!(!path.exists());
    }
}
