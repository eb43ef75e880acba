//! What every request passes first and every answer last: a request id, the guard, the log.
//!
//! A client may bring its own id, so that what it does can be followed through several services; one that could not be told
//! from other parts of a log line is replaced. At level `debug` each request that is let in is logged, and all that is logged for it bears its
//! id; above that, only that one could not be answered. Neither a value, nor a key, nor a token is ever logged.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request as Routed};
use axum::http::{HeaderName, HeaderValue, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Level, debug, debug_span};

use super::App;
use super::problem::{Parts, Problem};
use crate::metrics::Interface;

/// Carries the id of a request, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Makes ids that differ from those of any other run of the server, and from each other.
#[derive(Debug)]
pub(super) struct RequestIds {
    run: u64,
    last: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> RequestIds {
        let mut random = [0; 8];
        // An id has to differ, and nothing depends on its being hard to guess: without randomness the time will do.
        let run = match rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK) {
            Ok(8) => u64::from_ne_bytes(random),
            _ => u64::from(std::process::id()),
        };
        RequestIds { run, last: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let mut id = String::with_capacity(32);
        _ = write!(id, "{:016x}-{:x}", self.run, self.last.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// A request that has come in, whose answer is still to go out.
#[derive(Debug)]
pub(super) struct Passage {
    app: Arc<App>,
    id: HeaderValue,
    pub(super) interface: Interface,
}

impl Passage {
    /// Lets a request in, or not.
    pub(super) fn enter<B>(app: &Arc<App>, request: &mut Request<B>) -> (Passage, Result<(), Problem>) {
        let given = request.headers().get(&REQUEST_ID).filter(|id| is_sane(id)).cloned();
        let id = given.unwrap_or_else(|| app.request_ids.next());
        let interface = Interface::of_route(request.uri().path());
        let admitted = app.guard.check(request, !app.shared.registry.has_keys());
        if is_watched() {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
        (Passage { app: Arc::clone(app), id, interface }, admitted)
    }

    /// Lets its answer out.
    pub(super) fn leave(self, response: &mut Response) {
        let Passage { app, id, interface } = self;
        if let Some(problem) = response.extensions().get::<Problem>() {
            app.shared.metrics.ended_with(interface, problem.code);
            if problem.status.is_server_error() {
                let (id, Parts { status, code, .. }) = (id.to_str().unwrap_or("-"), &**problem);
                app.failures.warn(format_args!("request {id} was answered {status}, {code}"));
            }
        }
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Whether requests are logged.
pub(super) fn is_watched() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// Has all that is logged on the way bear the id of the request, and logs its answer. It costs about as much as a request, and
/// so is on the way at level `debug` alone.
pub(super) async fn watched(request: Routed, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // The pattern, not the path, which holds keys.
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str);
    let id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or("-");
    let span = debug_span!("request", id);
    let response = next.run(request).instrument(span.clone()).await;
    let _within = span.enter();
    let (status, elapsed_us) = (response.status().as_u16(), started.elapsed().as_micros());
    let code = response.extensions().get::<Problem>().map_or("-", |problem| problem.code);
    debug!(%method, route, status, code, elapsed_us, "answered");
    response
}

fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
    };
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids = RequestIds::new();
        assert_ne!(ids.next(), ids.next());
        assert!(is_sane(&ids.next()));
    }

    #[test]
    fn only_plain_ids_are_taken_over() {
        let is_sane = |id: &str| is_sane(&HeaderValue::try_from(id).unwrap());
        assert!(is_sane("01J-a_b.c:d/e+f="));
        assert!(is_sane(&"a".repeat(64)));
        for id in ["", "a b", "\"", "a\tb", "é", &"a".repeat(65)] {
            assert!(!is_sane(id), "{id}");
        }
    }
}
