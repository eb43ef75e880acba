//! The change feed as Server-Sent Events.
//!
//! An event's id is its version, so a client that comes back with `Last-Event-ID` misses nothing. One piece waits for the
//! client at a time; while it is not taken, nothing is read. A client that is too slow, or may not watch any more, gets the
//! event `end` in its place, with the version to resume after.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use larder_client::rfc3339;
use larder_engine::{ChangeKind, Changes, Error};
use larder_protocol::json::encode_string;
use larder_protocol::{Code, ParseError, Verb, Watch};
use tokio::time::{Instant, sleep, timeout};

use super::shapes::Flag;
use crate::access::{Grant, Session};
use crate::command::{SHUTDOWN, denial, refusal};
use crate::http::connection::Connection;
use crate::http::openapi::{Compacted, Problems};
use crate::http::outlet::{Outlet, outlet};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller};
use crate::rooms::PATIENCE;
use crate::shared::Tally;
use crate::watching::{CUT_PATIENCE, LAG_CHECK, Watching};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies that they must not keep events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follows the changes in all namespaces.
#[utoipa::path(
    get,
    path = "/v1/changes",
    operation_id = "changes_all",
    tag = "changes",
    params(
        ("prefix" = Option<String>, Query, description = "only names that begin with this"),
        ("from" = Option<u64>, Query, description = "all changes after this version"),
        ("values" = inline(Option<Flag>), Query, description = "with the values"),
        ("Last-Event-ID" = Option<u64>, Header, description = "the last event that came, to go on after"),
    ),
    responses(
        (status = 200, description = "events, as they become durable", content_type = "text/event-stream", body = String),
        Compacted,
        Problems,
    ),
)]
pub(super) async fn of_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    begin(app, caller, None, query, &headers)
}

/// Follows the changes in a namespace.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace}/changes",
    operation_id = "changes",
    tag = "changes",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("prefix" = Option<String>, Query, description = "only names that begin with this"),
        ("from" = Option<u64>, Query, description = "all changes after this version"),
        ("values" = inline(Option<Flag>), Query, description = "with the values"),
        ("Last-Event-ID" = Option<u64>, Header, description = "the last event that came, to go on after"),
    ),
    responses(
        (status = 200, description = "events, as they become durable", content_type = "text/event-stream", body = String),
        Compacted,
        Problems,
    ),
)]
pub(super) async fn of_namespace(
    State(app): State<Arc<App>>,
    caller: Caller,
    path: Segments,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    begin(app, caller, Some(path.namespace()), query, &headers)
}

