//! CORS, cookie, header hooks and the client bundles: section 1.10 of the wire formats.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use http_support::serve::{Served, serve, target};
use http_support::{Answer, Raw};
use socketio_server::{
    AllowedOrigins, ClientFiles, ClientFilesError, Cookie, Cors, CorsOrigin, Handshake,
    HeadersHook, Listener, Server,
};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

async fn ask(served: &Served, method: &str, target: &str, headers: &str) -> Answer {
    let mut raw = served.connect().await;
    raw.request(method, target, headers, b"").await;
    raw.answer().await
}

#[tokio::test]
async fn without_the_option_there_is_no_cors() {
    let served = serve(|_| {}).await;
    let answer = ask(&served, "GET", OPEN, "Origin: http://a\n").await;
    assert!(
        answer
            .names()
            .iter()
            .all(|name| !name.starts_with("access-control") && *name != "vary"),
        "{answer:?}"
    );
    // Then a preflight request is just a wrong method.
    assert_eq!(
        ask(&served, "OPTIONS", OPEN, "Origin: http://a\n")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn cors_headers_come_first_also_on_errors() {
    let served = serve(|options| {
        let mut cors = Cors::default();
        cors.origin = CorsOrigin::list(["http://a"]);
        cors.credentials = true;
        options.cors = Some(cors);
    })
    .await;
    let cors = [
        "access-control-allow-origin",
        "vary",
        "access-control-allow-credentials",
    ];
    for target in [OPEN, "/socket.io/?transport=x"] {
        let answer = ask(&served, "GET", target, "Origin: http://a\n").await;
        assert_eq!(answer.names()[..3], cors, "{answer:?}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("http://a")
        );
    }
    // A foreign origin is not refused, its browser does that.
    let answer = ask(&served, "GET", OPEN, "Origin: http://b\n").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, None)
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
    let id = served.open().await;
    let mut raw = served.connect().await;
    raw.request("POST", &target(&id), "Origin: http://a\n", b"40")
        .await;
    assert_eq!(raw.answer().await.names()[..3], cors);
}

#[tokio::test]
async fn preflight_is_answered() {
    let served = serve(|options| options.cors = Some(Cors::default())).await;
    let headers = "Origin: http://a\nAccess-Control-Request-Method: POST\nAccess-Control-Request-Headers: x-token\n";
    let answer = ask(&served, "OPTIONS", &format!("{OPEN}&sid=whatever"), headers).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET,HEAD,PUT,PATCH,POST,DELETE")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("x-token")
    );
    assert_eq!(
        answer.header("vary"),
        Some("Access-Control-Request-Headers")
    );
    let served = serve(|options| {
        let mut cors = Cors::default();
        cors.preflight_continue = true;
        cors.max_age = Some(Duration::from_secs(60));
        options.cors = Some(cors);
    })
    .await;
    let answer = ask(&served, "OPTIONS", OPEN, headers).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, r#"{"code":2,"message":"Bad handshake method"}"#)
    );
    assert_eq!(answer.header("access-control-max-age"), Some("60"));
}

#[tokio::test]
async fn cookie_is_set_by_the_polling_handshake_only() {
    let served = serve(|options| options.cookie = Some(Cookie::default())).await;
    let answer = served.get(OPEN).await;
    let id = http_support::serve::sid(answer.text());
    assert_eq!(
        answer.header("set-cookie"),
        Some(&*format!("io={id}; Path=/; HttpOnly; SameSite=Lax"))
    );
    assert_eq!(
        answer.names(),
        [
            "content-type",
            "content-length",
            "cache-control",
            "set-cookie"
        ]
    );
    let mut raw = served.connect().await;
    assert_eq!(
        raw.post(&target(&id), "40").await.header("set-cookie"),
        None
    );
    assert_eq!(raw.get(&target(&id)).await.header("set-cookie"), None);
}

#[tokio::test]
async fn hooks_change_headers() {
    let served = serve(|options| {
        options.initial_headers = Some(HeadersHook::new(|headers, _| {
            headers.insert("x-first", HeaderValue::from_static("1"));
        }));
        options.headers = Some(HeadersHook::new(|headers, request| {
            headers.insert("x-method", request.method.as_str().parse().unwrap());
        }));
    })
    .await;
    let answer = served.get(OPEN).await;
    assert_eq!(
        (answer.header("x-first"), answer.header("x-method")),
        (Some("1"), Some("GET"))
    );
    let target = target(&http_support::serve::sid(answer.text()));
    let answer = served.connect().await.post(&target, "40").await;
    assert_eq!(
        (answer.header("x-first"), answer.header("x-method")),
        (None, Some("POST"))
    );
    let (_socket, answer) = served.websocket("EIO=4&transport=websocket", "").await;
    assert_eq!((answer.status, answer.header("x-first")), (101, Some("1")));
}

/// An installed client package, made up.
struct Package(PathBuf);

