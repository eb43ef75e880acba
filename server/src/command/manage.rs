//! `ORG` and `KEY`: from what was asked for to the registry. The command line does the same on a store that nobody has open.

use std::borrow::Cow;

use larder_protocol::{self as protocol, Key, Limit, Org, ParseError, Settings, deadline};

use super::failure::access_refusal;
use crate::access::{
    AccessError, Change, DEFAULT_NAME, Namespaces, NewKey, Plan, Registry, Scope, TermsChange,
};

/// What came of it, as JSON.
#[derive(Debug)]
pub(crate) enum Managed {
    /// `OK <json>`
    Object(String),
    /// `ITEM <json>` lines.
    Items(Vec<String>),
}

/// Carries out `ORG`. Blocks.
pub(crate) fn org(registry: &Registry, org: &Org<'_>) -> Result<Managed, ParseError> {
    let managed = match org {
        Org::List => registry.organizations().map(Managed::Items),
        Org::Create { name, settings } => change(settings)
            .and_then(|change| registry.create_organization(name, change))
            .map(Managed::Object),
        Org::Set { name, settings } => {
            change(settings).and_then(|change| registry.set_organization(name, change)).map(Managed::Object)
        }
        Org::Delete { name } => registry.delete_organization(name).map(Managed::Object),
    };
    managed.map_err(|error| access_refusal(&error))
}

/// Carries out `KEY`. Blocks.
pub(crate) fn key(registry: &Registry, key: &Key<'_>, max_ttl_ms: u64) -> Result<Managed, ParseError> {
    let managed = match key {
        Key::List { organization } => registry.keys(organization.as_deref()).map(Managed::Items),
        Key::Create(new) => {
            let expires_at =
                new.expiry.map(|ttl| deadline(ttl, registry.now_ms(), max_ttl_ms)).transpose()?;
            new_key(new, expires_at).and_then(|new| registry.create_key(new)).map(Managed::Object)
        }
        Key::Revoke { id } => registry.revoke_key(id).map(Managed::Object),
    };
    managed.map_err(|error| access_refusal(&error))
}

fn change(settings: &Settings<'_>) -> Result<TermsChange, AccessError> {
    let limit = |limit: Option<Limit>| {
        limit.map(|limit| match limit {
            Limit::OfPlan => Change::ToPlan,
            Limit::At(value) => Change::To(value),
        })
    };
    Ok(TermsChange {
        plan: settings.plan.as_deref().map(Plan::from_name).transpose()?,
        entries: limit(settings.entries),
        value_bytes: limit(settings.value_bytes),
        rate: limit(settings.rate),
    })
}

fn new_key(new: &protocol::NewKey<'_>, expires_at: Option<u64>) -> Result<NewKey, AccessError> {
    Ok(NewKey {
        organization: new.organization.as_deref().unwrap_or(DEFAULT_NAME).to_owned(),
        scope: new.scope.as_deref().map_or(Ok(Scope::FullAccess), Scope::from_name)?,
        namespaces: new.namespaces.as_deref().map(Namespaces::parse).transpose()?,
        name: new.name.clone().map(Cow::into_owned),
        expires_at,
    })
}
