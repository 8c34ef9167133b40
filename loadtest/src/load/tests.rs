//! The load against a server that is a few lines of memory, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use proptest::prelude::*;
use serde_json::Value;
use socketio_core::engine::Revision;
use socketio_core::packet::{DecodeLimits, Packet, PacketDecoder, ParserKind};

use super::*;
use crate::rng::Rng;
use crate::settings::Settings;

const MS: u64 = 1_000;

/// What the server does wrong, in thousandths of all deliveries.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    lose: u64,
    duplicate: u64,
    swap: u64,
    /// Publications that are neither acknowledged nor delivered, and echoes that are not answered.
    ignore: u64,
}

struct World {
    load: Load,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, (u32, ClientEvent)>,
    number: u64,
    rooms: BTreeMap<String, BTreeSet<u32>>,
    alive: BTreeSet<u32>,
    faults: Faults,
    rng: Rng,
    lost: u64,
    duplicated: u64,
    ignored: u64,
    seconds: Vec<Second>,
}

impl World {
    fn new(toml: &str, faults: Faults, seed: u64) -> Self {
        let toml = format!("target = [\"http://h\"]\nseed = {seed}\n{toml}");
        let settings: Settings = toml::from_str(&toml).expect("valid settings");
        let plan = Plan::new(&settings).expect("a valid plan");
        Self {
            load: Load::new(Arc::new(plan), Share::ALL, 0),
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            number: 0,
            rooms: BTreeMap::new(),
            alive: BTreeSet::new(),
            faults,
            rng: Rng::new(seed),
            lost: 0,
            duplicated: 0,
            ignored: 0,
            seconds: Vec::new(),
        }
    }

    fn later(&mut self, delay: u64, client: u32, event: ClientEvent) {
        self.number += 1;
        self.queue.push(Reverse((self.now + delay, self.number)));
        self.events.insert(self.number, (client, event));
    }

    fn act(&mut self) {
        while let Some(command) = self.load.next_command() {
            match command {
                Command::Connect(client, _) => self.later(2 * MS, client, ClientEvent::Connected),
                Command::Close(client) => {
                    self.forget(client);
                    self.later(MS, client, ClientEvent::Ended(None));
                }
                Command::Send(client, frame) => self.receive(client, frame.text().expect("text")),
                Command::Pause(..) | Command::Emit { .. } => {}
            }
        }
    }

    fn forget(&mut self, client: u32) {
        self.alive.remove(&client);
        self.rooms.values_mut().for_each(|members| {
            members.remove(&client);
        });
        // What was on its way to it is gone.
        self.events
            .retain(|_, (to, event)| *to != client || matches!(event, ClientEvent::Ended(_)));
    }

    fn kill(&mut self, client: u32) {
        self.forget(client);
        self.later(0, client, ClientEvent::Ended(Some("killed".to_owned())));
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        self.rng.below(1000) < thousandths
    }

    fn receive(&mut self, client: u32, text: &str) {
        let mut decoder =
            PacketDecoder::new(ParserKind::Json, Revision::V4, DecodeLimits::default());
        let packet = decoder.handle_text(text[1..].into()).expect("a packet");
        let Some(Packet::Event { ack, payload, .. }) = packet else {
            panic!("{text}");
        };
        let args: Vec<Value> = serde_json::from_str(payload.json()).expect("JSON");
        let room = args[1].as_str().unwrap_or_default().to_owned();
        match args[0].as_str() {
            Some("join") => drop(self.rooms.entry(room).or_default().insert(client)),
            Some("leave") => drop(self.rooms.entry(room).or_default().remove(&client)),
            Some("publish") => {
                if self.chance(self.faults.ignore) {
                    self.ignored += 1;
                    return;
                }
                let json = serde_json::to_string(&args[2..]).expect("JSON");
                let payload = Payload::from_json(json.into(), Vec::new()).expect("a payload");
                let to_itself = self.load.plan.events.publisher_receives;
                for member in self.rooms.get(&room).cloned().unwrap_or_default() {
                    if member != client || to_itself {
                        self.deliver(member, &payload);
                    }
                }
            }
            Some("echo") => {
                if self.chance(self.faults.ignore) {
                    self.ignored += 1;
                    return;
                }
            }
            other => panic!("{other:?}"),
        }
        if let Some(id) = ack {
            self.later(MS, client, ClientEvent::Ack(id, Payload::empty()));
        }
    }

