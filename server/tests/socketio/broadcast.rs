//! Operators: whom they reach, in which order, and what happens to slow clients.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use socketio_server::extract::Data;
use socketio_server::{AckError, DisconnectReason, Reply, Room, RoomEvent, Server, Socket};
use tokio::sync::mpsc;

use crate::support::{Client, Served, serve, soon, until};

async fn with_sync() -> Served {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    served.io.on(
        "join",
        async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.join(rooms);
            Reply(())
        },
    );
    served
}

async fn in_rooms(served: &Served, rooms: &[&str]) -> Client {
    let mut client = served.client().await;
    let () = client.call("join", (rooms,)).await;
    client
}

#[tokio::test]
async fn a_socket_in_several_targeted_rooms_gets_one_copy() {
    let served = with_sync().await;
    let mut both = in_rooms(&served, &["a", "b"]).await;
    let mut one = in_rooms(&served, &["a"]).await;
    let mut none = in_rooms(&served, &["c"]).await;
    served.io.to(["a", "b"]).to("a").emit("x", 1).unwrap();
    assert_eq!(both.expect::<u8>("x").await, 1);
    assert_eq!(one.expect::<u8>("x").await, 1);
    for client in [&mut both, &mut one, &mut none] {
        client.expect_silence().await;
    }
    served.io.except("b").emit("y", ()).unwrap();
    one.expect::<()>("y").await;
    none.expect::<()>("y").await;
    both.expect_silence().await;
}

