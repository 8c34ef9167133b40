//! How a client joins a namespace: find it, ask the middlewares, become a member, tell the
//! application.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use futures_util::task::noop_waker_ref;
use socketio_core::engine::Revision;
use socketio_core::frame::Frame;
use socketio_core::ids::SocketId;
use tracing::Span;

use super::dispatch::{Incoming, Waiting};
use super::tasks::Kind;
use super::{Client, ProtocolError, Slot};
use crate::handler::Running;
use crate::middleware::ConnectError;
use crate::namespace::{Admission, Resolved};
use crate::socket::Socket;
use crate::spans;

/// A namespace that the client may be allowed to join.
pub(super) struct Joining {
    pub(super) name: ByteString,
    pub(super) future: BoxFuture<'static, Outcome>,
    /// Events that the client sent behind its CONNECT.
    pub(super) queue: VecDeque<Incoming>,
    span: Span,
}

impl Joining {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let _inside = self.span.enter();
        self.future.as_mut().poll(cx)
    }
}

/// Who joins, or why nobody does.
pub(super) type Outcome = Result<Admitted, Refusal>;

/// A socket that may join its namespace.
pub(super) struct Admitted {
    admission: Admission,
    socket: Socket,
    /// The client has got its CONNECT already (option `always_connect`).
    welcomed: bool,
}

pub(super) struct Refusal {
    error: ConnectError,
    /// As of [`Admitted`].
    welcomed: bool,
}

impl Refusal {
    fn unknown() -> Self {
        Self {
            error: ConnectError::new(INVALID_NAMESPACE),
            welcomed: false,
        }
    }
}

impl Client {
    /// Takes a CONNECT.
    pub(super) fn connect(
        &mut self,
        nsp: ByteString,
        auth: Option<&str>,
    ) -> Result<(), ProtocolError> {
        if let Some(index) = self.find(&nsp) {
            let is_joined = match &self.slots[index] {
                Slot::Joining(_) => true,
                Slot::Joined { socket, .. } => socket.connected(),
                Slot::Left(_) => false,
            };
            if is_joined {
                // Clients of Engine.IO 3 are in the main namespace without asking.
                let is_eio3 = self.conn.revision() == Revision::V3;
                return if is_eio3 {
                    Ok(())
                } else {
                    Err(ProtocolError::AlreadyJoined)
                };
            }
            let slot = self.slots.remove(index);
            self.leave(
                slot,
                crate::events::DisconnectReason::ServerNamespaceDisconnect,
            );
        }
        self.join(nsp, auth);
        Ok(())
    }

    pub(super) fn join(&mut self, nsp: ByteString, auth: Option<&str>) {
        let most = self.options().max_namespaces_per_client;
        if self.slots.len() >= most {
            self.slots.retain(|slot| !matches!(slot, Slot::Left(_)));
        }
        if self.slots.len() >= most {
            return self.refuse(&nsp, &ConnectError::new("too many namespaces"));
        }
        let span = spans::connect(&self.conn, &nsp);
        match self.table.resolve(&nsp, auth) {
            Resolved::Unknown => {
                spans::refused(&span, INVALID_NAMESPACE);
                self.refuse(&nsp, &ConnectError::new(INVALID_NAMESPACE));
            }
            Resolved::Found(admission) if !admission.needs_middlewares() => {
                match self.new_socket(&admission, auth) {
                    Some(socket) => {
                        let admitted = Admitted {
                            admission,
                            socket,
                            welcomed: false,
                        };
                        self.joined(&nsp, Ok(admitted), VecDeque::new(), &span);
                    }
                    None => self.refuse(&nsp, &ConnectError::new(INVALID_NAMESPACE)),
                }
            }
            Resolved::Found(admission) => {
                let socket = self.new_socket(&admission, auth);
                self.wait(nsp, span, Box::pin(ask_middlewares(admission, socket)));
            }
            Resolved::Asking(answer) => {
                let conn = Arc::clone(&self.conn);
                let auth: Option<Box<str>> = auth.map(Into::into);
                self.wait(
                    nsp,
                    span,
                    Box::pin(async move {
                        let Some(admission) = answer.await else {
                            return Err(Refusal::unknown());
                        };
                        let socket = admission.new_socket(&conn, auth.as_deref());
                        ask_middlewares(admission, socket).await
                    }),
                );
            }
        }
    }

    fn new_socket(&self, admission: &Admission, auth: Option<&str>) -> Option<Socket> {
        admission.new_socket(&self.conn, auth)
    }

    /// Polls the future once, and keeps it if it is not done.
    fn wait(&mut self, name: ByteString, span: Span, mut future: BoxFuture<'static, Outcome>) {
        let mut cx = Context::from_waker(noop_waker_ref());
        match span.in_scope(|| future.as_mut().poll(&mut cx)) {
            Poll::Ready(outcome) => self.joined(&name, outcome, VecDeque::new(), &span),
            Poll::Pending => self.slots.push(Slot::Joining(Box::new(Joining {
                name,
                future,
                queue: VecDeque::new(),
                span,
            }))),
        }
    }

