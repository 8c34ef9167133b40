//! Sockets: one task for each client, which moves bytes between a stream and a
//! [`Session`].

mod connect;
mod http;
mod link;
mod polling;
mod stream;
mod tls;
mod websocket;

use std::rc::Rc;

use tokio::time::timeout;

pub use connect::{Connector, ConnectorError};
pub use http::get;
pub use link::Link;

use crate::plan::{Plan, Transport};
use crate::session::{Session, SessionError, SessionEvent};

/// Who hears what a client's task has to tell.
pub trait Host {
    /// Something came for a client.
    fn event(self: &Rc<Self>, client: u32, event: SessionEvent);
    /// A client has upgraded; that took so many microseconds.
    fn upgraded(self: &Rc<Self>, client: u32, micros: u64);
}

/// With this begin errors that are not the server's fault.
pub const OWN_LIMIT: &str = "a limit of this machine";

/// Why a client's task ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// We wanted it to.
    #[error("closed by plan")]
    Planned,
    /// The server sent no ping in its interval and timeout.
    #[error("ping timeout: the server was silent")]
    Silent,
    /// This machine gives no port, or no descriptor.
    #[error("{OWN_LIMIT}: {}", kind(.0))]
    Own(std::io::Error),
    /// No connection.
    #[error("{}: {}", .0, kind(.1))]
    Io(&'static str, std::io::Error),
    /// The server answered with another status than wanted.
    #[error("{0}: HTTP {1}")]
    Status(&'static str, u16),
    /// What answers speaks no HTTP, or not what a Socket.IO server says.
    #[error("no Socket.IO server: {0}")]
    Stranger(String),
    /// HTTP failed below its own level.
    #[error("HTTP: {0}")]
    Http(String),
    /// The protocol says so.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The WebSocket broke a rule.
    #[error("WebSocket: {0}")]
    WebSocket(#[from] socketio_core::websocket::WsError),
    /// The server closed the WebSocket.
    #[error("the server closed the WebSocket{}", .0.map(|code| format!(" with {code}")).unwrap_or_default())]
    WebSocketClosed(Option<u16>),
    /// The server ended the connection without a word.
    #[error("the connection ended")]
    Eof,
    /// It took too long.
    #[error("not connected in time")]
    Timeout,
}

impl NetError {
    /// Whether the peer is no Socket.IO server, or not one at this path.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        matches!(
            self,
            Self::Stranger(_)
                | Self::Status(..)
                | Self::Session(SessionError::NoOpen)
                | Self::WebSocket(_)
        )
    }
}

/// The kind of an error, of which there are few; its own text may hold addresses.
fn kind(error: &std::io::Error) -> String {
    match error.kind() {
        // From TLS, which knows more than the kind.
        std::io::ErrorKind::Other | std::io::ErrorKind::InvalidData => error.to_string(),
        // Out of descriptors, for example, has no kind with a name.
        kind if format!("{kind:?}") == "Uncategorized" => error.to_string(),
        kind => kind.to_string(),
    }
}

/// A client on its way to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its number in this process.
    pub local: u32,
    /// Its number in all.
    pub global: u32,
    /// The number of the target.
    pub target: usize,
}

impl Caller {
    /// Path and query of a request.
    fn request(self, plan: &Plan, transport: &str, sid: Option<&str>) -> String {
        let target = &plan.targets[self.target];
        let query = target.query.as_deref();
        let query = query.map(|query| plan.text_for(query, self.global));
        target.request(query.as_deref(), transport, sid)
    }
}

/// Connects a client and drives it to its end.
pub async fn run(
    plan: &Plan,
    connector: &Connector,
    host: &Rc<impl Host>,
    link: &Link,
    caller: Caller,
) -> NetError {
    let auth = plan.auth.as_ref();
    let auth = auth.map(|auth| plan.text_for(auth, caller.global));
    let session = Session::new(plan.parser, &plan.namespace, auth);
    let opened = link.unless_ended(timeout(plan.connect_timeout.0, async {
        Ok(match plan.transport_of(caller.global) {
            Transport::WebSocket => Opened::WebSocket(Box::new(
                websocket::open(plan, connector, caller, None).await?,
            )),
            Transport::Polling | Transport::Upgrade => Opened::Polling,
        })
    }));
    let opened = match opened.await {
        Err(end) => return end,
        Ok(Err(_)) => return NetError::Timeout,
        Ok(Ok(Err(error))) => return error,
        Ok(Ok(Ok(opened))) => opened,
    };
    match opened {
        Opened::WebSocket(open) => websocket::drive(*open, session, host, link, caller.local).await,
        Opened::Polling => {
            Box::pin(polling::drive(plan, connector, session, host, link, caller)).await
        }
    }
}

enum Opened {
    WebSocket(Box<websocket::Open>),
    Polling,
}