fn begin(
    app: Arc<App>,
    mut caller: Caller,
    namespace: Option<&str>,
    mut query: Query,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let started = std::time::Instant::now();
    let prefix = query.text("prefix").unwrap_or_default();
    let from = query.number("from", 0..=u64::MAX)?;
    let values = query.flag("values")?;
    query.end()?;
    // What a client has seen by now counts for more than where it once began.
    let from = last_event_id(headers)?.or(from);
    caller.may(Verb::Watch, namespace)?;
    let watch = Watch { prefix: prefix.into(), all: namespace.is_none(), from, values };
    let watching = Watching::begin(&app.shared, caller.grant(), &watch, namespace.unwrap_or_default());
    let watching = watching.map_err(|error| refusal(&error))?;
    app.shared.counters.add(Tally { commands: 1, ..Tally::default() });
    caller.carried_out(Verb::Watch, started);
    let (outlet, events) = outlet();
    let (session, connection) = caller.into_parts();
    tokio::spawn(async move {
        let mut telling = Telling { app, session, connection, outlet, told: watching.version() };
        telling.run(watching).await;
    });
    let mut response = Response::new(Body::new(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let version = id.to_str().ok().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    let version = version.and_then(|id| id.parse().ok());
    version
        .map(Some)
        .ok_or_else(|| Problem::of(Code::BadArg, "Last-Event-ID is the id of an event: a version"))
}

/// What is told to one client.
struct Telling {
    app: Arc<App>,
    session: Session,
    connection: Connection,
    outlet: Outlet,
    /// All up to this version was taken.
    told: u64,
}

/// Why it ends.
enum End {
    /// The client has left.
    Left,
    /// It takes too little.
    Slow,
    /// Anything else.
    Refused(ParseError),
}

impl Telling {
    async fn run(&mut self, mut watching: Watching) {
        let mut first = Vec::from("retry: 1000\n\n");
        progress(&mut first, watching.version());
        self.outlet.put(first, None);
        let end = loop {
            match self.next(watching).await {
                Ok(more) => watching = more,
                Err(end) => break end,
            }
        };
        let error = match end {
            End::Left => return,
            End::Slow => {
                self.app.shared.watchers.note_cut();
                ParseError { code: Code::Slow, text: "the client takes the events too slowly".to_owned() }
            }
            End::Refused(error) => error,
        };
        self.outlet.put(last(&error, self.told), None);
        _ = timeout(CUT_PATIENCE, self.outlet.taken()).await;
    }

    /// Tells what there is to tell next.
    async fn next(&mut self, watching: Watching) -> Result<Watching, End> {
        self.until_taken(&watching).await?;
        self.told = watching.version();
        let shutdown = self.app.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(stopping()),
            () = self.outlet.closed() => return Err(End::Left),
            () = watching.due(&self.session) => {}
        }
        self.may_watch()?;
        let shared = &self.app.shared;
        let (mut watching, room, changes) = watching.read(shared).await.map_err(broken)?;
        // Nothing that was read meanwhile is told to whoever may not watch any more.
        self.may_watch()?;
        let mut out = Vec::new();
        match changes {
            Ok(changes) => render(&watching, &changes, self.session.grant(), &mut out),
            Err(Error::Compacted { .. }) => return Err(End::Slow),
            Err(error) => {
                if let Error::Failed { .. } = error {
                    self.app.shared.log_failure(&error);
                }
                return Err(End::Refused(refusal(&error)));
            }
        }
        if out.is_empty() && watching.is_quiet() {
            progress(&mut out, watching.version());
        }
        if !out.is_empty() {
            self.outlet.put(out, Some((room, self.connection.holding())));
            watching.note_sent();
        }
        if let Some(rest) = self.app.shared.watchers.rest().filter(|_| !watching.is_behind()) {
            sleep(rest).await;
        }
        Ok(watching)
    }

    /// Waits until the client has taken what was put out last; not for ever.
    async fn until_taken(&mut self, watching: &Watching) -> Result<(), End> {
        let since = Instant::now();
        loop {
            let shutdown = self.app.shutdown.clone();
            tokio::select! {
                biased;
                taken = self.outlet.taken() => return if taken { Ok(()) } else { Err(End::Left) },
                () = shutdown.cancelled() => return Err(stopping()),
                () = sleep(LAG_CHECK) => {}
            }
            self.may_watch()?;
            let terms = &self.app.shared.terms;
            let patience = if terms.replies.are_taken() { PATIENCE } else { terms.write_timeout };
            if watching.is_too_far_behind() || since.elapsed() >= patience {
                return Err(End::Slow);
            }
        }
    }

    fn may_watch(&mut self) -> Result<(), End> {
        self.session.refresh();
        let allowed = self.session.grant().check_on(self.session.now_ms());
        allowed.map_err(|denied| End::Refused(denial(denied)))
    }
}

fn stopping() -> End {
    End::Refused(ParseError { code: Code::Shutdown, text: SHUTDOWN.to_owned() })
}

fn broken(error: io::Error) -> End {
    End::Refused(ParseError { code: Code::Internal, text: format!("the changes cannot be read: {error}") })
}

fn render(watching: &Watching, changes: &Changes, grant: &Grant, out: &mut Vec<u8>) {
    for (change, with_value) in watching.told(changes, grant) {
        let name = match change.kind {
            ChangeKind::Set => "set",
            ChangeKind::Delete => "del",
            ChangeKind::Expire => "expire",
        };
        begin_event(out, name, change.version);
        out.extend_from_slice(b",\"namespace\":");
        encode_string(out, change.namespace);
        out.extend_from_slice(b",\"key\":");
        encode_string(out, change.key);
        let expires_at = change.expires_at.filter(|_| change.kind != ChangeKind::Delete);
        match expires_at {
            Some(expires_at) => {
                out.extend_from_slice(format!(",\"expires_at\":\"{}\"", rfc3339(expires_at)).as_bytes());
            }
            None => out.extend_from_slice(b",\"expires_at\":null"),
        }
        if with_value {
            out.extend_from_slice(b",\"value\":");
            // Compact JSON holds no raw line feed, which would end the event.
            out.extend_from_slice(change.value);
        }
        out.extend_from_slice(b"}\n\n");
    }
}

/// Nothing that is watched has happened up to this version that was not told.
fn progress(out: &mut Vec<u8>, version: u64) {
    begin_event(out, "progress", version);
    out.extend_from_slice(b"}\n\n");
}

/// The event after which nothing comes.
fn last(error: &ParseError, version: u64) -> Vec<u8> {
    let mut out = Vec::new();
    begin_event(&mut out, "end", version);
    out.extend_from_slice(b",\"code\":");
    encode_string(&mut out, error.code.as_str());
    out.extend_from_slice(b",\"detail\":");
    encode_string(&mut out, &error.text);
    out.extend_from_slice(b"}\n\n");
    out
}

fn begin_event(out: &mut Vec<u8>, name: &str, version: u64) {
    out.extend_from_slice(format!("id: {version}\nevent: {name}\ndata: {{\"version\":{version}").as_bytes());
}
