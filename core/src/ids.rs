//! Identifiers. Each is its own type, so that a secret session id cannot stand where a public
//! socket id is meant.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Random bytes of the operating system in base64url: `BYTES * 8` bits nobody can guess.
fn random_base64<const BYTES: usize>() -> Arc<str> {
    let mut bytes = [0; BYTES];
    fill(&mut bytes);
    let mut text = [0; 24];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap_or(0);
    std::str::from_utf8(&text[..written])
        .unwrap_or_default()
        .into()
}

fn random_hex() -> Arc<str> {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    format!("{:016x}", u64::from_ne_bytes(bytes)).into()
}

fn fill(bytes: &mut [u8]) {
    // Fails only where the system has no source of random numbers at all (no getrandom call and
    // no /dev/urandom). Going on with ids that can be guessed would hand sessions to strangers.
    getrandom::fill(bytes).expect("the operating system has a source of random numbers");
}

/// What all textual ids have in common, `Debug` apart.
macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor).map(Self)
            }
        }
    };
}

macro_rules! text_id_display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

/// Reads text; a number becomes its decimal text, because Node.js applications may use numbers as
/// room names.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Arc<str>, E> {
        Ok(text.into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Arc<str>, E> {
        Ok(number.to_string().into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Arc<str>, E> {
        Ok(number.to_string().into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Arc<str>, E> {
        Ok(number.to_string().into())
    }
}

/// The id of an Engine.IO session.
///
/// Whoever knows it can speak for the client, so it is never shown to other clients, and `Debug`
/// (hence logs) shows its first four characters only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// A new id: 128 random bits, 22 characters.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_base64::<16>())
    }

    /// A new id for a client of Engine.IO 3: 120 random bits, 20 characters. Such clients derive
    /// their public socket id from it, and other members of a cluster expect 20 characters there.
    #[must_use]
    pub fn generate_eio3() -> Self {
        Self(random_base64::<15>())
    }
}

text_id!(SessionId);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(4).collect();
        write!(f, "SessionId({shown}…)")
    }
}

/// The public id of a socket: one client in one namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Arc<str>);

impl SocketId {
    /// A new id: 120 random bits, 20 characters, the length that Node.js members of a cluster test
    /// for.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_base64::<15>())
    }
}

text_id!(SocketId);

/// The id of one server process in a cluster. Ours have 16 hexadecimal digits. Members that run
/// other software are [foreign](Self::foreign): their ids may be any text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// A new id of 64 random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_hex())
    }

    /// The sender of messages that come from no node: an emitter in a worker process.
    #[must_use]
    pub fn emitter() -> Self {
        Self("emitter".into())
    }

    /// A new id for an emitter that wants answers, by which they find it.
    #[must_use]
    pub fn generate_emitter() -> Self {
        Self(format!("emitter-{}", random_hex()).into())
    }

    /// Whether this stands for an emitter, which is no member and answers nothing.
    ///
    /// ```
    /// use socketio_core::ids::NodeId;
    ///
    /// assert!(NodeId::emitter().is_emitter() && NodeId::generate_emitter().is_emitter());
    /// assert!(!NodeId::generate().is_emitter());
    /// ```
    #[must_use]
    pub fn is_emitter(&self) -> bool {
        self.0
            .strip_prefix("emitter")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The id of a member that does not speak our own format, by the name it has on its wire. The
    /// mark it gets keeps it apart from ids of ours, and tells an adapter how to answer it.
    ///
    /// ```
    /// use socketio_core::ids::NodeId;
    ///
    /// let node = NodeId::foreign("GgE0Qy");
    /// assert_eq!(node.foreign_name(), Some("GgE0Qy"));
    /// assert_eq!(NodeId::generate().foreign_name(), None);
    /// ```
    #[must_use]
    pub fn foreign(name: &str) -> Self {
        Self(format!("{FOREIGN}{name}").into())
    }

    /// The name of a foreign member on its own wire; none for one of ours.
    #[must_use]
    pub fn foreign_name(&self) -> Option<&str> {
        self.0.strip_prefix(FOREIGN)
    }
}

