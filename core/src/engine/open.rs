//! The packet that opens a session: `0{"sid":…}`.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TransportKind;

/// What the server tells at the start of a session. Both revisions get the same members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenPacket<'a> {
    // The order of the fields is the order on the wire; Node's, since tests compare text.
    /// The session id, a secret shared with this client.
    pub sid: Cow<'a, str>,
    /// The transports that the client may upgrade to.
    #[serde(
        serialize_with = "serialize_upgrades",
        deserialize_with = "deserialize_upgrades"
    )]
    pub upgrades: Cow<'a, [TransportKind]>,
    /// Time between two pings.
    #[serde(with = "milliseconds")]
    pub ping_interval: Duration,
    /// Time until a ping must be answered.
    #[serde(with = "milliseconds")]
    pub ping_timeout: Duration,
    /// Largest message that the server takes, in bytes. Absent in old servers.
    #[serde(default)]
    pub max_payload: u64,
}

impl OpenPacket<'_> {
    /// The packet as text, its type included.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = vec![b'0'];
        // Neither fails: a `Vec` takes every write, and serde_json writes only UTF-8.
        if serde_json::to_writer(&mut out, self).is_err() {
            return String::new();
        }
        String::from_utf8(out).unwrap_or_default()
    }

    /// Reads the data of an open packet (what follows the `0`), as a client does. Unknown
    /// transports in `upgrades` are skipped.
    ///
    /// # Errors
    /// If the data is not JSON or lacks a member.
    pub fn decode(json: &str) -> Result<OpenPacket<'static>, OpenPacketError> {
        serde_json::from_str(json).map_err(|error| OpenPacketError(error.to_string()))
    }
}

/// The data of an open packet could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid open packet: {0}")]
pub struct OpenPacketError(String);

fn serialize_upgrades<S: Serializer>(
    upgrades: &[TransportKind],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(upgrades.iter().map(|transport| transport.as_str()))
}

fn deserialize_upgrades<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'static, [TransportKind]>, D::Error> {
    let names = Vec::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"0{"sid":"5s4AcqkVIhJRhzYTAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

    fn open() -> OpenPacket<'static> {
        OpenPacket {
            sid: "5s4AcqkVIhJRhzYTAAAA".into(),
            upgrades: Cow::Borrowed(&[TransportKind::WebSocket]),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
        }
    }

    #[test]
    fn is_written_as_node_writes_it() {
        assert_eq!(open().encode(), TEXT);
    }

    #[test]
    fn is_read_back_even_from_a_server_with_more_transports() {
        assert_eq!(OpenPacket::decode(&TEXT[1..]), Ok(open()));
        let other = TEXT.replace(r#""websocket""#, r#""websocket","webtransport""#);
        assert_eq!(OpenPacket::decode(&other[1..]), Ok(open()));
        assert!(OpenPacket::decode("{}").is_err());
        assert!(OpenPacket::decode("").is_err());
    }
}
