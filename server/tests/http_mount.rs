//! The service inside other servers: axum with a layer, tower, and a fallback of its own.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use http_support::Raw;
use http_support::serve::{sid, target, websocket_request};
use hyper_util::service::TowerToHyperService;
use socketio_server::{Listener, Options, PeerAddr, Server, Socket};
use tokio::net::TcpListener;
use tower_service::Service as _;

/// A server whose sockets are told the address that their handshake came from.
fn server() -> Server {
    let server = Server::with_options(Options::default());
    server.on_connect(async |socket: Socket| {
        let address = socket
            .handshake()
            .address
            .map(|address| address.ip().to_string());
        let _ = socket.emit("address", &address);
    });
    server
}

async fn listen(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await });
    address
}

#[tokio::test]
async fn layer_before_the_users_routes() {
    let app = Router::new()
        .route("/", get(async || "home"))
        .route("/socket.io-docs", get(async || "docs"))
        .layer(server().layer());
    let address = listen(app).await;
    let mut raw = Raw::connect(address).await;
    assert_eq!(raw.get("/").await.text(), "home");
    assert_eq!(raw.get("/socket.io-docs").await.text(), "docs");
    assert_eq!(raw.get("/nothing").await.status, 404);
    let target = target(&sid(raw
        .get("/socket.io/?EIO=4&transport=polling")
        .await
        .text()));
    assert_eq!(raw.post(&target, "40").await.text(), "ok");
    assert!(raw.get(&target).await.text().starts_with("40{"));
    let mut socket = Raw::connect(address).await;
    socket
        .send(&websocket_request("EIO=4&transport=websocket", ""))
        .await;
    assert_eq!(socket.answer().await.status, 101);
    assert!(socket.text().await.starts_with("0{"));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40{"));
    let seen = socket.text().await;
    if cfg!(feature = "axum") {
        assert_eq!(seen, "42[\"address\",\"127.0.0.1\"]");
    } else {
        assert_eq!(seen, "42[\"address\",null]");
    }
}

#[tokio::test]
async fn service_as_the_fallback_of_a_router() {
    let app = Router::new()
        .route("/", get(async || "home"))
        .fallback_service(server().service());
    let address = listen(app).await;
    let mut raw = Raw::connect(address).await;
    assert_eq!(raw.get("/").await.text(), "home");
    assert_eq!(
        raw.get("/socket.io/?EIO=4&transport=polling").await.status,
        200
    );
    assert_eq!(raw.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn tower_service_without_a_socket() {
    let mut service = server().service();
    let request = |target: &str| {
        let mut request = Request::get(target)
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        request
            .extensions_mut()
            .insert(PeerAddr(([192, 0, 2, 1], 1234).into()));
        request
    };
    let answer = service
        .call(request("/socket.io/?EIO=4&transport=polling"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let open = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(open.starts_with(b"0{"));
    let mut service = service.with_fallback(Router::new().route("/", get(async || "home")));
    assert_eq!(
        service.call(request("/")).await.unwrap().status(),
        StatusCode::OK
    );
    // A handshake for a WebSocket on something that cannot be upgraded is refused, not answered by an empty promise.
    let (parts, body) = Request::get("/socket.io/?EIO=4&transport=websocket")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap()
        .into_parts();
    let answer = service
        .call(Request::from_parts(parts, body))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

/// What `io.engine.use(...)` is in Node: sees every request of the server, upgrades included, may refuse it, and may
/// change the answer.
async fn pass(request: AxumRequest, next: Next) -> Response {
    if !request.headers().contains_key("x-pass") {
        return (StatusCode::UNAUTHORIZED, "no pass").into_response();
    }
    let mut answer = next.run(request).await;
    answer
        .headers_mut()
        .insert("x-frame-options", http::HeaderValue::from_static("DENY"));
    answer
}

async fn passes_are_checked(address: SocketAddr) {
    let open = "/socket.io/?EIO=4&transport=polling";
    let mut raw = Raw::connect(address).await;
    let answer = raw.get(open).await;
    assert_eq!((answer.status, answer.text()), (401, "no pass"));
    raw.request("GET", open, "X-Pass: 1\n", b"").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    let target = target(&sid(answer.text()));
    // Requests of a session are seen, too.
    assert_eq!(raw.post(&target, "40").await.status, 401);
    // hyper closes a connection whose request was not read to its end.
    let mut raw = Raw::connect(address).await;
    raw.request("POST", &target, "X-Pass: 1\n", b"40").await;
    assert_eq!(raw.answer().await.text(), "ok");

    let query = "EIO=4&transport=websocket";
    let mut socket = Raw::connect(address).await;
    socket.send(&websocket_request(query, "")).await;
    assert_eq!(socket.answer().await.status, 401);
    let mut socket = Raw::connect(address).await;
    socket.send(&websocket_request(query, "X-Pass: 1\n")).await;
    let answer = socket.answer().await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert!(socket.text().await.starts_with("0{"));
}

#[tokio::test]
async fn a_layer_outside_is_what_engine_middlewares_are_in_node() {
    let app = Router::new().layer(server().layer()).layer(from_fn(pass));
    passes_are_checked(listen(app).await).await;
}

#[tokio::test]
async fn layers_go_around_the_own_listener_too() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .fallback_service(server().service())
        .layer(from_fn(pass));
    tokio::spawn(listener.serve(TowerToHyperService::new(app)));
    passes_are_checked(address).await;
}
