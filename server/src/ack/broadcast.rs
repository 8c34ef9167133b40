//! The answers of all recipients of a broadcast.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use socketio_core::cluster::Missing;
use socketio_core::ids::{AckId, SocketId};
use socketio_core::payload::Payload;
use socketio_core::value::ValueError;
use tokio::time::{Instant, Sleep};
use tracing::Span;

use crate::cluster::RemoteRequest;
use crate::namespace::Namespace;
use crate::remote::MissingNodes;

/// How long a broadcast waits for answers when nothing else was said: Node's adapters use it for
/// all their requests.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the answers to one broadcast come together.
#[derive(Debug, Default)]
pub(crate) struct Collector(Mutex<Collected>);

#[derive(Debug, Default)]
struct Collected {
    /// Sockets of this node that owe an answer.
    waiting: HashSet<SocketId>,
    answers: VecDeque<(Option<SocketId>, Payload)>,
    /// Sockets that will not answer: they left.
    missing: Vec<SocketId>,
    /// Requests to other nodes that are not answered completely.
    elsewhere: usize,
    /// Their handles: a request ends when its own is dropped.
    requests: Vec<RemoteRequest>,
    missing_nodes: MissingNodes,
    /// Clients of other nodes that did not answer and whose ids are not known.
    missing_unnamed: u64,
    /// Nobody waits any more.
    abandoned: bool,
    waker: Option<Waker>,
}

impl Collector {
    fn change(&self, change: impl FnOnce(&mut Collected)) {
        let waker = {
            let mut collected = self.0.lock();
            change(&mut collected);
            collected.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn expect(&self, id: &SocketId) {
        self.0.lock().waiting.insert(id.clone());
    }

    pub(crate) fn answered(&self, id: &SocketId, payload: Payload) {
        self.change(|collected| {
            if collected.waiting.remove(id) {
                collected.answers.push_back((Some(id.clone()), payload));
            }
        });
    }

    /// The sockets of this node that were asked.
    pub(crate) fn asked(&self) -> Vec<SocketId> {
        let collected = self.0.lock();
        let answered = collected.answers.iter().filter_map(|(id, _)| id.as_ref());
        collected.waiting.iter().chain(answered).cloned().collect()
    }

    /// Other nodes are about to be asked too.
    pub(crate) fn expect_elsewhere(&self) {
        self.0.lock().elsewhere += 1;
    }

    /// Keeps the request to other nodes alive.
    pub(crate) fn hold(&self, request: RemoteRequest) {
        self.0.lock().requests.push(request);
    }

    /// A socket of another node answered.
    pub(crate) fn answered_elsewhere(&self, id: Option<SocketId>, payload: Payload) {
        self.change(|collected| collected.answers.push_back((id, payload)));
    }

    /// The other nodes have no more answers. Returns whether somebody still waits for some.
    pub(crate) fn finished_elsewhere(&self, missing: Missing) -> bool {
        let mut is_wanted = false;
        self.change(|collected| {
            is_wanted = !collected.abandoned;
            collected.elsewhere = collected.elsewhere.saturating_sub(1);
            collected.missing_nodes.merge(MissingNodes::of(&missing));
            let named = missing.sockets.len() as u64;
            let unnamed = missing.acks.saturating_sub(named);
            collected.missing_unnamed = collected.missing_unnamed.saturating_add(unnamed);
            collected.missing.extend(missing.sockets);
        });
        is_wanted
    }

    /// The socket will not answer.
    pub(crate) fn lost(&self, id: &SocketId) {
        self.change(|collected| {
            if collected.waiting.remove(id) {
                collected.missing.push(id.clone());
            }
        });
    }
}

/// One answer to a broadcast.
#[derive(Debug, Clone, PartialEq)]
pub struct AckResponse<R> {
    /// Who answered. Unknown for sockets of nodes that run other software: it does not say.
    pub socket: Option<SocketId>,
    /// The answer, if it is what was asked for.
    pub data: Result<R, ValueError>,
}

/// All answers to a broadcast, and who did not answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AckResponses<R> {
    /// The answers in the order in which they came.
    pub responses: Vec<AckResponse<R>>,
    /// Sockets that left or did not answer in time.
    pub missing: Vec<SocketId>,
    /// How many more sockets did not answer, of nodes that tell only the number.
    pub missing_unnamed: u64,
    /// Other nodes that did not answer in time for their sockets.
    pub missing_nodes: MissingNodes,
}

impl<R> AckResponses<R> {
    /// Whether everybody answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.missing_unnamed == 0 && self.missing_nodes.is_empty()
    }

