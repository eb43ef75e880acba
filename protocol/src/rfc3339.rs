//! Unix milliseconds as RFC 3339 text, as the protocol wants its instants. The other direction is
//! [`Ttl::parse_instant`](crate::Ttl::parse_instant).

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The instant in UTC, to the millisecond.
///
/// ```
/// assert_eq!(larder_protocol::rfc3339(1_773_154_800_500), "2026-03-10T15:00:00.500Z");
/// ```
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let (year, month, day) = date(unix_ms / DAY_MS);
    let of_day_ms = unix_ms % DAY_MS;
    let (hour, minute) = (of_day_ms / 3_600_000, of_day_ms / 60_000 % 60);
    let (second, ms) = (of_day_ms / 1_000 % 60, of_day_ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Gregorian date so many days after 1970-01-01, reckoned in years that begin with March, so that the leap day
/// comes last.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    const DAYS_FROM_YEAR_0_TO_1970: u64 = 719_468;
    let days = days + DAYS_FROM_YEAR_0_TO_1970;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use crate::ttl::Ttl;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn borders_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
        assert!(rfc3339(u64::MAX).len() > 24, "beyond RFC 3339, but no panic");
    }

    proptest! {
        /// The protocol reckons with another calendar library: both must agree.
        #[test]
        fn the_protocol_reads_it_back(unix_ms in 0..253_402_300_800_000_u64) {
            prop_assert_eq!(Ttl::parse_instant(&rfc3339(unix_ms)), Ok(Ttl::At(unix_ms)));
        }
    }
}
