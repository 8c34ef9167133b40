use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::http::{get, try_request};
use super::process::Node;
use super::session::Session;

#[test]
fn an_idle_node_ends_at_once_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let node = Node::start(&[]);
        node.signal(signal);
        node.wait_for("drained");
        assert_eq!(node.wait().code(), Some(0));
    }
}

#[test]
fn readiness_goes_first_and_a_second_signal_forces() {
    let node = Node::start(&[
        "--internal-address=127.0.0.1:0",
        "--drain-delay=5min",
        "--drain-grace=10min",
    ]);
    let internal = node.internal.expect("internal address");
    assert_eq!(get(internal, "/readyz").status, 200);
    let _session = Session::open(node.address());
    node.signal(Signal::TERM);
    node.wait_for("draining");
    let probe = || get(internal, "/readyz").status;
    // The line is written just before.
    while probe() == 200 {}
    assert_eq!(probe(), 503);
    assert_eq!(get(internal, "/healthz").status, 200);
    assert_eq!(
        get(node.address(), "/socket.io/?EIO=4&transport=polling").status,
        200
    );

    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(128 + 15));
}

/// What ends the session. A noop comes before it if no poll was waiting, as in Node.
fn farewell(session: &mut Session) -> String {
    match session.receive() {
        noop if noop == "6" => session.receive(),
        packet => packet,
    }
}

#[test]
fn clients_lose_their_transport_and_may_come_back() {
    let node = Node::start(&[]);
    let mut session = Session::open(node.address());
    let poll = std::thread::spawn(move || farewell(&mut session));
    node.signal(Signal::INT);
    // An Engine.IO close. A Socket.IO DISCONNECT ("41") would keep clients from reconnecting.
    assert_eq!(poll.join().expect("answer"), "1");
    node.wait_for("drained");
    let refused = try_request(node.address(), "GET", "/healthz", &[], "");
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_client_between_two_polls_is_told_too() {
    let node = Node::start(&["--drain-delay=0"]);
    let mut session = Session::open(node.address());
    node.signal(Signal::TERM);
    node.wait_for("draining");
    // Each request of this client is a connection of its own.
    assert_eq!(farewell(&mut session), "1");
    node.wait_for("drained");
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn the_grace_period_is_a_bound() {
    let node = Node::start(&["--drain-delay=0", "--drain-window=0", "--drain-grace=200ms"]);
    // Nobody polls, so this client cannot be told that it is closed.
    let _session = Session::open(node.address());
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(0));
}

/// A client over WebSocket whose session is open.
fn websocket(node: &Node) -> TcpStream {
    let mut stream = TcpStream::connect(node.address()).expect("a connection");
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).expect("an answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..count]);
    }
    stream
}

#[test]
fn the_window_is_kept_by_a_node_with_few_clients_too() {
    let window = Duration::from_secs(2);
    let node = Node::start(&["--drain-delay=0", "--drain-window=2s"]);
    let clients: Vec<TcpStream> = (0..100).map(|_| websocket(&node)).collect();
    let begin = Instant::now();
    let told = clients.into_iter().map(|mut client| {
        std::thread::spawn(move || {
            // A close frame: nothing else is sent.
            let _ = client.read(&mut [0; 64]);
            begin.elapsed()
        })
    });
    let told: Vec<_> = told.collect();
    node.signal(Signal::TERM);
    let told = told.into_iter().map(|told| told.join().expect("a time"));
    let early = told.filter(|told| *told < window / 2).count();
    // A machine that stands still makes them later.
    assert!(
        early <= 55,
        "{early} of 100 in the first half of the window"
    );
    assert_eq!(node.wait().code(), Some(0));
}