    fn deliver(&mut self, member: u32, payload: &Payload) {
        let event = || ClientEvent::Event(payload.clone());
        if self.chance(self.faults.lose) {
            self.lost += 1;
            return;
        }
        // Later than what is published some ten milliseconds after it.
        let delay = if self.chance(self.faults.swap) {
            30 * MS
        } else {
            MS
        };
        self.later(delay, member, event());
        if self.chance(self.faults.duplicate) {
            self.duplicated += 1;
            self.later(delay + 1, member, event());
        }
    }

    fn run_until(&mut self, end: u64) {
        loop {
            self.act();
            let event = self.queue.peek().map(|Reverse((at, _))| *at);
            let next = event.unwrap_or(u64::MAX).min(self.load.next_time());
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if event == Some(next) {
                let Some(Reverse((_, number))) = self.queue.pop() else {
                    continue;
                };
                if let Some((client, event)) = self.events.remove(&number) {
                    if matches!(event, ClientEvent::Connected) {
                        self.alive.insert(client);
                    }
                    self.load.handle(self.now, client, event);
                }
            } else {
                self.load.handle_time(self.now);
            }
        }
    }

    /// Connects, sends until the phases end, waits, and audits.
    fn run(&mut self) -> AuditTotals {
        self.run_until(500 * MS);
        self.begin();
        let end = self.now + self.load.plan.timetable.length();
        self.run_until(end);
        self.finish()
    }

    fn begin(&mut self) {
        let (ready, wanted) = self.load.readiness();
        assert_eq!(ready, wanted);
        let connect = self.load.take_second(self.now, 0.0, 0.0);
        self.seconds.push(connect);
        self.load.begin(self.now);
    }

    fn finish(&mut self) -> AuditTotals {
        self.load.stop();
        // Longer than an acknowledgement is waited for.
        self.run_until(self.now + 12_000 * MS);
        assert!(self.load.is_drained());
        let second = self.load.take_second(self.now, 0.0, 0.0);
        self.seconds.push(second);
        self.load.audit(&self.load.ledger())
    }

    fn sum(&self, pick: impl Fn(&Counters) -> u64) -> u64 {
        self.seconds
            .iter()
            .map(|second| pick(&second.counters))
            .sum()
    }
}

const FANOUT: &str = "scenario = \"fanout\"\nclients = 6\nrooms = 2\nrooms-per-client = 2\npublishers = 3\nduration = \"2s\"\n";

