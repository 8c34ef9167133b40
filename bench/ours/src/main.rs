//! Our side of the side-by-side benchmark: the same three events as the peers.
//!
//! `bench-ours [--otlp-endpoint URL [--sample RATIO]] [BROKER]`: the collector that spans are sent to over gRPC, the part of
//! all traces that is sent (all), and the broker that joins this server with others, `redis://…` or `amqp://…`. Without
//! a collector nobody wants spans, as in a stock node by default.

use std::sync::Arc;

use serde_json::Value;
use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig};
use socketio_adapter_redis::{RedisAdapter, RedisConfig};
use socketio_server::extract::{Ack, Data};
use socketio_otlp::{Export, OtlpConfig, Protocol, Traces};
use socketio_server::{Adapter, Server, Socket};
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Server::builder();
    let mut traces = OtlpConfig::new("bench-ours", "");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--otlp-endpoint" => traces.endpoint = arguments.next().ok_or("--otlp-endpoint URL")?,
            "--sample" => traces.sample_ratio = arguments.next().ok_or("--sample RATIO")?.parse()?,
            url => builder = builder.adapter(adapter(url)?),
        }
    }
    // Kept until the end: it is what sends.
    let _export = if traces.endpoint.is_empty() { None } else { Some(export(traces)?) };
    let io = builder.build();
    io.of("/").on_connect(async |socket: Socket| {
        socket.on("echo", async |Data::<Value>(data), ack: Ack| {
            let _ = ack.send(data);
        });
        let server = socket.namespace().clone();
        socket.on("broadcast", async move |Data::<Value>(data)| {
            let _ = server.emit("message", data);
        });
    });
    io.join_cluster().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().layer(io.layer())).await?;
    Ok(())
}

fn export(mut config: OtlpConfig) -> Result<Export, Box<dyn std::error::Error>> {
    config.protocol = Protocol::Grpc;
    let export = Traces::new(&config)?.start(&Handle::current())?;
    tracing_subscriber::registry().with(export.layer()).init();
    Ok(export)
}

fn adapter(url: &str) -> Result<Arc<dyn Adapter>, Box<dyn std::error::Error>> {
    Ok(if url.starts_with("amqp") {
        AmqpAdapter::new(AmqpConfig::new(url))?
    } else {
        RedisAdapter::new(RedisConfig::new(url))?
    })
}
