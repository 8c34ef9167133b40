//! The listener alone, with a service of the test's own: limits, TLS, drain.

// Clippy lets tests unwrap, but not their helpers.
#![allow(clippy::unwrap_used)]

mod http_support;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use http_support::tls::{Pem, connect_tls};
use http_support::{PATIENCE, Raw};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socketio_server::{Limits, Listener, PeerAddr, Secure, Tls, TlsError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Answers with the peer's address, whether the connection is secure, and the path. `/panic` does what it says.
async fn describe(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer = request
        .extensions()
        .get::<PeerAddr>()
        .map(|peer| peer.0.to_string());
    let secure = request.extensions().get::<Secure>().is_some();
    assert_ne!(request.uri().path(), "/panic", "asked for");
    let text = format!(
        "{} {secure} {}",
        peer.unwrap_or_default(),
        request.uri().path()
    );
    Ok(Response::new(Full::new(text.into())))
}

struct Served {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(configure: impl FnOnce(Listener) -> Listener) -> Self {
        Self::start_with(configure, describe).await
    }

    async fn start_with<F, R>(configure: impl FnOnce(Listener) -> Listener, service: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
    {
        let listener = configure(Listener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(
            listener.serve_with_shutdown(service_fn(service), async move {
                let _ = stopped.await;
            }),
        );
        Self {
            address,
            stop: Some(stop),
            task,
        }
    }

    fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

fn limits(change: impl FnOnce(&mut Limits)) -> impl FnOnce(Listener) -> Listener {
    let mut limits = Limits::default();
    change(&mut limits);
    move |listener| listener.limits(limits)
}

const GET: &str = "GET /x HTTP/1.1\nHost: test\n\n";

#[tokio::test]
async fn requests_know_their_peer() {
    let served = Served::start(|listener| listener).await;
    let mut raw = Raw::connect(served.address).await;
    let own = raw.stream.local_addr().unwrap();
    for _ in 0..2 {
        assert_eq!(raw.get("/x").await.text(), format!("{own} false /x"));
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let served = Served::start(|listener| listener).await;
    let stream = TokioIo::new(TcpStream::connect(served.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{}/two", served.address))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b" false /two"));
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_replace_a_dead_file() {
    let path = std::env::temp_dir().join(format!("socketio-listener-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    drop(Listener::bind_unix(&path).await.unwrap());
    assert!(path.exists());
    let listener = Listener::bind_unix(&path).await.unwrap();
    assert!(listener.local_addr().is_err());
    assert_eq!(
        Listener::bind_unix(&path).await.unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    let task = tokio::spawn(listener.serve(service_fn(describe)));
    let mut raw = Raw::over(tokio::net::UnixStream::connect(&path).await.unwrap());
    assert_eq!(raw.get("/x").await.text(), " false /x");
    task.abort();
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn slow_and_silent_clients_are_closed() {
    let short = Duration::from_millis(200);
    let served = Served::start(limits(|limits| limits.header_read_timeout = short)).await;
    let mut silent = Raw::connect(served.address).await;
    let mut slow = Raw::connect(served.address).await;
    slow.send_bytes(b"GET / HTTP/1.1\r\nHost: te").await;
    let mut idle = Raw::connect(served.address).await;
    assert_eq!(idle.get("/x").await.status, 200);
    assert_eq!(silent.closed().await, b"");
    let answer = slow.closed().await;
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(idle.closed().await, b"");
}

#[tokio::test]
async fn heads_are_limited_in_count_and_size() {
    let served = Served::start(|listener| listener).await;
    let head = |count: usize, value: &str| {
        let fields: String = (0..count).map(|n| format!("x-{n}: {value}\n")).collect();
        format!("GET /x HTTP/1.1\nHost: test\n{fields}\n")
    };
    assert_eq!(Raw::once(served.address, &head(99, "v")).await.status, 200);
    assert_eq!(Raw::once(served.address, &head(101, "v")).await.status, 431);
    assert_eq!(
        Raw::once(served.address, &head(1, &"v".repeat(16_000)))
            .await
            .status,
        200
    );
    assert_eq!(
        Raw::once(served.address, &head(1, &"v".repeat(40_000)))
            .await
            .status,
        431
    );
}

#[tokio::test]
async fn endless_heads_are_cut_off() {
    let served = Served::start(|listener| listener).await;
    let mut raw = Raw::connect(served.address).await;
    raw.send_bytes(b"GET / HTTP/1.1\r\nx: ").await;
    let chunk = [b'v'; 64 * 1024];
    let mut sent = 0_usize;
    let refused = timeout(PATIENCE, async {
        while raw.stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
    });
    refused.await.expect("the server closes");
    assert!(sent < 20_000_000, "{sent} bytes were taken");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let served = Served::start(limits(|limits| limits.max_connections = Some(1))).await;
    let mut first = Raw::connect(served.address).await;
    assert_eq!(first.get("/x").await.status, 200);
    // The kernel accepts it, we do not.
    let mut second = Raw::connect(served.address).await;
    second.send(GET).await;
    assert_eq!(first.get("/x").await.status, 200);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

/// A client that asks for much and reads nothing must not keep the answer in memory for ever.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_that_nobody_reads_are_dropped() {
    struct Held {
        bytes: Vec<u8>,
        _alive: tokio::sync::mpsc::Sender<()>,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let (alive, mut dropped) = tokio::sync::mpsc::channel(1);
    let service = move |_: Request<Incoming>| {
        let answer = Bytes::from_owner(Held {
            bytes: vec![b'x'; 32 << 20],
            _alive: alive.clone(),
        });
        async { Ok(Response::new(Full::new(answer))) }
    };
    let soon = Some(Duration::from_millis(300));
    let mut served =
        Served::start_with(limits(|limits| limits.write_timeout = soon), service).await;
    let mut raw = Raw::connect(served.address).await;
    raw.send(GET).await;
    raw.take(1).await;
    // Lets go of the service's own sender; the answer holds the other one.
    served.stop();
    assert_eq!(
        timeout(PATIENCE, dropped.recv())
            .await
            .expect("the answer is dropped"),
        None
    );
    timeout(PATIENCE, served.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let served = Served::start(|listener| listener).await;
    let mut raw = Raw::connect(served.address).await;
    raw.send("GET /panic HTTP/1.1\nHost: test\n\n").await;
    assert_eq!(raw.closed().await, b"");
    assert_eq!(Raw::once(served.address, GET).await.status, 200);
}

#[tokio::test]
async fn drain_finishes_requests_and_closes_idle_connections() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        move |request: Request<Incoming>| {
            let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
            async move {
                if request.uri().path() == "/wait" {
                    entered.notify_one();
                    release.notified().await;
                }
                Ok(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        }
    };
    let mut served = Served::start_with(|listener| listener, service).await;
    let mut idle = Raw::connect(served.address).await;
    assert_eq!(idle.get("/").await.text(), "done");
    let mut busy = Raw::connect(served.address).await;
    busy.send("GET /wait HTTP/1.1\nHost: test\n\n").await;
    timeout(PATIENCE, entered.notified()).await.unwrap();
    served.stop();
    assert_eq!(idle.closed().await, b"");
    let refused = TcpStream::connect(served.address)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(!served.task.is_finished(), "a request is still under way");
    release.notify_one();
    assert_eq!(busy.answer().await.text(), "done");
    assert_eq!(busy.closed().await, b"");
    timeout(PATIENCE, served.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_listener_closes_its_connections() {
    let served = Served::start(|listener| listener).await;
    let mut raw = Raw::connect(served.address).await;
    assert_eq!(raw.get("/x").await.status, 200);
    served.task.abort();
    assert_eq!(raw.closed().await, b"");
}

#[tokio::test]
async fn tls_offers_both_versions_of_http() {
    let pem = Pem::new("alpn");
    let tls = pem.tls();
    let served = Served::start(|listener| listener.tls(tls)).await;
    let stream = connect_tls(served.address, &pem.certificate, b"http/1.1")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(
        Raw::over(stream)
            .get("/x")
            .await
            .text()
            .ends_with(" true /x")
    );
    let stream = connect_tls(served.address, &pem.certificate, b"h2")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/two")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .ends_with(b" true /two")
    );
}

#[tokio::test]
async fn certificates_are_replaced_while_running() {
    let pem = Pem::new("reload");
    let tls = pem.tls();
    let served = Served::start({
        let tls = tls.clone();
        |listener| limits(|limits| limits.tls_check_interval = None)(listener.tls(tls))
    })
    .await;
    let mut old = Raw::over(
        connect_tls(served.address, &pem.certificate, b"http/1.1")
            .await
            .unwrap(),
    );
    assert!(!tls.reload_if_changed().unwrap());
    let renewed = Pem::write(&pem.folder);
    assert!(
        connect_tls(served.address, &renewed, b"http/1.1")
            .await
            .is_err()
    );
    tls.reload().unwrap();
    assert!(
        connect_tls(served.address, &pem.certificate, b"http/1.1")
            .await
            .is_err()
    );
    let mut new = Raw::over(
        connect_tls(served.address, &renewed, b"http/1.1")
            .await
            .unwrap(),
    );
    assert_eq!(
        (old.get("/x").await.status, new.get("/x").await.status),
        (200, 200)
    );
    // Half a renewal: reported once, and the old pair stays.
    std::fs::write(pem.folder.join("key.pem"), "not a key").unwrap();
    assert!(matches!(tls.reload_if_changed(), Err(TlsError::Key(..))));
    assert!(!tls.reload_if_changed().unwrap());
    connect_tls(served.address, &renewed, b"http/1.1")
        .await
        .unwrap();
    let last = Pem::write(&pem.folder);
    assert!(tls.reload_if_changed().unwrap());
    connect_tls(served.address, &last, b"http/1.1")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_listener_notices_a_new_certificate_by_itself() {
    let pem = Pem::new("watch");
    let tls = pem.tls();
    let soon = Some(Duration::from_millis(50));
    let served = Served::start(|listener| {
        limits(|limits| limits.tls_check_interval = soon)(listener.tls(tls))
    })
    .await;
    let renewed = Pem::write(&pem.folder);
    timeout(PATIENCE, async {
        while connect_tls(served.address, &renewed, b"http/1.1")
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the new certificate is in use");
}

#[tokio::test]
async fn tls_handshakes_end_in_time() {
    let pem = Pem::new("slow");
    let tls = pem.tls();
    let served = Served::start(|listener| {
        limits(|limits| limits.tls_handshake_timeout = Duration::from_millis(200))(
            listener.tls(tls),
        )
    })
    .await;
    assert_eq!(Raw::connect(served.address).await.closed().await, b"");
    let mut plain = Raw::connect(served.address).await;
    plain.send(GET).await;
    // An alert, or nothing; never HTTP.
    assert!(!plain.closed().await.starts_with(b"HTTP"));
}

#[test]
fn wrong_files_are_named() {
    let pem = Pem::new("wrong");
    let (certificate, key) = (pem.folder.join("cert.pem"), pem.folder.join("key.pem"));
    let missing = Tls::from_pem_files(pem.folder.join("none.pem"), &key).unwrap_err();
    assert!(
        matches!(&missing, TlsError::Certificate(..)) && missing.to_string().contains("none.pem")
    );
    assert!(matches!(
        Tls::from_pem_files(&key, &key),
        Err(TlsError::Certificate(..))
    ));
    assert!(matches!(
        Tls::from_pem_files(&certificate, &certificate),
        Err(TlsError::Key(..))
    ));
    let other = Pem::new("wrong-other");
    assert!(matches!(
        Tls::from_pem_files(&certificate, other.folder.join("key.pem")),
        Err(TlsError::Identity(_))
    ));
}