#[tokio::test]
async fn operators_of_a_socket_leave_it_out() {
    let served = with_sync().await;
    let mut sender = in_rooms(&served, &["a"]).await;
    let mut peer = in_rooms(&served, &["a"]).await;
    let mut other = in_rooms(&served, &[]).await;
    let socket = served.io.socket(&sender.id).unwrap();
    socket.to("a").emit("to", ()).unwrap();
    socket.broadcast().emit("broadcast", ()).unwrap();
    socket.except("a").emit("except", ()).unwrap();
    socket.local().emit("local", ()).unwrap();
    socket.within("a").emit("within", ()).unwrap();
    socket.compress(false).to(&other.id).emit("id", ()).unwrap();
    for event in ["to", "broadcast", "local", "within"] {
        peer.expect::<()>(event).await;
    }
    for event in ["broadcast", "except", "local", "id"] {
        other.expect::<()>(event).await;
    }
    sender.expect::<()>("within").await;
    for client in [&mut sender, &mut peer, &mut other] {
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn direct_emits_and_broadcasts_arrive_in_the_order_of_the_calls() {
    let served = with_sync().await;
    let mut client = served.client().await;
    let socket = served.io.socket(&client.id).unwrap();
    for n in 0..300_u32 {
        match n % 3 {
            0 => socket.emit("n", n).unwrap(),
            1 => served.io.emit("n", n).unwrap(),
            _ => served
                .io
                .to(&client.id)
                .emit("n", (n, Bytes::from_static(b"bytes")))
                .unwrap(),
        }
    }
    for n in 0..300 {
        assert_eq!(client.expect::<u32>("n").await, n);
    }
}

#[tokio::test]
async fn ten_thousand_emits_in_one_go_all_arrive() {
    let served = with_sync().await;
    let mut client = served.client().await;
    let socket = served.io.socket(&client.id).unwrap();
    for n in 0..10_000_u32 {
        socket
            .emit("n", (n, "some text to make it heavier"))
            .unwrap();
    }
    for n in 0..10_000 {
        assert_eq!(client.expect::<u32>("n").await, n);
    }
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_its_handlers_run_at_once() {
    let served = serve(Server::builder().max_outbox_bytes(1 << 20)).await;
    served.io.on("sync", async || Reply(()));
    let (tx, mut rx) = mpsc::channel(1);
    served
        .io
        .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            let tx = tx.clone();
            async move { drop(tx.send((socket.id().clone(), reason)).await) }
        });
    let mut healthy = served.client().await;
    // Never reads from here on.
    let slow = served.client().await;
    let blob = "x".repeat(64 * 1024);
    let mut sent = 0;
    while served.io.socket_count() == 2 {
        served.io.emit("blob", &blob).unwrap();
        healthy.expect::<String>("blob").await;
        sent += 1;
        assert!(
            sent < 2_000,
            "a client that reads nothing holds {sent} blobs"
        );
    }
    let (id, reason) = soon("the disconnect", rx.recv()).await.unwrap();
    assert_eq!(
        (id, reason),
        (slow.id.clone(), DisconnectReason::OutboxOverflow)
    );
    until("the end of its session", || {
        served.io.connection_count() == 1
    })
    .await;
    healthy.expect_silence().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_can_be_kicked() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(1);
    served.io.on_disconnect(move |reason: DisconnectReason| {
        let tx = tx.clone();
        async move {
            let _ = tx.send(reason).await;
        }
    });
    let slow = served.client().await;
    let socket = served.io.socket(&slow.id).unwrap();
    socket.join("room");
    let blob = "x".repeat(64 * 1024);
    for _ in 0..100 {
        socket.emit("blob", &blob).unwrap();
    }
    socket.disconnect(false);
    assert!(served.io.room_members("room").is_empty());
    assert_eq!(served.io.socket_count(), 0);
    assert!(!socket.connected() && socket.emit("x", ()).is_err());
    let reason = soon("the disconnect", rx.recv()).await.unwrap();
    assert_eq!(reason, DisconnectReason::ServerNamespaceDisconnect);
}

#[tokio::test]
async fn volatile_events_arrive_when_the_client_is_ready() {
    let served = with_sync().await;
    let mut client = served.client().await;
    let socket = served.io.socket(&client.id).unwrap();
    socket.volatile().emit("v", 1).unwrap();
    assert_eq!(client.expect::<u8>("v").await, 1);
    served.io.volatile().emit("v", 2).unwrap();
    assert_eq!(client.expect::<u8>("v").await, 2);
}

#[tokio::test]
async fn volatile_events_are_dropped_when_the_client_is_not_ready() {
    let served = serve(Server::builder().max_outbox_bytes(1 << 20)).await;
    let client = served.client().await;
    let socket = served.io.socket(&client.id).unwrap();
    let blob = "x".repeat(64 * 1024);
    // Far more than all buffers hold; nothing of it counts against the client.
    for _ in 0..1_000 {
        socket.volatile().emit("blob", &blob).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(socket.connected());
}

#[tokio::test]
async fn joins_and_leaves_go_on_during_a_fan_out() {
    let served = with_sync().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(in_rooms(&served, &["room"]).await);
    }
    let joiner = served.client().await;
    let socket = served.io.socket(&joiner.id).unwrap();
    // From within a fan-out, where a lock held over it would never be free.
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let inside = socket.clone();
    served
        .io
        .socket(&clients[0].id)
        .unwrap()
        .on_any_outgoing(move |_: &str, _: &_| {
            inside.join("room");
            inside.leave("room");
            inside.join("room");
            *count.lock() += 1;
        });
    served.io.to("room").emit("x", ()).unwrap();
    for client in &mut clients {
        client.expect::<()>("x").await;
    }
    assert_eq!(*seen.lock(), 1);
    assert_eq!(served.io.room_members("room").len(), 9);
}

#[tokio::test]
async fn sockets_are_fetched_moved_and_disconnected_by_operators() {
    let served = with_sync().await;
    let mut a = in_rooms(&served, &["a"]).await;
    let mut b = in_rooms(&served, &["b"]).await;
    served
        .io
        .socket(&a.id)
        .unwrap()
        .set_data(serde_json::json!({"name": "ada"}))
        .unwrap();
    let found = served.io.to("a").fetch_sockets().await.unwrap();
    assert_eq!(found.len(), 1);
    let remote = &found[0];
    assert_eq!(remote.id, a.id);
    assert_eq!(remote.data::<serde_json::Value>().unwrap()["name"], "ada");
    let mut rooms: Vec<&str> = remote.rooms.iter().map(|room| room.as_str()).collect();
    rooms.sort_unstable_by_key(|room| *room == "a");
    assert_eq!(rooms, [a.id.as_str(), "a"]);
    assert_eq!(
        remote.handshake.query[0],
        ("EIO".to_owned(), "4".to_owned())
    );
    remote.emit("hello", 1).unwrap();
    assert_eq!(a.expect::<u8>("hello").await, 1);
    let remote = remote.clone();
    let asked = tokio::spawn(async move {
        remote
            .emit_with_ack::<_, u8>("q", (), Duration::from_secs(20))
            .await
    });
    let (id, ()) = a.expect_question("q").await;
    a.answer(id, 9).await;
    assert_eq!(asked.await.unwrap(), Ok(9));

    assert_eq!(served.io.fetch_sockets().await.unwrap().len(), 2);
    served.io.to("b").join(["c", "d"]).unwrap();
    served.io.to("c").leave("b").unwrap();
    assert_eq!(served.io.room_members("d"), [b.id.clone()]);
    assert!(served.io.room_members("b").is_empty());
    found[0].join("c").unwrap();
    served.io.to("c").disconnect(true).unwrap();
    a.expect_close().await;
    b.expect_close().await;
    assert_eq!(served.io.socket_count(), 0);
    let gone = found[0]
        .emit_with_ack::<_, u8>("q", (), Duration::from_millis(10))
        .await;
    assert_eq!(gone, Err(AckError::Timeout));
}

#[tokio::test]
async fn room_events_tell_what_happens() {
    let served = with_sync().await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    served
        .io
        .on_room_event(move |event: &RoomEvent| log.lock().push(event.clone()));
    let mut a = in_rooms(&served, &["r"]).await;
    let b = in_rooms(&served, &["r"]).await;
    a.leave("/").await;
    until("the end", || served.io.socket_count() == 1).await;
    served.io.socket(&b.id).unwrap().leave("r");
    let (own_a, own_b, r) = (Room::from(&a.id), Room::from(&b.id), Room::from("r"));
    let expected = [
        RoomEvent::Created(own_a.clone()),
        RoomEvent::Joined(own_a.clone(), a.id.clone()),
        RoomEvent::Created(r.clone()),
        RoomEvent::Joined(r.clone(), a.id.clone()),
        RoomEvent::Created(own_b.clone()),
        RoomEvent::Joined(own_b.clone(), b.id.clone()),
        RoomEvent::Joined(r.clone(), b.id.clone()),
        RoomEvent::Left(own_a.clone(), a.id.clone()),
        RoomEvent::Deleted(own_a.clone()),
        RoomEvent::Left(r.clone(), a.id.clone()),
        RoomEvent::Left(r.clone(), b.id.clone()),
        RoomEvent::Deleted(r.clone()),
    ];
    until("all events", || events.lock().len() == expected.len()).await;
    assert_eq!(*events.lock(), expected);
}
