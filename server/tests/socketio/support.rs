//! A server for one test, and a client that does nothing by itself but answer pings.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::engine::Revision;
use socketio_core::frame::Frame;
use socketio_core::ids::{AckId, SocketId};
use socketio_core::packet::{DecodeLimits, Packet, PacketDecoder, ParserKind};
use socketio_core::websocket::{self, FrameDecoder, OpCode, Role, WsEvent};
use socketio_server::{Listener, Payload, Server, ServerBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Long enough for a loaded machine; whatever waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until `condition` holds, which has to be asked for.
pub(crate) async fn comes(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A server that ends with the test.
pub(crate) struct Served {
    pub(crate) io: Server,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn serve(builder: ServerBuilder) -> Served {
    let io = builder.build();
    let listener = Listener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(listener.serve(io.service()));
    Served { io, address, task }
}

impl Served {
    /// A connection that has joined no namespace.
    pub(crate) async fn open(&self) -> Client {
        Client::open(self.address, "EIO=4").await
    }

    /// A client in the main namespace.
    pub(crate) async fn client(&self) -> Client {
        self.client_of("/").await
    }

    pub(crate) async fn client_of(&self, nsp: &str) -> Client {
        let mut client = self.open().await;
        client.join(nsp).await;
        client
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    frames: FrameDecoder,
    packets: PacketDecoder,
    received: VecDeque<WsEvent>,
    /// The id in the namespace that was joined last.
    pub(crate) id: SocketId,
    /// The text of the open packet.
    pub(crate) open: String,
    pub(crate) nsp: String,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Self {
        Self::open_with(address, query, "X-Test: yes\r\n").await
    }

    /// `headers` are whole lines.
    pub(crate) async fn open_with(address: SocketAddr, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let request = format!(
            "GET /socket.io/?{query}&transport=websocket HTTP/1.1\r\nHost: {address}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("the handshake", stream.read_u8()).await.expect("read"));
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        let revision = if query.contains("EIO=3") {
            Revision::V3
        } else {
            Revision::V4
        };
        let mut client = Self {
            stream,
            frames: FrameDecoder::new(Role::Client, 1 << 26),
            packets: PacketDecoder::new(ParserKind::Json, revision, DecodeLimits::default()),
            received: VecDeque::new(),
            id: SocketId::from(""),
            open: String::new(),
            nsp: "/".to_owned(),
        };
        client.open = client.text().await.expect("an open packet");
        assert!(client.open.starts_with("0{"), "{}", client.open);
        client
    }

    /// Joins a namespace and takes its id.
    pub(crate) async fn join(&mut self, nsp: &str) {
        self.join_with(nsp, None).await;
        match self.packet().await {
            Packet::Connect { nsp: joined, auth } => {
                assert_eq!(joined, nsp);
                let auth: serde_json::Value =
                    serde_json::from_str(&auth.expect("a payload")).expect("JSON");
                self.id = auth["sid"].as_str().expect("a sid").into();
                self.nsp = nsp.to_owned();
            }
            other => panic!("not joined: {other:?}"),
        }
    }

    /// Asks for a namespace.
    pub(crate) async fn join_with(&mut self, nsp: &str, auth: Option<&str>) {
        self.send(&ParserKind::Json.encode_connect_request(nsp, auth))
            .await;
    }

    pub(crate) async fn leave(&mut self, nsp: &str) {
        self.send(&ParserKind::Json.encode_disconnect(nsp)).await;
    }

    pub(crate) async fn emit<T: Serialize>(&mut self, event: &str, data: T) {
        let frame = self.event(None, event, &data);
        self.send(&frame).await;
    }

    pub(crate) async fn ask<T: Serialize>(&mut self, ack: u64, event: &str, data: T) {
        let frame = self.event(Some(AckId(ack)), event, &data);
        self.send(&frame).await;
    }

    /// Sends an event that wants an answer, and takes that.
    pub(crate) async fn call<T: Serialize, R: DeserializeOwned>(
        &mut self,
        event: &str,
        data: T,
    ) -> R {
        self.ask(7, event, data).await;
        loop {
            if let Packet::Ack {
                id: AckId(7),
                payload,
                ..
            } = self.packet().await
            {
                return payload.deserialize_args(false).expect("the answer fits");
            }
        }
    }

    pub(crate) fn event<T: Serialize>(&self, ack: Option<AckId>, event: &str, data: &T) -> Frame {
        let payload = Payload::event(event, data).expect("data");
        ParserKind::Json.encode_event(&self.nsp, ack, &payload, Default::default())
    }

    pub(crate) async fn answer<T: Serialize>(&mut self, id: AckId, data: T) {
        let payload = Payload::args(&data).expect("data");
        let frame = ParserKind::Json.encode_ack(&self.nsp, id, &payload);
        self.send(&frame).await;
    }

    /// Sends a frame as a client does: masked.
    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.write(&masked(frame)).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.write(&websocket::frame(OpCode::Text, text.as_bytes(), Some(MASK)))
            .await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon("a write", self.stream.write_all(bytes))
            .await
            .expect("write");
    }

    /// The next packet.
    pub(crate) async fn packet(&mut self) -> Packet {
        self.try_packet().await.expect("the connection is open")
    }

    /// The next packet; `None` when the connection was closed.
    pub(crate) async fn try_packet(&mut self) -> Option<Packet> {
        loop {
            let packet = match self.message().await? {
                WsEvent::Text(text) if text == "2" => {
                    self.send_text("3").await;
                    continue;
                }
                WsEvent::Text(text) if text.starts_with('4') => {
                    self.packets.handle_text(text[1..].into())
                }
                WsEvent::Binary(bytes) => self.packets.handle_binary(bytes),
                WsEvent::Close(_) => return None,
                other => panic!("unexpected: {other:?}"),
            };
            if let Some(packet) = packet.expect("a valid packet") {
                return Some(packet);
            }
        }
    }

    /// The next event with its arguments.
    pub(crate) async fn next_event<T: DeserializeOwned>(&mut self) -> (String, T) {
        match self.packet().await {
            Packet::Event { nsp, payload, .. } => {
                assert_eq!(nsp, self.nsp.as_str());
                let name = payload.event_name().expect("a name").into_owned();
                (name, payload.deserialize_args(true).expect("the data fits"))
            }
            other => panic!("not an event: {other:?}"),
        }
    }

    /// The next event, which must have this name.
    pub(crate) async fn expect<T: DeserializeOwned>(&mut self, event: &str) -> T {
        let (name, data) = self.next_event().await;
        assert_eq!(name, event);
        data
    }

    /// The next event, which must ask for an answer.
    pub(crate) async fn expect_question<T: DeserializeOwned>(&mut self, event: &str) -> (AckId, T) {
        match self.packet().await {
            Packet::Event {
                payload,
                ack: Some(ack),
                ..
            } => {
                assert_eq!(payload.event_name().as_deref(), Some(event));
                (ack, payload.deserialize_args(true).expect("the data fits"))
            }
            other => panic!("not a question: {other:?}"),
        }
    }

    /// Nothing was sent up to here: a question to the server is answered next.
    pub(crate) async fn expect_silence(&mut self) {
        self.ask(999, "sync", ()).await;
        match self.packet().await {
            Packet::Ack { id: AckId(999), .. } => {}
            other => panic!("not silent: {other:?}"),
        }
    }

    pub(crate) async fn expect_connect_error(&mut self, nsp: &str) -> serde_json::Value {
        match self.packet().await {
            Packet::ConnectError { nsp: refused, data } => {
                assert_eq!(refused, nsp);
                serde_json::from_str(&data).expect("JSON")
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The server ends the connection.
    pub(crate) async fn expect_close(&mut self) {
        while let Some(packet) = self.try_packet().await {
            assert!(
                matches!(packet, Packet::Disconnect { .. }),
                "unexpected: {packet:?}"
            );
        }
    }

    pub(crate) async fn text(&mut self) -> Option<String> {
        match self.message().await? {
            WsEvent::Text(text) => Some(text.to_string()),
            other => panic!("not text: {other:?}"),
        }
    }

    async fn message(&mut self) -> Option<WsEvent> {
        loop {
            if let Some(event) = self.received.pop_front() {
                return Some(event);
            }
            let mut buffer = vec![0; 64 * 1024];
            let read = soon("a message", self.stream.read(&mut buffer))
                .await
                .unwrap_or(0);
            if read == 0 {
                return None;
            }
            let mut rest = &mut buffer[..read];
            while !rest.is_empty() {
                let decoded = self.frames.decode(rest).expect("valid frames");
                self.received.extend(decoded.event);
                rest = &mut rest[decoded.consumed..];
            }
        }
    }
}

const MASK: [u8; 4] = [7, 3, 5, 1];

/// The WebSocket frames of a client for one packet.
pub(crate) fn masked(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(text) = frame.text() {
        let frame: Bytes = websocket::frame(OpCode::Text, text.as_bytes(), Some(MASK));
        bytes.extend_from_slice(&frame);
    }
    for attachment in frame.attachments() {
        bytes.extend_from_slice(&websocket::frame(OpCode::Binary, attachment, Some(MASK)));
    }
    bytes
}
