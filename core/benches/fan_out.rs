//! A broadcast as a server makes it: choose under the lock, then push one shared frame into the
//! outbox of each recipient. The outboxes are as small as they can be, so that this measures what
//! the core adds.

use std::collections::VecDeque;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use socketio_core::frame::{Frame, FrameOptions};
use socketio_core::ids::{Room, SocketId};
use socketio_core::packet::ParserKind;
use socketio_core::payload::Payload;
use socketio_core::rooms::Rooms;
use socketio_core::target::Target;

/// Queue of a recipient that is drained by somebody else.
#[derive(Default)]
struct Outbox {
    queue: Mutex<VecDeque<Frame>>,
}

impl Outbox {
    fn push(&self, frame: &Frame) {
        let mut queue = self.queue.lock();
        // Stands for the writer, which keeps up.
        if queue.len() == 16 {
            queue.clear();
        }
        queue.push_back(frame.clone());
    }
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan out");
    for count in [1_000, 100_000] {
        let mut rooms = Rooms::new();
        for number in 0..count {
            let key = rooms.insert(SocketId::generate(), Arc::new(Outbox::default()));
            rooms.join(key, &Room::from("everybody"));
            rooms.join(key, &Room::from(format!("half {}", number % 2)));
        }
        let rooms = Mutex::new(rooms);
        let one = rooms.lock().ids().next().cloned();
        let one = one.unwrap_or_else(SocketId::generate);
        group.throughput(Throughput::Elements(count));
        for (name, target) in [
            ("all", Target::all()),
            ("a room", Target::room("everybody")),
            ("all but the sender", Target::all().except(&one)),
            ("two rooms", Target::room("half 0").to("half 1")),
        ] {
            group.bench_function(format!("{name} to {count} outboxes"), |b| {
                b.iter(|| {
                    let payload = Payload::from_values(&["chat".into(), "hello".into()]);
                    let options = FrameOptions { compress: true };
                    let frame = ParserKind::Json.encode_event("/", None, &payload, options);
                    let selection = rooms.lock().select(&target);
                    selection.for_each(|outbox| outbox.push(&frame));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
