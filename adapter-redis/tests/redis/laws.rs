//! The laws of all adapters, for each mode and each way to reach a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socketio_adapter_redis::{Mode, Publisher, RedisAdapter, RedisConfig};
use socketio_core::cluster::laws::{self, Fixture};
use socketio_core::cluster::{Adapter, BoxFuture, Interest};
use socketio_core::ids::Room;
use socketio_testkit::{Certificates, Redis, RedisCluster, RedisSentinel};

use crate::support::LIMIT;

/// Adapters that share a prefix, and so hear each other and nobody else.
struct Prefixed {
    config: RedisConfig,
    namespaces: &'static [&'static str],
}

/// Those of the laws.
const NAMESPACES: &[&str] = &["/", "/odd name,#*"];

impl Fixture for Prefixed {
    fn adapter(&self) -> Arc<dyn Adapter> {
        let adapter = RedisAdapter::new(self.config.clone()).expect("the configuration is good");
        // A node hears what concerns the namespaces and rooms that it has.
        for &namespace in self.namespaces {
            adapter.watch(Interest::NamespaceOpened(namespace));
            adapter.watch(Interest::RoomOpened {
                namespace,
                room: &Room::from("a room"),
                private: false,
            });
        }
        adapter
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(10)))
    }
}

async fn all(config: RedisConfig) {
    let count = AtomicU32::new(0);
    laws::all(|| {
        let mut config = config.clone();
        // Time enough to connect on a machine that is busy with other tests.
        config.connect_timeout = LIMIT;
        let number = count.fetch_add(1, Ordering::Relaxed);
        config.prefix = format!("{}{number}", config.prefix);
        Prefixed {
            config,
            namespaces: NAMESPACES,
        }
    })
    .await;
}

fn config(server: &Redis, mode: Mode) -> RedisConfig {
    let mut config = RedisConfig::new(server.url());
    config.mode = mode;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pubsub() {
    all(config(&Redis::start(), Mode::Pubsub)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pubsub_with_the_older_protocol() {
    let server = Redis::start();
    all(RedisConfig::new(format!("{}?protocol=2", server.url()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_with_odd_characters() {
    let server = Redis::start();
    let mut config = config(&server, Mode::Pubsub);
    config.prefix = "my [app]*?\\{x}".to_owned();
    all(config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_static() {
    all(config(&Redis::start(), Mode::ShardedStatic)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_dynamic() {
    all(config(&Redis::start(), Mode::ShardedDynamic)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_dynamic_private() {
    all(config(&Redis::start(), Mode::ShardedDynamicPrivate)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket() {
    let server = Redis::start();
    let url = format!("redis+unix://{}", server.socket().display());
    all(RedisConfig::new(url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_the_newer_protocol() {
    let builder = Redis::builder().arguments(&["--rename-command", "HELLO", ""]);
    let server = builder.start();
    let publisher = Publisher::connect(config(&server, Mode::Pubsub)).await;
    publisher.expect("the older one is tried");
    all(config(&server, Mode::Pubsub)).await;
}

/// A user who may do what the documentation of the crate says.
fn user(server: &Redis, rules: &str) {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("node").arg("reset").arg("on");
    command.arg(">secret").arg("resetchannels").arg("-@all");
    for rule in rules.split_ascii_whitespace() {
        command.arg(rule);
    }
    let done: redis::RedisResult<String> = command.query(&mut server.connection());
    done.expect("the rules are rules");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_only_do_what_is_needed() {
    let server = Redis::start();
    let pubsub = "&socket.io* &socket.io#/#* +publish +subscribe +psubscribe +unsubscribe \
                  +punsubscribe +ping +hello +pubsub|numsub";
    let sharded = "&socket.io* +spublish +ssubscribe +sunsubscribe +ping +hello \
                   +pubsub|shardnumsub";
    for (mode, rules) in [(Mode::Pubsub, pubsub), (Mode::ShardedDynamic, sharded)] {
        user(&server, rules);
        let mut by_url = RedisConfig::new(server.url().replace("//", "//node:secret@"));
        by_url.mode = mode;
        let mut by_options = config(&server, mode);
        by_options.username = Some("node".to_owned());
        by_options.password = Some("secret".to_owned());
        for config in [by_url, by_options] {
            // The odd namespace of the laws has a blank, which no rule for a pattern can have.
            let namespaces = &["/"];
            let fixture = Prefixed { config, namespaces };
            laws::a_message_reaches_every_other_node_once(&fixture).await;
            laws::a_response_reaches_only_the_node_that_asked(&fixture).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_of_its_own() {
    let server = Redis::builder().tls(Certificates::new()).start();
    let mut config = config(&server, Mode::Pubsub);
    let certificates = server.certificates().expect("it speaks TLS");
    config.tls_authority = Some(certificates.authority.clone());
    all(config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_certificates_on_both_sides() {
    let certificates = Certificates::new();
    let builder = Redis::builder().arguments(&["--tls-auth-clients", "yes"]);
    let server = builder.tls(certificates).start();
    let certificates = server.certificates().expect("it speaks TLS");
    let mut config = config(&server, Mode::ShardedDynamic);
    // An authority that the system does not know.
    let refused = Publisher::connect(config.clone()).await;
    assert!(refused.is_err(), "it trusts anybody");
    config.tls_authority = Some(certificates.authority.clone());
    let refused = Publisher::connect(config.clone()).await;
    assert!(refused.is_err(), "it showed no certificate");
    config.tls_certificate = Some(certificates.certificate.clone());
    config.tls_key = Some(certificates.key.clone());
    let namespaces = NAMESPACES;
    let fixture = Prefixed { config, namespaces };
    laws::a_message_reaches_every_other_node_once(&fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster() {
    let cluster = RedisCluster::start();
    for mode in [
        Mode::Pubsub,
        Mode::ShardedStatic,
        Mode::ShardedDynamic,
        Mode::ShardedDynamicPrivate,
    ] {
        let mut config = RedisConfig::new(cluster.url());
        config.mode = mode;
        config.prefix = format!("{mode:?}");
        all(config).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_sentinel() {
    let watched = RedisSentinel::start();
    for mode in [Mode::Pubsub, Mode::ShardedDynamic] {
        let mut config = RedisConfig::new(watched.url());
        config.mode = mode;
        config.prefix = format!("{mode:?}");
        all(config).await;
    }
}