impl Package {
    fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("socketio-client-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("dist")).unwrap();
        std::fs::write(
            root.join("package.json"),
            r#"{"name":"socket.io-client","version":"4.8.3"}"#,
        )
        .unwrap();
        std::fs::write(root.join("dist/socket.io.js"), "let io; ".repeat(1000)).unwrap();
        std::fs::write(root.join("dist/socket.io.js.map"), "{}").unwrap();
        std::fs::write(root.join("dist/index.js"), "private").unwrap();
        Self(root)
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn client_bundles_are_served() {
    let package = Package::new("serve");
    let files = ClientFiles::load(package.0.join("dist")).unwrap();
    assert_eq!(files.version(), "4.8.3");
    let served = serve(|options| {
        options.client_files = Some(files);
        options.cors = Some(Cors::default());
    })
    .await;
    let answer = served.get("/socket.io/socket.io.js").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, &*"let io; ".repeat(1000))
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/javascript; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("public, max-age=0"));
    assert_eq!(answer.header("etag"), Some("\"4.8.3\""));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let map = served.get("/socket.io/socket.io.js.map?v=1").await;
    assert_eq!(
        map.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    for etag in ["\"4.8.3\"", "W/\"4.8.3\"", "\"x\", W/\"4.8.3\"", "*"] {
        let answer = ask(
            &served,
            "GET",
            "/socket.io/socket.io.js",
            &format!("If-None-Match: {etag}\n"),
        )
        .await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{etag}");
    }
    let old = ask(
        &served,
        "GET",
        "/socket.io/socket.io.js",
        "If-None-Match: \"4.8.2\"\n",
    )
    .await;
    assert_eq!(old.status, 200);
    let mut raw = served.connect().await;
    raw.request("HEAD", "/socket.io/socket.io.js", "", b"")
        .await;
    let head = raw.head_answer().await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("8000"))
    );
    // Whatever is no bundle belongs to the engine, and nothing else of the folder is given out.
    for path in [
        "index.js",
        "socket.io.min.js",
        "../package.json",
        "dist/socket.io.js",
        "socket.io.js/",
        "%73ocket.io.js",
    ] {
        let answer = served.get(&format!("/socket.io/{path}")).await;
        assert_eq!(
            answer.text(),
            r#"{"code":0,"message":"Transport unknown"}"#,
            "{path}"
        );
    }
}

#[tokio::test]
async fn client_bundles_are_compressed() {
    let package = Package::new("compress");
    let files = ClientFiles::load(package.0.join("dist")).unwrap();
    let served = serve(|options| options.client_files = Some(files)).await;
    let plain = "let io; ".repeat(1000);
    for (accept, coding) in [
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("deflate", "deflate"),
    ] {
        // Twice: made, then remembered.
        for _ in 0..2 {
            let header = format!("Accept-Encoding: {accept}\n");
            let answer = ask(&served, "GET", "/socket.io/socket.io.js", &header).await;
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
            let mut text = String::new();
            let body = &answer.body[..];
            match coding {
                "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text),
                "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
                _ => flate2::read::ZlibDecoder::new(body).read_to_string(&mut text),
            }
            .unwrap();
            assert_eq!(text, plain);
        }
    }
}

#[test]
fn wrong_folders_are_named() {
    let package = Package::new("wrong");
    assert!(matches!(
        ClientFiles::load(&package.0),
        Err(ClientFilesError::NoBundle(_))
    ));
    std::fs::write(package.0.join("package.json"), "{}").unwrap();
    assert!(matches!(
        ClientFiles::load(package.0.join("dist")),
        Err(ClientFilesError::Version(_))
    ));
    std::fs::remove_file(package.0.join("package.json")).unwrap();
    assert!(matches!(
        ClientFiles::load(package.0.join("dist")),
        Err(ClientFilesError::Read(..))
    ));
}

#[tokio::test]
async fn builder_sets_what_concerns_http() {
    let package = Package::new("builder");
    let io = Server::builder()
        .cors(Cors::default())
        .allowed_origins(AllowedOrigins::list(["http://a"]))
        .cookie(Cookie::default())
        .http_compression(None)
        .allow_request(async |handshake: Handshake| {
            if handshake.query_value("ticket").is_some() {
                Ok(())
            } else {
                Err("no ticket")
            }
        })
        .initial_headers(|headers, _| {
            headers.insert("x-first", HeaderValue::from_static("1"));
        })
        .headers(|headers, _| {
            headers.insert("x-all", HeaderValue::from_static("1"));
        })
        .on_connection_error(|error, _| assert_eq!(error.message, "no ticket"))
        .body_read_timeout(Duration::from_secs(1))
        .serve_client(package.0.join("dist"))
        .unwrap()
        .build();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(listener.serve(io.service()));
    let mut raw = Raw::connect(address).await;
    assert_eq!(raw.get(OPEN).await.status, 403);
    let answer = raw.get(&format!("{OPEN}&ticket=1")).await;
    for header in [
        "access-control-allow-origin",
        "set-cookie",
        "x-first",
        "x-all",
    ] {
        assert!(answer.header(header).is_some(), "{header}: {answer:?}");
    }
    assert_eq!(raw.get("/socket.io/socket.io.js").await.status, 200);
    assert!(Server::builder().serve_client("/nowhere").is_err());
}
