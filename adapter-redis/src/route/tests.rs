use proptest::prelude::*;
use socketio_core::cluster::wire::Decoded;
use socketio_core::cluster::wire::python::PythonConfig;
use socketio_core::cluster::{ClusterMessage, ClusterResponse, Interest, Operation, ResponseBody};
use socketio_core::ids::{NodeId, RequestId, Room};
use socketio_core::payload::Payload;
use socketio_core::target::Target;

use super::Routes;
use crate::config::{Mode, RedisConfig};
use crate::interests::Interests;
use crate::outbound::Outgoing;

const MODES: [Mode; 4] = [
    Mode::Pubsub,
    Mode::ShardedStatic,
    Mode::ShardedDynamic,
    Mode::ShardedDynamicPrivate,
];

fn routes(mode: Mode) -> (Routes, NodeId) {
    let mut config = RedisConfig::new("redis://host");
    config.mode = mode;
    let me = NodeId::from("0123456789abcdef");
    (Routes::new(&config, &me), me)
}

fn message(operation: Operation) -> ClusterMessage {
    ClusterMessage {
        node: NodeId::from("0123456789abcdef"),
        namespace: "/".into(),
        sequence: None,
        trace: None,
        operation,
    }
}

fn broadcast(request: Option<RequestId>) -> Operation {
    Operation::Broadcast {
        payload: Payload::from_values(&["x".into()]),
        target: Target::room("r1"),
        request,
    }
}

fn channels(outgoing: &[Outgoing]) -> Vec<String> {
    let names = outgoing
        .iter()
        .map(|one| String::from_utf8_lossy(&one.channel));
    names.map(|name| name.into_owned()).collect()
}

#[test]
fn what_all_understand_goes_out_once() {
    for (mode, channel) in [
        (Mode::Pubsub, "socket.io#/#r1#"),
        (Mode::ShardedStatic, "socket.io#/#"),
        (Mode::ShardedDynamic, "socket.io#/#r1#"),
    ] {
        let (routes, _) = routes(mode);
        for foreign in [0, 1] {
            let outgoing = routes.message(&message(broadcast(None)), foreign);
            assert_eq!(channels(&outgoing.expect("it is small")), [channel]);
        }
    }
}

#[test]
fn requests_are_copied_for_members_of_node_js_only() {
    let (routes, _) = routes(Mode::Pubsub);
    let request = message(broadcast(Some(RequestId::generate())));
    let alone = routes.message(&request, 0).expect("it is small");
    assert_eq!(channels(&alone), ["socket.io-cluster#"]);
    let mixed = routes.message(&request, 1).expect("it is small");
    assert_eq!(
        channels(&mixed),
        ["socket.io-cluster#", "socket.io-request#/#"]
    );
    // Another node of ours hears both, and acts once.
    let (other, _) = self::routes(Mode::Pubsub);
    let interests = Interests::default();
    let native = other.decode(&mixed[0].channel, &mixed[0].payload, &interests);
    assert_eq!(native.expect("it is ours"), Decoded::Message(request));
    let copy = other.decode(&mixed[1].channel, &mixed[1].payload, &interests);
    assert_eq!(copy.expect("it is understood"), Decoded::Skip);
}

#[test]
fn heartbeats_stay_among_ours() {
    let (routes, _) = routes(Mode::ShardedStatic);
    let outgoing = routes.message(&message(Operation::Heartbeat), 3);
    assert_eq!(
        channels(&outgoing.expect("it is small")),
        ["socket.io-cluster#"]
    );
}

#[test]
fn answers_take_the_wire_of_who_asked() {
    let (routes, _) = routes(Mode::Pubsub);
    let response = ClusterResponse {
        node: None,
        namespace: "/".into(),
        request: RequestId::from("abc"),
        body: ResponseBody::Recipients {
            count: 1,
            sockets: Vec::new(),
        },
    };
    let ours = NodeId::from("fedcba9876543210");
    let outgoing = routes.response(&ours, &response).expect("it is small");
    assert_eq!(channels(&outgoing), ["socket.io-cluster#fedcba9876543210#"]);
    let theirs = NodeId::foreign("GgE0Qy");
    let outgoing = routes.response(&theirs, &response).expect("it is small");
    assert_eq!(channels(&outgoing), ["socket.io-response#/#"]);
}

