//! From answers to reply lines, in pieces: a buffer that is full goes to the client before more values are loaded.

use larder_engine::{Decision, Deleted, Error, Found, Page, Refusal, Stamp, Values};
use larder_protocol::json::Pointer;
use larder_protocol::reply::write;
use larder_protocol::{Code, ParseError};

use super::answer::Answer;
use super::failure::refusal;
use super::{entry, stats};
use crate::shared::{Shared, Tally};

/// A reply buffer with that many bytes is written out before more is rendered. One line may still go beyond it.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024;

/// A page of values ends here, with a cursor for the next one.
pub(crate) const VALUES_PAGE_BYTES: usize = 1024 * 1024;

/// What is rendered from, besides the answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) values: &'s Values,
}

/// The answers of a round, and how far they are rendered.
#[derive(Debug)]
pub(crate) struct Rendering<'t> {
    answers: Vec<Answer<'t>>,
    /// The answer that comes next.
    at: usize,
    place: Place,
    scratch: Vec<u8>,
    tally: Tally,
}

/// How far an answer of several lines is rendered.
#[derive(Debug, Default)]
struct Place {
    line: usize,
    bytes: usize,
}

impl<'t> Rendering<'t> {
    pub(crate) fn new(answers: Vec<Answer<'t>>) -> Rendering<'t> {
        Rendering { answers, at: 0, place: Place::default(), scratch: Vec::new(), tally: Tally::default() }
    }

    /// Appends reply lines until everything is rendered, or `out` is full. Returns whether everything is.
    pub(crate) fn fill(&mut self, sources: Sources<'_>, out: &mut Vec<u8>) -> bool {
        while let Some(answer) = self.answers.get(self.at) {
            if out.len() >= OUTPUT_BYTES {
                return false;
            }
            let mut writer = Writer { sources, out, scratch: &mut self.scratch, tally: &mut self.tally };
            if writer.line(answer, &mut self.place) {
                self.at += 1;
                self.place = Place::default();
                self.tally.commands += 1;
            }
        }
        true
    }

    /// Has the answers hold no value in memory that the log has by now: for after the wait for it.
    pub(crate) fn release(&mut self) {
        self.answers.iter_mut().for_each(Answer::release);
    }

    /// What was counted while rendering.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

/// Renders single lines.
struct Writer<'w> {
    sources: Sources<'w>,
    out: &'w mut Vec<u8>,
    scratch: &'w mut Vec<u8>,
    tally: &'w mut Tally,
}

impl Writer<'_> {
    /// Appends the next line of an answer. Returns whether it was the last one.
    #[inline]
    fn line(&mut self, answer: &Answer<'_>, place: &mut Place) -> bool {
        match answer {
            Answer::Value(found, path) => self.value(found.as_ref(), *path),
            Answer::Written(decision) => self.written(decision),
            Answer::Values(founds) => return self.values(founds, place),
            Answer::Entries { page, values } => return self.entries(page, *values, place),
            Answer::Namespaces(page) => {
                let item = page.items.get(place.line);
                place.line += 1;
                return self.namespace(item, page.items.last().filter(|_| page.more), page.items.len());
            }
            Answer::Touched(stamp) => self.stamp(stamp.as_ref()),
            Answer::Deleted(decision) => match decision {
                Ok(Some(deleted)) => write::ok_number(self.out, deleted.version),
                other => self.not_deleted(other),
            },
            Answer::Taken(decision) => match decision {
                Ok(Some(deleted)) => self.value(Some(&deleted.found), None),
                other => self.not_deleted(other),
            },
            Answer::Changed(stamp, json) => write::val(self.out, stamp.version, stamp.expires_at, json),
            Answer::FailedCheck(index) => write::no_check(self.out, *index),
            Answer::Number(number) => write::ok_number(self.out, *number),
            Answer::Left(left) => match left {
                Some(Some(ms)) => write::ok_number(self.out, *ms),
                Some(None) => write::ok_none(self.out),
                None => write::nil(self.out),
            },
            Answer::Entry { found, organization, namespace, key, .. } => {
                self.entry(found.as_ref(), organization, namespace, key);
            }
            Answer::Object(json) => write::ok_json(self.out, json.as_bytes()),
            Answer::Ok => write::ok(self.out),
            Answer::Namespace(namespace) => write::ok_namespace(self.out, namespace),
            Answer::Hello => write::ok_json(self.out, &self.sources.shared.hello),
            Answer::Stats => write::ok_json(self.out, &stats::object(self.sources.shared)),
            Answer::Help(verb) => write::help(self.out, *verb),
            Answer::Refused(error) => self.refuse(error),
        }
        true
    }

