//! Requests to other nodes, and who waits for the answers.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socketio_core::cluster::{
    ClusterResponse, Expected, Missing, Operation, RequestKind, ResponseBody, SocketSnapshot,
};
use socketio_core::ids::{NodeId, RequestId};
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use tokio::sync::oneshot;

use super::{Cluster, now};
use crate::ack::{Collector, DEFAULT_TIMEOUT};
use crate::events::EmitError;
use crate::metrics::Metrics;
use crate::remote::MissingNodes;

/// Who waits for the answers to a request.
pub(super) enum Waiting {
    Acks(Weak<Collector>),
    Replies(Gathering<(Option<NodeId>, Payload)>),
    Sockets(Gathering<SocketSnapshot>),
}

pub(super) struct Gathering<T> {
    found: Vec<T>,
    done: oneshot::Sender<(Vec<T>, Missing)>,
}

/// Who waits, and since when.
pub(super) struct Asked {
    pub(super) waiting: Waiting,
    since: Instant,
}

type Tell = Box<dyn FnOnce() + Send>;

impl Waiting {
    /// The name for metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Acks(_) => "broadcast",
            Self::Replies(_) => "server_side_emit",
            Self::Sockets(_) => "fetch_sockets",
        }
    }

    /// Takes an answer in; returns what is to be done outside of the lock.
    pub(super) fn answer(&mut self, response: ClusterResponse) -> Option<Tell> {
        match (self, response.body) {
            (Self::Acks(collector), ResponseBody::Ack { socket, payload }) => {
                let collector = collector.upgrade()?;
                return Some(Box::new(move || {
                    collector.answered_elsewhere(socket, payload)
                }));
            }
            (Self::Replies(gathering), ResponseBody::ServerSideEmit(payload)) => {
                gathering.found.push((response.node, payload));
            }
            (Self::Sockets(gathering), ResponseBody::Sockets(sockets)) => {
                gathering.found.extend(sockets);
            }
            _ => {}
        }
        None
    }
}

impl Asked {
    /// Who still waits is told what is missing. How it ended is counted.
    pub(super) fn finish(self, missing: Missing, metrics: &Arc<Metrics>) -> Tell {
        let metrics = Arc::clone(metrics);
        Box::new(move || {
            let took = now().saturating_duration_since(self.since);
            let (kind, is_partial) = (self.waiting.kind(), !missing.is_empty());
            let is_wanted = match self.waiting {
                Waiting::Acks(collector) => collector
                    .upgrade()
                    .is_some_and(|collector| collector.finished_elsewhere(missing)),
                Waiting::Replies(gathering) => gathering.finish(missing),
                Waiting::Sockets(gathering) => gathering.finish(missing),
            };
            if is_wanted {
                metrics.cluster().answered(kind, is_partial, took);
            }
        })
    }
}

impl<T> Gathering<T> {
    /// False if who asked has given up.
    fn finish(self, missing: Missing) -> bool {
        self.done.send((self.found, missing)).is_ok()
    }
}

/// A request to other nodes. Dropping it ends the waiting with what has come.
#[derive(Debug)]
pub(crate) struct RemoteRequest {
    cluster: Weak<Cluster>,
    id: RequestId,
}

impl RemoteRequest {
    /// Ends the waiting with what has come. Who waits is told of it here, or by whoever has ended it at
    /// the same moment; false if there is no cluster any more, so that nobody tells.
    pub(crate) fn end(&self) -> bool {
        let Some(cluster) = self.cluster.upgrade() else {
            return false;
        };
        cluster.update(|state| state.requests.end(&self.id));
        true
    }
}

impl Drop for RemoteRequest {
    fn drop(&mut self) {
        self.end();
    }
}

/// When to give up. A timeout beyond the clock's range is a wait for ever; a century comes close.
fn deadline(timeout: Option<Duration>) -> Instant {
    let (now, timeout) = (now(), timeout.unwrap_or(DEFAULT_TIMEOUT));
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(3_155_760_000))
}

