//! Conditions that a run must meet.

use std::fmt;
use std::str::FromStr;

use crate::measure::Measure;
use crate::units::{self, Span};

/// Text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no threshold: {reason}")]
pub struct ThresholdError {
    text: String,
    reason: String,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// A statistic of a measure, in microseconds.
    Time(Measure, Statistic),
    /// A number.
    Number(Number),
}

/// What a limit is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Time,
    Bytes,
    One,
}

impl Quantity {
    const fn unit(self) -> Unit {
        match self {
            Self::Time(_, Statistic::Count) => Unit::One,
            Self::Time(..) | Self::Number(Number::CpuPerDelivery) => Unit::Time,
            Self::Number(Number::Rss | Number::RssPerClient) => Unit::Bytes,
            Self::Number(_) => Unit::One,
        }
    }
}

/// A statistic of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// The value that this share does not exceed.
    Quantile(f64),
    /// The longest.
    Max,
    /// The mean.
    Mean,
    /// How many there were; no duration.
    Count,
}

/// Numbers that are no durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names in conditions, see `NUMBERS`")]
pub enum Number {
    Lost,
    LostUnconfirmed,
    Missed,
    Duplicated,
    Reordered,
    Errors,
    Disconnected,
    Sent,
    Delivered,
    Acked,
    SentRate,
    DeliveredRate,
    AckedRate,
    Clients,
    Connections,
    Churned,
    SlowClosed,
    CpuPerDelivery,
    Cores,
    Rss,
    RssPerClient,
    OwnCores,
    OwnWait,
}

/// The names of the numbers.
pub const NUMBERS: [(&str, Number); 23] = [
    ("lost", Number::Lost),
    ("lost-unconfirmed", Number::LostUnconfirmed),
    ("missed", Number::Missed),
    ("duplicated", Number::Duplicated),
    ("reordered", Number::Reordered),
    ("errors", Number::Errors),
    ("disconnected", Number::Disconnected),
    ("sent", Number::Sent),
    ("delivered", Number::Delivered),
    ("acked", Number::Acked),
    ("sent.rate", Number::SentRate),
    ("delivered.rate", Number::DeliveredRate),
    ("acked.rate", Number::AckedRate),
    ("clients", Number::Clients),
    ("connections", Number::Connections),
    ("churned", Number::Churned),
    ("slow-closed", Number::SlowClosed),
    ("cpu-per-delivery", Number::CpuPerDelivery),
    ("cores", Number::Cores),
    ("rss", Number::Rss),
    ("rss-per-client", Number::RssPerClient),
    ("own-cores", Number::OwnCores),
    ("own-wait", Number::OwnWait),
];

impl Number {
    /// Whether it can only grow while a run goes on, so that a limit once broken stays broken. (What
    /// is lost may still come.)
    const fn grows(self) -> bool {
        matches!(
            self,
            Self::Missed
                | Self::Duplicated
                | Self::Reordered
                | Self::Errors
                | Self::Disconnected
                | Self::Sent
                | Self::Delivered
                | Self::Acked
                | Self::Clients
                | Self::Connections
                | Self::Churned
                | Self::SlowClosed
                | Self::Rss
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// One condition, such as `delivery.p99<50ms` or `lost==0`.
///
/// ```
/// use socketio_loadtest::threshold::Threshold;
///
/// let threshold: Threshold = "delivery.p99 < 50ms".parse()?;
/// assert!(threshold.holds(49_000.0) && !threshold.holds(50_000.0));
/// # Ok::<(), socketio_loadtest::threshold::ThresholdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    text: String,
    /// What is compared.
    pub quantity: Quantity,
    comparison: Comparison,
    limit: f64,
}

impl Threshold {
    /// Whether a value meets it; durations in microseconds.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::LessOrEqual => value <= self.limit,
            Comparison::Equal => (value - self.limit).abs() < 1e-9,
            Comparison::NotEqual => (value - self.limit).abs() >= 1e-9,
            Comparison::GreaterOrEqual => value >= self.limit,
            Comparison::Greater => value > self.limit,
        }
    }

    /// Whether it cannot hold at the end, whatever still comes, if the value is this now.
    #[must_use]
    pub fn is_beyond_hope(&self, value: f64) -> bool {
        let grows = match self.quantity {
            Quantity::Number(number) => number.grows(),
            Quantity::Time(_, Statistic::Max | Statistic::Count) => true,
            Quantity::Time(..) => false,
        };
        grows
            && match self.comparison {
                Comparison::Less | Comparison::LessOrEqual => !self.holds(value),
                Comparison::Equal => value > self.limit,
                Comparison::NotEqual | Comparison::GreaterOrEqual | Comparison::Greater => false,
            }
    }

