//! How far a client may go before it is held up, as draft-ietf-httpapi-ratelimit-headers-06 has it: `RateLimit-Limit`,
//! `RateLimit-Remaining`, `RateLimit-Reset` and `RateLimit-Policy`.
//!
//! An organization whose requests are limited is told of that limit with every answer. One whose are not is told with its reads how
//! it stands with the soft limit on them, which holds up nobody.

use axum::http::HeaderName;
use axum::response::Response;

use crate::access::Standing;
use crate::http::Caller;
use crate::http::answer::insert;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Tells a reader, and counts the read.
pub(super) fn tell_reader(caller: &Caller, response: Response) -> Response {
    let organization = caller.grant().organization();
    match &organization.rate {
        Some(rate) => with(rate.standing(), response),
        None => {
            // What is over a soft limit is not refused.
            _ = organization.reads.take();
            with(organization.reads.standing(), response)
        }
    }
}

/// Tells a writer.
pub(super) fn tell_writer(caller: &Caller, response: Response) -> Response {
    match &caller.grant().organization().rate {
        Some(rate) => with(rate.standing(), response),
        None => response,
    }
}

fn with(standing: Standing, mut response: Response) -> Response {
    let Standing { per_second, remaining, full_in_s } = standing;
    insert(&mut response, LIMIT, &per_second.to_string());
    insert(&mut response, REMAINING, &remaining.to_string());
    insert(&mut response, RESET, &full_in_s.to_string());
    insert(&mut response, POLICY, &format!("{per_second};w=1"));
    response
}
