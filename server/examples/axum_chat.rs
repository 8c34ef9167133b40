//! A chat beside the routes of an axum application.
//!
//! The page uses the official client: `npm install socket.io-client`, then `cargo run --example axum_chat` in the same
//! folder, and open <http://localhost:3000> in two tabs.

use std::net::SocketAddr;

use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use socketio_server::extract::Data;
use socketio_server::{ClientFiles, Options, Server, Socket};

/// What people say, and who.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Line {
    name: String,
    text: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut options = Options::default();
    match ClientFiles::load("node_modules/socket.io-client/dist") {
        Ok(files) => options.client_files = Some(files),
        Err(error) => eprintln!("{error}: the page will not work, other clients will"),
    }
    let io = Server::with_options(options);
    io.on_connect(async |socket: Socket| {
        socket.on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
        });
        socket.on(
            "say",
            async |socket: Socket, Data((room, line)): Data<(String, Line)>| {
                // To everybody in the room but the one who said it.
                let _ = socket.to(room).emit("line", &line);
            },
        );
    });

    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/announce", post(announce))
        .with_state(io.clone())
        // Outermost: requests under `/socket.io/` never reach the routes.
        .layer(io.layer());

    let address = SocketAddr::from(([127, 0, 0, 1], 3000));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let stop = async move {
        let _ = tokio::signal::ctrl_c().await;
        // Clients see the connection end and come back when the server does.
        io.close().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await
}

/// The rest of the application can speak to the sockets, too:
/// `curl -d '{"name":"ops","text":"hello"}' -H 'content-type: application/json' localhost:3000/announce`
async fn announce(State(io): State<Server>, Json(line): Json<Line>) -> &'static str {
    match io.emit("line", &line) {
        Ok(()) => "sent\n",
        Err(_) => "not sent\n",
    }
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Chat</title>
<ul id="lines"></ul>
<form id="form"><input id="text" placeholder="Say something" autofocus autocomplete="off"></form>
<script src="/socket.io/socket.io.js"></script>
<script>
  const socket = io(), room = "lobby", name = "guest-" + Math.random().toString(36).slice(2, 6);
  const show = (line) => {
    const item = document.createElement("li");
    item.textContent = line.name + ": " + line.text;
    lines.append(item);
  };
  // Rooms belong to the connection, so they are joined again after each reconnect.
  socket.on("connect", () => socket.emit("join", room));
  socket.on("line", show);
  form.onsubmit = (event) => {
    event.preventDefault();
    const line = { name, text: text.value };
    socket.emit("say", room, line);
    show(line);
    text.value = "";
  };
</script>
"#;
