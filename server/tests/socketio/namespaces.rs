//! Namespaces: static ones, children of patterns and predicates, and their end.

use std::sync::Arc;

use parking_lot::Mutex;
use socketio_core::packet::Packet;
use socketio_server::extract::Data;
use socketio_server::{ConnectError, Namespace, NamespaceRequest, Reply, Server, Socket};

use crate::support::{Served, serve, until};

#[tokio::test]
async fn namespaces_of_one_connection_are_apart() {
    let served = serve(Server::builder()).await;
    let chat = served.io.of("chat");
    assert_eq!(chat.name(), "/chat");
    assert_eq!(served.io.of("/chat"), chat);
    chat.on("where", async |socket: Socket| {
        Reply(socket.namespace().name().to_owned())
    });
    served.io.on("where", async |socket: Socket| {
        Reply(socket.namespace().name().to_owned())
    });
    let mut client = served.client().await;
    let main = client.id.clone();
    client.join("/chat").await;
    assert_ne!(client.id, main);
    assert_eq!(client.call::<_, String>("where", ()).await, "/chat");
    client.nsp = "/".to_owned();
    assert_eq!(client.call::<_, String>("where", ()).await, "/");
    served.io.emit("main", ()).unwrap();
    client.expect::<()>("main").await;
    // Leaving one does not end the other, and it may be joined again.
    client.leave("/chat").await;
    until("the leave", || chat.socket_count() == 0).await;
    client.join("/chat").await;
    assert_eq!(served.io.socket_count(), 1);
}

#[tokio::test]
async fn unknown_namespaces_are_refused_and_leave_nothing() {
    let served = serve(Server::builder()).await;
    let mut client = served.open().await;
    for n in 0..200 {
        let nsp = format!("/unknown-{n}");
        client.join_with(&nsp, None).await;
        let error = client.expect_connect_error(&nsp).await;
        assert_eq!(error, serde_json::json!({"message": "Invalid namespace"}));
    }
    assert_eq!(served.io.namespaces().len(), 1);
    client.join("/").await;
}

#[tokio::test]
async fn a_pattern_makes_children_with_the_handlers_of_the_parent() {
    let served = serve(Server::builder()).await;
    let names = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&names);
    served.io.on_new_namespace(move |namespace: &Namespace| {
        log.lock().push(namespace.name().to_owned());
    });
    let parent = served.io.of_pattern("^/room-[0-9]+$").unwrap();
    parent.use_middleware(async |socket: Socket| {
        if socket.namespace().name() == "/room-13" {
            return Err(ConnectError::new("unlucky"));
        }
        Ok(())
    });
    parent.on_connect(async |socket: Socket| {
        let _ = socket.emit("welcome", socket.namespace().name());
    });
    parent.on("add", async |Data((a, b)): Data<(i32, i32)>| Reply(a + b));
    let mut one = served.client_of("/room-1").await;
    let mut two = served.client_of("/room-2").await;
    assert_eq!(one.expect::<String>("welcome").await, "/room-1");
    assert_eq!(two.expect::<String>("welcome").await, "/room-2");
    assert_eq!(one.call::<_, i32>("add", (1, 2)).await, 3);
    let mut refused = served.open().await;
    refused.join_with("/room-x", None).await;
    refused.expect_connect_error("/room-x").await;
    refused.join_with("/room-13", None).await;
    assert_eq!(
        refused.expect_connect_error("/room-13").await["message"],
        "unlucky"
    );
    // To the sockets of all children.
    parent.operator().emit("all", 5).unwrap();
    assert_eq!(one.expect::<u8>("all").await, 5);
    assert_eq!(two.expect::<u8>("all").await, 5);
    assert_eq!(*names.lock(), ["/room-1", "/room-2", "/room-13"]);
    assert_eq!(parent.namespaces().len(), 3);
    assert!(served.io.of("/room-7").parent().is_some());
    assert!(served.io.of_pattern("(").is_err());
}

