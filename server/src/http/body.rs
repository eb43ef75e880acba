//! The body of a request: of the right kind, within its limit and its time, and as text.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use larder_protocol::Code;
use serde::Deserialize;
use tokio::time::timeout;

use super::problem::Problem;

/// Time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Reads a body of at most so many bytes.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    match timeout(BODY_TIME, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(broken_off(&*error)),
        Err(_) => Err(Problem::of(Code::Idle, "the body did not come in time")),
    }
}

/// The text of a body.
pub(crate) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        Problem::of(Code::Encoding, format!("the body is not UTF-8 at byte {}", error.valid_up_to() + 1))
    })
}

/// Reads a body that is a JSON object of a known shape around values, which stay text (`serde_json::value::RawValue`).
pub(crate) fn envelope<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Problem> {
    text(body)?;
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the body: {error}");
        if error.is_data() {
            Problem::of(Code::BadArg, text).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        } else {
            Problem::of(Code::BadJson, text)
        }
    })
}

/// Checks that a body is of that media type, if it says of which it is, and not encoded.
pub(crate) fn expect(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    let given = headers.get(CONTENT_TYPE).map(|value| media_type_in(value.as_bytes()));
    if plain && given.is_none_or(|given| given.eq_ignore_ascii_case(media_type.as_bytes())) {
        return Ok(());
    }
    let text = format!("send {media_type} here, without a content encoding");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "MEDIATYPE", text))
}

/// `application/json` of `application/json; charset=utf-8`.
fn media_type_in(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cold]
fn too_large(bytes_max: usize) -> Problem {
    Problem::of(Code::TooBig, format!("the body is over its limit of {bytes_max} bytes"))
}

#[cold]
fn broken_off(error: &(dyn Error + Send + Sync)) -> Problem {
    Problem::of(Code::Incomplete, format!("the body broke off: {error}"))
}
