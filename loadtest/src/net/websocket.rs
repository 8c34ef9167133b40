//! A client over WebSocket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use socketio_core::engine::Revision;
use socketio_core::frame::Frame;
use socketio_core::websocket::{
    FrameDecoder, MAX_HEADER_LEN, OpCode, Role, WsEvent, apply_mask, close_frame, encode_header,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::connect::Connector;
use super::stream::Stream;
use super::{Caller, Host, Link, NetError};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::session::{Session, SessionEvent};

/// Longest head of the answer to an upgrade.
const MAX_HEAD: usize = 16 * 1024;
/// Largest message.
const MAX_MESSAGE: usize = 64 << 20;
/// Reads of one turn, so that one busy client does not keep the others waiting.
const MAX_READS: usize = 4;

/// A WebSocket that is open.
#[derive(Debug)]
pub(super) struct Open {
    stream: Stream,
    decoder: FrameDecoder,
    /// What came behind the head.
    rest: Vec<u8>,
    rng: Rng,
}

/// The session that a WebSocket continues.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upgrades<'a> {
    pub(super) sid: &'a str,
    /// By it a balancer finds the server that has the session; may be empty.
    pub(super) cookie: &'a str,
}

/// Opens a WebSocket, for a new session or an upgrade.
pub(super) async fn open(
    plan: &Plan,
    connector: &Connector,
    caller: Caller,
    upgrades: Option<Upgrades<'_>>,
) -> Result<Open, NetError> {
    let mut stream = connector.connect(plan, caller).await?;
    let seed = u64::from(caller.global) << 20;
    let mut rng = Rng::new(plan.seed ^ seed ^ u64::from(upgrades.is_some()));
    let mut key = [0; 16];
    key[..8].copy_from_slice(&rng.next().to_ne_bytes());
    key[8..].copy_from_slice(&rng.next().to_ne_bytes());
    let key = STANDARD.encode(key);
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
        caller.request(plan, "websocket", upgrades.map(|session| session.sid)),
        plan.targets[caller.target].authority(),
    );
    for (name, value) in &plan.headers {
        let value = plan.text_for(value, caller.global);
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(cookie) = upgrades
        .map(|session| session.cookie)
        .filter(|cookie| !cookie.is_empty())
    {
        head.push_str(&format!("Cookie: {cookie}\r\n"));
    }
    head.push_str("\r\n");
    let io = |error| NetError::Io("handshake", error);
    stream.write_all(head.as_bytes()).await.map_err(io)?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if stream.read_buf(&mut answer).await.map_err(io)? == 0 {
            return Err(if answer.is_empty() {
                NetError::Eof
            } else {
                stranger()
            });
        }
        if !b"HTTP/1.".starts_with(&answer[..answer.len().min(7)]) {
            return Err(stranger());
        }
        if let Some(at) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            break at + 4;
        }
        if answer.len() > MAX_HEAD {
            return Err(stranger());
        }
    };
    let status = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match status {
        Some(101) => check_answer(&answer[..end], &key)?,
        Some(status) => return Err(NetError::Status("handshake", status)),
        None => return Err(stranger()),
    }
    Ok(Open {
        stream,
        decoder: FrameDecoder::new(Role::Client, MAX_MESSAGE),
        rest: answer.split_off(end),
        rng,
    })
}

/// RFC 6455, 4.1: what the answer must say, so that whoever gave it has understood the question.
fn check_answer(head: &[u8], key: &str) -> Result<(), NetError> {
    let wrong = |what: &str| NetError::Stranger(format!("its answer to the WebSocket has {what}"));
    let head = std::str::from_utf8(head).map_err(|_| wrong("bytes that are no text"))?;
    let value = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    match value("Upgrade") {
        Some(protocol) if protocol.eq_ignore_ascii_case("websocket") => {}
        _ => return Err(wrong("no `Upgrade: websocket`")),
    }
    match value("Sec-WebSocket-Accept") {
        Some(accept) if accept == accept_of(key) => Ok(()),
        Some(_) => Err(wrong("a wrong Sec-WebSocket-Accept")),
        None => Err(wrong("no Sec-WebSocket-Accept")),
    }
}

