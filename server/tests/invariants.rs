//! Invariants of the design that no other test shows, and faults that were found by looking for them.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_support::serve::{Served, serve, server, target, websocket_request};
use http_support::{PATIENCE, Raw};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socketio_core::websocket::{OpCode, frame};
use socketio_server::extract::{Ack, Data};
use socketio_server::{DisconnectReason, RoomEvent, Server, Socket};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A polling session that has joined the main namespace, and the connection it polls on.
async fn joined(served: &Served) -> (String, Raw) {
    let target = target(&served.open().await);
    let mut raw = served.connect().await;
    assert_eq!(raw.post(&target, "40").await.text(), "ok");
    let answer = raw.get(&target).await;
    assert!(answer.text().starts_with("40{\"sid\":\""), "{answer:?}");
    (target, raw)
}

/// A WebSocket that wants to take over the session of `target`.
async fn candidate(served: &Served, target: &str) -> Raw {
    let query = target
        .trim_start_matches("/socket.io/?")
        .replace("polling", "websocket");
    let (socket, answer) = served.websocket(&query, "").await;
    assert_eq!(answer.status, 101);
    socket
}

async fn upgraded(served: &Served, target: &str) -> Raw {
    let mut socket = candidate(served, target).await;
    socket.send_text("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send_text("5").await;
    // Once this is answered the upgrade is over.
    socket.send_text("42[\"say\",\"there\"]").await;
    until_text(&mut socket, "42[\"said\",\"there\"]").await;
    socket
}

/// Reads up to `text`; noops on the way are nobody's business.
async fn until_text(socket: &mut Raw, text: &str) {
    loop {
        let next = socket.text().await;
        if next == text {
            return;
        }
        assert_eq!(next, "6");
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn a_get_that_waits_while_the_upgrade_completes_is_answered() {
    let served = serve(|_| {}).await;
    let (target, mut poll) = joined(&served).await;
    let mut socket = candidate(&served, &target).await;
    poll.request("GET", &target, "", b"").await;
    socket.send_text("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    // A client should have waited for its GET to end first.
    socket.send_text("5").await;
    socket.send_text("42[\"say\",\"a\"]").await;
    until_text(&mut socket, "42[\"said\",\"a\"]").await;
    assert_eq!(poll.answer().await.text(), "6");
    drop(poll);
    socket.send_text("42[\"say\",\"b\"]").await;
    until_text(&mut socket, "42[\"said\",\"b\"]").await;
}

#[tokio::test]
async fn a_post_under_way_while_the_upgrade_completes_is_dispatched() {
    let served = serve(|_| {}).await;
    let (target, _poll) = joined(&served).await;
    let mut post = served.connect().await;
    let body = "42[\"say\",\"posted\"]";
    post.send(&format!(
        "POST {target} HTTP/1.1\nHost: test\nContent-Length: {}\n\n",
        body.len()
    ))
    .await;
    post.send(&body[..4]).await;
    let mut socket = upgraded(&served, &target).await;
    post.send(&body[4..]).await;
    assert_eq!(post.answer().await.text(), "ok");
    until_text(&mut socket, "42[\"said\",\"posted\"]").await;
}

#[tokio::test]
async fn a_post_given_up_after_the_upgrade_does_not_end_the_session() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let served = serve(|_| {}).await;
    let log = Arc::clone(&reasons);
    served
        .server
        .on_disconnect(move |reason: DisconnectReason| {
            log.lock().push(reason);
            async {}
        });
    let (target, poll) = joined(&served).await;
    let mut post = served.connect().await;
    post.send(&format!(
        "POST {target} HTTP/1.1\nHost: test\nContent-Length: 100\n\n42["
    ))
    .await;
    let mut socket = upgraded(&served, &target).await;
    drop((post, poll));
    for n in 0..50 {
        socket.send_text(&format!("42[\"say\",\"{n}\"]")).await;
        until_text(&mut socket, &format!("42[\"said\",\"{n}\"]")).await;
    }
    assert_eq!(*reasons.lock(), []);
}

#[tokio::test]
async fn a_candidate_that_reads_nothing_is_dropped() {
    let served = serve(|options| options.upgrade_timeout = Duration::from_secs(600)).await;
    let (target, mut poll) = joined(&served).await;
    let mut socket = candidate(&served, &target).await;
    // WebSocket pings with 125 bytes, each to be answered.
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend([0; 125]);
    let pings = ping.repeat(1_000);
    let outcome = timeout(PATIENCE, async {
        for _ in 0..500 {
            socket.stream.write_all(&pings).await?;
        }
        Ok::<(), std::io::Error>(())
    });
    let outcome = outcome.await.expect("the candidate is read or dropped");
    assert!(outcome.is_err(), "65 MB of answers are kept for it");
    // The session goes on, and takes another one.
    assert_eq!(poll.post(&target, "42[\"say\",\"x\"]").await.text(), "ok");
    assert_eq!(poll.get(&target).await.text(), "42[\"said\",\"x\"]");
    upgraded(&served, &target).await;
}

/// A connection to `server` in memory, for tests whose clock stands still while anybody has something to do.
fn in_memory(server: &Server) -> Raw<DuplexStream> {
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), server.service())
        .with_upgrades();
    tokio::spawn(connection);
    Raw::over(client)
}

#[tokio::test(start_paused = true)]
async fn slow_handlers_at_the_bound_do_not_cost_the_client_its_heartbeat() {
    let server = server(|options| {
        options.max_pending_handlers = 1;
        options.ping_interval = Duration::from_millis(200);
        options.ping_timeout = Duration::from_millis(200);
    });
    server.on("slow", async |socket: Socket, Data(n): Data<u32>| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = socket.emit("done", n);
    });
    let mut socket = in_memory(&server);
    let request = websocket_request("EIO=4&transport=websocket", "");
    socket.send(&request).await;
    assert_eq!(socket.answer().await.status, 101);
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    for n in 0..30 {
        socket.send_text(&format!("42[\"slow\",{n}]")).await;
    }
    let start = tokio::time::Instant::now();
    let mut done = 0;
    while done < 30 {
        match socket.text().await.as_str() {
            // The pong waits behind the events.
            "2" => socket.send_text("3").await,
            text => {
                assert_eq!(text, format!("42[\"done\",{done}]"));
                done += 1;
            }
        }
    }
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "several heartbeats"
    );
}

