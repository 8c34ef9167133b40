//! What the node is told to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socketio_server::{
    Adapter, BroadcastOperator, MissingNodes, Namespace, NodeId, Payload, RemoteSocket, Server,
    Value,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::driven::{Arguments, texts};
use crate::{AnyError, log, number};

/// One line of standard input.
pub(crate) struct Command(Value);

impl Command {
    pub(crate) fn read(line: &str) -> Result<Self, AnyError> {
        Ok(Self(decode(serde_json::from_str(line)?)))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Names of rooms: one or a list, text or numbers.
    fn names(&self, name: &str) -> Vec<String> {
        self.get(name).map(texts).unwrap_or_default()
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

    pub(crate) fn answer(&self, outcome: Result<Fields, AnyError>) {
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

/// The node, to which commands are given.
pub(crate) struct Node {
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
    pub(crate) fn new(io: Server, adapter: Arc<dyn Adapter>) -> Self {
        Self {
            io,
            adapter,
            streams: Mutex::default(),
        }
    }

    pub(crate) async fn close(&self) {
        self.io.close().await;
    }

    fn namespace(&self, command: &Command) -> Namespace {
        match command.text("nsp") {
            "" => self.io.of("/"),
            name => self.io.of(name),
        }
    }

    fn target(&self, command: &Command) -> BroadcastOperator {
        let mut operator = self
            .namespace(command)
            .to(command.names("to"))
            .except(command.names("except"));
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
    pub(crate) fn at_once(&self, command: &Command) -> Option<Result<Fields, AnyError>> {
        let done = |outcome: Result<(), socketio_server::EmitError>| {
            outcome.map(|()| Fields::new()).map_err(Into::into)
        };
        Some(match command.text("do") {
            "nodes" => Ok(self.nodes()),
            "status" => Ok(self.status()),
            "emit" => done(self.target(command).emit_payload(&command.event())),
            "join" => done(self.target(command).join(command.names("rooms"))),
            "leave" => done(self.target(command).leave(command.names("rooms"))),
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

    /// Those that wait for others.
    pub(crate) async fn in_time(&self, command: &Command) -> Result<Fields, AnyError> {
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
            ("missed", number(status.missed)),
            ("unheard", number(status.unheard)),
            ("untranslated", number(status.untranslated)),
            ("queued_messages", number(status.queued_messages as u64)),
            ("queued_bytes", number(status.queued_bytes as u64)),
            ("round_trip", round_trip.map_or(Value::Null, Value::Float)),
        ]
    }

    async fn ask(&self, command: &Command) -> Result<Fields, AnyError> {
        let target = self.target(command);
        let acks =
            target.emit_with_ack::<_, Arguments>(command.text("event"), command.arguments())?;
        let answers = acks.collect().await;
        let complete = answers.is_complete();
        let sockets = answers.missing.iter();
        let sockets = sockets.map(|id| Value::from(id.to_string())).collect();
        let missing = without_answer(&answers.missing_nodes);
        Ok(vec![
            ("complete", complete.into()),
            ("missing", missing),
            ("sockets", sockets),
            ("replies", answers.into_data().map(bare).collect()),
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

/// What a client answered: nothing, one value bare, or an array of several.
fn bare(Arguments(mut values): Arguments) -> Value {
    match values.len() {
        0 => Value::Null,
        1 => values.remove(0),
        _ => values.into_iter().collect(),
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
