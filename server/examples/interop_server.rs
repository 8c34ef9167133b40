//! The server that the suites in `interop/` drive: the contract is in `interop/README.md`.
//!
//! One long file on purpose: it has every flag and event of the contract.
//!
//! ```sh
//! cargo run -p socketio-server --example interop_server -- --port 3000
//! ```

mod driven;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use socketio_server::extract::{Ack, Args, Auth, Data};
use socketio_server::{
    AckError, AllowRequest, AllowedOrigins, ConnectError, ConnectionErrorHook, Cookie, Cors,
    CorsOrigin, DisconnectReason, Handshake, HttpCompression, Limits, Listener, Options,
    ParserKind, Server, Socket, Value, ValueError,
};

use driven::{Arguments, lines_of_stdin, say, texts, with_hex};

#[derive(Parser)]
struct Flags {
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long)]
    path: Option<String>,
    #[arg(long)]
    no_add_trailing_slash: bool,
    #[arg(long, value_delimiter = ',')]
    transports: Vec<String>,
    #[arg(long)]
    no_allow_upgrades: bool,
    #[arg(long)]
    allow_eio3: bool,
    #[arg(long)]
    parser: Option<String>,
    #[arg(long)]
    ping_interval: Option<u64>,
    #[arg(long)]
    ping_timeout: Option<u64>,
    #[arg(long)]
    upgrade_timeout: Option<u64>,
    #[arg(long)]
    connect_timeout: Option<u64>,
    #[arg(long)]
    max_http_buffer_size: Option<usize>,
    #[arg(long)]
    max_attachments: Option<usize>,
    #[arg(long)]
    http_compression_threshold: Option<usize>,
    #[arg(long)]
    cors_origin: Option<String>,
    #[arg(long)]
    cors_credentials: bool,
    #[arg(long)]
    cors_max_age: Option<u64>,
    #[arg(long)]
    cookie: bool,
    #[arg(long)]
    cleanup_empty_child_namespaces: bool,
    #[arg(long)]
    allow_request: bool,
    #[arg(long, value_delimiter = ',')]
    allowed_origins: Vec<String>,
    #[arg(long)]
    max_outbox_bytes: Option<usize>,
    #[arg(long)]
    header_read_timeout: Option<u64>,
    #[arg(long)]
    body_read_timeout: Option<u64>,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let flags = Flags::parse();
    let port = flags.port;
    let mut limits = Limits::default();
    if let Some(milliseconds) = flags.header_read_timeout {
        limits.header_read_timeout = Duration::from_millis(milliseconds);
    }
    let io = Server::with_options(options(flags)?);
    application(&io)?;

    let listener = Listener::bind(("127.0.0.1", port)).await?.limits(limits);
    say(&format!("listening on http://{}", listener.local_addr()?));
    let server = tokio::spawn(listener.serve(io.service()));

    // The launcher owns this process: when it goes away, its end of the pipe does too.
    let mut commands = lines_of_stdin();
    while let Some(command) = commands.recv().await {
        match command.as_str() {
            "stats" => stats(&io),
            "close" => {
                io.close().await;
                log(&json!({"event": "closed"}));
            }
            _ => {}
        }
    }
    server.abort();
    Ok(())
}

fn options(flags: Flags) -> Result<Options, AnyError> {
    let mut options = Options::default();
    if let Some(path) = flags.path {
        options.path = path;
    }
    options.add_trailing_slash = !flags.no_add_trailing_slash;
    if !flags.transports.is_empty() {
        let transports: Result<_, _> = flags.transports.iter().map(|name| name.parse()).collect();
        options.transports = transports?;
    }
    options.allow_upgrades = !flags.no_allow_upgrades;
    options.allow_eio3 = flags.allow_eio3;
    if flags.parser.as_deref() == Some("msgpack") {
        options.parser = ParserKind::MessagePack;
    }
    for (option, milliseconds) in [
        (&mut options.ping_interval, flags.ping_interval),
        (&mut options.ping_timeout, flags.ping_timeout),
        (&mut options.upgrade_timeout, flags.upgrade_timeout),
        (&mut options.connect_timeout, flags.connect_timeout),
        (&mut options.body_read_timeout, flags.body_read_timeout),
    ] {
        *option = milliseconds.map_or(*option, Duration::from_millis);
    }
    for (option, number) in [
        (
            &mut options.max_http_buffer_size,
            flags.max_http_buffer_size,
        ),
        (&mut options.max_attachments, flags.max_attachments),
        (&mut options.max_outbox_bytes, flags.max_outbox_bytes),
    ] {
        *option = number.unwrap_or(*option);
    }
    if let Some(threshold) = flags.http_compression_threshold {
        let mut compression = HttpCompression::default();
        compression.threshold = threshold;
        options.http_compression = Some(compression);
    }
    if let Some(origin) = flags.cors_origin {
        let mut cors = Cors::default();
        if origin != "*" {
            cors.origin = CorsOrigin::list(origin.split(','));
        }
        cors.credentials = flags.cors_credentials;
        cors.max_age = flags.cors_max_age.map(Duration::from_secs);
        options.cors = Some(cors);
    }
    options.cookie = flags.cookie.then(Cookie::default);
    options.cleanup_empty_child_namespaces = flags.cleanup_empty_child_namespaces;
    if !flags.allowed_origins.is_empty() {
        let origins = flags.allowed_origins.iter().map(String::as_str);
        options.allowed_origins = AllowedOrigins::list(origins);
    }
    if flags.allow_request {
        options.allow_request = Some(AllowRequest::new(|handshake: Handshake| async move {
            match handshake.query_value("refuse") {
                None => Ok(()),
                Some("plain") => Err(String::new()),
                Some(text) => Err(text.to_owned()),
            }
        }));
    }
    options.connection_error = Some(ConnectionErrorHook::new(|error, _| {
        let (code, message) = (error.code.number(), &error.message);
        log(&json!({"event": "connection_error", "code": code, "message": message}));
    }));
    Ok(options)
}

