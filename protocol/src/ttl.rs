//! Times to live: how they are written, and the deadline they come to.
//!
//! Parsing takes no clock; [`deadline`] is given one, so that the same request always means the same and one command
//! looks at the clock once.

use jiff::fmt::temporal::SpanParser;

use crate::instant;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// When an entry is to expire. Anything finer than a millisecond rounds up: an entry never expires early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// So many milliseconds after the command is taken.
    After(u64),
    /// At that instant, in Unix milliseconds.
    At(u64),
}

/// Why an expiry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// None of the spellings.
    #[error(
        "write a TTL as seconds, as 500ms, 90s, 5m, 2h or 7d, as PT5M or P30D, or as an RFC 3339 instant"
    )]
    Malformed,
    /// Not an instant, where only an instant will do.
    #[error("write an instant as in RFC 3339, for example 2030-01-31T12:00:00Z")]
    MalformedInstant,
    /// Years and months have no fixed length.
    #[error("years and months differ in length; write days")]
    Calendar,
    /// Nothing can live for no time at all.
    #[error("a TTL must be greater than zero")]
    Zero,
    /// Less than nothing.
    #[error("a TTL must not be negative")]
    Negative,
    /// The instant is over.
    #[error("the instant of expiry is not in the future")]
    Past,
    /// Further off than the limit, or than a 64-bit number can say.
    #[error("the expiry lies beyond the limit max_ttl, {} days", max_ttl_ms / DAY_MS)]
    TooLong {
        /// The limit in milliseconds.
        max_ttl_ms: u64,
    },
    /// More than a 64-bit number of milliseconds.
    #[error("the TTL is too large a number")]
    Overflow,
}

impl Ttl {
    /// Reads any spelling of the data model: `3600` (seconds), `500ms`, `90s`, `5m`, `2h`, `7d`, ISO 8601 (`PT5M`,
    /// `P30D`, a day being 24 hours), or an RFC 3339 instant.
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        let bytes = text.as_bytes();
        match bytes.first() {
            Some(b'0'..=b'9') if bytes.get(4) == Some(&b'-') => Self::parse_instant(text),
            Some(b'0'..=b'9') => simple_ms(text).map(Self::After),
            Some(b'P' | b'p') => iso_ms(text).map(Self::After),
            Some(b'-') if Self::parse(&text[1..]).is_ok() => Err(TtlError::Negative),
            _ => Err(TtlError::Malformed),
        }
    }

    /// Reads an RFC 3339 instant. One before 1970 is in the past by any clock.
    pub fn parse_instant(text: &str) -> Result<Self, TtlError> {
        let unix_ms = instant::unix_ms(text).ok_or(TtlError::MalformedInstant)?;
        u64::try_from(unix_ms).map(Self::At).map_err(|_| TtlError::Past)
    }
}

/// The deadline in Unix milliseconds, if it is after `now_ms` and at most `max_ttl_ms` away.
pub fn deadline(ttl: Ttl, now_ms: u64, max_ttl_ms: u64) -> Result<u64, TtlError> {
    let (after_ms, none_left) = match ttl {
        Ttl::After(after_ms) => (after_ms, TtlError::Zero),
        Ttl::At(unix_ms) => (unix_ms.saturating_sub(now_ms), TtlError::Past),
    };
    if after_ms == 0 {
        return Err(none_left);
    }
    if after_ms > max_ttl_ms {
        return Err(TtlError::TooLong { max_ttl_ms });
    }
    now_ms.checked_add(after_ms).ok_or(TtlError::Overflow)
}

/// Digits, and a unit or none.
fn simple_ms(text: &str) -> Result<u64, TtlError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "d" => DAY_MS,
        _ => return Err(TtlError::Malformed),
    };
    // Digits alone fail to parse only by being too many.
    let number: u64 = number.parse().map_err(|_| TtlError::Overflow)?;
    number.checked_mul(unit_ms).ok_or(TtlError::Overflow)
}

