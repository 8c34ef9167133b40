use super::*;

const STEP: Duration = Duration::from_millis(10);

struct Node {
    state: Occupancy,
    now: Instant,
}

impl Node {
    fn new(name: &str, config: OccupancyConfig) -> Self {
        let mut state = Occupancy::new(NodeId::from(name), config);
        state.enable_notices();
        let now = Instant::now();
        Self { state, now }
    }

    fn with_peer(name: &str, peer: &str, config: OccupancyConfig) -> Self {
        let mut node = Self::new(name, config);
        node.state.handle_joined(node.now, &NodeId::from(peer));
        node
    }

    /// Sets own counts and tells of them.
    fn set(&mut self, sockets: u64, rooms: &[(&str, u64)]) -> Vec<RoomNews> {
        self.state.handle_change(self.now);
        assert!(!self.state.wants_changes(self.now));
        self.now = self.state.deadline().expect("changes are due");
        assert!(self.state.wants_changes(self.now));
        let rooms = rooms
            .iter()
            .map(|(room, count)| (Room::from(*room), *count));
        self.state.handle_own("/", sockets, rooms);
        self.state.handle_gathered(self.now);
        self.told()
    }

    fn told(&mut self) -> Vec<RoomNews> {
        let mut told = Vec::new();
        loop {
            self.state.handle_timeout(self.now);
            while let Some(event) = self.state.poll_event() {
                if let OccupancyEvent::Publish(news) = event {
                    told.push(news);
                }
            }
            if self.state.outgoing.is_empty() {
                return told;
            }
            self.now += STEP;
        }
    }

    fn hear(&mut self, from: &str, news: impl IntoIterator<Item = RoomNews>) {
        let from = NodeId::from(from);
        for news in news {
            self.state.handle_news(self.now, &from, news);
        }
    }

    fn digest(&mut self) -> Vec<RoomNews> {
        self.state.handle_heartbeat(self.now);
        self.told()
    }

    fn snapshot(&mut self, asked: RoomNews) -> Vec<RoomNews> {
        self.hear("somebody", [asked]);
        self.now += SNAPSHOT_PAUSE;
        self.told()
    }

    fn notices(&mut self) -> Vec<String> {
        let events = std::iter::from_fn(|| self.state.poll_event());
        events
            .filter_map(|event| match event {
                OccupancyEvent::Occupied {
                    room, node, count, ..
                } => Some(format!("{room} occupied by {count} on {node}")),
                OccupancyEvent::Vacated { room, node, .. } => {
                    Some(format!("{room} vacated by {node}"))
                }
                OccupancyEvent::Publish(_) => None,
            })
            .collect()
    }

    fn is_unknown(&self, node: &str) -> bool {
        self.state.unknown().any(|unknown| unknown.as_str() == node)
    }
}

fn small() -> OccupancyConfig {
    OccupancyConfig {
        max_rooms: 10,
        ..OccupancyConfig::default()
    }
}

fn names(count: usize) -> Vec<(String, u64)> {
    (0..count).map(|n| (format!("room {n}"), 1)).collect()
}

fn refs(names: &[(String, u64)]) -> Vec<(&str, u64)> {
    names.iter().map(|(name, n)| (name.as_str(), *n)).collect()
}

#[test]
fn only_what_changed_in_effect_is_told_once_in_an_interval() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let told = a.set(3, &[("x", 2), ("y", 1)]);
    assert!(
        matches!(&told[..], [RoomNews::Delta { version: 1, .. }]),
        "{told:?}"
    );
    let RoomNews::Delta { changes, .. } = a.set(3, &[("x", 2), ("y", 0)]).remove(0) else {
        panic!("a delta");
    };
    assert_eq!(changes[0].rooms, [(Room::from("y"), 0)]);
    assert_eq!(a.set(3, &[("x", 2)]), [], "nothing has changed");
}

