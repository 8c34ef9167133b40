//! Sockets as other nodes see them, in the form that Node.js gives them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socketio_core::cluster::{LazyValue, SocketSnapshot};
use socketio_core::msgpack::{
    write_bool, write_map_header, write_nil, write_str, write_uint, write_value,
};
use socketio_core::value::Value;

use crate::handshake::Handshake;
use crate::namespace::Namespace;
use crate::remote::{LazyHandshake, RemoteHandshake, RemoteSocket};
use crate::socket::Socket;

pub(super) fn of(socket: &Socket) -> SocketSnapshot {
    SocketSnapshot {
        id: socket.id().clone(),
        handshake: handshake(socket.handshake(), &socket.auth().unwrap_or_default()),
        rooms: socket.rooms(),
        data: socket.data_value(),
    }
}

/// Written at once, since there may be thousands of sockets with some twenty texts each.
fn handshake(handshake: &Handshake, auth: &Value) -> LazyValue {
    let issued = handshake.issued.duration_since(UNIX_EPOCH);
    let issued = issued.unwrap_or_default();
    let mut out = Vec::with_capacity(1024);
    write_map_header(&mut out, 9);
    write_str(&mut out, "headers");
    write_map_header(&mut out, handshake.headers.keys_len());
    for name in handshake.headers.keys() {
        write_str(&mut out, name.as_str());
        // What is repeated is joined, as Node does.
        let texts = handshake.headers.get_all(name).iter();
        let mut texts = texts.map(|text| String::from_utf8_lossy(text.as_bytes()));
        let mut text = texts.next().unwrap_or_default();
        for more in texts {
            text += ", ";
            text += more;
        }
        write_str(&mut out, &text);
    }
    write_str(&mut out, "time");
    write_str(&mut out, &date(issued.as_secs()));
    write_str(&mut out, "address");
    match handshake.address {
        Some(address) => write_str(&mut out, &address.ip().to_string()),
        None => write_str(&mut out, ""),
    }
    write_str(&mut out, "xdomain");
    write_bool(&mut out, handshake.xdomain);
    write_str(&mut out, "secure");
    write_bool(&mut out, handshake.secure);
    write_str(&mut out, "issued");
    match u64::try_from(issued.as_millis()) {
        Ok(millis) => write_uint(&mut out, millis),
        Err(_) => write_nil(&mut out),
    }
    write_str(&mut out, "url");
    write_str(&mut out, &handshake.url);
    write_str(&mut out, "query");
    // Of a name that occurs twice readers take the last value.
    write_map_header(&mut out, handshake.query.len());
    for (name, text) in &handshake.query {
        write_str(&mut out, name);
        write_str(&mut out, text);
    }
    write_str(&mut out, "auth");
    write_value(&mut out, auth);
    LazyValue::from_msgpack(out)
}

pub(crate) fn remote_socket(snapshot: SocketSnapshot, namespace: &Namespace) -> RemoteSocket {
    RemoteSocket {
        id: snapshot.id,
        handshake: LazyHandshake::from(snapshot.handshake),
        rooms: snapshot.rooms,
        data: snapshot.data,
        namespace: namespace.clone(),
    }
}

/// What a node that may run other software tells of a socket: what is not there, or is something
/// else, is taken as empty.
pub(crate) fn remote_handshake(told: &LazyValue) -> RemoteHandshake {
    let mut handshake = RemoteHandshake {
        headers: Vec::new(),
        address: String::new(),
        secure: false,
        xdomain: false,
        issued: UNIX_EPOCH,
        url: String::new(),
        query: Vec::new(),
        auth: Value::Null,
    };
    for (name, value) in members(told.read().into_owned()) {
        match (&*name, value) {
            ("headers", value) => handshake.headers = texts(value),
            ("address", Value::String(address)) => handshake.address = address,
            ("secure", Value::Bool(secure)) => handshake.secure = secure,
            ("xdomain", Value::Bool(xdomain)) => handshake.xdomain = xdomain,
            ("issued", value) => handshake.issued = time(&value),
            ("url", Value::String(url)) => handshake.url = url,
            ("query", value) => handshake.query = texts(value),
            ("auth", auth) => handshake.auth = auth,
            _ => {}
        }
    }
    handshake
}

fn time(millis: &Value) -> SystemTime {
    let millis = Duration::from_millis(millis.as_u64().unwrap_or(0));
    UNIX_EPOCH.checked_add(millis).unwrap_or(UNIX_EPOCH)
}

fn members(object: Value) -> Vec<(String, Value)> {
    match object {
        Value::Object(members) => members,
        _ => Vec::new(),
    }
}

fn texts(object: Value) -> Vec<(String, String)> {
    let texts = members(object)
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        });
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
    use http::{HeaderMap, HeaderValue};

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
    fn a_handshake_is_told_whole_and_headers_that_are_repeated_are_joined() {
        let mut headers = HeaderMap::new();
        for (name, text) in [("a", "1"), ("b", "\u{e9}"), ("a", "3")] {
            let text = HeaderValue::from_bytes(text.as_bytes()).expect("a header");
            headers.append(name, text);
        }
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let local = Handshake {
            headers,
            query: vec![pair("q", "1"), pair("q", "2")],
            url: "/?q=1&q=2".to_owned(),
            address: Some(([127, 0, 0, 1], 80).into()),
            secure: true,
            xdomain: true,
            issued: UNIX_EPOCH + Duration::from_millis(1_001),
        };
        let auth = Value::from_iter([("token", Value::from("x"))]);
        let told = handshake(&local, &auth);
        let date = "Thu Jan 01 1970 00:00:01 GMT+0000 (Coordinated Universal Time)";
        assert_eq!(told.read().get("time").and_then(Value::as_str), Some(date));
        let query = told.read().get("query").cloned().expect("an object");
        assert_eq!(query.get("q").and_then(Value::as_str), Some("2"));
        let mut remote = remote_handshake(&told);
        remote.headers.sort();
        let expected = RemoteHandshake {
            headers: vec![pair("a", "1, 3"), pair("b", "\u{e9}")],
            address: "127.0.0.1".to_owned(),
            secure: true,
            xdomain: true,
            issued: local.issued,
            url: local.url,
            query: local.query,
            auth,
        };
        assert_eq!(remote, expected);
    }

    #[test]
    fn what_another_node_does_not_tell_is_empty() {
        let empty = remote_handshake(&Value::Null.into());
        assert_eq!((empty.issued, empty.auth), (UNIX_EPOCH, Value::Null));
        let odd = [("headers", Value::from(1)), ("issued", u64::MAX.into())];
        let odd = remote_handshake(&Value::from_iter(odd).into());
        assert!(odd.headers.is_empty());
    }
}
