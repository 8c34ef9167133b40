//! Over Redis, in all modes and ways to reach it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use socketio_adapter_redis::{PythonConfig, RedisAdapter, RedisConfig};
use socketio_emitter::{ConnectError, Emitter, EmitterConfig, Mode};
use socketio_server::Adapter;
use socketio_testkit::{Certificates, Folder, Redis, RedisCluster, RedisSentinel};
use tokio::io::AsyncWriteExt;

use crate::cluster::Cluster;
use crate::command::Runner;
use crate::{command, job, python, suite};

fn of_adapter(mode: Mode) -> socketio_adapter_redis::Mode {
    use socketio_adapter_redis::Mode as Redis;
    match mode {
        Mode::ShardedStatic => Redis::ShardedStatic,
        Mode::ShardedDynamic => Redis::ShardedDynamic,
        Mode::ShardedDynamicPrivate => Redis::ShardedDynamicPrivate,
        _ => Redis::Pubsub,
    }
}

/// A cluster of its own at the broker.
async fn cluster(url: &str, mode: Mode, prefix: &str) -> (Cluster, Emitter, EmitterConfig) {
    let adapter = || -> Arc<dyn Adapter> {
        let mut config = RedisConfig::new(url);
        config.mode = of_adapter(mode);
        config.prefix = prefix.to_owned();
        RedisAdapter::new(config).expect("a valid configuration")
    };
    let config = EmitterConfig::new(url).mode(mode).prefix(prefix);
    let io = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    let cluster = Cluster::start([adapter(), adapter()], &io).await;
    (cluster, io, config)
}

async fn run_suite(url: &str, mode: Mode) {
    let (mut nodes, io, config) = cluster(url, mode, "suite").await;
    assert_eq!(io.mode(), mode);
    Box::pin(suite::all(&mut nodes, &io, &config)).await;
    io.close().await.expect("taken");
    nodes.end().await;
}

async fn run_command(url: &str, mode: Mode) {
    let (mut nodes, io, _) = cluster(url, mode, "command").await;
    let arguments = ["--url", url, "--mode", mode.as_str(), "--prefix", "command"];
    Box::pin(command::all(&mut nodes, &io, &arguments)).await;
    nodes.end().await;
}

async fn run_outage(mode: Mode) {
    let mut server = Redis::start();
    let (mut nodes, io, config) = cluster(&server.url(), mode, "outage").await;
    drop(io);
    Box::pin(job::outage(&mut nodes, &config, Broker(&mut server))).await;
    nodes.end().await;
}

