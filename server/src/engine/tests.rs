//! Sessions as the layers above and below see them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use socketio_core::engine::{Message, Revision};
use socketio_core::ids::SocketId;
use tokio::time::timeout;

use super::{Command, Conn};
use crate::Server;
use crate::client::ClientCommand;
use crate::handshake::Handshake;
use crate::socket::Socket;

const PATIENCE: Duration = Duration::from_secs(20);

fn open(server: &Server) -> Arc<Conn> {
    open_revision(server, Revision::V4)
}

fn open_revision(server: &Server, revision: Revision) -> Arc<Conn> {
    let handshake = Handshake {
        headers: HeaderMap::new(),
        query: Vec::new(),
        url: String::new(),
        address: None,
        secure: false,
        xdomain: false,
        issued: SystemTime::UNIX_EPOCH,
    };
    let opened = server.engine().open_polling(handshake, revision, false);
    opened.expect("the server is open").0
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
