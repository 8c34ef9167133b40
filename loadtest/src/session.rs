//! One client's protocol, without IO: Engine.IO 4 below, one namespace of Socket.IO 5 above.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use socketio_core::engine::{self, Message, OpenPacket, PacketKind, Revision};
use socketio_core::frame::Frame;
use socketio_core::ids::AckId;
use socketio_core::packet::{DecodeLimits, Packet, PacketDecoder, ParserKind};
use socketio_core::payload::Payload;

/// What a session tells.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// The namespace has us.
    Connected,
    /// An event.
    Event(Payload),
    /// An acknowledgement.
    Ack(AckId, Payload),
}

/// Why a session is over, or none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The first packet opens no session.
    #[error("no Socket.IO server: the first packet opens no session")]
    NoOpen,
    /// Bytes that are no packet, or one that has no business here.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The server refused the namespace.
    #[error("refused: {0}")]
    Refused(String),
    /// The server closed the session.
    #[error("closed by the server")]
    Closed,
    /// The server disconnected us from the namespace.
    #[error("disconnected by the server")]
    Disconnected,
}

/// The state of one session.
#[derive(Debug)]
pub struct Session {
    parser: ParserKind,
    decoder: PacketDecoder,
    namespace: ByteString,
    auth: Option<String>,
    sid: Option<String>,
    upgradable: bool,
    max_payload: u64,
    connected: bool,
    /// Longest time between two pings.
    patience: Duration,
    heard: bool,
}

impl Session {
    /// A session that will join `namespace` with `auth`, a JSON object.
    #[must_use]
    pub fn new(parser: ParserKind, namespace: &str, auth: Option<String>) -> Self {
        Self {
            parser,
            decoder: PacketDecoder::new(parser, Revision::V4, DecodeLimits::default()),
            namespace: namespace.into(),
            auth,
            sid: None,
            upgradable: false,
            max_payload: 0,
            connected: false,
            patience: Duration::ZERO,
            heard: false,
        }
    }

    /// The session id, once it is open.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether the server offers the upgrade to WebSocket.
    #[must_use]
    pub const fn is_upgradable(&self) -> bool {
        self.upgradable
    }

    /// Largest body that the server takes; 0 if it did not say.
    #[must_use]
    pub const fn max_payload(&self) -> u64 {
        self.max_payload
    }

    /// If the session was opened or pinged since the last call: within which time a ping must come, or
    /// the server is gone. As in Socket.IO's own clients, nothing but a ping counts.
    pub fn take_heard(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.heard).then_some(self.patience)
    }

    /// Takes a text message of a WebSocket; what is to be answered goes to `send`.
    ///
    /// # Errors
    ///
    /// When the session is over, or what came is no packet.
    pub fn handle_text(
        &mut self,
        text: &ByteString,
        send: &mut impl FnMut(Frame),
    ) -> Result<Option<SessionEvent>, SessionError> {
        let packet = engine::Packet::decode_text(Revision::V4, text);
        self.handle(packet.map_err(|error| self.wrong(error))?, send)
    }

    /// Takes a binary message of a WebSocket.
    ///
    /// # Errors
    ///
    /// As [`handle_text`](Self::handle_text).
    pub fn handle_binary(&mut self, bytes: Bytes) -> Result<Option<SessionEvent>, SessionError> {
        let packet = self.decoder.handle_binary(bytes);
        let packet = packet.map_err(|error| self.wrong(error))?;
        self.packet(packet)
    }

    /// Takes a packet.
    ///
    /// # Errors
    ///
    /// As [`handle_text`](Self::handle_text).
    pub fn handle(
        &mut self,
        packet: engine::Packet,
        send: &mut impl FnMut(Frame),
    ) -> Result<Option<SessionEvent>, SessionError> {
        if self.sid.is_none() {
            self.open(&packet)?;
            send(
                self.parser
                    .encode_connect_request(&self.namespace, self.auth.as_deref()),
            );
            return Ok(None);
        }
        match (packet.kind, packet.data) {
            (PacketKind::Message, Message::Text(text)) => {
                let packet = self.decoder.handle_text(text);
                let packet = packet.map_err(|error| self.wrong(error))?;
                self.packet(packet)
            }
            (PacketKind::Message, Message::Binary(bytes)) => self.handle_binary(bytes),
            (PacketKind::Ping, _) => {
                self.heard = true;
                send(Frame::packet("3"));
                Ok(None)
            }
            (PacketKind::Close, _) => Err(SessionError::Closed),
            (PacketKind::Noop | PacketKind::Pong, _) => Ok(None),
            (PacketKind::Open | PacketKind::Upgrade, _) => Err(SessionError::Protocol(
                "a packet that servers do not send".to_owned(),
            )),
        }
    }

    fn open(&mut self, packet: &engine::Packet) -> Result<(), SessionError> {
        let (PacketKind::Open, Message::Text(json)) = (packet.kind, &packet.data) else {
            return Err(SessionError::NoOpen);
        };
        let open = OpenPacket::decode(json).map_err(|_| SessionError::NoOpen)?;
        self.upgradable = open.upgrades.contains(&engine::TransportKind::WebSocket);
        self.max_payload = open.max_payload;
        self.patience = open.ping_interval.saturating_add(open.ping_timeout);
        self.heard = true;
        self.sid = Some(open.sid.into_owned());
        Ok(())
    }

    fn packet(&mut self, packet: Option<Packet>) -> Result<Option<SessionEvent>, SessionError> {
        Ok(match packet {
            Some(Packet::Connect { nsp, .. }) if nsp == self.namespace && !self.connected => {
                self.connected = true;
                Some(SessionEvent::Connected)
            }
            Some(Packet::ConnectError { data, .. }) => {
                let short: String = message(&data).chars().take(80).collect();
                return Err(SessionError::Refused(short));
            }
            Some(Packet::Disconnect { nsp }) if nsp == self.namespace => {
                return Err(SessionError::Disconnected);
            }
            Some(Packet::Event { nsp, payload, .. }) if nsp == self.namespace => {
                Some(SessionEvent::Event(payload))
            }
            Some(Packet::Ack { nsp, id, payload }) if nsp == self.namespace => {
                Some(SessionEvent::Ack(id, payload))
            }
            // Other namespaces, or attachments that are still to come.
            _ => None,
        })
    }

    /// What is no packet before the session is open comes from no Socket.IO server.
    fn wrong(&self, error: impl std::fmt::Display) -> SessionError {
        match self.sid {
            Some(_) => SessionError::Protocol(error.to_string()),
            None => SessionError::NoOpen,
        }
    }
}