#[tokio::test]
async fn handlers_that_wait_for_each_other_beyond_the_bound_end_by_the_heartbeat() {
    let served = serve(|options| {
        options.max_pending_handlers = 1;
        options.ping_interval = Duration::from_millis(100);
        options.ping_timeout = Duration::from_millis(100);
    })
    .await;
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reasons);
    served
        .server
        .on_disconnect(move |reason: DisconnectReason| {
            log.lock().push(reason);
            async {}
        });
    let answers = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&answers);
    served.server.on("ask", move |socket: Socket| {
        let log = Arc::clone(&log);
        async move {
            // The answer is behind another event, which is not read while this one is at work.
            let answer = socket.emit_with_ack::<_, u32>("question", ()).await;
            log.lock().push(answer.is_ok());
        }
    });
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    socket.send_text("42[\"ask\"]").await;
    socket.send_text("42[\"ask\"]").await;
    until("the disconnect", || !reasons.lock().is_empty()).await;
    assert_eq!(*reasons.lock(), [DisconnectReason::PingTimeout]);
    until("the end of the handler", || !answers.lock().is_empty()).await;
    assert_eq!(*answers.lock(), [false]);
}

#[tokio::test]
async fn events_that_waited_are_dropped_when_the_socket_was_disconnected() {
    let served = serve(|_| {}).await;
    let (go, wait) = tokio::sync::watch::channel(false);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    served.server.on_connect(move |socket: Socket| {
        let mut wait = wait.clone();
        let log = Arc::clone(&log);
        async move {
            let _ = wait.wait_for(|go| *go).await;
            socket.on("early", move || {
                log.lock().push("early");
                async {}
            });
            socket.disconnect(false);
        }
    });
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    socket.send_text("42[\"early\"]").await;
    // Told to another namespace, so that the event before it has been read.
    socket.send_text("40/other,").await;
    assert!(socket.text().await.starts_with("44/other,"));
    go.send(true).unwrap();
    assert_eq!(socket.text().await, "41");
    socket.send_text("40/other,").await;
    assert!(socket.text().await.starts_with("44/other,"));
    assert_eq!(*seen.lock(), <[&str; 0]>::default());
}

