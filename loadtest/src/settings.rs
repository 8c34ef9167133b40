//! What a run may be told, by flags or by a scenario file; flags win.

mod file;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::units::Span;

pub use file::{FileError, without_password};

/// A heading of the help.
const EVENTS: &str = "Events (the defaults fit our stock node; for others see below)";

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Connect, and say nothing.
    Idle,
    /// Each client sends events that the server acknowledges.
    Echo,
    /// Publishers among the clients send to rooms; every member audits what it gets.
    Fanout,
    /// As fanout, but the publisher is the emitter, through the broker.
    Emit,
    /// As fanout, while clients leave and join rooms, or disconnect and come back.
    Churn,
    /// As fanout, while from time to time all clients disconnect and come back at once.
    Storm,
    /// As fanout, while a share of the clients stops reading. They are not audited; the others are.
    Slow,
    /// Echo and fanout together, over polling, WebSocket and upgrades.
    Mix,
}

/// What churns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Churn {
    /// Clients leave and join rooms.
    Rooms,
    /// Clients disconnect and come back.
    Connections,
    /// Both in turns.
    Both,
}

/// The packet format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parser {
    /// The default parser.
    Json,
    /// `socket.io-msgpack-parser`.
    Msgpack,
}

/// Everything that can be said, none of it required here. Names in a scenario file are those of the
/// flags.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What the clients do
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Scenario>,

    /// Server, as http://host:port or https://…, with a path if it is not /socket.io/; repeat it, and
    /// the clients are spread in turns. Who loses its server tries the others, as behind a balancer
    #[arg(long, value_name = "URL", help_heading = "Target")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<String>,
    /// Namespace [default: /]
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// JSON object that each client sends when it connects; in it, in a --header and in the query of a
    /// --target, {client} is the client's number and {room} its first room
    #[arg(long, value_name = "JSON", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Header of every request, as `Name: value`; may be repeated
    #[arg(long, value_name = "HEADER", help_heading = "Target")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,
    /// Packet format [default: json]
    #[arg(long, value_name = "PARSER", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parser: Option<Parser>,
    /// PEM file of the authority that signed the servers' certificate [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Trust every certificate of servers, also expired and self-signed ones
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Shares of the transports, as websocket=70,upgrade=20,polling=10 [default: websocket=1; mix:
    /// websocket=2,upgrade=1,polling=1]
    #[arg(long, value_name = "SHARES", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transports: Option<String>,

    /// Number of clients [default: 100]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<u32>,
    /// Clients that connect per second, at first and after a storm [default: as fast as they can, 100 at
    /// once]
    #[arg(long, value_name = "PER SECOND", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_rate: Option<f64>,
    /// How long to measure [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// How long to send before measuring, in whole seconds [default: 1s]
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Span>,
    /// Messages per second, over all clients: open loop, measured from when each was due
    #[arg(long, value_name = "PER SECOND", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Without a rate: messages that each publisher (echo: each client) keeps under way [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// A stage, as `30s`, `10s rate=100..500` or `1m clients=2000 rate=500`; repeat it for several,
    /// which replace --duration. Numbers are reached evenly within the stage
    #[arg(long, value_name = "PHASE", help_heading = "Load")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phase: Vec<String>,
    /// Bytes that each message carries besides its stamp [default: 64]
    #[arg(long, value_name = "BYTES", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Carry bytes instead of text
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<bool>,
    /// Number of rooms [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<u32>,
    /// Rooms that each client is in [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms_per_client: Option<u32>,
    /// Clients that publish; each does so in its first room [default: one for each room]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishers: Option<u32>,
    /// What is random follows from this number [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,

    /// churn: operations per second [default: a tenth of the clients]
    #[arg(long, value_name = "PER SECOND", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn_rate: Option<f64>,
    /// churn: of what [default: both]
    #[arg(long, value_name = "WHAT", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// storm: time from one storm to the next, and to the first; none comes at the very end [default: half of
    /// the duration]
    #[arg(long, value_name = "TIME", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm_every: Option<Span>,
    /// slow: share of the clients that stop reading [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_share: Option<f64>,
    /// emit: broker, as redis://… or amqp://…
    #[arg(long, value_name = "URL", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// emit: wire, as `socketio-emit --mode` names it [default: pubsub or amqp]
    #[arg(long, value_name = "MODE", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_mode: Option<String>,
    /// emit: prefix of the channels of Redis, or exchange of RabbitMQ [default: that of the nodes]
    #[arg(long, value_name = "NAME", help_heading = "Scenarios")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_prefix: Option<String>,

    /// Event to be acknowledged [default: echo]
    #[arg(long, value_name = "NAME", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_event: Option<String>,
    /// Its arguments; {stamp}, {data}, {client} and {event} are filled in [default: ["{stamp}","{data}"]]
    #[arg(long, value_name = "JSON", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_args: Option<String>,
    /// Event that joins a room; empty if the server itself puts clients into rooms [default: join]
    #[arg(long, value_name = "NAME", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_event: Option<String>,
    /// Event that leaves a room [default: leave]
    #[arg(long, value_name = "NAME", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_event: Option<String>,
    /// Arguments of both [default: ["{room}"]]
    #[arg(long, value_name = "JSON", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_args: Option<String>,
    /// Whether the server acknowledges joining and leaving [default: true]
    #[arg(long, value_name = "BOOL", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_ack: Option<bool>,
    /// Event that publishes to a room [default: publish]
    #[arg(long, value_name = "NAME", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_event: Option<String>,
    /// Its arguments, with {stamp} somewhere [default: ["{room}","{event}","{stamp}","{data}"]]
    #[arg(long, value_name = "JSON", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_args: Option<String>,
    /// Whether the server acknowledges publishing [default: true]
    #[arg(long, value_name = "BOOL", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_ack: Option<bool>,
    /// Whether a publisher gets its own messages [default: true]
    #[arg(long, value_name = "BOOL", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher_receives: Option<bool>,
    /// What stands for {event}, and what the emitter's event is called [default: load]
    #[arg(long, value_name = "NAME", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// emit: arguments of the emitter's event [default: ["{stamp}","{data}"]]
    #[arg(long, value_name = "JSON", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emit_args: Option<String>,
    /// What the names of rooms begin with [default: load- and a random number, so that runs do not hear each
    /// other]
    #[arg(long, value_name = "TEXT", help_heading = EVENTS)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_prefix: Option<String>,

    /// Longest time to connect, and then to join all rooms [default: 20s]
    #[arg(long, value_name = "TIME", help_heading = "Patience")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Span>,
    /// Longest time to wait for an acknowledgement, or with a window for all deliveries [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Patience")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout: Option<Span>,
    /// Longest time to wait, at the end, for what is under way [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Patience")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Span>,
    /// First delay before a lost client connects again; it doubles, with chance [default: 1s]
    #[arg(long, value_name = "TIME", help_heading = "Patience")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_delay: Option<Span>,
    /// Longest such delay [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Patience")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_delay_max: Option<Span>,

    /// Shell command that is run while measuring, such as `kill -9 4711`; repeat it with --at
    #[arg(long, value_name = "COMMAND", help_heading = "Faults")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kill: Vec<String>,
    /// When each --kill is run, from the begin of sending
    #[arg(long, value_name = "TIME", help_heading = "Faults")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Span>,

    /// /metrics of a server, for its CPU and memory; may be repeated
    #[arg(long, value_name = "URL", help_heading = "Measures")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Process id of a server on this machine, likewise; one that also has a page counts once
    #[arg(long, value_name = "ID", help_heading = "Measures")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_pid: Vec<u32>,
    /// Processes that share the load [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Measures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Own addresses to connect from, in turns [default: as many 127.0.0.x as a local target needs]
    #[arg(long, value_name = "ADDRESS", help_heading = "Measures")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<IpAddr>,

    /// What must hold, such as `delivery.p99<50ms` or `lost==0`; may be repeated
    #[arg(long, value_name = "CONDITION", help_heading = "Output")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threshold: Vec<String>,
    /// End as soon as a threshold cannot hold any more
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_on_fail: Option<bool>,
    /// Write everything to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<PathBuf>,
    /// Write a report with charts to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<PathBuf>,
    /// Write the histograms to FILE-delivery.hgrm, FILE-ack.hgrm and so on
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hgrm: Option<PathBuf>,
    /// Only the table at the end
    #[arg(long, short, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<bool>,
}