#[test]
fn a_newcomer_asks_once_and_then_counts_without_asking() {
    let mut a = Node::new("a", OccupancyConfig::default());
    a.set(3, &[("x", 2), ("y", 1)]);
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    assert!(b.is_unknown("a"));
    b.hear("a", a.digest());
    let asked = b.told();
    assert_eq!(asked, [RoomNews::Resend { of: "a".into() }]);
    assert_eq!(b.told(), []);
    b.hear("a", a.snapshot(asked[0].clone()));
    assert!(!b.is_unknown("a"));
    assert_eq!(b.state.others_in_room("/", "x"), 2);
    assert_eq!(b.state.others_in_namespace("/"), 3);
    assert_eq!(b.state.others_in_room("/other", "x"), 0);
    b.hear("a", a.set(4, &[("x", 3), ("y", 0)]));
    assert_eq!(b.state.others_in_room("/", "x"), 3);
    assert_eq!(b.state.rooms_of_others("/").count(), 1);
    b.hear("a", a.digest());
    assert_eq!(b.told(), [], "all is right");
    let mut notices = b.notices();
    notices.sort();
    assert_eq!(notices, Vec::<String>::new(), "told() has drained them");
}

#[test]
fn an_empty_newcomer_is_known_without_a_snapshot() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    b.hear("a", a.digest());
    assert!(!b.is_unknown("a"));
    let mut c = Node::with_peer("c", "a", OccupancyConfig::default());
    c.hear("a", a.set(1, &[("x", 1)]));
    assert!(!c.is_unknown("a"), "the first delta is all there is");
}

#[test]
fn a_gap_is_noticed_and_healed() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    b.hear("a", a.set(1, &[("x", 1)]));
    let _lost = a.set(2, &[("x", 2)]);
    b.hear("a", a.set(2, &[("y", 1)]));
    assert!(b.is_unknown("a"));
    assert_eq!(b.state.others_in_room("/", "x"), 1, "what it last told");
    let asked = b.told();
    assert_eq!(asked.len(), 1);
    // The question is lost: it is asked again.
    b.now += peer::RETRY;
    assert_eq!(b.told(), asked);
    b.hear("a", a.snapshot(asked[0].clone()));
    assert!(!b.is_unknown("a"));
    assert_eq!(b.state.others_in_room("/", "x"), 2);
}

#[test]
fn late_and_repeated_news_do_no_harm() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    let first = a.set(1, &[("x", 1)]);
    let early = a.digest();
    let second = a.set(2, &[("x", 2)]);
    for news in [&first, &second, &first, &early, &second] {
        b.hear("a", news.clone());
        assert!(!b.is_unknown("a"));
    }
    assert_eq!(b.state.others_in_room("/", "x"), 2);
    b.hear("a", a.snapshot(RoomNews::Resend { of: "a".into() }));
    assert_eq!(b.state.others_in_room("/", "x"), 2);
    assert_eq!(b.told(), []);
}

#[test]
fn large_snapshots_come_in_parts_and_at_a_pace() {
    let config = OccupancyConfig::default();
    let mut a = Node::new("a", config);
    let rooms = names(100_000);
    let told = a.set(1, &refs(&rooms));
    assert!(told.len() > 20, "{}", told.len());
    a.hear("b", [RoomNews::Resend { of: "a".into() }]);
    a.hear("c", [RoomNews::Resend { of: "a".into() }]);
    a.state.handle_timeout(a.now);
    let first = std::iter::from_fn(|| a.state.poll_event()).count();
    assert_eq!(first, BURST);
    a.state.handle_change(a.now);
    assert!(
        !a.state.wants_changes(a.now + config.interval),
        "first the rest"
    );
    let rest = a.told();
    assert_eq!(first + rest.len(), told.len(), "once for both");

    let mut b = Node::with_peer("b", "a", config);
    let mut parts = a.snapshot(RoomNews::Resend { of: "a".into() });
    let last = parts.pop().expect("parts");
    parts.reverse();
    b.hear("a", parts.clone());
    b.hear("a", parts);
    assert!(b.is_unknown("a"));
    assert_eq!(b.told(), [], "it waits for the rest");
    b.hear("a", [last]);
    assert!(!b.is_unknown("a"));
    assert_eq!(b.state.stats().rooms, 100_001);
}

