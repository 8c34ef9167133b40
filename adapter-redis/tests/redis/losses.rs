//! Messages that are lost, although the broker took them, are counted: by who should have heard them,
//! and, if others are seen to be missing, by who sent them.

use std::time::Duration;

use socketio_adapter_redis::{Mode, RedisConfig};
use socketio_core::cluster::{Adapter, Interest, Operation};
use socketio_core::target::Target;
use socketio_testkit::Redis;

use crate::relay::Relay;
use crate::support::{Node, assert_accounted, event, until};

const MODES: [Mode; 3] = [Mode::Pubsub, Mode::ShardedStatic, Mode::ShardedDynamic];

fn config(server: &Redis, mode: Mode) -> RedisConfig {
    let mut config = RedisConfig::new(server.url());
    config.mode = mode;
    config.heartbeat_interval = Duration::from_millis(100);
    config.heartbeat_timeout = Duration::from_millis(400);
    config.count_interval = Duration::from_millis(100);
    config
}

/// What goes to a room.
fn to_room(number: u64, room: &str) -> Operation {
    let Operation::Broadcast { payload, .. } = event(number) else {
        unreachable!("it is one");
    };
    Operation::Broadcast {
        payload,
        target: Target::room(room),
        request: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listener_counts_what_a_broken_network_has_swallowed() {
    let server = Redis::start();
    for mode in MODES {
        let mut config = config(&server, mode);
        config.prefix = format!("swallowed-{mode:?}");
        let a = Node::start(&config).await;
        let relay = Relay::to(server.port()).await;
        config.url = format!("{}?protocol=3", relay.url());
        let b = Node::start(&config).await;
        until("both are up", || a.is_up() && b.is_up()).await;
        for number in 1..=10 {
            a.publish(number).expect("there is room");
        }
        until("they arrive", || b.numbers().len() == 10).await;
        // The server takes and confirms all of these, and hands them to a connection that leads nowhere.
        relay.forget();
        for number in 11..=110 {
            a.publish(number).expect("there is room");
        }
        until("it is heard again", || {
            *b.heard.connected.lock() == [false, true]
        })
        .await;
        assert_eq!(b.numbers().len(), 10);
        assert_accounted(&a, &b, 110).await;
        assert_eq!(b.adapter.status().missed, 100);
        let status = a.adapter.status();
        assert_eq!((status.dropped_out, status.missed), (0, 0));
        a.adapter.close().await;
        b.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_counts_as_missed_that_was_for_others() {
    let server = Redis::start();
    for mode in MODES {
        let mut config = config(&server, mode);
        config.prefix = format!("others-{mode:?}");
        let a = Node::start(&config).await;
        let b = Node::start(&config).await;
        until("both are up", || a.is_up() && b.is_up()).await;
        for number in 1..=300 {
            let operation = match number % 6 {
                // Nobody is in it.
                0 => to_room(number, "elsewhere"),
                // A room that looks like that of a socket.
                1 => to_room(number, "abcdefghijklmnopqrst"),
                2 => Operation::Join {
                    target: Target::room("elsewhere"),
                    rooms: vec!["more".into()],
                },
                3 => Operation::ServerSideEmit {
                    payload: socketio_core::payload::Payload::from_values(&["x".into()]),
                    request: None,
                },
                // A namespace that only one has.
                4 => {
                    let mut message = a.message(event(number));
                    message.namespace = "/other".into();
                    a.adapter.publish(&message).expect("there is room");
                    continue;
                }
                _ => event(number),
            };
            let published = a.adapter.publish(&a.message(operation));
            published.expect("there is room");
            if number == 150 {
                // From now on it has that one, too.
                b.adapter.watch(Interest::NamespaceOpened("/other"));
                b.adapter.watch(Interest::NamespaceClosed("/other"));
                b.adapter.watch(Interest::NamespaceOpened("/other"));
            }
        }
        until("the last arrives", || b.numbers().last() == Some(&299)).await;
        let before = b.adapter.status().messages_in;
        a.publish(301).expect("there is room");
        until("a message and its statement arrive", || {
            b.adapter.status().messages_in >= before + 2
        })
        .await;
        until("it is handled", || b.numbers().last() == Some(&301)).await;
        assert_eq!(b.adapter.status().missed, 0, "{mode:?}");
        a.adapter.close().await;
        b.adapter.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_counts_what_fewer_hear_than_are_there() {
    let server = Redis::start();
    let config = config(&server, Mode::Pubsub);
    let a = Node::start(&config).await;
    until("it is up", || a.is_up()).await;
    // A member that can be counted, but hears no events.
    let mut other = server.connection();
    let mut command = redis::cmd("SUBSCRIBE");
    let subscribed: redis::RedisResult<redis::Value> =
        command.arg("socket.io-request#/#").query(&mut other);
    subscribed.expect("anybody may subscribe");
    until("it is counted", || a.adapter.foreign("/") == 1).await;
    for number in 1..=10 {
        a.publish(number).expect("there is room");
    }
    until("they are sent", || a.adapter.status().messages_out >= 10).await;
    let status = a.adapter.status();
    assert_eq!((status.unheard, status.dropped_out), (10, 0));
    drop(other);
    until("it is counted no more", || a.adapter.foreign("/") == 0).await;
    for number in 11..=20 {
        a.publish(number).expect("there is room");
    }
    until("they are sent", || a.adapter.status().messages_out >= 20).await;
    assert_eq!(a.adapter.status().unheard, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_goodbye_is_not_missed() {
    let server = Redis::start();
    let mut config = config(&server, Mode::Pubsub);
    // Only who is told looks again.
    config.count_interval = Duration::from_secs(60);
    let a = Node::start(&config).await;
    let b = Node::start(&config).await;
    until("both are up", || a.is_up() && b.is_up()).await;
    let told = b.message(Operation::InitialHeartbeat);
    b.adapter.publish(&told).expect("there is room");
    a.publish(1).expect("there is room");
    until("they hear each other", || {
        b.numbers() == [1] && !a.heard.messages.lock().is_empty()
    })
    .await;
    let goodbye = b.message(Operation::Close);
    b.adapter.publish(&goodbye).expect("there is room");
    until("it is told", || {
        let heard = a.heard.messages.lock();
        heard
            .last()
            .is_some_and(|last| last.operation == Operation::Close)
    })
    .await;
    b.adapter.close().await;
    let before = a.adapter.status().messages_out;
    for number in 2..=11 {
        a.publish(number).expect("there is room");
    }
    until("they are sent", || {
        a.adapter.status().messages_out >= before + 10
    })
    .await;
    assert_eq!(a.adapter.status().unheard, 0);
}
