//! The laws that every adapter keeps, as a suite that its tests run.
//!
//! An adapter's tests implement [`Fixture`] and await [`all`]. It is test support, so it panics: a broken law
//! with its name.

mod node;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use self::node::{Node, Reaction, event, settle, until};
use super::{
    Adapter, AdapterError, BoxFuture, ClusterMessage, ClusterResponse, Operation, ResponseBody,
    SocketSnapshot,
};
use crate::ids::{NodeId, RequestId, Room, SocketId};
use crate::payload::Payload;
use crate::target::Target;
use crate::trace::TraceContext;
use crate::value::Value;

/// Makes adapters that hear each other, on a carrier of their own: what other fixtures carry must
/// not be heard.
pub trait Fixture: Send + Sync {
    /// A new adapter, not started yet.
    fn adapter(&self) -> Arc<dyn Adapter>;

    /// Lets a little time pass, some milliseconds. A law waits up to a thousand pauses for
    /// something, and ten for nothing.
    fn pause(&self) -> BoxFuture<'_, ()>;
}

/// Runs all laws, each on a fixture of its own.
///
/// # Panics
///
/// When a law is broken.
pub async fn all<F: Fixture>(mut fixture: impl FnMut() -> F) {
    a_message_reaches_every_other_node_once(&fixture()).await;
    the_contents_arrive_unchanged(&fixture()).await;
    a_trace_arrives_with_its_message(&fixture()).await;
    messages_of_one_node_keep_their_order(&fixture()).await;
    a_response_reaches_only_the_node_that_asked(&fixture()).await;
    a_handler_may_publish_and_respond(&fixture()).await;
    a_large_message_arrives(&fixture()).await;
    an_adapter_works_between_start_and_close(&fixture()).await;
    a_closed_node_hears_nothing(&fixture()).await;
}

/// Drives a future that needs no runtime, such as [`all`] over a fixture whose pauses do not wait.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// Every started node but the sender hears a message, once.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_message_reaches_every_other_node_once(fixture: &impl Fixture) {
    const LAW: &str = "a message reaches every other node once";
    let [a, b, c] = Node::start_some(fixture).await;
    a.publish(event("x", 1));
    b.wait_for(fixture, 1, LAW).await;
    c.wait_for(fixture, 1, LAW).await;
    // A copy, or what came back, would be there before what is sent only now.
    b.publish(event("behind", 2));
    a.wait_for(fixture, 1, LAW).await;
    c.wait_for(fixture, 2, LAW).await;
    c.publish(event("behind", 3));
    a.wait_for(fixture, 2, LAW).await;
    b.wait_for(fixture, 2, LAW).await;
    assert_eq!(a.heard(), [event("behind", 2), event("behind", 3)], "{LAW}");
    assert_eq!(b.heard(), [event("x", 1), event("behind", 3)], "{LAW}");
    assert_eq!(c.heard(), [event("x", 1), event("behind", 2)], "{LAW}");
    let messages = b.heard.messages.lock();
    assert_eq!(messages[0].node, a.id, "{LAW}: the sender is named");
}

/// Namespace, operation and payload arrive as they were published, binary and odd names included.
///
/// # Panics
///
/// When the law is broken.
pub async fn the_contents_arrive_unchanged(fixture: &impl Fixture) {
    const LAW: &str = "the contents arrive unchanged";
    let target = Target::room("a room")
        .to("ein Raum: 部屋 🛋")
        .except("#*?[]\\ \"'\n");
    let mut volatile = target.clone();
    volatile.flags.volatile = true;
    volatile.flags.compress = false;
    let binary = Value::Bytes(Bytes::from_static(b"\x00\xff{\x1e"));
    let arguments = [
        "event".into(),
        Value::Null,
        Value::Float(1.5),
        Value::Object(vec![("😀\u{2028}".to_owned(), binary.clone())]),
        Value::Array(vec![binary, Value::Bool(false)]),
    ];
    let rooms = vec![Room::from("r1"), Room::from(""), Room::from("r,2")];
    let request = RequestId::generate();
    let operations = [
        event("plain", u64::from(u32::MAX)),
        Operation::Broadcast {
            payload: Payload::from_values(&arguments),
            target: volatile,
            request: None,
        },
        Operation::Broadcast {
            payload: Payload::from_values(&arguments),
            target: target.clone(),
            request: Some(request.clone()),
        },
        Operation::Join {
            target: target.clone(),
            rooms: rooms.clone(),
        },
        Operation::Leave {
            target: target.clone(),
            rooms,
        },
        Operation::Disconnect {
            target: target.clone(),
            close: true,
        },
        Operation::FetchSockets {
            target,
            request: request.clone(),
        },
        Operation::ServerSideEmit {
            payload: Payload::from_values(&["hello".into(), 1.into()]),
            request: Some(request),
        },
        Operation::ServerSideEmit {
            payload: Payload::from_values(&["hello".into()]),
            request: None,
        },
    ];
    let [a, b] = Node::start_some(fixture).await;
    for operation in &operations {
        let message = a.message("/odd name,#*", operation.clone());
        a.adapter.publish(&message).expect(LAW);
    }
    b.wait_for(fixture, operations.len(), LAW).await;
    let messages = b.heard.messages.lock().clone();
    for operation in &operations {
        // In any order: what takes different ways to the other node may overtake each other.
        let arrived = messages
            .iter()
            .any(|message| message.namespace == "/odd name,#*" && message.operation == *operation);
        assert!(arrived, "{LAW}: {operation:?} is not among {messages:?}");
    }

    let bodies = [
        ResponseBody::Sockets(Vec::new()),
        ResponseBody::Sockets(vec![SocketSnapshot {
            id: SocketId::generate(),
            handshake: Value::Object(vec![("time".to_owned(), "now".into())]).into(),
            rooms: vec![Room::from("r1")],
            data: Value::Object(vec![("n".to_owned(), 1.into())]),
        }]),
        ResponseBody::ServerSideEmit(Payload::from_values(&[arguments[3].clone()])),
        ResponseBody::Recipients {
            count: 3,
            sockets: Vec::new(),
        },
        ResponseBody::Ack {
            socket: None,
            payload: Payload::from_values(&[arguments[4].clone()]),
        },
    ];
    for body in &bodies {
        let response = b.response(body.clone());
        b.adapter.respond(&a.id, response).expect(LAW);
    }
    until(fixture, LAW, || {
        a.heard.responses.lock().len() >= bodies.len()
    })
    .await;
    let responses = a.heard.responses.lock();
    let arrived: Vec<&ResponseBody> = responses.iter().map(|r| &r.body).collect();
    assert_eq!(arrived, bodies.iter().collect::<Vec<_>>(), "{LAW}");
}

