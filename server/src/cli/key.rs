//! `larder key`

use clap::Subcommand;
use larder_protocol as protocol;
use larder_protocol::NewKey;
use serde_json::{Value, json};

use super::Status;
use super::expiry::{Expires, shown};
use super::failure::Failure;
use super::manager::{Object, Place, Task};
use super::output::{Output, Style, say};
use super::session::Target;
use super::table::Table;

/// Manages access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a key, and prints its token: this once, since nothing but a hash of it is kept
    #[command(
        after_help = "The first key of a server must be of scope admin, without an expiry: from then on everybody \
        has to show a key. With --data the store is made if there is none."
    )]
    Create {
        /// The organization it is for [default: default]
        #[arg(long)]
        org: Option<String>,
        /// What it allows: read_only, full_access, or admin, which manages organizations and keys [default: full_access]
        #[arg(long)]
        scope: Option<String>,
        /// A namespace that it is for, or with a * at the end all that begin so; may be given again [default: all]
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Vec<String>,
        /// What it is called, for people
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        expires: Expires,
        #[command(flatten)]
        place: Place,
    },
    /// Lists keys
    List {
        /// Those of this organization alone
        #[arg(long)]
        org: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a key at once, on open connections too
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

impl Key {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let (key, place) = match self {
            Key::Create { org, scope, namespace, name, expires, place } => {
                let key = NewKey {
                    organization: org.as_deref().map(Into::into),
                    scope: scope.as_deref().map(Into::into),
                    namespaces: (!namespace.is_empty()).then(|| json!(namespace).to_string().into()),
                    expiry: expires.ttl(),
                    name: name.as_deref().map(Into::into),
                };
                (protocol::Key::Create(key), place)
            }
            Key::List { org, place } => {
                (protocol::Key::List { organization: org.as_deref().map(Into::into) }, place)
            }
            Key::Revoke { id, place } => (protocol::Key::Revoke { id: id.into() }, place),
        };
        let (objects, mut out) = place.carry_out(target, Task::Key(&key))?;
        show(&objects, &mut out)?;
        out.flush()?;
        Ok(Status::Done)
    }
}

/// Shows keys. Of one that has just been made a pipe gets the token and nothing else.
fn show(objects: &[Object], out: &mut Output) -> Result<(), Failure> {
    let style = out.style();
    let mut table = Table::new(["ID", "ORGANIZATION", "SCOPE", "EXPIRES", "NAMESPACES", "NAME"]);
    for object in objects {
        match (style, object.value.get("token").and_then(Value::as_str)) {
            (Style::Json, _) => out.line(&object.json)?,
            (Style::Plain, Some(token)) => out.line(token)?,
            (_, token) => {
                let expires = shown(object.value.get("expires_at").and_then(Value::as_u64), style);
                let [id, organization, scope] =
                    ["id", "organization", "scope"].map(|field| object.column(field));
                let [namespaces, name] = ["namespaces", "name"].map(|field| object.column(field));
                table.row([id, organization, scope, expires, namespaces, name]);
                if let Some(token) = token {
                    table.print(out)?;
                    out.line(token)?;
                    say(&"this token is shown once; keep it where only its user can read it");
                }
            }
        }
    }
    table.print(out)
}
