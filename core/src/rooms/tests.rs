use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;

fn room(name: &str) -> Room {
    Room::from(name)
}

fn sorted(selection: &Selection<u32>) -> Vec<u32> {
    let mut handles = selection.handles();
    handles.sort_unstable();
    handles
}

#[test]
fn a_socket_is_in_the_room_of_its_id_from_the_start() {
    let mut rooms = Rooms::new();
    let key = rooms.insert(SocketId::from("a"), 1);
    assert_eq!(rooms.rooms_of(key), [room("a")]);
    assert_eq!(rooms.members(&room("a")), [SocketId::from("a")]);
    assert_eq!(rooms.all_rooms(), [room("a")]);
    assert!(rooms.contains_room(&room("a")));
    assert_eq!(rooms.room_count(), 0);
    assert_eq!(sorted(&rooms.select(&Target::room("a"))), [1]);
    // Joining it again changes nothing.
    assert_eq!(rooms.join(key, &room("a")), JoinOutcome::default());
}

#[test]
fn the_own_room_can_be_left_and_joined_again() {
    let mut rooms = Rooms::new();
    let key = rooms.insert(SocketId::from("a"), 1);
    let outcome = rooms.leave(key, &room("a"));
    assert!(outcome.left && outcome.deleted);
    assert!(rooms.select(&Target::room("a")).handles().is_empty());
    assert!(rooms.rooms_of(key).is_empty());
    let outcome = rooms.join(key, &room("a"));
    assert!(outcome.joined && outcome.created);
    assert_eq!(rooms.select(&Target::room("a")).handles(), [1]);
}

#[test]
fn another_socket_may_join_somebodys_own_room() {
    let mut rooms = Rooms::new();
    let a = rooms.insert(SocketId::from("a"), 1);
    let b = rooms.insert(SocketId::from("b"), 2);
    assert!(rooms.is_own_room_of_another(b, &room("a")));
    assert!(!rooms.is_own_room_of_another(a, &room("a")));
    assert!(!rooms.is_own_room_of_another(a, &room("c")));
    let outcome = rooms.join(b, &room("a"));
    assert!(outcome.joined && !outcome.created, "the room existed");
    assert_eq!(sorted(&rooms.select(&Target::room("a"))), [1, 2]);
    let left = rooms.remove(a);
    assert_eq!(
        left,
        [Departure {
            room: room("a"),
            deleted: false
        }]
    );
    assert_eq!(sorted(&rooms.select(&Target::room("a"))), [2]);
    assert!(rooms.leave(b, &room("a")).deleted);
}

#[test]
fn a_stale_key_does_nothing_even_when_its_place_is_taken() {
    let mut rooms = Rooms::new();
    let old = rooms.insert(SocketId::from("a"), 1);
    rooms.remove(old);
    let new = rooms.insert(SocketId::from("b"), 2);
    assert_eq!(rooms.join(old, &room("x")), JoinOutcome::default());
    assert_eq!(rooms.leave(old, &room("b")), LeaveOutcome::default());
    assert!(rooms.remove(old).is_empty());
    assert!(rooms.rooms_of(old).is_empty());
    assert_eq!(rooms.rooms_of(new), [room("b")]);
}

#[test]
fn a_second_socket_with_one_id_replaces_the_first() {
    let mut rooms = Rooms::new();
    let first = rooms.insert(SocketId::from("a"), 1);
    rooms.join(first, &room("x"));
    rooms.insert(SocketId::from("a"), 2);
    assert_eq!(rooms.len(), 1);
    assert_eq!(rooms.get(&SocketId::from("a")), Some(&2));
    assert!(!rooms.contains_room(&room("x")));
    assert!(rooms.rooms_of(first).is_empty());
}

#[test]
fn a_socket_in_a_great_many_rooms_keeps_them_straight() {
    let mut rooms = Rooms::new();
    let key = rooms.insert(SocketId::from("a"), 1);
    for number in 0..10_000u32 {
        assert!(rooms.join(key, &Room::from(number)).created);
    }
    assert_eq!(rooms.join(key, &Room::from(77)), JoinOutcome::default());
    for number in (0..10_000u32).step_by(2) {
        assert!(rooms.leave(key, &Room::from(number)).deleted);
    }
    assert!(rooms.is_member(key, &Room::from(4711)));
    assert!(!rooms.is_member(key, &Room::from(4712)));
    assert_eq!(rooms.remove(key).len(), 5001);
    assert_eq!(rooms.room_count(), 0);
}

