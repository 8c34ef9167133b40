//! What traces cost, in instructions: a server and its clients in one thread, a fixed number of events.
//!
//! `bench-traces MODE SCENARIO COUNT`, with the mode `none` (no subscriber), `log` (one that logs at INFO), or a ratio of
//! sampling (feature `traces`; spans are thrown away when they end), and the scenario `echo` (an acknowledged event) or
//! `broadcast` (one event to 100 clients). Run it twice under `valgrind --tool=callgrind` with different counts: the
//! difference is what so many events cost, clients included; `traces.sh` does.

use std::error::Error;
use std::net::SocketAddr;

use socketio_server::extract::{Ack, Data};
use socketio_server::{Listener, Server, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

const CLIENTS: usize = 100;
const BATCH: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, scenario, count] = arguments.as_slice() else {
        return Err("MODE SCENARIO COUNT are wanted".into());
    };
    let count: usize = count.parse()?;
    subscribe(mode)?;
    let io = Server::builder().build();
    io.on_connect(async |socket: Socket| {
        socket.on("echo", async |Data::<u32>(data), ack: Ack| {
            let _ = ack.send(data);
        });
        socket.on("broadcast", async |socket: Socket, Data::<u32>(data)| {
            let _ = socket.namespace().emit("message", data);
        });
    });
    let listener = Listener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(listener.serve(io.service()));
    match scenario.as_str() {
        "echo" => {
            let mut client = connect(address).await?;
            let batch = frame(r#"427["echo",12345678]"#).repeat(BATCH);
            // A frame of the server has a head of two bytes.
            let mut answers = vec![0; (2 + "437[12345678]".len()) * BATCH];
            for _ in 0..count / BATCH {
                client.write_all(&batch).await?;
                client.read_exact(&mut answers).await?;
            }
        }
        "broadcast" => {
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(connect(address).await?);
            }
            let ask = frame(r#"42["broadcast",12345678]"#);
            let mut heard = vec![0; 2 + r#"42["message",12345678]"#.len()];
            for _ in 0..count {
                clients[0].write_all(&ask).await?;
                for client in &mut clients {
                    client.read_exact(&mut heard).await?;
                }
            }
        }
        _ => return Err("the scenario is echo or broadcast".into()),
    }
    Ok(())
}

fn subscribe(mode: &str) -> Result<(), Box<dyn Error>> {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(LevelFilter::INFO);
    match mode {
        "none" => {}
        "log" => tracing_subscriber::registry().with(log).init(),
        #[cfg(feature = "traces")]
        ratio => {
            use opentelemetry::trace::TracerProvider as _;
            use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
            let ratio = Sampler::TraceIdRatioBased(ratio.parse()?);
            let provider = SdkTracerProvider::builder()
                .with_sampler(Sampler::ParentBased(Box::new(ratio)))
                .with_span_processor(discard::Discard)
                .build();
            let ours = tracing_subscriber::filter::Targets::new();
            let ours = ours.with_target("socketio_trace", LevelFilter::TRACE);
            let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
            let traces = traces.with_filter(ours);
            tracing_subscriber::registry().with(log).with(traces).init();
        }
        #[cfg(not(feature = "traces"))]
        _ => return Err("built without the feature traces".into()),
    }
    Ok(())
}

#[cfg(feature = "traces")]
mod discard {
    use std::time::Duration;

    use opentelemetry::Context;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

    /// What becomes of the spans is the exporter's cost.
    #[derive(Debug)]
    pub(crate) struct Discard;

    impl SpanProcessor for Discard {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, _: SpanData) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }
}

/// A client of the main namespace.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    skip(&mut stream).await?;
    stream.write_all(&frame("40")).await?;
    skip(&mut stream).await?;
    Ok(stream)
}

/// Reads over one short frame.
async fn skip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_u8().await?;
    let len = match stream.read_u8().await? {
        126 => stream.read_u16().await?,
        len => len.into(),
    };
    stream.read_exact(&mut vec![0; len.into()]).await?;
    Ok(())
}

/// A short text frame of a client, masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}