#[test]
fn a_node_with_too_many_rooms_is_unknown_until_it_has_less() {
    let mut a = Node::new("a", small());
    let mut b = Node::with_peer("b", "a", small());
    b.hear("a", a.set(1, &[("room 0", 1)]));
    let many = names(10);
    let told = a.set(1, &refs(&many));
    assert_eq!(told, [RoomNews::Withheld]);
    b.hear("a", told);
    assert!(b.is_unknown("a"));
    assert!(a.state.stats().withheld);
    assert_eq!(a.digest(), [RoomNews::Withheld]);
    assert_eq!(a.set(1, &[("room 0", 2)]), []);
    let told = a.set(1, &[("room 1", 0), ("room 2", 0)]);
    assert!(matches!(&told[..], [RoomNews::Snapshot { .. }]), "{told:?}");
    b.hear("a", told);
    assert!(!b.is_unknown("a"));
    assert_eq!(b.state.others_in_room("/", "room 0"), 2);
    assert_eq!(b.told(), []);
}

#[test]
fn of_a_node_that_tells_too_much_no_more_is_kept() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let mut b = Node::with_peer("b", "a", small());
    let many = names(50);
    b.hear("a", a.set(1, &refs(&many)));
    assert!(b.is_unknown("a"));
    b.hear("a", a.digest());
    assert_eq!(b.told(), [], "it would only come again");
    let mut c = Node::with_peer("c", "a", small());
    c.hear("a", a.snapshot(RoomNews::Resend { of: "a".into() }));
    assert!(c.is_unknown("a"));
    assert_eq!(c.state.stats().rooms, 0);
}

#[test]
fn the_first_member_of_the_cluster_and_the_last_are_noticed() {
    let mut a = Node::new("a", OccupancyConfig::default());
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    b.hear("a", a.set(2, &[("x", 2), ("y", 1)]));
    let mut notices = b.notices();
    notices.sort();
    assert_eq!(notices, ["x occupied by 2 on a", "y occupied by 1 on a"]);
    b.state.handle_own("/", 1, [(Room::from("x"), 1)]);
    b.hear("a", a.set(2, &[("x", 0)]));
    assert_eq!(b.notices(), Vec::<String>::new(), "x has a member here");
    b.state
        .handle_own("/", 1, [(Room::from("x"), 0), (Room::from("z"), 4)]);
    assert_eq!(b.notices(), ["x vacated by b", "z occupied by 4 on b"]);
    // Its snapshot tells only what is new.
    b.state.handle_left(&NodeId::from("a"));
    assert_eq!(b.notices(), ["y vacated by a"]);
    assert_eq!(b.state.stats().rooms, 0);
}

#[test]
fn strangers_are_not_listened_to_and_odd_news_do_no_harm() {
    let mut b = Node::with_peer("b", "a", OccupancyConfig::default());
    let delta = |version| RoomNews::Delta {
        version,
        changes: vec![NamespaceRooms {
            namespace: "/".into(),
            sockets: u64::MAX,
            rooms: vec![(Room::from("x"), u64::MAX)],
        }],
    };
    b.hear("stranger", [delta(1)]);
    assert_eq!(b.state.others_in_room("/", "x"), 0);
    b.state.handle_joined(b.now, &NodeId::from("c"));
    b.hear("a", [delta(1)]);
    b.hear("c", [delta(1), delta(u64::MAX), delta(0)]);
    assert_eq!(b.state.others_in_room("/", "x"), u64::MAX);
    assert_eq!(b.state.others_in_namespace("/"), u64::MAX);
    let part = |part, parts| RoomNews::Snapshot {
        version: u64::MAX,
        part,
        parts,
        rooms: Vec::new(),
    };
    b.hear(
        "c",
        [
            part(0, 0),
            part(7, 3),
            part(u32::MAX, u32::MAX),
            part(1, u32::MAX),
        ],
    );
    b.hear("a", [part(0, 1), delta(1)]);
    assert_eq!(
        b.state.others_in_room("/", "x"),
        u64::MAX,
        "of the stale one"
    );
}
