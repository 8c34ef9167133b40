//! Events in: order, bounds, catch-all handlers, middlewares, panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use socketio_core::packet::Packet;
use socketio_server::extract::{Ack, Args, Data, EventName};
use socketio_server::{EventError, Payload, Reply, Server, Socket, Value};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::support::{masked, serve, soon, until};

#[tokio::test]
async fn five_hundred_pipelined_events_start_in_order() {
    let served = serve(Server::builder()).await;
    served.io.on_connect(async |socket: Socket| {
        socket.on("n", async |socket: Socket, Data(n): Data<u32>| {
            let _ = socket.emit("started", n);
            // Handlers overlap while they wait.
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
        });
    });
    let mut client = served.client().await;
    let mut burst = Vec::new();
    for n in 0..500_u32 {
        burst.extend(masked(&client.event(None, "n", &n)));
    }
    client.write(&burst).await;
    for n in 0..500 {
        assert_eq!(client.expect::<u32>("started").await, n);
    }
}

#[tokio::test]
async fn waiting_handlers_are_bounded_and_none_is_lost() {
    let served = serve(Server::builder().max_pending_handlers(4)).await;
    let permits = Arc::new(Semaphore::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    let (held, now) = (Arc::clone(&permits), Arc::clone(&running));
    served
        .io
        .on("work", move |Data(n): Data<u32>, socket: Socket| {
            let (held, now) = (Arc::clone(&held), Arc::clone(&now));
            async move {
                now.fetch_add(1, Ordering::SeqCst);
                held.acquire().await.map(|permit| permit.forget()).ok();
                now.fetch_sub(1, Ordering::SeqCst);
                let _ = socket.emit("done", n);
            }
        });
    let mut client = served.client().await;
    for n in 0..40_u32 {
        client.emit("work", n).await;
    }
    until("the bound", || running.load(Ordering::SeqCst) == 4).await;
    // Another client is not concerned.
    let mut other = served.client().await;
    other.emit("work", 99_u32).await;
    until("the other one", || running.load(Ordering::SeqCst) == 5).await;
    assert_eq!(running.load(Ordering::SeqCst), 5);
    permits.add_permits(41);
    let mut done = Vec::new();
    for _ in 0..40 {
        done.push(client.expect::<u32>("done").await);
    }
    done.sort_unstable();
    assert_eq!(done, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_panicking_handler_is_caught_and_counted() {
    let served = serve(Server::builder()).await;
    served.io.on("boom", async |Data(n): Data<u32>| {
        assert_eq!(n, 0, "in a handler")
    });
    served.io.on("late boom", async |Data(n): Data<u32>| {
        tokio::task::yield_now().await;
        assert_eq!(n, 0, "in a handler, later");
    });
    served
        .io
        .on("echo", async |Data(text): Data<String>| Reply(text));
    let mut client = served.client().await;
    client.emit("boom", 1).await;
    client.emit("late boom", 1).await;
    assert_eq!(
        client.call::<_, String>("echo", "still here").await,
        "still here"
    );
    until("the count", || {
        served
            .io
            .metrics()
            .encode()
            .lines()
            .any(|line| line.contains("panic") && !line.starts_with('#') && line.ends_with(" 2"))
    })
    .await;
}

#[tokio::test]
async fn arguments_come_as_they_were_sent() {
    let served = serve(Server::builder()).await;
    served.io.on("echo", async |Args(payload): Args, ack: Ack| {
        if let Ok(arguments) = payload.tail(1) {
            let _ = ack.send_payload(&arguments);
        }
    });
    let mut client = served.client().await;
    let data = Bytes::from_static(b"\0\x01\xff");
    let sent = serde_json::json!({"s": "h\u{e9}\u{1f600}", "n": [1, -2.5, null, true], "o": {}});
    let (json, number, bytes): (serde_json::Value, f64, Bytes) =
        client.call("echo", (&sent, 1.5, &data)).await;
    assert_eq!((json, number, bytes), (sent, 1.5, data));
    // Arguments that are not there are null.
    let nothing: (Option<u8>, Option<u8>) = client.call("echo", ()).await;
    assert_eq!(nothing, (None, None));
}

#[tokio::test]
async fn attachments_deep_inside_stay_in_place() {
    let served = serve(Server::builder()).await;
    served
        .io
        .on("deep", async |socket: Socket, Args(payload): Args| {
            let values = payload.to_values().unwrap_or_default();
            assert!(values[1].has_bytes());
            let _ = socket.emit("deep", &values[1]);
        });
    let mut client = served.client().await;
    let value: Value = [
        ("a", Value::from(Bytes::from_static(b"one"))),
        (
            "b",
            Value::Array(vec![Value::Null, Bytes::from(vec![9; 70_000]).into()]),
        ),
    ]
    .into_iter()
    .collect();
    client.emit("deep", &value).await;
    assert_eq!(client.expect::<Value>("deep").await, value);
}

#[tokio::test]
async fn once_and_off_remove_handlers() {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    served.io.on_connect(async |socket: Socket| {
        socket.once("once", async |socket: Socket| {
            let _ = socket.emit("once", ());
        });
        let id = socket.on("never", async |socket: Socket| {
            let _ = socket.emit("never", ());
        });
        assert!(socket.off_handler(id));
        assert!(!socket.off_handler(id));
        socket.on("often", async |socket: Socket| {
            let _ = socket.emit("often", ());
        });
        socket.on("stop", async |socket: Socket| socket.off("often"));
    });
    let mut client = served.client().await;
    client.emit("once", ()).await;
    client.emit("once", ()).await;
    client.emit("never", ()).await;
    client.emit("often", ()).await;
    client.emit("stop", ()).await;
    client.emit("often", ()).await;
    client.expect::<()>("once").await;
    client.expect::<()>("often").await;
    client.expect_silence().await;
}

#[tokio::test]
async fn all_handlers_of_an_event_run_and_the_first_answer_counts() {
    let served = serve(Server::builder()).await;
    served.io.on("q", async |ack: Ack| {
        assert!(ack.is_expected());
        let _ = ack.send("namespace");
    });
    served.io.on_connect(async |socket: Socket| {
        socket.on("q", async || Reply("socket"));
        socket.on("q", async || Reply("second"));
    });
    served.io.on("sync", async || Reply(()));
    let mut client = served.client().await;
    assert_eq!(client.call::<_, String>("q", ()).await, "socket");
    client.expect_silence().await;
}

#[tokio::test]
async fn catch_all_handlers_see_every_event_first() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(8);
    let any = tx.clone();
    served.io.on_connect(move |socket: Socket| {
        let (any, fallback, own) = (any.clone(), tx.clone(), tx.clone());
        async move {
            socket.on("known", async move || {
                drop(own.send("own".to_owned()).await)
            });
            socket.on_fallback(async move |EventName(name): EventName| {
                let _ = fallback.send(format!("fallback {name}")).await;
            });
            socket.on_any(async move |EventName(name): EventName, Data(n): Data<u8>| {
                let _ = any.send(format!("any {name} {n}")).await;
            });
        }
    });
    let mut client = served.client().await;
    client.emit("known", 1).await;
    client.emit("unknown", 2).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(soon("a handler", rx.recv()).await.unwrap());
    }
    assert_eq!(
        seen,
        ["any known 1", "own", "any unknown 2", "fallback unknown"]
    );
}

#[tokio::test]
async fn outgoing_listeners_see_emits_and_broadcasts() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(8);
    served.io.on_connect(move |socket: Socket| {
        let tx = tx.clone();
        async move {
            socket.on_any_outgoing(move |name: &str, payload: &Payload| {
                let _ = tx.try_send(format!("{name} {}", payload.json()));
            });
            let _ = socket.emit("one", 1);
        }
    });
    let mut client = served.client().await;
    client.expect::<u8>("one").await;
    served
        .io
        .to(client.id.as_str())
        .emit("two", (2, 3))
        .unwrap();
    assert_eq!(rx.recv().await.unwrap(), r#"one ["one",1]"#);
    assert_eq!(rx.recv().await.unwrap(), r#"two ["two",2,3]"#);
}

#[tokio::test]
async fn socket_middlewares_keep_the_order_and_refuse() {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    served.io.on_connect(async |socket: Socket| {
        socket.use_middleware(async |Data(n): Data<Option<u64>>| match n {
            Some(13) => Err(EventError::new("unlucky")),
            // The first one takes longest.
            Some(n) => {
                for _ in n..5 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            None => Ok(()),
        });
        socket.on_error(async |socket: Socket, error: EventError| {
            let _ = socket.emit("refused", error.to_string());
        });
        socket.on("n", async |socket: Socket, Data(n): Data<u64>| {
            let _ = socket.emit("got", n);
        });
    });
    let mut client = served.client().await;
    for n in [0, 1, 13, 2] {
        client.emit("n", n).await;
    }
    assert_eq!(client.expect::<u64>("got").await, 0);
    assert_eq!(client.expect::<u64>("got").await, 1);
    assert_eq!(client.expect::<String>("refused").await, "unlucky");
    assert_eq!(client.expect::<u64>("got").await, 2);
    client.expect_silence().await;
}

#[tokio::test]
async fn a_client_may_emit_an_event_called_error() {
    let served = serve(Server::builder()).await;
    served
        .io
        .on("error", async |Data(text): Data<String>| Reply(text));
    let mut client = served.client().await;
    assert_eq!(client.call::<_, String>("error", "fine").await, "fine");
}

#[tokio::test]
async fn reserved_names_are_refused_both_ways() {
    let served = serve(Server::builder()).await;
    let ended = Arc::new(Notify::new());
    let end = Arc::clone(&ended);
    served
        .io
        .on("disconnect", async |EventName(name): EventName| {
            assert_eq!(name, "", "must not be called");
        });
    served.io.on_disconnect(move || {
        let end = Arc::clone(&end);
        async move { end.notify_one() }
    });
    let mut client = served.client().await;
    let socket = served.io.sockets().remove(0);
    assert!(socket.emit("connect", ()).is_err());
    assert!(served.io.emit("disconnecting", ()).is_err());
    client.send_text(r#"42["disconnect"]"#).await;
    client.expect_close().await;
    soon("the end", ended.notified()).await;
}

#[tokio::test]
async fn packets_that_break_the_protocol_close_only_their_connection() {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    let mut witness = served.client().await;
    for bad in [
        "4",
        "49",
        "42{}",
        "42[]",
        "42[{\"toString\":\"foo\"}]",
        "42[\"x\"",
        "45[\"x\"]",
        "450-[\"x\"]",
        "451-[\"x\",{\"_placeholder\":true,\"num\":5}]",
        "42/not-joined,[\"x\"]",
        "43/not-joined,1[]",
        "41/not-joined,",
        "40",
        "44{\"message\":\"x\"}",
    ] {
        let mut client = served.client().await;
        client.send_text(bad).await;
        if bad.starts_with("451") {
            client.write(&[0x82, 0x80, 0, 0, 0, 0]).await;
        }
        client.expect_close().await;
    }
    witness.expect_silence().await;
    until("their ends", || served.io.connection_count() == 1).await;
    assert_eq!(served.io.socket_count(), 1);
}

#[tokio::test]
async fn an_event_without_payload_is_harmless() {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    let mut client = served.client().await;
    client.send_text("42").await;
    client.expect_silence().await;
    assert!(matches!(
        {
            client.send_text(r#"421[1,"number"]"#).await;
            client.ask(5, "sync", ()).await;
            client.packet().await
        },
        Packet::Ack { .. }
    ));
}
