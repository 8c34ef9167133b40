//! The end of sockets: reasons, order of the handlers, what is left behind.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socketio_core::packet::Packet;
use socketio_server::{DisconnectReason, Reply, Server, ServerBuilder, Socket};
use tokio::sync::{Notify, mpsc};

use crate::support::{Served, serve, soon, until};

type Log = Arc<Mutex<Vec<String>>>;

/// Logs the end of each socket, with the rooms that it still shows.
async fn logging(builder: ServerBuilder) -> (Served, Log) {
    let served = serve(builder).await;
    let log = Log::default();
    let shared = Arc::clone(&log);
    served.io.on("sync", async || Reply(()));
    served.io.on_connect(move |socket: Socket| {
        let (ending, ended) = (Arc::clone(&shared), Arc::clone(&shared));
        async move {
            socket.join("room");
            socket.on_disconnecting(async move |socket: Socket, reason: DisconnectReason| {
                tokio::task::yield_now().await;
                assert!(!socket.connected());
                ending
                    .lock()
                    .push(format!("disconnecting {reason} {}", socket.rooms().len()));
            });
            socket.on_disconnect(async move |socket: Socket, reason: DisconnectReason| {
                ended
                    .lock()
                    .push(format!("disconnect {reason} {}", socket.rooms().len()));
            });
        }
    });
    (served, log)
}

async fn expect(log: &Log, reason: &str) {
    until("two handlers", || log.lock().len() == 2).await;
    let expected = [
        format!("disconnecting {reason} 2"),
        format!("disconnect {reason} 0"),
    ];
    assert_eq!(*log.lock(), expected);
}

#[tokio::test]
async fn a_client_leaves_the_namespace() {
    let (served, log) = logging(Server::builder()).await;
    let mut client = served.client().await;
    client.leave("/").await;
    expect(&log, "client namespace disconnect").await;
    // The connection stays, without an answer to the leave.
    client.join("/").await;
}

#[tokio::test]
async fn the_server_disconnects_a_socket() {
    let (served, log) = logging(Server::builder()).await;
    let mut client = served.client().await;
    served.io.socket(&client.id).unwrap().disconnect(false);
    assert!(matches!(client.packet().await, Packet::Disconnect { .. }));
    expect(&log, "server namespace disconnect").await;
    // What the client sent before it knew is ignored, then it may come again.
    client.emit("late", ()).await;
    client.join("/").await;
}

#[tokio::test]
async fn the_server_closes_the_connection_with_all_namespaces() {
    let (served, log) = logging(Server::builder()).await;
    let other = served.io.of("/other");
    let mut client = served.client().await;
    let main = client.id.clone();
    client.join("/other").await;
    served.io.socket(&main).unwrap().disconnect(true);
    client.expect_close().await;
    expect(&log, "server namespace disconnect").await;
    assert_eq!(other.socket_count(), 0);
}

#[tokio::test]
async fn the_client_closes_the_transport() {
    let (served, log) = logging(Server::builder()).await;
    let mut client = served.client().await;
    client.send_text("1").await;
    expect(&log, "transport close").await;
    let (served, log) = logging(Server::builder()).await;
    drop(served.client().await);
    expect(&log, "transport close").await;
}

#[tokio::test]
async fn the_client_is_silent() {
    let builder = Server::builder()
        .ping_interval(Duration::from_millis(50))
        .ping_timeout(Duration::from_millis(50));
    let (served, log) = logging(builder).await;
    let _client = served.client().await;
    expect(&log, "ping timeout").await;
}

#[tokio::test]
async fn the_client_sends_garbage() {
    let (served, log) = logging(Server::builder()).await;
    let mut client = served.client().await;
    client.send_text("4x").await;
    expect(&log, "forced close").await;
    client.expect_close().await;
}

#[tokio::test]
async fn the_server_shuts_down() {
    let (served, log) = logging(Server::builder()).await;
    let mut client = served.client().await;
    let io = served.io.clone();
    let closing = tokio::spawn(async move { io.close().await });
    // A transport close, so that the client reconnects: no DISCONNECT packet.
    assert_eq!(client.try_packet().await, None);
    drop(client);
    soon("the end", closing).await.unwrap();
    expect(&log, "server shutting down").await;
    assert_eq!(
        (served.io.socket_count(), served.io.connection_count()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_client_that_leaves_during_the_connection_handler_is_torn_down() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(4);
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    served.io.on_connect(move |socket: Socket| {
        let (tx, open) = (tx.clone(), Arc::clone(&open));
        async move {
            let _ = tx.send("set up").await;
            open.notified().await;
            socket.on_disconnect(async move || {
                let _ = tx.send("torn down").await;
            });
        }
    });
    let client = served.client().await;
    assert_eq!(soon("the handler", rx.recv()).await, Some("set up"));
    drop(client);
    until("the end", || served.io.socket_count() == 0).await;
    gate.notify_one();
    assert_eq!(soon("the end", rx.recv()).await, Some("torn down"));
}

#[tokio::test]
async fn handlers_at_work_go_on_after_the_end() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(1);
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    served.io.on("work", move || {
        let (tx, open) = (tx.clone(), Arc::clone(&open));
        async move {
            open.notified().await;
            let _ = tx.send(()).await;
        }
    });
    let mut client = served.client().await;
    client.emit("work", ()).await;
    client.send_text("1").await;
    until("the end", || served.io.connection_count() == 0).await;
    gate.notify_one();
    soon("the handler", rx.recv()).await.unwrap();
}

#[tokio::test]
async fn a_socket_held_by_its_own_handlers_is_freed() {
    let served = serve(Server::builder()).await;
    let witness = Arc::new(());
    let held = Arc::clone(&witness);
    served.io.on_connect(move |socket: Socket| {
        socket.extensions().insert(Arc::clone(&held));
        let own = socket.clone();
        socket.on("x", move || {
            let own = own.clone();
            async move { drop(own) }
        });
        let own = socket.clone();
        socket.on_disconnect(move || {
            let own = own.clone();
            async move { drop(own) }
        });
        async {}
    });
    for _ in 0..20 {
        drop(served.client().await);
    }
    until("all memory", || Arc::strong_count(&witness) == 2).await;
}

#[tokio::test]
async fn connections_come_and_go_without_a_trace() {
    let served = serve(Server::builder().cleanup_empty_child_namespaces(true)).await;
    served.io.of_pattern("^/dyn").unwrap();
    served
        .io
        .on_connect(async |socket: Socket| socket.join(["a", "b"]));
    for n in 0..100 {
        let mut client = served.open().await;
        match n % 4 {
            0 => {}
            1 => client.join("/").await,
            2 => client.join("/dyn").await,
            _ => client.join_with("/", None).await,
        }
    }
    until("the end of all", || served.io.connection_count() == 0).await;
    until("no sockets", || served.io.socket_count() == 0).await;
    assert!(served.io.local_rooms().is_empty());
    until("no children", || served.io.namespaces().len() == 1).await;
    let snapshot = served.io.metrics().snapshot();
    assert_eq!(
        (snapshot.sockets, snapshot.rooms, snapshot.outbox_bytes),
        (0, 0, 0)
    );
}
