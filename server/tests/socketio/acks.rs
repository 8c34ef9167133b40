//! Acknowledgements that clients owe.

use std::time::Duration;

use socketio_core::ids::AckId;
use socketio_server::extract::Data;
use socketio_server::{AckError, Reply, Server, Socket};

use crate::support::{serve, soon, until};

async fn first(io: &Server) -> Socket {
    until("a socket", || io.socket_count() > 0).await;
    io.sockets().remove(0)
}

#[tokio::test]
async fn an_answer_is_decoded() {
    let served = serve(Server::builder()).await;
    let mut client = served.client().await;
    let socket = first(&served.io).await;
    // Sent at once, not when it is awaited.
    let answer = socket.emit_with_ack::<_, (String, u8)>("q", "data");
    let (id, data): (AckId, String) = client.expect_question("q").await;
    assert_eq!(data, "data");
    client.answer(id, ("a", 7)).await;
    assert_eq!(soon("the answer", answer).await, Ok(("a".to_owned(), 7)));
    let wrong = socket.emit_with_ack::<_, u8>("q", ());
    let (id, ()) = client.expect_question("q").await;
    client.answer(id, "no number").await;
    assert!(matches!(
        soon("the answer", wrong).await,
        Err(AckError::Decode(_))
    ));
}

#[tokio::test]
async fn late_and_repeated_answers_are_ignored() {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    let mut client = served.client().await;
    let socket = first(&served.io).await;
    let timeout = Duration::from_millis(20);
    let answer = socket.timeout(timeout).emit_with_ack::<_, ()>("q", ());
    let (late, ()) = client.expect_question("q").await;
    assert_eq!(soon("the timeout", answer).await, Err(AckError::Timeout));
    let answer = socket.emit_with_ack::<_, u8>("q", ());
    let (id, ()) = client.expect_question("q").await;
    assert_ne!(id, late);
    client.answer(late, 1).await;
    client.answer(id, 2).await;
    client.answer(id, 3).await;
    client.answer(AckId(123_456), 4).await;
    assert_eq!(soon("the answer", answer).await, Ok(2));
    client.expect_silence().await;
}

#[tokio::test]
async fn outstanding_answers_are_bounded_and_dropping_one_makes_room() {
    let served = serve(Server::builder().max_pending_acks(2)).await;
    let _client = served.client().await;
    let socket = first(&served.io).await;
    let first = socket.emit_with_ack::<_, ()>("q", ());
    let _second = socket.emit_with_ack::<_, ()>("q", ());
    assert_eq!(
        socket.emit_with_ack::<_, ()>("q", ()).await,
        Err(AckError::TooMany)
    );
    drop(first);
    let third = socket
        .timeout(Duration::from_millis(1))
        .emit_with_ack::<_, ()>("q", ());
    assert_eq!(soon("the timeout", third).await, Err(AckError::Timeout));
}

#[tokio::test]
async fn a_disconnect_ends_the_waiting_at_once() {
    let served = serve(Server::builder()).await;
    let mut client = served.client().await;
    let socket = first(&served.io).await;
    let answer = socket.emit_with_ack::<_, ()>("q", ());
    let (_, ()) = client.expect_question("q").await;
    client.leave("/").await;
    assert_eq!(soon("the end", answer).await, Err(AckError::Disconnected));
    assert!(matches!(
        socket.emit_with_ack::<_, ()>("q", ()).await,
        Err(AckError::Emit(_))
    ));
}

#[tokio::test]
async fn the_connection_handler_may_wait_for_an_answer() {
    let served = serve(Server::builder()).await;
    served.io.on_connect(async |socket: Socket| {
        let name: String = socket.emit_with_ack("name?", ()).await.unwrap_or_default();
        socket.on("hi", async move |Data(n): Data<u8>| {
            Reply(format!("{name} {n}"))
        });
    });
    let mut client = served.client().await;
    let (id, ()) = client.expect_question("name?").await;
    client.ask(1, "hi", 5).await;
    client.answer(id, "ada").await;
    let answer: String = match client.packet().await {
        socketio_core::packet::Packet::Ack { payload, .. } => {
            payload.deserialize_args(false).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(answer, "ada 5");
}

#[tokio::test]
async fn answers_to_a_broadcast_are_collected_and_the_missing_named() {
    let served = serve(Server::builder()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(served.client().await);
    }
    let operator = served.io.timeout(Duration::from_millis(300));
    let mut acks = operator.emit_with_ack::<_, usize>("q", "x").unwrap();
    let mut silent = clients.pop().unwrap();
    let mut leaver = clients.pop().unwrap();
    for (n, client) in clients.iter_mut().enumerate() {
        let (id, _): (AckId, String) = client.expect_question("q").await;
        client.answer(id, n).await;
    }
    let mut got = Vec::new();
    for _ in 0..2 {
        let response = soon("an answer", acks.next()).await.unwrap();
        got.push((response.socket.unwrap(), response.data.unwrap()));
    }
    got.sort_by_key(|(_, n)| *n);
    assert_eq!(got[0], (clients[0].id.clone(), 0));
    assert_eq!(got[1], (clients[1].id.clone(), 1));
    leaver.expect_question::<String>("q").await;
    leaver.leave("/").await;
    until("the leaver", || acks.missing() == [leaver.id.clone()]).await;
    assert!(soon("the end", acks.next()).await.is_none());
    silent.expect_question::<String>("q").await;
    assert_eq!(acks.missing(), [leaver.id.clone(), silent.id.clone()]);
    // All together.
    let all = served.io.emit_with_ack::<_, usize>("q", "x").unwrap();
    clients.push(silent);
    for client in &mut clients {
        let (id, _): (AckId, String) = client.expect_question("q").await;
        client.answer(id, 5).await;
    }
    let all = soon("all", all.collect()).await;
    assert!(all.is_complete());
    assert_eq!(all.into_data().sum::<usize>(), 15);
}

#[tokio::test]
async fn a_broadcast_to_nobody_is_answered_at_once() {
    let served = serve(Server::builder()).await;
    let acks = served
        .io
        .to("nobody")
        .emit_with_ack::<_, ()>("q", ())
        .unwrap();
    let all = soon("nothing", acks.collect()).await;
    assert!(all.is_complete() && all.responses.is_empty());
}