#[test]
fn everything_is_released_when_the_last_socket_leaves() {
    let mut rooms = Rooms::new();
    let keys: Vec<SocketKey> = (0..1000u32)
        .map(|number| rooms.insert(SocketId::from(number.to_string()), number))
        .collect();
    for (key, number) in keys.iter().zip(0..) {
        rooms.join(*key, &Room::from(format!("r{}", number / 7)));
    }
    keys.into_iter().for_each(|key| {
        rooms.remove(key);
    });
    assert!(rooms.is_empty());
    assert_eq!(rooms.sockets.bound(), 0);
    assert_eq!(rooms.rooms.bound(), 0);
    assert_eq!(rooms.by_id.capacity(), 0);
    assert_eq!(rooms.by_name.capacity(), 0);
}

#[test]
fn the_place_of_a_socket_is_one_cache_line() {
    assert_eq!(size_of::<Option<Slot>>(), 64);
    assert_eq!(size_of::<Entry<std::sync::Arc<()>>>(), 16);
}

/// The lock is free during a fan-out: another thread joins, leaves, connects and disconnects while
/// a visit of the first of 100 000 sockets is stuck, and the fan-out still serves exactly those who
/// were there when it began.
#[test]
fn joins_and_leaves_do_not_wait_for_a_broadcast() {
    const COUNT: u32 = 100_000;
    let mut rooms = Rooms::new();
    let keys: Vec<SocketKey> = (0..COUNT)
        .map(|number| rooms.insert(SocketId::from(number.to_string()), number))
        .collect();
    let rooms = Mutex::new(rooms);
    let (started, has_started) = mpsc::channel();
    let (resume, may_resume) = mpsc::channel();
    std::thread::scope(|scope| {
        let rooms = &rooms;
        let fan_out = scope.spawn(move || {
            let selection = rooms.lock().select(&Target::all());
            let mut seen = Vec::new();
            selection.for_each(|handle| {
                if seen.is_empty() {
                    started.send(()).unwrap();
                    may_resume.recv().unwrap();
                }
                seen.push(*handle);
            });
            seen
        });
        has_started.recv_timeout(Duration::from_secs(10)).unwrap();
        // Hangs here, in the lock, if the fan-out held it.
        let mut rooms = rooms.lock();
        for key in keys.iter().step_by(10) {
            rooms.join(*key, &room("busy"));
        }
        for key in keys.iter().step_by(3) {
            rooms.remove(*key);
        }
        rooms.insert(SocketId::from("late"), COUNT);
        let remaining = rooms.len();
        drop(rooms);
        resume.send(()).unwrap();
        let mut seen = fan_out.join().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..COUNT).collect::<Vec<_>>());
        assert_eq!(remaining, COUNT as usize - COUNT.div_ceil(3) as usize + 1);
    });
}

/// The same index, written without regard to speed.
#[derive(Default)]
struct Naive {
    /// Socket to (handle, rooms with the own one).
    sockets: BTreeMap<String, (u32, BTreeSet<String>)>,
}

impl Naive {
    fn exists(&self, room: &str) -> bool {
        self.sockets.values().any(|(_, rooms)| rooms.contains(room))
    }

    fn is_in_any(&self, socket: &str, rooms: &[Room]) -> bool {
        let (_, joined) = &self.sockets[socket];
        rooms.iter().any(|room| joined.contains(room.as_str()))
    }

    fn select(&self, target: &Target) -> Vec<u32> {
        let mut selected: Vec<u32> = self
            .sockets
            .iter()
            .filter(|(id, _)| target.rooms.is_empty() || self.is_in_any(id, &target.rooms))
            .filter(|(id, _)| !self.is_in_any(id, &target.except))
            .map(|(_, (handle, _))| *handle)
            .collect();
        selected.sort_unstable();
        selected
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8),
    /// A crowd, so that lists with several chunks occur.
    InsertCrowd(u16),
    JoinAll(u8),
    Remove(u8),
    Join(u8, u8),
    Leave(u8, u8),
    Select(Vec<u8>, Vec<u8>),
}

