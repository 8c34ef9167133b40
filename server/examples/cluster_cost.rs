//! What a cluster costs: how long it takes to fetch the sockets of all nodes, and what traffic it
//! is that the nodes share the counts of their rooms.
//!
//! Three nodes run in this process, with real WebSocket clients, over a `redis-server` that is
//! started for the occasion, or over the one that `--url` names:
//!
//! ```sh
//! cargo run --release -p socketio-server --example cluster_cost
//! cargo run --release -p socketio-server --example cluster_cost -- --sockets 100 --joins 1000
//! ```
//!
//! Each client takes two file descriptors, so `ulimit -n` must be 7,000 at least.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use socketio_adapter_redis::{RedisAdapter, RedisConfig};
use socketio_server::{Adapter, AdapterStatus, Listener, Server, Socket};
use socketio_testkit::Redis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

const NODES: usize = 3;
/// The connections stay silent for longer than this runs.
const PING_INTERVAL: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(30);
/// What a browser sends: other nodes are told all of it when sockets are fetched.
const HEADERS: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Cookie: session=4fb1b5a7c9d94d1b8a6e2f0c3d5e7a91\r\n";

#[derive(Parser, Clone)]
struct Flags {
    /// A Redis that is there already.
    #[arg(long)]
    url: Option<String>,
    /// Sockets of each node.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// How often all sockets are fetched, one time after the other.
    #[arg(long, default_value_t = 1_000)]
    fetches: usize,
    /// Joins per second on all nodes together, and as many leaves.
    #[arg(long, default_value_t = 10_000)]
    joins: usize,
    /// How long the sockets join and leave.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rooms that each socket is in at a time.
    #[arg(long, default_value_t = 10)]
    memberships: usize,
}

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let flags = Flags::parse();
    let own = flags.url.is_none().then(Redis::start);
    let url = flags.url.clone().or_else(|| own.as_ref().map(Redis::url));
    let url = url.unwrap_or_default();
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Node::start(&url, flags.sockets).await?);
    }
    until("all nodes know each other", || {
        nodes.iter().all(|node| node.io.node_count() == NODES)
    })
    .await?;
    println!("{NODES} nodes with {} sockets each", flags.sockets);

    fetch(&nodes[0].io, &flags).await?;
    println!("traffic of each node; what comes in includes what it sent itself:");
    let idle = [0; NODES];
    measure("nothing happens", &nodes, &flags, async || Ok(idle)).await?;
    for (pattern, rooms) in [
        ("joins of 100 rooms", Some(100)),
        ("joins of 10,000 rooms", Some(10_000)),
        ("joins of a new room each", None),
    ] {
        let churn = async || churn(&nodes, &flags, rooms).await;
        measure(pattern, &nodes, &flags, churn).await?;
        converge(&nodes).await?;
    }
    Ok(())
}

struct Node {
    io: Server,
    adapter: Arc<RedisAdapter>,
    /// Held open.
    _clients: Vec<TcpStream>,
}

impl Node {
    async fn start(url: &str, sockets: usize) -> Result<Self, AnyError> {
        let adapter = RedisAdapter::new(RedisConfig::new(url))?;
        let io = Server::builder()
            .adapter(Arc::clone(&adapter) as _)
            .ping_interval(PING_INTERVAL)
            .build();
        io.join_cluster().await?;
        let listener = Listener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(listener.serve(io.service()));
        let mut clients = Vec::new();
        for _ in 0..sockets {
            clients.push(connect(&address).await?);
        }
        until("the adapter is up", || adapter.status().up).await?;
        Ok(Self {
            io,
            adapter,
            _clients: clients,
        })
    }
}

/// A WebSocket client in the main namespace.
async fn connect(address: &str) -> Result<TcpStream, AnyError> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\n{HEADERS}\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    // A masked text frame, "40": connect to the main namespace.
    stream.write_all(b"\x81\x82\0\0\0\x0040").await?;
    while !text(&mut stream).await?.starts_with("40") {}
    Ok(stream)
}

/// The next frame; those before the first event are short.
async fn text(stream: &mut TcpStream) -> Result<String, AnyError> {
    let _opcode = stream.read_u8().await?;
    let length = match stream.read_u8().await? {
        126 => usize::from(stream.read_u16().await?),
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text)?)
}

/// Fetches all sockets again and again.
async fn fetch(io: &Server, flags: &Flags) -> Result<(), AnyError> {
    let warm_up = flags.fetches.div_ceil(10);
    let mut took = Vec::new();
    for _ in 0..warm_up + flags.fetches {
        let started = Instant::now();
        let sockets = io.fetch_sockets().await?;
        took.push(started.elapsed());
        if sockets.len() != NODES * flags.sockets {
            return Err(format!("{} sockets were found", sockets.len()).into());
        }
    }
    let took = &mut took[warm_up..];
    took.sort_unstable();
    let quantile = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "fetch_sockets: p50 {:.2?}, p90 {:.2?}, p99 {:.2?}, longest {:.2?}",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(1.0)
    );
    Ok(())
}