    /// The answers that are what was asked for.
    pub fn into_data(self) -> impl Iterator<Item = R> {
        self.responses
            .into_iter()
            .filter_map(|response| response.data.ok())
    }
}

/// The answers to a broadcast as they come: a [`Stream`], or all at once by
/// [`collect`](Self::collect).
///
/// Ends when all have answered or left, or at the timeout (5 seconds unless
/// [set](crate::BroadcastOperator::timeout)). [`missing`](Self::missing) then names the others.
///
/// ```no_run
/// # async fn example(io: socketio_server::Server) -> Result<(), socketio_server::EmitError> {
/// let mut acks = io.to("editors").emit_with_ack::<_, String>("save?", ())?;
/// while let Some(response) = acks.next().await {
///     println!("{:?} says {:?}", response.socket, response.data);
/// }
/// println!("no answer from {:?}", acks.missing());
/// # Ok(())
/// # }
/// ```
#[must_use = "to send without waiting for answers there is `emit`"]
pub struct BroadcastAcks<R> {
    raw: RawAcks,
    result: PhantomData<fn() -> R>,
    /// They end when this is dropped.
    _spans: Vec<Span>,
}

/// The answers as they came. Those who still owe one are forgotten when this is dropped.
pub(crate) struct RawAcks {
    collector: Arc<Collector>,
    /// Where the sockets that owe an answer are found, each with the id of its event.
    asked: Vec<(Namespace, AckId)>,
    deadline: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl<R> fmt::Debug for BroadcastAcks<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAcks")
            .field("over", &self.raw.over)
            .finish_non_exhaustive()
    }
}

impl RawAcks {
    pub(crate) fn new(
        collector: Arc<Collector>,
        asked: Vec<(Namespace, AckId)>,
        timeout: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            collector,
            asked,
            // A timeout beyond the clock's range is a wait for ever; a century comes close.
            deadline: now
                .checked_add(timeout)
                .unwrap_or_else(|| now + Duration::from_secs(3_155_760_000)),
            sleep: None,
            over: false,
        }
    }

    /// The next answer; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<(Option<SocketId>, Payload)> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Option<SocketId>, Payload)>> {
        {
            let mut collected = self.collector.0.lock();
            if let Some(answer) = collected.answers.pop_front() {
                return Poll::Ready(Some(answer));
            }
            if collected.waiting.is_empty() && collected.elsewhere == 0 {
                return Poll::Ready(None);
            }
            collected.waker = Some(cx.waker().clone());
        }
        if self.over {
            // The clock of the cluster had ended the request already, and is about to tell who is
            // missing.
            return Poll::Pending;
        }
        let deadline = self.deadline;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        std::task::ready!(sleep.as_mut().poll(cx));
        self.give_up();
        // An answer may have come between the look and the end.
        self.poll_answer(cx)
    }

    /// No answer is waited for any more: those who owe one are missing.
    fn give_up(&mut self) {
        let (left, requests) = {
            let mut collected = self.collector.0.lock();
            let left: Vec<SocketId> = collected.waiting.drain().collect();
            (left, std::mem::take(&mut collected.requests))
        };
        for id in &left {
            for (namespace, ack) in &self.asked {
                if let Some(socket) = namespace.socket(id) {
                    socket.forget_ack(*ack);
                }
            }
        }
        self.collector.0.lock().missing.extend(left);
        // They tell the collector who is missing elsewhere, but for those without a cluster.
        let orphans = requests.iter().filter(|request| !request.end()).count();
        let mut collected = self.collector.0.lock();
        collected.elsewhere = collected.elsewhere.saturating_sub(orphans);
        self.over = true;
    }
}

impl Drop for RawAcks {
    fn drop(&mut self) {
        if !self.over {
            self.collector.0.lock().abandoned = true;
            self.give_up();
        }
    }
}