#[tokio::test]
async fn disconnect_handlers_of_every_slow_connection_handler_run() {
    let served = serve(|_| {}).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let (go, wait) = tokio::sync::watch::channel(0);
    for number in 1..=2 {
        let (log, wait) = (Arc::clone(&log), wait.clone());
        served.server.on_connect(move |socket: Socket| {
            let (log, mut wait) = (Arc::clone(&log), wait.clone());
            async move {
                let _ = wait.wait_for(|go| *go >= number).await;
                socket.on_disconnect(move || {
                    log.lock().push(number);
                    async {}
                });
            }
        });
    }
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    drop(socket);
    until("the end of the session", || {
        served.server.connection_count() == 0
    })
    .await;
    go.send(1).unwrap();
    until("the first handler", || log.lock().len() == 1).await;
    go.send(2).unwrap();
    until("the second handler", || log.lock().len() == 2).await;
    assert_eq!(*log.lock(), [1, 2]);
}

#[tokio::test]
async fn disconnect_handlers_added_behind_a_disconnect_run_and_free_the_socket() {
    let served = serve(|_| {}).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let runs = Arc::clone(&log);
    served.server.on_connect(move |socket: Socket| {
        let log = Arc::clone(&runs);
        async move {
            socket.disconnect(false);
            socket.on_disconnect(move || {
                log.lock().push("run");
                async {}
            });
        }
    });
    let alive = Arc::new(());
    let weak = Arc::downgrade(&alive);
    let count = weak.clone();
    served.server.on_connect(move |socket: Socket| {
        socket.extensions().insert(Guard(count.upgrade()));
        async {}
    });
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    assert_eq!(socket.text().await, "41");
    until("the handler", || *log.lock() == ["run"]).await;
    drop((socket, alive));
    until("the end of the socket", || weak.strong_count() == 0).await;
}

#[tokio::test]
async fn a_disconnect_handler_that_never_ends_holds_up_no_other() {
    let served = serve(|_| {}).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&log);
    served.server.on_disconnect(move || {
        shared.lock().push("namespace");
        async {}
    });
    let own = Arc::clone(&log);
    served.server.on_connect(move |socket: Socket| {
        let log = Arc::clone(&own);
        async move {
            socket.on_disconnect(std::future::pending::<()>);
            socket.on_disconnect(move || {
                log.lock().push("socket");
                async {}
            });
        }
    });
    drop(on_websocket(&served).await);
    until("the other handlers", || log.lock().len() == 2).await;
    assert_eq!(*log.lock(), ["socket", "namespace"]);
}

