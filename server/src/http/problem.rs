//! What is wrong with a request, as `application/problem+json` (RFC 9457), with a code that is as stable as those of the line
//! protocol.
//!
//! The codes are that protocol's own, with those for what it answers without an error (`NIL`, `NO …`), and a few for what
//! only HTTP can get wrong. Every problem travels in the extensions of its response as well, so that a dialect with a shape
//! of its own renders it anew in one place (`axum::middleware::map_response`), and whoever counts need not parse bodies.

use std::fmt::Display;
use std::ops::Deref;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_engine::Refusal;
use larder_protocol::json::encode_string;
use larder_protocol::{Code, ParseError};

use super::answer;
use crate::access::Denial;
use crate::command::denial;

/// Seconds after which it is worth trying again, where the server is short of something.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// See the module. It is behind a pointer so that what goes well is not made slow by the size of what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem(Box<Parts>);

/// What there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    /// What is wrong, where, and what to do about it; for people.
    pub(crate) detail: String,
    /// One more member that a program may want, its value as JSON.
    pub(crate) member: Option<(&'static str, String)>,
    /// One more header that goes with the status.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    #[cold]
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Parts { status, code, detail: detail.into(), member: None, header: None }))
    }

    /// A problem with one of the protocol's codes.
    #[cold]
    pub(crate) fn of(code: Code, detail: impl Into<String>) -> Problem {
        let problem = Problem::new(status_of(code), code.as_str(), detail);
        match problem.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                problem.with_header(RETRY_AFTER, RETRY_AFTER_S)
            }
            _ => problem,
        }
    }

    /// The client has to show an access key, or another one.
    #[cold]
    pub(crate) fn unauthorized(detail: &str) -> Problem {
        let challenge = HeaderValue::from_static("Bearer realm=\"larder\"");
        Problem::new(StatusCode::UNAUTHORIZED, Code::NoAuth.as_str(), detail)
            .with_header(WWW_AUTHENTICATE, challenge)
    }

    /// The client may not do this.
    #[cold]
    pub(crate) fn denied(denied: Denial) -> Problem {
        match denied {
            Denial::NoAuth => Problem::unauthorized("send an access key, as `Authorization: Bearer TOKEN`"),
            Denial::Expired => Problem::unauthorized("the access key has expired"),
            Denial::Rate { retry, .. } => {
                let retry_s = retry.as_millis().div_ceil(1_000).max(1);
                let header = HeaderValue::try_from(retry_s.to_string()).unwrap_or(RETRY_AFTER_S);
                Problem::from(denial(denied)).with_header(RETRY_AFTER, header)
            }
            _ => denial(denied).into(),
        }
    }

    /// There is no such entry.
    #[cold]
    pub(crate) fn nil() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "NIL", "there is no such entry")
    }

    /// A condition did not hold. `status` is 412 where a header set it, and 409 where the body did.
    #[cold]
    pub(crate) fn unmet(status: StatusCode, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Exists { version } => {
                Problem::new(status, "EXISTS", "the entry exists already").with_number("version", version)
            }
            Refusal::Version { version } => Problem::new(status, "VERSION", "the entry has another version")
                .with_number("version", version),
            Refusal::Absent => Problem::new(status, "ABSENT", "there is no such entry"),
        }
    }

    pub(crate) fn with_number(mut self, name: &'static str, number: u64) -> Problem {
        self.0.member = Some((name, number.to_string()));
        self
    }

    /// With a member whose value is a text that needs no escape.
    pub(crate) fn with_word(mut self, name: &'static str, word: impl Display) -> Problem {
        self.0.member = Some((name, format!("\"{word}\"")));
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Problem {
        self.0.status = status;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.0.header = Some((name, value));
        self
    }

    /// The document.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut out = b"{\"title\":".to_vec();
        encode_string(&mut out, self.status.canonical_reason().unwrap_or("Error"));
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.extend_from_slice(b",\"code\":");
        encode_string(&mut out, self.code);
        out.extend_from_slice(b",\"detail\":");
        encode_string(&mut out, &self.detail);
        if let Some((name, json)) = &self.member {
            answer::name(&mut out, b',', name);
            out.extend_from_slice(json.as_bytes());
        }
        out.push(b'}');
        out
    }
}

impl Deref for Problem {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = &self.header {
            headers.insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ParseError> for Problem {
    fn from(ParseError { code, text }: ParseError) -> Problem {
        Problem::of(code, text)
    }
}

/// The status that says about the same as a code.
fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BadArg
        | Code::BadOpt
        | Code::BadJson
        | Code::BadCursor
        | Code::Encoding
        | Code::Http
        | Code::Incomplete => StatusCode::BAD_REQUEST,
        Code::NoAuth => StatusCode::UNAUTHORIZED,
        Code::Denied => StatusCode::FORBIDDEN,
        Code::BadCmd => StatusCode::NOT_FOUND,
        Code::AuthTimeout | Code::Idle => StatusCode::REQUEST_TIMEOUT,
        Code::Compacted => StatusCode::GONE,
        Code::TooBig | Code::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Code::BadKey | Code::BadNs | Code::BadTtl | Code::Type | Code::Range | Code::Quota => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::Rate => StatusCode::TOO_MANY_REQUESTS,
        Code::Damaged | Code::InDoubt | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ReadOnly | Code::NoSpace | Code::Failed | Code::TooManyConn | Code::Slow | Code::Shutdown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_holds_everything() {
        let problem = Problem::unmet(StatusCode::PRECONDITION_FAILED, Refusal::Version { version: 17 });
        let body = String::from_utf8(problem.body()).unwrap();
        let expected = r#"{"title":"Precondition Failed","status":412,"code":"VERSION","detail":"the entry has another version","version":17}"#;
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_unavailable_says_when_to_come_back() {
        assert!(Problem::of(Code::NoSpace, "full").header.is_some());
        assert!(Problem::of(Code::Rate, "slow down").header.is_some());
        assert!(Problem::of(Code::BadKey, "empty").header.is_none());
    }
}
