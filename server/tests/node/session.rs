//! A polling client with the packets written out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::http::{PATIENCE, get, request};

pub(crate) struct Session {
    address: SocketAddr,
    sid: String,
    pub(crate) socket_id: String,
    received: VecDeque<String>,
}

impl Session {
    /// Opens a session and joins the namespace `/`.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let open = get(address, "/socket.io/?EIO=4&transport=polling").body;
        let open: Value = serde_json::from_str(&open[1..]).expect("open packet");
        let mut session = Self {
            address,
            sid: open["sid"].as_str().expect("sid").to_owned(),
            socket_id: String::new(),
            received: VecDeque::new(),
        };
        session.send("40");
        let connect = session.receive();
        let connect: Value = serde_json::from_str(&connect[2..]).expect("connect packet");
        session.socket_id = connect["sid"].as_str().expect("sid").to_owned();
        session
    }

    fn target(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid)
    }

    /// Posts one Engine.IO packet.
    pub(crate) fn send(&self, packet: &str) {
        let answer = request(self.address, "POST", &self.target(), &[], packet);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }

    /// The next packet that is not a ping.
    pub(crate) fn receive(&mut self) -> String {
        let start = Instant::now();
        loop {
            // Pings come for ever.
            assert!(start.elapsed() < PATIENCE, "nothing came");
            match self.received.pop_front() {
                Some(packet) if packet == "2" => self.send("3"),
                Some(packet) => return packet,
                None => {
                    let answer = get(self.address, &self.target());
                    assert_eq!(answer.status, 200, "{answer:?}");
                    self.received
                        .extend(answer.body.split('\x1e').map(str::to_owned));
                }
            }
        }
    }

    /// Emits and returns the arguments of the acknowledgement.
    pub(crate) fn call(&mut self, arguments: &Value) -> Vec<Value> {
        self.send(&format!("427{arguments}"));
        let answer = self.receive();
        let answer = answer
            .strip_prefix("437")
            .unwrap_or_else(|| panic!("no ack: {answer}"));
        serde_json::from_str(answer).expect("ack")
    }

    /// The arguments of the next event.
    pub(crate) fn event(&mut self) -> Vec<Value> {
        let event = self.receive();
        let event = event
            .strip_prefix("42")
            .unwrap_or_else(|| panic!("no event: {event}"));
        serde_json::from_str(event).expect("event")
    }
}