    /// A value in the unit of the quantity.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        match self.quantity.unit() {
            Unit::Time => units::micros(value),
            Unit::Bytes => units::bytes(value),
            Unit::One => units::count(value),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let error = |reason: String| ThresholdError {
            text: text.to_owned(),
            reason,
        };
        let found = COMPARISONS.iter().find_map(|(symbol, comparison)| {
            text.split_once(symbol)
                .map(|(left, right)| (left.trim(), *comparison, right.trim()))
        });
        let (name, comparison, value) =
            found.ok_or_else(|| error("write it as delivery.p99<50ms or lost==0".to_owned()))?;
        let quantity = quantity(name).ok_or_else(|| {
            let numbers: Vec<&str> = NUMBERS.iter().map(|(name, _)| *name).collect();
            error(format!(
                "there is no `{name}`; there are connect, upgrade, first, ack, delivery and lag with \
                 .p50, .p99.9, .max, .mean or .count, and {}",
                numbers.join(", ")
            ))
        })?;
        let limit = match quantity.unit() {
            Unit::Time => {
                let span: Result<Span, _> = value.parse();
                span.map(|span| span.0.as_secs_f64() * 1e6)
                    .map_err(|cause| error(cause.to_string()))?
            }
            Unit::Bytes => {
                let bytes = units::parse_bytes(value);
                bytes.map_err(|cause| error(cause.to_string()))?
            }
            Unit::One => {
                let number: Option<f64> = value.parse().ok();
                let number = number.filter(|number| number.is_finite());
                number.ok_or_else(|| error(format!("`{value}` is no number")))?
            }
        };
        Ok(Self {
            text: text.trim().to_owned(),
            quantity,
            comparison,
            limit,
        })
    }
}

fn quantity(name: &str) -> Option<Quantity> {
    if let Some((_, number)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        return Some(Quantity::Number(*number));
    }
    let (measure, statistic) = name.split_once('.')?;
    let measure = Measure::from_name(measure)?;
    let statistic = match statistic {
        "max" => Statistic::Max,
        "mean" => Statistic::Mean,
        "count" => Statistic::Count,
        percentile => {
            let percentile: f64 = percentile.strip_prefix('p')?.parse().ok()?;
            if !(0.0..=100.0).contains(&percentile) {
                return None;
            }
            Statistic::Quantile(percentile / 100.0)
        }
    };
    Some(Quantity::Time(measure, statistic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().expect(text)
    }

    #[test]
    fn conditions_compare() {
        assert!(threshold("lost==0").holds(0.0));
        assert!(!threshold("lost == 0").holds(1.0));
        assert!(threshold("delivered.rate>=1000").holds(1000.0));
        assert!(threshold("ack.p99.9 <= 1ms").holds(1000.0));
        assert!(threshold("errors!=0").holds(2.0));
        assert_eq!(threshold("ack.max<1s").show(2_000_000.0), "2 s");
        assert!(threshold("connect.count>=100").holds(100.0));
        assert!(threshold("rss<1.5GB").holds(1.4e9) && threshold("rss>1MiB").holds(1_048_577.0));
        assert_eq!(threshold("rss-per-client<20kB").show(12_345.0), "12.3 kB");
        assert_eq!(threshold("own-cores<0.5").show(0.25), "0.25");
    }

    #[test]
    fn only_what_cannot_heal_is_beyond_hope() {
        assert!(threshold("errors<3").is_beyond_hope(3.0));
        assert!(threshold("duplicated==0").is_beyond_hope(1.0));
        assert!(!threshold("delivered>=100").is_beyond_hope(1.0));
        // A gap may still be filled, a percentile may fall again.
        assert!(!threshold("lost==0").is_beyond_hope(1.0));
        assert!(!threshold("delivery.p99<1ms").is_beyond_hope(5000.0));
    }

    #[test]
    fn nonsense_is_told() {
        for text in [
            "",
            "lost",
            "lost=0",
            "list==0",
            "delivery<5ms",
            "delivery.p101<5ms",
            "delivery.p99<5",
            "lost==x",
            "lost==inf",
            "rss<5s",
            "rss<-1MB",
            "ack.count<5ms",
        ] {
            let error = text.parse::<Threshold>().expect_err(text).to_string();
            assert!(
                error.contains("no threshold") && !error.contains('\n'),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(delivery|lost|\\.p|<|=|[0-9]|ms|.){0,8}") {
            let _ = text.parse::<Threshold>();
        }
    }
}
