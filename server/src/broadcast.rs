//! Operators: whom something is for, then what shall happen.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use socketio_core::payload::Payload;
pub use socketio_core::target::IntoRooms;
use socketio_core::target::{Flags, Target};

use crate::ack::{BroadcastAcks, Collector, DEFAULT_TIMEOUT};
use crate::events::{EmitError, check_event_name};
use crate::namespace::{Namespace, ParentNamespace, RoomCount, server_event};
use crate::remote::{FetchError, MissingNodes, RemoteSocket, ServerReplies};

/// The namespaces that an operator works on: one, or all children of a parent.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    Namespace(Namespace),
    Parent(ParentNamespace),
}

impl From<Namespace> for Scope {
    fn from(namespace: Namespace) -> Self {
        Self::Namespace(namespace)
    }
}

impl Scope {
    fn namespaces(&self) -> SmallVec<[Namespace; 1]> {
        match self {
            Self::Namespace(namespace) => SmallVec::from_iter([namespace.clone()]),
            Self::Parent(parent) => parent.namespaces().into(),
        }
    }
}

/// A choice of sockets, and what to do with them.
///
/// Made by [`to`](Namespace::to) and its relatives on a server, a namespace or a socket. Rooms add
/// up; a socket in several of them counts once. Everything works on all nodes of the cluster unless
/// [`local`](Self::local) is set.
///
/// ```
/// # use socketio_server::Server;
/// # let io = Server::builder().build();
/// io.to(["room 1", "room 2"]).except("muted").emit("news", ("title", 42))?;
/// io.within("room 1").join("room 3");
/// # Ok::<(), socketio_server::EmitError>(())
/// ```
///
/// # Ordering
///
/// What one task sends to sockets arrives in the order of its calls, whatever operator is used.
#[derive(Debug, Clone)]
#[must_use = "an operator does nothing by itself"]
pub struct BroadcastOperator {
    scope: Scope,
    target: Target,
}

impl BroadcastOperator {
    pub(crate) fn new(scope: Scope, flags: Flags) -> Self {
        let target = Target {
            flags,
            ..Target::all()
        };
        Self { scope, target }
    }

