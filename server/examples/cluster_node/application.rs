//! What clients find: rooms, data of their own, and a log of who comes and goes.

use socketio_server::extract::{Ack, Args, Data};
use socketio_server::{
    DisconnectReason, Namespace, Payload, RoomPresence, Server, ServerEvent, Socket, Value,
};

use crate::driven::texts;
use crate::{AnyError, log, number};

pub(crate) fn on(io: &Server, namespace: &Namespace) {
    namespace.on_connect(joined);
    namespace.on_room_occupied(|room| presence("occupied", room));
    namespace.on_room_vacated(|room| presence("vacated", room));
    let name = io.node_id().to_string();
    let nsp = namespace.name().to_owned();
    namespace.on_server_event("note", move |event: ServerEvent| {
        let mut args = event.payload().to_values().unwrap_or_default();
        args.drain(..1.min(args.len()));
        log([
            ("event", "server-event".into()),
            ("nsp", nsp.as_str().into()),
            ("args", args.iter().cloned().collect()),
        ]);
        let (silent, from) = (args.first().and_then(Value::as_str), name.clone());
        if silent != Some("silent") {
            let answer: Value = [("from", from.into()), ("args", args.into_iter().collect())]
                .into_iter()
                .collect();
            // Only fails for what cannot be serialized, and the argument was.
            let _ = event.reply(answer);
        }
        async {}
    });
}

/// A room of the whole cluster has its first members, or none any more.
fn presence(event: &str, room: &RoomPresence) {
    log([
        ("event", event.into()),
        ("nsp", Value::from(room.namespace.to_string())),
        ("room", room.room.to_string().into()),
        ("node", room.node.to_string().into()),
        ("count", number(room.count)),
    ]);
}

async fn joined(socket: Socket) {
    let (nsp, id) = (
        socket.namespace().name().to_owned(),
        socket.id().to_string(),
    );
    let entry = move |event: &str, reason: Value| {
        log([
            ("event", event.into()),
            ("nsp", nsp.as_str().into()),
            ("id", id.as_str().into()),
            ("reason", reason),
        ]);
    };
    entry("connection", Value::Null);
    socket.on_disconnect(move |reason: DisconnectReason| {
        entry("disconnect", reason.as_str().into());
        async {}
    });
    socket.on(
        "join",
        async |socket: Socket, Data(rooms): Data<Value>, ack: Ack| {
            socket.join(texts(&rooms));
            ack.send(())
        },
    );
    socket.on(
        "leave",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            socket.leave(room);
            ack.send(())
        },
    );
    socket.on(
        "attach",
        async |socket: Socket, Data(data): Data<Value>, ack: Ack| {
            socket.set_data(data)?;
            ack.send(())
        },
    );
    socket.on("rooms", async |socket: Socket, ack: Ack| {
        let mut rooms: Vec<String> = socket.rooms().iter().map(ToString::to_string).collect();
        rooms.sort();
        ack.send(rooms)
    });
    socket.on("to-room", async |socket: Socket, args: Args| {
        let mut values = args.0.to_values()?;
        let room = values.get(1).map(texts).unwrap_or_default();
        values.drain(..2.min(values.len()));
        socket
            .to(room)
            .emit_payload(&Payload::from_values(&values))?;
        Ok::<_, AnyError>(())
    });
}
