//! The body of a request: of the right kind, within its limit and its time, and as text.

use std::error::Error;
use std::io;
use std::ops::Deref;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::BytesMut;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Frame;
use larder_protocol::Code;
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::rooms::{PATIENCE, Room, SMALL_BYTES};
use crate::shared::Shared;
use crate::terms::Terms;

/// A body that was read. A long one has a place among those that all connections share, and one that is longer than any line but
/// a transaction a second one, until it is done with.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: BytesMut,
    line_room: Option<Room>,
    transaction_room: Option<Room>,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Received {
    /// Waits for the places that so many bytes more need.
    async fn make_room(&mut self, more: usize, shared: &Shared) -> io::Result<()> {
        let (terms, bytes) = (&shared.terms, self.bytes.len() + more);
        if self.line_room.is_none() && bytes > SMALL_BYTES {
            self.line_room = Some(terms.lines.take().await?);
        }
        if self.transaction_room.is_none() && bytes > shared.limits.lines().line_bytes {
            self.transaction_room = Some(terms.transactions.take().await?);
        }
        Ok(())
    }

    fn has_places(&self) -> bool {
        self.line_room.is_some()
    }

    /// Whether it has a place that others may be waiting for.
    fn keeps_others_waiting(&self, terms: &Terms) -> bool {
        self.line_room.is_some() && terms.lines.are_taken()
            || self.transaction_room.is_some() && terms.transactions.are_taken()
    }
}

/// Reads a body of at most as many bytes as a line of the line protocol.
pub(crate) async fn read(body: Body, shared: &Shared) -> Result<Received, Problem> {
    read_up_to(body, shared, shared.limits.lines().line_bytes).await
}

/// Reads a body of at most so many bytes.
pub(crate) async fn read_up_to(body: Body, shared: &Shared, bytes_max: usize) -> Result<Received, Problem> {
    // Before any of it is asked for.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let mut body = Limited::new(body, bytes_max);
    let mut received = Received::default();
    let deadline = Instant::now() + shared.terms.line_timeout;
    loop {
        let data = match next(&mut body, &received, &shared.terms, deadline).await? {
            None => return Ok(received),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(bytes_max)),
            Some(Err(error)) => return Err(broken_off(&*error)),
        };
        received.make_room(data.len(), shared).await.map_err(|error| broken_off(&error))?;
        received.bytes.extend_from_slice(&data);
    }
}

/// What comes next of a body; not waited for past its deadline, nor for long while others wait for its places.
async fn next(
    body: &mut Limited<Body>,
    received: &Received,
    terms: &Terms,
    deadline: Instant,
) -> Result<Option<Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>>, Problem> {
    loop {
        let look = Instant::now() + PATIENCE;
        let until = if received.has_places() { deadline.min(look) } else { deadline };
        match timeout_at(until, body.frame()).await {
            Ok(frame) => return Ok(frame),
            Err(_) if until < deadline && !received.keeps_others_waiting(terms) => {}
            Err(_) => return Err(last(Problem::of(Code::Idle, "the body did not come in time"))),
        }
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
    last(Problem::of(Code::TooBig, format!("the body is over its limit of {bytes_max} bytes")))
}

/// Tells the client that no other request is taken after one whose body was not read to its end.
fn last(problem: Problem) -> Problem {
    problem.with_header(CONNECTION, HeaderValue::from_static("close"))
}

#[cold]
fn broken_off(error: &(dyn Error + 'static)) -> Problem {
    Problem::of(Code::Incomplete, format!("the body broke off: {error}"))
}