#[test]
fn events_for_rooms_that_are_not_here_are_not_read() {
    let (routes, _) = routes(Mode::Pubsub);
    let mut config = RedisConfig::new("redis://host");
    config.mode = Mode::Pubsub;
    let other = NodeId::from("fedcba9876543210");
    let sender = Routes::new(&config, &other);
    let mut event = message(broadcast(None));
    event.node = other;
    let outgoing = sender.message(&event, 0).expect("it is small").remove(0);
    let interests = Interests::default();
    interests.note(Interest::NamespaceOpened("/"));
    let decoded = routes.decode(&outgoing.channel, &outgoing.payload, &interests);
    let elsewhere = Decoded::Elsewhere {
        node: NodeId::from("fedcba9876543210"),
        namespace: "/".into(),
    };
    assert_eq!(decoded.expect("it is understood"), elsewhere);
    interests.note(Interest::RoomOpened {
        namespace: "/",
        room: &Room::from("r1"),
        private: false,
    });
    let decoded = routes.decode(&outgoing.channel, &outgoing.payload, &interests);
    assert_eq!(decoded.expect("it is understood"), Decoded::Message(event));
}

/// Messages of all kinds, from which bytes are made that are almost right.
fn operations() -> Vec<Operation> {
    let target = Target::room("r1").except("r2");
    let request = RequestId::from("abcdef");
    vec![
        Operation::Heartbeat,
        broadcast(None),
        broadcast(Some(request.clone())),
        Operation::Join {
            target: target.clone(),
            rooms: vec![Room::from("r3")],
        },
        Operation::Disconnect {
            target: target.clone(),
            close: true,
        },
        Operation::FetchSockets { target, request },
        Operation::ServerSideEmit {
            payload: Payload::from_values(&["x".into()]),
            request: None,
        },
    ]
}

proptest! {
    /// Whatever is on a channel is understood, skipped or an error, and nothing else.
    #[test]
    fn no_bytes_on_no_channel_do_harm(
        mode in 0..MODES.len(),
        kind in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
        is_noise in any::<bool>(),
    ) {
        let mut config = RedisConfig::new("redis://host");
        config.mode = MODES[mode];
        config.python = Some(PythonConfig::listen());
        let sender = Routes::new(&config, &NodeId::from("fedcba9876543210"));
        let routes = Routes::new(&config, &NodeId::from("0123456789abcdef"));
        let interests = Interests::default();
        interests.note(Interest::NamespaceOpened("/"));
        let room = Room::from("r1");
        interests.note(Interest::RoomOpened { namespace: "/", room: &room, private: false });
        let mut event = message(operations().swap_remove(kind));
        event.node = NodeId::from("fedcba9876543210");
        let sent = sender.message(&event, 1).expect("it is small");
        let mut channels: Vec<_> = sent.iter().map(|one| one.channel.clone()).collect();
        let known = routes.channels().into_iter().chain(routes.channels_of("/"));
        channels.extend(known.map(|channel| channel.name));
        channels.push(noise.clone().into());
        for one in &sent {
            let mut bytes = if is_noise { noise.clone() } else { one.payload.to_vec() };
            if !bytes.is_empty() {
                for (at, value) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *value;
                }
                bytes.truncate(cut.index(bytes.len()) + 1);
            }
            let bytes = bytes.into();
            for channel in &channels {
                if let Ok(Decoded::Message(message)) = routes.decode(channel, &bytes, &interests) {
                    prop_assert_ne!(message.node.as_str(), "0123456789abcdef");
                }
            }
        }
    }
}
