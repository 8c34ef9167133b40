//! From an event to its handlers, in order.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::task::noop_waker_ref;
use socketio_core::ids::AckId;
use socketio_core::payload::Payload;
use tracing::Span;

use super::tasks::Kind;
use super::{Client, Slot};
use crate::ack::Ack;
use crate::handler::Running;
use crate::middleware::EventError;
use crate::socket::Socket;
use crate::spans;

/// An event that has no handler yet.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) payload: Payload,
    pub(super) ack: Option<AckId>,
}

/// Why the events of a socket wait, and those that do.
pub(super) struct Waiting {
    queue: VecDeque<Incoming>,
    /// Connection handlers that have not ended. While there are any, the first event of the queue
    /// waits for a handler of its own.
    pub(super) opening: usize,
    /// The middlewares of an event that left the queue.
    middleware: Option<Box<Middleware>>,
}

struct Middleware {
    span: Span,
    payload: Payload,
    ack: Option<Ack>,
    future: BoxFuture<'static, Result<(), EventError>>,
}

impl Waiting {
    pub(super) fn new(queue: VecDeque<Incoming>, opening: usize) -> Self {
        Self {
            queue,
            opening,
            middleware: None,
        }
    }

    fn is_over(&self) -> bool {
        self.queue.is_empty() && self.opening == 0 && self.middleware.is_none()
    }
}

/// What [`Client::advance`] does next with a socket.
enum Step {
    Handle(Incoming),
    AskMiddleware(Incoming),
    Allowed(Box<Middleware>),
    Refused(EventError, Span),
    Wait,
}

