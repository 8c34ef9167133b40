//! The answers to one question.

use std::sync::Arc;
use std::time::Instant;

use socketio_core::cluster::{
    ClusterResponse, Expected, Missing, RequestEvent, RequestKind, Requests, ResponseBody,
};
use socketio_core::ids::{NodeId, RequestId};
use tokio::sync::mpsc;
use tracing::Span;

use super::Waiting;
use super::roll::Roll;
use crate::error::AskError;
use crate::metrics::Timed;

/// Brings the answers of two requests. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) waiting: Arc<Waiting>,
    pub(super) requests: [RequestId; 2],
    pub(super) answers: mpsc::Receiver<ClusterResponse>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.waiting.close(&self.requests);
    }
}

/// What was asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) roll: RequestId,
    pub(super) request: RequestId,
    pub(super) namespace: String,
    pub(super) kind: RequestKind,
    /// Our nodes, where the carrier counts them.
    pub(super) ours: Option<usize>,
    /// Members that do not say who they are.
    pub(super) foreign: usize,
    pub(super) deadline: Instant,
    /// Until then all nodes should have said that they are there.
    pub(super) roll_deadline: Instant,
    /// Ends when the last answer was read, or nobody reads any more.
    pub(super) span: Span,
}

/// Gathers the answers to a question: call [`next`](Self::next) until there is none.
#[derive(Debug)]
pub(crate) struct Gathering {
    source: Source,
    requests: Requests,
    deadline: Instant,
    nodes: Vec<NodeId>,
    missing: Option<Missing>,
    _span: Span,
    /// Until the end.
    timed: Option<Timed>,
}

impl Gathering {
    /// Learns who is there, and from then on counts on their answers. Those that come meanwhile are
    /// kept.
    pub(super) async fn begin(
        mut source: Source,
        question: Question,
        timed: Timed,
    ) -> Result<Self, AskError> {
        let mut roll = Roll::new(question.ours);
        let mut early = Vec::new();
        let limit = tokio::time::Instant::from_std(question.roll_deadline);
        while !roll.is_complete() {
            let answer = tokio::time::timeout_at(limit, source.answers.recv());
            match answer.await {
                Ok(Some(answer)) if answer.request == question.roll => roll.handle(answer),
                Ok(Some(answer)) => {
                    if early.len() < source.waiting.max_answers {
                        early.push(answer);
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        let (nodes, unnamed) = roll.into_expected();
        let unnamed = unnamed + question.foreign;
        if nodes.is_empty() && unnamed == 0 {
            return Err(AskError::NoNode);
        }
        let mut requests = Requests::new();
        requests.start(
            &question.request,
            &question.namespace,
            question.kind,
            Expected {
                nodes: nodes.clone(),
                unnamed,
                ..Expected::default()
            },
            question.deadline,
        );
        for answer in early {
            requests.handle_response(answer);
        }
        Ok(Self {
            source,
            requests,
            deadline: question.deadline,
            nodes,
            missing: None,
            _span: question.span,
            timed: Some(timed),
        })
    }

    /// The next answer; none when all have come that can come.
    ///
    /// # Cancel safety
    ///
    /// No answer is lost.
    pub(crate) async fn next(&mut self) -> Option<ClusterResponse> {
        if self.missing.is_some() {
            return None;
        }
        let limit = tokio::time::Instant::from_std(self.deadline);
        loop {
            match self.requests.poll_event() {
                Some(RequestEvent::Response(_, response)) => return Some(response),
                Some(RequestEvent::Done(_, missing)) => {
                    if let Some(timed) = self.timed.take() {
                        timed.end(!missing.is_empty());
                    }
                    self.missing = Some(missing);
                    return None;
                }
                None => {}
            }
            let answer = tokio::time::timeout_at(limit, self.source.answers.recv());
            match answer.await {
                Ok(Some(answer)) => self.requests.handle_response(answer),
                // The sender is held by the table until this is dropped, so this is the end of time.
                Ok(None) | Err(_) => self.requests.handle_timeout(self.deadline),
            }
        }
    }

    /// The nodes of ours that were asked.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// What has not come; nothing before the end.
    pub(crate) fn missing(&self) -> Missing {
        self.missing.clone().unwrap_or_default()
    }
}

/// How many sockets an answer tells.
pub(crate) fn sockets_of(body: &ResponseBody) -> u64 {
    match body {
        ResponseBody::SocketIds(sockets) => sockets.len() as u64,
        ResponseBody::Sockets(sockets) => sockets.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
