//! What holds on every wire of our own nodes and of Node.js.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use socketio_core::packet::Packet;
use socketio_emitter::{
    AdapterError, EmitError, Emitter, EmitterConfig, FlushError, Missing, NodeId,
};

use crate::client::until;
use crate::cluster::{Cluster, reach};
use crate::metrics;

/// Runs everything. `config` is one with which a further emitter can connect.
pub(crate) async fn all(cluster: &mut Cluster, io: &Emitter, config: &EmitterConfig) {
    events(cluster, io).await;
    order(cluster, io).await;
    rooms(cluster, io).await;
    acknowledgements(cluster, io).await;
    counts(cluster, io).await;
    servers(cluster, io).await;
    refusals(cluster, io, config).await;
    short_lived(cluster, config).await;
    blocking(cluster, config).await;
    metrics::counted(cluster, config).await;
    disconnects(cluster, io).await;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    size: Option<u32>,
    image: Bytes,
}

async fn events(cluster: &mut Cluster, io: &Emitter) {
    let picture = Picture {
        name: "é\u{2028}\"".to_owned(),
        size: None,
        image: Bytes::from_static(b"\x00\xff{}"),
    };
    io.emit("all", ("hello", &picture, 4.5)).expect("room");
    let all = ("hello".to_owned(), picture.clone(), 4.5);
    cluster.both_hear("all", &all).await;
    cluster.fence(io).await;

    io.emit("none", ()).expect("room");
    cluster.both_hear("none", &()).await;
    io.emit("image", picture.image.clone()).expect("room");
    cluster.both_hear("image", &picture.image).await;
    io.to("both").emit("both", 1).expect("room");
    cluster.both_hear("both", &1).await;
    io.to(["a", "b", "both"]).emit("once", 2).expect("room");
    cluster.both_hear("once", &2).await;
    io.volatile()
        .compress(false)
        .emit("flags", 3)
        .expect("room");
    cluster.both_hear("flags", &3).await;
    cluster.fence(io).await;

    io.to("a").emit("one", 1).expect("room");
    io.to("nobody").emit("one", 0).expect("room");
    io.except("b").emit("one", 2).expect("room");
    io.to("both")
        .except(["b", "nobody"])
        .emit("one", 3)
        .expect("room");
    io.to(&cluster.a.id).emit("one", 4).expect("room");
    io.except(&cluster.b.id).emit("one", 5).expect("room");
    for number in 1..=5 {
        assert_eq!(cluster.a.expect::<u32>("one").await, number);
    }
    io.of("/chat").emit("chat", "x").expect("room");
    io.of("/chat").to("a").emit("chat", "nobody").expect("room");
    assert_eq!(cluster.chat.expect::<String>("chat").await, "x");
    cluster.fence(io).await;
}

/// Also between what has bytes and what has none, and between rooms.
async fn order(cluster: &mut Cluster, io: &Emitter) {
    const COUNT: u32 = 1000;
    for number in 0..COUNT {
        let sent = match number % 3 {
            0 => io.emit("number", number),
            1 => io.to("both").emit("number", number),
            _ => io
                .to(["a", "b"])
                .emit("number", (number, Bytes::from_static(b"bytes"))),
        };
        sent.expect("room");
    }
    for client in [&mut cluster.a, &mut cluster.b] {
        for number in 0..COUNT {
            let heard = match number % 3 {
                2 => client.expect::<(u32, Bytes)>("number").await.0,
                _ => client.expect::<u32>("number").await,
            };
            assert_eq!(heard, number);
        }
    }
    cluster.fence(io).await;
}

async fn rooms(cluster: &mut Cluster, io: &Emitter) {
    io.to("a").sockets_join(["late", "later"]).expect("room");
    until("a join", || {
        cluster.rooms_of_a() == ["a", "both", "late", "later"]
    })
    .await;
    reach(io, "late", &mut cluster.a, "joined").await;
    cluster.fence_behind(io).await;
    io.to("late").emit("late", ()).expect("room");
    cluster.a.expect::<()>("late").await;
    cluster.fence(io).await;

    io.to("both")
        .except("b")
        .sockets_leave("late")
        .expect("room");
    io.sockets_leave("later").expect("room");
    until("leaving", || cluster.rooms_of_a() == ["a", "both"]).await;
    io.to(["late", "later"]).emit("late", ()).expect("room");
    cluster.fence(io).await;
}

