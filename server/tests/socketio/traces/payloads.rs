//! Contexts in the arguments of events, for those who ask for it.

use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};
use socketio_server::extract::Data;
use socketio_server::{Reply, Server, Socket};

use super::collected::{self, attribute, collect};
use super::{SPAN, TRACE, client_with};
use crate::support::{Served, serve};

async fn shop(key: Option<&str>) -> Served {
    let builder = Server::builder().trace_payload_key(key.map(str::to_owned));
    let served = serve(builder).await;
    served
        .io
        .on("order", async |socket: Socket, Data(order): Data<Value>| {
            let _ = socket.emit("confirmed", ("you", json!({"order": order["id"]})));
            let _ = socket.namespace().emit("news", json!({}));
            let _ = socket.namespace().emit("plain", 1);
            Reply(())
        });
    served
}

fn parent_of(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

#[tokio::test]
async fn contexts_come_from_clients_and_go_to_them() {
    let collected = collect();
    let served = shop(Some("_trace")).await;
    let mut client = client_with(&served, "").await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let order = json!({"id": 5, "_trace": {"traceparent": parent, "tracestate": "a=b"}});
    client.emit("order", order).await;
    let (_, confirmed): (String, Value) = client.expect("confirmed").await;
    let news: Value = client.expect("news").await;
    let plain: Value = client.expect("plain").await;
    assert_eq!(plain, json!(1));

    let event = collected.one("process order").await;
    assert_eq!(event.span_context.trace_id().to_string(), TRACE);
    assert_eq!(event.parent_span_id.to_string(), SPAN);
    assert_eq!(event.links.iter().count(), 1, "the connection");
    let told = json!({"traceparent": parent_of(&event), "tracestate": "a=b"});
    assert_eq!(confirmed, json!({"order": 5, "_trace": told}));
    let broadcast = collected.broadcast("news").await;
    collected::assert_child(&broadcast, &event);
    let told = json!({"traceparent": parent_of(&broadcast), "tracestate": "a=b"});
    assert_eq!(news, json!({"_trace": told}));
    // The attribute is the length of what the application sent.
    assert_eq!(attribute(&broadcast, "messaging.message.body.size"), "11");

    // A string is as good; what is malformed is no context.
    client
        .emit("order", json!({"id": 6, "_trace": parent}))
        .await;
    client
        .emit("order", json!({"id": 7, "_trace": "00-nonsense"}))
        .await;
    let orders = collected.wait("process order", 3).await;
    assert_eq!(orders[1].parent_span_id.to_string(), SPAN);
    collected::assert_root(&orders[2]);
}

#[tokio::test]
async fn without_the_option_payloads_are_left_alone() {
    let collected = collect();
    let served = shop(None).await;
    let mut client = client_with(&served, "").await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    client
        .emit("order", json!({"id": 5, "_trace": parent}))
        .await;
    let (_, confirmed): (String, Value) = client.expect("confirmed").await;
    assert_eq!(confirmed, json!({"order": 5}));
    let news: Value = client.expect("news").await;
    assert_eq!(news, json!({}));
    collected::assert_root(&collected.one("process order").await);
}