#[tokio::test]
async fn handlers_at_the_bound_do_not_cost_another_namespace_its_early_events() {
    let served = serve(|options| options.max_pending_handlers = 2).await;
    let (go, wait) = tokio::sync::watch::channel(false);
    let slow = wait.clone();
    let running = Arc::new(Mutex::new(0));
    let count = Arc::clone(&running);
    served.server.on("slow", move || {
        let mut slow = slow.clone();
        let count = Arc::clone(&count);
        async move {
            *count.lock() += 1;
            let _ = slow.wait_for(|go| *go).await;
        }
    });
    served.server.of("/late").on_connect(move |socket: Socket| {
        let mut wait = wait.clone();
        async move {
            let _ = wait.wait_for(|go| *go).await;
            socket.on("early", async |socket: Socket, Data(n): Data<u32>| {
                let _ = socket.emit("got", n);
            });
        }
    });
    let mut socket = on_websocket(&served).await;
    socket.send_text("40/late,").await;
    assert!(socket.text().await.starts_with("40/late,"));
    for text in ["42/late,[\"early\",7]", "42[\"slow\"]", "42[\"slow\"]"] {
        socket.send_text(text).await;
    }
    until("the bound", || *running.lock() == 2).await;
    go.send(true).unwrap();
    assert_eq!(socket.text().await, "42/late,[\"got\",7]");
}

#[tokio::test]
async fn connection_handlers_of_a_client_that_comes_and_goes_are_bounded() {
    const TIMES: usize = 4_000;
    let served = serve(|_| {}).await;
    let (go, wait) = tokio::sync::watch::channel(false);
    let started = Arc::new(Mutex::new(0));
    let count = Arc::clone(&started);
    served.server.of("/slow").on_connect(move || {
        let mut wait = wait.clone();
        let count = Arc::clone(&count);
        async move {
            *count.lock() += 1;
            let _ = wait.wait_for(|go| *go).await;
        }
    });
    let mut socket = on_websocket(&served).await;
    let once = [masked("40/slow,"), masked("41/slow,")].concat();
    socket.send_bytes(&once.repeat(TIMES)).await;
    until("the bound", || *started.lock() >= 1_000).await;
    let mut other = on_websocket(&served).await;
    for _ in 0..50 {
        other.send_text("42[\"say\",\"x\"]").await;
        assert_eq!(other.text().await, "42[\"said\",\"x\"]");
    }
    let at_work = *started.lock();
    assert!(at_work < 2_000, "{at_work} handlers of one client");
    go.send(true).unwrap();
    until("all of them", || *started.lock() == TIMES).await;
}

/// Shows by its end that the socket it was attached to is gone.
#[derive(Clone)]
struct Guard(#[expect(dead_code, reason = "held for its count")] Option<Arc<()>>);

/// A WebSocket that has joined the main namespace.
async fn on_websocket(served: &Served) -> Raw {
    let (mut socket, _) = served.websocket("EIO=4&transport=websocket", "").await;
    assert!(socket.text().await.starts_with('0'));
    socket.send_text("40").await;
    assert!(socket.text().await.starts_with("40"));
    socket
}

/// A masked text frame.
fn masked(text: &str) -> Vec<u8> {
    frame(OpCode::Text, text.as_bytes(), Some([1, 2, 3, 4])).to_vec()
}

#[tokio::test]
async fn answers_to_a_burst_leave_while_it_is_read() {
    // The answers to all of it would not fit, but the client takes them.
    let served = serve(|options| options.max_outbox_bytes = 1 << 20).await;
    served
        .server
        .on("ask", async |ack: Ack, Data(n): Data<u32>| ack.send(n));
    let mut socket = on_websocket(&served).await;
    let burst: Vec<u8> = (0..20_000)
        .flat_map(|n| masked(&format!("42{n}[\"ask\",{n}]")))
        .collect();
    socket.send_bytes(&burst).await;
    for n in 0..20_000 {
        assert_eq!(socket.text().await, format!("43{n}[{n}]"));
    }
}

#[tokio::test]
async fn a_panicking_listener_costs_nobody_his_handlers() {
    let served = serve(|_| {}).await;
    served.server.on_room_event(|event: &RoomEvent| {
        if matches!(event, RoomEvent::Left(..)) {
            panic!("a listener of rooms");
        }
    });
    let log = Arc::new(Mutex::new(Vec::new()));
    for nsp in ["/", "/second"] {
        let log = Arc::clone(&log);
        served.server.of(nsp).on_disconnect(move |socket: Socket| {
            log.lock().push(socket.namespace().name().to_owned());
            async {}
        });
    }
    let mut socket = on_websocket(&served).await;
    socket.send_text("40/second,").await;
    assert!(socket.text().await.starts_with("40/second,"));
    drop(socket);
    until("both handlers", || log.lock().len() == 2).await;
    assert_eq!(served.server.of("/second").socket_count(), 0);
    // A listener of outgoing events runs where somebody else sends.
    let mut socket = on_websocket(&served).await;
    let mut other = on_websocket(&served).await;
    for socket in served.server.sockets() {
        socket.on_any_outgoing(|_: &str, _: &_| panic!("a listener of events"));
    }
    served.server.emit("news", 1).unwrap();
    assert_eq!(socket.text().await, "42[\"news\",1]");
    assert_eq!(other.text().await, "42[\"news\",1]");
}

#[tokio::test]
async fn five_hundred_events_in_one_body_start_in_order() {
    let served = serve(|_| {}).await;
    let started = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&started);
    served.server.on("work", move |Data(n): Data<u32>| {
        let log = Arc::clone(&log);
        async move {
            log.lock().push(n);
            // Some end at once, others later: that must not matter.
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
        }
    });
    let (target, mut poll) = joined(&served).await;
    let events: Vec<_> = (0..500).map(|n| format!("42[\"work\",{n}]")).collect();
    assert_eq!(
        poll.post(&target, &events.join("\u{1e}")).await.text(),
        "ok"
    );
    assert_eq!(*started.lock(), (0..500).collect::<Vec<_>>());
}