    /// Adds the members of rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        for room in rooms.into_rooms() {
            self.target = self.target.to(room);
        }
        self
    }

    /// As [`to`](Self::to). (Node's `in` is a keyword in Rust.)
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves the members of rooms out.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        for room in rooms.into_rooms() {
            self.target = self.target.except(room);
        }
        self
    }

    /// Clients that are not ready may miss it.
    pub fn volatile(mut self) -> Self {
        self.target.flags.volatile = true;
        self
    }

    /// Whether polling responses with it may be compressed. Default `true`.
    pub fn compress(mut self, compress: bool) -> Self {
        self.target.flags.compress = compress;
        self
    }

    /// Only sockets of this node.
    pub fn local(mut self) -> Self {
        self.target.flags.local = true;
        self
    }

    /// How long to wait for answers. Default 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.target.flags.timeout = Some(timeout);
        self
    }

    /// There is only one recipient: its answer ends the waiting.
    pub(crate) fn expect_one(mut self) -> Self {
        self.target.flags.expect_single_response = true;
        self
    }

    /// Sends an event. It is encoded once, whatever the number of recipients.
    ///
    /// Never waits: the sockets of this node get it in their queues, other nodes are told.
    ///
    /// # Errors
    ///
    /// When the name is reserved, the data cannot be serialized, or the adapter refuses it. In the
    /// last case the sockets of this node have it nevertheless.
    pub fn emit<T: Serialize>(&self, event: impl AsRef<str>, data: T) -> Result<(), EmitError> {
        let event = event.as_ref();
        check_event_name(event)?;
        self.broadcast(&Payload::event(event, &data)?)
    }

    /// Sends an event with arguments as they are, the name in front.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_payload(&self, payload: &Payload) -> Result<(), EmitError> {
        check_event_name(&payload.event_name().unwrap_or_default())?;
        self.broadcast(payload)
    }

    /// Sends an event of the name `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize>(&self, data: T) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    fn broadcast(&self, payload: &Payload) -> Result<(), EmitError> {
        let mut outcome = Ok(());
        for namespace in self.scope.namespaces() {
            let published = namespace.broadcast(payload, &self.target);
            outcome = outcome.and(published);
        }
        outcome
    }

    /// Sends an event that each recipient answers. The answers come as a stream, or all at once;
    /// those who did not answer are named.
    ///
    /// ```no_run
    /// # async fn example(io: socketio_server::Server) -> Result<(), socketio_server::EmitError> {
    /// let all = io.to("players").emit_with_ack::<_, u32>("score?", ())?.collect().await;
    /// println!("not answered: {:?}", all.missing);
    /// println!("sum: {}", all.into_data().sum::<u32>());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<BroadcastAcks<R>, EmitError> {
        let event = event.as_ref();
        check_event_name(event)?;
        let payload = Payload::event(event, &data)?;
        let collector = Arc::new(Collector::default());
        let mut asked = Vec::new();
        let mut spans = Vec::new();
        for namespace in self.scope.namespaces() {
            let ack = namespace.next_ack_id();
            let span = namespace.broadcast_with_ack(&payload, &self.target, ack, &collector)?;
            asked.push((namespace, ack));
            if !span.is_none() {
                spans.push(span);
            }
        }
        let timeout = self.target.flags.timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(BroadcastAcks::new(collector, asked, timeout).ending(spans))
    }

    /// The chosen sockets of all nodes.
    ///
    /// # Errors
    ///
    /// When nodes did not answer in time. The error names them and holds the sockets of the others.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        let mut sockets = Vec::new();
        let mut missing = MissingNodes::default();
        for namespace in self.scope.namespaces() {
            match namespace.fetch(&self.target).await {
                Ok(found) => sockets.extend(found),
                Err(error) => {
                    sockets.extend(error.sockets);
                    missing.merge(error.missing);
                }
            }
        }
        if missing.is_empty() {
            Ok(sockets)
        } else {
            Err(FetchError { sockets, missing })
        }
    }

    /// How many sockets are chosen, on all nodes.
    ///
    /// The nodes share the counts of their rooms. So the count of one room, or of a namespace, asks
    /// nobody; what happened on other nodes within the last
    /// [interval](crate::ServerBuilder::room_sharing) and on the way is not in it. The other nodes
    /// are asked, until the [timeout](Self::timeout), where counts do not tell: for several rooms,
    /// with [`except`](Self::except), for a room named like a socket id, and where servers of other
    /// software are members. The answer names the nodes of which nothing is known.
    ///
    /// ```
    /// # async fn example(io: socketio_server::Server) {
    /// let players = io.in_room("players").count().await;
    /// if players.is_complete() {
    ///     println!("{} players", players.count);
    /// } else {
    ///     println!("at least {} players, without {:?}", players.count, players.unknown);
    /// }
    /// # }
    /// ```
    pub async fn count(&self) -> RoomCount {
        let mut count = RoomCount::default();
        for namespace in self.scope.namespaces() {
            count.add(namespace.count(&self.target).await);
        }
        count
    }

    /// Makes the chosen sockets join rooms.
    ///
    /// # Errors
    ///
    /// When the other nodes could not be told.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let rooms = rooms.into_rooms();
        self.each(|namespace| namespace.sockets_join_all(&self.target, &rooms))
    }

    /// Makes the chosen sockets leave rooms.
    ///
    /// # Errors
    ///
    /// When the other nodes could not be told.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let rooms = rooms.into_rooms();
        self.each(|namespace| namespace.sockets_leave_all(&self.target, &rooms))
    }

    /// Disconnects the chosen sockets; with `close` their connections are closed, with all their
    /// namespaces.
    ///
    /// # Errors
    ///
    /// When the other nodes could not be told.
    pub fn disconnect(&self, close: bool) -> Result<(), EmitError> {
        self.each(|namespace| namespace.disconnect_all(&self.target, close))
    }

    /// Sends an event to the other servers, as
    /// [`Namespace::server_side_emit`](Namespace::server_side_emit) does. Rooms do not matter.
    ///
    /// # Errors
    ///
    /// As [`Namespace::server_side_emit`](Namespace::server_side_emit).
    pub fn server_side_emit<T: Serialize>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<(), EmitError> {
        let payload = server_event(event.as_ref(), &data)?;
        self.each(|namespace| namespace.tell_servers(&payload))
    }

    /// Sends an event to the other servers, and waits until all have answered or the
    /// [timeout](Self::timeout) is over. Rooms do not matter.
    ///
    /// ```no_run
    /// # async fn example(io: socketio_server::Server) -> Result<(), socketio_server::EmitError> {
    /// # use std::time::Duration;
    /// let second = Duration::from_secs(1);
    /// let loads = io.timeout(second).server_side_emit_with_ack::<_, f64>("load?", ()).await?;
    /// println!("no answer from {:?}", loads.missing);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Namespace::server_side_emit_with_ack`](Namespace::server_side_emit_with_ack).
    pub async fn server_side_emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<ServerReplies<R>, EmitError> {
        let payload = server_event(event.as_ref(), &data)?;
        let mut answers = ServerReplies::default();
        for namespace in self.scope.namespaces() {
            let timeout = self.target.flags.timeout;
            let more = namespace.ask_servers(&payload, timeout).await;
            answers.replies.extend(more.replies);
            answers.missing.merge(more.missing);
        }
        Ok(answers)
    }

    fn each(
        &self,
        mut change: impl FnMut(&Namespace) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let mut outcome = Ok(());
        for namespace in self.scope.namespaces() {
            // All of them, also when one fails.
            let changed = change(&namespace);
            outcome = outcome.and(changed);
        }
        outcome
    }
}