#[test]
fn a_good_server_loses_nothing() {
    let short = "warmup = \"0s\"\nduration = \"800ms\"";
    for toml in [
        "scenario = \"fanout\"\nrooms = 2\nrooms-per-client = 2\nclients = 6\nrate = 200.0",
        "scenario = \"fanout\"\nrooms = 2\nrooms-per-client = 2\nclients = 6\nwindow = 4",
        "scenario = \"mix\"\nrate = 200.0\nclients = 10",
        "scenario = \"echo\"\nwindow = 3\nclients = 5",
        "scenario = \"churn\"\nchurn-rate = 100.0\nrate = 200.0\nclients = 20",
        "scenario = \"churn\"\nchurn-rate = 100.0\nclients = 20\nrooms = 3\nrooms-per-client = 2",
        "scenario = \"storm\"\nstorm-every = \"200ms\"\nclients = 10",
        "scenario = \"storm\"\nstorm-every = \"200ms\"\nclients = 10\npublisher-receives = false",
        "scenario = \"storm\"\nstorm-every = \"200ms\"\nclients = 10\nrate = 200.0\nconnect-rate = 500.0",
    ] {
        let mut world = World::new(&format!("{toml}\n{short}"), Faults::default(), 1);
        let audit = world.run();
        assert_eq!(audit, AuditTotals::default(), "{toml}");
        let errors: Vec<_> = world
            .seconds
            .iter()
            .flat_map(|second| &second.counters.errors)
            .collect();
        // In a storm publishers are away when a message is due, and that is told.
        let away = |(cause, _): &&(&String, &u64)| {
            cause.contains("was not connected when a message was due")
        };
        assert_eq!(
            errors.iter().filter(|error| !away(error)).count(),
            0,
            "{toml}: {errors:?}"
        );
        assert!(world.sum(|counters| counters.sent) > 100, "{toml}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate_whatever_the_server_does() {
    let faults = Faults {
        ignore: 1000,
        ..Faults::default()
    };
    let mut world = World::new(&format!("{FANOUT}rate = 100.0"), faults, 1);
    let audit = world.run();
    // Two seconds and one of warm-up.
    let sent = world.sum(|counters| counters.sent);
    assert_eq!(sent, 300);
    // Nothing was confirmed, so the server has promised nothing.
    assert_eq!((audit.lost, audit.lost_unconfirmed), (0, sent * 6));
}

#[test]
fn a_closed_loop_waits_for_all_receivers() {
    let mut world = World::new(&format!("{FANOUT}window = 1"), Faults::default(), 1);
    world.run();
    // A millisecond there and back, three publishers, three seconds.
    let sent = world.sum(|counters| counters.sent);
    assert!((8_900..=9_003).contains(&sent), "{sent}");
    assert_eq!(world.sum(|counters| counters.delivered), sent * 6);
}

#[test]
fn who_is_cut_off_misses_and_comes_back() {
    let mut world = World::new(
        &format!("{FANOUT}rate = 100.0\nreconnect-delay = \"100ms\""),
        Faults::default(),
        1,
    );
    world.run_until(500 * MS);
    world.begin();
    world.run_until(world.now + 1_000 * MS);
    // The last one publishes nothing.
    world.kill(5);
    world.run_until(world.now + 1_000 * MS);
    assert_eq!(world.load.readiness(), (6, 6));
    let audit = world.finish();
    assert_eq!(
        (audit.lost, audit.lost_unconfirmed, audit.duplicated),
        (0, 0, 0)
    );
    // From 50 to 150 ms of a hundred messages a second, and the time to connect and join.
    assert!((5..=20).contains(&audit.missed), "{audit:?}");
    assert_eq!(world.sum(|counters| counters.disconnected), 1);
}

#[test]
fn publishers_that_do_not_hear_themselves_come_back_and_lose_nothing() {
    let toml =
        format!("{FANOUT}rate = 100.0\nreconnect-delay = \"100ms\"\npublisher-receives = false");
    let mut world = World::new(&toml, Faults::default(), 1);
    world.run_until(500 * MS);
    world.begin();
    world.run_until(world.now + 1_000 * MS);
    world.kill(0);
    world.run_until(world.now + 1_000 * MS);
    let audit = world.finish();
    assert_eq!((audit.lost, audit.lost_unconfirmed), (0, 0));
    // Two of three publish what it hears, each ten times in the 50 to 150 ms.
    assert!((3..=14).contains(&audit.missed), "{audit:?}");
}

#[test]
fn what_is_not_acknowledged_when_the_run_ends_is_lost() {
    for load in ["rate = 50.0", "window = 2"] {
        let faults = Faults {
            ignore: 1000,
            ..Faults::default()
        };
        let toml = format!("scenario = \"echo\"\nclients = 5\nduration = \"2s\"\n{load}");
        let mut world = World::new(&toml, faults, 1);
        world.run_until(500 * MS);
        world.begin();
        let end = world.now + world.load.plan.timetable.length();
        world.run_until(end);
        world.load.stop();
        // As long as a worker waits by default, which is not as long as an acknowledgement may take.
        world.run_until(end + 5_000 * MS);
        let audit = world.load.audit(&Ledger::new());
        assert!(world.ignored >= 10);
        assert_eq!(audit.lost, world.ignored, "{load}");
    }
}

#[test]
fn no_storm_comes_at_the_very_end() {
    let toml =
        "scenario = \"storm\"\nclients = 10\nrate = 100.0\nwarmup = \"0s\"\nduration = \"4s\"";
    for (every, storms) in [
        ("", 1),
        ("\nstorm-every = \"1s\"", 3),
        ("\nstorm-every = \"9s\"", 0),
    ] {
        let mut world = World::new(&format!("{toml}{every}"), Faults::default(), 1);
        world.run();
        assert_eq!(
            world.sum(|counters| counters.churned),
            storms * 10,
            "{every}"
        );
    }
}

#[test]
fn what_was_due_while_warming_up_does_not_count_later() {
    for load in ["rate = 300.0", "window = 2"] {
        let mut world = World::new(&format!("{FANOUT}{load}"), Faults::default(), 1);
        world.run_until(500 * MS);
        world.begin();
        let begin = world.now;
        // Some messages are under way.
        world.run_until(begin + 1_000 * MS - 1);
        assert!(world.load.take_second(world.now, 0.0, 0.0).counters.sent > 0);
        world.load.measure();
        world.run_until(begin + 3_000 * MS - 1);
        world.seconds.clear();
        world.finish();
        let sent = world.sum(|counters| counters.sent);
        assert!(load != "rate = 300.0" || sent == 600, "{sent}");
        assert_eq!(world.sum(|counters| counters.acked), sent, "{load}");
        assert_eq!(world.sum(|counters| counters.delivered), sent * 6, "{load}");
    }
}

#[test]
fn who_comes_later_is_judged_from_the_first_message_on() {
    let toml = "scenario = \"fanout\"\nclients = 2\npublishers = 2\nwarmup = \"0s\"\nrate = 1.0\n\
                phase = [\"900ms clients=4\", \"5100ms\"]";
    let mut world = World::new(toml, Faults::default(), 1);
    world.run_until(500 * MS);
    world.begin();
    let begin = world.now;
    world.run_until(begin + 990 * MS);
    assert!(world.load.readiness().0 > 2);
    // The second publisher's first message gets lost; nobody heard of it before.
    world.faults.lose = 1000;
    world.run_until(begin + 1_500 * MS);
    world.faults.lose = 0;
    world.run_until(begin + 6_000 * MS);
    let audit = world.finish();
    assert!(world.lost > 2);
    assert_eq!(audit.lost, world.lost);
}

#[test]
fn what_comes_before_this_process_has_begun_is_not_lost() {
    let settings = "target = [\"http://h\"]\nscenario = \"fanout\"\nclients = 4\nprocesses = 2\npublishers = 2";
    let settings: Settings = toml::from_str(settings).expect("valid settings");
    let plan = Arc::new(Plan::new(&settings).expect("a valid plan"));
    let mut load = Load::new(Arc::clone(&plan), Share { index: 0, count: 2 }, 0);
    load.handle_time(0);
    for client in 0..2 {
        load.handle(1, client, ClientEvent::Connected);
        load.handle(2, client, ClientEvent::Ack(AckId(0), Payload::empty()));
    }
    assert_eq!(load.readiness(), (2, 2));
    let began = 1_000 * MS;
    load.expect(began);
    // The other process was there in time.
    let stamp = crate::stamp::Stamp {
        publisher: 1,
        sequence: 1,
        due: began,
    };
    let text = serde_json::json!(["load", stamp.encode()]).to_string();
    let payload = Payload::from_json(text.into(), Vec::new()).expect("a payload");
    for client in 0..2 {
        load.handle(began + MS, client, ClientEvent::Event(payload.clone()));
    }
    load.begin(began);
    let sent = Sent {
        last: 1,
        unconfirmed: Vec::new(),
    };
    let audit = load.audit(&Ledger::from([(1, sent)]));
    assert_eq!(audit, AuditTotals::default());
}

#[test]
fn phases_bring_clients_and_send_them_away() {
    let toml = "scenario = \"fanout\"\nclients = 10\nwarmup = \"0s\"\nrate = 100.0\n\
                phase = [\"2s clients=30\", \"1s\", \"2s clients=5\"]";
    let mut world = World::new(toml, Faults::default(), 1);
    world.run_until(500 * MS);
    world.begin();
    let begin = world.now;
    for (at, clients) in [(2_500, 30), (5_400, 5)] {
        world.run_until(begin + at * MS);
        assert_eq!(world.load.readiness(), (clients, clients));
    }
    assert_eq!(world.finish(), AuditTotals::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_audit_finds_exactly_what_the_server_does_wrong(
        lose in 0u64..50, duplicate in 0u64..50, swap in 0u64..50, ignore in 0u64..50, seed: u32
    ) {
        let faults = Faults { lose, duplicate, swap, ignore };
        let mut world = World::new(&format!("{FANOUT}rate = 60.0"), faults, u64::from(seed));
        let audit = world.run();
        prop_assert_eq!(audit.lost, world.lost);
        prop_assert_eq!(audit.lost_unconfirmed, world.ignored * 6);
        prop_assert_eq!(audit.duplicated, world.duplicated);
        prop_assert_eq!(audit.missed, 0);
        // A message is 30 ms late and its publisher's next comes 50 ms later: never overtaken.
        prop_assert_eq!(audit.reordered, 0);
    }

    #[test]
    fn overtaken_messages_are_reordered_and_not_lost(swap in 100u64..400, seed: u32) {
        let faults = Faults { swap, ..Faults::default() };
        let mut world = World::new(&format!("{FANOUT}rate = 600.0\nwarmup = \"0s\"").replace("2s", "300ms"), faults, u64::from(seed));
        let audit = world.run();
        prop_assert!(audit.reordered > 0);
        prop_assert_eq!(AuditTotals { reordered: 0, ..audit }, AuditTotals::default());
    }
}