/// Three bytes as base64, which then has no padding.
fn base64(bytes: [u8; 3]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let all = bytes
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    let digits = (0..4)
        .rev()
        .map(|at| char::from(DIGITS[all >> (6 * at) & 63]));
    digits.collect()
}

/// What number `n` carries.
fn attachment(n: u32) -> [u8; 3] {
    [1, (n >> 8) as u8, n as u8]
}

fn binary_event(name: &str, n: u32) -> String {
    format!("451-[\"{name}\",{n},{{\"_placeholder\":true,\"num\":0}}]")
}

/// What the server sent: each packet, attachments in the text form of polling.
#[derive(Default)]
struct Inbound {
    packets: Vec<String>,
}

impl Inbound {
    fn payload(&mut self, body: &str) {
        self.packets.extend(body.split('\u{1e}').map(str::to_owned));
    }

    async fn frame(&mut self, socket: &mut Raw) {
        let (first, payload) = socket.frame().await;
        self.packets.push(match first {
            0x81 => String::from_utf8(payload).unwrap(),
            0x82 => format!("b{}", base64(payload.try_into().unwrap())),
            other => panic!("a frame of kind {other:#x}"),
        });
    }

    fn count(&self, name: &str) -> usize {
        let start = format!("451-[\"{name}\"");
        self.packets
            .iter()
            .filter(|packet| packet.starts_with(&start))
            .count()
    }

