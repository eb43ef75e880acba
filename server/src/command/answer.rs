//! What a command leaves behind under the lock, for its reply to be rendered from.

use larder_engine::{Decision, Deleted, Found, NamespacePage, Page, Stamp};
use larder_protocol::json::Pointer;
use larder_protocol::{ParseError, Verb};

/// What a line of a listing has besides what is stored.
const LINE_BYTES: usize = 48;
/// About what the server has to say of itself.
const TEXT_BYTES: usize = 2048;

/// The answer to one command, its values not loaded yet.
#[derive(Debug)]
pub(crate) enum Answer<'t> {
    /// `OK`
    Ok,
    /// `OK`, and who the server is.
    Hello,
    /// `OK`, and the counters.
    Stats,
    /// `OK <json>`
    Object(String),
    /// `ITEM` lines about commands.
    Help(Option<Verb>),
    /// `OK <namespace>`
    Namespace(&'t str),
    /// `VAL`, `NIL` or `NO PATH`
    Value(Option<Found>, Option<&'t Pointer<'t>>),
    /// `VAL` or `NIL` for each.
    Values(Vec<Option<Found>>),
    /// `OK` with all fields, or `NIL`; and then whether it is known that the last entry there has expired.
    Entry { found: Option<Found>, expired: bool, organization: &'t str, namespace: &'t str, key: &'t str },
    /// `OK <number>`
    Number(u64),
    /// `OK` with milliseconds left or `-`, or `NIL`.
    Left(Option<Option<u64>>),
    /// `OK <version> <expires>` or `NO …`
    Written(Decision<Stamp>),
    /// `OK <version> <expires>` or `NIL`
    Touched(Option<Stamp>),
    /// `OK <version>`, `NIL` or `NO …`
    Deleted(Decision<Option<Deleted>>),
    /// `VAL` of what was deleted, `NIL` or `NO …`
    Taken(Decision<Option<Deleted>>),
    /// `VAL` of what was written.
    Changed(Stamp, Vec<u8>),
    /// `NO CHECK <i>`
    FailedCheck(u64),
    /// `ITEM` lines with keys, and perhaps with values.
    Entries { page: Page, values: bool },
    /// `ITEM` lines with namespaces.
    Namespaces(NamespacePage),
    /// `ERR`
    Refused(Box<ParseError>),
}

impl Answer<'_> {
    /// The one entry whose value will be rendered.
    pub(crate) fn found(&self) -> Option<&Found> {
        match self {
            Answer::Value(found, _) | Answer::Entry { found, .. } => found.as_ref(),
            _ => None,
        }
    }

    /// Lets go of copies of what is in the log by now.
    pub(crate) fn release(&mut self) {
        match self {
            Answer::Value(Some(found), _) | Answer::Entry { found: Some(found), .. } => found.release(),
            Answer::Values(founds) => founds.iter_mut().flatten().for_each(Found::release),
            Answer::Entries { page, .. } => page.items.iter_mut().for_each(|(_, found)| found.release()),
            Answer::Deleted(Ok(Some(deleted))) | Answer::Taken(Ok(Some(deleted))) => deleted.found.release(),
            _ => {}
        }
    }

    /// About how many bytes the answer may hold in memory until it is rendered.
    pub(crate) fn bytes(&self) -> usize {
        let stored = |found: &Option<Found>| found.as_ref().map_or(0, Found::stored_bytes);
        match self {
            Answer::Value(found, _) | Answer::Entry { found, .. } => stored(found),
            Answer::Changed(_, json) => json.len(),
            Answer::Values(founds) => founds.iter().map(stored).sum(),
            Answer::Entries { page, values: true } => {
                page.items.iter().map(|(_, found)| found.stored_bytes()).sum()
            }
            Answer::Entries { page, values: false } => {
                page.items.iter().map(|(key, _)| key.len() + LINE_BYTES).sum()
            }
            Answer::Deleted(Ok(Some(deleted))) | Answer::Taken(Ok(Some(deleted))) => {
                deleted.found.stored_bytes()
            }
            Answer::Namespaces(page) => page.items.iter().map(|(name, _)| name.len() + LINE_BYTES).sum(),
            Answer::Refused(error) => error.text.len(),
            Answer::Hello | Answer::Stats | Answer::Help(_) => TEXT_BYTES,
            _ => 0,
        }
    }
}

impl From<ParseError> for Answer<'_> {
    fn from(error: ParseError) -> Self {
        Answer::Refused(Box::new(error))
    }
}
