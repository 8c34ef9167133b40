//! `rust_socketio`'s asynchronous client, over each of its transports.
//!
//! What it cannot do is not asked of it: answer an acknowledgement, nest binary data in an object, or poll an answer
//! that reaches it in several pieces (it decodes each by itself), or binary data with the byte 0x1e (it splits there).

use std::sync::OnceLock;

use futures_util::FutureExt;
use interop_rust_client::{PATIENCE, Server};
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// A client and everything that reached it.
struct Peer {
    client: Client,
    inbox: UnboundedReceiver<(String, Payload)>,
    later: Vec<(String, Payload)>,
}

impl Peer {
    async fn open(transport: TransportType, nsp: &str, auth: Option<Value>) -> Self {
        let (sender, inbox) = unbounded_channel();
        let mut builder = ClientBuilder::new(server().url.as_str())
            .namespace(nsp)
            .transport_type(transport)
            .reconnect_delay(10, 50)
            .reconnect_on_disconnect(true);
        for event in [Event::Connect, Event::Close, Event::Error] {
            let (sender, name) = (sender.clone(), event.as_str().to_owned());
            builder = builder.on(event, move |payload, _| {
                // The receiver is gone once its test is over.
                let _ = sender.send((name.clone(), payload));
                async {}.boxed()
            });
        }
        builder = builder.on_any(move |event, payload, _| {
            let _ = sender.send((event.as_str().to_owned(), payload));
            async {}.boxed()
        });
        if let Some(auth) = auth {
            builder = builder.auth(auth);
        }
        let client = builder.connect().await.expect("the connection opens");
        Self { client, inbox, later: Vec::new() }
    }

    /// Connected, with the greeting of the server read.
    async fn connect(transport: TransportType, nsp: &str) -> Self {
        let mut peer = Self::open(transport, nsp, None).await;
        peer.next("auth").await;
        peer
    }

    /// The next event of that name.
    async fn next(&mut self, name: &str) -> Payload {
        if let Some(at) = self.later.iter().position(|(event, _)| event == name) {
            return self.later.remove(at).1;
        }
        loop {
            let next = timeout(PATIENCE, self.inbox.recv()).await;
            let (event, payload) = next.unwrap_or_else(|_| panic!("no {name} in time")).expect("the client lives");
            if event == name {
                return payload;
            }
            self.later.push((event, payload));
        }
    }

    async fn next_values(&mut self, name: &str) -> Vec<Value> {
        let Payload::Text(values) = self.next(name).await else { panic!("{name} is text") };
        values
    }

    async fn emit(&self, event: &str, arguments: Vec<Value>) {
        self.client.emit(event, Payload::Text(arguments)).await.expect("the event is sent");
    }

    /// Emits and gives the acknowledgement's arguments.
    async fn ask(&self, event: &str, arguments: Vec<Value>) -> Vec<Value> {
        let (sender, mut answer) = unbounded_channel();
        let callback = move |payload, _| {
            let _ = sender.send(payload);
            async {}.boxed()
        };
        self.client
            .emit_with_ack(event, Payload::Text(arguments), PATIENCE, callback)
            .await
            .expect("the event is sent");
        match timeout(PATIENCE, answer.recv()).await.expect("an answer in time") {
            Some(Payload::Text(values)) => match values.into_iter().next() {
                Some(Value::Array(arguments)) => arguments,
                other => panic!("an array of arguments, not {other:?}"),
            },
            other => panic!("an answer of text, not {other:?}"),
        }
    }

    async fn id(&self) -> String {
        self.ask("state", vec![]).await[0]["id"].as_str().expect("an id is text").to_owned()
    }
}

async fn connects_with_auth(transport: TransportType) {
    let auth = json!({"token": "secret", "name": "ü😀", "nested": [1, null]});
    let mut peer = Peer::open(transport, "/token", Some(auth.clone())).await;
    assert_eq!(peer.next_values("auth").await, [auth]);
    let state = peer.ask("state", vec![]).await;
    assert_eq!(state[0]["nsp"], "/token");
    peer.client.disconnect().await.expect("it leaves");
}

