//! How long entries live: a weighted list of times such as `1d:.65,14d:.27,12h:.07`.

use crate::dialect::Expiry;
use crate::weighted::Weighted;

/// When what is stored expires.
pub type Lifetimes = Weighted<Expiry>;

/// The longest lifetime, a year. Beyond it the servers begin to differ.
const SECONDS_MAX: u32 = 366 * 86_400;

/// Reads a weighted list of lifetimes: a number with `s`, `m`, `h` or `d`, or `none`.
pub fn parse_lifetimes(text: &str) -> Result<Lifetimes, String> {
    Weighted::parse(text, parse_lifetime)
}

fn parse_lifetime(text: &str) -> Result<Expiry, String> {
    if text == "none" {
        return Ok(Expiry::Never);
    }
    let seconds = || {
        let unit = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let number: u32 = text[..text.len() - 1].parse().ok()?;
        number.checked_mul(unit).filter(|seconds| (1..=SECONDS_MAX).contains(seconds))
    };
    match seconds() {
        Some(seconds) => Ok(Expiry::After { seconds }),
        None => Err(format!("{text:?} is no lifetime: a number with s, m, h or d of up to a year, or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn units_are_seconds_minutes_hours_and_days() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("12h", 43_200), ("14d", 1_209_600)] {
            assert_eq!(parse_lifetime(text), Ok(Expiry::After { seconds }), "{text}");
        }
        assert_eq!(parse_lifetime("none"), Ok(Expiry::Never));
        for text in ["", "s", "30", "0s", "-1s", "1.5h", "1w", "367d", "99999999999s", "1é"] {
            assert!(parse_lifetime(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_list_of_lifetimes_is_kept_to() {
        let lifetimes = parse_lifetimes("1d:.65,14d:.27,12h:.07").expect("a list");
        let mut random = Random::seeded(1);
        let days = |_| lifetimes.pick(&mut random) == Expiry::After { seconds: 86_400 };
        let found = (0..10_000).map(days).filter(|is_one_day| *is_one_day).count();
        assert!((6_400..6_730).contains(&found), "{found}");
    }
}