async fn acknowledgements(cluster: &mut Cluster, io: &Emitter) {
    let both = io.to("both");
    let question = both.emit_with_ack::<_, (String, Bytes)>("name?", 7);
    let answers = async {
        for (name, client) in [("a", &mut cluster.a), ("b", &mut cluster.b)] {
            let (ack, seven) = client.expect_question::<u32>("name?").await;
            assert_eq!(seven, 7);
            client
                .answer(ack, (name, Bytes::from_static(b"\x01\x02")))
                .await;
        }
    };
    let gathered = async { question.await.expect("nodes").collect().await };
    let (all, ()) = tokio::join!(gathered, answers);
    assert!(all.is_complete(), "{:?}", all.missing);
    let named: BTreeSet<_> = all.acks.iter().map(|ack| ack.socket.clone()).collect();
    let ids = [&cluster.a.id, &cluster.b.id].map(|id| Some(id.clone()));
    assert_eq!(named, BTreeSet::from(ids));
    let mut names: Vec<_> = all.into_data().collect();
    names.sort();
    let bytes = Bytes::from_static(b"\x01\x02");
    assert_eq!(
        names,
        [("a".to_owned(), bytes.clone()), ("b".to_owned(), bytes)]
    );

    // Nobody is there to answer: that is known at once.
    let start = Instant::now();
    let nobody = io.to("nobody");
    let asked = nobody.emit_with_ack::<_, ()>("name?", 8);
    let all = asked.await.expect("nodes").collect().await;
    assert_eq!((all.acks.len(), all.missing), (0, Missing::default()));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );

    // One that does not answer, and one that answers something else.
    let question = io.timeout(Duration::from_secs(1));
    let question = question.emit_with_ack::<_, u32>("number?", ());
    let answers = async {
        let (ack, ()) = cluster.a.expect_question("number?").await;
        cluster.a.answer(ack, "text").await;
        let _ = cluster.b.expect_question::<()>("number?").await;
    };
    let gathered = async { question.await.expect("nodes").collect().await };
    let (all, ()) = tokio::join!(gathered, answers);
    assert_eq!(all.missing.sockets, std::slice::from_ref(&cluster.b.id));
    assert_eq!(all.acks.len(), 1);
    assert_eq!(all.acks[0].socket.as_ref(), Some(&cluster.a.id));
    assert!(all.acks[0].data.is_err());
    cluster.fence(io).await;
}

async fn counts(cluster: &Cluster, io: &Emitter) {
    let everybody = io.count().await.expect("nodes");
    assert!(everybody.is_complete(), "{everybody:?}");
    assert_eq!(everybody.sockets, 2);
    let nodes: BTreeSet<NodeId> = everybody.nodes.into_iter().collect();
    assert_eq!(Vec::from_iter(nodes), cluster.ids());
    let cases = [
        (io.to("both"), 2),
        (io.to("a"), 1),
        (io.to("both").except("a"), 1),
        (io.to("nobody"), 0),
        (io.of("/chat"), 1),
        (io.of("/elsewhere"), 0),
    ];
    for (operator, expected) in cases {
        let count = operator.count().await.expect("nodes");
        assert_eq!(count.sockets, expected, "{operator:?}");
        assert!(count.is_complete(), "{count:?}");
    }
}

async fn servers(cluster: &mut Cluster, io: &Emitter) {
    cluster.told.lock().clear();
    io.server_side_emit("note", "hello").expect("room");
    until("both servers", || cluster.told.lock().len() == 2).await;
    let mut told = std::mem::take(&mut *cluster.told.lock());
    told.sort();
    let hello = cluster.ids().into_iter().map(|id| (id, "hello".to_owned()));
    assert_eq!(told, Vec::from_iter(hello));

    let replies = io.server_side_emit_with_ack::<_, (String, String)>("note", "who?");
    let replies = replies.await.expect("nodes");
    assert!(replies.is_complete(), "{replies:?}");
    let mut nodes = Vec::new();
    for reply in replies.replies {
        let (name, text) = reply.data.expect("two texts");
        assert_eq!(reply.node, Some(NodeId::from(&*name)));
        assert_eq!(text, "who?");
        nodes.push(NodeId::from(name));
    }
    nodes.sort();
    assert_eq!(nodes, cluster.ids());

    let short = io.timeout(Duration::from_secs(1));
    let silent = short.server_side_emit_with_ack::<_, ()>("note", "silent");
    let mut missing = silent.await.expect("nodes").missing;
    missing.nodes.sort();
    assert_eq!(missing.nodes, cluster.ids());
    cluster.fence(io).await;
}