async fn is_refused_with_message_and_data(transport: TransportType) {
    for (nsp, parts) in [
        ("/deny", &["nope", "because"][..]),
        ("/token", &["not authorized", "missing"]),
        ("/unknown", &["Invalid namespace"]),
    ] {
        let mut peer = Peer::open(transport.clone(), nsp, None).await;
        let refusal = format!("{:?}", peer.next("error").await);
        for part in parts {
            assert!(refusal.contains(part), "{refusal}");
        }
        // A close by the client: it is not in any namespace it could leave.
        let _ = peer.client.disconnect().await;
    }
}

async fn joins_static_and_dynamic_namespaces(transport: TransportType) {
    for nsp in ["/", "/custom", "/dynamic-7"] {
        let peer = Peer::connect(transport.clone(), nsp).await;
        assert_eq!(peer.ask("state", vec![]).await[0]["nsp"], nsp);
        peer.client.disconnect().await.expect("it leaves");
    }
}

async fn carries_every_json_type_and_unicode(transport: TransportType) {
    let mut peer = Peer::connect(transport, "/").await;
    let values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(9_007_199_254_740_991_u64),
        json!(1.5),
        json!(-2.5e-7),
        json!(""),
        json!("quo\"te \\ / \u{8}\u{c}\n\r\t\u{0}\u{2028}"),
        json!([]),
        json!({}),
        json!([[null, [1, [2]]]]),
        json!({"a": 1, "b": {"c": [true, {"d": null}]}, "": "empty key"}),
        json!("😀 𝒳 \u{10FFFF} 한글 é e\u{301} 👩‍👩‍👧‍👦"),
    ];
    peer.emit("message", values.clone()).await;
    assert_eq!(peer.next_values("message-back").await, values);
    assert_eq!(peer.ask("message-with-ack", values.clone()).await, values);
    peer.client.disconnect().await.expect("it leaves");
}

async fn carries_binary(transport: TransportType) {
    let large = if matches!(transport, TransportType::Polling) { 1_000 } else { 200_000 };
    let mut peer = Peer::connect(transport, "/").await;
    for bytes in [vec![7], vec![0, 1, 255, 62], vec![0xa5; large]] {
        peer.client.emit("message", bytes.clone()).await.expect("the event is sent");
        assert_eq!(peer.next("message-back").await, Payload::Binary(bytes.into()));
    }
    peer.client.disconnect().await.expect("it leaves");
}

async fn runs_into_the_timeout_of_an_acknowledgement(transport: TransportType) {
    let peer = Peer::connect(transport, "/").await;
    assert_eq!(peer.ask("ask", vec![json!(50), json!("anyone?")]).await, [json!("timeout")]);
    assert_eq!(peer.ask("message-with-ack", vec![json!(1)]).await, [json!(1)]);
    peer.client.disconnect().await.expect("it leaves");
}

async fn reaches_rooms(transport: TransportType) {
    let mut a = Peer::connect(transport.clone(), "/").await;
    let mut b = Peer::connect(transport, "/").await;
    let room = json!(format!("rust {}", a.id().await));
    for peer in [&a, &b] {
        peer.ask("join", vec![room.clone()]).await;
    }
    a.emit("to-room", vec![room.clone(), json!("news"), json!(1)]).await;
    assert_eq!(b.next_values("news").await, [json!(1)]);
    b.emit("in-room", vec![room.clone(), json!("news"), json!(2)]).await;
    assert_eq!(a.next_values("news").await, [json!(2)]);
    assert_eq!(b.next_values("news").await, [json!(2)]);
    b.ask("leave", vec![room.clone()]).await;
    a.emit("in-room", vec![room, json!("news"), json!(3)]).await;
    assert_eq!(a.next_values("news").await, [json!(3)]);
    b.emit("message", vec![json!("marker")]).await;
    b.next("message-back").await;
    assert!(b.later.iter().all(|(event, _)| event != "news"), "{:?}", b.later);
    for peer in [a, b] {
        peer.client.disconnect().await.expect("it leaves");
    }
}

