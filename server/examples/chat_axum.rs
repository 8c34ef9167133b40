//! A chat with rooms, beside the routes of an axum application.
//!
//! `cargo run -p socketio-server --example chat_axum`, then connect any Socket.IO client to
//! `http://localhost:3000` and emit `join` with a name and a room, then `say` with a text.
//! `GET /rooms/<room>` shows who is there.

use axum::Router;
use axum::extract::{Path, State as AppState};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use socketio_server::extract::{Data, Extension};
use socketio_server::{DisconnectReason, Reply, Server, Socket};

/// Who a socket is, once it has joined a room.
#[derive(Clone)]
struct Member {
    name: String,
    room: String,
}

#[derive(Deserialize)]
struct Join {
    name: String,
    room: String,
}

#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: &'a str,
}

/// `emit("join", { name, room }, (present) => …)`: the answer is how many are there.
async fn join(socket: Socket, Data(wanted): Data<Join>) -> Reply<usize> {
    if let Some(left) = socket.extensions().remove::<Member>() {
        socket.leave(&left.room);
    }
    socket.join(&wanted.room);
    // A socket that is gone or too slow is no reason to stop.
    let _ = socket.to(&wanted.room).emit("joined", &wanted.name);
    let present = socket.namespace().room_members(&wanted.room).len();
    socket.extensions().insert(Member {
        name: wanted.name,
        room: wanted.room,
    });
    Reply(present)
}

/// `emit("say", text)`: to everybody in the room. Not called before `join`, as there is no `Member`.
async fn say(socket: Socket, Extension(member): Extension<Member>, Data(text): Data<String>) {
    let said = Said {
        from: &member.name,
        text: &text,
    };
    let _ = socket.within(&member.room).emit("said", said);
}

async fn left(socket: Socket, member: Option<Extension<Member>>, reason: DisconnectReason) {
    if let Some(Extension(member)) = member {
        let news = (&member.name, reason.as_str());
        let _ = socket.to(&member.room).emit("left", news);
    }
}

/// An ordinary route that asks the server.
async fn present(AppState(io): AppState<Server>, Path(room): Path<String>) -> String {
    let mut names = Vec::new();
    for id in io.room_members(&room) {
        let socket = io.socket(&id);
        let member = socket.and_then(|socket| socket.extensions().get::<Member>());
        names.extend(member.map(|member| member.name));
    }
    names.join("\n")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().build();
    io.on_connect(async |socket: Socket| {
        let _ = socket.emit("hello", socket.id());
    });
    // Handlers of the namespace serve all its sockets.
    io.on("join", join);
    io.on("say", say);
    io.on_disconnect(left);

    let app = Router::new()
        .route(
            "/",
            get(|| async { "A Socket.IO server lives at /socket.io/" }),
        )
        .route("/rooms/{room}", get(present))
        .with_state(io.clone())
        .layer(io.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