/// The text of a refusal.
fn message(json: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let message = value
        .as_ref()
        .and_then(|value| value.get("message")?.as_str());
    message.unwrap_or(json).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: &str = r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}"#;

    struct Peer {
        session: Session,
        sent: Vec<Frame>,
    }

    impl Peer {
        fn new(parser: ParserKind, namespace: &str) -> Self {
            let session = Session::new(parser, namespace, Some(r#"{"token":1}"#.to_owned()));
            Self {
                session,
                sent: Vec::new(),
            }
        }

        fn text(&mut self, text: &str) -> Result<Option<SessionEvent>, SessionError> {
            let sent = &mut self.sent;
            self.session
                .handle_text(&text.into(), &mut |frame| sent.push(frame))
        }

        fn sent(&self) -> Vec<&str> {
            self.sent.iter().filter_map(Frame::text).collect()
        }
    }

    #[test]
    fn a_session_from_begin_to_end() {
        let mut peer = Peer::new(ParserKind::Json, "/chat");
        assert_eq!(peer.text(OPEN), Ok(None));
        assert!(peer.session.is_upgradable());
        let patience = Some(Duration::from_secs(45));
        assert_eq!(peer.session.take_heard(), patience);
        assert_eq!(peer.session.take_heard(), None);
        assert_eq!(
            (peer.session.sid(), peer.session.max_payload()),
            (Some("a"), 1000)
        );
        assert_eq!(peer.text("2"), Ok(None));
        assert_eq!(peer.sent(), [r#"40/chat,{"token":1}"#, "3"]);
        assert_eq!(
            peer.text(r#"40/chat,{"sid":"b"}"#),
            Ok(Some(SessionEvent::Connected))
        );
        let ack = peer.text("43/chat,12[1]");
        assert!(matches!(ack, Ok(Some(SessionEvent::Ack(AckId(12), _)))));
        assert_eq!(peer.session.take_heard(), patience);
        // Another namespace is none of ours.
        assert_eq!(peer.text(r#"42["x"]"#), Ok(None));
        assert_eq!(
            peer.text(r#"451-/chat,["x",{"_placeholder":true,"num":0}]"#),
            Ok(None)
        );
        let event = peer.session.handle_binary(Bytes::from_static(b"1"));
        assert!(matches!(event, Ok(Some(SessionEvent::Event(_)))));
        assert_eq!(peer.text("41/chat,"), Err(SessionError::Disconnected));
        assert_eq!(peer.text("1"), Err(SessionError::Closed));
    }

    #[test]
    fn refusals_are_told_and_strangers_known() {
        let mut peer = Peer::new(ParserKind::Json, "/");
        peer.text(OPEN).expect("open");
        let refused = peer.text(r#"44{"message":"who are you?"}"#);
        assert_eq!(
            refused,
            Err(SessionError::Refused("who are you?".to_owned()))
        );
        for text in ["hello", "", "2", "0{}", r#"{"jsonrpc":"2.0"}"#] {
            let error = Peer::new(ParserKind::Json, "/").text(text);
            assert_eq!(error, Err(SessionError::NoOpen), "{text}");
        }
    }

    #[test]
    fn messagepack_comes_in_binary_messages() {
        let mut peer = Peer::new(ParserKind::MessagePack, "/");
        peer.text(OPEN).expect("open");
        let frame = ParserKind::MessagePack.encode_connect("/", "b", None);
        let bytes = Bytes::copy_from_slice(frame.attachments().next().expect("binary"));
        assert_eq!(
            peer.session.handle_binary(bytes),
            Ok(Some(SessionEvent::Connected))
        );
    }

    proptest! {
        #[test]
        fn no_message_panics(texts in prop::collection::vec("[0-9]{0,2}[-/,]?.{0,20}", 0..6), bytes: Vec<u8>) {
            let mut peer = Peer::new(ParserKind::Json, "/");
            peer.text(OPEN).expect("open");
            for text in texts {
                let _ = peer.text(&text);
            }
            let _ = peer.session.handle_binary(bytes.into());
        }
    }
}
