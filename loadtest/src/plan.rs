//! [`Plan`]: the settings with all defaults, checked.

mod parts;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socketio_core::packet::ParserKind;

use crate::phases::Timetable;
use crate::settings::{Churn, Parser, Scenario, Settings};
use crate::target::Target;
use crate::template::{Data, Template};
use crate::threshold::Threshold;
use crate::units::Span;

use parts::{
    at_least_one, auth, broker, events, header, metrics, namespace, plain, positive, timetable,
    transports, trust, wrong,
};

/// Settings that cannot be run. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

/// How a client travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long polling only.
    Polling,
    /// Polling first, then an upgrade to WebSocket, as browsers do.
    Upgrade,
    /// WebSocket from the begin.
    WebSocket,
}

/// Which part of the load a process drives: the clients whose number leaves `index` when divided by
/// `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// Number of processes.
    pub count: u32,
}

impl Share {
    /// The whole load.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// The global number of a client of this process.
    #[must_use]
    pub const fn global(self, local: u32) -> u32 {
        local * self.count + self.index
    }

    /// The number here of a global one, if it is here.
    #[must_use]
    pub const fn local(self, global: u32) -> Option<u32> {
        if global % self.count == self.index {
            Some(global / self.count)
        } else {
            None
        }
    }

    /// How many of `total` are here.
    #[must_use]
    pub const fn of(self, total: u32) -> u32 {
        (total + self.count - 1 - self.index) / self.count
    }

    /// The part of a rate.
    #[must_use]
    pub fn fraction(self) -> f64 {
        1.0 / f64::from(self.count)
    }
}

/// An event and its arguments.
#[derive(Debug, Clone)]
pub struct Message {
    /// The name.
    pub event: String,
    /// The arguments.
    pub args: Template,
}

/// Whose certificates are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's authorities.
    System,
    /// Those of the authorities in this PEM file.
    File(PathBuf),
    /// All.
    Everybody,
}

/// Events that join and leave rooms, or publish, and whether they are acknowledged.
#[derive(Debug, Clone)]
pub struct Events {
    /// To be acknowledged.
    pub echo: Message,
    /// Joins a room; none if the server itself puts clients into rooms.
    pub join: Option<Message>,
    /// Leaves a room.
    pub leave: Message,
    /// Publishes to a room.
    pub publish: Message,
    /// What the emitter publishes.
    pub emit: Template,
    /// Whether joining and leaving are acknowledged.
    pub join_ack: bool,
    /// Whether publishing is.
    pub publish_ack: bool,
    /// Whether a publisher gets its own messages.
    pub publisher_receives: bool,
    /// For `{event}`.
    pub name: String,
    /// What the names of rooms begin with.
    pub room_prefix: String,
}

/// The emitter's way.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Where.
    pub url: String,
    /// Its wire.
    pub mode: Option<socketio_emitter::Mode>,
    /// Prefix or exchange.
    pub prefix: Option<String>,
}

/// A command at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// For the shell.
    pub command: String,
    /// From the begin of sending.
    pub at: Span,
}

/// A run, checked.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the settings of these names say it")]
pub struct Plan {
    pub scenario: Scenario,
    pub targets: Vec<Target>,
    pub namespace: String,
    pub auth: Option<String>,
    pub headers: Vec<(String, String)>,
    pub parser: ParserKind,
    pub trust: Trust,
    pub metrics: Vec<(String, Target)>,
    pub transports: Vec<(Transport, u32)>,
    pub connect_rate: Option<f64>,
    pub warmup: Span,
    pub timetable: Timetable,
    /// Whether messages are sent by the clock and not when earlier ones arrived.
    pub open_loop: bool,
    pub window: u32,
    pub data: Data,
    pub rooms: u32,
    pub rooms_per_client: u32,
    pub publishers: u32,
    pub seed: u64,
    pub churn: Option<(Churn, f64)>,
    pub storm_every: Option<Span>,
    pub slow_share: f64,
    pub broker: Option<Broker>,
    pub events: Events,
    pub connect_timeout: Span,
    pub ack_timeout: Span,
    pub drain: Span,
    pub reconnect_delay: Span,
    pub reconnect_delay_max: Span,
    pub faults: Vec<Fault>,
    pub processes: u32,
    pub sources: Vec<IpAddr>,
    pub thresholds: Vec<Threshold>,
}