    pub(super) fn poll_joining(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while index < self.slots.len() {
            if let Slot::Joining(joining) = &mut self.slots[index]
                && let Poll::Ready(outcome) = joining.poll(cx)
                && let Slot::Joining(joining) = self.slots.remove(index)
            {
                self.joined(&joining.name, outcome, joining.queue, &joining.span);
            } else {
                index += 1;
            }
        }
    }

    /// The middlewares have decided.
    fn joined(&mut self, nsp: &str, outcome: Outcome, queue: VecDeque<Incoming>, span: &Span) {
        let Admitted {
            admission,
            socket,
            welcomed,
        } = match outcome {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.forget(&queue);
                spans::refused(span, refusal.error.message());
                return if refusal.welcomed {
                    self.turn_away(nsp);
                } else {
                    self.refuse(nsp, &refusal.error);
                };
            }
        };
        if !self.conn.is_open() {
            self.forget(&queue);
            return socket.refuse();
        }
        let namespace = socket.namespace().clone();
        let welcome = (!welcomed).then(|| welcome(&socket));
        if !namespace.insert(admission, &socket, welcome.as_ref()) {
            self.forget(&queue);
            return socket.refuse();
        }
        spans::connected(span, &socket);
        let handlers = namespace.call_connect(&socket);
        socket.set_opening(!handlers.is_empty());
        let mut opening = 0;
        for handler in handlers {
            let running = Running::new(handler, self.shared().metrics()).within(span);
            if !self.start(running, Kind::Opening(socket.clone())) {
                opening += 1;
            }
        }
        socket.set_opening(opening > 0);
        let waiting =
            (opening > 0 || !queue.is_empty()).then(|| Box::new(Waiting::new(queue, opening)));
        self.slots.push(Slot::Joined { socket, waiting });
        self.advance(
            self.slots.len() - 1,
            &mut Context::from_waker(noop_waker_ref()),
        );
    }

    /// Takes back a CONNECT that was answered before the middlewares had decided. Nothing says why: the clients in
    /// JavaScript take a DISCONNECT with data for a fault of the protocol.
    fn turn_away(&self, nsp: &str) {
        self.shared().metrics().connect_refused();
        let frame = self.shared().parser().encode_disconnect(nsp);
        self.conn.send(&frame, false);
    }

    /// Sends `connect_error`. The connection stays open for other namespaces.
    fn refuse(&self, nsp: &str, error: &ConnectError) {
        self.shared().metrics().connect_refused();
        let parser = self.shared().parser();
        // Node has an object for an unknown namespace even where Engine.IO 3 gets plain text.
        let data = match self.conn.revision() {
            Revision::V3 if error.message() == INVALID_NAMESPACE => {
                Some(r#"{"message":"Invalid namespace"}"#)
            }
            _ => error.data_json(),
        };
        let revision = self.conn.revision();
        let frame = parser.encode_connect_error(nsp, error.message(), data, revision);
        self.conn.send(&frame, false);
    }
}

const INVALID_NAMESPACE: &str = "Invalid namespace";

/// The answer to a CONNECT.
fn welcome(socket: &Socket) -> Frame {
    let namespace = socket.namespace();
    let parser = namespace.shared().parser();
    match socket.conn().revision() {
        Revision::V3 => parser.encode_connect_eio3(namespace.name()),
        Revision::V4 => parser.encode_connect(namespace.name(), socket.id().as_str(), None),
    }
}

async fn ask_middlewares(admission: Admission, socket: Option<Socket>) -> Outcome {
    let Some(socket) = socket else {
        return Err(Refusal::unknown());
    };
    let refused = Refuse(Some(socket.clone()));
    let namespace = socket.namespace();
    let welcomed = namespace.shared().options().always_connect;
    if welcomed {
        socket.send_frame(&welcome(&socket), false);
    }
    let decision = namespace.run_middlewares(&socket).await;
    decision.map_err(|error| Refusal { error, welcomed })?;
    refused.admitted();
    Ok(Admitted {
        admission,
        socket,
        welcomed,
    })
}

/// Lets go of what middlewares gave a socket that does not join: because one of them refused it, or
/// because its connection ended before they had decided.
struct Refuse(Option<Socket>);

impl Refuse {
    fn admitted(mut self) {
        self.0 = None;
    }
}

impl Drop for Refuse {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.refuse();
        }
    }
}

impl Admission {
    fn needs_middlewares(&self) -> bool {
        self.namespace()
            .is_some_and(|namespace| namespace.has_middlewares())
    }

    fn new_socket(&self, conn: &Arc<crate::engine::Conn>, auth: Option<&str>) -> Option<Socket> {
        let namespace = self.namespace()?;
        let id = match conn.revision() {
            Revision::V4 => SocketId::generate(),
            // Such clients make it themselves out of the session id.
            Revision::V3 if namespace.name() == "/" => SocketId::from(conn.id().as_str()),
            Revision::V3 => SocketId::from(format!("{}#{}", namespace.name(), conn.id())),
        };
        Some(Socket::new(
            id,
            Arc::clone(conn),
            namespace.clone(),
            auth.map(Into::into),
        ))
    }
}
