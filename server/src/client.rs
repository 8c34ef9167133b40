//! [`Client`]: one connection's namespaces. Owned by the session task; nobody else touches it.
//!
//! Packets come in by [`Client::handle_message`]. Handlers are futures that are polled once right
//! where their event is dispatched, so they start in the order of the events; those that wait are
//! kept in one set and polled by [`Client::poll`]. No task is spawned.

mod connect;
mod dispatch;
mod tasks;

use std::sync::Arc;
use std::task::Context;

use smallvec::SmallVec;
use socketio_core::engine::{CloseReason, Message, Revision};
use socketio_core::packet::{DecodeError, DecodeLimits, Packet, PacketDecoder};

use self::connect::Joining;
use self::dispatch::{Incoming, Waiting};
use self::tasks::{Kind, Tasks};
use crate::engine::Conn;
use crate::events::DisconnectReason;
use crate::handler::Running;
use crate::middleware::EventError;
use crate::namespace::Namespaces;
use crate::options::Options;
use crate::server::Shared;
use crate::socket::Socket;

/// Something that was asked of a client from outside its session task.
#[derive(Debug)]
pub(crate) enum ClientCommand {
    /// Leave all namespaces and close the connection.
    Close,
    /// The socket has left its namespace; its disconnect handlers are still to run.
    Left(Socket),
}

/// The client broke the protocol; its connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("second CONNECT to a namespace")]
    AlreadyJoined,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("packet for a namespace that was not joined")]
    NotJoined,
    #[error("a packet that only servers send")]
    ServerPacket,
}

/// Most handlers of connections, disconnects and errors that wait before a connection is read no further. A client that
/// joins and leaves over and over starts them; one that does not has a few for each of its namespaces, and these may wait
/// for its answers, so that the bound must be far above.
const MOST_OTHERS: usize = 1024;

/// The namespaces of one connection, and the handlers that are at work for it.
pub(crate) struct Client {
    table: Arc<Namespaces>,
    conn: Arc<Conn>,
    decoder: PacketDecoder,
    /// Nearly always one, so a search is quick.
    slots: SmallVec<[Slot; 1]>,
    tasks: Tasks,
    /// Events in the queues of all slots.
    queued: usize,
    /// Bytes of events that are queued or in a waiting handler.
    held: usize,
    /// A client of Engine.IO 3 joins the main namespace by itself, in the first turn of its task.
    auto_join: bool,
}

/// What the client has of one namespace.
enum Slot {
    /// Its middlewares run.
    Joining(Box<Joining>),
    Joined {
        socket: Socket,
        /// Present while events have to wait.
        waiting: Option<Box<Waiting>>,
    },
    /// The server disconnected the socket: what the client sent before it knew is ignored.
    Left(Arc<str>),
}

impl Slot {
    fn name(&self) -> &str {
        match self {
            Self::Joining(joining) => &joining.name,
            Self::Joined { socket, .. } => socket.namespace().name(),
            Self::Left(name) => name,
        }
    }
}

impl Client {
    pub(crate) fn new(table: &Arc<Namespaces>, conn: &Arc<Conn>) -> Self {
        let options = table.shared().options();
        let default = DecodeLimits::default();
        let limits = DecodeLimits {
            max_attachments: u32::try_from(options.max_attachments).unwrap_or(u32::MAX),
            // A single message of the largest size must fit.
            max_attachment_bytes: default
                .max_attachment_bytes
                .max(options.max_http_buffer_size),
            ..default
        };
        Self {
            table: Arc::clone(table),
            conn: Arc::clone(conn),
            decoder: PacketDecoder::new(options.parser, conn.revision(), limits),
            slots: SmallVec::new(),
            tasks: Tasks::default(),
            queued: 0,
            held: 0,
            auto_join: conn.revision() == Revision::V3,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.table.shared()
    }

    fn options(&self) -> &Options {
        self.table.shared().options()
    }

    fn find(&self, nsp: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name() == nsp)
    }

    /// Takes a message of the client.
    ///
    /// # Errors
    ///
    /// When it breaks the protocol. The session is then closed, as Node does.
    pub(crate) fn handle_message(&mut self, message: Message) -> Result<(), ProtocolError> {
        self.join_by_itself();
        let decoded = match message {
            Message::Text(text) => self.decoder.handle_text(text),
            Message::Binary(bytes) => self.decoder.handle_binary(bytes),
        };
        match decoded {
            Ok(Some(packet)) => self.handle_packet(packet),
            Ok(None) => Ok(()),
            Err(error) => {
                self.tell_error(&EventError::new(error.to_string()));
                Err(error.into())
            }
        }
    }

    fn handle_packet(&mut self, packet: Packet) -> Result<(), ProtocolError> {
        match packet {
            Packet::Connect { nsp, auth } => self.connect(nsp, auth.as_deref()),
            Packet::Event { nsp, ack, payload } => {
                let index = self.find(&nsp).ok_or(ProtocolError::NotJoined)?;
                self.shared().metrics().event_in();
                self.dispatch(index, Incoming { payload, ack });
                Ok(())
            }
            Packet::Ack { nsp, id, payload } => {
                let index = self.find(&nsp).ok_or(ProtocolError::NotJoined)?;
                self.shared().metrics().event_in();
                if let Slot::Joined { socket, .. } = &self.slots[index] {
                    socket.handle_ack(id, payload);
                }
                Ok(())
            }
            Packet::Disconnect { nsp } => {
                let index = self.find(&nsp).ok_or(ProtocolError::NotJoined)?;
                let slot = self.slots.remove(index);
                self.leave(slot, DisconnectReason::ClientNamespaceDisconnect);
                Ok(())
            }
            Packet::ConnectError { .. } => Err(ProtocolError::ServerPacket),
        }
    }

