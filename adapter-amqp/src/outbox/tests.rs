use super::*;

fn outbox(bounds: Bounds) -> Outbox {
    Outbox::new(bounds)
}

const WIDE: Bounds = Bounds {
    messages: 100,
    bytes: 1000,
    message: 500,
    window: 100,
    window_bytes: 1000,
};

fn push(outbox: &Outbox, size: usize) -> Result<(), AdapterError> {
    outbox.push("e".into(), "k".into(), vec![0; size].into())
}

fn next(outbox: &Outbox) -> Option<u64> {
    match outbox.next(false)? {
        Next::Letter(letter) => Some(letter.number),
        Next::Probe(..) => Some(0),
    }
}

fn all(outbox: &Outbox) -> Vec<u64> {
    std::iter::from_fn(|| next(outbox)).collect()
}

#[test]
fn letters_leave_in_order_and_a_probe_before_them() {
    let outbox = outbox(WIDE);
    for _ in 0..3 {
        push(&outbox, 1).expect("room");
    }
    outbox.probe("k".into(), Bytes::new());
    outbox.probe("k".into(), Bytes::new());
    assert_eq!(all(&outbox), [0, 1, 2, 3]);

    push(&outbox, 1).expect("room");
    outbox.probe("k".into(), Bytes::new());
    assert!(matches!(outbox.next(true), Some(Next::Probe(..))));
    assert!(outbox.next(true).is_none(), "held");
    assert_eq!(all(&outbox), [4]);
}

#[test]
fn the_queue_is_bounded_by_messages_and_bytes() {
    let few = outbox(Bounds {
        messages: 2,
        ..WIDE
    });
    push(&few, 1).expect("room");
    push(&few, 1).expect("room");
    assert!(matches!(push(&few, 1), Err(AdapterError::QueueFull)));
    next(&few);
    push(&few, 1).expect("room again");

    let small = outbox(Bounds { bytes: 10, ..WIDE });
    push(&small, 20).expect("one always fits");
    assert!(matches!(push(&small, 0), Err(AdapterError::QueueFull)));
    next(&small);
    push(&small, 10).expect("room");
    assert_eq!(small.waiting(), (2, 30));

    let error = push(&small, 501);
    assert!(
        matches!(
            error,
            Err(AdapterError::TooLarge {
                size: 501,
                limit: 500
            })
        ),
        "{error:?}"
    );
}

#[test]
fn only_a_window_is_in_flight() {
    let narrow = outbox(Bounds { window: 2, ..WIDE });
    for _ in 0..4 {
        push(&narrow, 1).expect("room");
    }
    assert_eq!(all(&narrow), [1, 2]);
    narrow.settle(2, false);
    assert_eq!(next(&narrow), None, "the first one holds the window");
    narrow.settle(1, false);
    assert_eq!(all(&narrow), [3, 4]);

    let small = outbox(Bounds {
        window_bytes: 10,
        ..WIDE
    });
    push(&small, 20).expect("room");
    push(&small, 1).expect("room");
    assert_eq!(all(&small), [1], "one always fits");
    small.settle(1, false);
    assert_eq!(all(&small), [2]);
}

#[test]
fn what_is_in_flight_is_lost_or_comes_again_in_order() {
    for again in [false, true] {
        let outbox = outbox(WIDE);
        for _ in 0..5 {
            push(&outbox, 1).expect("room");
        }
        for _ in 0..4 {
            next(&outbox);
        }
        outbox.settle(2, false);
        let lost = outbox.connection_lost(again);
        let expected: (usize, &[u64]) = if again { (0, &[1, 3, 4, 5]) } else { (3, &[5]) };
        assert_eq!((lost, &*all(&outbox)), expected);
        outbox.settle(77, false);
        assert_eq!(outbox.clear(), expected.1.len());
        assert_eq!(outbox.waiting(), (0, 0));
    }
}

#[test]
fn a_closed_outbox_takes_nothing_but_gives_what_it_has() {
    let outbox = outbox(WIDE);
    push(&outbox, 1).expect("room");
    outbox.close();
    assert!(matches!(push(&outbox, 1), Err(AdapterError::Closed)));
    assert_eq!(all(&outbox), [1]);
}

#[tokio::test]
async fn a_flush_waits_for_its_letters_and_tells_of_losses() {
    let outbox = outbox(WIDE);
    assert!(outbox.flush().await, "nothing to wait for");
    for _ in 0..3 {
        push(&outbox, 1).expect("room");
    }
    let flush = outbox.flush();
    tokio::pin!(flush);
    assert!(futures_util::poll!(&mut flush).is_pending());
    push(&outbox, 1).expect("room");
    all(&outbox);
    outbox.settle(1, false);
    outbox.settle(3, false);
    assert!(futures_util::poll!(&mut flush).is_pending());
    outbox.settle(2, false);
    assert!(flush.await, "the fourth came later");

    let flush = outbox.flush();
    tokio::pin!(flush);
    assert!(futures_util::poll!(&mut flush).is_pending());
    outbox.connection_lost(false);
    assert!(!flush.await, "the fourth was lost");
    assert!(outbox.flush().await, "an earlier loss does not count");
}