    /// All events of this name, in order, each with its attachment right behind it.
    fn assert_order(&self, name: &str, count: u32) {
        let start = format!("451-[\"{name}\"");
        let mut n = 0;
        for pair in self.packets.windows(2) {
            if pair[0].starts_with(&start) {
                assert_eq!(pair[0], binary_event(name, n));
                assert_eq!(pair[1], format!("b{}", base64(attachment(n))), "{name} {n}");
                n += 1;
            }
        }
        assert_eq!(n, count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_traffic_both_ways_loses_and_reorders_nothing() {
    const TICKS: u32 = 2_000;
    const ECHOES: u32 = 300;
    let served = serve(|_| {}).await;
    served.server.on(
        "echo",
        async |socket: Socket, Data((n, data)): Data<(u32, Bytes)>| {
            let _ = socket.emit("echoed", (n, data));
        },
    );
    let (target, mut poll) = joined(&served).await;
    let mut inbound = Inbound::default();
    let server = served.server.clone();
    // Each permit lets eight go, so that there are some before, during and after the upgrade.
    let pace = Arc::new(Semaphore::new(0));
    let paced = Arc::clone(&pace);
    let ticker = tokio::spawn(async move {
        for n in 0..TICKS {
            if n % 8 == 0 {
                paced.acquire().await.unwrap().forget();
            }
            let data = Bytes::copy_from_slice(&attachment(n));
            server.emit("tick", (n, data)).unwrap();
        }
    });
    let mut post = served.connect().await;
    let mut sent = 0;
    let mut socket = candidate(&served, &target).await;
    let mut probed = false;
    while sent < 100 {
        let body: Vec<_> = (sent..sent + 10)
            .flat_map(|n| {
                [
                    binary_event("echo", n),
                    format!("b{}", base64(attachment(n))),
                ]
            })
            .collect();
        sent += 10;
        pace.add_permits(5);
        poll.request("GET", &target, "", b"").await;
        assert_eq!(post.post(&target, &body.join("\u{1e}")).await.text(), "ok");
        inbound.payload(poll.answer().await.text());
        if sent == 50 {
            // From here on the probe phase, in which data still goes by polling.
            socket.send_text("2probe").await;
        }
        if sent > 50 && !probed {
            assert_eq!(socket.text().await, "3probe");
            probed = true;
        }
    }
    assert!(inbound.count("tick") > 0, "traffic before the upgrade");
    // The end of the upgrade and the first events behind it in one segment.
    let mut segment = masked("5");
    let queue = |segment: &mut Vec<u8>, n: u32| {
        segment.extend(masked(&binary_event("echo", n)));
        segment.extend_from_slice(&frame(OpCode::Binary, &attachment(n), Some([9, 8, 7, 6])));
    };
    while sent < ECHOES {
        queue(&mut segment, sent);
        sent += 1;
        if sent % 50 == 0 {
            pace.add_permits(25);
            socket.send_bytes(&segment).await;
            segment.clear();
            for _ in 0..20 {
                inbound.frame(&mut socket).await;
            }
        }
    }
    pace.add_permits(TICKS as usize);
    while inbound
        .packets
        .last()
        .is_none_or(|last| !last.starts_with('b'))
        || inbound.count("tick") < TICKS as usize
        || inbound.count("echoed") < ECHOES as usize
    {
        inbound.frame(&mut socket).await;
    }
    ticker.await.unwrap();
    inbound.assert_order("tick", TICKS);
    inbound.assert_order("echoed", ECHOES);
}

#[tokio::test]
async fn a_slow_reader_that_was_closed_leaves_no_memory_behind() {
    let served = serve(|options| options.max_outbox_bytes = 1 << 20).await;
    let alive = Arc::new(());
    let weak = Arc::downgrade(&alive);
    let count = weak.clone();
    served.server.on_connect(move |socket: Socket| {
        socket.extensions().insert(Guard(count.upgrade()));
        async {}
    });
    // Stays open, and is not read.
    let _slow = on_websocket(&served).await;
    drop(alive);
    let blob = "x".repeat(64 * 1024);
    for _ in 0..2_000 {
        if served.server.socket_count() == 0 {
            break;
        }
        served.server.emit("blob", &blob).unwrap();
        tokio::task::yield_now().await;
    }
    until("the end of its session", || {
        served.server.connection_count() == 0
    })
    .await;
    until("the end of its socket", || weak.strong_count() == 0).await;
}

#[tokio::test]
async fn clients_that_read_nothing_do_not_hold_up_the_end() {
    let served = serve(|_| {}).await;
    let _deaf = on_websocket(&served).await;
    let blob = "x".repeat(64 * 1024);
    for _ in 0..200 {
        served.server.emit("blob", &blob).unwrap();
    }
    timeout(PATIENCE, served.server.close())
        .await
        .expect("the end of the server");
    assert_eq!(served.server.connection_count(), 0);
}
