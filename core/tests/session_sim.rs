//! A client, a server and a network in one thread, with a clock that jumps from event to event.
//!
//! All the parts of Engine.IO work together here as in a server: the session, the payloads and the
//! WebSocket frames. The network delays each request and each piece of a stream at random, by
//! seed, so that pings, messages, polls and the steps of the upgrade meet in every order.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use socketio_core::{
    engine::{
        CloseReason, EncodedPayload, Message, Output, Packet, PacketKind, PayloadDecoder,
        PayloadEncoder, Revision, Session, SessionConfig, TransportKind,
    },
    websocket::{FrameDecoder, OpCode, Role, WsEvent, frame},
};

const CONFIG: SessionConfig = SessionConfig {
    ping_interval: Duration::from_millis(2500),
    ping_timeout: Duration::from_millis(2000),
    upgrade_timeout: Duration::from_millis(1000),
};

/// One run lasts two minutes of its own time.
const DURATION: Duration = Duration::from_secs(120);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Debug)]
enum Event {
    ServerGet,
    ServerPost(EncodedPayload),
    ServerConnected,
    ServerBytes(Vec<u8>),
    ServerTick,
    ClientPolled(EncodedPayload),
    ClientPosted,
    ClientBytes(Vec<u8>),
    ClientTick,
    ClientUpgrade,
    ClientVanish,
}

struct Network {
    now: Instant,
    random: Random,
    sequence: u64,
    events: BTreeMap<(Instant, u64), Event>,
    /// Bytes of a stream do not overtake each other.
    last_up: Instant,
    last_down: Instant,
}

impl Network {
    fn after(&mut self, milliseconds: u64, event: Event) {
        self.at(self.now + Duration::from_millis(milliseconds), event);
    }

    fn at(&mut self, time: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((time, self.sequence), event);
    }

    /// A request or a response on a connection of its own.
    fn send(&mut self, event: Event) {
        let latency = 1 + self.random.below(60);
        self.after(latency, event);
    }

    fn send_stream(&mut self, up: bool, event: Event) {
        let arrival = self.now + Duration::from_millis(1 + self.random.below(60));
        let last = if up {
            &mut self.last_up
        } else {
            &mut self.last_down
        };
        *last = arrival.max(*last);
        let arrival = *last;
        self.at(arrival, event);
    }

    /// A frame in two pieces, cut anywhere.
    fn send_frame(&mut self, up: bool, packet: &Packet, revision: Revision) {
        let mask = up.then_some([1, 2, 3, 4]);
        let bytes = match &packet.data {
            Message::Text(_) => frame(OpCode::Text, packet.encode_text(revision).as_bytes(), mask),
            Message::Binary(_) => frame(OpCode::Binary, &packet.encode_binary(revision), mask),
        };
        let cut = self.random.below(bytes.len() as u64) as usize;
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let piece = piece.to_vec();
            let event = if up {
                Event::ServerBytes(piece)
            } else {
                Event::ClientBytes(piece)
            };
            self.send_stream(up, event);
        }
    }
}

fn encode(revision: Revision, packets: impl Iterator<Item = Packet>) -> EncodedPayload {
    let mut encoder = PayloadEncoder::new(revision, true);
    for packet in packets {
        match &packet.data {
            Message::Text(_) => encoder.push_text(&packet.encode_text(revision)),
            Message::Binary(bytes) => encoder.push_binary(bytes),
        }
    }
    encoder.finish()
}

fn decode(revision: Revision, payload: EncodedPayload) -> Vec<Packet> {
    PayloadDecoder::new(revision, payload.body, payload.binary)
        .collect::<Result<_, _>>()
        .expect("payloads of the simulation are valid")
}

fn read(decoder: &mut FrameDecoder, revision: Revision, bytes: &mut [u8]) -> Vec<Packet> {
    decoder
        .feed(bytes)
        .map(|event| match event.expect("valid frame") {
            WsEvent::Text(text) => Packet::decode_text(revision, &text).expect("valid packet"),
            WsEvent::Binary(bytes) => Packet::decode_binary(revision, bytes).expect("valid packet"),
            other => panic!("nobody sent {other:?}"),
        })
        .collect()
}

