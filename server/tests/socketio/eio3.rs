//! Clients of Socket.IO v2 over Engine.IO 3.

use socketio_core::packet::Packet;
use socketio_server::{ConnectError, Server, Socket};

use crate::support::{Client, Served, serve};

async fn v2() -> (Served, Client) {
    let served = serve(Server::builder().allow_eio3(true)).await;
    served.io.on(
        "echo",
        async |socket: Socket, args: socketio_server::extract::Args| {
            let _ = socket.emit_payload(&args.0);
        },
    );
    let custom = served.io.of("/custom");
    custom.on_connect(async |socket: Socket| {
        let auth: serde_json::Value = socket.auth().unwrap_or_default();
        let _ = socket.emit("auth", auth);
    });
    served
        .io
        .of("/deny")
        .use_middleware(async |socket: Socket| {
            let error = ConnectError::new("nope");
            match socket.auth::<serde_json::Value>() {
                Ok(auth) if auth["data"] == "1" => {
                    Err(error.with_data(&[1]).unwrap_or_else(|_| unreachable!()))
                }
                _ => Err(error),
            }
        });
    let client = Client::open(served.address, "EIO=3").await;
    (served, client)
}

#[tokio::test]
async fn it_is_in_the_main_namespace_without_asking() {
    let (served, mut client) = v2().await;
    assert_eq!(client.text().await.unwrap(), "40");
    let open: serde_json::Value = serde_json::from_str(&client.open[1..]).unwrap();
    let sockets = served.io.sockets();
    assert_eq!(sockets[0].id().as_str(), open["sid"]);
    client.send_text(r#"42["echo",1,"two"]"#).await;
    assert_eq!(client.text().await.unwrap(), r#"42["echo",1,"two"]"#);
    // It pings, the server answers.
    client.send_text("2").await;
    assert_eq!(client.text().await.unwrap(), "3");
}

#[tokio::test]
async fn other_namespaces_take_a_query_and_answer_without_payload() {
    let (served, mut client) = v2().await;
    assert_eq!(client.text().await.unwrap(), "40");
    client.send_text("40/custom?a=b&c=d,").await;
    assert_eq!(client.text().await.unwrap(), "40/custom,");
    assert_eq!(
        client.text().await.unwrap(),
        r#"42/custom,["auth",{"a":"b","c":"d"}]"#
    );
    let open: serde_json::Value = serde_json::from_str(&client.open[1..]).unwrap();
    let id = format!("/custom#{}", open["sid"].as_str().unwrap());
    assert_eq!(served.io.of("/custom").sockets()[0].id().as_str(), id);
}

#[tokio::test]
async fn refusals_are_data_or_message() {
    let (_served, mut client) = v2().await;
    assert_eq!(client.text().await.unwrap(), "40");
    client.send_text("40/deny").await;
    assert_eq!(client.text().await.unwrap(), r#"44/deny,"nope""#);
    client.send_text("40/deny?data=1").await;
    assert_eq!(client.text().await.unwrap(), "44/deny,[1]");
    client.send_text("40/unknown").await;
    assert_eq!(
        client.text().await.unwrap(),
        r#"44/unknown,{"message":"Invalid namespace"}"#
    );
}

#[tokio::test]
async fn it_leaves_and_comes_back() {
    let (served, mut client) = v2().await;
    assert!(matches!(client.packet().await, Packet::Connect { .. }));
    client.send_text("41").await;
    client.send_text("40").await;
    assert_eq!(client.text().await.unwrap(), "40");
    assert_eq!(served.io.socket_count(), 1);
}
