//! RFC 3339 instants. The calendar is left to the library, which would take many more spellings than RFC 3339 has;
//! hence the form is checked here.

use jiff::{SignedDuration, civil};

const EPOCH: civil::DateTime = civil::datetime(1970, 1, 1, 0, 0, 0, 0);

/// 9999-12-31T23:59:59.999Z
const LAST_MS: i64 = 253_402_300_799_999;

/// Whether `text` is an RFC 3339 date-time: seconds and an offset are there, at most nine digits after the point. A
/// leap second is taken for the second before it.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    has_form(text) && text[..19].parse::<civil::DateTime>().is_ok()
}

/// The Unix milliseconds of an RFC 3339 instant, a part of a millisecond counting as a whole one: what is to happen
/// then never happens before it. `None` if it is malformed. In UTC the last of them would need a year of five digits;
/// they count as [`LAST_MS`], so that what was read can be written.
pub(crate) fn unix_ms(text: &str) -> Option<i64> {
    if !has_form(text) {
        return None;
    }
    let offset_bytes = if text.ends_with(['Z', 'z']) { 1 } else { 6 };
    let (local, offset) = text.split_at(text.len() - offset_bytes);
    // The library's instants end a day before the year 9999 does; its dates go on to the end.
    let local: civil::DateTime = local.parse().ok()?;
    let ahead = match *offset.as_bytes() {
        [sign, hour_tens, hour_units, _, tens, units] => {
            let minutes = number(hour_tens, hour_units) * 60 + number(tens, units);
            SignedDuration::from_mins(if sign == b'-' { -minutes } else { minutes })
        }
        _ => SignedDuration::ZERO,
    };
    let ns = (local.duration_since(EPOCH) - ahead).as_nanos();
    let ms = ns.div_euclid(1_000_000) + i128::from(ns.rem_euclid(1_000_000) != 0);
    i64::try_from(ms).ok().map(|ms| ms.min(LAST_MS))
}

/// The number that two digits are.
fn number(tens: u8, units: u8) -> i64 {
    i64::from(tens - b'0') * 10 + i64::from(units - b'0')
}

/// `dddd-dd-ddTdd:dd:dd[.d…](Z|±dd:dd)`, all ASCII, with an offset of less than a day.
fn has_form(text: &str) -> bool {
    let Some((head, tail)) = text.as_bytes().split_at_checked(19) else { return false };
    let head_fits = head.iter().zip(b"dddd-dd-ddTdd:dd:dd").all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(form),
    });
    let tail = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return false;
            }
            &fraction[digits..]
        }
    };
    let offset_fits = match tail {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hour @ .., b':', tens @ b'0'..=b'5', units] => {
            let hour_fits = matches!(hour, [b'0' | b'1', b'0'..=b'9'] | [b'2', b'0'..=b'3']);
            hour_fits && tens.is_ascii_digit() && units.is_ascii_digit()
        }
        _ => false,
    };
    head_fits && offset_fits
}
