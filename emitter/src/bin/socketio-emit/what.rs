//! What is to be sent, and to whom.

use std::io::Read;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use socketio_core::packet::RESERVED_EVENTS;
use socketio_emitter::{EmitError, Emitter, Operator, Payload, Value};

use crate::args::Args;
use crate::exit::{Failure, code};

/// One event, with what it says about its recipients.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) payload: Payload,
    pub(crate) to: Recipients,
}

/// Whom an event is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recipients {
    pub(crate) namespace: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) volatile: bool,
}

impl Recipients {
    pub(crate) fn of(args: &Args) -> Self {
        Self {
            namespace: args.namespace.clone(),
            rooms: args.rooms.clone(),
            except: args.except.clone(),
            volatile: args.volatile,
        }
    }

    pub(crate) fn operator(&self, emitter: &Emitter, args: &Args) -> Operator {
        let operator = emitter
            .of(&self.namespace)
            .to(&self.rooms[..])
            .except(&self.except[..])
            .compress(!args.no_compress)
            .timeout(args.timeout);
        let operator = match args.trace_context() {
            Some(context) => operator.trace_context(context),
            None => operator,
        };
        if self.volatile {
            operator.volatile()
        } else {
            operator
        }
    }
}

/// The event of the command line.
pub(crate) fn from_arguments(event: &str, args: &Args) -> Result<Event, Failure> {
    if !args.server_side {
        check_name(event)?;
    }
    let mut elements = vec![Value::from(event)];
    for (at, argument) in args.arguments.iter().enumerate() {
        let element = self::argument(argument, args.text);
        elements.push(element.map_err(|failure| failure.at(format!("argument {}", at + 1)))?);
    }
    Ok(Event {
        payload: Payload::from_values(&elements),
        to: Recipients::of(args),
    })
}

/// The emitter would say so too, but only when there is one.
fn check_name(event: &str) -> Result<(), Failure> {
    if RESERVED_EVENTS.contains(&event) {
        return Err(EmitError::Reserved(event.to_owned()).into());
    }
    Ok(())
}

fn argument(text: &str, plain: bool) -> Result<Value, Failure> {
    if plain {
        return Ok(text.into());
    }
    let Some(file) = text.strip_prefix('@') else {
        return serde_json::from_str(text)
            .map_err(|error| Failure::new(code::DATA, format!("{error}; use --text for text")));
    };
    let read = if file == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    match read {
        Ok(bytes) => Ok(Value::Bytes(Bytes::from(bytes))),
        Err(error) => Err(Failure::new(code::INPUT, error).at(file)),
    }
}

/// A line of standard input that is an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    event: String,
    #[serde(default)]
    args: Vec<Value>,
    namespace: Option<String>,
    to: Option<Rooms>,
    except: Option<Rooms>,
    volatile: Option<bool>,
}

/// One room, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rooms {
    One(String),
    Several(Vec<String>),
}

impl From<Rooms> for Vec<String> {
    fn from(rooms: Rooms) -> Self {
        match rooms {
            Rooms::One(room) => vec![room],
            Rooms::Several(rooms) => rooms,
        }
    }
}

/// The event of a line; `None` if it is blank.
pub(crate) fn from_line(line: &str, defaults: &Recipients) -> Result<Option<Event>, Failure> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let no_json = |error: serde_json::Error| Failure::new(code::DATA, error);
    let to = defaults.clone();
    if line.starts_with('[') {
        // The text goes to the clients as it is, so that no number loses a digit.
        serde_json::from_str::<IgnoredAny>(line).map_err(no_json)?;
        let payload = Payload::from_json(line.into(), Vec::new());
        let payload = payload.map_err(|error| Failure::new(code::DATA, error))?;
        let Some(name) = payload.event_name() else {
            let error = "the first element must name the event";
            return Err(Failure::new(code::DATA, error));
        };
        check_name(&name)?;
        return Ok(Some(Event { payload, to }));
    }
    let line: Line = serde_json::from_str(line).map_err(no_json)?;
    check_name(&line.event)?;
    let mut elements = vec![Value::from(line.event)];
    elements.extend(line.args);
    Ok(Some(Event {
        payload: Payload::from_values(&elements),
        to: Recipients {
            namespace: line.namespace.unwrap_or(to.namespace),
            rooms: line.to.map_or(to.rooms, Vec::from),
            except: line.except.map_or(to.except, Vec::from),
            volatile: line.volatile.unwrap_or(to.volatile),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Recipients {
        Recipients {
            namespace: "/n".to_owned(),
            rooms: vec!["r".to_owned()],
            except: Vec::new(),
            volatile: true,
        }
    }

    fn line(text: &str) -> Event {
        let event = from_line(text, &defaults()).expect("a line");
        event.expect("not blank")
    }

    #[test]
    fn an_array_keeps_its_text() {
        let event = line(" [\"e\", 1.0, 12345678901234567890123]\n");
        assert_eq!(
            event.payload.json(),
            r#"["e", 1.0, 12345678901234567890123]"#
        );
        assert_eq!(event.to, defaults());
    }

    #[test]
    fn an_object_may_say_who_gets_it() {
        let event = line(
            r#"{"event":"e","args":[1,{"a":null}],"to":"a","except":["b","c"],"volatile":false,"namespace":"/m"}"#,
        );
        assert_eq!(event.payload.json(), r#"["e",1,{"a":null}]"#);
        assert_eq!(event.to.namespace, "/m");
        assert_eq!(event.to.rooms, ["a"]);
        assert_eq!(event.to.except, ["b", "c"]);
        assert!(!event.to.volatile);
        assert_eq!(line(r#"{"event":"e"}"#).to, defaults());
    }

    #[test]
    fn blank_lines_are_nothing() {
        for text in ["", "  \t", "\r\n"] {
            assert!(from_line(text, &defaults()).expect("no error").is_none());
        }
    }

    #[test]
    fn other_lines_are_errors() {
        let lines = [
            "[",
            "[]",
            "[null]",
            "[{}]",
            "[\"connect\"]",
            "7",
            "text",
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"e","arguments":[]}"#,
            r#"["e"] ["f"]"#,
        ];
        for text in lines {
            let failure = from_line(text, &defaults()).expect_err(text);
            assert_eq!(failure.code, code::DATA, "{text}");
        }
    }

    #[test]
    fn arguments_are_json_or_files() {
        assert_eq!(
            argument("[1]", false).expect("JSON"),
            Value::Array(vec![1.into()])
        );
        assert_eq!(argument("[1", true).expect("text"), "[1".into());
        assert_eq!(
            argument("hello", false).expect_err("no JSON").code,
            code::DATA
        );
        assert_eq!(
            argument("@/does/not/exist", false)
                .expect_err("no file")
                .code,
            code::INPUT
        );
        // Tests run in the folder of the package.
        let read = argument("@Cargo.toml", false);
        assert!(matches!(read, Ok(Value::Bytes(bytes)) if !bytes.is_empty()));
    }
}