/// What a server answers to a key.
fn accept_of(key: &str) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

fn stranger() -> NetError {
    NetError::Stranger("what answers is no HTTP".to_owned())
}

impl Open {
    /// Sends a probe and waits for its answer.
    pub(super) async fn probe(&mut self) -> Result<(), NetError> {
        self.send("2probe").await?;
        let mut buffer = [0; 512];
        loop {
            let events = self.decoder.feed(&mut self.rest);
            for event in events {
                match event? {
                    WsEvent::Text(text) if text == "3probe" => {
                        self.rest.clear();
                        return Ok(());
                    }
                    WsEvent::Close(reason) => {
                        return Err(NetError::WebSocketClosed(reason.map(|(code, _)| code)));
                    }
                    _ => {}
                }
            }
            let read = self.stream.read(&mut buffer).await;
            let read = read.map_err(|error| NetError::Io("probe", error))?;
            if read == 0 {
                return Err(NetError::Eof);
            }
            self.rest = buffer[..read].to_vec();
        }
    }

    /// Sends one packet of Engine.IO.
    pub(super) async fn send(&mut self, text: &str) -> Result<(), NetError> {
        let mut out = Vec::new();
        write_masked(&mut out, OpCode::Text, text.as_bytes(), &mut self.rng);
        let sent = self.stream.write_all(&out).await;
        sent.map_err(|error| NetError::Io("probe", error))
    }
}

fn write_masked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], rng: &mut Rng) {
    let mask = (rng.next() as u32).to_ne_bytes();
    out.reserve(MAX_HEADER_LEN + payload.len());
    encode_header(out, opcode, payload.len(), true, Some(mask));
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask, 0);
}

/// A frame of ours as a client sends it.
fn write_frame(out: &mut Vec<u8>, frame: &Frame, rng: &mut Rng) {
    debug_assert_eq!(frame.websocket(Revision::V4).len(), frame.len());
    if let Some(text) = frame.text() {
        write_masked(out, OpCode::Text, text.as_bytes(), rng);
    }
    for attachment in frame.attachments() {
        write_masked(out, OpCode::Binary, attachment, rng);
    }
}

thread_local! {
    /// All clients of a thread share one buffer, since each reads to the end of what came.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// Drives a client over an open WebSocket to its end.
pub(super) async fn drive(
    open: Open,
    session: Session,
    host: &Rc<impl Host>,
    link: &Link,
    client: u32,
) -> NetError {
    let mut driver = Driver {
        stream: open.stream,
        decoder: open.decoder,
        rng: open.rng,
        session,
        host,
        link,
        client,
        out: Vec::new(),
        written: 0,
    };
    let mut rest = open.rest;
    if let Err(error) = driver.feed(&mut rest) {
        return error;
    }
    drop(rest);
    poll_fn(|context| driver.poll(context)).await
}

struct Driver<'a, H> {
    stream: Stream,
    decoder: FrameDecoder,
    rng: Rng,
    session: Session,
    host: &'a Rc<H>,
    link: &'a Link,
    client: u32,
    /// Bytes on their way, and how many of them are written. Empty while nothing waits.
    out: Vec<u8>,
    written: usize,
}

