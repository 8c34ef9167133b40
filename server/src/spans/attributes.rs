//! What spans say, within bounds.

use http::HeaderMap;
use socketio_core::engine::Revision;
use socketio_core::ids::Room;
use socketio_core::trace::TraceContext;

use crate::socket::Socket;

/// Longest text of an attribute that others choose, in bytes.
const LONGEST: usize = 128;

/// The beginning of a text.
pub(super) fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// The names of rooms, as far as there is space; nothing for none.
pub(super) fn list(rooms: &[Room]) -> Option<String> {
    let mut list = String::new();
    for room in rooms {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(short(room.as_str()));
        if list.len() > LONGEST {
            list.truncate(list.floor_char_boundary(LONGEST));
            break;
        }
    }
    (!rooms.is_empty()).then_some(list)
}

/// The id of a socket. Those of Engine.IO 3 are made of the session's, which is a secret.
pub(super) fn socket_id(socket: &Socket) -> Option<&str> {
    (socket.conn().revision() == Revision::V4).then(|| socket.id().as_str())
}

/// What the headers of a request say. `traceparent` must come once; of `tracestate` there may be several.
pub(super) fn of_headers(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next()?.to_str().ok()?.trim();
    if parents.next().is_some() {
        return None;
    }
    let states = headers.get_all("tracestate").iter();
    let states: Option<Vec<&str>> = states.map(|state| state.to_str().ok()).collect();
    let state = states.map(|states| states.join(","));
    TraceContext::parse(parent, state.as_deref()).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn one_traceparent_and_any_number_of_states_are_read() {
        let of = |pairs: &[(&'static str, &'static str)]| of_headers(&headers(pairs));
        let plain = of(&[("traceparent", PARENT)]).expect("valid");
        assert_eq!(plain.traceparent().as_str(), PARENT);
        assert_eq!(plain.tracestate(), None);
        let both = of(&[
            ("tracestate", "a=1"),
            ("traceparent", PARENT),
            ("tracestate", "b=2"),
        ]);
        assert_eq!(both.expect("valid").tracestate(), Some("a=1,b=2"));
        assert_eq!(of(&[("tracestate", "a=1")]), None);
        assert_eq!(of(&[("traceparent", "00-nonsense")]), None);
        assert_eq!(
            of(&[("traceparent", PARENT), ("traceparent", PARENT)]),
            None
        );
    }

    #[test]
    fn what_others_choose_is_cut() {
        assert_eq!(short("short"), "short");
        let long = "é".repeat(100);
        assert_eq!(short(&long), "é".repeat(64));
        assert_eq!(list(&[]), None);
        let rooms: Vec<Room> = vec!["a".into(), "b".into()];
        assert_eq!(list(&rooms).as_deref(), Some("a,b"));
        let rooms = vec![Room::from(long); 1000];
        assert!(list(&rooms).is_some_and(|list| list.len() <= LONGEST));
    }
}