/// A message with a number, text or bytes in turn.
fn numbered(number: u32) -> Packet {
    if number.is_multiple_of(3) {
        Packet::binary(number.to_be_bytes().to_vec())
    } else {
        Packet::text(PacketKind::Message, number.to_string())
    }
}

struct Server {
    session: Session,
    outbox: VecDeque<Packet>,
    poll_waits: bool,
    decoder: FrameDecoder,
    sent: u32,
    received: u32,
    pings: u32,
    /// When the client last did what keeps a session alive.
    alive_at: Instant,
    /// Whether the client may vanish in the middle of its upgrade.
    may_drop: bool,
    dropped: bool,
    closed: Option<(Instant, CloseReason)>,
}

impl Server {
    fn drain(&mut self, net: &mut Network) {
        let revision = self.session.revision();
        while let Some(output) = self.session.poll_output() {
            assert_eq!(self.closed, None, "{output:?} after the end");
            match output {
                Output::Message(data) => {
                    let expected = numbered(self.received).data;
                    assert_eq!(data, expected, "message lost, doubled or out of order");
                    self.received += 1;
                }
                Output::Send(control) => {
                    let text = control.to_text().into_owned().into();
                    let packet = Packet::decode_text(revision, &text).expect("own packet");
                    self.pings += u32::from(packet.kind == PacketKind::Ping);
                    self.outbox.push_back(packet);
                }
                Output::SendCandidate(control) => {
                    let text = control.to_text().into_owned().into();
                    let packet = Packet::decode_text(revision, &text).expect("own packet");
                    net.send_frame(false, &packet, revision);
                }
                Output::AnswerPoll => {
                    if std::mem::take(&mut self.poll_waits) {
                        let noop = Packet::text(PacketKind::Noop, "");
                        let body = encode(revision, std::iter::once(noop));
                        net.send(Event::ClientPolled(body));
                    }
                }
                Output::Upgraded => {}
                Output::DropCandidate => {
                    assert!(self.may_drop, "the client did nothing wrong");
                    self.dropped = true;
                }
                Output::Closed(reason) => self.closed = Some((net.now, reason)),
            }
        }
        self.flush(net);
    }

    fn flush(&mut self, net: &mut Network) {
        let revision = self.session.revision();
        match self.session.transport() {
            TransportKind::Polling => {
                if self.poll_waits && !self.outbox.is_empty() {
                    self.poll_waits = false;
                    let body = encode(revision, self.outbox.drain(..));
                    net.send(Event::ClientPolled(body));
                }
            }
            TransportKind::WebSocket => {
                for packet in self.outbox.drain(..) {
                    net.send_frame(false, &packet, revision);
                }
            }
        }
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) {
        let life = match self.session.revision() {
            Revision::V3 => PacketKind::Ping,
            Revision::V4 => PacketKind::Pong,
        };
        if packet.kind == life {
            self.alive_at = now;
        }
        self.session.handle_packet(now, packet);
    }
}

/// The part of engine.io-client that matters here.
struct Client {
    revision: Revision,
    transport: TransportKind,
    outbox: VecDeque<Packet>,
    polling: bool,
    posting: bool,
    /// The answer to the probe came: finish the requests under way, start no others.
    pausing: bool,
    vanished: bool,
    decoder: FrameDecoder,
    sent: u32,
    received: u32,
    pinged_at: Instant,
}

impl Client {
    fn handle_packet(&mut self, packet: &Packet) {
        match packet.kind {
            PacketKind::Message => {
                let expected = numbered(self.received).data;
                assert_eq!(
                    packet.data, expected,
                    "message lost, doubled or out of order"
                );
                self.received += 1;
            }
            PacketKind::Ping => {
                assert_eq!(self.revision, Revision::V4);
                self.outbox.push_back(Packet::text(PacketKind::Pong, ""));
            }
            PacketKind::Pong if packet.data.as_text() == Some("probe") => self.pausing = true,
            PacketKind::Pong => assert_eq!(self.revision, Revision::V3),
            PacketKind::Noop => {}
            other => panic!("a client does not get {other:?}"),
        }
    }

