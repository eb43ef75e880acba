//! `larder org`

use clap::{Args, Subcommand};
use larder_protocol as protocol;
use larder_protocol::{Limit, Settings};

use super::Status;
use super::failure::Failure;
use super::manager::{Place, Task};
use super::output::Style;
use super::session::Target;
use super::table::Table;

/// Manages organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Org {
    /// Creates an organization
    Create {
        /// Its name: up to 64 of a-z, 0-9 and -
        name: String,
        /// free (nothing allowed), starter (100 entries), team (500 to 1,000) or scale (no limit) [default: scale]
        #[arg(long)]
        plan: Option<String>,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        place: Place,
    },
    /// Lists organizations
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Deletes an organization: its keys at once, its entries in the background
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Changes what an organization may; what is not named stays
    SetPlan {
        /// Its name
        name: String,
        /// free (nothing allowed), starter (100 entries), team (500 to 1,000) or scale (no limit)
        plan: Option<String>,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        place: Place,
    },
}

/// Limits besides those of the plan.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Most entries, in the plans team and scale; - for that of the plan
    #[arg(long, value_name = "NUMBER", value_parser = limit, allow_hyphen_values = true)]
    entries: Option<Limit>,
    /// Most bytes of a value; - for no limit but the server's
    #[arg(long, value_name = "NUMBER", value_parser = limit, allow_hyphen_values = true)]
    value_bytes: Option<Limit>,
    /// Most requests a second; - for no limit
    #[arg(long, value_name = "NUMBER", value_parser = limit, allow_hyphen_values = true)]
    rate: Option<Limit>,
}

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "-" => Ok(Limit::OfPlan),
        _ => text.parse().map(Limit::At).map_err(|_| "write a number, or -".to_owned()),
    }
}

impl Limits {
    fn settings(&self, plan: Option<&String>) -> Settings<'static> {
        let Limits { entries, value_bytes, rate } = *self;
        Settings { plan: plan.cloned().map(Into::into), entries, value_bytes, rate }
    }
}

impl Org {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let (org, place) = match self {
            Org::Create { name, plan, limits, place } => {
                let settings = limits.settings(plan.as_ref());
                (protocol::Org::Create { name: name.into(), settings }, place)
            }
            Org::List { place } => (protocol::Org::List, place),
            Org::Delete { name, place } => (protocol::Org::Delete { name: name.into() }, place),
            Org::SetPlan { name, plan, limits, place } => {
                let settings = limits.settings(plan.as_ref());
                (protocol::Org::Set { name: name.into(), settings }, place)
            }
        };
        let (objects, mut out) = place.carry_out(target, Task::Org(&org))?;
        let mut table =
            Table::new(["ORGANIZATION", "PLAN", "ENTRIES", "MOST ENTRIES", "VALUE BYTES", "REQUESTS/S"]);
        for object in &objects {
            if out.style() == Style::Json {
                out.line(&object.json)?;
            } else {
                let fields =
                    ["organization", "plan", "entries", "entries_max", "value_bytes_max", "rate_max"];
                table.row(fields.map(|field| object.column(field)));
            }
        }
        table.print(&mut out)?;
        out.flush()?;
        Ok(Status::Done)
    }
}
