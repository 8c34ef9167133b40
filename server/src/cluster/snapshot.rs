//! Sockets as other nodes see them, in the form that Node.js gives them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socketio_core::cluster::SocketSnapshot;
use socketio_core::value::Value;

use crate::namespace::Namespace;
use crate::remote::{RemoteHandshake, RemoteSocket};

pub(super) fn of(socket: &RemoteSocket) -> SocketSnapshot {
    let handshake = &socket.handshake;
    let issued = handshake.issued.duration_since(UNIX_EPOCH);
    let issued = issued.unwrap_or_default();
    let millis = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
    let handshake = [
        ("headers", pairs(&handshake.headers, ", ")),
        ("time", date(issued.as_secs()).into()),
        ("address", handshake.address.as_str().into()),
        ("xdomain", handshake.xdomain.into()),
        ("secure", handshake.secure.into()),
        ("issued", millis.into()),
        ("url", handshake.url.as_str().into()),
        ("query", pairs(&handshake.query, "")),
        ("auth", handshake.auth.clone()),
    ];
    SocketSnapshot {
        id: socket.id.clone(),
        handshake: Value::from_iter(handshake),
        rooms: socket.rooms.clone(),
        data: socket.data.clone(),
    }
}

/// What a node that may run other software tells of a socket: what is not there, or is something
/// else, is taken as empty.
pub(crate) fn remote_socket(snapshot: SocketSnapshot, namespace: &Namespace) -> RemoteSocket {
    let handshake = &snapshot.handshake;
    let text = |name| handshake.get(name).and_then(Value::as_str).unwrap_or("");
    let flag = |name| {
        handshake
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    let issued = handshake.get("issued").and_then(Value::as_u64).unwrap_or(0);
    RemoteSocket {
        id: snapshot.id,
        handshake: RemoteHandshake {
            headers: texts(handshake.get("headers")),
            address: text("address").to_owned(),
            secure: flag("secure"),
            xdomain: flag("xdomain"),
            issued: UNIX_EPOCH
                .checked_add(Duration::from_millis(issued))
                .unwrap_or(SystemTime::UNIX_EPOCH),
            url: text("url").to_owned(),
            query: texts(handshake.get("query")),
            auth: handshake.get("auth").cloned().unwrap_or_default(),
        },
        rooms: snapshot.rooms,
        data: snapshot.data,
        namespace: namespace.clone(),
    }
}

/// An object of texts. What is repeated is joined, as Node does with headers; without a separator
/// the last one counts, as for query parameters.
fn pairs(pairs: &[(String, String)], separator: &str) -> Value {
    let mut members: Vec<(String, Value)> = Vec::new();
    for (name, text) in pairs {
        let known = members.iter_mut().find(|(known, _)| known == name);
        match known {
            Some((_, Value::String(known))) if !separator.is_empty() => {
                known.push_str(separator);
                known.push_str(text);
            }
            Some((_, known)) => *known = text.as_str().into(),
            None => members.push((name.clone(), text.as_str().into())),
        }
    }
    Value::Object(members)
}

fn texts(object: Option<&Value>) -> Vec<(String, String)> {
    let members = object.and_then(Value::as_object).unwrap_or_default();
    let texts = members
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// A time as JavaScript's `Date` prints it in UTC.
fn date(seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let weekday = WEEKDAYS[(days % 7) as usize];
    // Days are counted in periods of 400 years that begin on a 1 March, so that the leap day is
    // the last day of a year.
    let shifted = days + 719_468;
    let (period, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = period * 400 + year + u64::from(month >= 10);
    let month = MONTHS[((month + 2) % 12) as usize];
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!(
        "{weekday} {month} {day:02} {year} {hour:02}:{minute:02}:{second:02} GMT+0000 \
         (Coordinated Universal Time)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_look_as_in_javascript() {
        let tail = " GMT+0000 (Coordinated Universal Time)";
        for (seconds, expected) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_400, "Tue Feb 29 2000 00:00:00"),
            (951_868_799, "Tue Feb 29 2000 23:59:59"),
            (1_709_251_200, "Fri Mar 01 2024 00:00:00"),
            (1_795_245_070, "Sat Nov 21 2026 07:11:10"),
            (4_107_542_399, "Sun Feb 28 2100 23:59:59"),
            (4_107_542_400, "Mon Mar 01 2100 00:00:00"),
        ] {
            assert_eq!(date(seconds), format!("{expected}{tail}"));
        }
    }

    #[test]
    fn repeated_headers_are_joined_and_repeated_parameters_replaced() {
        let list = [("a", "1"), ("b", "2"), ("a", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let read = |value: Value| texts(Some(&value));
        let joined = read(pairs(&list, ", "));
        assert_eq!(joined[0], ("a".to_owned(), "1, 3".to_owned()));
        let replaced = read(pairs(&list, ""));
        assert_eq!(replaced[0], ("a".to_owned(), "3".to_owned()));
        assert_eq!(replaced.len(), 2);
    }
}
