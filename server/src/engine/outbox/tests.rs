use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use socketio_core::frame::FrameOptions;

use super::*;

const V4: Form = Form {
    revision: Revision::V4,
    b64: false,
};
const NO_LIMIT: usize = usize::MAX;

fn frame(text: &str) -> Frame {
    Frame::message(text, &[], FrameOptions::default())
}

fn on_task() -> Outbox {
    let mut outbox = Outbox::new(V4);
    outbox.set_writer(Writer::Task, V4);
    outbox
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes `outbox` to a stream that takes at most `step` bytes at a time and then once nothing.
fn write_in_steps(outbox: &mut Outbox, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let mut open = true;
        let outcome = outbox.flush_with(|bytes| {
            if !std::mem::replace(&mut open, false) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = step.min(bytes.len());
            out.extend_from_slice(&bytes[..n]);
            Ok(n)
        });
        match outcome {
            Flushed::Empty => return out,
            Flushed::Blocked => {}
            Flushed::Failed(error) => panic!("{error}"),
        }
    }
}

#[test]
fn frames_leave_whole_and_in_order_whatever_the_stream_takes() {
    let frames: Vec<Frame> = (0..100)
        .map(|n| {
            let attachments = [Bytes::from(vec![n; usize::from(n) * 3])];
            Frame::message(
                &format!("51-[{n}]"),
                &attachments[..usize::from(n % 2)],
                FrameOptions::default(),
            )
        })
        .collect();
    let expected: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.websocket(Revision::V4).to_vec())
        .collect();
    for step in [1, 2, 7, 64, 1000, 1 << 20] {
        let mut outbox = on_task();
        for frame in &frames {
            outbox.push(frame, false, NO_LIMIT, true);
        }
        assert_eq!(write_in_steps(&mut outbox, step), expected, "step {step}");
        assert_eq!(outbox.bytes(), 0);
        assert_eq!(outbox.take_sent(), expected.len());
        assert!(!outbox.queue.spilled(), "an idle outbox keeps no memory");
    }
}

#[test]
fn only_the_first_frame_asks_for_a_writer() {
    let mut outbox = on_task();
    assert_eq!(
        outbox.push(&frame("2[1]"), false, NO_LIMIT, false),
        Pushed::WakeTask
    );
    assert_eq!(
        outbox.push(&frame("2[2]"), false, NO_LIMIT, false),
        Pushed::Queued
    );
    write_in_steps(&mut outbox, 1 << 20);
    assert_eq!(
        outbox.push(&frame("2[3]"), false, NO_LIMIT, true),
        Pushed::Queued,
        "its own task writes at the end"
    );
}

#[test]
fn the_bound_holds_but_one_frame_always_fits() {
    let large = frame(&"x".repeat(1000));
    let mut outbox = on_task();
    assert_eq!(outbox.push(&large, false, 100, false), Pushed::WakeTask);
    assert_eq!(
        outbox.push(&frame("2[]"), true, 100, false),
        Pushed::Dropped
    );
    assert_eq!(
        outbox.push(&frame("2[]"), false, 100, false),
        Pushed::Overflow
    );
}

#[test]
fn a_volatile_frame_is_dropped_only_while_the_stream_refuses() {
    let mut outbox = on_task();
    assert_eq!(
        outbox.push(&frame("2[1]"), true, NO_LIMIT, false),
        Pushed::WakeTask
    );
    let refused = outbox.flush_with(|_| Err(io::ErrorKind::WouldBlock.into()));
    assert!(matches!(refused, Flushed::Blocked));
    assert_eq!(
        outbox.push(&frame("2[2]"), true, NO_LIMIT, false),
        Pushed::Dropped
    );
    write_in_steps(&mut outbox, 1 << 20);
    assert_eq!(
        outbox.push(&frame("2[3]"), true, NO_LIMIT, false),
        Pushed::WakeTask
    );
}

#[test]
fn a_poll_is_woken_once_and_takes_everything() {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut outbox = Outbox::new(V4);
    assert_eq!(
        outbox.push(&frame("2[0]"), true, NO_LIMIT, false),
        Pushed::Dropped,
        "no GET is pending"
    );
    assert!(matches!(outbox.take_for_poll(&waker), Polled::Wait));
    assert_eq!(
        outbox.push(&frame("2[1]"), true, NO_LIMIT, false),
        Pushed::Queued
    );
    assert_eq!(
        outbox.push(&frame("2[2]"), false, NO_LIMIT, false),
        Pushed::Queued
    );
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    let Polled::Frames(frames) = outbox.take_for_poll(&waker) else {
        panic!("two frames wait");
    };
    assert_eq!(
        frames.iter().filter_map(Frame::text).collect::<Vec<_>>(),
        ["42[1]", "42[2]"]
    );
    assert!(outbox.is_empty());
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn the_end_wakes_a_poll_and_refuses_frames() {
    let wakes = Arc::new(Wakes::default());
    let mut outbox = Outbox::new(V4);
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(matches!(outbox.take_for_poll(&waker), Polled::Wait));
    outbox.close();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(
        outbox.push(&frame("2[1]"), false, NO_LIMIT, false),
        Pushed::Closed
    );
    assert!(matches!(outbox.take_for_poll(&waker), Polled::Closed));
}

#[test]
fn a_poll_takes_nothing_once_the_session_is_on_a_websocket() {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut outbox = Outbox::new(V4);
    assert!(matches!(outbox.take_for_poll(&waker), Polled::Wait));
    outbox.push(&frame("2[1]"), false, NO_LIMIT, true);
    outbox.set_writer(Writer::Task, V4);
    assert!(matches!(outbox.take_for_poll(&waker), Polled::Upgraded));
    assert!(!outbox.is_empty());
}

#[test]
fn a_client_that_asked_for_base64_gets_no_binary_frame() {
    let mut outbox = on_task();
    outbox.set_writer(
        Writer::Task,
        Form {
            revision: Revision::V4,
            b64: true,
        },
    );
    outbox.push(
        &Frame::message(
            "51-[{\"_placeholder\":true,\"num\":0}]",
            &[Bytes::from_static(&[1, 2, 3])],
            FrameOptions::default(),
        ),
        false,
        NO_LIMIT,
        true,
    );
    let out = write_in_steps(&mut outbox, 5);
    assert!(out.ends_with(b"\x81\x05bAQID"), "{out:?}");
}

#[test]
fn tiny_frames_count_for_the_memory_they_take() {
    const LIMIT: usize = 1 << 20;
    let mut outbox = on_task();
    let mut frames = 0;
    while outbox.push(&frame("3"), false, LIMIT, true) == Pushed::Queued {
        frames += 1;
    }
    // Each is an allocation of its own with its bookkeeping.
    assert!(frames * 100 < LIMIT, "{frames} frames in {LIMIT} bytes");
    outbox.flush_with(|bytes| Ok(bytes.len()));
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn nothing_follows_the_last_frame() {
    let mut outbox = on_task();
    assert_eq!(
        outbox.push(&frame("first"), false, NO_LIMIT, true),
        Pushed::Queued
    );
    let last = Frame::raw(Bytes::from_static(b"close"));
    outbox.push_last(&last);
    assert_eq!(
        outbox.push(&frame("late"), false, NO_LIMIT, false),
        Pushed::Closed
    );
    outbox.push_last(&Frame::raw(Bytes::from_static(b"again")));
    let written = write_in_steps(&mut outbox, 3);
    assert!(written.ends_with(b"firstclose"), "{written:?}");
    assert_eq!(outbox.bytes(), 0);
}
