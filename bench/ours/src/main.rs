//! Our side of the side-by-side benchmark: the same three events as the peers.

use serde_json::Value;
use socketio_server::extract::{Ack, Data};
use socketio_server::{Server, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().build();
    io.of("/").on_connect(async |socket: Socket| {
        socket.on("echo", async |Data::<Value>(data), ack: Ack| {
            let _ = ack.send(data);
        });
        let server = socket.namespace().clone();
        socket.on("broadcast", async move |Data::<Value>(data)| {
            let _ = server.emit("message", data);
        });
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().layer(io.layer())).await?;
    Ok(())
}
