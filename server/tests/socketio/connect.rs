//! Joining a namespace: what the application sees, and who is refused.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use socketio_core::packet::Packet;
use socketio_server::extract::{Auth, Data, Extension, Headers, Query, State};
use socketio_server::{ConnectError, Reply, Server, Socket};
use tokio::sync::{Notify, mpsc};

use crate::support::{serve, soon, until};

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

#[tokio::test]
async fn a_socket_has_an_id_of_its_own_and_a_handshake() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(1);
    served.io.on_connect(async move |socket: Socket| {
        let _ = tx.send(socket).await;
    });
    let client = served.client().await;
    let socket = soon("the handler", rx.recv()).await.unwrap();
    assert_eq!(socket.id(), &client.id);
    assert_eq!(socket.id().as_str().len(), 20);
    assert!(
        !client.open.contains(socket.id().as_str()),
        "the session id is a secret"
    );
    assert!(socket.connected() && !socket.recovered());
    assert_eq!(socket.rooms(), [client.id.as_str()]);
    let handshake = socket.handshake();
    assert_eq!(handshake.headers["x-test"], "yes");
    assert_eq!(handshake.query_value("EIO"), Some("4"));
    assert!(!handshake.secure && !handshake.xdomain);
    assert!(handshake.url.starts_with("/socket.io/?"));
    assert!(handshake.address.is_some());
    assert_eq!(
        socket.auth::<serde_json::Value>().unwrap(),
        serde_json::json!({})
    );
}

