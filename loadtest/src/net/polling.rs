//! A client over HTTP long polling, and its upgrade.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use socketio_core::engine::{PayloadDecoder, PayloadEncoder, Revision};
use tokio::time::timeout;

use super::connect::Connector;
use super::http::Http;
use super::{Caller, Host, Link, NetError, websocket};
use crate::plan::{Plan, Transport};
use crate::session::Session;

type Exchange<'a> =
    Pin<Box<dyn Future<Output = (Http<'a>, Result<(Bytes, Option<String>), NetError>)> + 'a>>;
type Probe<'a> = Pin<Box<dyn Future<Output = Result<websocket::Open, NetError>> + 'a>>;

/// Body of a request if the server did not say how much it takes: Node's default.
const DEFAULT_MAX_PAYLOAD: u64 = 1_000_000;

/// Opens a session by polling and drives it to its end, over WebSocket in the end if it is to upgrade.
pub(super) async fn drive<H: Host>(
    plan: &Plan,
    connector: &Connector,
    mut session: Session,
    host: &Rc<H>,
    link: &Link,
    caller: Caller,
) -> NetError {
    let client = caller.local;
    let http = Http::new(plan, connector, caller);
    let path = caller.request(plan, "polling", None);
    let open = http.request(Method::GET, path, Bytes::new(), String::new());
    let opened = link.unless_ended(timeout(plan.connect_timeout.0, open));
    let (http, opened) = match opened.await {
        Err(end) => return end,
        Ok(Err(_)) => return NetError::Timeout,
        Ok(Ok(opened)) => opened,
    };
    let (body, cookie) = match opened {
        Ok(opened) => opened,
        Err(error) => return error,
    };
    if let Err(error) = feed(&mut session, body, host, link, client) {
        return error;
    }
    let Some(sid) = session.sid().map(str::to_owned) else {
        return NetError::Session(crate::session::SessionError::NoOpen);
    };
    let cookie = cookie.unwrap_or_default();
    let path = caller.request(plan, "polling", Some(&sid));
    let wants_upgrade =
        plan.transport_of(caller.global) == Transport::Upgrade && session.is_upgradable();

    let mut idle: Option<Http<'_>> = Some(Http::new(plan, connector, caller));
    let mut resting: Option<Http<'_>> = None;
    let mut get: Option<Exchange<'_>> = Some(Box::pin(http.request(
        Method::GET,
        path.clone(),
        Bytes::new(),
        cookie.clone(),
    )));
    let mut post: Option<Exchange<'_>> = None;
    let mut probing: Option<Probe<'_>> = None;
    let mut probed: Option<websocket::Open> = None;
    let mut begun = Instant::now();
    if wants_upgrade {
        let (sid, cookie) = (sid.clone(), cookie.clone());
        probing = Some(Box::pin(async move {
            let session = websocket::Upgrades {
                sid: &sid,
                cookie: &cookie,
            };
            let mut open = websocket::open(plan, connector, caller, Some(session)).await?;
            open.probe().await?;
            Ok(open)
        }));
        begun = Instant::now();
    }
    loop {
        if let Some(end) = link.end() {
            return end;
        }
        let paused = link.is_paused();
        if let Some(mut open) = probed.take_if(|_| get.is_none() && post.is_none()) {
            // Both requests are done: from here on only the WebSocket carries.
            if let Err(error) = open.send("5").await {
                return error;
            }
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            host.upgraded(client, micros);
            return websocket::drive(open, session, host, link, client).await;
        }
        if probed.is_none() {
            if !paused
                && get.is_none()
                && let Some(http) = resting.take()
            {
                get = Some(Box::pin(http.request(
                    Method::GET,
                    path.clone(),
                    Bytes::new(),
                    cookie.clone(),
                )));
            }
            if link.queued() > 0
                && let Some(http) = idle.take()
            {
                let body = queued(link, session.max_payload());
                post = Some(Box::pin(http.request(
                    Method::POST,
                    path.clone(),
                    body,
                    cookie.clone(),
                )));
            }
        }
        tokio::select! {
            (http, result) = some(&mut get) => {
                get = None;
                resting = Some(http);
                match result {
                    Ok((body, _)) => {
                        if let Err(error) = feed(&mut session, body, host, link, client) {
                            return error;
                        }
                    }
                    Err(error) => return error,
                }
            }
            (http, result) = some(&mut post) => {
                post = None;
                idle = Some(http);
                if let Err(error) = result {
                    return error;
                }
            }
            result = some(&mut probing) => {
                probing = None;
                match result {
                    Ok(open) => probed = Some(open),
                    Err(error) => return error,
                }
            }
            // With a request under way, what is queued waits for it.
            () = link.ready(paused), if idle.is_some() && probed.is_none() => {}
            end = ended(link), if idle.is_none() || probed.is_some() => return end,
        }
    }
}

async fn ended(link: &Link) -> NetError {
    let never = std::future::pending::<NetError>();
    link.unless_ended(never).await.unwrap_or_else(|end| end)
}

/// The output of a future, if there is one.
async fn some<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// As many queued frames as one request may carry.
fn queued(link: &Link, max_payload: u64) -> Bytes {
    let max = if max_payload == 0 {
        DEFAULT_MAX_PAYLOAD
    } else {
        max_payload
    };
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut encoder = PayloadEncoder::new(Revision::V4, false);
    loop {
        // Half of it is left for the frame that comes next; base64 makes it longer by a third.
        if encoder.len() >= max / 2 {
            break;
        }
        let Some(frame) = link.pop() else { break };
        frame.write_payload(&mut encoder);
    }
    encoder.finish().body
}

fn feed(
    session: &mut Session,
    body: Bytes,
    host: &Rc<impl Host>,
    link: &Link,
    client: u32,
) -> Result<(), NetError> {
    for packet in PayloadDecoder::new(Revision::V4, body, false) {
        let packet = packet.map_err(|error| match session.sid() {
            Some(_) => NetError::Http(error.to_string()),
            None => NetError::Stranger(error.to_string()),
        })?;
        let event = session.handle(packet, &mut |frame| link.send(frame))?;
        if let Some(patience) = session.take_heard() {
            link.heard(patience);
        }
        if let Some(event) = event {
            host.event(client, event);
        }
    }
    Ok(())
}