impl Cluster {
    /// Expects answers from all members that are alive.
    fn expect(
        self: &Arc<Self>,
        namespace: &str,
        kind: RequestKind,
        uncounted: bool,
        timeout: Option<Duration>,
        waiting: Waiting,
    ) -> RemoteRequest {
        let id = RequestId::generate();
        self.metrics.cluster().asked(waiting.kind());
        self.update(|state| {
            let since = now();
            state.waiting.insert(id.clone(), Asked { waiting, since });
            let expected = Expected {
                nodes: state.members.alive().cloned().collect(),
                unnamed: state.foreign(namespace),
                uncounted,
            };
            let deadline = deadline(timeout);
            state
                .requests
                .start(&id, namespace, kind, expected, deadline);
            if self.ended.is_cancelled() {
                // The clock that would end it has stopped.
                state.requests.end(&id);
            }
        });
        self.rearm.notify_one();
        RemoteRequest {
            cluster: Arc::downgrade(self),
            id,
        }
    }

    /// Broadcasts an event whose answers from other nodes go to `collector`.
    pub(crate) fn broadcast_with_ack(
        self: &Arc<Self>,
        namespace: &str,
        payload: &Payload,
        target: &Target,
        collector: &Arc<Collector>,
    ) -> Result<(), EmitError> {
        collector.expect_elsewhere();
        let waiting = Waiting::Acks(Arc::downgrade(collector));
        let (kind, uncounted) = self.acks_of(target, collector);
        let request = self.expect(namespace, kind, uncounted, target.flags.timeout, waiting);
        let operation = Operation::Broadcast {
            payload: payload.clone(),
            target: target.clone(),
            request: Some(request.id.clone()),
        };
        // If this fails, the request is dropped, which ends it.
        self.publish(namespace, operation)?;
        collector.hold(request);
        Ok(())
    }

    /// What completes the acknowledgements of a broadcast, and whether some may come from members
    /// that nobody can count. Such members can only be asked about exactly one room.
    fn acks_of(&self, target: &Target, collector: &Collector) -> (RequestKind, bool) {
        let kind = if target.flags.expect_single_response {
            RequestKind::SingleAck
        } else {
            RequestKind::Broadcast
        };
        match target.rooms.as_slice() {
            [room] if self.adapter.has_uncounted_members() => {
                if !room.looks_like_socket() {
                    (kind, true)
                } else if collector.asked().is_empty() {
                    (RequestKind::SingleAck, true)
                } else {
                    // The one socket is here.
                    (kind, false)
                }
            }
            _ => (kind, false),
        }
    }

    /// The sockets of other nodes, and the nodes that did not answer.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        namespace: &str,
        target: &Target,
    ) -> (Vec<SocketSnapshot>, MissingNodes) {
        let (done, answers) = oneshot::channel();
        let waiting = Waiting::Sockets(Gathering {
            found: Vec::new(),
            done,
        });
        let timeout = target.flags.timeout;
        let request = self.expect(namespace, RequestKind::OnePerNode, false, timeout, waiting);
        let operation = Operation::FetchSockets {
            target: target.clone(),
            request: request.id.clone(),
        };
        self.finish(request, namespace, operation, answers).await
    }

    /// Sends an event to the other nodes themselves; what they answer, and those that did not.
    pub(crate) async fn server_side_emit(
        self: &Arc<Self>,
        namespace: &str,
        payload: &Payload,
        timeout: Option<Duration>,
    ) -> (Vec<(Option<NodeId>, Payload)>, MissingNodes) {
        let (done, answers) = oneshot::channel();
        let waiting = Waiting::Replies(Gathering {
            found: Vec::new(),
            done,
        });
        let request = self.expect(namespace, RequestKind::OnePerNode, false, timeout, waiting);
        let operation = Operation::ServerSideEmit {
            payload: payload.clone(),
            request: Some(request.id.clone()),
        };
        self.finish(request, namespace, operation, answers).await
    }

    async fn finish<T>(
        &self,
        request: RemoteRequest,
        namespace: &str,
        operation: Operation,
        answers: oneshot::Receiver<(Vec<T>, Missing)>,
    ) -> (Vec<T>, MissingNodes) {
        if let Err(error) = self.publish(namespace, operation) {
            tracing::debug!(%error, "the other nodes were not asked");
            // So nobody answers: all are missing.
            drop(request);
        }
        let (found, missing) = answers.await.unwrap_or_default();
        (found, MissingNodes::of(&missing))
    }
}
