//! Traces: what spans there are, how they hang together, and that there are none unless they are asked for.

mod cluster;
mod collected;
mod off;
mod payloads;

use std::net::SocketAddr;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::Sampler;
use serde_json::json;
use socketio_core::ids::AckId;
use socketio_core::packet::Packet;
use socketio_server::extract::Data;
use socketio_server::{ConnectError, EventError, Reply, Server, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::collected::{attribute, collect, collect_with};
use crate::support::{Client, Served, serve, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A client of the main namespace whose handshake has these header lines.
async fn client_with(served: &Served, headers: &str) -> Client {
    let mut client = Client::open_with(served.address, "EIO=4", headers).await;
    client.join("/").await;
    client
}

async fn chat() -> Served {
    let served = serve(Server::builder()).await;
    served.io.on_connect(async |socket: Socket| {
        socket.on("sync", async || Reply(()));
        socket.on("say", async |socket: Socket, Data(text): Data<String>| {
            // Also behind a pause it runs in its span.
            tokio::task::yield_now().await;
            let _ = socket.namespace().emit("said", text);
            Reply(())
        });
    });
    served
}

#[tokio::test]
async fn a_handshake_continues_the_trace_of_its_request_and_events_are_traces_of_their_own() {
    let collected = collect();
    let served = chat().await;
    let headers = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=b\r\n");
    let mut client = client_with(&served, &headers).await;
    call_and_hear(&mut client).await;
    let handshake = collected.one("handshake").await;
    assert_eq!(handshake.span_context.trace_id().to_string(), TRACE);
    assert_eq!(handshake.parent_span_id.to_string(), SPAN);
    assert!(handshake.parent_span_is_remote);
    assert_eq!(handshake.span_context.trace_state().header(), "a=b");
    assert_eq!(handshake.span_kind, SpanKind::Server);
    assert_eq!(attribute(&handshake, "http.response.status_code"), "101");
    assert_eq!(attribute(&handshake, "socketio.transport"), "websocket");

    let connect = collected.one("connect").await;
    collected::assert_child(&connect, &handshake);
    assert_eq!(attribute(&connect, "messaging.destination.name"), "/");
    assert_eq!(
        attribute(&connect, "socketio.socket_id"),
        client.id.as_str()
    );

    let event = collected.one("process say").await;
    assert_ne!(
        event.span_context.trace_id(),
        handshake.span_context.trace_id()
    );
    collected::assert_root(&event);
    let links: Vec<_> = event.links.iter().collect();
    assert_eq!(links.len(), 1);
    assert_eq!(
        links[0].span_context.span_id(),
        handshake.span_context.span_id()
    );
    assert_eq!(event.span_kind, SpanKind::Consumer);
    assert_eq!(attribute(&event, "messaging.system"), "socketio");
    assert_eq!(attribute(&event, "socketio.event"), "say");

    let broadcast = collected.one("broadcast").await;
    collected::assert_child(&broadcast, &event);
    assert_eq!(broadcast.span_kind, SpanKind::Producer);
    assert_eq!(attribute(&broadcast, "socketio.recipients"), "1");
}

async fn call_and_hear(client: &mut Client) {
    client.ask(7, "say", "hello").await;
    let text: String = client.expect("said").await;
    assert_eq!(text, "hello");
    let packet = client.packet().await;
    assert!(
        matches!(packet, Packet::Ack { id: AckId(7), .. }),
        "{packet:?}"
    );
}

#[tokio::test]
async fn a_malformed_header_begins_a_new_trace() {
    for headers in [
        "traceparent: 00-nonsense\r\n".to_owned(),
        format!("traceparent: 00-{}-{SPAN}-01\r\n", "0".repeat(32)),
        format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n"),
        format!("tracestate: a=b\r\nX-traceparent: 00-{TRACE}-{SPAN}-01\r\n"),
    ] {
        let collected = collect();
        let served = chat().await;
        let _client = client_with(&served, &headers).await;
        let handshake = collected.one("handshake").await;
        collected::assert_root(&handshake);
        assert_ne!(handshake.span_context.trace_id().to_string(), TRACE);
        collected::assert_child(&collected.one("connect").await, &handshake);
    }
}

/// One HTTP request and its answer.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    let read = soon("an answer", stream.read_to_string(&mut answer));
    read.await.expect("text");
    answer
}

#[tokio::test]
async fn a_polling_handshake_is_a_span_and_a_later_request_is_none() {
    let collected = collect();
    let served = chat().await;
    let request = |query: &str| {
        format!(
            "GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n"
        )
    };
    let answer = exchange(served.address, &request("")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(served.address, &request("&sid=unknown")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let handshake = collected.one("handshake").await;
    assert_eq!(handshake.parent_span_id.to_string(), SPAN);
    assert_eq!(attribute(&handshake, "http.response.status_code"), "200");
    assert_eq!(attribute(&handshake, "socketio.transport"), "polling");
    assert_eq!(collected.all().len(), 1);
}

#[tokio::test]
async fn who_is_not_sampled_stays_so() {
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
    let collected = collect_with(sampler);
    let served = chat().await;
    let headers = format!("traceparent: 00-{TRACE}-{SPAN}-00\r\n");
    let mut client = client_with(&served, &headers).await;
    call_and_hear(&mut client).await;
    // The events are not part of that trace.
    let event = collected.one("process say").await;
    assert_ne!(event.span_context.trace_id().to_string(), TRACE);
    let names = collected.names();
    assert!(
        !names
            .iter()
            .any(|name| name == "handshake" || name == "connect"),
        "{names:?}"
    );
}

#[tokio::test]
async fn middlewares_run_in_the_span_of_what_they_decide() {
    let collected = collect();
    let served = serve(Server::builder()).await;
    let io = &served.io;
    io.use_middleware(async |socket: Socket| {
        tokio::task::yield_now().await;
        // Whatever is sent from here is a child.
        let _ = socket.namespace().emit("somebody knocks", ());
        Ok::<(), ConnectError>(())
    });
    io.on_connect(async |socket: Socket| {
        tokio::task::yield_now().await;
        let _ = socket.namespace().emit("somebody came", ());
        socket.use_middleware(async |socket: Socket| {
            tokio::task::yield_now().await;
            let _ = socket.namespace().emit("about to", ());
            Ok::<(), EventError>(())
        });
        socket.on("sync", async || Reply(()));
    });
    let mut client = client_with(&served, "").await;
    let () = client.expect("somebody came").await;
    client.ask(1, "sync", ()).await;
    let () = client.expect("about to").await;
    let connect = collected.one("connect").await;
    let sync = collected.one("process sync").await;
    let said = |event: &'static str| collected.broadcast(event);
    collected::assert_child(&said("somebody knocks").await, &connect);
    collected::assert_child(&said("somebody came").await, &connect);
    collected::assert_child(&said("about to").await, &sync);
}

#[tokio::test]
async fn a_refused_client_and_a_failed_handler_show() {
    let collected = collect();
    let served = serve(Server::builder()).await;
    let closed = served.io.of("/closed");
    closed.use_middleware(async || Err::<(), _>(ConnectError::new("not today")));
    served.io.on_connect(async |socket: Socket| {
        socket.on("fails", async || Err::<(), _>("no luck"));
        socket.on("panics", |Data(number): Data<u32>| async move {
            assert!(number > 0, "on purpose");
        });
        socket.on("sync", async || Reply(()));
    });
    let mut client = client_with(&served, "").await;
    client.emit("fails", ()).await;
    client.emit("panics", 0).await;
    let (): () = client.call("sync", ()).await;
    client.join_with("/closed", None).await;
    client.expect_connect_error("/closed").await;
    let failed = collected.one("process fails").await;
    assert_eq!(failed.status, Status::error("no luck"));
    let panicked = collected.one("process panics").await;
    assert!(matches!(panicked.status, Status::Error { .. }));
    assert_eq!(attribute(&panicked, "error.type"), "panic");
    let refused = collected.find("connect", |span| {
        attribute(span, "messaging.destination.name") == "/closed"
    });
    let refused = refused.await;
    assert_eq!(attribute(&refused, "error.type"), "connect_error");
}

#[tokio::test]
async fn what_clients_choose_is_no_name_of_a_span() {
    let collected = collect();
    let served = serve(Server::builder()).await;
    served.io.on_connect(async |socket: Socket| {
        socket.on_fallback(async || Reply(()));
    });
    let mut client = client_with(&served, "").await;
    let long = "é".repeat(1000);
    let (): () = client.call(&long, json!({"much": long})).await;
    let (): () = client.call("short", ()).await;
    let spans = collected.wait("process", 2).await;
    let event = |at: usize| attribute(&spans[at], "socketio.event");
    assert_eq!(
        (event(0).as_str(), event(1).as_str()),
        (&*"é".repeat(64), "short")
    );
    let attributes = spans.iter().flat_map(|span| &span.attributes);
    assert!(
        attributes
            .map(|known| known.value.to_string().len())
            .all(|len| len <= 128)
    );
}

#[tokio::test]
async fn ids_of_old_clients_are_secret_and_not_told() {
    let collected = collect();
    let served = serve(Server::builder().allow_eio3(true)).await;
    served.io.on("sync", async || Reply(()));
    let mut client = Client::open(served.address, "EIO=3").await;
    // They are in the main namespace without asking.
    let _connect = client.packet().await;
    client.ask(1, "sync", ()).await;
    let event = collected.one("process sync").await;
    assert_eq!(attribute(&event, "socketio.socket_id"), "");
    let open: serde_json::Value = serde_json::from_str(&client.open[1..]).expect("JSON");
    let secret = open["sid"].as_str().expect("a session id");
    let told = format!("{:?}", collected.all());
    assert!(!told.contains(secret));
}

/// The documentation promises it.
#[tokio::test]
async fn what_a_handler_spawns_belongs_to_it_if_it_says_so() {
    use tracing::Instrument as _;
    let collected = collect();
    let served = serve(Server::builder()).await;
    served.io.on("spawn", async |socket: Socket| {
        let said = async move {
            tokio::task::yield_now().await;
            let _ = socket.namespace().emit("later", ());
        };
        tokio::spawn(said.in_current_span());
    });
    let mut client = client_with(&served, "").await;
    client.emit("spawn", ()).await;
    let () = client.expect("later").await;
    let event = collected.one("process spawn").await;
    collected::assert_child(&collected.one("broadcast").await, &event);
}
