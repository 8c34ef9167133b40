//! Listing, prepending and removing handlers.

use std::sync::Arc;

use parking_lot::Mutex;
use socketio_server::extract::{Data, EventName};
use socketio_server::{EventError, Payload, Reply, Server, Socket};

use crate::support::{Served, serve};

/// What was called, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock())
    }

    /// A handler of events that leaves a note.
    fn handler(
        &self,
        what: &'static str,
    ) -> impl Fn() -> std::future::Ready<()> + Clone + Send + Sync + 'static {
        let log = self.clone();
        move || {
            log.note(what);
            std::future::ready(())
        }
    }

    /// A listener of outgoing events that leaves a note.
    fn listener(&self, what: &'static str) -> impl Fn(&str, &Payload) + Send + Sync + 'static {
        let log = self.clone();
        move |_, _| log.note(what)
    }
}

async fn served() -> Served {
    let served = serve(Server::builder()).await;
    served.io.on("sync", async || Reply(()));
    served
}

fn only(served: &Served) -> Socket {
    served.io.sockets().remove(0)
}

#[tokio::test]
async fn handlers_of_a_socket_are_listed_in_the_order_in_which_they_run() {
    let served = served().await;
    let _client = served.client().await;
    let socket = only(&served);
    assert!(socket.event_names().is_empty());
    assert!(socket.listeners("a").is_empty());
    let first = socket.on("a", async || {});
    let second = socket.once("a", async || {});
    socket.on("b", async || {});
    socket.on_fallback(async || {});
    socket.on_disconnect(async || {});
    assert_eq!(socket.listeners("a"), [first, second]);
    assert_eq!(socket.event_names(), ["a", "b"]);
    assert!(socket.listeners("sync").is_empty(), "the namespace's own");

    let any = socket.on_any(async || {});
    let earlier = socket.prepend_any(async || {});
    assert_eq!(socket.listeners_any(), [earlier, any]);
    let outgoing = socket.on_any_outgoing(|_, _| {});
    let earlier = socket.prepend_any_outgoing(|_, _| {});
    assert_eq!(socket.listeners_any_outgoing(), [earlier, outgoing]);
    assert!(socket.off_handler(outgoing));
    assert!(!socket.off_handler(outgoing));
    assert_eq!(socket.listeners_any_outgoing(), [earlier]);
}

#[tokio::test]
async fn a_handler_that_ran_once_is_no_longer_listed() {
    let served = served().await;
    let mut client = served.client().await;
    let socket = only(&served);
    let log = Log::default();
    socket.once("a", log.handler("once"));
    client.emit("a", ()).await;
    client.emit("a", ()).await;
    client.expect_silence().await;
    assert_eq!(log.take(), ["once"]);
    assert!(socket.event_names().is_empty());
}

#[tokio::test]
async fn prepended_catch_all_handlers_run_first() {
    let served = served().await;
    let mut client = served.client().await;
    let socket = only(&served);
    let log = Log::default();
    socket.on_any(log.handler("any"));
    socket.prepend_any(log.handler("earlier any"));
    client.emit("a", ()).await;
    client.expect_silence().await;
    // The question of `expect_silence` is an event too.
    assert_eq!(log.take(), ["earlier any", "any", "earlier any", "any"]);

    socket.on_any_outgoing(log.listener("outgoing"));
    socket.prepend_any_outgoing(log.listener("earlier outgoing"));
    socket.emit("x", ()).expect("sent");
    served.io.emit("y", ()).expect("sent");
    let both = ["earlier outgoing", "outgoing"];
    assert_eq!(log.take(), [both, both].concat());
}

