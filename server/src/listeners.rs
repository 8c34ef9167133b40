//! The tables of handlers: of a socket, and of a namespace for all its sockets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use socketio_core::payload::Payload;

use crate::ack::Ack;
use crate::handler::{
    BoxHandler, ConnectContext, Context, DisconnectContext, ErrorContext, EventContext,
    PacketContext,
};
use crate::socket::Socket;

/// Names a handler, so that it can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandlerId(u32);

impl HandlerId {
    /// Names no handler.
    pub(crate) const GONE: Self = Self(u32::MAX);

    pub(crate) fn new(number: u32) -> Self {
        Self(number)
    }
}

/// Sees every event that is sent to a socket: its name and arguments.
pub(crate) type Outgoing = Arc<dyn Fn(&str, &Payload) + Send + Sync>;

/// One entry of a table.
pub(crate) enum Listener {
    Event {
        /// Nearly always a literal, which costs a socket no allocation.
        name: Cow<'static, str>,
        once: bool,
        handler: BoxHandler<EventContext>,
    },
    Any(BoxHandler<EventContext>),
    Fallback(BoxHandler<EventContext>),
    Outgoing(Outgoing),
    Middleware(BoxHandler<PacketContext>),
    Error(BoxHandler<ErrorContext>),
    Disconnecting(BoxHandler<DisconnectContext>),
    Disconnect(BoxHandler<DisconnectContext>),
    Upgrade(BoxHandler<ConnectContext>),
}

/// Handlers in the order in which they were added.
///
/// One list for all kinds: a socket has a handful of handlers, and there are many sockets.
#[derive(Default)]
pub(crate) struct Listeners {
    list: Vec<(HandlerId, Listener)>,
    next: u32,
}

impl Listener {
    /// A handler of events of this name.
    pub(crate) fn is_for(&self, event: &str) -> bool {
        matches!(self, Self::Event { name, .. } if name == event)
    }

    pub(crate) fn is_any(&self) -> bool {
        matches!(self, Self::Any(_))
    }

    pub(crate) fn is_outgoing(&self) -> bool {
        matches!(self, Self::Outgoing(_))
    }

    /// What Node's `removeAllListeners` removes: neither catch-all handlers nor middlewares.
    pub(crate) fn is_listener(&self) -> bool {
        match self {
            Self::Event { .. }
            | Self::Fallback(_)
            | Self::Error(_)
            | Self::Disconnecting(_)
            | Self::Disconnect(_) => true,
            Self::Any(_) | Self::Outgoing(_) | Self::Middleware(_) | Self::Upgrade(_) => false,
        }
    }
}

macro_rules! kinds {
    ($($name:ident: $variant:ident($context:ty),)*) => {
        impl Listener {$(
            pub(crate) fn $name(&self) -> Option<&BoxHandler<$context>> {
                match self {
                    Self::$variant(handler) => Some(handler),
                    _ => None,
                }
            }
        )*}
    };
}

kinds! {
    disconnect: Disconnect(DisconnectContext),
    disconnecting: Disconnecting(DisconnectContext),
    error: Error(ErrorContext),
    middleware: Middleware(PacketContext),
    upgrade: Upgrade(ConnectContext),
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("len", &self.list.len())
            .finish()
    }
}

impl Listeners {
    pub(crate) fn add(&mut self, listener: Listener) -> HandlerId {
        let id = HandlerId(self.next);
        self.next = self.next.wrapping_add(1);
        self.add_as(id, listener);
        id
    }

    /// Adds a handler under an id that the caller gives; not to be mixed with [`add`](Self::add).
    pub(crate) fn add_as(&mut self, id: HandlerId, listener: Listener) {
        self.list.push((id, listener));
    }

    pub(crate) fn prepend(&mut self, listener: Listener) -> HandlerId {
        let id = self.add(listener);
        self.list.rotate_right(1);
        id
    }

    /// Takes one handler out.
    pub(crate) fn remove(&mut self, id: HandlerId) -> Option<Listener> {
        let at = self.list.iter().position(|(known, _)| *known == id)?;
        Some(self.list.remove(at).1)
    }

