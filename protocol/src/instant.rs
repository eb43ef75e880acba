//! RFC 3339 instants. The calendar is left to the library, which would take many more spellings than RFC 3339 has;
//! hence the form is checked here.

use jiff::{Timestamp, civil};

/// Whether `text` is an RFC 3339 date-time: seconds and an offset are there, at most nine digits after the point. A
/// leap second is taken for the second before it.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    has_form(text) && text[..19].parse::<civil::DateTime>().is_ok()
}

/// The Unix milliseconds of an RFC 3339 instant, a part of a millisecond counting as a whole one: what is to happen
/// then never happens before it. `None` if it is malformed or beyond the years that can be reckoned with.
pub(crate) fn unix_ms(text: &str) -> Option<i64> {
    if !is_rfc3339(text) {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    let part = instant.as_nanosecond().rem_euclid(1_000_000) != 0;
    let whole_ms = instant.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(whole_ms + i128::from(part)).ok()
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