impl<H: Host> Driver<'_, H> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<NetError> {
        self.link.register(context);
        match self.link.end() {
            Some(NetError::Planned) => return self.end(context),
            Some(end) => return Poll::Ready(end),
            None => {}
        }
        if let Poll::Ready(Err(error)) = self.write(context) {
            return Poll::Ready(error);
        }
        if !self.link.is_paused() {
            if let Poll::Ready(error) = self.read(context) {
                return Poll::Ready(error);
            }
            // What was read may be answered.
            if let Poll::Ready(Err(error)) = self.write(context) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    /// Says good-bye as far as the socket takes it.
    fn end(&mut self, context: &mut Context<'_>) -> Poll<NetError> {
        if self.out.is_empty() {
            let mask = Some((self.rng.next() as u32).to_ne_bytes());
            self.out = close_frame(Some(1000), "", mask).to_vec();
        }
        let _ = self.write(context);
        let _ = Pin::new(&mut self.stream).poll_shutdown(context);
        Poll::Ready(NetError::Planned)
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        loop {
            while self.out.len() < 64 * 1024 {
                let Some(frame) = self.link.pop() else { break };
                write_frame(&mut self.out, &frame, &mut self.rng);
            }
            if self.out.is_empty() {
                return Poll::Ready(Ok(()));
            }
            while self.written < self.out.len() {
                let bytes = &self.out[self.written..];
                match ready!(Pin::new(&mut self.stream).poll_write(context, bytes)) {
                    Ok(0) => return Poll::Ready(Err(NetError::Eof)),
                    Ok(count) => self.written += count,
                    Err(error) => return Poll::Ready(Err(NetError::Io("write", error))),
                }
            }
            // TLS keeps bytes back until it is told.
            if let Stream::Tls(_) = self.stream
                && let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(context))
            {
                return Poll::Ready(Err(NetError::Io("write", error)));
            }
            self.out = Vec::new();
            self.written = 0;
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<NetError> {
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..MAX_READS {
                let mut read = ReadBuf::new(buffer);
                match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(NetError::Io("read", error)),
                    Poll::Ready(Ok(())) if read.filled().is_empty() => {
                        return Poll::Ready(match self.session.sid() {
                            Some(_) => NetError::Eof,
                            None => NetError::Stranger("it opens no session".to_owned()),
                        });
                    }
                    Poll::Ready(Ok(())) => {
                        if let Err(error) = self.feed(read.filled_mut()) {
                            return Poll::Ready(error);
                        }
                    }
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn feed(&mut self, bytes: &mut [u8]) -> Result<(), NetError> {
        let link = self.link;
        for event in self.decoder.feed(bytes) {
            let event: Option<SessionEvent> = match event? {
                WsEvent::Text(text) => self
                    .session
                    .handle_text(&text, &mut |frame| link.send(frame))?,
                WsEvent::Binary(bytes) => self.session.handle_binary(bytes)?,
                WsEvent::Ping(data) => {
                    write_masked(&mut self.out, OpCode::Pong, &data, &mut self.rng);
                    None
                }
                WsEvent::Pong(_) => None,
                WsEvent::Close(reason) => {
                    return Err(NetError::WebSocketClosed(reason.map(|(code, _)| code)));
                }
            };
            if let Some(patience) = self.session.take_heard() {
                link.heard(patience);
            }
            if let Some(event) = event {
                self.host.event(self.client, event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_fit_its_question() {
        // RFC 6455, 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept_of(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let first = "HTTP/1.1 101 Switching Protocols\r\n";
        let check = |lines: &str| {
            let head = format!("{first}{lines}\r\n\r\n");
            check_answer(head.as_bytes(), key).map_err(|error| error.to_string())
        };
        let upgrade = "upgrade: WebSocket\r\nConnection: upgrade\r\n";
        let good = format!("{upgrade}SEC-WEBSOCKET-ACCEPT:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= ");
        assert_eq!(check(&good), Ok(()));
        for (lines, part) in [
            (upgrade.to_owned(), "no Sec-WebSocket-Accept"),
            (good.replace("s3p", "S3p"), "a wrong Sec-WebSocket-Accept"),
            (good.replace("WebSocket\r", "h2c\r"), "no `Upgrade"),
        ] {
            let error = check(&lines).expect_err("a wrong answer");
            assert!(error.contains(part), "{error}");
        }
    }
}