fn application(io: &Server) -> Result<(), AnyError> {
    let deny = io.of("/deny");
    let refusal = ConnectError::new("nope").with_data(&json!({"code": 1, "why": ["because"]}))?;
    deny.use_middleware(async move || Err::<(), _>(refusal.clone()));

    let token = io.of("/token");
    let refusal = ConnectError::new("not authorized").with_data(&json!({"missing": "token"}))?;
    token.use_middleware(async move |Auth(auth): Auth<Value>| {
        match auth.get("token").and_then(Value::as_str) {
            Some("secret") => Ok(()),
            _ => Err(refusal.clone()),
        }
    });

    for namespace in [io.of("/"), io.of("/custom"), deny, token] {
        namespace.on_connect(joined);
    }
    io.of_pattern(r"^/dynamic-\d+$")?.on_connect(joined);
    Ok(())
}

/// The arguments of an event, without its name.
fn arguments(Args(payload): &Args) -> Result<Vec<Value>, ValueError> {
    let mut values = payload.to_values()?;
    values.drain(..1.min(values.len()));
    Ok(values)
}

/// `head` arguments that mean something to the handler, and what it is to pass on.
fn split(args: &Args, head: usize) -> Result<(Vec<Value>, Arguments), ValueError> {
    let mut values = arguments(args)?;
    values.resize(values.len().max(head), Value::Null);
    let rest = values.split_off(head);
    Ok((values, Arguments(rest)))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn milliseconds(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().unwrap_or(0))
}

async fn joined(socket: Socket) -> Result<(), AnyError> {
    let (nsp, id) = (socket.namespace().name().to_owned(), socket.id().clone());
    log(&json!({"event": "connection", "nsp": nsp, "id": id}));
    socket.on_disconnecting(async |socket: Socket, reason: DisconnectReason| {
        let (nsp, id, rooms) = (socket.namespace().name(), socket.id(), socket.rooms());
        log(&json!({
            "event": "disconnecting", "nsp": nsp, "id": id, "reason": reason.as_str(), "rooms": rooms,
        }));
    });
    socket.on_disconnect(async |socket: Socket, reason: DisconnectReason| {
        let (nsp, id) = (socket.namespace().name(), socket.id());
        log(&json!({"event": "disconnect", "nsp": nsp, "id": id, "reason": reason.as_str()}));
    });
    socket.emit("auth", socket.auth::<Value>()?)?;

    answers(&socket);
    broadcasts(&socket);
    streams(&socket);
    notes(&socket);
    socket.on(
        "disconnect-me",
        async |socket: Socket, Data(close): Data<bool>| {
            socket.disconnect(close);
        },
    );
    socket.on("drop-transport", async |socket: Socket| {
        socket.close_transport()
    });
    Ok(())
}

fn answers(socket: &Socket) {
    socket.on("message", async |socket: Socket, args: Args| {
        Ok::<_, AnyError>(socket.emit("message-back", Arguments(arguments(&args)?))?)
    });
    socket.on("message-with-ack", async |args: Args, ack: Ack| {
        Ok::<_, AnyError>(ack.send(Arguments(arguments(&args)?))?)
    });
    socket.on("describe", async |args: Args, ack: Ack| {
        let described = arguments(&args)?.into_iter();
        let described: Value = described.map(|value| with_hex(value, "bytes")).collect();
        Ok::<_, AnyError>(ack.send(described)?)
    });
    socket.on("ask", async |socket: Socket, args: Args, ack: Ack| {
        let (head, question) = split(&args, 1)?;
        let asking = socket.timeout(milliseconds(&head[0]));
        let answer = match asking
            .emit_with_ack::<_, Arguments>("question", question)
            .await
        {
            Ok(Arguments(mut answer)) => {
                answer.insert(0, "answer".into());
                answer
            }
            Err(AckError::Timeout) => vec!["timeout".into()],
            Err(error) => return Err(error.into()),
        };
        Ok::<_, AnyError>(ack.send(Arguments(answer))?)
    });
    socket.on("no-ack", async || {});
    socket.on("state", async |socket: Socket, ack: Ack| {
        let mut rooms: Vec<String> = socket.rooms().iter().map(ToString::to_string).collect();
        rooms.sort();
        let query = socket.handshake().query.iter();
        let query: Value = query
            .map(|(key, value)| (key, value.as_str().into()))
            .collect();
        let state: Value = [
            ("id", socket.id().to_string().into()),
            ("nsp", socket.namespace().name().into()),
            ("rooms", rooms.into_iter().map(Value::from).collect()),
            ("query", query),
            ("auth", socket.auth()?),
            ("recovered", socket.recovered().into()),
            ("transport", socket.transport().as_str().into()),
        ]
        .into_iter()
        .collect();
        Ok::<_, AnyError>(ack.send(state)?)
    });
    socket.on("error", async |socket: Socket, Data(value): Data<Value>| {
        socket.emit("error-seen", value)
    });
}

