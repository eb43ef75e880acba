//! `larder namespaces`

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::Target;
use super::table::Table;

/// Lists the namespaces that hold live entries.
#[derive(Debug, Args)]
pub(crate) struct Namespaces {
    /// Only namespaces that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

impl Namespaces {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let mut cursor: Option<String> = None;
        loop {
            let request = request::Namespaces::prefix(&self.prefix);
            let page = session.call(&match &cursor {
                Some(cursor) => request.cursor(cursor),
                None => request,
            })?;
            let mut table = Table::new(["NAMESPACE", "ENTRIES"]);
            for item in page.items {
                if session.out.style() == Style::Json {
                    let object = Object::new().text("namespace", &item.name).number("entries", item.entries);
                    session.out.object(object)?;
                } else {
                    table.row([item.name, item.entries.to_string()]);
                }
            }
            table.print(&mut session.out)?;
            cursor = page.next;
            if cursor.is_none() {
                return session.done();
            }
        }
    }
}
