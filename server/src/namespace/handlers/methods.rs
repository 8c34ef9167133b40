//! How handlers are added and removed: written once, for [`Namespace`](crate::Namespace) and for
//! [`ParentNamespace`](crate::ParentNamespace).

/// The methods that a namespace and a parent of namespaces have in common.
macro_rules! handler_methods {
    () => {
        /// Decides whether a client may join: after the middlewares that were added before, and
        /// before it counts as connected. A client that is refused gets `connect_error`.
        pub fn use_middleware<T: 'static>(
            &self,
            middleware: impl $crate::handler::Handler<$crate::handler::AdmitContext, T>,
        ) -> $crate::listeners::HandlerId {
            self.handlers().add_middleware(middleware)
        }

        /// Calls `handler` for each socket that has joined.
        ///
        /// Events of the socket wait until the handler has added their handlers, or has ended; so it
        /// should end. What shall go on for the life of the socket belongs into a task.
        pub fn on_connect<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::ConnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            self.handlers().add_connect(handler)
        }

        /// Calls `handler` for each event of this name of any socket. Costs the sockets no memory.
        pub fn on<T: 'static>(
            &self,
            event: impl Into<std::borrow::Cow<'static, str>>,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            self.handlers().add($crate::listeners::Listener::Event {
                name: event.into(),
                once: false,
                handler: $crate::handler::erase(handler),
            })
        }

        /// Calls `handler` for each event of any socket, before the event's own handlers.
        pub fn on_any<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Any($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Calls `handler` for each event of any socket that has no handler of its own.
        pub fn on_fallback<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::EventContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Fallback($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Calls `handler` when any socket disconnects, while it still shows its rooms.
        pub fn on_disconnecting<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::DisconnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            let handler = $crate::handler::erase(handler);
            self.handlers()
                .add($crate::listeners::Listener::Disconnecting(handler))
        }

        /// Calls `handler` when any socket has disconnected.
        pub fn on_disconnect<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::DisconnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Disconnect($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Calls `handler` when the client of any socket has moved from long-polling to WebSocket.
        pub fn on_upgrade<T: 'static>(
            &self,
            handler: impl $crate::handler::Handler<$crate::handler::ConnectContext, T>,
        ) -> $crate::listeners::HandlerId {
            let listener = $crate::listeners::Listener::Upgrade($crate::handler::erase(handler));
            self.handlers().add(listener)
        }

        /// Removes one handler of any kind: of events and disconnects of the sockets, of connections, a
        /// middleware, a listener of rooms or of other servers. `false` if it was not there (any more).
        pub fn off_handler(&self, id: $crate::listeners::HandlerId) -> bool {
            self.handlers().remove(id)
        }

        /// Removes all handlers of an event that were added here for all sockets.
        pub fn off(&self, event: &str) {
            self.handlers()
                .remove_where(|listener| listener.is_for(event));
        }

        /// Removes the handlers of all events, the fallback and those of disconnects that were added here
        /// for all sockets. What was added by `on_any`, `on_connect`, `use_middleware`, `on_upgrade`,
        /// `on_room_event` and `on_server_event` stays.
        pub fn off_all(&self) {
            self.handlers()
                .remove_where($crate::listeners::Listener::is_listener);
        }

        /// Removes the catch-all handlers that were added here for all sockets.
        pub fn off_any(&self) {
            self.handlers()
                .remove_where($crate::listeners::Listener::is_any);
        }

        /// The handlers of an event that were added here for all sockets, in the order in which they
        /// run.
        #[must_use]
        pub fn listeners(&self, event: &str) -> Vec<$crate::listeners::HandlerId> {
            self.handlers().ids(|listener| listener.is_for(event))
        }

        /// The catch-all handlers that were added here for all sockets, in the order in which they run.
        #[must_use]
        pub fn listeners_any(&self) -> Vec<$crate::listeners::HandlerId> {
            self.handlers().ids($crate::listeners::Listener::is_any)
        }

        /// The names of the events that have handlers here for all sockets.
        #[must_use]
        pub fn event_names(&self) -> Vec<String> {
            self.handlers().event_names()
        }

        /// Calls `listener` when a room of this node comes into being, gains or loses a member, or
        /// goes. It runs where that happens, so it must be quick.
        pub fn on_room_event(
            &self,
            listener: impl Fn(&$crate::events::RoomEvent) + Send + Sync + 'static,
        ) -> $crate::listeners::HandlerId {
            self.handlers().add_rooms(std::sync::Arc::new(listener))
        }

        /// Calls `listener` when a room that had no member on any node of the cluster gets some:
        /// when a user comes online, if there is a room for each user.
        ///
        /// What happens within the [interval](crate::ServerBuilder::room_sharing) in which nodes
        /// gather changes counts as one change, so a room that is joined and left again within it
        /// is not told. The rooms that sockets have of their own are not told either. In a cluster
        /// it begins with [`join_cluster`](crate::Server::join_cluster), and members that run other
        /// software do not take part.
        ///
        /// Add it before clients come: of rooms that are occupied already nothing is told. The calls
        /// come one after the other, in order, and hold up the cluster; so it must be quick.
        ///
        /// ```
        /// # let io = socketio_server::Server::builder().build();
        /// io.on_room_occupied(|room| println!("{} is online, on {}", room.room, room.node));
        /// io.on_room_vacated(|room| println!("{} is offline", room.room));
        /// ```
        pub fn on_room_occupied(
            &self,
            listener: impl Fn(&$crate::events::RoomPresence) + Send + Sync + 'static,
        ) {
            self.handlers().add_occupied(std::sync::Arc::new(listener));
            self.enable_presence();
        }

        /// Calls `listener` when a room has no member on any node of the cluster any more, as
        /// [`on_room_occupied`](Self::on_room_occupied) does for the contrary. When a node dies, that
        /// is noticed as late as its death ([`heartbeat`](crate::ServerBuilder::heartbeat)).
        pub fn on_room_vacated(
            &self,
            listener: impl Fn(&$crate::events::RoomPresence) + Send + Sync + 'static,
        ) {
            self.handlers().add_vacated(std::sync::Arc::new(listener));
            self.enable_presence();
        }

        /// Calls `handler` for each event that another node sends by
        /// [`server_side_emit`]($crate::Namespace::server_side_emit).
        pub fn on_server_event<F, Fut>(
            &self,
            event: impl Into<String>,
            handler: F,
        ) -> $crate::listeners::HandlerId
        where
            F: Fn($crate::remote::ServerEvent) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = ()> + Send + 'static,
        {
            let listener = $crate::remote::server_listener(handler);
            self.handlers().add_server_event(event.into(), listener)
        }
    };
}
pub(in crate::namespace) use handler_methods;
