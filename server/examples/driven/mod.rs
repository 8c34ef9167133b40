//! What the examples have in common that the suites in `interop/` drive: lines on standard input and
//! output, and values in them.

use std::fmt;
use std::io::Write as _;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use socketio_server::Value;
use tokio::sync::mpsc;

/// Any number of arguments, which a tuple cannot be.
pub(crate) struct Arguments(pub(crate) Vec<Value>);

/// More than any suite answers with.
const MOST_ARGUMENTS: usize = 8;

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = seq.next_element()? {
                    arguments.push(argument);
                }
                // Arguments that are missing come as null.
                while arguments.last().is_some_and(Value::is_null) {
                    arguments.pop();
                }
                Ok(Arguments(arguments))
            }
        }
        deserializer.deserialize_tuple(MOST_ARGUMENTS, Collect)
    }
}

/// One value or a list of them, as texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let one = std::slice::from_ref(value);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    value.as_array().unwrap_or(one).iter().map(text).collect()
}

/// Bytes become `{"<mark>": "<hex>"}`, wherever they are.
pub(crate) fn with_hex(value: Value, mark: &str) -> Value {
    match value {
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            [(mark, Value::from(hex))].into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(|item| with_hex(item, mark)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, with_hex(value, mark)))
            .collect(),
        other => other,
    }
}

/// Writes a line.
pub(crate) fn say(line: &str) {
    // Nobody listens any more: the end of standard input follows.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The lines of standard input; ends with it.
pub(crate) fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1_024);
    // A thread that is not waited for at the end, unlike tokio's own for standard input.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
