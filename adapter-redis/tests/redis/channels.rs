//! Which channels are subscribed, and who is counted by them.

use socketio_adapter_redis::{Mode, RedisConfig};
use socketio_core::cluster::{Adapter, Interest, Operation};
use socketio_core::ids::Room;
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_testkit::Redis;

use crate::support::{Node, event, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_counted_once_and_given_back() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    let (a, b) = (Node::start(&config).await, Node::start(&config).await);
    until("both are up", || a.is_up() && b.is_up()).await;
    // What Node's adapter counts its members by.
    assert_eq!(server.subscribers("socket.io-request#/#"), 2);
    assert_eq!(server.subscribers("socket.io-cluster#/#ours"), 2);
    assert_eq!(a.adapter.foreign("/"), 0);
    a.adapter.close().await;
    until("it is gone", || {
        server.subscribers("socket.io-request#/#") == 1
    })
    .await;
    b.adapter.close().await;
    until("all are gone", || {
        server.subscribers("socket.io-request#/#") == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_other_software_are_counted() {
    let server = Redis::start();
    let config = RedisConfig::new(server.url());
    let node = Node::start(&config).await;
    let mut connection = server.connection();
    let mut other = connection.as_pubsub();
    other
        .subscribe("socket.io-request#/#")
        .expect("it is subscribed");
    until("it is counted", || node.adapter.foreign("/") == 1).await;
    until("the handler knows", || {
        node.heard.foreign.lock().as_slice() == [("/".to_owned(), 1)]
    })
    .await;
    other
        .unsubscribe("socket.io-request#/#")
        .expect("it is unsubscribed");
    until("it has left", || node.adapter.foreign("/") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_whose_name_begins_like_another_hears_nothing_twice() {
    let server = Redis::start();
    for mode in [Mode::Pubsub, Mode::ShardedDynamic] {
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        let (a, b) = (Node::start(&config).await, Node::start(&config).await);
        for node in [&a, &b] {
            for namespace in ["/a", "/a#b", "/a#b#c"] {
                node.adapter.watch(Interest::NamespaceOpened(namespace));
            }
            // In the sharded modes it has the channel of the namespace `/a#b`.
            node.adapter.watch(Interest::RoomOpened {
                namespace: "/a",
                room: &Room::from("b"),
                private: false,
            });
        }
        until("both are up", || a.is_up() && b.is_up()).await;
        let names = ["/a", "/a#b", "/a#b#c", "/"];
        until("all arrives", || {
            let mut message = a.message(event(1));
            for namespace in names {
                message.namespace = namespace.into();
                a.adapter.publish(&message).expect("there is room");
            }
            b.heard.messages.lock().len() >= names.len()
        })
        .await;
        a.publish(2).expect("there is room");
        until("the last arrives", || b.numbers().last() == Some(&2)).await;
        let heard = b.heard.messages.lock();
        let count = |name: &str| heard.iter().filter(|m| m.namespace == name).count();
        let counts = names.map(count);
        // Each round came once: the first may have been too early for some.
        assert!(
            counts[..3].iter().all(|&count| count <= counts[3]),
            "{counts:?}"
        );
    }
}

/// How many subscribe a sharded channel.
fn listeners(server: &Redis, channel: &str) -> u64 {
    let mut command = redis::cmd("PUBSUB");
    command.arg("SHARDNUMSUB").arg(channel);
    let counted = command.query(&mut server.connection());
    let (_, count): (String, u64) = counted.expect("it counts");
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_have_channels_while_they_have_members() {
    let server = Redis::start();
    for (mode, public, private) in [
        (Mode::ShardedStatic, 0, 0),
        (Mode::ShardedDynamic, 1, 0),
        (Mode::ShardedDynamicPrivate, 1, 1),
    ] {
        let mut config = RedisConfig::new(server.url());
        config.mode = mode;
        let (a, b) = (Node::start(&config).await, Node::start(&config).await);
        until("both are up", || a.is_up() && b.is_up()).await;
        let (room, own) = (Room::from("r1"), Room::from("AAAAAAAAAAAAAAAAAAAA"));
        for (room, private) in [(&room, false), (&own, true)] {
            b.adapter.watch(Interest::RoomOpened {
                namespace: "/",
                room,
                private,
            });
        }
        // Its own mark, behind what was wanted before it.
        b.adapter.watch(Interest::NamespaceOpened("/behind"));
        let is_done = || listeners(&server, "socket.io#/behind#") == 1;
        until("all is subscribed", is_done).await;
        let channels = || {
            let names = ["socket.io#/#r1#", "socket.io#/#AAAAAAAAAAAAAAAAAAAA#"];
            names.map(|name| listeners(&server, name))
        };
        until("the rooms are", || channels() == [public, private]).await;
        // To these two only those listen that have them.
        for room in ["r1", "AAAAAAAAAAAAAAAAAAAA"] {
            let event = Operation::Broadcast {
                payload: Payload::from_values(&["x".into(), 1.into()]),
                target: Target::room(room),
                request: None,
            };
            a.adapter.publish(&a.message(event)).expect("there is room");
        }
        until("both arrive", || b.numbers() == [1, 1]).await;
        for room in [&room, &own] {
            let namespace = "/";
            b.adapter.watch(Interest::RoomClosed { namespace, room });
        }
        until("they are given back", || channels() == [0, 0]).await;
        b.adapter.watch(Interest::NamespaceClosed("/behind"));
        until("the namespace too", || {
            listeners(&server, "socket.io#/behind#") == 0
        })
        .await;
        a.adapter.close().await;
        b.adapter.close().await;
    }
}
