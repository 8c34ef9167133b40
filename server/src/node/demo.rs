//! The open demo: rooms, publishing, echo, and the numbers that the page shows.
//!
//! Whoever reaches the node may do all of it, so each handler bounds what it takes, and answers
//! nonsense with `{error}`.

use std::time::Duration;

use serde_json::json;
use socketio_core::value::Value;
use socketio_server::extract::{Ack, Args};
use socketio_server::handler::Reply;
use socketio_server::{EmitError, Server, Socket, SocketId};
use tokio::time::{MissedTickBehavior, interval};

/// The room of those who asked for the numbers.
const FEED: &str = "@stats";
/// Its event. Only the node sends it: numbers that anybody could publish would be worth nothing.
const FEED_EVENT: &str = "stats";
/// Rooms that begin so are the node's own.
const RESERVED: char = '@';
const FEED_PERIOD: Duration = Duration::from_secs(2);
/// Longest name of a room or an event, in bytes.
const MAX_NAME: usize = 256;
/// Rooms of one socket besides the one of its id.
const MAX_ROOMS: usize = 1_000;
/// How long members that must be asked for their sockets may take.
const COUNT_TIME: Duration = Duration::from_secs(1);
/// Sockets of this node that `who` names.
const MAX_LISTED: usize = 100;

/// The object for the acknowledgement, or what was wrong.
type Answer = Result<serde_json::Value, &'static str>;

/// Registers the handlers, and starts the feed on the running runtime.
pub(crate) fn install(server: &Server) {
    let root = server.of("/");
    root.on("echo", echo);
    root.on("join", async |socket: Socket, args: Args| {
        reply(join(&socket, &args).await)
    });
    root.on("leave", async |socket: Socket, args: Args| {
        reply(leave(&socket, &args).await)
    });
    root.on("publish", async |socket: Socket, args: Args| {
        reply(publish(&socket, &args))
    });
    root.on("who", async |socket: Socket, args: Args| {
        reply(who(&socket, &args).await)
    });
    let feed = server.clone();
    root.on(FEED_EVENT, move |socket: Socket, args: Args| {
        let answer = subscribe(&feed, &socket, &args);
        async { reply(answer) }
    });
    tokio::spawn(feed_numbers(server.clone()));
}

fn reply(answer: Answer) -> Reply<serde_json::Value> {
    Reply(answer.unwrap_or_else(|error| json!({ "error": error })))
}

/// Gives the arguments back, as they came.
async fn echo(socket: Socket, Args(payload): Args, ack: Ack) {
    // The events of a disconnected socket have no answer.
    let _ = match payload.tail(1) {
        Ok(arguments) if ack.is_expected() => ack.send_payload(&arguments),
        Ok(_) => socket.emit_payload(&payload),
        Err(error) => ack.send(json!({ "error": error.to_string() })),
    };
}

async fn join(socket: &Socket, args: &Args) -> Answer {
    let room = room(&values(args)?)?;
    // Its own room counts too.
    if socket.rooms().len() > MAX_ROOMS {
        return Err("too many rooms");
    }
    let id = SocketId::from(room.as_str());
    if id != *socket.id() && socket.namespace().socket(&id).is_some() {
        return Err("the room belongs to another client");
    }
    socket.join(room.as_str());
    Ok(json!({ "room": room, "members": members(socket, &room).await }))
}

async fn leave(socket: &Socket, args: &Args) -> Answer {
    let room = room(&values(args)?)?;
    socket.leave(room.as_str());
    Ok(json!({ "room": room, "members": members(socket, &room).await }))
}

