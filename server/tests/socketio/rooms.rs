//! Joining: whose rooms are whose, and when.

use std::collections::BTreeSet;
use std::sync::mpsc;

use socketio_server::{Room, Server, ServerBuilder, Socket};

use crate::support::{Client, Served, serve};

async fn two(builder: ServerBuilder) -> (Served, Client, Client) {
    let served = serve(builder).await;
    let first = served.client().await;
    let second = served.client().await;
    (served, first, second)
}

fn socket(served: &Served, client: &Client) -> Socket {
    served.io.socket(&client.id).expect("connected")
}

#[tokio::test]
async fn the_room_of_another_socket_is_not_joined() {
    let (served, mut first, mut second) = two(Server::builder()).await;
    let id = second.id.clone();
    let intruder = socket(&served, &first);
    intruder.join([Room::from(id.as_str()), Room::from("lobby")]);
    served.io.to("lobby").join(id.as_str()).expect("told");
    assert_eq!(
        served.io.room_members(id.as_str()),
        std::slice::from_ref(&id)
    );
    let rooms = intruder.rooms();
    assert!(
        rooms.contains(&Room::from("lobby")),
        "the others are joined"
    );
    assert_eq!(rooms.len(), 2);
    served.io.to(id.as_str()).emit("secret", 1).expect("sent");
    served.io.emit("public", 2).expect("sent");
    assert_eq!(first.next_event::<u8>().await.0, "public");
    assert_eq!(second.expect::<u8>("secret").await, 1);
    let counted = served.io.metrics().encode();
    let counted = counted.lines().find(|line| line.contains("private_room"));
    assert!(
        counted.is_some_and(|line| line.ends_with(" 2")),
        "{counted:?}"
    );
}

#[tokio::test]
async fn the_own_room_can_be_left_and_joined_again() {
    let (served, client, _other) = two(Server::builder()).await;
    let socket = socket(&served, &client);
    socket.leave(client.id.as_str());
    assert!(socket.rooms().is_empty());
    socket.join(client.id.as_str());
    assert_eq!(socket.rooms(), [Room::from(&client.id)]);
}

#[tokio::test]
async fn the_room_of_a_socket_that_has_left_is_a_room_like_any_other() {
    let (served, client, other) = two(Server::builder()).await;
    socket(&served, &other).disconnect(true);
    let socket = socket(&served, &client);
    socket.join(other.id.as_str());
    assert_eq!(served.io.room_members(other.id.as_str()), [client.id]);
}

#[tokio::test]
async fn node_applications_may_listen_to_another_socket() {
    let (served, mut first, second) = two(Server::builder().private_id_rooms(false)).await;
    socket(&served, &first).join(second.id.as_str());
    let room = served.io.to(second.id.as_str());
    room.emit("heard", 1).expect("sent");
    assert_eq!(first.expect::<u8>("heard").await, 1);
}

#[tokio::test]
async fn a_middleware_cannot_join_it_either() {
    let served = serve(Server::builder()).await;
    let victim = served.client().await;
    let room = victim.id.clone();
    served.io.use_middleware(move |socket: Socket| {
        socket.join(room.as_str());
        socket.join("lobby");
        std::future::ready(Ok::<_, &str>(()))
    });
    let client = served.client().await;
    assert_eq!(served.io.room_members(victim.id.as_str()), [victim.id]);
    assert_eq!(served.io.room_members("lobby"), [client.id]);
}

/// A room that is joined from another thread, at the very moment the socket becomes a member, was
/// once lost: the socket was no longer connecting, and not yet connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_is_lost_that_is_joined_while_the_socket_connects() {
    const ROOMS: u32 = 2_000;
    let served = serve(Server::builder()).await;
    let (tx, joined) = mpsc::channel();
    served.io.use_middleware(move |socket: Socket| {
        let tx = tx.clone();
        std::thread::spawn(move || {
            for room in 0..ROOMS {
                socket.join(room.to_string());
            }
            tx.send(socket).expect("the test waits");
        });
        std::future::ready(Ok::<_, &str>(()))
    });
    for _ in 0..50 {
        let _client = served.client().await;
        let socket = tokio::task::block_in_place(|| joined.recv()).expect("the thread ends");
        let rooms: BTreeSet<_> = socket.rooms().into_iter().collect();
        let lost = (0..ROOMS).find(|room| !rooms.contains(&Room::from(room.to_string())));
        assert_eq!(lost, None, "of {} rooms", rooms.len());
    }
}
