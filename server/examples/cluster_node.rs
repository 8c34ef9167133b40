//! A node of the clusters that `interop/cluster/` starts: the line protocol is in its README.
//!
//! One long file on purpose: an example is a whole program, and this one has every operation of a
//! cluster.
//!
//! ```sh
//! cargo run -p socketio-server --example cluster_node -- --adapter redis --url redis://127.0.0.1
//! ```

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use parking_lot::Mutex;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use socketio_adapter_amqp::{AmqpAdapter, AmqpConfig, PythonConfig, Reliable};
use socketio_adapter_redis::{Mode, RedisAdapter, RedisConfig};
use socketio_server::extract::{Ack, Args, Data};
use socketio_server::{
    Adapter, BroadcastOperator, DisconnectReason, Listener, MembersConfig, MissingNodes, Namespace,
    NodeId, Payload, RemoteSocket, RoomPresence, Server, ServerEvent, Socket, Value,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Flags {
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long)]
    adapter: Carrier,
    #[arg(long)]
    url: String,
    /// Redis: a mode of the adapter. AMQP: nothing, or `reliable`.
    #[arg(long)]
    mode: Option<String>,
    #[arg(long)]
    prefix: Option<String>,
    /// Speaks Python's dialect too.
    #[arg(long, value_enum)]
    python: Option<Strength>,
    #[arg(long, value_delimiter = ',', default_value = "socketio")]
    python_channels: Vec<String>,
    /// How often nodes show that they are alive, in milliseconds.
    #[arg(long, default_value_t = 500)]
    heartbeat_interval: u64,
    /// The death window, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    heartbeat_timeout: u64,
    /// Most messages that wait for the broker.
    #[arg(long)]
    queue: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Carrier {
    Amqp,
    Redis,
}

#[derive(Clone, Copy, ValueEnum)]
enum Strength {
    Listen,
    Member,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let flags = Flags::parse();
    let node = NodeId::generate();
    let adapter = adapter(&flags, &node)?;
    let members = MembersConfig {
        heartbeat_interval: Duration::from_millis(flags.heartbeat_interval),
        heartbeat_timeout: Duration::from_millis(flags.heartbeat_timeout),
    };
    let io = Server::builder()
        .node_id(node)
        .adapter(Arc::clone(&adapter))
        .heartbeat(members)
        .max_http_buffer_size(4_000_000)
        .build();
    for namespace in [io.of("/"), io.of("/custom")] {
        application(&io, &namespace);
    }
    io.join_cluster().await?;

    let listener = Listener::bind(("127.0.0.1", flags.port)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let server = tokio::spawn(listener.serve(io.service()));

    let node = Arc::new(Node {
        io,
        adapter,
        streams: Mutex::default(),
    });
    // The launcher owns this process: when it goes away, its end of the pipe does too.
    let mut commands = lines_of_stdin();
    while let Some(line) = commands.recv().await {
        let command = Command(decode(serde_json::from_str(&line)?));
        if command.text("do") == "close" {
            node.io.close().await;
            break;
        }
        if let Some(answer) = node.at_once(&command) {
            command.answer(answer);
        } else {
            // What takes time must not hold up the commands behind it.
            let node = Arc::clone(&node);
            tokio::spawn(async move { command.answer(node.in_time(&command).await) });
        }
    }
    server.abort();
    Ok(())
}

fn adapter(flags: &Flags, node: &NodeId) -> Result<Arc<dyn Adapter>, AnyError> {
    Ok(match flags.adapter {
        Carrier::Amqp => {
            let mut config = AmqpConfig::new(&flags.url);
            if let Some(prefix) = &flags.prefix {
                config.exchange.clone_from(prefix);
            }
            if let Some(queue) = flags.queue {
                config.queue_messages = queue;
            }
            match flags.mode.as_deref() {
                None => {}
                Some("reliable") => config.reliable = Some(Reliable::new(node.to_string())),
                Some(other) => return Err(format!("no mode {other}").into()),
            }
            config.python = python(flags);
            AmqpAdapter::new(config)?
        }
        Carrier::Redis => {
            let mut config = RedisConfig::new(&flags.url);
            if let Some(prefix) = &flags.prefix {
                config.prefix.clone_from(prefix);
            }
            if let Some(queue) = flags.queue {
                config.max_queued_messages = queue;
            }
            config.mode = match flags.mode.as_deref() {
                None | Some("pubsub") => Mode::Pubsub,
                Some("sharded-static") => Mode::ShardedStatic,
                Some("sharded" | "sharded-dynamic") => Mode::ShardedDynamic,
                Some("sharded-dynamic-private") => Mode::ShardedDynamicPrivate,
                Some(other) => return Err(format!("no mode {other}").into()),
            };
            config.python = python(flags);
            RedisAdapter::new(config)?
        }
    })
}

fn python(flags: &Flags) -> Option<PythonConfig> {
    let config = match flags.python? {
        Strength::Listen => PythonConfig::listen(),
        Strength::Member => PythonConfig::member(),
    };
    Some(config.channels(&flags.python_channels))
}

fn application(io: &Server, namespace: &Namespace) {
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
            socket.join(texts(Some(&rooms)));
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
        let room = texts(values.get(1));
        values.drain(..2.min(values.len()));
        socket
            .to(room)
            .emit_payload(&Payload::from_values(&values))?;
        Ok::<_, AnyError>(())
    });
}