#[tokio::test]
async fn a_predicate_decides_with_the_auth() {
    let served = serve(Server::builder()).await;
    served.io.of_predicate(async |request: NamespaceRequest| {
        tokio::task::yield_now().await;
        let auth: serde_json::Value = request.auth().unwrap_or_default();
        auth["open"] == request.name()
    });
    let mut client = served.open().await;
    client.join_with("/a", Some(r#"{"open":"/b"}"#)).await;
    client.expect_connect_error("/a").await;
    client.join_with("/b", Some(r#"{"open":"/b"}"#)).await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    assert_eq!(served.io.namespaces().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_connects_make_one_namespace() {
    let served = serve(Server::builder().cleanup_empty_child_namespaces(true)).await;
    served.io.of_pattern("^/dyn").unwrap();
    for round in 0..10 {
        let nsp = format!("/dyn-{round}");
        let mut joins = Vec::new();
        for _ in 0..8 {
            let (address, nsp) = (served.address, nsp.clone());
            joins.push(tokio::spawn(async move {
                let mut client = crate::support::Client::open(address, "EIO=4").await;
                client.join(&nsp).await;
                client
            }));
        }
        let mut clients = Vec::new();
        for join in joins {
            clients.push(join.await.expect("no panic"));
        }
        let namespace = served.io.namespace(&nsp).unwrap();
        assert_eq!(namespace.socket_count(), 8, "one namespace holds them all");
        namespace.emit("x", ()).unwrap();
        for client in &mut clients {
            client.expect::<()>("x").await;
        }
    }
    until("the end of the children", || {
        served.io.namespaces().len() == 1
    })
    .await;
}

async fn cleaning(cleanup: bool) -> Served {
    let served = serve(Server::builder().cleanup_empty_child_namespaces(cleanup)).await;
    let parent = served.io.of_pattern("^/dyn").expect("a pattern");
    parent.use_middleware(async |socket: Socket| {
        tokio::task::yield_now().await;
        if socket
            .auth::<serde_json::Value>()
            .is_ok_and(|auth| auth["bad"] == true)
        {
            return Err("refused");
        }
        Ok(())
    });
    served
}

#[tokio::test]
async fn empty_children_are_removed_when_asked() {
    let served = cleaning(true).await;
    let mut client = served.client_of("/dyn-1").await;
    let other = served.client_of("/dyn-1").await;
    client.leave("/dyn-1").await;
    let child = served.io.namespace("/dyn-1").unwrap();
    until("the leave", || child.socket_count() == 1).await;
    assert!(served.io.namespace("/dyn-1").is_some());
    drop(other);
    until("the removal", || served.io.namespace("/dyn-1").is_none()).await;
    // A refused client leaves no child behind either.
    client.join_with("/dyn-2", Some(r#"{"bad":true}"#)).await;
    client.expect_connect_error("/dyn-2").await;
    until("the removal", || served.io.namespace("/dyn-2").is_none()).await;
    // And the name is good for a new one.
    client.join("/dyn-1").await;
    assert_ne!(served.io.namespace("/dyn-1").unwrap(), child);
}

#[tokio::test]
async fn empty_children_stay_unless_asked() {
    let served = cleaning(false).await;
    let mut client = served.client_of("/dyn-1").await;
    client.leave("/dyn-1").await;
    let child = served.io.namespace("/dyn-1").unwrap();
    until("the leave", || child.socket_count() == 0).await;
    client.join("/dyn-1").await;
    assert_eq!(served.io.namespace("/dyn-1").unwrap(), child);
}

#[tokio::test]
async fn a_namespace_of_the_application_is_never_removed() {
    let served = serve(Server::builder().cleanup_empty_child_namespaces(true)).await;
    let fixed = served.io.of("/fixed");
    let mut client = served.client_of("/fixed").await;
    client.leave("/fixed").await;
    until("the leave", || fixed.socket_count() == 0).await;
    client.join("/fixed").await;
    assert_eq!(fixed.socket_count(), 1);
}