async fn gets_volatile_events(transport: TransportType) {
    let mut peer = Peer::connect(transport, "/").await;
    peer.emit("volatile-flood", vec![json!(100), json!(1000)]).await;
    assert_eq!(peer.next_values("flood-end").await, [json!(100)]);
    peer.client.disconnect().await.expect("it leaves");
}

async fn comes_back_after_the_server_dropped_the_transport(transport: TransportType) {
    let mut peer = Peer::connect(transport, "/").await;
    let id = peer.id().await;
    peer.emit("drop-transport", vec![]).await;
    peer.next("auth").await;
    assert_eq!(server().reason("/", &id), "forced close");
    assert_ne!(peer.id().await, id);
    peer.client.disconnect().await.expect("it leaves");
}

async fn leaves_and_is_thrown_out(transport: TransportType) {
    let peer = Peer::connect(transport.clone(), "/custom").await;
    let id = peer.id().await;
    peer.client.disconnect().await.expect("it leaves");
    // DISCONNECT and the end of the connection leave together; the server may act on the second first.
    let reason = server().reason("/custom", &id);
    assert!(["client namespace disconnect", "transport close"].contains(&reason.as_str()), "{reason}");

    let mut thrown = Peer::connect(transport, "/custom").await;
    let id = thrown.id().await;
    thrown.emit("disconnect-me", vec![json!(false)]).await;
    thrown.next("close").await;
    assert_eq!(server().reason("/custom", &id), "server namespace disconnect");
    let _ = thrown.client.disconnect().await;
}

async fn sends_1_mb(transport: TransportType) {
    let peer = Peer::connect(transport, "/").await;
    // `42["note",""]` is what the packet adds.
    let longest = "x".repeat(1_000_000 - r#"42["note",""]"#.len());
    peer.emit("note", vec![json!(longest)]).await;
    assert_eq!(peer.ask("noted-sizes", vec![]).await, [json!([longest.len()])]);
    peer.client.disconnect().await.expect("it leaves");
}

async fn keeps_order(transport: TransportType) {
    let mut peer = Peer::connect(transport, "/").await;
    for index in 0..200 {
        peer.emit("note", vec![json!(index)]).await;
    }
    let expected: Vec<i32> = (0..200).collect();
    assert_eq!(peer.ask("noted", vec![]).await, [json!(expected)]);
    peer.emit("burst", vec![json!(100)]).await;
    for index in 0..100 {
        assert_eq!(peer.next_values("item").await, [json!(index)]);
    }
    peer.client.disconnect().await.expect("it leaves");
}

macro_rules! over_each_transport {
    ($($case:ident),+ $(,)?) => {
        over_each_transport!(@ polling, TransportType::Polling, $($case),+);
        over_each_transport!(@ websocket, TransportType::Websocket, $($case),+);
        over_each_transport!(@ upgrade, TransportType::WebsocketUpgrade, $($case),+);
    };
    (@ $name:ident, $transport:expr, $($case:ident),+) => {
        mod $name {
            use super::TransportType;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($transport).await;
                }
            )+
        }
    };
}

over_each_transport!(
    connects_with_auth,
    is_refused_with_message_and_data,
    joins_static_and_dynamic_namespaces,
    carries_every_json_type_and_unicode,
    carries_binary,
    runs_into_the_timeout_of_an_acknowledgement,
    reaches_rooms,
    gets_volatile_events,
    comes_back_after_the_server_dropped_the_transport,
    leaves_and_is_thrown_out,
    sends_1_mb,
    keeps_order,
);
