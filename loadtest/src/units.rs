//! Values as people write them: durations, sizes, rates that change.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is no value of the kind that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {wanted}")]
pub struct ParseError {
    text: String,
    wanted: &'static str,
}

impl ParseError {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            wanted,
        }
    }
}

/// A duration such as `250us`, `20ms`, `1.5s`, `2m` or `1h`.
///
/// ```
/// use socketio_loadtest::units::Span;
///
/// assert_eq!("1.5s".parse::<Span>()?.as_micros(), 1_500_000);
/// assert!("5".parse::<Span>().is_err());
/// # Ok::<(), socketio_loadtest::units::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl Span {
    /// A number of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Microseconds, the unit of all measures.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }

    /// Seconds with fractions.
    #[must_use]
    pub fn as_secs(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const WANTED: &str = "duration; write 500us, 20ms, 1.5s, 2m or 1h";
        let error = || ParseError::new(text, WANTED);
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let number: f64 = number.parse().map_err(|_| error())?;
        let scale = match unit.trim() {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "" if number == 0.0 => 1.0,
            _ => return Err(error()),
        };
        let seconds = number * scale;
        // Some thirty years: beyond any run, and far from every overflow.
        if seconds > 1e9 {
            return Err(error());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&micros(self.as_micros() as f64))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact, unlike `Display`.
        serializer.collect_str(&format_args!("{}us", self.as_micros()))
    }
}

/// Microseconds in the unit that reads best, with three digits.
#[must_use]
pub fn micros(value: f64) -> String {
    let (value, unit) = match value {
        v if v < 1e3 => (v, "µs"),
        v if v < 1e6 => (v / 1e3, "ms"),
        v => (v / 1e6, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Bytes in the unit that reads best, with three digits; units are powers of 1000.
#[must_use]
pub fn bytes(value: f64) -> String {
    match value.abs() {
        v if v < 1e3 => format!("{} B", digits(value)),
        v if v < 1e6 => format!("{} kB", digits(value / 1e3)),
        v if v < 1e9 => format!("{} MB", digits(value / 1e6)),
        _ => format!("{} GB", digits(value / 1e9)),
    }
}

/// Reads a number of bytes: `2048`, `500kB`, `1.5GB`, `64MiB`.
///
/// # Errors
///
/// When it is none.
pub fn parse_bytes(text: &str) -> Result<f64, ParseError> {
    let error = || ParseError::new(text, "size; write 2048, 500kB, 64MiB or 1.5GB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| error())?;
    let scale = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(error()),
    };
    Ok(number * scale)
}

/// A count in three or four digits: `950`, `12.4k`, `3.21M`.
#[must_use]
pub fn count(value: f64) -> String {
    match value.abs() {
        v if v < 1e4 => digits(value),
        v if v < 1e6 => format!("{}k", digits(value / 1e3)),
        v if v < 1e9 => format!("{}M", digits(value / 1e6)),
        _ => format!("{}G", digits(value / 1e9)),
    }
}

/// A time in seconds since 1970 as `2026-11-21 19:40:12 UTC`.
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar in years that begin in March, so that the leap day comes last.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn digits(value: f64) -> String {
    let text = match value.abs() {
        v if v >= 100.0 || v == 0.0 => return format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    trimmed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_290_012, "2026-11-21 19:40:12 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, micros) in [
            ("250us", 250),
            ("20ms", 20_000),
            ("1.5s", 1_500_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("0", 0),
        ] {
            assert_eq!(text.parse::<Span>().map(Span::as_micros), Ok(micros));
        }
        for text in [
            "", "5", "s", "-1s", "1 week", "1..2s", "nan s", "inf", "9999999h",
        ] {
            let error = text.parse::<Span>().expect_err(text);
            assert!(error.to_string().contains("no duration"), "{error}");
        }
    }

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!(micros(950.0), "950 µs");
        assert_eq!(micros(12_340.0), "12.3 ms");
        assert_eq!(micros(1_500_000.0), "1.5 s");
        assert_eq!(count(0.0), "0");
        assert_eq!(count(9_999.0), "9999");
        assert_eq!(count(123_456.0), "123k");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in 0u64..1_000_000_000_000) {
            let span = Span(Duration::from_micros(micros));
            let json = serde_json::to_string(&span).expect("text");
            let back: Span = serde_json::from_str(&json).expect("a span");
            prop_assert!(back.as_micros().abs_diff(micros) <= 1);
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = text.parse::<Span>();
        }
    }
}