/// Who hears a message learns to which trace it belongs, if there is one, on whatever wire it came.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_trace_arrives_with_its_message(fixture: &impl Fixture) {
    const LAW: &str = "a trace arrives with its message";
    let trace = TraceContext::new([7; 16], [8; 8], 1).expect("not all zeros");
    let traces = [
        None,
        Some(trace.clone()),
        Some(trace.with_tracestate("vendor=value, other=1")),
    ];
    let request = RequestId::generate();
    let operation = |number| match number {
        0 => event("x", 1),
        1 => Operation::Broadcast {
            payload: Payload::from_values(&["asked".into()]),
            target: Target::room("r"),
            request: Some(request.clone()),
        },
        _ => Operation::Join {
            target: Target::room("r"),
            rooms: vec![Room::from("s")],
        },
    };
    let [a, b] = Node::start_some(fixture).await;
    let mut count = 0;
    for trace in traces {
        for number in 0..3 {
            let message = ClusterMessage {
                trace: trace.clone().map(Box::new),
                ..a.message("/", operation(number))
            };
            a.adapter.publish(&message).expect(LAW);
            count += 1;
            // One after the other: what takes different ways may overtake.
            b.wait_for(fixture, count, LAW).await;
            let messages = b.heard.messages.lock();
            assert_eq!(messages[count - 1].trace, message.trace, "{LAW}");
        }
    }
}

/// What one node publishes arrives in that order, whatever others publish meanwhile.
///
/// # Panics
///
/// When the law is broken.
pub async fn messages_of_one_node_keep_their_order(fixture: &impl Fixture) {
    const LAW: &str = "messages of one node keep their order";
    const COUNT: u64 = 500;
    let [a, b, c] = Node::start_some(fixture).await;
    for number in 0..COUNT {
        a.publish(event("a", number));
        b.publish(event("b", number));
    }
    c.wait_for(fixture, 2 * COUNT as usize, LAW).await;
    for sender in [&a, &b] {
        let messages = c.heard.messages.lock();
        let own = messages.iter().filter(|m| m.node == sender.id);
        let name = if sender.id == a.id { "a" } else { "b" };
        let expected: Vec<Operation> = (0..COUNT).map(|number| event(name, number)).collect();
        let arrived: Vec<Operation> = own.map(|m| m.operation.clone()).collect();
        assert!(arrived == expected, "{LAW}");
    }
}

