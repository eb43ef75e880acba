//! The operator's commands: `ORG` and `KEY`, each with a word that says what is to be done.
//!
//! What a name, a plan, a scope or a pattern may be, the server says: they are its own terms, and no rule of lines.

use std::borrow::Cow;

use super::line::{Line, Opt};
use super::parse::number;
use super::{Command, Request};
use crate::code::{Code, ParseError, shown};
use crate::ttl::Ttl;

type Parsed<'a> = Result<Request<'a>, ParseError>;

/// What `ORG` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Org<'a> {
    /// Lists all organizations.
    List,
    /// Creates an organization.
    Create {
        /// Its name.
        name: Cow<'a, str>,
        /// What is said of it.
        settings: Settings<'a>,
    },
    /// Changes what an organization may.
    Set {
        /// Its name.
        name: Cow<'a, str>,
        /// What is to be changed.
        settings: Settings<'a>,
    },
    /// Deletes an organization with all its keys and entries.
    Delete {
        /// Its name.
        name: Cow<'a, str>,
    },
}

/// What an organization may; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The plan.
    pub plan: Option<Cow<'a, str>>,
    /// Most live entries.
    pub entries: Option<Limit>,
    /// Most bytes of a value.
    pub value_bytes: Option<Limit>,
    /// Most requests a second.
    pub rate: Option<Limit>,
}

/// A limit of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `-`: that of the plan.
    OfPlan,
    /// This one.
    At(u64),
}

/// What `KEY` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// Lists keys.
    List {
        /// Of this organization alone.
        organization: Option<Cow<'a, str>>,
    },
    /// Makes a key.
    Create(NewKey<'a>),
    /// Ends a key.
    Revoke {
        /// Its id, the part of its token that is no secret.
        id: Cow<'a, str>,
    },
}

/// The key that `KEY create` is to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey<'a> {
    /// Its organization; `None` means `default`.
    pub organization: Option<Cow<'a, str>>,
    /// What it allows; `None` means `full_access`.
    pub scope: Option<Cow<'a, str>>,
    /// The namespaces it is for, as written: separated by commas, or a JSON array. `None` means all.
    pub namespaces: Option<Cow<'a, str>>,
    /// When it expires.
    pub expiry: Option<Ttl>,
    /// What it is called, for people.
    pub name: Option<Cow<'a, str>>,
}

pub(super) fn org<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let what = line.argument(Code::BadArg, "list, create, set or delete")?.text;
    let org = match &*what {
        "list" => Org::List,
        "create" | "set" | "delete" => {
            let name = line.argument(Code::BadArg, "name")?.text;
            match &*what {
                "create" => Org::Create { name, settings: settings(&mut line)? },
                "set" => Org::Set { name, settings: settings(&mut line)? },
                _ => Org::Delete { name },
            }
        }
        other => return Err(unknown("ORG list, create, set or delete", other)),
    };
    let ns = line.rest()?;
    Ok(Request { ns, command: Command::Org(org) })
}

pub(super) fn key<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let what = line.argument(Code::BadArg, "list, create or revoke")?.text;
    let key = match &*what {
        "list" => {
            let mut organization = None;
            line.options(|option| match option.name {
                "org" => option.once(&mut organization, text),
                _ => Err(option.unknown()),
            })?;
            Key::List { organization }
        }
        "create" => Key::Create(new_key(&mut line)?),
        "revoke" => Key::Revoke { id: line.argument(Code::BadArg, "id")?.text },
        other => return Err(unknown("KEY list, create or revoke", other)),
    };
    let ns = line.rest()?;
    Ok(Request { ns, command: Command::Key(key) })
}

fn settings<'a>(line: &mut Line<'a, '_>) -> Result<Settings<'a>, ParseError> {
    let mut settings = Settings::default();
    line.options(|option| match option.name {
        "plan" => option.once(&mut settings.plan, text),
        "entries" => option.once(&mut settings.entries, limit),
        "value_bytes" => option.once(&mut settings.value_bytes, limit),
        "rate" => option.once(&mut settings.rate, limit),
        _ => Err(option.unknown()),
    })?;
    Ok(settings)
}

fn new_key<'a>(line: &mut Line<'a, '_>) -> Result<NewKey<'a>, ParseError> {
    let mut key = NewKey::default();
    line.options(|option| match option.name {
        "org" => option.once(&mut key.organization, text),
        "scope" => option.once(&mut key.scope, text),
        "ns" => option.once(&mut key.namespaces, text),
        "name" => option.once(&mut key.name, text),
        "ttl" | "at" if key.expiry.is_some() => {
            let text = format!("option {} repeats or contradicts another; give one of ttl, at", option.name);
            Err(ParseError::new(Code::BadOpt, text))
        }
        "ttl" => option.once(&mut key.expiry, |option| Ok(Ttl::parse(&option.value.text)?)),
        "at" => option.once(&mut key.expiry, |option| Ok(Ttl::parse_instant(&option.value.text)?)),
        _ => Err(option.unknown()),
    })?;
    Ok(key)
}

fn text(option: Opt<'_>) -> Result<Cow<'_, str>, ParseError> {
    Ok(option.value.text)
}

fn limit(option: Opt<'_>) -> Result<Limit, ParseError> {
    if option.value.text == "-" {
        return Ok(Limit::OfPlan);
    }
    number(&option, "a number, or - for that of the plan").map(Limit::At)
}

#[cold]
fn unknown(wanted: &str, found: &str) -> ParseError {
    ParseError::new(Code::BadArg, format!("say {wanted}, not {}", shown(found)))
}