#[tokio::test]
async fn off_all_leaves_catch_all_handlers_and_middlewares() {
    let served = served().await;
    let mut client = served.client().await;
    let socket = only(&served);
    let log = Log::default();
    socket.on("a", log.handler("a"));
    socket.on_fallback(log.handler("fallback"));
    socket.on_error(log.handler("error"));
    socket.on_any(log.handler("any"));
    let asked = log.clone();
    socket.use_middleware(move |EventName(name): EventName| {
        let refused = name == "refused";
        asked.note("middleware");
        async move {
            if refused {
                return Err(EventError::new("no"));
            }
            Ok(())
        }
    });
    socket.off_all();
    assert!(socket.event_names().is_empty());
    for event in ["a", "b", "refused"] {
        client.emit(event, ()).await;
    }
    client.expect_silence().await;
    assert_eq!(log.take(), ["any", "middleware"].repeat(4));

    socket.off_any();
    assert!(socket.listeners_any().is_empty());
    client.expect_silence().await;
    assert_eq!(log.take(), ["middleware"]);
}

#[tokio::test]
async fn off_any_outgoing_ends_what_is_told_of_broadcasts() {
    let served = served().await;
    let mut client = served.client().await;
    let socket = only(&served);
    let log = Log::default();
    socket.on_any_outgoing(log.listener("outgoing"));
    served.io.emit("x", 1).expect("sent");
    socket.off_any_outgoing();
    served.io.emit("x", 2).expect("sent");
    assert_eq!(client.expect::<u8>("x").await, 1);
    assert_eq!(client.expect::<u8>("x").await, 2);
    assert_eq!(log.take(), ["outgoing"]);
}

#[tokio::test]
async fn handlers_of_a_namespace_are_listed_and_removed() {
    let served = served().await;
    let log = Log::default();
    let io = &served.io;
    let first = io.on("a", log.handler("first"));
    let second = io.on("a", log.handler("second"));
    let any = io.on_any(log.handler("any"));
    let connect = io.on_connect(log.handler("connect"));
    let asked = log.clone();
    let middleware = io.use_middleware(move || {
        asked.note("middleware");
        std::future::ready(Ok::<_, &str>(()))
    });
    assert_eq!(io.listeners("a"), [first, second]);
    assert_eq!(io.event_names(), ["sync", "a"]);
    assert_eq!(io.listeners_any(), [any]);

    let mut client = served.client().await;
    client.emit("a", ()).await;
    client.expect_silence().await;
    let expected = ["middleware", "connect", "any", "first", "second", "any"];
    assert_eq!(log.take(), expected);

    for id in [first, middleware, connect] {
        assert!(io.off_handler(id));
        assert!(!io.off_handler(id));
    }
    io.off_any();
    let mut client = served.client().await;
    client.emit("a", ()).await;
    client.expect_silence().await;
    assert_eq!(log.take(), ["second"]);

    io.off("a");
    client.emit("a", ()).await;
    client.expect_silence().await;
    assert!(log.take().is_empty());
    io.on_disconnect(log.handler("disconnect"));
    io.off_all();
    assert!(io.event_names().is_empty());
    io.disconnect_sockets(true).expect("told");
    client.expect_close().await;
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn listeners_of_rooms_are_removed() {
    let served = served().await;
    let log = Log::default();
    let heard = log.clone();
    let id = served.io.on_room_event(move |_| heard.note("room"));
    let _client = served.client().await;
    assert_eq!(log.take(), ["room", "room"], "its own room");
    assert!(served.io.off_handler(id));
    only(&served).join("lobby");
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn a_handler_may_remove_itself_and_others() {
    let served = served().await;
    served.io.on_connect(async |socket: Socket| {
        socket.on("stop", async |socket: Socket, Data(event): Data<String>| {
            socket.off(&event);
            socket.off("stop");
        });
        socket.on("a", async || Reply("a"));
        socket.on_fallback(async || Reply("fallback"));
    });
    let mut client = served.client().await;
    assert_eq!(client.call::<_, String>("a", ()).await, "a");
    client.emit("stop", "a").await;
    assert_eq!(client.call::<_, String>("a", ()).await, "fallback");
    assert_eq!(client.call::<_, String>("stop", "x").await, "fallback");
}
