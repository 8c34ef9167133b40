//! HTTP requests of polling clients, and of the page with metrics.

use std::io;

use bytes::Bytes;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::connect::Connector;
use super::stream::Stream;
use super::{Caller, NetError};
use crate::plan::Plan;
use crate::target::Target;

/// Largest body that is read.
const MAX_BODY: usize = 64 << 20;

/// One connection, opened when first needed and again when the server has closed it.
pub(super) struct Http<'a> {
    plan: &'a Plan,
    connector: &'a Connector,
    caller: Caller,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Http<'a> {
    pub(super) const fn new(plan: &'a Plan, connector: &'a Connector, caller: Caller) -> Self {
        Self {
            plan,
            connector,
            caller,
            sender: None,
        }
    }

    /// Sends a request and reads the whole answer; also the cookies that come with it.
    pub(super) async fn request(
        mut self,
        method: Method,
        path: String,
        body: Bytes,
        cookie: String,
    ) -> (Self, Result<(Bytes, Option<String>), NetError>) {
        let result = self.exchange(method, path, body, cookie).await;
        (self, result)
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: String,
        body: Bytes,
        cookie: String,
    ) -> Result<(Bytes, Option<String>), NetError> {
        let what = if method == Method::GET {
            "poll"
        } else {
            "post"
        };
        let target = &self.plan.targets[self.caller.target];
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, target.authority());
        for (name, value) in &self.plan.headers {
            request = request.header(name, self.plan.text_for(value, self.caller.global));
        }
        if !cookie.is_empty() {
            request = request.header(COOKIE, cookie);
        }
        if !body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "text/plain;charset=UTF-8");
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| NetError::Http(error.to_string()))?;
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = self.connector.connect(self.plan, self.caller).await?;
            self.sender = Some(sender(stream).await?);
        }
        let Some(sender) = &mut self.sender else {
            return Err(NetError::Eof);
        };
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| http_error(&error))?;
        let status = answer.status();
        let cookies = answer
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| {
                let text = value.to_str().ok()?;
                Some(text.split(';').next()?.trim())
            });
        let cookies: Vec<&str> = cookies.collect();
        let cookie = (!cookies.is_empty()).then(|| cookies.join("; "));
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body = body
            .map_err(|error| NetError::Http(error.to_string()))?
            .to_bytes();
        if status != StatusCode::OK {
            return Err(NetError::Status(what, status.as_u16()));
        }
        Ok((body, cookie))
    }
}

async fn sender(stream: Stream) -> Result<SendRequest<Full<Bytes>>, NetError> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http_error(&error))?;
    // It ends with the sender.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn http_error(error: &hyper::Error) -> NetError {
    if error.is_parse() {
        return NetError::Stranger("what answers is no HTTP".to_owned());
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return NetError::Io("HTTP", io::Error::new(io.kind(), io.to_string()));
        }
        source = cause.source();
    }
    NetError::Http(error.to_string())
}

/// The body behind a URL, for the page with metrics.
///
/// # Errors
///
/// With what went wrong.
pub async fn get(connector: &Connector, target: &Target) -> Result<Bytes, NetError> {
    let stream = connector.connect_to(target).await?;
    let mut sender = sender(stream).await?;
    let query = target.query.iter().map(|query| format!("?{query}"));
    let path = format!("{}{}", target.path, query.collect::<String>());
    let request = Request::get(path)
        .header(HOST, target.authority())
        .header(http::header::CONNECTION, "close");
    let request = request
        .body(Full::new(Bytes::new()))
        .map_err(|error| NetError::Http(error.to_string()))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| http_error(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(NetError::Status("metrics", answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    Ok(body
        .map_err(|error| NetError::Http(error.to_string()))?
        .to_bytes())
}