macro_rules! in_mode {
    ($($name:ident: $mode:expr,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn everything_reaches_the_nodes_and_comes_back() {
                run_suite(&Redis::start().url(), $mode).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_command_does_it_too() {
                run_command(&Redis::start().url(), $mode).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn an_outage_loses_nothing() {
                run_outage($mode).await;
            }
        }
    )*};
}

in_mode! {
    pubsub: Mode::Pubsub,
    sharded_static: Mode::ShardedStatic,
    sharded_dynamic: Mode::ShardedDynamic,
    sharded_dynamic_private: Mode::ShardedDynamicPrivate,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_redis_cluster() {
    let servers = RedisCluster::start();
    for mode in [Mode::Pubsub, Mode::ShardedStatic] {
        run_suite(&servers.url(), mode).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_sentinel() {
    let servers = RedisSentinel::start();
    run_suite(&servers.url(), Mode::Pubsub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_dialect_of_python() {
    let server = Redis::start();
    let adapter = || -> Arc<dyn Adapter> {
        let mut config = RedisConfig::new(server.url());
        config.python = Some(PythonConfig::listen().channels(["flask-socketio"]));
        RedisAdapter::new(config).expect("a valid configuration")
    };
    let config = EmitterConfig::new(server.url());
    let config = config.mode(Mode::Python).python_channel("flask-socketio");
    let io = Emitter::connect_with(config).await.expect("a broker");
    let mut nodes = Cluster::start([adapter(), adapter()], &io).await;
    python::all(&mut nodes, &io, &server.url()).await;
    io.close().await.expect("taken");
    nodes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nodes_nobody_answers() {
    let server = Redis::start();
    job::nobody(&EmitterConfig::new(server.url())).await;
    let url = server.url();
    let arguments = ["--url", &url];
    let ended = Runner(&arguments).run(&["--count"], "").await;
    assert_eq!(ended.code, Some(69));
    assert_eq!(
        ended.errors,
        "socketio-emit: no node of the cluster answers\n"
    );
}

/// Whatever somebody sends to the emitter, it hears the next answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_answers_does_no_harm() {
    let server = Redis::start();
    let (nodes, io, _) = cluster(&server.url(), Mode::Pubsub, "garbage").await;
    assert_eq!(io.count().await.expect("nodes").sockets, 2);
    let shown = format!("{io:?}");
    let id = &shown[shown.find("emitter-").expect("an id")..][.."emitter-".len() + 16];
    let all = [
        format!("garbage-cluster#{id}#"),
        "garbage-response#/#".to_owned(),
    ];
    for channel in &all {
        for garbage in [
            &b""[..],
            b"\xff",
            b"\x93\x01",
            b"{\"requestId\":7}",
            b"[[[[[[[[",
        ] {
            let heard = server.publish(channel, garbage);
            assert!(heard >= 1, "{channel}");
        }
    }
    for _ in 0..10 {
        let count = io.count().await.expect("nodes");
        assert_eq!((count.sockets, count.is_complete()), (2, true));
    }
    nodes.end().await;
}

/// The command waits for the broker as long as it was told, then says what it could not do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_gives_a_lost_broker_up() {
    let mut server = Redis::start();
    let (mut nodes, _io, _) = cluster(&server.url(), Mode::Pubsub, "lost").await;
    let url = server.url();
    let options = ["--url", &url, "--prefix", "lost", "--flush-timeout", "0.5"];
    let (running, mut input) = Runner(&options).start(&["-"]);
    input.write_all(b"[\"first\"]\n").await.expect("it reads");
    nodes.both_hear("first", &()).await;
    server.kill();
    let start = Instant::now();
    // It may take a moment to see that the broker is gone, and then what was on its way is lost.
    input
        .write_all(b"[\"second\"]\n[\"third\"]\n")
        .await
        .expect("it reads");
    drop(input);
    let ended = running.end().await;
    assert_eq!(ended.code, Some(75), "{}", ended.errors);
    assert!(
        ended.errors.starts_with("socketio-emit: ") && ended.errors.lines().count() == 1,
        "{}",
        ended.errors
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

struct Broker<'a>(&'a mut Redis);

impl job::Broker for Broker<'_> {
    fn stop(&mut self) {
        self.0.kill();
    }

    fn start(&mut self) {
        self.0.restart();
    }
}

/// Nodes and emitter reach the same channels whatever way they come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_password_and_over_a_unix_socket() {
    let server = Redis::builder()
        .arguments(&["--user", "emitter", "on", ">secret", "~*", "&*", "+@all"])
        .arguments(&["--requirepass", "other"])
        .start();
    let url = format!("redis://emitter:secret@127.0.0.1:{}", server.port());
    let (mut nodes, io, _) = cluster(&url, Mode::Pubsub, "p").await;
    let socket = format!("redis+unix://{}", server.socket().display());
    let ways = [
        EmitterConfig::new(server.url()).username("emitter".to_owned()),
        EmitterConfig::new(&socket).username("emitter".to_owned()),
        EmitterConfig::new(format!("valkey://emitter@127.0.0.1:{}", server.port())),
    ];
    for way in ways {
        let way = way.prefix("p").password("secret".to_owned());
        let other = Emitter::connect_with(way).await.expect("a broker");
        other.to("both").emit("way", 1).expect("room");
        other.close().await.expect("taken");
        nodes.both_hear("way", &1).await;
    }
    io.close().await.expect("taken");
    nodes.end().await;

    let refused = [
        (server.url(), "NOAUTH"),
        (
            format!("redis://emitter:wrong@127.0.0.1:{}", server.port()),
            "WRONGPASS",
        ),
    ];
    for (url, word) in refused {
        let refused = Emitter::connect(&url).await;
        let Err(ConnectError::Broker(cause)) = refused else {
            panic!("{refused:?}");
        };
        assert!(chain(&*cause).contains(word), "{}", chain(&*cause));
        assert!(!chain(&*cause).contains("wrong@"), "{}", chain(&*cause));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    let server = Redis::builder().tls(Certificates::new()).start();
    let authority = &server.certificates().expect("it speaks TLS").authority;
    let config = EmitterConfig::new(server.url()).tls_authority(authority.clone());
    let io = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    io.emit("nobody", 1).expect("room");
    io.flush().await.expect("taken");
    assert_eq!(io.status().messages_out, 1);
    // An authority that nobody knows.
    let refused = Emitter::connect(&server.url()).await;
    assert!(
        matches!(refused, Err(ConnectError::Broker(_))),
        "{refused:?}"
    );
    let none = Folder::new().path().join("none");
    let wrong = Emitter::connect_with(config.tls_authority(none)).await;
    assert!(matches!(wrong, Err(ConnectError::Config(_))), "{wrong:?}");
}

#[tokio::test]
async fn mistakes_and_absence_are_told_apart() {
    let away = Redis::builder().away().start();
    let refused = Emitter::connect(&away.url()).await;
    assert!(
        matches!(refused, Err(ConnectError::Broker(_))),
        "{refused:?}"
    );
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute = format!("redis://{}", mute.local_addr().expect("an address"));
    let hasty = EmitterConfig::new(mute).connect_timeout(Duration::from_millis(200));
    let refused = Emitter::connect_with(hasty).await;
    assert!(
        matches!(refused, Err(ConnectError::Broker(_))),
        "{refused:?}"
    );
    for url in [
        "redis://",
        "redis://h:port",
        "redis+sentinel://h",
        "redis-nonsense://h",
    ] {
        let wrong = Emitter::connect(url).await;
        assert!(
            matches!(wrong, Err(ConnectError::Config(_))),
            "{url}: {wrong:?}"
        );
    }
    for url in ["", "h", "http://h"] {
        let wrong = Emitter::connect(url).await;
        assert!(
            matches!(wrong, Err(ConnectError::Scheme)),
            "{url}: {wrong:?}"
        );
    }
    let wrong = Emitter::connect_with(EmitterConfig::new("redis://h").mode(Mode::Amqp)).await;
    assert!(
        matches!(wrong, Err(ConnectError::Mode(Mode::Amqp))),
        "{wrong:?}"
    );
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text += &format!(": {deeper}");
        cause = deeper.source();
    }
    text
}