/// An ISO 8601 duration of weeks, days, hours, minutes and seconds.
fn iso_ms(text: &str) -> Result<u64, TtlError> {
    let span = SpanParser::new().parse_span(text).map_err(|_| TtlError::Malformed)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(TtlError::Calendar);
    }
    let days = i128::from(span.get_weeks()) * 7 + i128::from(span.get_days());
    let hours = days * 24 + i128::from(span.get_hours());
    let seconds = (hours * 60 + i128::from(span.get_minutes())) * 60 + i128::from(span.get_seconds());
    let ms = seconds * 1_000 + i128::from(span.get_milliseconds());
    let nanoseconds = i128::from(span.get_microseconds()) * 1_000 + i128::from(span.get_nanoseconds());
    let rounded_up_ms = ms + (nanoseconds + 999_999).div_euclid(1_000_000);
    u64::try_from(rounded_up_ms).map_err(|_| TtlError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_data_model() {
        for (text, ms) in [
            ("3600", 3_600_000),
            ("0", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 7 * DAY_MS),
            ("PT5M", 300_000),
            ("pt5m", 300_000),
            ("P30D", 30 * DAY_MS),
            ("P2W", 14 * DAY_MS),
            ("P1DT1H1M1.5S", DAY_MS + 3_661_500),
            ("PT1.5H", 5_400_000),
            ("18446744073709551615ms", u64::MAX),
        ] {
            assert_eq!(Ttl::parse(text), Ok(Ttl::After(ms)), "{text}");
        }
        let instants = ["2026-03-10T15:00:00Z", "2026-03-10T16:00:00+01:00", "2026-03-10t15:00:00.000z"];
        for text in instants {
            assert_eq!(Ttl::parse(text), Ok(Ttl::At(1_773_154_800_000)), "{text}");
            assert_eq!(Ttl::parse_instant(text), Ok(Ttl::At(1_773_154_800_000)), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_a_millisecond_rounds_up() {
        assert_eq!(Ttl::parse("PT0.0001S"), Ok(Ttl::After(1)));
        assert_eq!(Ttl::parse("PT1.0011S"), Ok(Ttl::After(1_002)));
        assert_eq!(Ttl::parse("1970-01-01T00:00:00.000000001Z"), Ok(Ttl::At(1)));
        assert_eq!(Ttl::parse("1970-01-01T00:00:00.001Z"), Ok(Ttl::At(1)));
    }

    #[test]
    fn instants_go_up_to_the_last_that_can_be_written() {
        for (text, unix_ms) in [
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("9999-12-31T23:59:59.999999999-23:59", 253_402_300_799_999),
            ("1970-01-01T05:30:00+05:30", 0),
            ("1969-12-31T23:59:00-00:01", 0),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ] {
            assert_eq!(Ttl::parse(text), Ok(Ttl::At(unix_ms)), "{text}");
        }
        assert_eq!(Ttl::parse("0000-01-01T00:00:00+23:59"), Err(TtlError::Past));
    }

    #[test]
    fn what_is_refused() {
        for (text, error) in [
            ("", TtlError::Malformed),
            ("+5", TtlError::Malformed),
            ("1.5", TtlError::Malformed),
            ("5M", TtlError::Malformed),
            ("5 m", TtlError::Malformed),
            ("never", TtlError::Malformed),
            ("P", TtlError::Malformed),
            ("--5", TtlError::Malformed),
            ("é", TtlError::Malformed),
            ("-5", TtlError::Negative),
            ("-PT5M", TtlError::Negative),
            ("P1Y", TtlError::Calendar),
            ("P1M", TtlError::Calendar),
            ("18446744073709551616ms", TtlError::Overflow),
            ("18446744073709552", TtlError::Overflow),
            ("2026-03-10", TtlError::MalformedInstant),
            ("2026-13-10T15:00:00Z", TtlError::MalformedInstant),
            ("1969-12-31T23:59:59Z", TtlError::Past),
        ] {
            assert_eq!(Ttl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_deadline_is_in_the_future_and_within_the_limit() {
        const NOW: u64 = 1_000_000;
        assert_eq!(deadline(Ttl::After(1), NOW, 10), Ok(NOW + 1));
        assert_eq!(deadline(Ttl::After(10), NOW, 10), Ok(NOW + 10));
        assert_eq!(deadline(Ttl::After(11), NOW, 10), Err(TtlError::TooLong { max_ttl_ms: 10 }));
        assert_eq!(deadline(Ttl::After(0), NOW, 10), Err(TtlError::Zero));
        assert_eq!(deadline(Ttl::At(NOW), NOW, 10), Err(TtlError::Past));
        assert_eq!(deadline(Ttl::At(0), NOW, 10), Err(TtlError::Past));
        assert_eq!(deadline(Ttl::At(NOW + 10), NOW, 10), Ok(NOW + 10));
        assert_eq!(deadline(Ttl::At(NOW + 11), NOW, 10), Err(TtlError::TooLong { max_ttl_ms: 10 }));
        assert_eq!(deadline(Ttl::After(u64::MAX), 1, u64::MAX), Err(TtlError::Overflow));
    }
}
