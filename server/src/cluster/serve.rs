//! What this node does when another one asks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use socketio_core::cluster::{ClusterMessage, ClusterResponse, Operation, ResponseBody};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use tokio::sync::oneshot;
use tracing::Span;

use super::{Cluster, now, snapshot};
use crate::ack::{Collector, DEFAULT_TIMEOUT, RawAcks};
use crate::handler::Running;
use crate::namespace::Namespace;
use crate::remote::ServerEvent;
use crate::spans;

/// Where an answer goes.
struct Asker {
    cluster: Arc<Cluster>,
    node: NodeId,
    namespace: String,
    request: RequestId,
}

impl Asker {
    fn respond(&self, body: ResponseBody) {
        let response = ClusterResponse {
            node: Some(self.cluster.node.clone()),
            namespace: self.namespace.as_str().into(),
            request: self.request.clone(),
            body,
        };
        if let Err(error) = self.cluster.adapter.respond(&self.node, response) {
            tracing::debug!(%error, node = %self.node, "a request was not answered");
        }
    }
}

impl Cluster {
    pub(super) fn handle_message(self: &Arc<Self>, message: ClusterMessage) {
        if matches!(message.operation, Operation::Rooms(_)) {
            self.handle_news(message);
            return;
        }
        let fresh = self.update(|state| state.members.handle_message(now(), &message));
        if matches!(message.operation, Operation::InitialHeartbeat) {
            // The answer has a summary of the rooms, which the clock sends.
            self.rearm.notify_one();
        }
        let Some(namespaces) = self.namespaces.upgrade().filter(|_| fresh) else {
            return;
        };
        let span = spans::deliver(&message);
        let _inside = span.enter();
        let namespace = namespaces.get(&message.namespace);
        let asker = |request: RequestId| Asker {
            cluster: Arc::clone(self),
            node: message.node.clone(),
            namespace: message.namespace.to_string(),
            request,
        };
        match (message.operation, namespace) {
            (
                Operation::Broadcast {
                    payload,
                    target,
                    request: None,
                },
                Some(namespace),
            ) => {
                spans::recipients(&span, namespace.deliver_event(&payload, &target));
            }
            (
                Operation::Broadcast {
                    payload,
                    target,
                    request: Some(request),
                },
                namespace,
            ) => {
                let asked = self.deliver_with_ack(namespace, &payload, &target, asker(request));
                spans::recipients(&span, asked);
            }
            (Operation::Join { target, rooms }, Some(namespace)) => {
                namespace.join_local(&target, &rooms);
            }
            (Operation::Leave { target, rooms }, Some(namespace)) => {
                namespace.leave_local(&target, &rooms);
            }
            (Operation::Disconnect { target, close }, Some(namespace)) => {
                namespace.disconnect_local(&target, close);
            }
            (Operation::FetchSockets { target, request }, namespace) => {
                // Also when there is none: who asks waits for every node.
                let sockets = namespace.map(|namespace| namespace.sockets_of(&target));
                let sockets = sockets.iter().flatten().map(snapshot::of).collect();
                asker(request).respond(ResponseBody::Sockets(sockets));
            }
            (Operation::ListSockets { target, request }, namespace) => {
                let sockets = namespace.map(|namespace| namespace.sockets_of(&target));
                let ids = sockets.iter().flatten().map(|socket| socket.id().clone());
                asker(request).respond(ResponseBody::SocketIds(ids.collect()));
            }
            (Operation::ListRooms { request }, namespace) => {
                let rooms = namespace.map(|namespace| namespace.local_rooms());
                asker(request).respond(ResponseBody::Rooms(rooms.unwrap_or_default()));
            }
            (Operation::ServerSideEmit { payload, request }, Some(namespace)) => {
                self.call_server_event(&namespace, payload, request.map(asker), &span);
            }
            (Operation::ListNodes { request }, _) => {
                let mut nodes = self.others();
                nodes.push(self.node.clone());
                asker(request).respond(ResponseBody::Nodes(nodes));
            }
            // Heartbeats concern the members only; and nothing happens in a namespace that this
            // node does not have.
            _ => {}
        }
    }

    fn deliver_with_ack(
        self: &Arc<Self>,
        namespace: Option<Namespace>,
        payload: &Payload,
        target: &Target,
        asker: Asker,
    ) -> usize {
        let collector = Arc::new(Collector::default());
        let asked = namespace.map(|namespace| {
            let ack = namespace.next_ack_id();
            namespace.deliver_with_ack(payload, target, ack, &collector);
            (namespace, ack)
        });
        let sockets = collector.asked();
        let count = sockets.len();
        asker.respond(ResponseBody::Recipients {
            count: count as u64,
            sockets,
        });
        let timeout = target.flags.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let runtime = self.runtime.get().map(|runtime| runtime.enter());
        let mut acks = RawAcks::new(collector, asked.into_iter().collect(), timeout);
        drop(runtime);
        self.spawn(async move {
            while let Some((socket, payload)) = acks.next().await {
                asker.respond(ResponseBody::Ack { socket, payload });
            }
        });
        count
    }

    /// Starts the handlers of a server-side event, in the order in which the events came.
    fn call_server_event(
        self: &Arc<Self>,
        namespace: &Namespace,
        payload: Payload,
        asker: Option<Asker>,
        span: &Span,
    ) {
        let Some(name) = payload.event_name().map(|name| name.into_owned()) else {
            return;
        };
        let reply = asker.map(|asker| {
            let (reply, replied) = oneshot::channel();
            self.spawn(async move {
                if let Ok(payload) = replied.await {
                    asker.respond(ResponseBody::ServerSideEmit(payload));
                }
            });
            reply
        });
        // Handlers may use timers from their first poll on.
        let _runtime = self.runtime.get().map(|runtime| runtime.enter());
        let metrics = namespace.shared().metrics();
        let event = ServerEvent::new(payload, reply);
        for call in namespace.call_server_event(&name, &event) {
            let mut call = Running::new(call, metrics).within(span);
            // Begun here, so that the order is kept; a task polls it again with its own waker.
            let begun = Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
            if begun.is_pending() {
                self.spawn(async move {
                    call.await;
                });
            }
        }
    }
}
