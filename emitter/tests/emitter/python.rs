//! The dialect of Python, to nodes of ours that listen to it. (To python-socketio itself:
//! `interop/cluster-python`.)

use bytes::Bytes;
use socketio_core::cluster::wire::python::Untranslatable;
use socketio_emitter::{AskError, EmitError, Emitter, Mode};

use crate::client::until;
use crate::cluster::Cluster;
use crate::command::Runner;

pub(crate) async fn all(cluster: &mut Cluster, io: &Emitter, url: &str) {
    let image = Bytes::from_static(b"\x89PNG");
    io.emit("all", ("é", 1, image.clone())).expect("room");
    cluster.both_hear("all", &("é".to_owned(), 1, image)).await;
    io.to(["a", "b"]).emit("rooms", ()).expect("room");
    cluster.both_hear("rooms", &()).await;
    io.except(&cluster.b.id).emit("one", 1).expect("room");
    assert_eq!(cluster.a.expect::<u8>("one").await, 1);
    io.of("/chat").volatile().emit("chat", 2).expect("room");
    assert_eq!(cluster.chat.expect::<u8>("chat").await, 2);

    io.to(&cluster.a.id).sockets_join("late").expect("room");
    until("a join", || cluster.rooms_of_a() == ["a", "both", "late"]).await;
    io.to(&cluster.a.id).sockets_leave("late").expect("room");
    until("leaving", || cluster.rooms_of_a() == ["a", "both"]).await;

    let arguments = [
        "-u",
        url,
        "-m",
        "python",
        "--python-channel",
        "flask-socketio",
    ];
    let emit = Runner(&arguments);
    emit.quietly(&["-r", "a", "shell", "1"], "").await;
    assert_eq!(cluster.a.expect::<u8>("shell").await, 1);
    let ended = emit.run(&["-x", "a", "shell", "1"], "").await;
    assert_eq!(ended.code, Some(64));
    assert_eq!(
        ended.errors,
        "socketio-emit: the mode `python` has no words for this: an event that leaves out the \
         members of a room is not sent\n"
    );
    let ended = emit.run(&["--count"], "").await;
    assert_eq!(ended.code, Some(64));
    assert_eq!(
        ended.errors,
        "socketio-emit: in mode `python` no questions can be asked\n"
    );

    // What cannot be said is refused, not half done.
    let refusals = [
        (io.except("a").emit("x", ()), Untranslatable::Except),
        (io.sockets_join("x"), Untranslatable::Selection),
        (
            io.to("a").disconnect_sockets(true),
            Untranslatable::Selection,
        ),
        (io.server_side_emit("x", ()), Untranslatable::ServerSideEmit),
    ];
    for (refused, limit) in refusals {
        assert!(
            matches!(refused, Err(EmitError::Untranslatable(reason)) if reason == limit),
            "{refused:?}"
        );
    }
    let asked = io.emit_with_ack::<_, ()>("x", ()).await.map(|_| ());
    assert!(
        matches!(asked, Err(AskError::Unsupported(Mode::Python))),
        "{asked:?}"
    );
    cluster.fence(io).await;

    io.to(&cluster.a.id)
        .disconnect_sockets(false)
        .expect("room");
    let packet = cluster.a.packet().await;
    assert!(matches!(
        packet,
        socketio_core::packet::Packet::Disconnect { .. }
    ));
}
