//! WebSocket handshakes that open a session or upgrade one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use socketio_core::engine::TransportKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::connection::ConnectionGuard;
use super::error::{ConnectionError, ErrorCode};
use super::{Call, GenerateId, Http, Verified, append, polling, upgrade};
use crate::engine::{Io, OpenError, PendingUpgrade, PendingWebSocket};
use crate::spans;

/// A close frame of the server without a code.
const CLOSE: [u8; 2] = [0x88, 0x00];
/// How long a refused WebSocket may take to answer the close frame.
const FAREWELL: Duration = Duration::from_secs(3);

/// Where a stream goes once it has left HTTP.
enum Destination {
    Open(PendingWebSocket),
    Upgrade(PendingUpgrade),
    /// The session takes no other WebSocket. Refused with a close frame and not by a status, as in Node: the protocol's
    /// test suite waits for that.
    Nowhere,
}

impl Http {
    /// A request that wants to leave HTTP. Whatever can be wrong with it is found before the 101.
    pub(super) async fn upgrade(&self, call: Call, shared: HeaderMap) -> Response<Bytes> {
        let verified = match self.verify(&call) {
            Ok(verified) => verified,
            Err(error) => return self.refuse_upgrade(&error, &call),
        };
        let span = match &verified {
            Verified::Session(_) => Span::none(),
            Verified::Handshake => spans::handshake(&call.parts, TransportKind::WebSocket.as_str()),
        };
        let answer = self.switch(call, shared, verified);
        let answer = answer.instrument(span.clone()).await;
        spans::answered(&span, answer.status());
        answer
    }

    async fn switch(
        &self,
        mut call: Call,
        shared: HeaderMap,
        verified: Verified,
    ) -> Response<Bytes> {
        let handshake = match &verified {
            Verified::Session(_) => None,
            Verified::Handshake => match self.admit(&call).await {
                Ok(admitted) => Some(admitted),
                Err(error) => return self.refuse_upgrade(&error, &call),
            },
        };
        let protocol = match upgrade::validate(&call.parts) {
            Ok(protocol) => protocol,
            Err(error) => return upgrade::refuse_handshake(error),
        };
        let mut answer = match upgrade::accept(&call.parts, protocol) {
            Ok(answer) => answer,
            Err(error) => return upgrade::refuse_handshake(error),
        };
        // A server that mounts us without support for upgrades gives no such extension.
        let Some(on_upgrade) = call.parts.extensions.remove::<OnUpgrade>() else {
            let error = ConnectionError::new(ErrorCode::BadRequest, "TRANSPORT_HANDSHAKE_ERROR");
            return self.refuse_upgrade(&error, &call);
        };
        let destination = match (verified, handshake) {
            (Verified::Session(conn), _) => match conn.upgrade(call.revision(), call.b64()) {
                Ok(pending) => Destination::Upgrade(pending),
                Err(_) => Destination::Nowhere,
            },
            (Verified::Handshake, Some(opening)) => match self.engine.open_websocket(opening) {
                Ok(pending) => Destination::Open(pending),
                Err(OpenError::Closing) => return polling::shutting_down(),
                Err(OpenError::IdTaken) => {
                    return self.refuse_upgrade(&GenerateId::failed(), &call);
                }
            },
            // Each handshake was admitted above.
            (Verified::Handshake, None) => return polling::shutting_down(),
        };
        append(answer.headers_mut(), shared);
        self.apply_hooks(answer.headers_mut(), &call);
        let guard = call.parts.extensions.remove::<ConnectionGuard>();
        // Not part of the request: hyper hands the stream over only after the answer was written. Ends by itself when
        // the connection does.
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(stream) => destination.reach(stream, guard).await,
                Err(error) => tracing::debug!(%error, "the connection ended before its upgrade"),
            }
        });
        answer
    }

    fn refuse_upgrade(&self, error: &ConnectionError, call: &Call) -> Response<Bytes> {
        self.refused(error, &call.parts);
        upgrade::refuse(error)
    }
}

impl Destination {
    async fn reach(self, stream: Upgraded, guard: Option<ConnectionGuard>) {
        match self {
            Self::Open(pending) => {
                let (io, leftover) = Io::from_upgraded(stream, guard);
                pending.attach(io, leftover);
            }
            Self::Upgrade(pending) => {
                let (io, leftover) = Io::from_upgraded(stream, guard);
                pending.attach(io, leftover);
            }
            Self::Nowhere => {
                // However this fails, the stream is dropped next.
                let _ = timeout(FAREWELL, farewell(TokioIo::new(stream))).await;
            }
        }
    }
}

/// Says goodbye and reads on until the client closes, so that it gets the frame and not a reset.
async fn farewell(mut stream: TokioIo<Upgraded>) -> std::io::Result<()> {
    stream.write_all(&CLOSE).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
