//! Sessions over everything that can carry HTTP: HTTP/2, TLS, a Unix socket; and how they end when the listener drains.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt as _, Full};
use http_support::serve::{serve, server, sid, target, websocket_request};
use http_support::tls::{Pem, connect_tls};
use http_support::{PATIENCE, Raw};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socketio_server::{AllowedOrigins, Listener, Server, Socket};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// One request over HTTP/2: status and body.
async fn ask(
    sender: &mut http2::SendRequest<Full<Bytes>>,
    method: Method,
    target: &str,
    body: &'static str,
) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{target}"))
        .header("origin", "https://localhost")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A server that tells each socket how its handshake came.
fn telling() -> Server {
    let server = server(|options| options.allowed_origins = AllowedOrigins::SameOrigin);
    server.on_connect(async |socket: Socket| {
        let handshake = socket.handshake();
        let host = handshake
            .headers
            .get("host")
            .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let _ = socket.emit(
            "how",
            &(handshake.secure, handshake.address.is_some(), host),
        );
    });
    server
}

#[tokio::test]
async fn polling_over_http2_and_tls() {
    let pem = Pem::new("carriers");
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(pem.tls());
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(listener.serve(telling().service()));
    let stream = connect_tls(address, &pem.certificate, b"h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    // The origin is our own: HTTP/2 names the host elsewhere, and it must be found.
    let (status, open) = ask(
        &mut sender,
        Method::GET,
        "/socket.io/?EIO=4&transport=polling",
        "",
    )
    .await;
    assert_eq!(status, 200, "{open}");
    let target = target(&sid(&open));
    // A poll waits while a post goes over the same connection.
    let waiting = tokio::spawn({
        let (mut sender, target) = (sender.clone(), target.clone());
        async move { ask(&mut sender, Method::GET, &target, "").await }
    });
    assert_eq!(
        ask(&mut sender, Method::POST, &target, "40").await,
        (200, "ok".to_owned())
    );
    let (status, mut seen) = waiting.await.unwrap();
    assert_eq!(status, 200);
    while !seen.contains("42[") {
        seen.push_str(&ask(&mut sender, Method::GET, &target, "").await.1);
    }
    assert!(
        seen.starts_with("40{") && seen.ends_with("42[\"how\",true,true,\"localhost\"]"),
        "{seen}"
    );
    assert_eq!(ask(&mut sender, Method::GET, "/other", "").await.0, 404);
    task.abort();
}

#[tokio::test]
async fn websocket_over_tls() {
    let pem = Pem::new("wss");
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(pem.tls());
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(listener.serve(telling().service()));
    let mut raw = Raw::over(
        connect_tls(address, &pem.certificate, b"http/1.1")
            .await
            .unwrap(),
    );
    raw.send(&websocket_request(
        "EIO=4&transport=websocket",
        "Origin: https://test\n",
    ))
    .await;
    assert_eq!(raw.answer().await.status, 101);
    assert!(raw.text().await.starts_with("0{"));
    raw.send_text("40").await;
    assert!(raw.text().await.starts_with("40{"));
    assert_eq!(raw.text().await, "42[\"how\",true,true,\"test\"]");
    task.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn both_transports_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("socketio-carriers-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let task = tokio::spawn(
        Listener::bind_unix(&path)
            .await
            .unwrap()
            .serve(telling().service()),
    );
    let connect = async || Raw::over(tokio::net::UnixStream::connect(&path).await.unwrap());
    let mut raw = connect().await;
    let target = target(&sid(raw
        .get("/socket.io/?EIO=4&transport=polling")
        .await
        .text()));
    assert_eq!(raw.post(&target, "40").await.text(), "ok");
    let mut raw = connect().await;
    raw.send(&websocket_request("EIO=4&transport=websocket", ""))
        .await;
    assert_eq!(raw.answer().await.status, 101);
    assert!(raw.text().await.starts_with("0{"));
    raw.send_text("40").await;
    assert!(raw.text().await.starts_with("40{"));
    assert_eq!(raw.text().await, "42[\"how\",false,false,\"test\"]");
    task.abort();
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn drain_answers_polls_and_closes_websockets() {
    let server = server(|_| {});
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(listener.serve_with_shutdown(server.service(), async move {
        let _ = stopped.await;
    }));
    let mut poll = Raw::connect(address).await;
    let target = target(&sid(poll
        .get("/socket.io/?EIO=4&transport=polling")
        .await
        .text()));
    assert_eq!(poll.post(&target, "40").await.text(), "ok");
    assert!(poll.get(&target).await.text().starts_with("40{"));
    poll.request("GET", &target, "", b"").await;
    let mut socket = Raw::connect(address).await;
    socket
        .send(&websocket_request("EIO=4&transport=websocket", ""))
        .await;
    assert_eq!(socket.answer().await.status, 101);
    assert!(socket.text().await.starts_with("0{"));
    let _ = stop.send(());
    let (served, ()) = timeout(PATIENCE, async {
        tokio::join!(task, server.drain(Duration::ZERO))
    })
    .await
    .unwrap();
    served.unwrap();
    assert_eq!(poll.answer().await.text(), "1");
    assert_eq!(poll.closed().await, b"");
    let (first, payload) = socket.frame().await;
    assert_eq!((first, payload), (0x88, vec![0x03, 0xe9]));
    assert_eq!(socket.closed().await, b"");
    assert_eq!(
        TcpStream::connect(address)
            .await
            .map(drop)
            .unwrap_err()
            .kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn a_draining_server_refuses_new_sessions() {
    let served = serve(|_| {}).await;
    timeout(PATIENCE, served.server.drain(Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(
        served
            .get("/socket.io/?EIO=4&transport=polling")
            .await
            .status,
        503
    );
    let (_socket, answer) = served.websocket("EIO=4&transport=websocket", "").await;
    assert_eq!(answer.status, 503);
}