/// One line of standard input.
struct Command(Value);

impl Command {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> Option<&Value> {
        self.get("flags")?.get(name)
    }

    fn is_set(&self, name: &str) -> bool {
        self.flag(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn arguments(&self) -> Arguments {
        let args = self.get("args").and_then(Value::as_array);
        Arguments(args.unwrap_or_default().to_vec())
    }

    fn event(&self) -> Payload {
        let mut values = vec![Value::from(self.text("event"))];
        values.extend(self.arguments().0);
        Payload::from_values(&values)
    }

    fn answer(&self, outcome: Result<Fields, AnyError>) {
        let id = self.get("id").cloned().unwrap_or_default();
        let mut fields = outcome.unwrap_or_else(|error| {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            vec![("error", text.into())]
        });
        fields.insert(0, ("answer", id));
        log(fields);
    }
}

type Fields = Vec<(&'static str, Value)>;

/// Arguments of an event: any number, which a tuple cannot have.
struct Arguments(Vec<Value>);

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

/// What a client answered: nothing, one value bare, or an array of several.
struct Reply(Value);

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Arguments that are not there are null.
        let values: [Value; 8] = Deserialize::deserialize(deserializer)?;
        let count = values.iter().rposition(|value| *value != Value::Null);
        let values = values
            .get(..count.map_or(0, |last| last + 1))
            .unwrap_or_default();
        Ok(Self(match values {
            [] => Value::Null,
            [only] => only.clone(),
            several => several.iter().cloned().collect(),
        }))
    }
}

struct Node {
    io: Server,
    adapter: Arc<dyn Adapter>,
    streams: Mutex<HashMap<String, (CancellationToken, JoinHandle<Stream>)>>,
}

/// Numbered events at a steady pace.
#[derive(Default)]
struct Stream {
    sent: u64,
    refused: u64,
}

impl Node {
    fn namespace(&self, command: &Command) -> Namespace {
        match command.text("nsp") {
            "" => self.io.of("/"),
            name => self.io.of(name),
        }
    }

    fn target(&self, command: &Command) -> BroadcastOperator {
        let mut operator = self
            .namespace(command)
            .to(texts(command.get("to")))
            .except(texts(command.get("except")));
        if command.is_set("volatile") {
            operator = operator.volatile();
        }
        if command.is_set("local") {
            operator = operator.local();
        }
        if let Some(timeout) = command.flag("timeout").and_then(Value::as_u64) {
            operator = operator.timeout(Duration::from_millis(timeout));
        }
        operator
    }

