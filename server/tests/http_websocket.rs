//! WebSocket handshakes: section 1.7 of the wire formats, and what `ws` checks.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::serve::{serve, serve_within, sid, target, websocket_request};
use socketio_server::{Cookie, Cors, Limits, Socket};

const OPEN: &str = "EIO=4&transport=websocket";

#[tokio::test]
async fn handshake_and_first_packet() {
    let served = serve(|options| {
        options.cookie = Some(Cookie::default());
        options.cors = Some(Cors::default());
    })
    .await;
    let (mut socket, answer) = served.websocket(OPEN, "").await;
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.names(),
        [
            "connection",
            "upgrade",
            "sec-websocket-accept",
            "access-control-allow-origin"
        ]
    );
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let open = socket.text().await;
    assert!(
        open.starts_with("0{\"sid\":\"") && open.contains("\"upgrades\":[]"),
        "{open}"
    );
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40{\"sid\":\""));
}

#[tokio::test]
async fn first_subprotocol_is_echoed_and_extensions_are_not() {
    let served = serve(|_| {}).await;
    let headers = "Sec-WebSocket-Protocol: one, two\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n";
    let (_socket, answer) = served.websocket(OPEN, headers).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-protocol"), Some("one"));
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    let (_socket, answer) = served
        .websocket(OPEN, "Sec-WebSocket-Extensions: ;;=,nonsense\"\n")
        .await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn bad_handshakes_are_refused_as_ws_does() {
    let served = serve(|_| {}).await;
    let good = websocket_request(OPEN, "");
    for (from, to, status, message) in [
        (
            "Upgrade: websocket",
            "Upgrade: h2c",
            400,
            "Invalid Upgrade header",
        ),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n",
            "",
            400,
            "Missing or invalid Sec-WebSocket-Key header",
        ),
        (
            "dGhlIHNhbXBsZSBub25jZQ==",
            "c2hvcnQ=",
            400,
            "Missing or invalid Sec-WebSocket-Key header",
        ),
        (
            "Version: 13",
            "Version: 12",
            400,
            "Missing or invalid Sec-WebSocket-Version header",
        ),
        (
            "Sec-WebSocket-Version: 13\n",
            "",
            400,
            "Missing or invalid Sec-WebSocket-Version header",
        ),
        (
            "Host: test\n",
            "Host: test\nSec-WebSocket-Protocol: a,,b\n",
            400,
            "Invalid Sec-WebSocket-Protocol header",
        ),
    ] {
        let mut raw = served.connect().await;
        raw.send(&good.replace(from, to)).await;
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.text()), (status, message), "{to}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("content-type"), Some("text/html"));
        let version = message.contains("Version").then_some("13, 8");
        assert_eq!(answer.header("sec-websocket-version"), version);
        assert_eq!(raw.closed().await, b"");
    }
    // A method other than GET opens no session; with one, `ws` has the word.
    let id = served.open().await;
    let mut raw = served.connect().await;
    raw.send(&websocket_request(&format!("{OPEN}&sid={id}"), "").replace("GET ", "PUT "))
        .await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.text()), (405, "Invalid HTTP method"));
    // None of them left a session behind, or harmed one.
    let mut raw = served.connect().await;
    assert_eq!(raw.post(&target(&id), "40").await.text(), "ok");
}

#[tokio::test]
async fn frames_behind_the_handshake_are_not_lost() {
    let served = serve(|_| {}).await;
    let mut raw = served.connect().await;
    let mut bytes = websocket_request(OPEN, "")
        .replace('\n', "\r\n")
        .into_bytes();
    bytes.extend([0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
    raw.send_bytes(&bytes).await;
    assert_eq!(raw.answer().await.status, 101);
    assert!(raw.text().await.starts_with("0{"));
    assert!(raw.text().await.starts_with("40{"));
}

#[tokio::test]
async fn a_second_websocket_of_a_session_is_closed() {
    let served = serve(|_| {}).await;
    let (mut first, _) = served.websocket(OPEN, "").await;
    let id = sid(&first.text().await);
    // Also where the session was opened on WebSocket: Node lets the second one take it over.
    let (mut second, answer) = served.websocket(&format!("{OPEN}&sid={id}"), "").await;
    assert_eq!(answer.status, 101);
    assert_eq!(second.frame().await, (0x88, Vec::new()));
    first.send_text("40").await;
    assert!(first.text().await.starts_with("40{"));
}

#[tokio::test]
async fn two_upgrades_at_once() {
    let served = serve(|_| {}).await;
    let id = served.open().await;
    let query = format!("{OPEN}&sid={id}");
    let (mut first, answer) = served.websocket(&query, "").await;
    assert_eq!(answer.status, 101);
    first.send_text("2probe").await;
    assert_eq!(first.text().await, "3probe");
    let (mut second, answer) = served.websocket(&query, "").await;
    assert_eq!(answer.status, 101);
    assert_eq!(second.frame().await, (0x88, Vec::new()));
    first.send_text("5").await;
    first.send_text("40").await;
    assert!(first.text().await.starts_with("40{"));
    let answer = served.get(&target(&id)).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, r#"{"code":3,"message":"Bad request"}"#)
    );
}

#[tokio::test]
async fn websockets_count_as_connections() {
    let mut limits = Limits::default();
    limits.max_connections = Some(1);
    let served = serve_within(limits, |_| {}).await;
    let (mut socket, answer) = served.websocket(OPEN, "").await;
    assert_eq!(answer.status, 101);
    assert!(socket.text().await.starts_with("0{"));
    // The kernel accepts the second; the server must not while the first lives.
    let mut second = served.connect().await;
    second.send("GET / HTTP/1.1\nHost: test\n\n").await;
    for _ in 0..3 {
        socket.send_text("40").await;
        assert!(socket.text().await.starts_with("4"));
        socket.send_text("41").await;
    }
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), second.take(1)).await;
    assert!(early.is_err(), "accepted beyond the limit");
    drop(socket);
    assert_eq!(second.answer().await.status, 404);
}