    pub(crate) fn handle_command(&mut self, command: ClientCommand) {
        match command {
            ClientCommand::Left(socket) => {
                let is_it = |slot: &Slot| matches!(slot, Slot::Joined { socket: known, .. } if *known == socket);
                if let Some(index) = self.slots.iter().position(is_it) {
                    let left = Slot::Left(socket.namespace().shared_name());
                    let slot = std::mem::replace(&mut self.slots[index], left);
                    self.leave(slot, DisconnectReason::ServerNamespaceDisconnect);
                }
            }
            ClientCommand::Close => {
                for slot in std::mem::take(&mut self.slots) {
                    if let Slot::Joined { socket, .. } = &slot {
                        socket.send_disconnect();
                    }
                    self.leave(slot, DisconnectReason::ServerNamespaceDisconnect);
                }
                self.conn.close(CloseReason::ForcedClose);
            }
        }
    }

    /// The session has moved to its WebSocket.
    pub(crate) fn handle_upgrade(&mut self) {
        let joined = self.slots.iter().filter_map(|slot| match slot {
            Slot::Joined { socket, .. } => Some(socket),
            Slot::Joining(_) | Slot::Left(_) => None,
        });
        let calls: Vec<_> = joined.flat_map(Socket::call_upgrade).collect();
        for call in calls {
            let running = Running::new(call, self.shared().metrics());
            self.start(running, Kind::Other);
        }
    }

    /// The session has ended. Handlers that are at work go on; nothing is dispatched any more.
    pub(crate) fn handle_close(&mut self, reason: CloseReason) {
        self.auto_join = false;
        self.decoder.reset();
        for slot in std::mem::take(&mut self.slots) {
            self.leave(slot, reason.into());
        }
        // The session may have ended after the last poll of this turn, and disconnect handlers that
        // wait know no waker yet.
        if self.tasks.has_fresh() {
            self.conn.wake();
        }
    }

    /// Ends what the client has of one namespace. Its slot is in no list any more, so this happens
    /// once for each socket, whoever asked first.
    fn leave(&mut self, slot: Slot, reason: DisconnectReason) {
        match slot {
            // Dropping the future refuses its socket.
            Slot::Joining(joining) => self.forget(&joining.queue),
            Slot::Joined { socket, waiting } => {
                socket.leave_namespace(reason);
                if let Some(waiting) = waiting {
                    self.forget_waiting(&waiting);
                }
                if let Some(handlers) = socket.run_disconnect() {
                    let running = Running::untimed(handlers, self.shared().metrics());
                    self.start(running, Kind::Other);
                }
            }
            Slot::Left(_) => {}
        }
    }

    /// Lets everything that waits go on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        self.join_by_itself();
        loop {
            self.poll_joining(cx);
            self.poll_tasks(cx);
            self.poll_waiting(cx);
            // Handlers that were started now are in the set, but do not know its waker yet.
            if !self.tasks.has_fresh() {
                break;
            }
        }
        self.tasks.release();
    }

    fn join_by_itself(&mut self) {
        if std::mem::take(&mut self.auto_join) {
            self.join(bytestring::ByteString::from_static("/"), None);
        }
    }

    /// Whether the next message may be handed in. Below the bounds on waiting handlers and queued
    /// events it may.
    pub(crate) fn wants_input(&self) -> bool {
        let most = self.options().max_pending_handlers;
        self.tasks.events() < most
            && self.tasks.others() < most.max(MOST_OTHERS)
            && self.queued < most
            && self.held < self.max_held()
    }

    /// Whether it is the waiting events that stop the connection, and not handlers at work: these make room
    /// when they end.
    fn queue_is_full(&self) -> bool {
        self.queued >= self.options().max_pending_handlers
            || (self.held >= self.max_held() && self.tasks.events() == 0)
    }

    /// Four messages of the largest size, so that one of them never stops the connection, and not
    /// less than a mebibyte, so that small limits do not make handlers run one by one.
    fn max_held(&self) -> usize {
        self.options()
            .max_http_buffer_size
            .saturating_mul(4)
            .max(1 << 20)
    }

    /// Whether handlers are at work: the session task must go on for them.
    pub(crate) fn has_work(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether the client has joined a namespace.
    pub(crate) fn has_namespace(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot, Slot::Joined { .. }))
    }

    /// Tells the error handlers of all sockets.
    fn tell_error(&mut self, error: &EventError) {
        let mut calls = Vec::new();
        for slot in &self.slots {
            if let Slot::Joined { socket, .. } = slot {
                calls.extend(socket.call_error(error));
            }
        }
        for call in calls {
            let running = Running::new(call, self.shared().metrics());
            self.start(running, Kind::Other);
        }
    }
}

impl Drop for Client {
    /// The task may be dropped unfinished, when the runtime ends: the sockets must not stay behind.
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            if let Slot::Joined { socket, .. } = slot {
                socket.leave_namespace(DisconnectReason::TransportClose);
            }
        }
    }
}

#[cfg(test)]
mod size {
    /// Paid by every connection, so growth here must be meant.
    #[test]
    fn a_client_stays_small() {
        let (client, slot) = (size_of::<super::Client>(), size_of::<super::Slot>());
        assert!(client <= 176, "client is {client} bytes");
        assert!(slot <= 24, "slot is {slot} bytes");
    }
}