#[tokio::test]
async fn extractors_give_what_they_name() {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "EIO")]
        eio: u8,
        transport: String,
    }
    let served = serve(Server::builder().state(Arc::new(41_u64))).await;
    served
        .io
        .use_middleware(async |socket: Socket, Auth(login): Auth<Login>| {
            socket.extensions().insert(login.token);
            Ok::<(), ConnectError>(())
        });
    served.io.on_connect(async |socket: Socket| {
        socket.on(
            "who",
            async |Query(params): Query<Params>,
                   headers: Headers,
                   State(state): State<Arc<u64>>,
                   Extension(token): Extension<String>,
                   missing: Option<State<u8>>,
                   wrong: Result<Data<u32>, socketio_server::ValueError>| {
                assert!(missing.is_none() && wrong.is_err());
                let header = headers["x-test"].to_str().unwrap_or_default().to_owned();
                Reply((params.eio, params.transport, header, *state + 1, token))
            },
        );
    });
    let mut client = served.open().await;
    client.join_with("/", Some(r#"{"token":"t"}"#)).await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    let answer: (u8, String, String, u64, String) = client.call("who", "no number").await;
    assert_eq!(
        answer,
        (4, "websocket".into(), "yes".into(), 42, "t".into())
    );
}

#[tokio::test]
async fn middlewares_run_in_order_and_refuse_with_message_and_data() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(8);
    let first = tx.clone();
    served.io.use_middleware(async move |socket: Socket| {
        assert!(!socket.connected());
        // Slower than the next one.
        tokio::task::yield_now().await;
        let _ = first.send("first").await;
        Ok::<(), ConnectError>(())
    });
    served
        .io
        .use_middleware(async move |auth: Result<Auth<Login>, _>| {
            let _ = tx.send("second").await;
            match auth {
                Ok(Auth(login)) if login.token == "good" => Ok(()),
                Ok(_) => {
                    let data = serde_json::json!({"code": 1});
                    Err(ConnectError::new("wrong token").with_data(&data).unwrap())
                }
                Err(_) => Err(ConnectError::new("no token")),
            }
        });
    let mut client = served.open().await;
    client.join_with("/", None).await;
    let error = client.expect_connect_error("/").await;
    assert_eq!(error, serde_json::json!({"message": "no token"}));
    assert_eq!(
        (rx.recv().await, rx.recv().await),
        (Some("first"), Some("second"))
    );
    client.join_with("/", Some(r#"{"token":"bad"}"#)).await;
    let error = client.expect_connect_error("/").await;
    assert_eq!(
        error,
        serde_json::json!({"message": "wrong token", "data": {"code": 1}})
    );
    assert_eq!(served.io.socket_count(), 0);
    // The connection stays open, and may ask again.
    client.join_with("/", Some(r#"{"token":"good"}"#)).await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    assert_eq!(served.io.socket_count(), 1);
}

#[tokio::test]
async fn a_panicking_middleware_refuses_and_harms_nobody() {
    let served = serve(Server::builder()).await;
    served
        .io
        .of("/bad")
        .use_middleware(async || -> Result<(), ConnectError> { panic!("boom") });
    let mut client = served.client().await;
    client.join_with("/bad", None).await;
    let error = client.expect_connect_error("/bad").await;
    assert_eq!(error["message"], "internal server error");
    assert_eq!(served.io.socket_count(), 1);
}

#[tokio::test]
async fn early_rooms_and_emits_of_a_middleware_reach_the_socket() {
    let served = serve(Server::builder()).await;
    served.io.use_middleware(async |socket: Socket| {
        socket.join(["early", "gone"]);
        socket.leave("gone");
        socket.emit("before", 1).map_err(|error| error.to_string())
    });
    let mut client = served.open().await;
    client.join_with("/", None).await;
    assert_eq!(client.expect::<u8>("before").await, 1);
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    served.io.to("early").emit("room", 2).unwrap();
    assert_eq!(client.expect::<u8>("room").await, 2);
    assert!(served.io.room_members("gone").is_empty());
}

#[tokio::test]
async fn events_behind_connect_wait_for_the_middleware_and_the_handlers() {
    let served = serve(Server::builder()).await;
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    served.io.use_middleware(async move || {
        open.notified().await;
        Ok::<(), ConnectError>(())
    });
    let late = Arc::new(Notify::new());
    let register = Arc::clone(&late);
    served.io.on_connect(async move |socket: Socket| {
        register.notified().await;
        socket.on("n", async |Data(n): Data<u32>, socket: Socket| {
            let _ = socket.emit("got", n);
        });
        // Not ended: the handler alone lets the events through.
        std::future::pending::<()>().await;
    });
    let mut client = served.open().await;
    client.join_with("/", None).await;
    for n in 0..50 {
        client.emit("n", n).await;
    }
    gate.notify_one();
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    for n in 50..100 {
        client.emit("n", n).await;
    }
    late.notify_one();
    for n in 0..100 {
        assert_eq!(client.expect::<u32>("got").await, n);
    }
}

#[tokio::test]
async fn an_early_event_without_handler_waits_for_the_end_of_the_connection_handler_only() {
    let served = serve(Server::builder()).await;
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    served.io.on_connect(async move |socket: Socket| {
        socket.on("known", async |socket: Socket| {
            let _ = socket.emit("got", "known");
        });
        socket.on_any(
            async |socket: Socket, name: socketio_server::extract::EventName| {
                let _ = socket.emit("any", name.0);
            },
        );
        ended.notified().await;
    });
    let mut client = served.client().await;
    client.emit("unknown", ()).await;
    client.emit("known", ()).await;
    end.notify_one();
    assert_eq!(client.expect::<String>("any").await, "unknown");
    assert_eq!(client.expect::<String>("any").await, "known");
    assert_eq!(client.expect::<String>("got").await, "known");
}

#[tokio::test]
async fn a_connection_without_namespace_is_closed_in_time() {
    let served = serve(Server::builder().connect_timeout(Duration::from_millis(500))).await;
    let mut idle = served.open().await;
    let mut client = served.client().await;
    idle.expect_close().await;
    served.io.emit("alive", ()).unwrap();
    client.expect::<()>("alive").await;
}

#[tokio::test]
async fn a_client_that_goes_during_the_middleware_leaves_nothing() {
    let served = serve(Server::builder()).await;
    let (tx, mut rx) = mpsc::channel(1);
    served.io.use_middleware(async move |socket: Socket| {
        let _ = tx.send(socket).await;
        std::future::pending::<Result<(), ConnectError>>().await
    });
    let mut client = served.open().await;
    client.join_with("/", None).await;
    let socket = soon("the middleware", rx.recv()).await.unwrap();
    drop(client);
    until("the end of the session", || {
        served.io.connection_count() == 0
    })
    .await;
    assert!(!socket.connected());
    assert!(socket.emit("x", ()).is_err());
    assert_eq!(served.io.socket_count(), 0);
}

#[tokio::test]
async fn namespaces_of_a_connection_are_bounded() {
    let served = serve(Server::builder().max_namespaces_per_client(2)).await;
    for name in ["/a", "/b", "/c"] {
        let _ = served.io.of(name);
    }
    let mut client = served.open().await;
    client.join("/a").await;
    client.join("/b").await;
    client.join_with("/c", None).await;
    assert_eq!(
        client.expect_connect_error("/c").await["message"],
        "too many namespaces"
    );
    client.leave("/a").await;
    client.join("/c").await;
}

#[tokio::test]
async fn a_connect_may_be_answered_before_the_middlewares_decide() {
    let served = serve(Server::builder().always_connect(true)).await;
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    served
        .io
        .use_middleware(async move |Auth(login): Auth<Login>| {
            opened.notified().await;
            match login.token.as_str() {
                "good" => Ok(()),
                _ => Err(ConnectError::new("wrong token")),
            }
        });
    served.io.on_connect(async |socket: Socket| {
        let _ = socket.emit("after", 1);
    });
    let mut client = served.open().await;
    client.join_with("/", Some(r#"{"token":"bad"}"#)).await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    assert_eq!(served.io.socket_count(), 0, "nobody has decided yet");
    gate.notify_one();
    assert!(matches!(client.packet().await, Packet::Disconnect { .. }));

    client.join_with("/", Some(r#"{"token":"good"}"#)).await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    gate.notify_one();
    assert_eq!(
        client.expect::<u8>("after").await,
        1,
        "and no second CONNECT"
    );
    assert_eq!(served.io.socket_count(), 1);
}