/// Bytes of a client's frame with an all-zero mask, which leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn broken_frames_close_only_their_sender() {
    let served = serve(|options| options.max_http_buffer_size = 1000).await;
    let (mut bystander, _) = served.websocket(OPEN, "").await;
    assert!(bystander.text().await.starts_with("0{"));
    let announced = [0x81, 0x80 | 127, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    for (name, bytes, code) in [
        ("reserved bit", frame(0xc1, b"40"), 1002),
        ("unknown opcode", frame(0x83, b"40"), 1002),
        ("unmasked", vec![0x81, 0x02, b'4', b'0'], 1002),
        ("fragmented ping", frame(0x09, b""), 1002),
        ("long ping", frame(0x89, &[b'x'; 126]), 1002),
        ("continuation of nothing", frame(0x80, b"40"), 1002),
        ("close with one byte", frame(0x88, &[3]), 1002),
        (
            "close with a forbidden code",
            frame(0x88, &1005_u16.to_be_bytes()),
            1002,
        ),
        ("invalid UTF-8", frame(0x81, b"4\xff"), 1007),
        ("too long", frame(0x81, &[b'4'; 1001]), 1009),
        (
            "announced too long, body never sent",
            announced.to_vec(),
            1009,
        ),
    ] {
        let (mut socket, answer) = served.websocket(OPEN, "").await;
        assert_eq!(answer.status, 101);
        assert!(socket.text().await.starts_with("0{"));
        socket.send_bytes(&bytes).await;
        let (first, payload) = socket.frame().await;
        assert_eq!(
            (first, &payload[..2]),
            (0x88, &u16::to_be_bytes(code)[..]),
            "{name}"
        );
        // The client's own close frame, then its end: the server ends as well.
        assert_eq!(socket.closed().await, b"", "{name}");
    }
    bystander.send_text("40").await;
    assert!(bystander.text().await.starts_with("40{"));
}

#[tokio::test]
async fn fragments_pings_and_the_limit_itself() {
    let served = serve(|options| options.max_http_buffer_size = 1000).await;
    let (mut socket, _) = served.websocket(OPEN, "").await;
    assert!(socket.text().await.starts_with("0{"));
    socket.send_bytes(&frame(0x01, b"4")).await;
    socket.send_bytes(&frame(0x89, b"now")).await;
    socket.send_bytes(&frame(0x80, b"0")).await;
    assert_eq!(socket.frame().await, (0x8a, b"now".to_vec()));
    assert!(socket.text().await.starts_with("40{"));
    let text = "x".repeat(1000 - 12);
    socket
        .send_bytes(&frame(0x81, format!("42[\"say\",\"{text}\"]").as_bytes()))
        .await;
    assert_eq!(socket.text().await, format!("42[\"said\",\"{text}\"]"));
}

#[tokio::test]
async fn endings_from_the_client() {
    let served = serve(|_| {}).await;
    // A close frame, and the packet that Node ignores: both end the session with a close frame.
    for bytes in [
        frame(0x88, &1000_u16.to_be_bytes()),
        frame(0x88, b""),
        frame(0x81, b"1"),
    ] {
        let (mut socket, _) = served.websocket(OPEN, "").await;
        let id = sid(&socket.text().await);
        socket.send_bytes(&bytes).await;
        assert_eq!(socket.frame().await.0, 0x88, "{bytes:?}");
        let answer = served.get(&target(&id)).await;
        assert_eq!(
            (answer.status, answer.text()),
            (400, r#"{"code":1,"message":"Session ID unknown"}"#)
        );
    }
}

#[tokio::test]
async fn handlers_of_an_upgrade_run_once_it_is_done() {
    let served = serve(|_| {}).await;
    served.server.on_upgrade(async |socket: Socket| {
        let _ = socket.emit("moved", socket.transport().as_str());
    });
    served.server.on_connect(async |socket: Socket| {
        socket.on_upgrade(async |socket: Socket| {
            let _ = socket.emit("own", socket.transport().as_str());
        });
    });
    let id = served.open().await;
    let mut poll = served.connect().await;
    assert_eq!(poll.post(&target(&id), "40").await.text(), "ok");
    assert!(poll.get(&target(&id)).await.text().starts_with("40{"));
    let socket = served.server.sockets().remove(0);
    assert_eq!(socket.transport().as_str(), "polling");

    let (mut raw, _) = served.websocket(&format!("{OPEN}&sid={id}"), "").await;
    raw.send_text("2probe").await;
    assert_eq!(raw.text().await, "3probe");
    raw.send_text("5").await;
    assert_eq!(raw.text().await, "42[\"own\",\"websocket\"]");
    assert_eq!(raw.text().await, "42[\"moved\",\"websocket\"]");

    // A session that begins on WebSocket is never upgraded.
    let (mut raw, _) = served.websocket(OPEN, "").await;
    assert!(raw.text().await.starts_with('0'));
    raw.send_text("40").await;
    assert!(raw.text().await.starts_with("40{"));
    raw.send_text("42[\"say\",\"x\"]").await;
    assert_eq!(raw.text().await, "42[\"said\",\"x\"]");
}
