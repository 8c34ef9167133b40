//! Sockets: one task for each client, which moves bytes between a stream and a
//! [`Session`].

mod connect;
mod http;
mod link;
mod polling;
mod stream;
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

/// Why a client's task ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// We wanted it to.
    #[error("closed by plan")]
    Planned,
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
        std::io::ErrorKind::Other => error.to_string(),
        // Out of descriptors, for example, has no kind with a name.
        kind if format!("{kind:?}") == "Uncategorized" => error.to_string(),
        kind => kind.to_string(),
    }
}

/// Connects a client and drives it to its end.
pub async fn run(
    plan: &Plan,
    connector: &Connector,
    host: &Rc<impl Host>,
    link: &Link,
    client: u32,
    global: u32,
) -> NetError {
    let auth = plan
        .auth
        .as_ref()
        .map(|auth| auth.replace("{client}", &global.to_string()));
    let session = Session::new(plan.parser, &plan.namespace, auth);
    let opened = link.closed_or(timeout(plan.connect_timeout.0, async {
        Ok(match plan.transport_of(global) {
            Transport::WebSocket => Opened::WebSocket(Box::new(
                websocket::open(plan, connector, global, None).await?,
            )),
            Transport::Polling | Transport::Upgrade => Opened::Polling,
        })
    }));
    let opened = match opened.await {
        None => return NetError::Planned,
        Some(Err(_)) => return NetError::Timeout,
        Some(Ok(Err(error))) => return error,
        Some(Ok(Ok(opened))) => opened,
    };
    match opened {
        Opened::WebSocket(open) => websocket::drive(*open, session, host, link, client).await,
        Opened::Polling => {
            Box::pin(polling::drive(
                plan, connector, session, host, link, client, global,
            ))
            .await
        }
    }
}

enum Opened {
    WebSocket(Box<websocket::Open>),
    Polling,
}