    #[inline]
    fn value(&mut self, found: Option<&Found>, path: Option<&Pointer<'_>>) {
        let Some(found) = found else { return write::nil(self.out) };
        match self.sources.values.value(found, self.scratch) {
            Ok(json) => {
                let stamp = found.stamp();
                match path.map_or(Some(json), |path| path.find(json)) {
                    Some(json) => write::val(self.out, stamp.version, stamp.expires_at, json),
                    None => write::no_path(self.out),
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn values(&mut self, founds: &[Option<Found>], place: &mut Place) -> bool {
        if let Some(found) = founds.get(place.line) {
            self.value(found.as_ref(), None);
        }
        place.line += 1;
        place.line >= founds.len()
    }

    fn entries(&mut self, page: &Page, values: bool, place: &mut Place) -> bool {
        let Some((key, found)) = page.items.get(place.line).filter(|_| place.bytes < VALUES_PAGE_BYTES)
        else {
            let more = page.more || place.line < page.items.len();
            let last = page.items[..place.line].last().filter(|_| more);
            write::end(self.out, place.line as u64, last.map(|(key, _)| &**key));
            return true;
        };
        let stamp = found.stamp();
        let json = match values.then(|| self.sources.values.value(found, self.scratch)).transpose() {
            Ok(json) => json,
            Err(error) => {
                self.fail(&error);
                return true;
            }
        };
        place.line += 1;
        place.bytes += json.map_or(0, <[u8]>::len);
        write::item_entry(self.out, key, stamp.version, stamp.expires_at, json);
        false
    }

    /// One namespace, or the end after `count` of them.
    fn namespace(
        &mut self,
        item: Option<&(String, u64)>,
        next: Option<&(String, u64)>,
        count: usize,
    ) -> bool {
        match item {
            Some((name, live)) => write::item_namespace(self.out, name, *live),
            None => write::end(self.out, count as u64, next.map(|(name, _)| name.as_str())),
        }
        item.is_none()
    }

    fn entry(&mut self, found: Option<&Found>, organization: &str, namespace: &str, key: &str) {
        let Some(found) = found else { return write::nil(self.out) };
        match self.sources.values.entry(found) {
            Ok(entry) => {
                let mut object = Vec::new();
                entry::object(&mut object, organization, namespace, key, &entry);
                write::ok_json(self.out, &object);
            }
            Err(error) => self.fail(&error),
        }
    }

    #[inline]
    fn written(&mut self, decision: &Decision<Stamp>) {
        match decision {
            Ok(stamp) => self.stamp(Some(stamp)),
            Err(refusal) => self.not(*refusal),
        }
    }

    #[inline]
    fn stamp(&mut self, stamp: Option<&Stamp>) {
        match stamp {
            Some(stamp) => write::ok_written(self.out, stamp.version, stamp.expires_at),
            None => write::nil(self.out),
        }
    }

    /// To a delete, an absent entry is no condition that fails: there is nothing to do.
    fn not_deleted(&mut self, decision: &Decision<Option<Deleted>>) {
        match decision {
            Ok(_) | Err(Refusal::Absent) => write::nil(self.out),
            Err(refusal) => self.not(*refusal),
        }
    }

    fn not(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Exists { version } => write::no_exists(self.out, version),
            Refusal::Version { version } => write::no_version(self.out, version),
            Refusal::Absent => write::no_absent(self.out),
        }
    }

    #[cold]
    fn fail(&mut self, error: &Error) {
        self.refuse(&refusal(error));
    }

    #[cold]
    fn refuse(&mut self, error: &ParseError) {
        refuse(self.out, self.tally, error.code, &error.text);
    }
}

/// Appends an `ERR` line, and counts it.
pub(crate) fn refuse(out: &mut Vec<u8>, tally: &mut Tally, code: Code, text: &str) {
    tally.errors += 1;
    tally.codes[code as usize] += 1;
    write::err(out, code, text);
}
