//! What choosing the recipients costs while the lock is held, and what joins and leaves cost.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use socketio_core::ids::{Room, SocketId};
use socketio_core::rooms::{Rooms, SocketKey};
use socketio_core::target::Target;

type Handle = Arc<u64>;

fn populate(count: u64) -> (Rooms<Handle>, Vec<SocketKey>) {
    let mut rooms = Rooms::new();
    let insert = |number| rooms.insert(SocketId::generate(), Arc::new(number));
    let keys: Vec<SocketKey> = (0..count).map(insert).collect();
    for (number, key) in keys.iter().enumerate() {
        rooms.join(*key, &Room::from("everybody"));
        rooms.join(*key, &Room::from(format!("half {}", number % 2)));
        rooms.join(*key, &Room::from(format!("team {}", number / 4)));
    }
    (rooms, keys)
}

fn select(c: &mut Criterion) {
    let mut group = c.benchmark_group("select");
    for count in [1_000, 100_000] {
        let (rooms, _) = populate(count);
        let one = rooms
            .ids()
            .next()
            .cloned()
            .unwrap_or_else(SocketId::generate);
        for (name, target) in [
            ("all", Target::all()),
            ("a room of all", Target::room("everybody")),
            ("a room of four", Target::room("team 7")),
            ("one socket", Target::room(&one)),
        ] {
            group.bench_function(format!("{name} of {count}"), |b| {
                b.iter(|| rooms.select(black_box(&target)));
            });
        }
    }
    group.finish();
}

fn iterate(c: &mut Criterion) {
    let mut group = c.benchmark_group("iterate");
    for count in [1_000, 100_000] {
        let (rooms, _) = populate(count);
        let one = rooms
            .ids()
            .next()
            .cloned()
            .unwrap_or_else(SocketId::generate);
        group.throughput(Throughput::Elements(count));
        for (name, target) in [
            ("all", Target::all()),
            ("all but one", Target::all().except(&one)),
            (
                "two overlapping rooms",
                Target::room("everybody").to("half 1"),
            ),
            ("all but half", Target::all().except("half 1")),
        ] {
            let selection = rooms.select(&target);
            group.bench_function(format!("{name} of {count}"), |b| {
                b.iter(|| {
                    let mut visited = 0u64;
                    selection.for_each(|handle| {
                        black_box(handle);
                        visited += 1;
                    });
                    visited
                });
            });
        }
    }
    group.finish();
}

fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("change");
    let (mut rooms, keys) = populate(100_000);
    let (busy, team) = (Room::from("everybody"), Room::from("new team"));
    let mut next = keys.iter().cycle();
    let mut key = || *next.next().unwrap_or(&keys[0]);
    group.bench_function("leave and join a room of 100000", |b| {
        b.iter(|| {
            let key = key();
            rooms.leave(key, &busy);
            rooms.join(key, &busy)
        });
    });
    group.bench_function("create and delete a room", |b| {
        b.iter(|| {
            let key = key();
            rooms.join(key, &team);
            rooms.leave(key, &team)
        });
    });
    group.bench_function("insert and remove a socket in one room", |b| {
        let handle = Arc::new(0);
        let id = SocketId::generate();
        b.iter(|| {
            let key = rooms.insert(id.clone(), Arc::clone(&handle));
            rooms.join(key, &busy);
            rooms.remove(key)
        });
    });
    let rooms = RefCell::new(rooms);
    // Far apart, so that the memory is cold, as in a real server.
    let mut next = keys.iter().step_by(7 * 128).cycle();
    // The worst case: a broadcast holds all chunks, so each of these copies two.
    group.bench_function("leave and join during a broadcast to 100000", |b| {
        b.iter_batched(
            || rooms.borrow().select(&Target::room("everybody")),
            |selection| {
                // Another one each time: who joined last is in the last chunk.
                let key = *next.next().unwrap_or(&keys[0]);
                let mut rooms = rooms.borrow_mut();
                rooms.leave(key, &busy);
                rooms.join(key, &busy);
                selection
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Prints what a socket costs the rooms, by the growth of the process.
fn memory(_: &mut Criterion) {
    let Some(before) = resident_bytes() else {
        return;
    };
    const COUNT: u64 = 500_000;
    let handle = Arc::new(0);
    let mut rooms: Rooms<Handle> = Rooms::new();
    for number in 0..COUNT {
        let key = rooms.insert(SocketId::generate(), Arc::clone(&handle));
        rooms.join(key, &Room::from(number / 10));
    }
    let after = resident_bytes().unwrap_or(before);
    let each = after.saturating_sub(before) / COUNT;
    eprintln!("memory: {each} bytes for a socket in one room of ten (its id included)");
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

// Memory first, while the process is small.
criterion_group!(benches, memory, select, iterate, change);
criterion_main!(benches);
