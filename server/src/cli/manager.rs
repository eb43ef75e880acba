//! Where organizations and keys are managed: at a running server, by whoever holds an admin key, or in the directory of a
//! stopped one, by whoever may write there. Both ways end in the same code, and give the same answers.

use std::path::{Path, PathBuf};

use clap::Args;
use larder_client::request::{Replies, Request, Shape};
use larder_client::{Error, Ttl, rfc3339};
use larder_engine::Options;
use larder_protocol::reply::{Reply, ReplyError};
use larder_protocol::{
    Key, Limit, Limits, NewKey, Org, ParseError, RequestError, RequestLine, Settings, Verb,
};
use serde_json::Value;

use super::failure::Failure;
use super::output::Output;
use super::session::Target;
use crate::access::{AccessError, Registry};
use crate::command::manage::{self, Managed};

/// Where to manage.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Manage the store in this directory, which no server has open
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task<'t> {
    Org(&'t Org<'t>),
    Key(&'t Key<'t>),
}

impl Place {
    /// Does it. Gives the objects that came of it, and where to show them.
    pub(super) fn carry_out(
        &self,
        target: &Target,
        task: Task<'_>,
    ) -> Result<(Vec<Object>, Output), Failure> {
        let (objects, out) = match &self.data {
            None => {
                let mut session = target.open()?;
                (session.call(&task)?, session.out)
            }
            Some(data) => (offline(data, task)?, target.output()),
        };
        let objects = objects.into_iter().map(|json| match serde_json::from_str(&json) {
            Ok(value) => Ok(Object { json, value }),
            Err(_) => Err(Failure::of_request(&target.addr, Error::Protocol(ReplyError::Fields))),
        });
        Ok((objects.collect::<Result<_, _>>()?, out))
    }
}

fn offline(data: &Path, task: Task<'_>) -> Result<Vec<String>, Failure> {
    // A first key may be made before the server is started for the first time.
    let create = matches!(task, Task::Key(Key::Create(_)));
    let store = Options::new().create(create).open(data).map_err(Failure::Store)?;
    let done = Registry::open(store.clone()).map_err(Failure::Access).and_then(|registry| {
        let managed = match task {
            Task::Org(org) => manage::org(&registry, org),
            Task::Key(key) => manage::key(&registry, key, Limits::DEFAULT.max_ttl_ms),
        };
        let managed = managed.map_err(|ParseError { code, text }| {
            Failure::of_request(&data.to_string_lossy(), Error::Server { code, text })
        })?;
        purge(&registry)?;
        Ok(match managed {
            Managed::Object(json) => vec![json],
            Managed::Items(items) => items,
        })
    });
    let closed = store.close().map_err(Failure::Store);
    done.and_then(|objects| closed.map(|()| objects))
}

fn purge(registry: &Registry) -> Result<(), Failure> {
    while registry.purge_some().map_err(|error| match error {
        AccessError::Store(error) => Failure::Store(error),
        error => Failure::Access(error),
    })? {}
    Ok(())
}

impl Request for Task<'_> {
    type Reply = Vec<String>;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        match self {
            Task::Org(org) => write_org(RequestLine::new(out, Verb::Org), org).end(),
            Task::Key(key) => write_key(RequestLine::new(out, Verb::Key), key).end(),
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Task::Org(Org::List) | Task::Key(Key::List { .. }) => Shape::Listing,
            _ => Shape::Line,
        }
    }

    fn read(replies: Replies<'_>) -> Result<Vec<String>, ReplyError> {
        let mut objects = Vec::new();
        for reply in replies {
            match reply? {
                Reply::Ok(fields) | Reply::Item(fields) => objects.push(fields.text().to_owned()),
                Reply::End { .. } => {}
                _ => return Err(ReplyError::Kind),
            }
        }
        Ok(objects)
    }
}

fn write_org<'o>(line: RequestLine<'o>, org: &Org<'_>) -> RequestLine<'o> {
    match org {
        Org::List => line.token("list"),
        Org::Create { name, settings } => write_settings(line.token("create").token(name), settings),
        Org::Set { name, settings } => write_settings(line.token("set").token(name), settings),
        Org::Delete { name } => line.token("delete").token(name),
    }
}

fn write_settings<'o>(line: RequestLine<'o>, settings: &Settings<'_>) -> RequestLine<'o> {
    let Settings { plan, entries, value_bytes, rate } = settings;
    let limits = [("entries", entries), ("value_bytes", value_bytes), ("rate", rate)];
    limits.into_iter().fold(optional(line, "plan", plan.as_deref()), |line, (name, limit)| match limit {
        None => line,
        Some(Limit::OfPlan) => line.option(name, "-"),
        Some(Limit::At(value)) => line.option_number(name, *value),
    })
}

fn write_key<'o>(line: RequestLine<'o>, key: &Key<'_>) -> RequestLine<'o> {
    match key {
        Key::List { organization } => optional(line.token("list"), "org", organization.as_deref()),
        Key::Create(NewKey { organization, scope, namespaces, expiry, name }) => {
            let line = optional(line.token("create"), "org", organization.as_deref());
            let line = optional(line, "scope", scope.as_deref());
            let line = optional(line, "ns", namespaces.as_deref());
            let line = optional(line, "name", name.as_deref());
            match expiry {
                None => line,
                Some(Ttl::After(ms)) => line.option("ttl", &format!("{ms}ms")),
                Some(Ttl::At(unix_ms)) => line.option("at", &rfc3339(*unix_ms)),
            }
        }
        Key::Revoke { id } => line.token("revoke").token(id),
    }
}

fn optional<'o>(line: RequestLine<'o>, name: &str, value: Option<&str>) -> RequestLine<'o> {
    match value {
        Some(value) => line.option(name, value),
        None => line,
    }
}

/// An organization or a key, as it was told.
pub(super) struct Object {
    pub(super) json: String,
    pub(super) value: Value,
}

impl Object {
    /// A field as a column shows it.
    pub(super) fn column(&self, field: &str) -> String {
        match self.value.get(field) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}
