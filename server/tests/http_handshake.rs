//! Routing, verification and its errors: sections 1.1 and 1.2 of the wire formats.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_support::Raw;
use http_support::serve::{Served, serve, sid, target, websocket_request};
use socketio_core::engine::TransportKind;
use socketio_server::{AllowRequest, AllowedOrigins, ConnectionErrorHook, GenerateId, Handshake};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

/// Asserts the JSON error that a plain request gets.
async fn refused(served: &Served, request: &str, status: u16, code: u8, message: &str) {
    let answer = Raw::once(
        served.address,
        &format!("{request} HTTP/1.1\nHost: test\nContent-Length: 0\n\n"),
    )
    .await;
    assert_eq!(answer.status, status, "{request}: {answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{request}"
    );
    assert_eq!(answer.header("cache-control"), None, "{request}");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "code": code, "message": message }),
        "{request}"
    );
}

/// Asserts the plain text error that an upgrade gets, and that the connection ends.
async fn upgrade_refused(served: &Served, request: &str, status: u16, message: &str) {
    let mut raw = served.connect().await;
    raw.send(request).await;
    let answer = raw.answer().await;
    assert_eq!(
        (answer.status, answer.text()),
        (status, message),
        "{request}"
    );
    assert_eq!(answer.header("connection"), Some("close"), "{request}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html"),
        "{request}"
    );
    assert_eq!(raw.closed().await, b"", "{request}");
}

#[tokio::test]
async fn handshake_opens_a_session() {
    let served = serve(|_| {}).await;
    let answer = served.get(OPEN).await;
    assert_eq!(answer.status, 200);
    let open: serde_json::Value =
        serde_json::from_str(answer.text().strip_prefix('0').unwrap()).unwrap();
    assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
    assert_eq!(
        (
            open["pingInterval"].as_u64(),
            open["pingTimeout"].as_u64(),
            open["maxPayload"].as_u64()
        ),
        (Some(25_000), Some(20_000), Some(1_000_000))
    );
}

