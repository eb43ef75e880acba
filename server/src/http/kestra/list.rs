//! The namespace as a whole: what it holds, and several entries deleted.
//!
//! A listing of this dialect has no pages. It is read in pages all the same, and told as it is read, so that a large one takes
//! no more memory than a small one; what was there throughout is in it once.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_client::rfc3339;
use larder_engine::{Entry, Error, Page, Values};
use larder_protocol::json::encode_string;
use larder_protocol::{Command, List};
use serde::Deserialize;
use tokio::task::yield_now;

use super::entry::was_there;
use super::member::{Member, check_key};
use super::shapes::{self, Failures, Item, Unfit};
use crate::command::{Answer, OUTPUT_BYTES, VALUES_PAGE_BYTES, misrouted, refusal};
use crate::http::outlet::{Outlet, outlet};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Held, answer, body, envelope, keys};

/// Entries that are looked up at a time.
const PAGE: usize = 1_000;

/// Lists the namespace, by key.
#[utoipa::path(
    get,
    path = "/namespaces/{namespace}/kv",
    operation_id = "kestra_list",
    tag = "kestra",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
    ),
    responses(
        (status = 200, description = "all entries", body = [Item]),
        Failures,
    ),
)]
pub(super) async fn entries(mut member: Member, query: Query) -> Result<Response, Problem> {
    query.end()?;
    // What is wrong shows with the first page, while there is still a status to be told.
    let first = page(&mut member, None).await?;
    let (outlet, pieces) = outlet();
    tokio::spawn(tell(member, first, outlet));
    Ok(answer::json(Body::new(pieces)))
}

/// What is to be deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'b> {
    #[serde(borrow)]
    keys: keys::Keys<'b>,
}

/// Deletes several entries, one after the other.
#[utoipa::path(
    delete,
    path = "/namespaces/{namespace}/kv",
    operation_id = "kestra_delete_keys",
    tag = "kestra",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
    ),
    request_body(content = shapes::Keys, content_type = "application/json", description = "which"),
    responses(
        (status = 200, description = "those that there were", body = shapes::Keys),
        Unfit,
        Failures,
    ),
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    mut member: Member,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    query.end()?;
    body::expect(&headers, "application/json")?;
    let body = body::read(body, &app.shared).await?;
    let Keys { keys: keys::Keys(keys) } = envelope::read(&body)?;
    keys.iter().try_for_each(|key| check_key(key))?;
    let (mut out, mut separator) = (b"{\"keys\":[".to_vec(), None);
    let (caller, namespace) = member.parts();
    for key in keys {
        let command = Command::Del { key: Cow::from(&*key), version: None, get: false };
        if caller.ask(namespace, &command, |answer, _| was_there(answer)).await?.answer {
            out.extend(separator);
            separator = Some(b',');
            encode_string(&mut out, &key);
        }
    }
    out.extend_from_slice(b"]}");
    Ok(answer::json(out))
}

/// The entries after a key, and what their fields are loaded with.
async fn page(member: &mut Member, after: Option<String>) -> Result<Held<(Page, Values)>, Problem> {
    let command = Command::List(List { prefix: "".into(), limit: PAGE, after, reverse: false, values: true });
    let (caller, namespace) = member.parts();
    caller
        .ask(namespace, &command, |answer, values| match answer {
            Answer::Entries { page, .. } => Ok((page, values.clone())),
            _ => Err(misrouted().into()),
        })
        .await
}

/// Tells a listing whose first page is there. If a later one cannot be had, the array is left open, so that what is cut off
/// does not look whole.
async fn tell(mut member: Member, first: Held<(Page, Values)>, outlet: Outlet) {
    let (mut held, mut out) = (first, b"[".to_vec());
    let mut separator = None;
    loop {
        let (page, values) = &held.answer;
        let mut loaded = 0;
        for (key, found) in &page.items {
            out.extend(separator);
            separator = Some(b',');
            item(&mut out, key, values.entry(found));
            loaded += found.stored_bytes();
            if loaded >= VALUES_PAGE_BYTES {
                loaded = 0;
                yield_now().await;
            }
            if out.len() >= OUTPUT_BYTES {
                if !outlet.taken().await {
                    return;
                }
                outlet.put(std::mem::take(&mut out), None);
            }
        }
        let Some((last, _)) = page.items.last().filter(|_| page.more) else { break };
        let last = last.to_string();
        drop(held);
        held = match self::page(&mut member, Some(last)).await {
            Ok(held) => held,
            Err(_) => return,
        };
    }
    out.push(b']');
    if outlet.taken().await {
        outlet.put(out, None);
    }
}

/// One entry of a listing; or what is wrong with it, for there is no other place to say it.
fn item(out: &mut Vec<u8>, key: &str, entry: Result<Entry, Error>) {
    out.extend_from_slice(b"{\"key\":");
    encode_string(out, key);
    match entry {
        Ok(entry) => {
            let mut member = |name: &str, text: &str| {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                encode_string(out, text);
            };
            member("creationDate", &rfc3339(entry.created_at));
            member("updateDate", &rfc3339(entry.updated_at));
            if let Some(expires_at) = entry.expires_at {
                member("expirationDate", &rfc3339(expires_at));
            }
            if let Some(description) = &entry.description {
                member("description", description);
            }
        }
        Err(error) => {
            out.extend_from_slice(b",\"message\":");
            encode_string(out, &refusal(&error).text);
        }
    }
    out.push(b'}');
}