/// Marks the ids of foreign members.
const FOREIGN: char = '~';

text_id!(NodeId);

/// The id by which answers find the request they belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new id of 64 random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_hex())
    }
}

text_id!(RequestId);

/// The name of a room.
///
/// ```
/// use socketio_core::ids::{Room, SocketId};
///
/// let id = SocketId::generate();
/// assert_eq!(Room::from(&id).as_str(), id.as_str());
/// assert_eq!(Room::from(7), "7");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(Arc<str>);

impl Room {
    /// Whether this may be the room that a socket has of its own: ids of sockets are 20 characters
    /// of base64url, here and with Node.js and Python.
    #[must_use]
    pub fn looks_like_socket(&self) -> bool {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        self.0.len() == 20 && self.0.bytes().all(byte)
    }
}

text_id!(Room);
text_id_display!(NodeId, RequestId, Room, SocketId);

impl From<&String> for Room {
    fn from(name: &String) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&Self> for Room {
    fn from(room: &Self) -> Self {
        room.clone()
    }
}

impl From<SocketId> for Room {
    fn from(id: SocketId) -> Self {
        Self(id.0)
    }
}

impl From<&SocketId> for Room {
    fn from(id: &SocketId) -> Self {
        Self(Arc::clone(&id.0))
    }
}

macro_rules! room_from_number {
    ($($number:ty),*) => {$(
        impl From<$number> for Room {
            fn from(number: $number) -> Self {
                Self(number.to_string().into())
            }
        }
    )*};
}

room_from_number!(i32, i64, u32, u64, usize);

/// The id of an event that wants an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AckId(pub u64);

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<u64> for AckId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_base64url(text: &str) -> bool {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }

    #[test]
    fn generated_ids_have_their_length_and_alphabet() {
        let session = SessionId::generate();
        assert_eq!(session.as_str().len(), 22);
        assert!(is_base64url(session.as_str()));
        assert_eq!(SessionId::generate_eio3().as_str().len(), 20);
        let socket = SocketId::generate();
        assert_eq!(socket.as_str().len(), 20);
        assert!(is_base64url(socket.as_str()));
        for id in [
            NodeId::generate().to_string(),
            RequestId::generate().to_string(),
        ] {
            assert_eq!(id.len(), 16);
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            );
        }
    }

    #[test]
    fn generated_ids_differ() {
        let ids: HashSet<SessionId> = (0..1000).map(|_| SessionId::generate()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn debug_of_a_session_id_keeps_the_secret() {
        let id = SessionId::from("abcdefghijklmnopqrstuv");
        assert_eq!(format!("{id:?}"), "SessionId(abcd…)");
        assert_eq!(id.to_string(), "abcdefghijklmnopqrstuv");
        let wide = SessionId::from("äöüßxyz");
        assert_eq!(format!("{wide:?}"), "SessionId(äöüß…)");
    }

    #[test]
    fn ids_are_json_strings() {
        let id = SocketId::from("abc");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"abc\"");
        assert_eq!(serde_json::from_str::<SocketId>("\"abc\"").unwrap(), id);
        assert_eq!(serde_json::to_string(&AckId(7)).unwrap(), "7");
    }

    #[test]
    fn numeric_rooms_become_text() {
        let rooms: Vec<Room> = serde_json::from_str(r#"["a",1,-2,1.5]"#).unwrap();
        let names: Vec<&str> = rooms.iter().map(Room::as_str).collect();
        assert_eq!(names, ["a", "1", "-2", "1.5"]);
        assert!(serde_json::from_str::<Room>("null").is_err());
        assert!(serde_json::from_str::<Room>("{}").is_err());
    }

    #[test]
    fn a_room_of_a_socket_shares_its_text() {
        let id = SocketId::generate();
        assert!(Room::from(&id).looks_like_socket());
        assert!(!Room::from("lobby").looks_like_socket());
        assert!(!Room::from("twenty characters!!!").looks_like_socket());
        let room = Room::from(&id);
        assert!(Arc::ptr_eq(&id.0, &room.0));
    }
}