impl Client {
    /// Takes an event for the namespace of a slot.
    pub(super) fn dispatch(&mut self, index: usize, incoming: Incoming) {
        let bytes = incoming.payload.len();
        match &mut self.slots[index] {
            Slot::Joined { socket, waiting } => {
                if !socket.connected() {
                    return;
                }
                if waiting.is_none() && !socket.has_middleware() {
                    let socket = socket.clone();
                    return self.handle_event(&socket, &incoming);
                }
                let waiting =
                    waiting.get_or_insert_with(|| Box::new(Waiting::new(VecDeque::new(), 0)));
                waiting.queue.push_back(incoming);
            }
            Slot::Joining(joining) => joining.queue.push_back(incoming),
            Slot::Left(_) => return,
        }
        self.queued += 1;
        self.held += bytes;
        self.advance(index, &mut Context::from_waker(noop_waker_ref()));
    }

    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.slots.len() {
            if matches!(
                &self.slots[index],
                Slot::Joined {
                    waiting: Some(_),
                    ..
                }
            ) {
                self.advance(index, cx);
            }
        }
    }

    /// Lets the waiting events of a socket go on, as far as they can.
    pub(super) fn advance(&mut self, index: usize, cx: &mut Context<'_>) {
        // An opening socket is read on at any time, since its handler may wait for an answer of the
        // client. So a full queue gives way: its first event goes to the handlers that there are.
        let full = self.queue_is_full();
        while let Slot::Joined {
            socket,
            waiting: Some(waiting),
        } = &mut self.slots[index]
        {
            let socket = socket.clone();
            if !socket.connected() {
                // The server disconnected it; what waits goes with the slot.
                break;
            }
            match waiting.step(&socket, full, cx) {
                Step::Handle(incoming) => {
                    self.unqueue(&incoming);
                    self.handle_event(&socket, &incoming);
                }
                Step::AskMiddleware(incoming) => {
                    self.unqueue(&incoming);
                    let mut ack = socket.ack(incoming.ack);
                    let span = spans::event(&socket, &incoming.payload);
                    let any = socket.call_any(&incoming.payload, &mut ack);
                    self.start_all(any, &incoming.payload, &span);
                    let middleware = Middleware {
                        span,
                        future: socket.run_middlewares(&incoming.payload),
                        payload: incoming.payload,
                        ack,
                    };
                    if let Slot::Joined {
                        waiting: Some(waiting),
                        ..
                    } = &mut self.slots[index]
                    {
                        waiting.middleware = Some(Box::new(middleware));
                    }
                }
                Step::Allowed(allowed) => {
                    let Middleware {
                        span, payload, ack, ..
                    } = *allowed;
                    self.handle_allowed(&socket, &payload, ack, false, &span);
                }
                Step::Refused(error, span) => {
                    span.in_scope(|| spans::failed(&error));
                    for call in socket.call_error(&error) {
                        let running = Running::new(call, self.shared().metrics()).within(&span);
                        self.start(running, Kind::Other);
                    }
                }
                Step::Wait => break,
            }
        }
        if let Some(Slot::Joined { waiting, .. }) = self.slots.get_mut(index)
            && waiting.as_ref().is_some_and(|waiting| waiting.is_over())
        {
            *waiting = None;
        }
    }

    fn handle_event(&mut self, socket: &Socket, incoming: &Incoming) {
        let span = spans::event(socket, &incoming.payload);
        let mut ack = socket.ack(incoming.ack);
        let any = socket.call_any(&incoming.payload, &mut ack);
        let seen = !any.is_empty();
        self.start_all(any, &incoming.payload, &span);
        self.handle_allowed(socket, &incoming.payload, ack, seen, &span);
    }

    fn handle_allowed(
        &mut self,
        socket: &Socket,
        payload: &Payload,
        ack: Option<Ack>,
        seen: bool,
        span: &Span,
    ) {
        // A packet without a payload has no name; only the catch-all handlers see it.
        let name = payload.event_name();
        let futures = name
            .map(|name| socket.call_event(&name, payload, ack))
            .unwrap_or_default();
        if futures.is_empty() && !seen {
            self.shared().metrics().dropped("no_handler", 1);
        }
        self.start_all(futures, payload, span);
    }

    fn start_all(&mut self, futures: crate::socket::Futures, payload: &Payload, span: &Span) {
        for future in futures {
            let running = Running::new(future, self.shared().metrics()).within(span);
            self.start(running, Kind::Event(payload.len()));
        }
    }

    fn unqueue(&mut self, incoming: &Incoming) {
        self.queued -= 1;
        self.held -= incoming.payload.len();
    }

    /// Events that are dropped with their queue.
    pub(super) fn forget(&mut self, queue: &VecDeque<Incoming>) {
        queue.iter().for_each(|incoming| self.unqueue(incoming));
        if !queue.is_empty() {
            self.shared()
                .metrics()
                .dropped("closed", queue.len() as u64);
        }
    }

    pub(super) fn forget_waiting(&mut self, waiting: &Waiting) {
        self.forget(&waiting.queue);
    }
}

impl Waiting {
    fn step(&mut self, socket: &Socket, full: bool, cx: &mut Context<'_>) -> Step {
        if let Some(middleware) = &mut self.middleware {
            let polled = {
                let _inside = middleware.span.enter();
                middleware.future.as_mut().poll(cx)
            };
            let Poll::Ready(outcome) = polled else {
                return Step::Wait;
            };
            return match (outcome, self.middleware.take()) {
                (Ok(()), Some(allowed)) => Step::Allowed(allowed),
                (Err(error), Some(refused)) => Step::Refused(error, refused.span),
                (_, None) => Step::Wait,
            };
        }
        let Some(first) = self.queue.front() else {
            return Step::Wait;
        };
        if self.opening > 0 && !full {
            let name = first.payload.event_name();
            if !name.is_some_and(|name| socket.handles(&name)) {
                return Step::Wait;
            }
        }
        match self.queue.pop_front() {
            Some(incoming) if socket.has_middleware() => Step::AskMiddleware(incoming),
            Some(incoming) => Step::Handle(incoming),
            None => Step::Wait,
        }
    }
}
