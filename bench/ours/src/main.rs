//! Our side of the side-by-side benchmark: the same three events as the peers.
//!
//! The first argument, if there is one, is the URL of a broker that joins this server with others: `redis://…` or
//! `amqp://…`.

use std::sync::Arc;

use serde_json::Value;
use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig};
use socketio_adapter_redis::{RedisAdapter, RedisConfig};
use socketio_server::extract::{Ack, Data};
use socketio_server::{Adapter, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Server::builder();
    if let Some(url) = std::env::args().nth(1) {
        builder = builder.adapter(adapter(&url)?);
    }
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

fn adapter(url: &str) -> Result<Arc<dyn Adapter>, Box<dyn std::error::Error>> {
    Ok(if url.starts_with("amqp") {
        AmqpAdapter::new(AmqpConfig::new(url))?
    } else {
        RedisAdapter::new(RedisConfig::new(url))?
    })
}