    /// Starts whatever may start.
    fn act(&mut self, net: &mut Network) {
        if self.vanished {
            return;
        }
        if self.pausing && !self.polling && !self.posting {
            self.pausing = false;
            self.transport = TransportKind::WebSocket;
            net.send_frame(true, &Packet::text(PacketKind::Upgrade, ""), self.revision);
        }
        if self.transport == TransportKind::WebSocket {
            for packet in self.outbox.drain(..) {
                net.send_frame(true, &packet, self.revision);
            }
        } else if !self.pausing {
            if !std::mem::replace(&mut self.polling, true) {
                net.send(Event::ServerGet);
            }
            if !self.outbox.is_empty() && !std::mem::replace(&mut self.posting, true) {
                let body = encode(self.revision, self.outbox.drain(..));
                net.send(Event::ServerPost(body));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Plan {
    revision: Revision,
    upgrade_at: Option<u64>,
    vanish_at: Option<u64>,
}

fn run(seed: u64, plan: Plan) -> (Server, Client, Instant) {
    let start = Instant::now();
    let mut net = Network {
        now: start,
        random: Random(seed),
        sequence: 0,
        events: BTreeMap::new(),
        last_up: start,
        last_down: start,
    };
    let mut server = Server {
        session: Session::new(plan.revision, TransportKind::Polling, CONFIG, start),
        outbox: VecDeque::new(),
        poll_waits: false,
        decoder: FrameDecoder::new(Role::Server, 1000),
        sent: 0,
        received: 0,
        pings: 0,
        alive_at: start,
        may_drop: plan.vanish_at.is_some(),
        dropped: false,
        closed: None,
    };
    let mut client = Client {
        revision: plan.revision,
        transport: TransportKind::Polling,
        outbox: VecDeque::new(),
        polling: false,
        posting: false,
        pausing: false,
        vanished: false,
        decoder: FrameDecoder::new(Role::Client, 1000),
        sent: 0,
        received: 0,
        pinged_at: start,
    };
    net.after(0, Event::ServerTick);
    net.after(0, Event::ClientTick);
    if let Some(at) = plan.upgrade_at {
        net.after(at, Event::ClientUpgrade);
    }
    if let Some(at) = plan.vanish_at {
        net.after(at, Event::ClientVanish);
    }

    while server.closed.is_none() {
        let next = net.events.first_key_value().map(|(key, _)| key.0);
        let deadline = server.session.deadline().expect("open");
        let time = next.map_or(deadline, |next| next.min(deadline));
        assert!(time >= net.now, "time went back");
        if time > start + DURATION {
            break;
        }
        net.now = time;
        if next.is_none_or(|next| deadline < next) {
            server.session.handle_timeout(time);
            server.drain(&mut net);
            continue;
        }
        let Some((_, event)) = net.events.pop_first() else {
            continue;
        };
        step(event, &mut net, &mut server, &mut client);
        client.act(&mut net);
        server.drain(&mut net);
    }
    (server, client, start)
}

fn step(event: Event, net: &mut Network, server: &mut Server, client: &mut Client) {
    let revision = client.revision;
    let now = net.now;
    match event {
        Event::ServerGet => {
            assert!(!server.poll_waits, "two polls at once");
            assert_eq!(server.session.transport(), TransportKind::Polling);
            server.poll_waits = true;
        }
        Event::ServerPost(body) => {
            for packet in decode(revision, body) {
                server.handle_packet(now, packet);
                server.drain(net);
            }
            net.send(Event::ClientPosted);
        }
        Event::ServerConnected => {
            server
                .session
                .handle_upgrade_request(now)
                .expect("the only candidate");
        }
        // That WebSocket is closed.
        Event::ServerBytes(_) if server.dropped => {}
        Event::ServerBytes(mut bytes) => {
            for packet in read(&mut server.decoder, revision, &mut bytes) {
                if server.session.is_upgrading() {
                    server.session.handle_upgrade_packet(now, &packet);
                } else {
                    server.handle_packet(now, packet);
                }
                server.drain(net);
            }
        }
        Event::ServerTick => {
            server.outbox.push_back(numbered(server.sent));
            server.sent += 1;
            let pause = net.random.below(900);
            net.after(pause, Event::ServerTick);
        }
        Event::ClientPolled(body) => {
            client.polling = false;
            for packet in decode(revision, body) {
                client.handle_packet(&packet);
            }
        }
        Event::ClientPosted => client.posting = false,
        Event::ClientBytes(mut bytes) => {
            for packet in read(&mut client.decoder, revision, &mut bytes) {
                client.handle_packet(&packet);
            }
        }
        Event::ClientTick => {
            if !client.vanished {
                client.outbox.push_back(numbered(client.sent));
                client.sent += 1;
                if revision == Revision::V3 && now >= client.pinged_at + CONFIG.ping_interval {
                    client.pinged_at = now;
                    client.outbox.push_back(Packet::text(PacketKind::Ping, ""));
                }
            }
            let pause = net.random.below(900);
            net.after(pause, Event::ClientTick);
        }
        Event::ClientUpgrade => {
            net.send_stream(true, Event::ServerConnected);
            net.send_frame(true, &Packet::text(PacketKind::Ping, "probe"), revision);
        }
        Event::ClientVanish => client.vanished = true,
    }
}

/// At the end at most so many messages are still on their way or wait for the next poll.
const IN_FLIGHT: u32 = 30;

#[test]
fn a_healthy_client_lives_and_loses_nothing() {
    for seed in 0..150 {
        for revision in [Revision::V3, Revision::V4] {
            let plan = Plan {
                revision,
                upgrade_at: (seed % 3 > 0).then_some(seed * 67),
                vanish_at: None,
            };
            let (server, client, _) = run(seed, plan);
            assert_eq!(server.closed, None, "seed {seed}, {revision:?}");
            let upgraded = plan.upgrade_at.is_some();
            let on_websocket = server.session.transport() == TransportKind::WebSocket;
            assert_eq!(on_websocket, upgraded, "seed {seed}");
            assert!(!server.session.is_upgrading());
            assert!(server.received + IN_FLIGHT > client.sent, "seed {seed}");
            assert!(client.received + IN_FLIGHT > server.sent, "seed {seed}");
            assert!(server.received > 100 && client.received > 100);
            if revision == Revision::V4 {
                // 120 s, at least 2.5 s and at most 2.5 s plus a round trip and a poll each.
                assert!((35..=48).contains(&server.pings), "{} pings", server.pings);
            }
        }
    }
}

#[test]
fn a_client_that_vanishes_is_noticed_in_time() {
    let mut cut_short = 0;
    for seed in 0..300 {
        for revision in [Revision::V3, Revision::V4] {
            let upgrade_at = (seed % 4 > 0).then_some(seed * 31);
            let plan = Plan {
                revision,
                upgrade_at,
                // Before, during and after the upgrade.
                vanish_at: Some(upgrade_at.unwrap_or(0) + seed * 7 % 600),
            };
            let (server, client, start) = run(seed, plan);
            let (at, reason) = server.closed.expect("the timeout is certain");
            assert_eq!(reason, CloseReason::PingTimeout, "seed {seed}");
            let limit = CONFIG.ping_interval + CONFIG.ping_timeout;
            assert!(at <= server.alive_at + limit, "seed {seed}");
            assert!(at >= start + CONFIG.ping_timeout);
            assert!(server.received <= client.sent);
            cut_short += u32::from(server.dropped);
        }
    }
    assert!(cut_short > 10, "the seeds should cut some upgrades short");
}