/// Rooms 0..20 have the names of sockets, the others are ordinary.
fn room_name(number: u8) -> String {
    match number {
        0..20 => format!("s{number}"),
        _ => format!("room {number}"),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let socket = 0..40u8;
    let name = 0..26u8;
    let step = prop_oneof![
        4 => socket.clone().prop_map(Step::Insert),
        1 => (100..400u16).prop_map(Step::InsertCrowd),
        1 => name.clone().prop_map(Step::JoinAll),
        3 => socket.clone().prop_map(Step::Remove),
        8 => (socket.clone(), name.clone()).prop_map(|(s, r)| Step::Join(s, r)),
        5 => (socket, name.clone()).prop_map(|(s, r)| Step::Leave(s, r)),
        4 => (
            prop::collection::vec(name.clone(), 0..4),
            prop::collection::vec(name, 0..3),
        )
            .prop_map(|(rooms, except)| Step::Select(rooms, except)),
    ];
    prop::collection::vec(step, 1..80)
}

/// Runs the steps on both and compares every answer.
fn compare(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut rooms: Rooms<u32> = Rooms::new();
    let mut naive = Naive::default();
    let mut keys: BTreeMap<String, SocketKey> = BTreeMap::new();
    let mut held: Vec<(Selection<u32>, Vec<u32>)> = Vec::new();
    let mut next = 0;
    let mut insert = |rooms: &mut Rooms<u32>,
                      naive: &mut Naive,
                      keys: &mut BTreeMap<String, SocketKey>,
                      id: String| {
        next += 1;
        keys.insert(id.clone(), rooms.insert(SocketId::from(id.as_str()), next));
        naive
            .sockets
            .insert(id.clone(), (next, BTreeSet::from([id])));
    };
    let join = |rooms: &mut Rooms<u32>, naive: &mut Naive, key: SocketKey, id: &str, name: &str| {
        let created = !naive.exists(name);
        let (_, joined_rooms) = naive.sockets.get_mut(id).unwrap();
        let joined = joined_rooms.insert(name.to_owned());
        let expected = JoinOutcome {
            created: created && joined,
            joined,
        };
        prop_assert_eq!(rooms.join(key, &Room::from(name)), expected);
        Ok(())
    };
    for step in steps {
        match step {
            Step::Insert(socket) => {
                insert(&mut rooms, &mut naive, &mut keys, format!("s{socket}"));
            }
            Step::InsertCrowd(count) => {
                for number in 0..count {
                    let id = format!("crowd {number}");
                    insert(&mut rooms, &mut naive, &mut keys, id);
                }
            }
            Step::JoinAll(number) => {
                for (id, key) in &keys {
                    join(&mut rooms, &mut naive, *key, id, &room_name(number))?;
                }
            }
            Step::Join(socket, number) => {
                let id = format!("s{socket}");
                if let Some(key) = keys.get(&id) {
                    join(&mut rooms, &mut naive, *key, &id, &room_name(number))?;
                }
            }
            Step::Leave(socket, number) => {
                let (id, name) = (format!("s{socket}"), room_name(number));
                if let Some(key) = keys.get(&id) {
                    let left = naive.sockets.get_mut(&id).unwrap().1.remove(&name);
                    let deleted = left && !naive.exists(&name);
                    let outcome = rooms.leave(*key, &Room::from(name));
                    prop_assert_eq!(outcome, LeaveOutcome { left, deleted });
                }
            }
            Step::Remove(socket) => {
                let id = format!("s{socket}");
                if let Some(key) = keys.remove(&id) {
                    let (_, left) = naive.sockets.remove(&id).unwrap();
                    let mut departures = rooms.remove(key);
                    departures.sort_by(|a, b| a.room.cmp(&b.room));
                    let expected: Vec<Departure> = left
                        .into_iter()
                        .map(|name| Departure {
                            deleted: !naive.exists(&name),
                            room: Room::from(name),
                        })
                        .collect();
                    prop_assert_eq!(departures, expected);
                }
            }
            Step::Select(to, except) => {
                let mut target = Target::all();
                for number in to {
                    target = target.to(room_name(number));
                }
                for number in except {
                    target = target.except(room_name(number));
                }
                let selection = rooms.select(&target);
                let expected = naive.select(&target);
                prop_assert_eq!(sorted(&selection), expected.clone());
                prop_assert!(selection.upper_bound() >= expected.len());
                held.push((selection, expected));
            }
        }
        prop_assert_eq!(rooms.len(), naive.sockets.len());
    }
    // What was selected earlier is still what it was then.
    for (selection, expected) in held {
        prop_assert_eq!(sorted(&selection), expected);
    }
    for (id, key) in &keys {
        let mut listed: Vec<String> = rooms.rooms_of(*key).iter().map(Room::to_string).collect();
        listed.sort();
        let expected: Vec<String> = naive.sockets[id].1.iter().cloned().collect();
        prop_assert_eq!(listed, expected);
    }
    let listed: BTreeSet<String> = rooms.all_rooms().iter().map(Room::to_string).collect();
    let mut expected = BTreeSet::new();
    for (_, names) in naive.sockets.values() {
        expected.extend(names.iter().cloned());
    }
    prop_assert_eq!(&listed, &expected);
    for name in listed {
        let mut members = rooms.members(&Room::from(name.as_str()));
        members.sort();
        let joined = naive.sockets.iter().filter(|(_, (_, r))| r.contains(&name));
        let expected: Vec<SocketId> = joined.map(|(id, _)| SocketId::from(id.as_str())).collect();
        prop_assert_eq!(
            rooms.member_count(&Room::from(name.as_str())),
            expected.len()
        );
        prop_assert_eq!(members, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rooms_agree_with_a_naive_model(steps in steps()) {
        compare(steps)?;
    }
}
