//! The peer that the side-by-side benchmark measures us against: the same three events on socketioxide.
//!
//! The first argument, if there is one, is the URL of a Redis server that joins this server with others.

use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide_redis::drivers::redis::redis_client;
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = SocketIo::builder().max_buffer_size(4096);
    let Some(url) = std::env::args().nth(1) else {
        let (layer, io) = builder.build_layer();
        io.ns("/", on_connect);
        return serve(layer).await;
    };
    let client = redis_client::Client::open(format!("{url}?protocol=resp3"))?;
    let adapter = RedisAdapterCtr::new_with_redis(&client).await?;
    let (layer, io) = builder.with_adapter::<RedisAdapter<_>>(adapter).build_layer();
    io.ns("/", on_connect).await?;
    serve(layer).await
}

async fn on_connect<A: Adapter>(socket: SocketRef<A>) {
    socket.on("echo", async |Data::<Value>(data), ack: AckSender<A>| {
        ack.send(&data).ok();
    });
    socket.on("broadcast", async |io: SocketIo<A>, Data::<Value>(data)| {
        io.emit("message", &data).await.ok();
    });
}

async fn serve<A: Adapter>(layer: socketioxide::layer::SocketIoLayer<A>) -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}
