//! The body of a request: of the right kind, within its limit and its time, and as text.

use std::error::Error;
use std::ops::Deref;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::BytesMut;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use larder_protocol::Code;
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::rooms::{PATIENCE, Room, SMALL_BYTES};
use crate::terms::Terms;

/// A body that was read. A long one has a place among those that all connections share, until it is done with.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: BytesMut,
    room: Option<Room>,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most so many bytes.
pub(crate) async fn read(body: Body, terms: &Terms, bytes_max: usize) -> Result<Received, Problem> {
    let mut body = Limited::new(body, bytes_max);
    let mut received = Received { bytes: BytesMut::new(), room: None };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let deadline = Instant::now() + terms.line_timeout;
    loop {
        let patience = match &received.room {
            Some(_) if terms.lines.are_taken() => deadline.min(Instant::now() + PATIENCE),
            _ => deadline,
        };
        let data = match timeout_at(patience, body.frame()).await {
            Ok(None) => return Ok(received),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(too_large(bytes_max)),
            Ok(Some(Err(error))) => return Err(broken_off(&*error)),
            Err(_) => return Err(Problem::of(Code::Idle, "the body did not come in time")),
        };
        if received.room.is_none() && received.bytes.len() + data.len() > SMALL_BYTES {
            received.room = Some(terms.lines.take().await.map_err(|error| broken_off(&error))?);
        }
        received.bytes.extend_from_slice(&data);
    }
}

/// The text of a body.
pub(crate) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        Problem::of(Code::Encoding, format!("the body is not UTF-8 at byte {}", error.valid_up_to() + 1))
    })
}

/// Checks that a body is of that media type, if it says of which it is, and not encoded.
pub(crate) fn expect(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    expect_one_of(headers, &[media_type]).map(|_| ())
}

/// As [`expect`] with several of them. Returns the one that the body says it is of.
pub(crate) fn expect_one_of<'t>(
    headers: &HeaderMap,
    media_types: &[&'t str],
) -> Result<Option<&'t str>, Problem> {
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    let given = headers.get(CONTENT_TYPE).map(|value| media_type_in(value.as_bytes()));
    let known = given.map(|given| {
        media_types.iter().find(|media_type| given.eq_ignore_ascii_case(media_type.as_bytes())).copied()
    });
    match known {
        None if plain => return Ok(None),
        Some(Some(media_type)) if plain => return Ok(Some(media_type)),
        _ => {}
    }
    let text = format!("send {} here, without a content encoding", media_types.join(" or "));
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
fn broken_off(error: &(dyn Error + 'static)) -> Problem {
    Problem::of(Code::Incomplete, format!("the body broke off: {error}"))
}
