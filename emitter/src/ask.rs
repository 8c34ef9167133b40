//! Questions to the cluster.
//!
//! An emitter is no member, so it does not know whose answers to expect. Therefore it sends
//! [`Operation::ListNodes`] in front of each question: all nodes answer both, and the first answer
//! already names all nodes that are alive. Where the carrier counts its subscribers (Redis) it must
//! also be that many.

mod gathering;
mod roll;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socketio_core::cluster::{ClusterMessage, ClusterResponse, Operation, RequestKind};
use socketio_core::ids::RequestId;
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use socketio_core::trace::TraceContext;
use tokio::sync::mpsc;

pub(crate) use self::gathering::{Gathering, sockets_of};
use self::gathering::{Question, Source};
use crate::config::Mode;
use crate::emitter::Inner;
use crate::error::AskError;
use crate::metrics::{Counters, Kind, Timed};
use crate::spans;

/// How long to wait for answers when nothing else was said, as servers do.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where answers are brought to those who asked.
#[derive(Debug)]
pub(crate) struct Waiting {
    askers: Mutex<HashMap<RequestId, mpsc::Sender<ClusterResponse>>>,
    max_answers: usize,
    counters: Arc<Counters>,
}

impl Waiting {
    pub(crate) fn new(max_answers: usize, counters: Arc<Counters>) -> Self {
        Self {
            askers: Mutex::default(),
            max_answers: max_answers.max(1),
            counters,
        }
    }

    fn deliver(&self, response: ClusterResponse) {
        let asker = self.askers.lock().get(&response.request).cloned();
        if let Some(asker) = asker
            && asker.try_send(response).is_err()
        {
            // It will be told as missing.
            self.counters.answer_dropped();
            tracing::warn!("an answer was dropped: too many wait to be read");
        }
    }

    /// Takes note of two requests whose answers go the same way.
    fn open(self: &Arc<Self>, requests: [&RequestId; 2]) -> Source {
        let (sender, answers) = mpsc::channel(self.max_answers);
        let mut askers = self.askers.lock();
        for request in requests {
            askers.insert(request.clone(), sender.clone());
        }
        Source {
            waiting: Arc::clone(self),
            requests: requests.map(Clone::clone),
            answers,
        }
    }

    fn close(&self, requests: &[RequestId]) {
        let mut askers = self.askers.lock();
        for request in requests {
            askers.remove(request);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.askers.lock().len()
    }
}

/// Where a question is asked, and in which trace if its caller says so.
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) trace: Option<&'a TraceContext>,
}

impl Inner {
    pub(crate) async fn ask_for_acks(
        &self,
        place: Place<'_>,
        payload: Payload,
        target: Target,
    ) -> Result<Gathering, AskError> {
        let timeout = target.flags.timeout;
        let operation = |request, _| Operation::Broadcast {
            payload,
            target,
            request: Some(request),
        };
        let kind = (Kind::EmitWithAck, RequestKind::Broadcast);
        self.ask(place, kind, timeout, operation).await
    }

    pub(crate) async fn ask_for_sockets(
        &self,
        place: Place<'_>,
        target: Target,
    ) -> Result<Gathering, AskError> {
        let timeout = target.flags.timeout;
        let operation = |request, foreign| {
            if foreign == 0 {
                Operation::ListSockets { target, request }
            } else {
                // All members of Node.js understand this one.
                Operation::FetchSockets { target, request }
            }
        };
        let kind = (Kind::Count, RequestKind::OnePerNode);
        self.ask(place, kind, timeout, operation).await
    }

    pub(crate) async fn ask_servers(
        &self,
        place: Place<'_>,
        payload: Payload,
        timeout: Option<Duration>,
    ) -> Result<Gathering, AskError> {
        let operation = |request, _| Operation::ServerSideEmit {
            payload,
            request: Some(request),
        };
        let kind = (Kind::ServerSideEmit, RequestKind::OnePerNode);
        self.ask(place, kind, timeout, operation).await
    }

    async fn ask(
        &self,
        place: Place<'_>,
        kind: (Kind, RequestKind),
        timeout: Option<Duration>,
        operation: impl FnOnce(RequestId, usize) -> Operation,
    ) -> Result<Gathering, AskError> {
        let asked = self.try_ask(place, kind, timeout, operation).await;
        if let Err(error) = &asked {
            self.carrier.counters.failed(error);
        }
        asked
    }

    async fn try_ask(
        &self,
        place: Place<'_>,
        (kind, request_kind): (Kind, RequestKind),
        timeout: Option<Duration>,
        operation: impl FnOnce(RequestId, usize) -> Operation,
    ) -> Result<Gathering, AskError> {
        let timed = Timed {
            counters: Arc::clone(&self.carrier.counters),
            kind,
            since: tokio::time::Instant::now().into_std(),
        };
        if self.mode == Mode::Python {
            return Err(AskError::Unsupported(self.mode));
        }
        let namespace = place.namespace;
        let prepared = self.prepare(namespace);
        let prepared = tokio::time::timeout(self.connect_timeout, prepared).await;
        let (ours, foreign) = prepared.map_err(|_| AskError::Away)??;
        if ours == Some(0) && foreign == 0 {
            return Err(AskError::NoNode);
        }
        let [roll, request] = [RequestId::generate(), RequestId::generate()];
        let source = self.waiting.open([&roll, &request]);
        let list = Operation::ListNodes {
            request: roll.clone(),
        };
        let operation = operation(request.clone(), foreign);
        let (span, trace) = spans::sending(namespace, &operation, place.trace);
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
        let now = tokio::time::Instant::now().into_std();
        for operation in [list, operation] {
            self.carrier.send(&ClusterMessage {
                node: self.node.clone(),
                namespace: namespace.into(),
                sequence: None,
                trace: trace.clone(),
                operation,
            })?;
        }
        let question = Question {
            roll,
            request,
            namespace: namespace.to_owned(),
            kind: request_kind,
            ours,
            foreign,
            deadline: later(now, timeout),
            roll_deadline: later(now, timeout.min(ROLL_TIMEOUT)),
            span,
        };
        Gathering::begin(source, question, timed).await
    }

    /// Hears answers, and counts who may give some.
    async fn prepare(&self, namespace: &str) -> Result<(Option<usize>, usize), AskError> {
        let waiting = Arc::clone(&self.waiting);
        let deliver = Arc::new(move |response| waiting.deliver(response));
        self.carrier.listen(&self.node, namespace, deliver).await?;
        Ok(self.carrier.count_members(namespace).await?)
    }
}

/// How long to wait for all nodes to say who they are. They do so before anything else, so this is
/// only waited for when one of them has died or stalled.
const ROLL_TIMEOUT: Duration = Duration::from_secs(1);

/// A timeout beyond the clock's range is a wait for ever; a century comes close.
fn later(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(3_155_760_000))
}
