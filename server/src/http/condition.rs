//! Conditions by header, as in RFC 9110: the version of an entry is its entity tag.

use axum::http::HeaderMap;
use axum::http::header::{AsHeaderName, IF_MATCH, IF_NONE_MATCH};
use larder_protocol::{Code, Condition};

use super::problem::Problem;

/// What `If-Match` and `If-None-Match` ask of a write.
///
/// A tag that is no version, or a weak one, is that of no entry; so is version 0, which is never drawn.
pub(crate) fn of_write(headers: &HeaderMap) -> Result<Option<Condition>, Problem> {
    match (header(headers, IF_MATCH)?, header(headers, IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (Some("*"), None) => Ok(Some(Condition::Present)),
        (Some(tag), None) if tag.contains(',') => Err(malformed("give one version in If-Match")),
        (Some(tag), None) => Ok(Some(Condition::Version(version(tag).unwrap_or(0)))),
        (None, Some("*")) => Ok(Some(Condition::Absent)),
        (None, Some(_)) => {
            Err(malformed("a write takes If-None-Match with * alone, for an entry that is to be new"))
        }
        (Some(_), Some(_)) => {
            Err(malformed("If-Match and If-None-Match exclude each other; give one of them"))
        }
    }
}

/// The version that `If-Match` asks for of a delete, and whether it asks for anything.
pub(crate) fn of_delete(headers: &HeaderMap) -> Result<(Option<u64>, bool), Problem> {
    match of_write(headers)? {
        None => Ok((None, false)),
        Some(Condition::Present) => Ok((None, true)),
        Some(Condition::Version(version)) => Ok((Some(version), true)),
        Some(Condition::Absent) => Err(malformed("a delete takes no If-None-Match")),
    }
}

/// Whether a reader that sent `If-None-Match` has this version already.
pub(crate) fn is_known(headers: &HeaderMap, current: u64) -> Result<bool, Problem> {
    let Some(tags) = header(headers, IF_NONE_MATCH)? else { return Ok(false) };
    let mut tags = tags.split(',').map(str::trim);
    Ok(tags.any(|tag| tag == "*" || version(tag.strip_prefix("W/").unwrap_or(tag)) == Some(current)))
}

fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|text| Some(text.trim())).map_err(|_| malformed("an entity tag is ASCII"))
        }
        (Some(_), Some(_)) => Err(malformed("a condition is given once")),
    }
}

/// The version that a strong tag is.
fn version(tag: &str) -> Option<u64> {
    exact(tag.strip_prefix('"')?.strip_suffix('"')?)
}

/// The version that a text is, as versions are written: to clients they are opaque.
pub(crate) fn exact(text: &str) -> Option<u64> {
    text.parse().ok().filter(|version: &u64| version.to_string() == text)
}

#[cold]
fn malformed(text: &str) -> Problem {
    Problem::of(Code::BadArg, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_of_writes() {
        let of = |pairs: &[_]| of_write(&headers(pairs)).map_err(|problem| problem.code);
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[(IF_MATCH, "\"17\"")]), Ok(Some(Condition::Version(17))));
        assert_eq!(of(&[(IF_MATCH, "*")]), Ok(Some(Condition::Present)));
        assert_eq!(of(&[(IF_NONE_MATCH, " * ")]), Ok(Some(Condition::Absent)));
        for tag in ["17", "W/\"17\"", "\"abc\"", "\"+17\"", "\"017\"", "\"99999999999999999999\"", "\""] {
            assert_eq!(of(&[(IF_MATCH, tag)]), Ok(Some(Condition::Version(0))), "{tag}");
        }
        assert_eq!(of(&[(IF_MATCH, "\"1\", \"2\"")]), Err("BADARG"));
        assert_eq!(of(&[(IF_NONE_MATCH, "\"1\"")]), Err("BADARG"));
        assert_eq!(of(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]), Err("BADARG"));
    }

    #[test]
    fn what_a_reader_has() {
        let known = |tags| is_known(&headers(&[(IF_NONE_MATCH, tags)]), 17);
        for tags in ["\"17\"", "W/\"17\"", "\"1\", \"17\"", "*"] {
            assert_eq!(known(tags), Ok(true), "{tags}");
        }
        for tags in ["\"1\"", "17", "\"\"", ""] {
            assert_eq!(known(tags), Ok(false), "{tags}");
        }
    }
}
