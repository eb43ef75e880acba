//! Errors in the shape of this dialect: JSON with a `message` that begins as Kestra's do, and beside it the `code` of the
//! problem.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use larder_protocol::json::encode_string;

use crate::http::problem::Problem;

/// Renders a problem anew; status and headers stay as they are.
pub(crate) fn in_own_shape(mut response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let body = body(problem);
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn body(problem: &Problem) -> Vec<u8> {
    let beginning = match problem.status {
        StatusCode::NOT_FOUND => "Not Found: ",
        StatusCode::GONE => "Resource has expired: ",
        StatusCode::UNPROCESSABLE_ENTITY => "Illegal argument: ",
        _ => "",
    };
    let mut out = b"{\"message\":".to_vec();
    encode_string(&mut out, &format!("{beginning}{}", problem.detail));
    out.extend_from_slice(b",\"code\":");
    encode_string(&mut out, problem.code);
    out.push(b'}');
    out
}