fn publish(socket: &Socket, args: &Args) -> Answer {
    let values = values(args)?;
    let room = room(&values)?;
    let event = match values.get(1) {
        Some(Value::String(event)) if (1..=MAX_NAME).contains(&event.len()) => event.clone(),
        _ => return Err("the second argument must be the name of an event"),
    };
    if event == FEED_EVENT {
        return Err("the name of the event is reserved");
    }
    let payload = args
        .0
        .tail(2)
        .map_err(|_| "the arguments nest too deeply")?;
    // The namespace's operator, unlike the socket's, reaches the sender too.
    match socket.namespace().to(room.as_str()).emit_payload(&payload) {
        Ok(()) => Ok(json!({ "room": room, "event": event })),
        Err(EmitError::Reserved(_)) => Err("the name of the event is reserved"),
        Err(_) => Err("other nodes could not be told"),
    }
}

/// How many are in a room on all nodes, and the ids of those that are here.
async fn who(socket: &Socket, args: &Args) -> Answer {
    let values = values(args)?;
    let namespace = socket.namespace();
    if values.first().is_none_or(Value::is_null) {
        let total = namespace.timeout(COUNT_TIME).count().await.count;
        // Listing touches every socket, and everybody may ask.
        let listed = if namespace.socket_count() <= MAX_LISTED {
            namespace.sockets()
        } else {
            Vec::new()
        };
        let ids: Vec<&str> = listed.iter().map(|socket| socket.id().as_ref()).collect();
        return Ok(json!({ "room": null, "total": total, "sockets": ids }));
    }
    let room = room(&values)?;
    let total = members(socket, &room).await;
    let listed = if namespace.room_size(room.as_str()) <= MAX_LISTED {
        namespace.room_members(room.as_str())
    } else {
        Vec::new()
    };
    Ok(json!({ "room": room, "total": total, "sockets": listed }))
}

/// Starts or stops the feed for one socket.
fn subscribe(server: &Server, socket: &Socket, args: &Args) -> Answer {
    match values(args)?.first() {
        Some(Value::Bool(false)) => socket.leave(FEED),
        _ => socket.join(FEED),
    }
    Ok(numbers(server))
}

/// Sends the numbers to those who asked, for as long as the runtime lives.
async fn feed_numbers(server: Server) {
    let mut tick = interval(FEED_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if server.room_size(FEED) > 0 {
            // Slow readers may miss numbers: the next ones replace them.
            let sent = server
                .to(FEED)
                .local()
                .volatile()
                .emit(FEED_EVENT, numbers(&server));
            if let Err(error) = sent {
                tracing::error!(%error, "the numbers cannot be sent");
            }
        }
    }
}

fn numbers(server: &Server) -> serde_json::Value {
    let now = server.metrics().snapshot();
    let feed = u64::from(server.room_size(FEED) > 0);
    json!({
        "node": server.node_id(),
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": server.adapter_name(),
        "nodes": server.node_count(),
        "uptime": now.uptime.as_secs(),
        "connections": { "polling": now.polling, "websocket": now.websocket },
        "sockets": now.sockets,
        // The feed's own room is nothing to show.
        "rooms": now.rooms.saturating_sub(feed),
        "events_in": now.events_in,
        "events_out": now.events_out,
    })
}

/// Sockets in a room, on all nodes as far as they are known.
async fn members(socket: &Socket, room: &str) -> u64 {
    let room = socket.namespace().in_room(room).timeout(COUNT_TIME);
    room.count().await.count
}

/// The arguments without the name of the event.
fn values(args: &Args) -> Result<Vec<Value>, &'static str> {
    let mut values = args
        .0
        .to_values()
        .map_err(|_| "the arguments nest too deeply")?;
    Ok(values.split_off(values.len().min(1)))
}

/// The first argument, a room that clients may use.
fn room(values: &[Value]) -> Result<String, &'static str> {
    let room = match values.first() {
        Some(Value::String(room)) => room.clone(),
        Some(Value::Int(room)) => room.to_string(),
        Some(Value::UInt(room)) => room.to_string(),
        _ => return Err("the first argument must be the name of a room"),
    };
    if !(1..=MAX_NAME).contains(&room.len()) {
        return Err("the name of a room has 1 to 256 bytes");
    }
    if room.starts_with(RESERVED) {
        return Err("rooms that begin with @ are reserved");
    }
    Ok(room)
}
