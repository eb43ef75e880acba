//! Commands that list, a page at a time.

use std::fmt::Debug;

use larder_protocol::reply::{Fields, Reply, ReplyError};
use larder_protocol::{RequestError, RequestLine, Verb};

use super::{Options, Repeat, Replies, Request, Shape, in_namespace};
use crate::reply::{Item, NamespaceItem, Page};

/// `LIST`: lists entries by key, bytewise.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    prefix: &'a str,
    limit: Option<u64>,
    cursor: Option<&'a str>,
    reverse: bool,
    values: bool,
    namespace: Option<&'a str>,
}

/// `NAMESPACES`: lists namespaces that hold live entries.
#[derive(Clone, Copy, Debug)]
pub struct Namespaces<'a> {
    prefix: &'a str,
    limit: Option<u64>,
    cursor: Option<&'a str>,
}

in_namespace! { List }

/// A listing that goes on from page to page.
pub trait Paged: Copy + Debug + Send + Sync + Unpin {
    /// What it lists.
    type Item: Debug + Send + Unpin;
    /// The request for one page.
    type Request<'c>: Request<Reply = Page<Self::Item>> + Send + Sync
    where
        Self: 'c;

    /// The request for the page that a cursor leads to, the `next` of the page before.
    fn page_at<'c>(&self, cursor: Option<&'c str>) -> Self::Request<'c>
    where
        Self: 'c;
}

impl<'a> List<'a> {
    /// All of the namespace.
    #[must_use]
    pub const fn all() -> Self {
        Self::prefix("")
    }

    /// Entries whose keys begin so.
    #[must_use]
    pub const fn prefix(prefix: &'a str) -> Self {
        Self { prefix, limit: None, cursor: None, reverse: false, values: false, namespace: None }
    }

    /// At most so many to a page, 1 to 10,000; the server's default is 100.
    #[must_use]
    pub const fn limit(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// From where a page ended: its `next`.
    #[must_use]
    pub const fn cursor(self, cursor: &'a str) -> Self {
        Self { cursor: Some(cursor), ..self }
    }

    /// From the last key to the first.
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// With the values; such a page may end early at 1 MiB.
    #[must_use]
    pub const fn values(self) -> Self {
        Self { values: true, ..self }
    }
}

impl<'a> Namespaces<'a> {
    /// All of them.
    #[must_use]
    pub const fn all() -> Self {
        Self::prefix("")
    }

    /// Those whose names begin so.
    #[must_use]
    pub const fn prefix(prefix: &'a str) -> Self {
        Self { prefix, limit: None, cursor: None }
    }

    /// At most so many to a page, 1 to 10,000; the server's default is 1,000.
    #[must_use]
    pub const fn limit(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// From where a page ended: its `next`.
    #[must_use]
    pub const fn cursor(self, cursor: &'a str) -> Self {
        Self { cursor: Some(cursor), ..self }
    }
}

impl Paged for List<'_> {
    type Item = Item;
    type Request<'c>
        = List<'c>
    where
        Self: 'c;

    fn page_at<'c>(&self, cursor: Option<&'c str>) -> List<'c>
    where
        Self: 'c,
    {
        List { cursor: cursor.or(self.cursor), ..*self }
    }
}

impl Paged for Namespaces<'_> {
    type Item = NamespaceItem;
    type Request<'c>
        = Namespaces<'c>
    where
        Self: 'c;

    fn page_at<'c>(&self, cursor: Option<&'c str>) -> Namespaces<'c>
    where
        Self: 'c,
    {
        Namespaces { cursor: cursor.or(self.cursor), ..*self }
    }
}

impl Request for List<'_> {
    type Reply = Page<Item>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        page_of(RequestLine::new(out, Verb::List), self.prefix, self.limit, self.cursor)
            .flag("reverse", self.reverse)
            .flag("values", self.values)
            .option_if_some("ns", self.namespace.or(namespace))
            .end()
    }

    fn shape(&self) -> Shape {
        Shape::Listing
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        page(replies, |fields| {
            let item = fields.entry()?;
            Ok(Item {
                key: item.key.into_owned(),
                version: item.version,
                expires_ms: item.expires_ms,
                json: item.json.map(str::to_owned),
            })
        })
    }
}

impl Request for Namespaces<'_> {
    type Reply = Page<NamespaceItem>;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        page_of(RequestLine::new(out, Verb::Namespaces), self.prefix, self.limit, self.cursor).end()
    }

    fn shape(&self) -> Shape {
        Shape::Listing
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        page(replies, |fields| {
            let (name, entries) = fields.namespace()?;
            Ok(NamespaceItem { name: name.into_owned(), entries })
        })
    }
}

fn page_of<'o>(
    line: RequestLine<'o>,
    prefix: &str,
    limit: Option<u64>,
    cursor: Option<&str>,
) -> RequestLine<'o> {
    let line = line.option_if_some("prefix", Some(prefix).filter(|prefix| !prefix.is_empty()));
    let line = match limit {
        Some(limit) => line.option_number("limit", limit),
        None => line,
    };
    line.option_if_some("cursor", cursor)
}

/// Reads items up to the `END`, whose count must be theirs.
fn page<T>(
    replies: Replies<'_>,
    item: impl Fn(Fields<'_>) -> Result<T, ReplyError>,
) -> Result<Page<T>, ReplyError> {
    let mut items = Vec::new();
    for reply in replies {
        match reply? {
            Reply::Item(fields) => items.push(item(fields)?),
            Reply::End { count, next } if count == items.len() as u64 => {
                return Ok(Page { items, next: next.map(str::to_owned) });
            }
            _ => break,
        }
    }
    Err(ReplyError::Fields)
}
