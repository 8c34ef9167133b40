//! What a run may be told, by flags or by a scenario file; flags win.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::units::Span;

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
    /// the clients are spread in turns
    #[arg(long, value_name = "URL", help_heading = "Target")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<String>,
    /// Namespace [default: /]
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// JSON object that each client sends when it connects; {client} in a string is its number
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
    /// storm: time from one storm to the next, and to the first [default: half of the duration]
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
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_event: Option<String>,
    /// Its arguments [default: ["{stamp}","{data}"]]
    #[arg(
        long,
        value_name = "JSON",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_args: Option<String>,
    /// Event that joins a room [default: join]
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_event: Option<String>,
    /// Event that leaves a room [default: leave]
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_event: Option<String>,
    /// Arguments of both [default: ["{room}"]]
    #[arg(
        long,
        value_name = "JSON",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_args: Option<String>,
    /// Whether the server acknowledges joining and leaving [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_ack: Option<bool>,
    /// Event that publishes to a room [default: publish]
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_event: Option<String>,
    /// Its arguments [default: ["{room}","{event}","{stamp}","{data}"]]
    #[arg(
        long,
        value_name = "JSON",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_args: Option<String>,
    /// Whether the server acknowledges publishing [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_ack: Option<bool>,
    /// Whether a publisher gets its own messages [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher_receives: Option<bool>,
    /// What stands for {event} [default: load]
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Events (the defaults fit our stock node)"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What the names of rooms begin with [default: load- and a random number, so that runs do not hear each
    /// other]
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Events (the defaults fit our stock node)"
    )]
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
    /// Process id of a server on this machine, likewise
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

/// A scenario file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct FileError {
    file: String,
    message: String,
}

impl Settings {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is not TOML, or holds what is not known.
    pub fn read(file: &std::path::Path) -> Result<Self, FileError> {
        let error = |message: String| FileError {
            file: file.display().to_string(),
            message,
        };
        let text = std::fs::read_to_string(file).map_err(|cause| error(cause.to_string()))?;
        toml::from_str(&text).map_err(|cause| {
            let line = cause
                .span()
                .map(|span| text[..span.start].lines().count().max(1));
            let line = line
                .map(|line| format!("line {line}: "))
                .unwrap_or_default();
            // The library's own text shows the source over several lines.
            error(format!("{line}{}", cause.message().replace('\n', "; ")))
        })
    }

    /// The same without what may be secret, for files that are passed on: passwords in the broker's URL,
    /// values of headers, credentials, queries of targets.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        const HIDDEN: &str = "(hidden)";
        let mut shown = self.clone();
        for target in &mut shown.target {
            if let Some(at) = target.find('?') {
                target.truncate(at);
            }
        }
        for header in &mut shown.header {
            let name = header.split(':').next().unwrap_or_default();
            *header = format!("{name}: {HIDDEN}");
        }
        shown.auth = shown.auth.map(|_| HIDDEN.to_owned());
        shown.broker =
            shown
                .broker
                .map(|url| match (url.split_once("://"), url.rsplit_once('@')) {
                    (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{HIDDEN}@{rest}"),
                    _ => url,
                });
        shown
    }

    /// These settings where they say something, else those of `file`.
    #[must_use]
    pub fn over(self, file: &Self) -> Self {
        // Both hold only what was said, so one map can be laid over the other.
        let overlay = |mut below: serde_json::Value, above: serde_json::Value| {
            if let (Some(below), serde_json::Value::Object(above)) = (below.as_object_mut(), above)
            {
                below.extend(above);
            }
            below
        };
        let merged = match (serde_json::to_value(file), serde_json::to_value(&self)) {
            (Ok(below), Ok(above)) => serde_json::from_value(overlay(below, above)),
            _ => return self,
        };
        merged.unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let file: Settings =
            toml::from_str("scenario = \"echo\"\nclients = 5\nduration = \"3s\"\nserver-pid = [1]")
                .expect("valid");
        let flags = Settings {
            clients: Some(7),
            ..Settings::default()
        };
        let merged = flags.over(&file);
        assert_eq!(merged.clients, Some(7));
        assert_eq!(merged.duration, Some(Span::seconds(3)));
        assert_eq!(merged.scenario, Some(Scenario::Echo));
        assert_eq!(merged.server_pid, [1]);
    }

    #[test]
    fn secrets_are_not_passed_on() {
        let settings: Settings = toml::from_str(
            "target = [\"http://h/?token=secret\"]\nbroker = \"redis://u:secret@h:1\"\n\
             header = [\"Cookie: secret\"]\nauth = '{\"t\":\"secret\"}'",
        )
        .expect("valid");
        let shown = toml::to_string(&settings.without_secrets()).expect("TOML");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(
            shown.contains("@h:1") && shown.contains("Cookie"),
            "{shown}"
        );
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<Settings>("client = 5").is_err());
        assert!(toml::from_str::<Settings>("duration = \"5\"").is_err());
    }
}