const MAX_PROCESSES: u32 = 256;

impl Plan {
    /// Fills in the defaults and checks everything that can be checked without a server.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with the first thing that is wrong.
    pub fn new(settings: &Settings) -> Result<Self, PlanError> {
        let scenario = settings
            .scenario
            .ok_or_else(|| wrong("no scenario is named"))?;
        if settings.target.is_empty() {
            return Err(wrong("no --target is given"));
        }
        let targets = settings.target.iter().map(|url| Target::parse(url));
        let targets = targets.collect::<Result<Vec<_>, _>>().map_err(plain)?;
        let clients = at_least_one("clients", settings.clients, 100)?;
        let rooms = at_least_one("rooms", settings.rooms, 1)?;
        let rooms_per_client = at_least_one("rooms-per-client", settings.rooms_per_client, 1)?;
        if rooms_per_client > rooms {
            return Err(wrong("--rooms-per-client is greater than --rooms"));
        }
        let warmup = settings.warmup.unwrap_or(Span::seconds(1));
        let timetable = timetable(settings, warmup, clients)?;
        let most_clients = timetable.most_clients();
        let publishers = settings
            .publishers
            .unwrap_or_else(|| rooms.min(most_clients));
        if publishers == 0 || publishers > most_clients {
            return Err(wrong(
                "--publishers must be at least 1 and at most --clients",
            ));
        }
        let processes = at_least_one("processes", settings.processes, 1)?;
        if processes > most_clients || processes > MAX_PROCESSES {
            return Err(wrong("--processes must be at most --clients, and 256"));
        }
        let with_rate = timetable
            .phases()
            .iter()
            .filter(|phase| phase.rate.is_some())
            .count();
        if with_rate > 0 && settings.window.is_some() {
            return Err(wrong(
                "--window is for a closed loop, a rate for an open one: give one of them",
            ));
        }
        let churn_rate = positive("churn-rate", settings.churn_rate)?;
        let events = events(settings)?;
        let churns = match (settings.churn, events.join.is_some()) {
            (Some(Churn::Connections), false) | (None, false) => Churn::Connections,
            (Some(_), false) => {
                return Err(wrong(
                    "--churn: without a --join-event only connections can churn",
                ));
            }
            (what, true) => what.unwrap_or(Churn::Both),
        };
        let churn = (scenario == Scenario::Churn).then(|| {
            let rate = churn_rate.unwrap_or_else(|| f64::from(clients) / 10.0);
            (churns, rate)
        });
        let half = Span(Duration::from_micros(
            timetable.length().saturating_sub(warmup.as_micros()) / 2,
        ));
        let storm_every =
            (scenario == Scenario::Storm).then(|| settings.storm_every.unwrap_or(half));
        if storm_every.is_some_and(|every| every.0 < Duration::from_millis(100)) {
            return Err(wrong("--storm-every must be at least 100ms"));
        }
        let slow_share = settings.slow_share.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&slow_share) {
            return Err(wrong("--slow-share must be from 0 to 1"));
        }
        if scenario == Scenario::Slow
            && timetable
                .phases()
                .iter()
                .any(|phase| phase.clients.is_some())
        {
            return Err(wrong(
                "the scenario slow keeps its clients: leave out clients= in the phases",
            ));
        }
        if settings.kill.len() != settings.at.len() {
            return Err(wrong("each --kill needs one --at"));
        }
        let faults = settings
            .kill
            .iter()
            .zip(&settings.at)
            .map(|(command, at)| Fault {
                command: command.clone(),
                at: *at,
            });
        let binary = settings.binary.unwrap_or(false);
        let size = settings.size.unwrap_or(64) as usize;
        if size > 64 << 20 {
            return Err(wrong("--size must be at most 64 MiB"));
        }
        let seed = settings.seed.unwrap_or(1);
        let thresholds = settings.threshold.iter().map(|text| text.parse());
        Ok(Self {
            scenario,
            targets,
            namespace: namespace(settings)?,
            auth: auth(settings)?,
            headers: settings
                .header
                .iter()
                .map(|text| header(text))
                .collect::<Result<_, _>>()?,
            parser: match settings.parser {
                Some(Parser::Msgpack) => ParserKind::MessagePack,
                _ => ParserKind::Json,
            },
            trust: trust(settings)?,
            metrics: metrics(settings)?,
            transports: transports(settings, scenario)?,
            connect_rate: positive("connect-rate", settings.connect_rate)?,
            warmup,
            open_loop: with_rate > 0,
            window: at_least_one("window", settings.window, 1)?,
            data: Data::generate(size, binary, seed),
            rooms,
            rooms_per_client,
            publishers,
            seed,
            churn,
            storm_every,
            slow_share: if scenario == Scenario::Slow {
                slow_share
            } else {
                0.0
            },
            broker: broker(settings, scenario)?,
            events,
            connect_timeout: settings.connect_timeout.unwrap_or(Span::seconds(20)),
            ack_timeout: settings.ack_timeout.unwrap_or(Span::seconds(10)),
            drain: settings.drain.unwrap_or(Span::seconds(5)),
            reconnect_delay: settings.reconnect_delay.unwrap_or(Span::seconds(1)),
            reconnect_delay_max: settings.reconnect_delay_max.unwrap_or(Span::seconds(5)),
            faults: faults.collect(),
            processes,
            sources: settings.source.clone(),
            thresholds: thresholds.collect::<Result<_, _>>().map_err(plain)?,
            timetable,
        })
    }

    /// Whether clients are in rooms, and get what is published there.
    #[must_use]
    pub const fn has_rooms(&self) -> bool {
        !matches!(self.scenario, Scenario::Idle | Scenario::Echo)
    }

    /// Whether clients send events to be acknowledged.
    #[must_use]
    pub const fn has_echo(&self) -> bool {
        matches!(self.scenario, Scenario::Echo | Scenario::Mix)
    }

    /// Whether clients publish.
    #[must_use]
    pub const fn has_publishers(&self) -> bool {
        self.has_rooms() && !matches!(self.scenario, Scenario::Emit)
    }

    /// Processes that can share the load.
    #[must_use]
    pub fn most_processes(&self) -> u32 {
        self.timetable.most_clients().min(MAX_PROCESSES)
    }

    /// The name of a room.
    #[must_use]
    pub fn room_name(&self, room: u32) -> String {
        format!("{}{room}", self.events.room_prefix)
    }

    /// The rooms of a client; the first is the one it publishes in.
    pub fn rooms_of(&self, client: u32) -> impl Iterator<Item = u32> + use<> {
        let (rooms, each) = (u64::from(self.rooms), u64::from(self.rooms_per_client));
        let first = u64::from(client) * each;
        (0..each).map(move |at| ((first + at) % rooms) as u32)
    }

    /// Whether anything that is asked is asked over TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        let pages = self.metrics.iter().map(|(_, target)| target);
        self.targets.iter().chain(pages).any(|target| target.tls)
    }

    /// The number of the target of a client that has moved on so often: at first in turns, and then
    /// those of one target are spread over all others.
    #[must_use]
    pub fn target_of(&self, client: u32, moves: u32) -> usize {
        let all = self.targets.len() as u32;
        let (turn, home) = (client / all, client % all);
        let on = match moves % all {
            0 => 0,
            moves => 1 + (turn + moves - 1) % (all - 1),
        };
        ((home + on) % all) as usize
    }

    /// A text for one client: `{client}` and `{room}` are filled in.
    #[must_use]
    pub fn text_for(&self, text: &str, client: u32) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let room = self.rooms_of(client).next().unwrap_or(0);
        text.replace("{client}", &client.to_string())
            .replace("{room}", &self.room_name(room))
    }

    /// How a client travels: in turns, by the weights.
    #[must_use]
    pub fn transport_of(&self, client: u32) -> Transport {
        let total: u32 = self.transports.iter().map(|(_, weight)| weight).sum();
        let mut at = client % total;
        for &(transport, weight) in &self.transports {
            if at < weight {
                return transport;
            }
            at -= weight;
        }
        Transport::WebSocket
    }

    /// Whether a client is one of those that stop reading: spread evenly.
    #[must_use]
    pub fn is_slow(&self, client: u32) -> bool {
        // Publishers must read their acknowledgements.
        client >= self.publishers && {
            let turns = |client: f64| (client * self.slow_share).floor();
            turns(f64::from(client) + 1.0) > turns(f64::from(client))
        }
    }
}
