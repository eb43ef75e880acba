//! Lengths of time and lists, as an operator writes them.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use larder_protocol::Ttl;
use serde::Deserialize;
use thiserror::Error;

/// A length of time greater than zero, in the spellings of a TTL: `500ms`, `1s`, `5m`, `PT5M`, or seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Interval(pub(super) Duration);

/// A text that is no length of time.
#[derive(Debug, Error)]
#[error("write a time greater than zero as 500ms, 1s or 5m")]
pub(super) struct IntervalError;

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Interval, IntervalError> {
        match Ttl::parse(text) {
            Ok(Ttl::After(ms)) if ms > 0 => Ok(Interval(Duration::from_millis(ms))),
            _ => Err(IntervalError),
        }
    }
}

impl TryFrom<String> for Interval {
    type Error = IntervalError;

    fn try_from(text: String) -> Result<Interval, IntervalError> {
        text.parse()
    }
}

/// Words, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) struct Words(pub(super) Vec<String>);

impl From<String> for Words {
    fn from(text: String) -> Words {
        Words(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

impl FromStr for Words {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Words, Infallible> {
        Ok(Words::from(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_with_units() {
        let read = |text: &str| text.parse::<Interval>().ok().map(|interval| interval.0.as_millis());
        assert_eq!(read("1s"), Some(1_000));
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("2"), Some(2_000));
        for refused in ["", "0", "0s", "-1s", "soon", "2030-01-01T00:00:00Z"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