    /// Takes the handlers of some kinds out.
    pub(crate) fn remove_where(&mut self, unwanted: impl Fn(&Listener) -> bool) -> Vec<Listener> {
        let removed = self.list.extract_if(.., |(_, listener)| unwanted(listener));
        removed.map(|(_, listener)| listener).collect()
    }

    /// The handlers of some kinds, in the order in which they run.
    pub(crate) fn ids(&self, wanted: impl Fn(&Listener) -> bool) -> Vec<HandlerId> {
        let wanted = self.list.iter().filter(|(_, listener)| wanted(listener));
        wanted.map(|(id, _)| *id).collect()
    }

    /// The names of events that have handlers, each once, in the order of their first handlers.
    pub(crate) fn event_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, listener) in &self.list {
            if let Listener::Event { name, .. } = listener
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_string());
            }
        }
        names
    }

    pub(crate) fn handles(&self, event: &str) -> bool {
        self.list.iter().any(|(_, listener)| listener.is_for(event))
    }

    pub(crate) fn has_middleware(&self) -> bool {
        let mut list = self.list.iter();
        list.any(|(_, listener)| matches!(listener, Listener::Middleware(_)))
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        self.list.iter().any(|(_, listener)| listener.is_outgoing())
    }

    /// Removes the handlers of `event` that run once, after [`call_event`](Self::call_event).
    fn drop_once(&mut self, event: &str) {
        self.list.retain(
            |(_, listener)| !matches!(listener, Listener::Event { name, once: true, .. } if name == event),
        );
    }

    /// Starts all handlers of an event, in order. Nothing of them runs before the futures are polled.
    pub(crate) fn call_event(&mut self, event: &str, call: &mut Call<'_>) {
        let mut once_used = false;
        for (_, listener) in &self.list {
            if let Listener::Event {
                name,
                once,
                handler,
            } = listener
                && name == event
            {
                once_used |= *once;
                call.start(handler);
            }
        }
        if once_used {
            self.drop_once(event);
        }
    }

    /// As [`call_event`](Self::call_event), for a table whose handlers all stay.
    pub(crate) fn call_shared(&self, event: &str, call: &mut Call<'_>) {
        for (_, listener) in &self.list {
            if let Listener::Event { name, handler, .. } = listener
                && name == event
            {
                call.start(handler);
            }
        }
    }

    pub(crate) fn call_any(&self, call: &mut Call<'_>) {
        for (_, listener) in &self.list {
            if let Listener::Any(handler) = listener {
                call.start(handler);
            }
        }
    }

    pub(crate) fn call_fallback(&self, call: &mut Call<'_>) {
        for (_, listener) in &self.list {
            if let Listener::Fallback(handler) = listener {
                call.start(handler);
            }
        }
    }

    pub(crate) fn outgoing(&self) -> Vec<Outgoing> {
        let outgoing = self.list.iter().filter_map(|(_, listener)| match listener {
            Listener::Outgoing(handler) => Some(Arc::clone(handler)),
            _ => None,
        });
        outgoing.collect()
    }

    /// The calls of one kind of handler, each with a context of its own.
    pub(crate) fn calls<C: Context>(
        &self,
        kind: fn(&Listener) -> Option<&BoxHandler<C>>,
        context: impl Fn() -> C,
    ) -> Vec<BoxFuture<'static, C::Outcome>> {
        let handlers = self.list.iter().filter_map(|(_, listener)| kind(listener));
        handlers.map(|handler| handler.call(context())).collect()
    }
}

/// One event and the handlers that were found for it.
pub(crate) struct Call<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) payload: &'a Payload,
    pub(crate) ack: Option<Ack>,
    pub(crate) futures: smallvec::SmallVec<[BoxFuture<'static, ()>; 2]>,
}

impl Call<'_> {
    fn start(&mut self, handler: &BoxHandler<EventContext>) {
        self.futures.push(handler.call(EventContext {
            socket: self.socket.clone(),
            payload: self.payload.clone(),
            // Handlers share the acknowledgement: the first one that uses it counts.
            ack: self.ack.as_mut().map(Ack::share),
        }));
    }
}
