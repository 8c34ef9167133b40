//! Load for the side-by-side benchmark: one thread, one epoll loop, WebSocket clients of any Socket.IO server.
//!
//! Prints one line of JSON: messages per second, the server's CPU time per message, latency percentiles in µs, and
//! the server's resident memory per client. Clients bind to several loopback addresses, so that 18 000 of them find
//! ports.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Scenario {
    /// Each client keeps `--outstanding` acknowledged events under way.
    Echo,
    /// One publisher keeps `--outstanding` broadcasts to all clients under way.
    Broadcast,
    /// Connected clients that say nothing.
    Idle,
}

#[derive(Debug, Parser)]
struct Args {
    /// Servers; the clients are spread over them in turns. The first client, which publishes, is on the first.
    #[arg(long, required = true)]
    target: Vec<SocketAddr>,
    #[arg(long)]
    scenario: Scenario,
    /// Processes whose CPU time and memory are read.
    #[arg(long, required = true)]
    server_pid: Vec<u32>,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    #[arg(long, default_value_t = 1)]
    outstanding: usize,
    /// Payload string length in bytes.
    #[arg(long, default_value_t = 64)]
    size: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
}

struct Client {
    stream: TcpStream,
    /// Bytes of an incomplete frame or HTTP head.
    rest: Vec<u8>,
    upgraded: bool,
    joined: bool,
    sent: VecDeque<Instant>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let before = sum(&args.server_pid, rss_bytes)?;
    let mut load = Load::new(&args)?;
    load.connect_all()?;
    let settle = Instant::now() + Duration::from_millis(if args.scenario == Scenario::Idle { 3000 } else { 200 });
    while Instant::now() < settle {
        load.turn(Duration::from_millis(20))?;
    }
    let after = sum(&args.server_pid, rss_bytes)?;
    let rss_per_client = (after - before).max(0.0) / args.clients as f64;
    let mut report = serde_json::json!({
        "scenario": format!("{:?}", args.scenario).to_lowercase(), "clients": args.clients,
        "outstanding": args.outstanding, "rss_per_client": rss_per_client.round(),
    });
    if args.scenario != Scenario::Idle {
        load.start();
        let warm = Instant::now() + Duration::from_secs_f64(args.warmup);
        while Instant::now() < warm {
            load.turn(Duration::from_millis(100))?;
        }
        load.latency.reset();
        load.messages = 0;
        let (cpu, own) = (sum(&args.server_pid, cpu_seconds)?, cpu_seconds(std::process::id())?);
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(args.seconds);
        while Instant::now() < end {
            load.turn(Duration::from_millis(100))?;
        }
        let took = start.elapsed().as_secs_f64();
        let messages = load.messages as f64;
        report["messages_per_second"] = (messages / took).round().into();
        report["cpu_us_per_message"] = round(1e6 * (sum(&args.server_pid, cpu_seconds)? - cpu) / messages).into();
        report["generator_load"] = round((cpu_seconds(std::process::id())? - own) / took).into();
        report["p50_us"] = load.latency.value_at_quantile(0.5).into();
        report["p99_us"] = load.latency.value_at_quantile(0.99).into();
    }
    println!("{report}");
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    scenario: Scenario,
    targets: Vec<SocketAddr>,
    wanted: usize,
    outstanding: usize,
    joined: usize,
    echo: Vec<u8>,
    broadcast: Vec<u8>,
    running: bool,
    /// Broadcasts under way: when they were sent, and how many clients have them.
    under_way: VecDeque<(Instant, usize)>,
    /// How many broadcasts each client has received, and the number of the first one in `under_way`.
    received: Vec<u64>,
    first: u64,
    buffer: Vec<u8>,
    latency: Histogram<u64>,
    messages: u64,
}

