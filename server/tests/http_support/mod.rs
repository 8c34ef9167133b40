//! A client that says exactly what it is told, and reads answers without interpreting them.

// Each test file uses its own part.
#![allow(dead_code, unreachable_pub)]

pub mod serve;
pub mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bound on every wait; reached only when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub struct Raw<S = TcpStream> {
    pub stream: S,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("connect"))
    }

    /// One request on a connection of its own.
    pub async fn once(address: SocketAddr, request: &str) -> Answer {
        let mut raw = Self::connect(address).await;
        raw.send(request).await;
        raw.answer().await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Writes `request`, in which a bare newline stands for CRLF.
    pub async fn send(&mut self, request: &str) {
        self.send_bytes(request.replace('\n', "\r\n").as_bytes())
            .await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("write");
    }

    /// Sends `method target` with `headers` (each ended by a newline) and `body`.
    pub async fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let length = if body.is_empty() && method != "POST" {
            String::new()
        } else {
            format!("Content-Length: {}\n", body.len())
        };
        self.send(&format!(
            "{method} {target} HTTP/1.1\nHost: test\n{headers}{length}\n"
        ))
        .await;
        self.send_bytes(body).await;
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "", b"").await;
        self.answer().await
    }

    pub async fn post(&mut self, target: &str, body: &str) -> Answer {
        self.request(
            "POST",
            target,
            "Content-Type: text/plain;charset=UTF-8\n",
            body.as_bytes(),
        )
        .await;
        self.answer().await
    }

    /// Reads one answer.
    pub async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer(true))
            .await
            .expect("an answer in time")
    }

    /// Reads one answer to a HEAD.
    pub async fn head_answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer(false))
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self, with_body: bool) -> Answer {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.fill().await,
                "closed in the head of an answer: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let head = String::from_utf8(head).expect("head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|s| s.parse().ok())
            .expect("status");
        let headers: Vec<_> = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if status == 100 {
            return Box::pin(self.read_answer(with_body)).await;
        }
        if status != 101 && status != 204 && status != 304 && with_body {
            let length = answer
                .header("content-length")
                .expect("a length")
                .parse()
                .expect("a number");
            answer.body = self.take(length).await;
        }
        answer
    }

    /// Reads exactly `length` bytes.
    pub async fn take(&mut self, length: usize) -> Vec<u8> {
        timeout(PATIENCE, async {
            while self.unread.len() < length {
                assert!(
                    self.fill().await,
                    "closed after {} of {length} bytes",
                    self.unread.len()
                );
            }
        })
        .await
        .expect("bytes in time");
        self.unread.drain(..length).collect()
    }

    /// Waits for the end of the stream and returns what came before it.
    pub async fn closed(&mut self) -> Vec<u8> {
        timeout(PATIENCE, async { while self.fill().await {} })
            .await
            .expect("an end in time");
        std::mem::take(&mut self.unread)
    }

    /// One WebSocket frame of the server: first byte and payload.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2).await;
        assert_eq!(head[1] & 0x80, 0, "servers do not mask");
        let length = match head[1] {
            126 => self
                .take(2)
                .await
                .iter()
                .fold(0, |n, b| n << 8 | usize::from(*b)),
            127 => self
                .take(8)
                .await
                .iter()
                .fold(0, |n, b| n << 8 | usize::from(*b)),
            short => usize::from(short),
        };
        (head[0], self.take(length).await)
    }

    /// The text of the next WebSocket frame.
    pub async fn text(&mut self) -> String {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x81, "a text frame");
        String::from_utf8(payload).expect("text")
    }

    /// Sends a masked text frame of at most 125 bytes.
    pub async fn send_text(&mut self, text: &str) {
        let mask = [7, 77, 177, 17];
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).expect("short")];
        assert!(text.len() <= 125);
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        self.send_bytes(&frame).await;
    }

    /// More bytes; `false` at the end. A reset counts as one.
    async fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 16 * 1024];
        match self.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&chunk[..read]);
                true
            }
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Names of the headers, without the clock.
    pub fn names(&self) -> Vec<&str> {
        self.headers
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| *name != "date")
            .collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} {:?}",
            self.status,
            self.headers,
            String::from_utf8_lossy(&self.body)
        )
    }
}
