//! Entries by page, and namespaces.

use std::mem::take;

use axum::http::StatusCode;
use axum::response::Response;
use larder_engine::{NamespaceScan, Values, View};
use larder_protocol::json::encode_string;

use super::page::{Item, Page, Wanted};
use super::{check_namespace, render, shapes};
use crate::command::{Scope, Survey, namespaces as names};
use crate::http::answer::json;
use crate::http::openapi::Problems;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{Caller, pieces};

const PAGE_SIZE_DEFAULT: u64 = 50;
const PAGE_SIZE_MAX: u64 = 1_000;
/// Namespaces that are read while the store is held, at most.
const NAMESPACES_MAX: usize = 1_000;

/// Lists entries by namespace and key.
#[utoipa::path(
    get,
    path = "/api/v1/datastore",
    operation_id = "datastore_list",
    tag = "datastore",
    params(
        ("namespace" = Option<String>, Query, description = "this namespace alone"),
        ("prefix" = Option<String>, Query, description = "only keys that begin with this"),
        ("page" = Option<u64>, Query, minimum = 1, description = "which page, else the first"),
        ("page_size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "entries on a page, else 50"),
    ),
    responses((status = 200, description = "a page", body = shapes::Page), Problems),
)]
pub(super) async fn entries(mut caller: Caller, mut query: Query) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = query.text("namespace");
    let prefix = query.text("prefix").unwrap_or_default();
    let page = number(&mut query, "page", u64::MAX)?.unwrap_or(1);
    let page_size = number(&mut query, "page_size", PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT);
    query.end()?;
    if let Some(namespace) = &namespace {
        check_namespace(namespace)?;
    }
    let offset = (page - 1).saturating_mul(page_size);
    let wanted = Wanted {
        namespace: namespace.clone(),
        prefix,
        offset,
        page_size: usize::try_from(page_size).unwrap_or(usize::MAX),
    };
    caller
        .survey(namespace.as_deref(), Page::new(wanted), |found| {
            let total = found.total();
            let end = format!(
                "],\"page\":{page},\"page_size\":{page_size},\"total_count\":{total},\"total_pages\":{}}}",
                total.div_ceil(page_size)
            );
            rendered(found.into_parts(), end)
        })
        .await
}

/// A number from 1 on.
fn number(query: &mut Query, name: &str, max: u64) -> Result<Option<u64>, Problem> {
    let number = query.number(name, 1..=max);
    number.map_err(|problem| problem.with_status(StatusCode::UNPROCESSABLE_ENTITY))
}

fn rendered(parts: Vec<(Vec<Item>, Values)>, end: String) -> Response {
    let mut items = parts
        .into_iter()
        .flat_map(|(items, values)| items.into_iter().map(move |item| (item, values.clone())));
    json(pieces::items("{\"data\":[", move |_, out| {
        let Some((Item { namespace, key, found }, values)) = items.next() else {
            out.extend_from_slice(end.as_bytes());
            return false;
        };
        match values.entry(&found) {
            Ok(entry) => render::item(out, &namespace, &key, &entry),
            Err(error) => render::damaged(out, &namespace, &key, &error),
        }
        true
    }))
}

/// Lists the namespaces that hold a live entry.
#[utoipa::path(
    get,
    path = "/api/v1/datastore/namespaces",
    operation_id = "datastore_namespaces",
    tag = "datastore",
    responses((status = 200, description = "their names, in order", body = shapes::Namespaces), Problems),
)]
pub(super) async fn namespaces(mut caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.enter()?;
    query.end()?;
    let render = |Names { mut body, .. }: Names| {
        body.extend_from_slice(b"]}");
        json(body)
    };
    caller.survey(None, Names::default(), render).await
}

/// Names of namespaces, as far as they are found.
#[derive(Debug, Clone, Default)]
struct Names {
    /// As they are answered.
    body: Vec<u8>,
    last: Option<String>,
}

impl Survey for Names {
    /// There is no telling.
    fn items_max(&self) -> usize {
        usize::MAX
    }

    fn look(&mut self, view: &mut View<'_>, scope: Scope<'_>) -> bool {
        let after = take(&mut self.last);
        let scan = NamespaceScan { prefix: "", after: after.as_deref(), limit: NAMESPACES_MAX };
        let page = names(view, scope, &scan);
        if self.body.is_empty() {
            self.body.extend_from_slice(b"{\"data\":[");
        } else {
            self.body.push(b',');
        }
        for (index, (name, _)) in page.items.iter().enumerate() {
            if index > 0 {
                self.body.push(b',');
            }
            encode_string(&mut self.body, name);
        }
        self.last = page.items.into_iter().next_back().map(|(name, _)| name);
        page.more
    }

    fn settle(&mut self, _: &Values) {}

    fn bytes(&self) -> usize {
        self.body.len()
    }
}
