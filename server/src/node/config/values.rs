//! How one setting is read from text (flag, environment) and from TOML, and written back.

mod choices;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

pub(crate) use self::choices::{
    AdapterKind, LogFormat, OtlpCompression, OtlpProtocol, Parser, PythonMode, RedisMode, SameSite,
    Transport,
};

/// A type that a setting can have.
///
/// Errors say what is expected, without the key: the caller knows where the value came from.
pub(crate) trait Setting: Sized {
    /// What `--help` shows in place of the value.
    const PLACEHOLDER: &'static str;
    /// Whether the bare flag, without a value, means `true`.
    const IS_SWITCH: bool = false;
    /// Whether several values may be given, separated by commas.
    const IS_LIST: bool = false;

    fn from_text(text: &str) -> Result<Self, String>;

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::from_text(text),
            other => Err(format!("expected a string, found {}", other.type_str())),
        }
    }

    /// `None` when the setting is not set, which TOML cannot say.
    fn to_toml(&self) -> Option<Value>;
}

impl Setting for String {
    const PLACEHOLDER: &'static str = "TEXT";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Setting for PathBuf {
    const PLACEHOLDER: &'static str = "PATH";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn to_toml(&self) -> Option<Value> {
        // Every path was read from text, so nothing is lost.
        Some(Value::String(self.to_string_lossy().into_owned()))
    }
}

impl Setting for SocketAddr {
    const PLACEHOLDER: &'static str = "ADDRESS:PORT";

    fn from_text(text: &str) -> Result<Self, String> {
        let expected = "expected an address and a port such as 127.0.0.1:9100";
        text.parse().map_err(|_| expected.to_owned())
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl Setting for bool {
    const PLACEHOLDER: &'static str = "BOOL";
    const IS_SWITCH: Self = true;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let found = value.as_bool();
        found.ok_or_else(|| format!("expected true or false, found {}", value.type_str()))
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Setting for u16 {
    const PLACEHOLDER: &'static str = "NUMBER";

    fn from_text(text: &str) -> Result<Self, String> {
        let number = text.parse();
        number.map_err(|_| format!("expected a number from 0 to {}", Self::MAX))
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let number = value.as_integer().and_then(|n| Self::try_from(n).ok());
        number.ok_or_else(|| format!("expected a number from 0 to {}", Self::MAX))
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Integer(i64::from(*self)))
    }
}

impl Setting for usize {
    const PLACEHOLDER: &'static str = "NUMBER";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected a whole number".to_owned())
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        let number = value.as_integer().and_then(|n| Self::try_from(n).ok());
        number.ok_or_else(|| "expected a whole number".to_owned())
    }

    fn to_toml(&self) -> Option<Value> {
        // What does not fit i64 could not have been meant as a limit.
        Some(Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
    }
}

/// A number of bytes, with an optional unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) usize);

impl Setting for Bytes {
    const PLACEHOLDER: &'static str = "BYTES";

    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text);
        let factor = match unit {
            "" | "B" => 1,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => 0,
        };
        let bytes = number.parse().ok().filter(|_| factor > 0);
        let bytes = bytes.and_then(|number: usize| number.checked_mul(factor));
        let expected = "expected bytes such as 1000000, 64KiB or 16MiB";
        bytes.map(Self).ok_or_else(|| expected.to_owned())
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::from_text(text),
            other => usize::from_toml(other).map(Self),
        }
    }

    fn to_toml(&self) -> Option<Value> {
        self.0.to_toml()
    }
}