impl<R> BroadcastAcks<R> {
    pub(crate) fn new(
        collector: Arc<Collector>,
        asked: Vec<(Namespace, AckId)>,
        timeout: Duration,
    ) -> Self {
        Self {
            raw: RawAcks::new(collector, asked, timeout),
            result: PhantomData,
            _spans: Vec::new(),
        }
    }

    /// Lets spans end with the answers.
    pub(crate) fn ending(mut self, spans: Vec<Span>) -> Self {
        self._spans = spans;
        self
    }

    /// Sockets that left without an answer, or (when the answers have ended) did not answer in
    /// time.
    #[must_use]
    pub fn missing(&self) -> Vec<SocketId> {
        self.raw.collector.0.lock().missing.clone()
    }

    /// How many more sockets did not answer, of nodes that tell only the number: those that run
    /// other software.
    #[must_use]
    pub fn missing_unnamed(&self) -> u64 {
        self.raw.collector.0.lock().missing_unnamed
    }

    /// Nodes that did not answer in time for their sockets.
    #[must_use]
    pub fn missing_nodes(&self) -> MissingNodes {
        self.raw.collector.0.lock().missing_nodes.clone()
    }
}

impl<R: DeserializeOwned> BroadcastAcks<R> {
    /// The next answer; `None` when there will be no more.
    ///
    /// # Cancel safety
    ///
    /// No answer is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<AckResponse<R>> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Waits for all answers.
    pub async fn collect(mut self) -> AckResponses<R> {
        let mut responses = Vec::new();
        while let Some(response) = self.next().await {
            responses.push(response);
        }
        AckResponses {
            responses,
            missing: self.missing(),
            missing_unnamed: self.missing_unnamed(),
            missing_nodes: self.missing_nodes(),
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<AckResponse<R>>> {
        let answer = std::task::ready!(self.raw.poll_answer(cx));
        Poll::Ready(answer.map(|(socket, payload)| AckResponse {
            socket,
            data: payload.deserialize_args(false),
        }))
    }
}

impl<R: DeserializeOwned> Stream for BroadcastAcks<R> {
    type Item = AckResponse<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AckResponse<R>>> {
        self.poll_answer(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(collector: &Arc<Collector>, timeout: Duration) -> BroadcastAcks<u32> {
        BroadcastAcks::new(Arc::clone(collector), Vec::new(), timeout)
    }

    fn answer(n: u32) -> Payload {
        Payload::args(&n).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_as_a_stream_and_the_missing_are_named() {
        let collector = Arc::new(Collector::default());
        let ids: Vec<SocketId> = ["a", "b", "c"].into_iter().map(SocketId::from).collect();
        ids.iter().for_each(|id| collector.expect(id));
        let mut acks = acks(&collector, Duration::from_secs(5));
        collector.answered(&ids[1], answer(7));
        let response = acks.next().await.unwrap();
        assert_eq!(
            (response.socket, response.data),
            (Some(ids[1].clone()), Ok(7))
        );
        // A second answer of the same socket does not count.
        collector.answered(&ids[1], answer(8));
        collector.lost(&ids[0]);
        assert_eq!(acks.missing(), [ids[0].clone()]);
        let started = Instant::now();
        let all = acks.collect().await;
        assert_eq!(started.elapsed().as_secs(), 5);
        assert_eq!(all.responses, []);
        assert_eq!(all.missing, [ids[0].clone(), ids[2].clone()]);
        assert!(!all.is_complete());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_missing_elsewhere_is_waited_for_if_the_clock_is_just_about_to_tell() {
        let collector = Arc::new(Collector::default());
        collector.expect_elsewhere();
        let all = tokio::spawn(acks(&collector, Duration::from_secs(1)).collect());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!all.is_finished());
        collector.finished_elsewhere(Missing {
            acks: 1,
            ..Missing::default()
        });
        assert_eq!(all.await.unwrap().missing_unnamed, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_to_wait_for_is_an_end_at_once() {
        let all = acks(&Arc::new(Collector::default()), Duration::MAX)
            .collect()
            .await;
        assert!(all.is_complete() && all.responses.is_empty());
    }
}
