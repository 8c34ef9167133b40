//! Sessions as the layers above and below see them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use socketio_core::engine::{CloseReason, Message, Revision};
use socketio_core::frame::{Frame, FrameOptions};
use socketio_core::ids::SocketId;
use socketio_core::websocket::close_frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::io::{Io, Kind};
use super::{Command, Conn, LINGER, Opening, POLL_LINGER};
use crate::Server;
use crate::client::ClientCommand;
use crate::handshake::Handshake;
use crate::socket::Socket;

const PATIENCE: Duration = Duration::from_secs(20);

fn open(server: &Server) -> Arc<Conn> {
    open_revision(server, Revision::V4)
}

fn handshake() -> Handshake {
    Handshake {
        headers: HeaderMap::new(),
        query: Vec::new(),
        url: String::new(),
        address: None,
        secure: false,
        xdomain: false,
        issued: SystemTime::UNIX_EPOCH,
    }
}

fn opening(revision: Revision) -> Opening {
    Opening {
        handshake: handshake(),
        revision,
        b64: false,
        id: None,
        trace: None,
    }
}

fn open_revision(server: &Server, revision: Revision) -> Arc<Conn> {
    let opened = server.engine().open_polling(opening(revision));
    opened.expect("the server is open").0
}

async fn closed(conn: &Conn) {
    let closed = async {
        while conn.is_open() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the session ends");
}

async fn end(server: &Server, conn: &Conn) {
    conn.command(Command::failed());
    timeout(PATIENCE, server.engine().closed())
        .await
        .expect("the session ends");
}

#[tokio::test]
async fn a_post_that_comes_as_the_session_ends_is_answered() {
    let server = Server::builder().build();
    let conn = open(&server);
    let post = conn.begin_post().expect("the first POST");
    end(&server, &conn).await;
    timeout(PATIENCE, post.finish(Revision::V4, Bytes::from("3"), false))
        .await
        .expect("an answer");
}

#[tokio::test]
async fn what_is_asked_of_a_session_after_its_end_does_not_keep_it() {
    let server = Server::builder().build();
    let conn = open(&server);
    let weak = Arc::downgrade(&conn);
    end(&server, &conn).await;
    // Another thread may be in the middle of `disconnect` while the session ends.
    let socket = Socket::new(
        SocketId::generate(),
        Arc::clone(&conn),
        server.of("/"),
        None,
    );
    conn.client_command(ClientCommand::Left(socket));
    drop(conn);
    assert!(weak.upgrade().is_none(), "the inbox holds its own session");
}

#[tokio::test]
async fn an_event_of_revision_3_may_come_before_the_first_turn() {
    let server = Server::builder().build();
    let conn = open_revision(&server, Revision::V3);
    let mut client = server.new_client(&conn);
    let outcome = client.handle_message(Message::Text("2[\"early\"]".into()));
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn nothing_follows_the_close_frame() {
    let server = Server::builder().build();
    let opened = server.engine().open_websocket(opening(Revision::V4));
    let conn = server.engine().sessions.all().remove(0);
    // So small that what is sent stays in the outbox until the peer reads.
    let (mut peer, stream) = tokio::io::duplex(64);
    let io = Io {
        kind: Kind::Other(Box::pin(stream)),
        place: None,
    };
    opened.expect("the server is open").attach(io, Bytes::new());
    let text = |text: &str| Frame::message(text, &[], FrameOptions::default());
    conn.send(&text(&"x".repeat(1_000)), false);
    let goodbye = close_frame(Some(1000), "", Some([1, 2, 3, 4]));
    peer.write_all(&goodbye).await.expect("written");
    closed(&conn).await;
    // A fan-out on another thread may have chosen this session just before its end.
    conn.send(&text("late"), false);
    let mut bytes = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut bytes))
        .await
        .expect("an end")
        .expect("read");
    let last = close_frame(None, "", None);
    assert!(bytes.ends_with(&last), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_opens_while_all_are_closed_is_closed_too() {
    for _ in 0..300 {
        let server = Server::builder().build();
        let start = Arc::new(tokio::sync::Barrier::new(2));
        let (opener, ready) = (server.clone(), Arc::clone(&start));
        let task = tokio::spawn(async move {
            ready.wait().await;
            while opener.engine().open_polling(opening(Revision::V4)).is_ok() {}
        });
        start.wait().await;
        server.engine().close_all(Duration::ZERO).await;
        task.await.expect("refused at last");
        for conn in server.engine().sessions.all() {
            closed(&conn).await;
        }
    }
}

#[tokio::test]
async fn the_timers_keep_nothing_of_a_session_that_has_ended() {
    let server = Server::builder().build();
    let conn = open(&server);
    let armed = async {
        while Arc::weak_count(&conn) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, armed).await.expect("a deadline is armed");
    assert_eq!(Arc::weak_count(&conn), 1);
    end(&server, &conn).await;
    assert_eq!(Arc::weak_count(&conn), 0);
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_that_is_gone_does_not_hold_up_the_end() {
    let server = Server::builder().build();
    let conn = open(&server);
    let start = tokio::time::Instant::now();
    server.close().await;
    assert!(start.elapsed() <= LINGER + Duration::from_millis(20));
    assert!(conn.outbox().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_is_waited_for_when_its_connection_is_closed() {
    let server = Server::builder().build();
    let conn = open(&server);
    let start = tokio::time::Instant::now();
    conn.close(CloseReason::ForcedClose);
    server.engine().closed().await;
    assert!(start.elapsed() >= POLL_LINGER);
}