    /// The commands that wait for nobody, in the order in which they come.
    fn at_once(&self, command: &Command) -> Option<Result<Fields, AnyError>> {
        let done = |outcome: Result<(), socketio_server::EmitError>| {
            outcome.map(|()| Fields::new()).map_err(Into::into)
        };
        Some(match command.text("do") {
            "nodes" => Ok(self.nodes()),
            "status" => Ok(self.status()),
            "emit" => done(self.target(command).emit_payload(&command.event())),
            "join" => done(self.target(command).join(texts(command.get("rooms")))),
            "leave" => done(self.target(command).leave(texts(command.get("rooms")))),
            "disconnect" => {
                let close = command.get("close").and_then(Value::as_bool);
                done(self.target(command).disconnect(close.unwrap_or(false)))
            }
            "server-emit" => {
                let namespace = self.namespace(command);
                done(namespace.server_side_emit(command.text("event"), command.arguments()))
            }
            "stats" => {
                let namespaces = self.io.namespaces();
                let sockets: usize = namespaces.iter().map(|nsp| nsp.socket_count()).sum();
                Ok(vec![("sockets", number(sockets as u64))])
            }
            "stream-start" => {
                self.start_stream(command);
                Ok(Fields::new())
            }
            _ => return None,
        })
    }

    async fn in_time(&self, command: &Command) -> Result<Fields, AnyError> {
        match command.text("do") {
            "ask" => self.ask(command).await,
            "fetch" => Ok(self.fetch(command).await),
            "server-ask" => self.server_ask(command).await,
            "count" => Ok(self.count(command).await),
            "rooms" => Ok(self.rooms(command).await),
            "stream-stop" => self.stop_stream(command).await,
            other => Err(format!("no command {other}").into()),
        }
    }

    fn nodes(&self) -> Fields {
        vec![
            ("node", self.io.node_id().to_string().into()),
            ("count", number(self.io.node_count() as u64)),
            ("others", names(&self.io.other_nodes())),
        ]
    }

    fn status(&self) -> Fields {
        let status = self.adapter.status();
        let round_trip = status.round_trip.map(|time| time.as_secs_f64());
        vec![
            ("up", status.up.into()),
            ("reconnects", number(status.reconnects)),
            ("gaps", number(status.gaps)),
            ("messages_in", number(status.messages_in)),
            ("bytes_in", number(status.bytes_in)),
            ("messages_out", number(status.messages_out)),
            ("bytes_out", number(status.bytes_out)),
            ("decode_errors", number(status.decode_errors)),
            ("dropped_in", number(status.dropped_in)),
            ("dropped_out", number(status.dropped_out)),
            ("untranslated", number(status.untranslated)),
            ("queued_messages", number(status.queued_messages as u64)),
            ("queued_bytes", number(status.queued_bytes as u64)),
            ("round_trip", round_trip.map_or(Value::Null, Value::Float)),
        ]
    }

    async fn ask(&self, command: &Command) -> Result<Fields, AnyError> {
        let target = self.target(command);
        let acks = target.emit_with_ack::<_, Reply>(command.text("event"), command.arguments())?;
        let answers = acks.collect().await;
        let complete = answers.is_complete();
        let sockets = answers.missing.iter();
        let sockets = sockets.map(|id| Value::from(id.to_string())).collect();
        let missing = without_answer(&answers.missing_nodes);
        Ok(vec![
            ("complete", complete.into()),
            ("missing", missing),
            ("sockets", sockets),
            (
                "replies",
                answers.into_data().map(|reply| reply.0).collect(),
            ),
        ])
    }

    async fn fetch(&self, command: &Command) -> Fields {
        let (sockets, missing) = match self.target(command).fetch_sockets().await {
            Ok(sockets) => (sockets, MissingNodes::default()),
            Err(error) => (error.sockets, error.missing),
        };
        vec![
            ("sockets", sockets.iter().map(describe).collect()),
            ("missing", without_answer(&missing)),
        ]
    }

    async fn count(&self, command: &Command) -> Fields {
        let count = self.target(command).count().await;
        vec![
            ("count", number(count.count)),
            ("unknown", without_answer(&count.unknown)),
        ]
    }

    async fn rooms(&self, command: &Command) -> Fields {
        let list = self.namespace(command).rooms().await;
        let rooms = list.rooms.iter();
        let rooms = rooms.map(|(room, count)| (room.to_string(), number(*count)));
        vec![
            ("rooms", rooms.collect()),
            ("unknown", without_answer(&list.unknown)),
        ]
    }