/// Joins of each node.
type Joins = [usize; NODES];

/// What the adapters carry while `work` goes on.
async fn measure(
    what: &str,
    nodes: &[Node],
    flags: &Flags,
    work: impl AsyncFn() -> Result<Joins, AnyError>,
) -> Result<(), AnyError> {
    let status = || -> Vec<AdapterStatus> { nodes.iter().map(|n| n.adapter.status()).collect() };
    let (before, started) = (status(), Instant::now());
    let joins = work().await?;
    // What was gathered last is on its way too, and an idle time is as long as a busy one.
    let rest = Duration::from_secs(flags.seconds).saturating_sub(started.elapsed());
    tokio::time::sleep(rest + Duration::from_millis(200)).await;
    let (after, seconds) = (status(), started.elapsed().as_secs_f64());
    println!("{what}:");
    for (node, joins) in joins.iter().enumerate() {
        let (before, after) = (&before[node], &after[node]);
        let rate = |before: u64, after: u64| (after - before) as f64 / seconds;
        println!(
            "  {:.0} joins/s: out {:.1} messages/s, {:.1} kB/s; in {:.1} messages/s, {:.1} kB/s",
            *joins as f64 / seconds,
            rate(before.messages_out, after.messages_out),
            rate(before.bytes_out, after.bytes_out) / 1e3,
            rate(before.messages_in, after.messages_in),
            rate(before.bytes_in, after.bytes_in) / 1e3,
        );
    }
    Ok(())
}

/// Sockets of all nodes join one of so many rooms, or a new one each time, and leave their oldest.
async fn churn(nodes: &[Node], flags: &Flags, rooms: Option<usize>) -> Result<Joins, AnyError> {
    let mut tasks = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        let (sockets, flags) = (node.io.sockets(), flags.clone());
        tasks.spawn(async move {
            (
                number,
                join_and_leave(number, &sockets, &flags, rooms).await,
            )
        });
    }
    let mut joins = [0; NODES];
    while let Some(done) = tasks.join_next().await {
        let (number, made) = done?;
        joins[number] = made;
    }
    Ok(joins)
}

async fn join_and_leave(
    node: usize,
    sockets: &[Socket],
    flags: &Flags,
    rooms: Option<usize>,
) -> usize {
    // As if by chance, so that sockets do not come back to the rooms they are in.
    let name = |turn: usize| match rooms {
        Some(rooms) => {
            let number = (turn * NODES + node).wrapping_mul(0x9e37_79b9) >> 12;
            format!("room-{}", number % rooms)
        }
        None => format!("room-of-node-{node}-{turn}"),
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    let end = Duration::from_secs(flags.seconds);
    let (mut made, kept) = (0, sockets.len() * flags.memberships);
    while started.elapsed() < end {
        ticks.tick().await;
        let due = started.elapsed().as_secs_f64() * flags.joins as f64 / NODES as f64;
        while made < due as usize {
            let socket = &sockets[made % sockets.len()];
            socket.join(name(made));
            if let Some(oldest) = made.checked_sub(kept) {
                socket.leave(name(oldest));
            }
            made += 1;
        }
    }
    made
}

/// Waits until all nodes agree on all rooms, and leaves them.
async fn converge(nodes: &[Node]) -> Result<(), AnyError> {
    let started = Instant::now();
    let rooms = agreement(nodes, |_| true).await?;
    println!(
        "  all agree on {rooms} rooms {:.0?} later",
        started.elapsed()
    );
    for node in nodes {
        for socket in node.io.sockets() {
            for room in socket.rooms() {
                if room.as_str() != socket.id().as_str() {
                    socket.leave(room);
                }
            }
        }
    }
    // So that news of it is no part of what is measured next.
    agreement(nodes, |rooms| rooms == 0).await?;
    Ok(())
}

/// Waits until all nodes know the same rooms, so many as are wanted. Says how many.
async fn agreement(nodes: &[Node], wanted: impl Fn(usize) -> bool) -> Result<usize, AnyError> {
    let started = Instant::now();
    loop {
        let mut lists = Vec::new();
        for node in nodes {
            lists.push(node.io.rooms().await);
        }
        let all = |list: &socketio_server::RoomList| list.is_complete() && *list == lists[0];
        let rooms = lists[0].rooms.len();
        if wanted(rooms) && lists.iter().all(all) {
            return Ok(rooms);
        }
        if started.elapsed() > PATIENCE {
            return Err("the nodes do not agree on the rooms".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) -> Result<(), AnyError> {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > PATIENCE {
            return Err(format!("waited in vain until {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
