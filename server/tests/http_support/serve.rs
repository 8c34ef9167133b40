//! A running server for the tests of HTTP.

use std::net::SocketAddr;

use socketio_server::extract::Data;
use socketio_server::{Limits, Listener, Options, Server, Socket};
use tokio::task::JoinHandle;

use super::{Answer, Raw};

/// A server on a port of its own; ends with the test.
pub struct Served {
    pub address: SocketAddr,
    pub server: Server,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server with the changed default options. It answers the event `say` by emitting `said` with the same text,
/// and passes `shout` on to all others as `shouted`.
pub async fn serve(change: impl FnOnce(&mut Options)) -> Served {
    serve_within(Limits::default(), change).await
}

pub async fn serve_within(limits: Limits, change: impl FnOnce(&mut Options)) -> Served {
    let listener = Listener::bind("127.0.0.1:0")
        .await
        .expect("bind")
        .limits(limits);
    let address = listener.local_addr().expect("an address");
    let server = server(change);
    let task = tokio::spawn(listener.serve(server.service()));
    Served {
        address,
        server,
        task,
    }
}

/// The server without a listener.
pub fn server(change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options::default();
    change(&mut options);
    let server = Server::with_options(options);
    server.on_connect(async |socket: Socket| {
        socket.on("say", async |socket: Socket, Data(text): Data<String>| {
            let _ = socket.emit("said", &text);
        });
        socket.on("shout", async |socket: Socket, Data(text): Data<String>| {
            let _ = socket.broadcast().emit("shouted", &text);
        });
    });
    server
}

impl Served {
    pub async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, target: &str) -> Answer {
        self.connect().await.get(target).await
    }

    /// Opens a polling session and returns its id.
    pub async fn open(&self) -> String {
        self.open_with("EIO=4").await
    }

    pub async fn open_with(&self, query: &str) -> String {
        let answer = self
            .get(&format!("/socket.io/?{query}&transport=polling"))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        sid(answer.text())
    }

    /// Asks for a WebSocket; the connection and the answer to its handshake.
    pub async fn websocket(&self, query: &str, headers: &str) -> (Raw, Answer) {
        let mut raw = self.connect().await;
        raw.send(&websocket_request(query, headers)).await;
        let answer = raw.answer().await;
        (raw, answer)
    }
}

pub fn websocket_request(query: &str, headers: &str) -> String {
    format!(
        "GET /socket.io/?{query} HTTP/1.1\nHost: test\nConnection: Upgrade\nUpgrade: websocket\n\
         Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n{headers}\n"
    )
}

/// The session id in an open packet, wherever in `text` it stands.
pub fn sid(text: &str) -> String {
    let (_, rest) = text
        .split_once("\"sid\":\"")
        .unwrap_or_else(|| panic!("no sid in {text}"));
    rest.split('"').next().expect("an end").to_owned()
}

/// The target of requests that belong to the session `sid`.
pub fn target(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}