    async fn server_ask(&self, command: &Command) -> Result<Fields, AnyError> {
        let namespace = self.namespace(command);
        let answers = namespace
            .server_side_emit_with_ack::<_, Value>(command.text("event"), command.arguments())
            .await?;
        let replies = answers
            .replies
            .into_iter()
            .filter_map(|reply| reply.data.ok());
        Ok(vec![
            ("complete", answers.missing.is_empty().into()),
            ("missing", without_answer(&answers.missing)),
            ("replies", replies.collect()),
        ])
    }

    fn start_stream(&self, command: &Command) {
        let name = command.text("stream").to_owned();
        let interval = command.get("interval").and_then(Value::as_u64).unwrap_or(1);
        let (target, event) = (self.target(command), command.text("event").to_owned());
        let (stopped, id) = (CancellationToken::new(), name.clone());
        let stop = stopped.clone();
        let task = tokio::spawn(async move {
            let mut stream = Stream::default();
            let mut ticks = tokio::time::interval(Duration::from_millis(interval));
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                if target.emit(&event, (&name, stream.sent)).is_err() {
                    stream.refused += 1;
                }
                stream.sent += 1;
            }
            stream
        });
        self.streams.lock().insert(id, (stopped, task));
    }

    async fn stop_stream(&self, command: &Command) -> Result<Fields, AnyError> {
        let stream = self.streams.lock().remove(command.text("stream"));
        let (stopped, task) = stream.ok_or("no such stream")?;
        stopped.cancel();
        let stream = task.await?;
        Ok(vec![
            ("sent", number(stream.sent)),
            ("refused", number(stream.refused)),
        ])
    }
}

fn describe(socket: &RemoteSocket) -> Value {
    let mut rooms: Vec<String> = socket.rooms.iter().map(ToString::to_string).collect();
    rooms.sort();
    let query = socket.handshake.query.iter();
    let fields: [(&str, Value); 5] = [
        ("id", socket.id.to_string().into()),
        ("rooms", rooms.into_iter().map(Value::from).collect()),
        ("data", socket.data.clone()),
        (
            "query",
            query
                .map(|(key, value)| (key, value.as_str().into()))
                .collect(),
        ),
        ("auth", socket.handshake.auth.clone()),
    ];
    fields.into_iter().collect()
}

fn names(nodes: &[NodeId]) -> Value {
    let names = nodes.iter().map(|node| Value::from(node.to_string()));
    names.collect()
}

/// The names of those that did not answer, and a question mark for each that has none.
fn without_answer(missing: &MissingNodes) -> Value {
    let names = missing.nodes.iter().map(ToString::to_string);
    let unnamed = (0..missing.unnamed).map(|_| "?".to_owned());
    names.chain(unnamed).map(Value::from).collect()
}

fn number(value: u64) -> Value {
    Value::UInt(value)
}

/// Names of rooms: one or a list, text or numbers.
fn texts(value: Option<&Value>) -> Vec<String> {
    let Some(value) = value else {
        return Vec::new();
    };
    let one = std::slice::from_ref(value);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    value.as_array().unwrap_or(one).iter().map(text).collect()
}

/// `{"$bytes":"<hex>"}` becomes bytes.
fn decode(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(decode).collect(),
        Value::Object(members) => match members.as_slice() {
            [(name, Value::String(hex))] if name == "$bytes" => {
                let digits = (0..hex.len() / 2).filter_map(|at| hex.get(2 * at..2 * at + 2));
                let bytes = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok());
                Value::Bytes(bytes.collect())
            }
            _ => {
                let members = members.into_iter();
                members.map(|(name, inner)| (name, decode(inner))).collect()
            }
        },
        other => other,
    }
}

/// And back.
fn encode(value: Value) -> Value {
    match value {
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            [("$bytes", Value::from(hex))].into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(encode).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members.map(|(name, inner)| (name, encode(inner))).collect()
        }
        other => other,
    }
}

fn log(fields: impl IntoIterator<Item = (&'static str, Value)>) {
    let entry: Value = fields.into_iter().collect();
    say(&encode(entry).to_string());
}

fn say(line: &str) {
    // Nobody listens any more: the end of standard input follows.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The lines of standard input; ends with it.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1_024);
    // A thread that is not waited for at the end, unlike tokio's own for standard input.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