impl Load {
    fn new(args: &Args) -> io::Result<Self> {
        let text = "x".repeat(args.size);
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::with_capacity(args.clients),
            scenario: args.scenario,
            targets: args.target.clone(),
            wanted: args.clients,
            outstanding: args.outstanding,
            joined: 0,
            echo: masked(format!(r#"421["echo","{text}"]"#).as_bytes()),
            broadcast: masked(format!(r#"42["broadcast","{text}"]"#).as_bytes()),
            running: false,
            under_way: VecDeque::new(),
            received: vec![0; args.clients],
            first: 0,
            buffer: vec![0; 256 * 1024],
            latency: Histogram::new_with_max(60_000_000, 3).map_err(io::Error::other)?,
            messages: 0,
        })
    }

    fn connect_all(&mut self) -> io::Result<()> {
        while self.joined < self.wanted {
            // A few at a time: a listen queue is short.
            while self.clients.len() < self.wanted && self.clients.len() < self.joined + 64 {
                self.connect()?;
            }
            self.turn(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        let index = self.clients.len();
        let target = self.targets[index % self.targets.len()];
        let source = Ipv4Addr::new(127, 0, 0, 1 + (index / 8_000) as u8);
        let socket = std::net::TcpStream::from(bound_socket(source, target)?);
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(socket);
        let head = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            target
        );
        stream.write_all(head.as_bytes())?;
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        let sent = VecDeque::new();
        self.clients.push(Client { stream, rest: Vec::new(), upgraded: false, joined: false, sent });
        Ok(())
    }

    fn start(&mut self) {
        self.running = true;
        let now = Instant::now();
        for _ in 0..self.outstanding {
            match self.scenario {
                Scenario::Echo => (0..self.clients.len()).for_each(|index| self.send_echo(index, now)),
                Scenario::Broadcast => self.send_broadcast(now),
                Scenario::Idle => {}
            }
        }
    }

    fn send_echo(&mut self, index: usize, now: Instant) {
        let client = &mut self.clients[index];
        client.sent.push_back(now);
        client.stream.write_all(&self.echo).expect("the server reads what it is sent");
    }

    fn send_broadcast(&mut self, now: Instant) {
        self.under_way.push_back((now, 0));
        self.clients[0].stream.write_all(&self.broadcast).expect("the server reads what it is sent");
    }

    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        for event in &events {
            self.read(event.token().0, &mut buffer)?;
        }
        self.buffer = buffer;
        self.events = events;
        Ok(())
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let rest = std::mem::take(&mut self.clients[index].rest);
            buffer[..rest.len()].copy_from_slice(&rest);
            let space = buffer.len() - rest.len();
            let n = match self.clients[index].stream.read(&mut buffer[rest.len()..]) {
                Ok(0) => return Err(io::Error::other(format!("the server closed client {index}"))),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.clients[index].rest = rest;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let filled = rest.len() + n;
            let mut at = 0;
            if !self.clients[index].upgraded {
                match buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                    Some(end) if buffer.starts_with(b"HTTP/1.1 101") => {
                        at = end + 4;
                        self.clients[index].upgraded = true;
                    }
                    Some(_) => return Err(io::Error::other(String::from_utf8_lossy(&buffer[..filled]).into_owned())),
                    None => at = 0,
                }
                if !self.clients[index].upgraded {
                    self.clients[index].rest = buffer[..filled].to_vec();
                    continue;
                }
            }
            let now = Instant::now();
            while let Some((start, end)) = frame(&buffer[at..filled]) {
                let (start, end) = (at + start, at + end);
                self.message(index, &buffer[start..end], now)?;
                at = end;
            }
            self.clients[index].rest = buffer[at..filled].to_vec();
            if n < space {
                // Edge-triggered, but a short read says that the socket is empty.
                return Ok(());
            }
        }
    }

    fn message(&mut self, index: usize, text: &[u8], now: Instant) -> io::Result<()> {
        match text {
            [b'0', ..] => self.clients[index].stream.write_all(&masked(b"40")),
            [b'2', ..] => self.clients[index].stream.write_all(&masked(b"3")),
            [b'4', b'0', ..] => {
                if !std::mem::replace(&mut self.clients[index].joined, true) {
                    self.joined += 1;
                }
                Ok(())
            }
            [b'4', b'3', ..] => {
                if let Some(sent) = self.clients[index].sent.pop_front() {
                    self.record(now - sent);
                }
                if self.running {
                    self.send_echo(index, now);
                }
                Ok(())
            }
            [b'4', b'2', ..] => {
                self.delivered(index, now);
                Ok(())
            }
            other => Err(io::Error::other(format!("unexpected {:?}", String::from_utf8_lossy(other)))),
        }
    }

    fn record(&mut self, took: Duration) {
        self.messages += 1;
        self.latency.saturating_record(took.as_micros() as u64);
    }

    fn delivered(&mut self, index: usize, now: Instant) {
        let position = (self.received[index] - self.first) as usize;
        self.received[index] += 1;
        let (sent, count) = &mut self.under_way[position];
        *count += 1;
        let sent = *sent;
        self.record(now - sent);
        while self.under_way.front().is_some_and(|(_, count)| *count == self.wanted) {
            self.under_way.pop_front();
            self.first += 1;
            self.send_broadcast(now);
        }
    }
}

/// Payload range of the first complete frame in `bytes`.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, len) = match *bytes.get(1)? & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        len => (2, u64::from(len)),
    };
    let end = head + len as usize;
    (bytes.len() >= end).then_some((head, end))
}

/// A text frame under an all-zero mask, which is valid and costs the generator nothing.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81];
    match text.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text);
    out
}

fn bound_socket(source: Ipv4Addr, target: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    // Ports of the last run are still in TIME_WAIT: there the server had closed first.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    socket.connect(&target.into())?;
    Ok(socket)
}

/// User and system time of a process.
fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

fn sum(pids: &[u32], read: impl Fn(u32) -> io::Result<f64>) -> io::Result<f64> {
    pids.iter().try_fold(0.0, |sum, pid| Ok(sum + read(*pid)?))
}

fn rss_bytes(pid: u32) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0.0);
    Ok(kib * 1024.0)
}