/// Answers do not reach third nodes, nor the sender; to a node that is not there they are dropped.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_response_reaches_only_the_node_that_asked(fixture: &impl Fixture) {
    const LAW: &str = "a response reaches only the node that asked";
    let [a, b, c] = Node::start_some(fixture).await;
    let response = b.response(ResponseBody::Recipients {
        count: 1,
        sockets: Vec::new(),
    });
    let nobody = NodeId::generate();
    b.adapter.respond(&nobody, response.clone()).expect(LAW);
    b.adapter.respond(&a.id, response.clone()).expect(LAW);
    // What somebody else should not have got would be there before what is meant for him.
    let behind = |node: &Node| ClusterResponse {
        request: RequestId::generate(),
        ..node.response(ResponseBody::Sockets(Vec::new()))
    };
    let [to_a, to_c, to_b] = [behind(&b), behind(&b), behind(&c)];
    let arrives = async |node: &Node, request: &RequestId| {
        let is_there = |response: &ClusterResponse| response.request == *request;
        until(fixture, LAW, || {
            node.heard.responses.lock().iter().any(is_there)
        })
        .await;
    };
    b.adapter.respond(&a.id, to_a.clone()).expect(LAW);
    arrives(&a, &to_a.request).await;
    b.adapter.respond(&c.id, to_c.clone()).expect(LAW);
    arrives(&c, &to_c.request).await;
    c.adapter.respond(&b.id, to_b.clone()).expect(LAW);
    arrives(&b, &to_b.request).await;
    let requests = |node: &Node| -> Vec<RequestId> {
        let responses = node.heard.responses.lock();
        responses.iter().map(|r| r.request.clone()).collect()
    };
    assert_eq!(requests(&a), [response.request, to_a.request], "{LAW}");
    assert_eq!(requests(&b), [to_b.request], "{LAW}");
    assert_eq!(requests(&c), [to_c.request], "{LAW}");
    let responses = a.heard.responses.lock();
    assert_eq!(responses[0].body, response.body, "{LAW}");
}

/// Publishing and responding from within a handler works, and does not deadlock.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_handler_may_publish_and_respond(fixture: &impl Fixture) {
    const LAW: &str = "a handler may publish and respond";
    let echo: Reaction = Box::new(|id, adapter, message| {
        let again = ClusterMessage {
            node: id.clone(),
            ..message.clone()
        };
        adapter.publish(&again).expect(LAW);
        let response = ClusterResponse {
            node: None,
            namespace: message.namespace.clone(),
            request: RequestId::from("0123456789abcdef"),
            body: ResponseBody::ServerSideEmit(Payload::empty()),
        };
        adapter.respond(&message.node, response).expect(LAW);
    });
    let [a] = Node::start_some(fixture).await;
    let b = Node::start(fixture, Some(echo)).await;
    a.publish(event("ping", 1));
    a.wait_for(fixture, 1, LAW).await;
    until(fixture, LAW, || !a.heard.responses.lock().is_empty()).await;
    assert_eq!(b.heard(), [event("ping", 1)], "{LAW}");
    assert_eq!(a.heard(), [event("ping", 1)], "{LAW}");
}

/// A megabyte of text and one of binary arrive.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_large_message_arrives(fixture: &impl Fixture) {
    const LAW: &str = "a large message arrives";
    let [a, b] = Node::start_some(fixture).await;
    let large = Operation::Broadcast {
        payload: Payload::from_values(&[
            "large".into(),
            "é".repeat(500_000).into(),
            Value::Bytes(vec![7; 1_000_000].into()),
        ]),
        target: Target::all(),
        request: None,
    };
    a.publish(large.clone());
    b.wait_for(fixture, 1, LAW).await;
    assert!(b.heard() == [large], "{LAW}");
}

/// Before the start and after the close there is an error, not silence.
///
/// # Panics
///
/// When the law is broken.
pub async fn an_adapter_works_between_start_and_close(fixture: &impl Fixture) {
    const LAW: &str = "an adapter works between start and close";
    let id = NodeId::generate();
    let fresh = fixture.adapter();
    let [a] = Node::start_some(fixture).await;
    let message = a.message("/", Operation::Heartbeat);
    let early = fresh.publish(&message);
    assert!(matches!(early, Err(AdapterError::NotStarted)), "{LAW}");
    let again = a.adapter.start(Arc::clone(&a.heard) as _).await;
    assert!(matches!(again, Err(AdapterError::AlreadyStarted)), "{LAW}");
    a.adapter.close().await;
    a.adapter.close().await;
    let late = a.adapter.publish(&message);
    assert!(matches!(late, Err(AdapterError::Closed)), "{LAW}");
    let response = a.response(ResponseBody::Sockets(Vec::new()));
    let late = a.adapter.respond(&id, response);
    assert!(matches!(late, Err(AdapterError::Closed)), "{LAW}");
}

/// What was published before the close still leaves; nothing comes in after it.
///
/// # Panics
///
/// When the law is broken.
pub async fn a_closed_node_hears_nothing(fixture: &impl Fixture) {
    const LAW: &str = "a closed node hears nothing";
    let [a, b, c] = Node::start_some(fixture).await;
    b.publish(Operation::Close);
    b.adapter.close().await;
    a.wait_for(fixture, 1, LAW).await;
    c.wait_for(fixture, 1, LAW).await;
    a.publish(event("x", 1));
    c.wait_for(fixture, 2, LAW).await;
    // The carrier has it. Nothing more can be asked of the node that is closed.
    settle(fixture).await;
    assert_eq!(a.heard(), [Operation::Close], "{LAW}");
    assert_eq!(c.heard(), [Operation::Close, event("x", 1)], "{LAW}");
    assert_eq!(b.heard(), [], "{LAW}");
}
