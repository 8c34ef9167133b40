//! Long-polling over HTTP: the handshake, GET, POST, and what other methods get.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, SET_COOKIE,
    USER_AGENT, X_XSS_PROTECTION,
};
use http::{HeaderValue, Method, Response, StatusCode};
use socketio_core::engine::{EncodedPayload, Revision, jsonp};

use super::body::{self, BodyError, RequestBody};
use super::compression::{self, DYNAMIC};
use super::error::{ConnectionError, ErrorCode};
use super::{Call, GenerateId, Http, empty};
use crate::engine::{Conn, OpenError, PollError};

/// Bytes from which on compression leaves the runtime's thread: about a millisecond of work.
const OFFLOAD: usize = 64 * 1024;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

impl Http {
    /// Opens a session by GET.
    pub(super) async fn open_polling(
        &self,
        call: &Call,
    ) -> Result<Response<Bytes>, ConnectionError> {
        let opening = self.admit(call).await?;
        let (conn, open) = match self.engine.open_polling(opening) {
            Ok(opened) => opened,
            Err(OpenError::Closing) => return Ok(shutting_down()),
            Err(OpenError::IdTaken) => return Err(GenerateId::failed()),
        };
        let mut answer = self.poll_answer(call, open, true).await;
        if let Some(cookie) = self
            .options()
            .cookie
            .as_ref()
            .and_then(|cookie| cookie.header(conn.id().as_ref()))
        {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        self.apply_hooks(answer.headers_mut(), call);
        Ok(answer)
    }

    /// A request of a session that is on polling.
    pub(super) async fn polling(
        &self,
        call: &Call,
        conn: &Arc<Conn>,
        body: RequestBody,
    ) -> Result<Response<Bytes>, ConnectionError> {
        let mut answer = match call.parts.method {
            Method::GET => match conn.poll(conn.revision(), call.b64()).await {
                Ok(body) => self.poll_answer(call, body.payload, body.compress).await,
                Err(PollError::Overlap) => return Ok(empty(StatusCode::BAD_REQUEST)),
                // It ended between the look-up and now; the answer is that of a look-up a moment later.
                Err(PollError::Closed) => {
                    return Err(ConnectionError::new(
                        ErrorCode::UnknownSid,
                        conn.id().as_ref(),
                    ));
                }
            },
            Method::POST => match self.post(call, conn, body).await {
                Ok(answer) => answer,
                Err(status) => return Ok(empty(status)),
            },
            // As in Node: no use for it, and the session does not mind.
            _ => return Ok(empty(StatusCode::INTERNAL_SERVER_ERROR)),
        };
        self.apply_hooks(answer.headers_mut(), call);
        Ok(answer)
    }

    /// Takes the packets of a POST; an error is the status of an answer without a body.
    async fn post(
        &self,
        call: &Call,
        conn: &Arc<Conn>,
        mut body: RequestBody,
    ) -> Result<Response<Bytes>, StatusCode> {
        let outcome = self.take_body(call, conn, &mut body).await;
        if let Err(status) = outcome {
            body::discard(body, &call.parts.headers).await;
            return Err(status);
        }
        let mut answer = Response::new(Bytes::from_static(b"ok"));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("2"));
        seal(headers, call);
        Ok(answer)
    }

    async fn take_body(
        &self,
        call: &Call,
        conn: &Arc<Conn>,
        body: &mut RequestBody,
    ) -> Result<(), StatusCode> {
        let guard = conn.begin_post().map_err(|_| StatusCode::BAD_REQUEST)?;
        let headers = &call.parts.headers;
        // No client compresses, and a body that grows when it is unpacked would defeat the limit.
        if headers
            .get(CONTENT_ENCODING)
            .is_some_and(|coding| coding != "identity")
        {
            guard.too_large();
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let binary = headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value == OCTETS);
        if binary && conn.revision() == Revision::V4 {
            guard.invalid_content();
            return Err(StatusCode::BAD_REQUEST);
        }
        let options = self.options();
        let body = body::read(
            body,
            options.max_http_buffer_size,
            options.body_read_timeout,
        );
        let body = tokio::select! {
            body = body => body,
            () = guard.session_ended() => return Err(StatusCode::BAD_REQUEST),
        };
        let body = match body {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                guard.too_large();
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            // The guard, dropped, tells the session.
            Err(BodyError::Broken) => return Err(StatusCode::BAD_REQUEST),
            Err(BodyError::Slow) => return Err(StatusCode::REQUEST_TIMEOUT),
        };
        let body = if call.value("j").is_some() {
            jsonp::unwrap_body(&body).ok()
        } else {
            Some(body)
        };
        match body {
            Some(body) => guard.finish(conn.revision(), body, binary).await,
            // A form without the field `d` carries nothing, and Node takes no offence.
            None => guard.too_large(),
        }
        Ok(())
    }

    /// The answer to a GET; `compress` if one of its packets may be.
    async fn poll_answer(
        &self,
        call: &Call,
        payload: EncodedPayload,
        compress: bool,
    ) -> Response<Bytes> {
        let EncodedPayload { body, binary } = payload;
        let body = match call.value("j") {
            // Without b64 a payload may be binary, but `Call::b64` sees to that.
            Some(index) => Bytes::from(jsonp::wrap(index, &String::from_utf8_lossy(&body))),
            None => body,
        };
        let encoding = self
            .options()
            .http_compression
            .filter(|option| compress && body.len() >= option.threshold)
            .and_then(|_| compression::negotiate(&call.parts.headers, &DYNAMIC));
        let packed = match encoding {
            Some(encoding) if body.len() < OFFLOAD => encoding.compress(&body).ok(),
            Some(encoding) => {
                let body = body.clone();
                let packed = tokio::task::spawn_blocking(move || encoding.compress(&body)).await;
                packed.ok().and_then(Result::ok)
            }
            None => None,
        };
        let coding = encoding.filter(|_| packed.is_some());
        let mut answer = Response::new(packed.unwrap_or(body));
        let length = answer.body().len();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, if binary { OCTETS } else { TEXT });
        headers.insert(CONTENT_LENGTH, length.into());
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.header());
        }
        seal(headers, call);
        answer
    }
}

/// Headers that every answer of a session ends with.
fn seal(headers: &mut HeaderMap, call: &Call) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Internet Explorer up to 11 rewrites answers that look like script.
    let internet_explorer = call
        .parts
        .headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| agent.contains(";MSIE") || agent.contains("Trident/"));
    if internet_explorer {
        headers.insert(X_XSS_PROTECTION, HeaderValue::from_static("0"));
    }
}

/// The server takes no new sessions: the client shall come back, to another node.
pub(super) fn shutting_down() -> Response<Bytes> {
    empty(StatusCode::SERVICE_UNAVAILABLE)
}