fn broadcasts(socket: &Socket) {
    socket.on(
        "join",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            socket.join(room);
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
    socket.on("to-room", async |socket: Socket, args: Args| {
        let (head, rest) = split(&args, 2)?;
        Ok::<_, AnyError>(socket.to(texts(&head[0])).emit(text(&head[1]), rest)?)
    });
    socket.on("in-room", async |socket: Socket, args: Args| {
        let (head, rest) = split(&args, 2)?;
        Ok::<_, AnyError>(socket.within(texts(&head[0])).emit(text(&head[1]), rest)?)
    });
    socket.on("except-room", async |socket: Socket, args: Args| {
        let (head, rest) = split(&args, 2)?;
        let others = socket.namespace().except(texts(&head[0]));
        Ok::<_, AnyError>(others.emit(text(&head[1]), rest)?)
    });
    socket.on("to-others", async |socket: Socket, args: Args| {
        let (head, rest) = split(&args, 1)?;
        Ok::<_, AnyError>(socket.broadcast().emit(text(&head[0]), rest)?)
    });
    socket.on(
        "fetch",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            let found = socket.within(room).fetch_sockets().await?;
            let mut ids: Vec<String> = found.iter().map(|remote| remote.id.to_string()).collect();
            ids.sort();
            Ok::<_, AnyError>(ack.send(ids)?)
        },
    );
    socket.on("ask-room", async |socket: Socket, args: Args, ack: Ack| {
        let (head, rest) = split(&args, 3)?;
        let room = socket
            .within(texts(&head[0]))
            .timeout(milliseconds(&head[1]));
        let asked = room.emit_with_ack::<_, Value>(text(&head[2]), rest)?;
        let answers = asked.collect().await;
        let outcome = if answers.is_complete() {
            "answers"
        } else {
            "timeout"
        };
        let data: Vec<Value> = answers.into_data().collect();
        Ok::<_, AnyError>(ack.send((outcome, data))?)
    });
}

fn streams(socket: &Socket) {
    socket.on("volatile", async |socket: Socket, args: Args| {
        let (head, rest) = split(&args, 1)?;
        Ok::<_, AnyError>(socket.volatile().emit(text(&head[0]), rest)?)
    });
    socket.on(
        "volatile-flood",
        async |socket: Socket, Data((count, size)): Data<(u32, usize)>| {
            let filler = "x".repeat(size);
            for index in 0..count {
                socket.volatile().emit("flood", (index, &filler))?;
            }
            socket.emit("flood-end", count)
        },
    );
    socket.on("burst", async |socket: Socket, Data(count): Data<u32>| {
        (0..count).try_for_each(|index| socket.emit("item", index))
    });
    socket.on(
        "fill",
        async |socket: Socket, Data((count, size)): Data<(u32, usize)>| {
            let filler = "x".repeat(size);
            (0..count).try_for_each(|index| socket.emit("filler", (index, &filler)))
        },
    );
}

fn notes(socket: &Socket) {
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<Value>>>);
    impl Notes {
        fn all(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    let notes = Notes::default();
    let noted = notes.clone();
    socket.on("note", move |Data(value): Data<Value>| {
        noted.all().push(value);
        async {}
    });
    let noted = notes.clone();
    socket.on("noted", move |ack: Ack| {
        let all = noted.all().clone();
        async move { ack.send(all) }
    });
    socket.on("noted-sizes", move |ack: Ack| {
        let size = |value: &Value| text(value).encode_utf16().count();
        let sizes: Vec<usize> = notes.all().iter().map(size).collect();
        async move { ack.send(sizes) }
    });
}

fn stats(io: &Server) {
    let namespaces = io.namespaces();
    let sockets: usize = namespaces.iter().map(|nsp| nsp.socket_count()).sum();
    let rooms: usize = namespaces.iter().map(|nsp| nsp.local_rooms().len()).sum();
    log(&json!({
        "event": "stats", "connections": io.connection_count(), "sockets": sockets,
        "rooms": rooms, "namespaces": namespaces.len(),
    }));
}

fn log(entry: &serde_json::Value) {
    say(&entry.to_string());
}
