//! `larder ls`

use clap::{ArgAction, Args};
use larder_client::reply::Item;
use larder_client::request::List;

use super::Status;
use super::expiry;
use super::failure::Failure;
use super::object::Object;
use super::output::{Style, say};
use super::pretty;
use super::session::{Session, Target};
use super::table::Table;

/// Entries in one request of `--all`.
const PAGE: u64 = 1_000;

/// Most characters of a value in a table for people.
const VALUE_CHARACTERS_MAX: usize = 60;

/// Lists keys in bytewise order.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only keys that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// At most so many, 1 to 10000
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// All, however many
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// Go on from where a listing ended
    #[arg(long)]
    cursor: Option<String>,
    /// From the last key to the first
    #[arg(long)]
    reverse: bool,
    /// With the values
    #[arg(long)]
    values: bool,
    /// Whether it is an error, with exit code 1, if there are none
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    error_on_missing: bool,
}

impl Ls {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let mut cursor = self.cursor.clone();
        let mut found = false;
        loop {
            let page = session.call(&self.request(cursor.as_deref()))?;
            found |= !page.items.is_empty();
            self.show(&mut session, page.items)?;
            cursor = page.next;
            if !self.all || cursor.is_none() {
                break;
            }
        }
        if let Some(cursor) = cursor {
            more_follow(&mut session, &cursor)?;
        }
        if !found && self.error_on_missing {
            let answer = Object::new().text("prefix", &self.prefix).text("result", "absent");
            return session.no(answer, &format!("there is no entry whose key begins with {:?}", self.prefix));
        }
        session.done()
    }

    fn request<'a>(&'a self, cursor: Option<&'a str>) -> List<'a> {
        let mut request = List::prefix(&self.prefix).limit(if self.all { PAGE } else { self.limit });
        if let Some(cursor) = cursor {
            request = request.cursor(cursor);
        }
        if self.reverse {
            request = request.reverse();
        }
        if self.values { request.values() } else { request }
    }

    fn show(&self, session: &mut Session, items: Vec<Item>) -> Result<(), Failure> {
        let style = session.out.style();
        if style == Style::Json {
            return items.into_iter().try_for_each(|item| session.out.object(object(&item)));
        }
        let stamp = |item: &Item| (item.version.to_string(), expiry::shown(item.expires_ms, style));
        if !self.values {
            let mut table = Table::new(["KEY", "VERSION", "EXPIRES"]);
            for item in items {
                let (version, expires) = stamp(&item);
                table.row([item.key, version, expires]);
            }
            return table.print(&mut session.out);
        }
        let mut table = Table::new(["KEY", "VERSION", "EXPIRES", "VALUE"]);
        for item in items {
            let (version, expires) = stamp(&item);
            let value = item.json.unwrap_or_default();
            let value =
                if style == Style::Terminal { pretty::cut(&value, VALUE_CHARACTERS_MAX) } else { value };
            table.row([item.key, version, expires, value]);
        }
        table.print(&mut session.out)
    }
}

fn object(item: &Item) -> Object {
    let object = Object::new()
        .text("key", &item.key)
        .number("version", item.version)
        .number_or_null("expires_at", item.expires_ms);
    match &item.json {
        Some(json) => object.raw("value", json),
        None => object,
    }
}

/// A listing that was cut must not look whole.
fn more_follow(session: &mut Session, cursor: &str) -> Result<(), Failure> {
    if session.out.style() == Style::Json {
        return session.out.object(Object::new().text("next", cursor));
    }
    session.out.flush()?;
    say(&format_args!("more follow: --cursor {cursor} goes on, --all lists everything"));
    Ok(())
}
