//! Listings: the entries of a namespace, how many there are, and the namespaces.

use axum::response::Response;
use larder_protocol::json::encode_string;
use larder_protocol::{
    Code, Command, LIST_PAGE_DEFAULT, List, NAMESPACES_PAGE_DEFAULT, PAGE_MAX, encode_cursor,
};

use super::render;
use super::shapes::{Count, EntriesPage, Flag, NamespacesPage};
use crate::command::{Answer, VALUES_PAGE_BYTES, misrouted};
use crate::http::openapi::Problems;
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{Caller, pieces};

/// Lists the entries of a namespace, by key.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace}/entries",
    operation_id = "entries_list",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("prefix" = Option<String>, Query, description = "only names that begin with this"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 10000, description = "items on a page"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("reverse" = inline(Option<Flag>), Query, description = "backwards"),
        ("values" = inline(Option<Flag>), Query, description = "with the values"),
    ),
    responses(
        (status = 200, description = "a page", body = EntriesPage),
        Problems,
    ),
)]
pub(super) async fn entries(
    mut caller: Caller,
    path: Segments,
    mut query: Query,
) -> Result<Response, Problem> {
    let command = Command::List(List {
        prefix: query.text("prefix").unwrap_or_default().into(),
        limit: query.limit(LIST_PAGE_DEFAULT, PAGE_MAX)?,
        after: query.cursor()?,
        reverse: query.flag("reverse")?,
        values: query.flag("values")?,
    });
    query.end()?;
    caller
        .execute(path.namespace(), &command, |answer, sources| {
            let Answer::Entries { page, values } = answer else { return Err(misrouted().into()) };
            let (sources, mut scratch, mut bytes) = (sources.clone(), Vec::new(), 0);
            let body = pieces::items("{\"items\":[", move |index, out| {
                let item = page.items.get(index).filter(|_| bytes < VALUES_PAGE_BYTES);
                let Some((key, found)) = item else {
                    let more = page.more || index < page.items.len();
                    let last = page.items[..index].last().filter(|_| more);
                    end(out, last.map(|(key, _)| &**key));
                    return false;
                };
                if values {
                    bytes += render::item(out, key, &found.stamp(), Some(sources.value(found, &mut scratch)));
                } else {
                    render::item(out, key, &found.stamp(), None);
                }
                true
            });
            Ok(render::json(body))
        })
        .await
}

/// Counts the entries of a namespace.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace}/count",
    operation_id = "entries_count",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("prefix" = Option<String>, Query, description = "only names that begin with this"),
    ),
    responses(
        (status = 200, description = "how many there are", body = Count),
        Problems,
    ),
)]
pub(super) async fn count(mut caller: Caller, path: Segments, mut query: Query) -> Result<Response, Problem> {
    let command = Command::Count { prefix: query.text("prefix").unwrap_or_default().into() };
    query.end()?;
    caller.execute(path.namespace(), &command, render::count).await
}

/// Deletes the entries whose keys begin so, a portion at a time; or only counts them.
#[utoipa::path(
    delete,
    path = "/v1/namespaces/{namespace}/entries",
    operation_id = "entries_delete",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("prefix" = String, Query, description = "only keys that begin with this; empty for all"),
        ("dry" = inline(Option<Flag>), Query, description = "count them, and delete nothing"),
    ),
    responses(
        (status = 200, description = "how many they are", body = Count),
        Problems,
    ),
)]
pub(super) async fn clear(mut caller: Caller, path: Segments, mut query: Query) -> Result<Response, Problem> {
    let prefix = query.text("prefix").ok_or_else(|| {
        Problem::of(Code::BadArg, "say which, with prefix=; an empty one stands for the whole namespace")
    })?;
    let dry = query.flag("dry")?;
    query.end()?;
    if dry {
        let command = Command::Delprefix { prefix: prefix.into(), dry };
        return caller.execute(path.namespace(), &command, render::count).await;
    }
    let count = caller.sweep(path.namespace(), &prefix).await?;
    Ok(render::json(format!("{{\"count\":{count}}}")))
}

/// Lists the namespaces that hold an entry.
#[utoipa::path(
    get,
    path = "/v1/namespaces",
    operation_id = "namespaces_list",
    tag = "namespaces",
    params(
        ("prefix" = Option<String>, Query, description = "only names that begin with this"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 10000, description = "items on a page"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "a page", body = NamespacesPage),
        Problems,
    ),
)]
pub(super) async fn namespaces(mut caller: Caller, mut query: Query) -> Result<Response, Problem> {
    let command = Command::Namespaces {
        prefix: query.text("prefix").unwrap_or_default().into(),
        limit: query.limit(NAMESPACES_PAGE_DEFAULT, PAGE_MAX)?,
        after: query.cursor()?,
    };
    query.end()?;
    caller
        .execute("", &command, |answer, _| {
            let Answer::Namespaces(page) = answer else { return Err(misrouted().into()) };
            let body = pieces::items("{\"items\":[", move |index, out| {
                let Some((namespace, live)) = page.items.get(index) else {
                    end(out, page.items.last().filter(|_| page.more).map(|(name, _)| name.as_str()));
                    return false;
                };
                out.extend_from_slice(b"{\"namespace\":");
                encode_string(out, namespace);
                out.extend_from_slice(format!(",\"entries\":{live}}}").as_bytes());
                true
            });
            Ok(render::json(body))
        })
        .await
}

/// What comes after the items of a page: where the next one begins, if there is one.
fn end(out: &mut Vec<u8>, last: Option<&str>) {
    out.extend_from_slice(b"],\"next\":");
    match last {
        Some(last) => {
            out.push(b'"');
            encode_cursor(out, last);
            out.extend_from_slice(b"\"}");
        }
        None => out.extend_from_slice(b"null}"),
    }
}
