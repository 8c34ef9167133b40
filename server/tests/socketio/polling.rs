//! What is particular to clients that poll.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use socketio_server::extract::Data;
use socketio_server::{Reply, Server, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Served, serve, soon, until};

struct Poller {
    address: SocketAddr,
    sid: String,
}

impl Poller {
    /// Opens a session and joins the main namespace.
    async fn join(served: &Served) -> Self {
        let mut poller = Self {
            address: served.address,
            sid: String::new(),
        };
        let open = poller.request("GET", "").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).expect("an open packet");
        poller.sid = format!("&sid={}", open["sid"].as_str().expect("a sid"));
        poller.post("40").await;
        assert!(poller.poll().await.starts_with("40{"));
        poller
    }

    async fn poll(&self) -> String {
        self.request("GET", "").await
    }

    async fn post(&self, body: &str) {
        assert_eq!(self.request("POST", body).await, "ok");
    }

    async fn request(&self, method: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let request = format!(
            "{method} /socket.io/?EIO=4&transport=polling{} HTTP/1.1\r\nHost: x\r\n\
             Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            self.sid,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer))
            .await
            .expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}: {body}");
        body.to_owned()
    }
}

fn only(io: &Server) -> Socket {
    io.sockets().remove(0)
}

#[tokio::test]
async fn events_of_one_request_start_in_order() {
    let served = serve(Server::builder()).await;
    served
        .io
        .on("n", async |socket: Socket, Data(n): Data<u32>| {
            let _ = socket.emit("got", n);
        });
    let poller = Poller::join(&served).await;
    let mut body = String::new();
    let mut expected = String::new();
    for n in 0..300 {
        let separator = if n == 0 { "" } else { "\u{1e}" };
        let _ = write!(body, "{separator}42[\"n\",{n}]");
        let _ = write!(expected, "{separator}42[\"got\",{n}]");
    }
    poller.post(&body).await;
    assert_eq!(poller.poll().await, expected);
}

#[tokio::test]
async fn more_events_than_may_wait_are_taken_all_the_same() {
    let served = serve(Server::builder().max_pending_handlers(3)).await;
    served.io.on("n", async |Data(n): Data<u32>| {
        tokio::task::yield_now().await;
        Reply(n)
    });
    let poller = Poller::join(&served).await;
    let body: Vec<String> = (0..50).map(|n| format!("42{n}[\"n\",{n}]")).collect();
    poller.post(&body.join("\u{1e}")).await;
    let mut answers = Vec::new();
    while answers.len() < 50 {
        let polled = poller.poll().await;
        answers.extend(polled.split('\u{1e}').map(str::to_owned));
    }
    answers.sort();
    let mut expected: Vec<String> = (0..50).map(|n| format!("43{n}[{n}]")).collect();
    expected.sort();
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn volatile_events_need_a_pending_poll() {
    let served = serve(Server::builder()).await;
    let poller = Poller::join(&served).await;
    let socket = only(&served.io);
    socket.volatile().emit("lost", 1).unwrap();
    socket.emit("kept", 2).unwrap();
    assert_eq!(poller.poll().await, r#"42["kept",2]"#);
    let mut poll = std::pin::pin!(poller.poll());
    // Each is dropped until the poll has arrived.
    let polled = soon("a volatile event", async {
        loop {
            socket.volatile().emit("now", 3).unwrap();
            let wait = Duration::from_millis(5);
            if let Ok(polled) = tokio::time::timeout(wait, &mut poll).await {
                break polled;
            }
        }
    })
    .await;
    assert!(polled.starts_with(r#"42["now",3]"#), "{polled}");
}

#[tokio::test]
async fn a_binary_broadcast_suits_polling_and_websocket() {
    let served = serve(Server::builder()).await;
    let poller = Poller::join(&served).await;
    let mut client = served.client().await;
    let data = Bytes::from_static(b"\x01\x02\x03");
    served.io.emit("blob", ("name", &data)).unwrap();
    assert_eq!(
        client.expect::<(String, Bytes)>("blob").await,
        ("name".to_owned(), data)
    );
    let text = r#"451-["blob","name",{"_placeholder":true,"num":0}]"#;
    assert_eq!(poller.poll().await, format!("{text}\u{1e}bAQID"));
}

#[tokio::test]
async fn a_kicked_poller_learns_it_with_its_next_poll() {
    let served = serve(Server::builder()).await;
    let poller = Poller::join(&served).await;
    let socket = only(&served.io);
    socket.emit("last", ()).unwrap();
    socket.disconnect(true);
    assert_eq!(served.io.socket_count(), 0);
    let polled = poller.poll().await;
    assert!(polled.starts_with("42[\"last\"]\u{1e}41"), "{polled}");
    // As Node: a noop, then the close.
    assert_eq!(poller.poll().await, "6\u{1e}1");
    until("the end", || served.io.connection_count() == 0).await;
}