impl Setting for Duration {
    const PLACEHOLDER: &'static str = "DURATION";

    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text);
        let millis = match unit {
            // Node's options are plain milliseconds.
            "" | "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        let number = number.parse().ok().filter(|_| millis > 0);
        let millis = number.and_then(|number: u64| number.checked_mul(millis));
        let expected = "expected a duration such as 25s, 500ms or 25000 (milliseconds)";
        // Deadlines are computed as now + duration, so a value near u64::MAX would overflow there.
        let millis = millis.filter(|millis| *millis <= 366 * 24 * 3_600_000);
        millis
            .map(Self::from_millis)
            .ok_or_else(|| expected.to_owned())
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::Integer(millis) => Self::from_text(&millis.to_string()),
            Value::String(text) => Self::from_text(text),
            other => Err(format!("expected a duration, found {}", other.type_str())),
        }
    }

    fn to_toml(&self) -> Option<Value> {
        let millis = self.as_millis();
        Some(Value::String(match millis % 1_000 {
            0 => format!("{}s", millis / 1_000),
            _ => format!("{millis}ms"),
        }))
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

impl Setting for Ratio {
    const PLACEHOLDER: &'static str = "RATIO";

    fn from_text(text: &str) -> Result<Self, String> {
        let ratio = text.trim().parse().ok();
        let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
        let expected = || "expected a number from 0 to 1".to_owned();
        ratio.map(Self).ok_or_else(expected)
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::Float(ratio) => Self::from_text(&ratio.to_string()),
            Value::Integer(ratio) => Self::from_text(&ratio.to_string()),
            other => Err(format!("expected a number, found {}", other.type_str())),
        }
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Float(self.0))
    }
}

/// A list: commas in text, an array (or one value) in TOML.
impl<T: Setting> Setting for Vec<T> {
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    const IS_LIST: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(T::from_text)
            .collect()
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(T::from_toml).collect(),
            Value::String(text) => Self::from_text(text),
            one => T::from_toml(one).map(|one| vec![one]),
        }
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(T::to_toml).collect()))
    }
}

/// A setting that may be absent; empty text means absent, so that a variable can undo a file.
impl<T: Setting> Setting for Option<T> {
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    const IS_SWITCH: bool = T::IS_SWITCH;
    const IS_LIST: bool = T::IS_LIST;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(None),
            _ => T::from_text(text).map(Some),
        }
    }

    fn from_toml(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.is_empty() => Ok(None),
            _ => T::from_toml(value).map(Some),
        }
    }

    fn to_toml(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_toml)
    }
}

/// Splits "25s" into "25" and "s".
fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_milliseconds() {
        let read = |text| Duration::from_text(text).ok();
        assert_eq!(read("25s"), Some(Duration::from_secs(25)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("2 min"), Some(Duration::from_secs(120)));
        assert_eq!(read("20000"), Some(Duration::from_secs(20)));
        for wrong in [
            "",
            "s",
            "-1",
            "1.5s",
            "25sec",
            "1d",
            "99999999999999999999",
            "99999999h",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let toml = Duration::from_toml(&Value::Integer(-5));
        assert!(toml.is_err());
    }

    #[test]
    fn bytes_have_units() {
        let read = |text| Bytes::from_text(text).ok().map(|bytes| bytes.0);
        assert_eq!(read("1000000"), Some(1_000_000));
        assert_eq!(read("16MiB"), Some(16 << 20));
        assert_eq!(read("1MB"), Some(1_000_000));
        for wrong in ["", "MiB", "1e6", "-1", "18446744073709551615KiB"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ratios_are_parts_of_a_whole() {
        let read = |text| Ratio::from_text(text).ok().map(|ratio| ratio.0);
        assert_eq!(read("0.25"), Some(0.25));
        assert_eq!((read("0"), read("1")), (Some(0.0), Some(1.0)));
        for wrong in ["", "-0.1", "1.01", "NaN", "half", "10%"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let toml = |value: Value| Ratio::from_toml(&value).ok().map(|ratio| ratio.0);
        assert_eq!(toml(Value::Integer(1)), Some(1.0));
        assert_eq!(toml(Value::Float(0.5)), Some(0.5));
        assert_eq!(toml(Value::Float(1.5)), None);
    }

    #[test]
    fn lists_and_absence() {
        type List = Vec<String>;
        assert_eq!(
            List::from_text("a, b,").ok(),
            Some(vec!["a".into(), "b".into()])
        );
        assert_eq!(List::from_text("").ok(), Some(vec![]));
        assert_eq!(Option::<u16>::from_text("").ok(), Some(None));
        assert_eq!(Option::<u16>::from_text("7").ok(), Some(Some(7)));
        assert!(Option::<u16>::from_text("x").is_err());
    }
}