async fn refusals(cluster: &mut Cluster, io: &Emitter, config: &EmitterConfig) {
    for reserved in ["connect", "disconnect", "connect_error"] {
        let refused = io.emit(reserved, ());
        assert!(matches!(refused, Err(EmitError::Reserved(name)) if name == reserved));
    }
    let small = config.clone().max_message_bytes(1000_usize);
    let small = Emitter::connect_with(small).await.expect("a broker");
    let large = small.emit("large", Bytes::from(vec![0; 1001]));
    assert!(
        matches!(
            large,
            Err(EmitError::Carrier(AdapterError::TooLarge {
                limit: 1000,
                ..
            }))
        ),
        "{large:?}"
    );
    small.emit("small", 1).expect("room");
    cluster.both_hear("small", &1).await;
    small.close().await.expect("taken");
    let late = small.emit("late", ());
    assert!(
        matches!(late, Err(EmitError::Carrier(AdapterError::Closed))),
        "{late:?}"
    );
    small.close().await.expect("harmless");
    assert!(small.count().await.is_err());
    cluster.fence(io).await;
}

/// An emitter that connects, emits, closes and is gone has lost nothing.
async fn short_lived(cluster: &mut Cluster, config: &EmitterConfig) {
    const COUNT: u32 = 2000;
    let job = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    for number in 0..COUNT {
        job.emit("job", number).expect("room");
    }
    job.close().await.expect("the broker takes everything");
    assert_eq!(job.status().messages_out, u64::from(COUNT));
    assert_eq!(job.status().queued_messages, 0);
    drop(job);
    for client in [&mut cluster.a, &mut cluster.b] {
        for number in 0..COUNT {
            assert_eq!(client.expect::<u32>("job").await, number);
        }
    }
    // What another emitter says next is the first thing behind it.
    let other = Emitter::connect_with(config.clone())
        .await
        .expect("a broker");
    cluster.fence(&other).await;
    let nothing: Result<(), FlushError> = other.flush().await;
    nothing.expect("taken");
}

/// In this runtime, in one with a single thread, and without one.
async fn blocking(cluster: &mut Cluster, config: &EmitterConfig) {
    use socketio_emitter::blocking::Emitter as Blocking;

    let job = |name: &'static str, config: EmitterConfig| {
        let io = Blocking::connect_with(config).expect("a broker");
        io.to("both").emit("blocking", name).expect("room");
        io.flush().expect("taken");
        let count = io.to("both").count().expect("nodes");
        assert_eq!((count.sockets, count.is_complete()), (2, true));
        let replies = io
            .of("/")
            .server_side_emit_with_ack::<_, (String, String)>("note", name);
        assert_eq!(replies.expect("nodes").replies.len(), 2);
        io.close().expect("taken");
        assert!(io.emit("late", ()).is_err());
    };
    // Blocks this task, not the others, which have threads of their own.
    job("inside", config.clone());
    let other = config.clone();
    let single = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime
            .expect("a runtime")
            .block_on(async { job("single", other) });
    });
    tokio::task::spawn_blocking(|| single.join())
        .await
        .expect("no panic")
        .expect("no panic");
    let other = config.clone();
    let outside = std::thread::spawn(move || job("outside", other));
    tokio::task::spawn_blocking(|| outside.join())
        .await
        .expect("no panic")
        .expect("no panic");
    for name in ["inside", "single", "outside"] {
        cluster.both_hear("blocking", &name.to_owned()).await;
    }

    let io = Blocking::connect_with(config.clone()).expect("a broker");
    let asking = tokio::task::spawn_blocking(move || {
        let all = io.to("both").emit_with_ack::<_, u32>("sum?", (1, 2));
        let all = all.expect("nodes");
        assert!(all.is_complete(), "{:?}", all.missing);
        all.into_data().sum::<u32>()
    });
    for client in [&mut cluster.a, &mut cluster.b] {
        let (ack, (one, two)) = client.expect_question::<(u32, u32)>("sum?").await;
        client.answer(ack, one + two).await;
    }
    assert_eq!(asking.await.expect("no panic"), 6);
}

/// At the end, since the clients are gone then.
async fn disconnects(cluster: &mut Cluster, io: &Emitter) {
    io.of("/chat").disconnect_sockets(false).expect("room");
    let gone = cluster.chat.packet().await;
    assert!(matches!(gone, Packet::Disconnect { nsp } if &*nsp == "/chat"));
    // Its connection stays.
    cluster.chat.join("/").await;
    io.to("a").disconnect_sockets(true).expect("room");
    cluster.a.expect_close().await;
    io.to("both").emit("left", 1).expect("room");
    assert_eq!(cluster.b.expect::<u32>("left").await, 1);
    io.to("b").emit("last", 1).expect("room");
    assert_eq!(cluster.b.expect::<u32>("last").await, 1);
}