#[tokio::test]
async fn path_is_a_raw_prefix() {
    let served = serve(|_| {}).await;
    for (path, status) in [
        ("/socket.io/", 200),
        ("/socket.io/whatever", 200),
        ("/socket.io/a/b.js", 200),
        ("/socket.io", 404),
        ("/socket%2Eio/", 404),
        ("/Socket.io/", 404),
        ("/", 404),
        ("/other/socket.io/", 404),
    ] {
        let answer = served.get(&format!("{path}?EIO=4&transport=polling")).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let mut raw = served.connect().await;
    raw.send(&websocket_request("EIO=4&transport=websocket", "").replace("/socket.io/", "/else/"))
        .await;
    assert_eq!(raw.answer().await.status, 404);
}

#[tokio::test]
async fn path_options() {
    let served = serve(|options| {
        options.path = "/my/path///".to_owned();
        options.add_trailing_slash = false;
    })
    .await;
    for (path, status) in [
        ("/my/path", 200),
        ("/my/path/", 200),
        ("/my/pathology", 200),
        ("/my/pat", 404),
    ] {
        assert_eq!(
            served
                .get(&format!("{path}?EIO=4&transport=polling"))
                .await
                .status,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn last_of_repeated_keys_counts() {
    let served = serve(|_| {}).await;
    let twice = "/socket.io/?EIO=3&transport=nothing&EIO=4&transport=polling";
    assert_eq!(served.get(twice).await.status, 200);
    refused(
        &served,
        "GET /socket.io/?EIO=4&transport=polling&transport=x",
        400,
        0,
        "Transport unknown",
    )
    .await;
    assert_eq!(
        served
            .get("/socket.io/?EI%4F=%34&transport=poll%69ng")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn errors_of_plain_requests() {
    let served = serve(|_| {}).await;
    for query in [
        "",
        "?",
        "?EIO=4",
        "?transport=",
        "?transport=webtransport",
        "?transport=__proto__",
        "?transport=constructor",
        "?transport=Polling",
    ] {
        refused(
            &served,
            &format!("GET /socket.io/{query}"),
            400,
            0,
            "Transport unknown",
        )
        .await;
    }
    // The transport is looked at before the session and the method.
    refused(
        &served,
        "POST /socket.io/?EIO=4&transport=x&sid=none",
        400,
        0,
        "Transport unknown",
    )
    .await;
    for method in ["GET", "POST", "OPTIONS", "PUT"] {
        refused(
            &served,
            &format!("{method} {OPEN}&sid=none"),
            400,
            1,
            "Session ID unknown",
        )
        .await;
        if method != "GET" {
            refused(
                &served,
                &format!("{method} {OPEN}"),
                400,
                2,
                "Bad handshake method",
            )
            .await;
        }
    }
    refused(
        &served,
        "POST /socket.io/?EIO=4&transport=websocket",
        400,
        2,
        "Bad handshake method",
    )
    .await;
    refused(
        &served,
        "GET /socket.io/?EIO=4&transport=websocket",
        400,
        3,
        "Bad request",
    )
    .await;
    for version in ["EIO=3&", "", "EIO=&", "EIO=5&", "EIO=abc&", "EIO=04&"] {
        let request = format!("GET /socket.io/?{version}transport=polling");
        refused(&served, &request, 400, 5, "Unsupported protocol version").await;
    }
    // An empty id is no id.
    assert_eq!(served.get(&format!("{OPEN}&sid=")).await.status, 200);
}

#[tokio::test]
async fn session_errors() {
    let served = serve(|_| {}).await;
    let id = served.open().await;
    refused(
        &served,
        &format!("GET /socket.io/?EIO=4&transport=websocket&sid={id}"),
        400,
        3,
        "Bad request",
    )
    .await;
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    let id = sid(&socket.text().await);
    refused(
        &served,
        &format!("GET {}", target(&id)),
        400,
        3,
        "Bad request",
    )
    .await;
    // Node lets this one wait for ever.
    refused(
        &served,
        &format!("GET /socket.io/?EIO=4&transport=websocket&sid={id}"),
        400,
        3,
        "Bad request",
    )
    .await;
}

#[tokio::test]
async fn transports_can_be_disabled() {
    let polling = serve(|options| options.transports = vec![TransportKind::Polling]).await;
    upgrade_refused(
        &polling,
        &websocket_request("EIO=4&transport=websocket", ""),
        400,
        "Transport unknown",
    )
    .await;
    let answer = polling.get(OPEN).await;
    assert!(answer.text().contains("\"upgrades\":[]"), "{answer:?}");
    let websocket = serve(|options| options.transports = vec![TransportKind::WebSocket]).await;
    refused(
        &websocket,
        &format!("GET {OPEN}"),
        400,
        0,
        "Transport unknown",
    )
    .await;
}

#[tokio::test]
async fn errors_of_upgrades() {
    let served = serve(|options| {
        options.allow_request = Some(AllowRequest::new(async |handshake: Handshake| {
            if handshake.query_value("ticket") == Some("no") {
                Err("no seat")
            } else {
                Ok(())
            }
        }));
    })
    .await;
    let polling = served.open().await;
    for (query, message) in [
        ("EIO=4&transport=x", "Transport unknown"),
        ("EIO=4", "Transport unknown"),
        ("EIO=4&transport=websocket&sid=none", "Session ID unknown"),
        ("EIO=4&transport=polling", "Bad request"),
        (
            &*format!("EIO=4&transport=polling&sid={polling}"),
            "Bad request",
        ),
        // Not after the 101, as Node does.
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
        ("transport=websocket", "Unsupported protocol version"),
        // Status 400, although the code is that of 403.
        ("EIO=4&transport=websocket&ticket=no", "no seat"),
    ] {
        upgrade_refused(&served, &websocket_request(query, ""), 400, message).await;
    }
    let post = websocket_request("EIO=4&transport=websocket", "").replace("GET ", "POST ");
    upgrade_refused(&served, &post, 400, "Bad handshake method").await;
}

#[tokio::test]
async fn hook_decides_about_handshakes_only() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let served = serve(|options| {
        let asked = Arc::clone(&asked);
        options.allow_request = Some(AllowRequest::new(move |handshake: Handshake| {
            let ticket = handshake
                .query_value("ticket")
                .unwrap_or_default()
                .to_owned();
            asked
                .lock()
                .unwrap()
                .push((ticket.clone(), handshake.headers.get("x-key").cloned()));
            async move {
                tokio::task::yield_now().await;
                match &*ticket {
                    "yes" => Ok(()),
                    other => Err(other.to_owned()),
                }
            }
        }));
    })
    .await;
    refused(&served, &format!("GET {OPEN}"), 403, 4, "Forbidden").await;
    refused(
        &served,
        &format!("GET {OPEN}&ticket=sold%20out"),
        403,
        4,
        "sold out",
    )
    .await;
    // Before the protocol's version.
    refused(
        &served,
        "GET /socket.io/?EIO=3&transport=polling&ticket=no",
        403,
        4,
        "no",
    )
    .await;
    let id = served.open_with("EIO=4&ticket=yes").await;
    let mut raw = served.connect().await;
    assert_eq!(raw.post(&target(&id), "40").await.text(), "ok");
    let (_socket, answer) = served
        .websocket(&format!("EIO=4&transport=websocket&sid={id}"), "")
        .await;
    assert_eq!(answer.status, 101);
    let tickets: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|(ticket, _)| ticket.clone())
        .collect();
    assert_eq!(tickets, ["", "sold out", "no", "yes"]);
}

#[tokio::test]
async fn foreign_origins_are_refused_on_both_transports() {
    let served =
        serve(|options| options.allowed_origins = AllowedOrigins::list(["https://a.example"]))
            .await;
    for (origin, allowed) in [
        ("Origin: https://a.example\n", true),
        ("Origin: https://evil.example\n", false),
        ("", true),
    ] {
        let request = format!("GET {OPEN} HTTP/1.1\nHost: test\n{origin}\n");
        let answer = Raw::once(served.address, &request).await;
        assert_eq!(answer.status, if allowed { 200 } else { 400 }, "{origin}");
        let (_socket, answer) = served.websocket("EIO=4&transport=websocket", origin).await;
        assert_eq!(answer.status, if allowed { 101 } else { 400 }, "{origin}");
    }
    // Also for a session that exists.
    let id = served.open().await;
    let request = format!(
        "GET {} HTTP/1.1\nHost: test\nOrigin: https://evil.example\n\n",
        target(&id)
    );
    assert_eq!(Raw::once(served.address, &request).await.status, 400);
    let same = serve(|options| options.allowed_origins = AllowedOrigins::SameOrigin).await;
    for (origin, status) in [
        ("http://test", 101),
        ("https://test", 400),
        ("http://test:81", 400),
    ] {
        let (_socket, answer) = same
            .websocket("EIO=4&transport=websocket", &format!("Origin: {origin}\n"))
            .await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn control_characters_in_an_origin_do_not_pass() {
    let served = serve(|_| {}).await;
    for byte in [0x01_u8, 0x0b, 0x7f] {
        let mut raw = served.connect().await;
        let mut request =
            format!("GET {OPEN} HTTP/1.1\r\nHost: test\r\nOrigin: http://a").into_bytes();
        request.push(byte);
        request.extend(b"\r\n\r\n");
        raw.send_bytes(&request).await;
        assert_eq!(raw.answer().await.status, 400);
    }
}

#[tokio::test]
async fn application_hears_of_refusals() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let served = serve(|options| {
        let heard = Arc::clone(&heard);
        options.connection_error = Some(ConnectionErrorHook::new(move |error, request| {
            let path = request.uri.path().to_owned();
            heard
                .lock()
                .unwrap()
                .push((error.code.number(), error.context.clone(), path));
        }));
    })
    .await;
    let polling = served.open().await;
    for query in [
        "transport=x",
        "transport=polling&sid=none",
        "EIO=3&transport=polling",
        "transport=websocket",
        &format!("transport=websocket&sid={polling}"),
    ] {
        served.get(&format!("/socket.io/?{query}")).await;
    }
    served.websocket("transport=polling", "").await;
    let heard: Vec<_> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|(code, context, _)| (*code, context.clone()))
        .collect();
    let expected: [(u8, &str); 6] = [
        (0, "x"),
        (1, "none"),
        (5, "3"),
        (3, "TRANSPORT_HANDSHAKE_ERROR"),
        (3, "TRANSPORT_MISMATCH"),
        (3, "TRANSPORT_HANDSHAKE_ERROR"),
    ];
    assert_eq!(
        heard,
        expected.map(|(code, context)| (code, context.to_owned()))
    );
}

#[tokio::test]
async fn revision_3_is_answered_in_its_own_framing() {
    let served = serve(|options| options.allow_eio3 = true).await;
    for query in ["EIO=3&", "", "EIO=nonsense&"] {
        let answer = served
            .get(&format!("/socket.io/?{query}transport=polling"))
            .await;
        let (length, packet) = answer.text().split_once(':').unwrap();
        assert!(packet.starts_with("0{"), "{answer:?}");
        let length: usize = length.parse().unwrap();
        // Revision 3 connects to the main namespace by itself, so that packet may follow.
        assert!(packet.len() >= length, "{answer:?}");
    }
    let (mut socket, answer) = served.websocket("EIO=3&transport=websocket", "").await;
    assert_eq!(answer.status, 101);
    assert!(socket.text().await.starts_with("0{"));
}

#[tokio::test]
async fn clients_are_told_of_a_longer_ping_interval_than_the_servers_own() {
    let served = serve(|options| {
        options.allow_eio3 = true;
        options.ping_interval = Duration::from_millis(50);
        options.ping_grace = Duration::from_secs(3600);
    })
    .await;
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    let open = socket.text().await;
    assert!(open.contains("\"pingInterval\":3600050,"), "{open}");
    assert_eq!(socket.text().await, "2", "long before the hour is over");

    // Clients of revision 3 send the pings themselves.
    let (mut socket, _) = served.websocket("EIO=3&transport=websocket", "").await;
    let open = socket.text().await;
    assert!(open.contains("\"pingInterval\":50,"), "{open}");
}

#[tokio::test]
async fn a_session_may_begin_with_a_message() {
    let served = serve(|options| options.initial_packet = Some("welcome".into())).await;
    let answer = served
        .get("/socket.io/?EIO=4&transport=polling")
        .await
        .text()
        .to_owned();
    assert!(answer.starts_with("0{"), "{answer}");
    assert!(answer.ends_with("}\u{1e}4welcome"), "{answer}");
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with("0{"));
    assert_eq!(socket.text().await, "4welcome");
}

#[tokio::test]
async fn the_application_may_make_the_ids_of_sessions() {
    let served = serve(|options| {
        options.generate_id = Some(GenerateId::new(async |handshake: Handshake| {
            let wanted = handshake.query_value("wanted").unwrap_or_default();
            if wanted.is_empty() {
                return Err("the generator is down");
            }
            Ok(wanted.to_owned())
        }));
    })
    .await;
    let first = served.open_with("EIO=4&wanted=my.id-1_~").await;
    assert_eq!(first, "my.id-1_~");
    let long = "x".repeat(GenerateId::MAX_LEN + 1);
    for wrong in ["", "a/b", "a%20b", "my.id-1_~", &long] {
        let query = format!("EIO=4&transport=polling&wanted={wrong}");
        let answer = served.get(&format!("/socket.io/?{query}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.text(), r#"{"code":3,"message":"Bad request"}"#);
        let query = format!("EIO=4&transport=websocket&wanted={wrong}");
        assert_eq!(served.websocket(&query, "").await.1.status, 400, "{wrong}");
    }
    let (mut socket, _) = served
        .websocket("EIO=4&transport=websocket&wanted=other", "")
        .await;
    assert!(socket.text().await.contains("\"sid\":\"other\""));
    // The one whose id was asked for again is as it was.
    let mut raw = served.connect().await;
    assert_eq!(raw.post(&target(&first), "40").await.text(), "ok");
}
