//! The query of a request: options, each known, given once, and within its bounds. None is ever ignored.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use larder_protocol::{Code, ParseError, Ttl, decode_cursor};
use percent_encoding::percent_decode;

use super::problem::Problem;

/// More options than any request has: each is compared with those before it.
const OPTIONS_MAX: usize = 16;

/// Options that were not taken yet. A handler takes those that it knows, and then [ends](Query::end) it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as forms are written: `+` is a space, and the rest is percent-decoded once.
    fn parse(text: &str) -> Result<Query, Problem> {
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if options.iter().any(|(other, _)| *other == name) {
                return Err(Problem::of(Code::BadOpt, format!("the option {name} is given twice")));
            }
            if options.len() == OPTIONS_MAX {
                return Err(Problem::of(Code::BadOpt, format!("there are more than {OPTIONS_MAX} options")));
            }
            options.push((name, value));
        }
        Ok(Query(options))
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// `1` (or nothing, as in `?values`) or `0`; false if it is not there.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("0") => Ok(false),
            Some("1" | "") => Ok(true),
            Some(_) => Err(refused(name, "1 or 0")),
        }
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| refused(name, &wanted()))
    }

    /// A whole number, perhaps below zero.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(&text).bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Some).ok_or_else(|| refused(name, "a whole number of 64 bits"))
    }

    /// The size of a page.
    pub(crate) fn limit(&mut self, default: usize, most: usize) -> Result<usize, Problem> {
        let limit = self.number("limit", 1..=most as u64)?;
        Ok(limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(most)))
    }

    /// The name after which a page begins.
    pub(crate) fn cursor(&mut self) -> Result<Option<String>, Problem> {
        let decode = |cursor: String| decode_cursor(&cursor);
        self.text("cursor")
            .map(decode)
            .transpose()
            .map_err(|error| Problem::of(Code::BadCursor, error.to_string()))
    }

    /// `ttl=` alone.
    pub(crate) fn time_to_live(&mut self) -> Result<Option<Ttl>, Problem> {
        let ttl = self.text("ttl").map(|ttl| Ttl::parse(&ttl)).transpose();
        ttl.map_err(|error| ParseError::from(error).into())
    }

    /// `ttl=` or `at=`.
    pub(crate) fn ttl(&mut self) -> Result<Option<Ttl>, Problem> {
        let ttl = match (self.text("ttl"), self.text("at")) {
            (None, None) => return Ok(None),
            (Some(ttl), None) => Ttl::parse(&ttl),
            (None, Some(at)) => Ttl::parse_instant(&at),
            (Some(_), Some(_)) => {
                return Err(Problem::of(Code::BadOpt, "ttl and at exclude each other; give one of them"));
            }
        };
        ttl.map(Some).map_err(|error| ParseError::from(error).into())
    }

    /// Nothing else may be there.
    pub(crate) fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.escape_debug().take(40).collect();
                Err(Problem::of(Code::BadOpt, format!("there is no option {name} here")))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Problem> {
        Query::parse(parts.uri.query().unwrap_or_default())
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
    let decoded = decoded
        .map_err(|_| Problem::of(Code::Encoding, "the query is not UTF-8 once it is percent-decoded"))?;
    Ok(decoded.into_owned())
}

#[cold]
fn refused(name: &str, wanted: &str) -> Problem {
    Problem::of(Code::BadArg, format!("the option {name} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_decoded_once() {
        let mut query = Query::parse("a=%2541+b&c&d=1&&limit=7").unwrap();
        assert_eq!(query.text("a").as_deref(), Some("%41 b"));
        assert_eq!(query.flag("c"), Ok(true));
        assert_eq!(query.flag("d"), Ok(true));
        assert_eq!(query.flag("e"), Ok(false));
        assert_eq!(query.limit(1, 10), Ok(7));
        assert_eq!(query.end(), Ok(()));
    }

    #[test]
    fn nothing_is_ignored() {
        assert_eq!(Query::parse("a=1&%61=2").unwrap_err().code, "BADOPT");
        let many = |count| (0..count).map(|number| format!("o{number}&")).collect::<String>();
        assert!(Query::parse(&many(OPTIONS_MAX)).is_ok());
        assert_eq!(Query::parse(&many(OPTIONS_MAX + 1)).unwrap_err().code, "BADOPT");
        assert_eq!(Query::parse("a=%ff").unwrap_err().code, "ENCODING");
        assert_eq!(Query::parse("a=1").unwrap().end().unwrap_err().code, "BADOPT");
        assert_eq!(Query::parse("a=2").unwrap().flag("a").unwrap_err().code, "BADARG");
        for number in ["", "-1", "+1", "1.0", "11", "99999999999999999999"] {
            let query = Query::parse(&format!("limit={number}"));
            assert_eq!(query.unwrap().limit(1, 10).unwrap_err().code, "BADARG", "{number}");
        }
        assert_eq!(Query::parse("ttl=1&at=2").unwrap().ttl().unwrap_err().code, "BADOPT");
        assert_eq!(Query::parse("cursor=!").unwrap().cursor().unwrap_err().code, "BADCURSOR");
    }
}
