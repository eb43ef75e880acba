//! Goes through all files of a store, one segment after the other, and tells of everything that is in them.
//!
//! The manifest says which segments there are, and what each sealed one amounts to. Should it be missing or damaged, the
//! segments are taken by their own headers and footers: then nobody knows whether one is missing, or was not part of
//! the store any more.

use super::content::Content;
use super::damage::{Damage, Versions};
use super::ending::{Ending, Marks, Reach};
use super::list;
use super::walk::{Found, Scope, Visitor, walk};
use crate::disk::{Disk, DiskFile, read_exact_at};
use crate::error::{Error, Result};
use crate::log::catalog::HEADER_LENGTH;
use crate::log::format::{Salt, StoreId};
use crate::log::frame;
use crate::log::header::{FOOTER_BYTES, Footer, HEADER_BYTES, HeaderError, SegmentHeader, SegmentKind};
use crate::log::manifest::{MANIFEST_FILE, Manifest, Sealed};
use crate::log::segment::{file_name, parse_file_name};
use crate::recovery::Last;
use rustix::io::Errno;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// What a store amounts to.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// Whether the manifest is there, and intact.
    pub(super) has_manifest: bool,
    /// The segments read, and the stores they were written in.
    pub(super) segments: Vec<(u32, StoreId)>,
    pub(super) frames: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) unreadable_bytes: u64,
    pub(super) loose_end_bytes: u64,
    /// Segment files that are not part of the store.
    pub(super) unnamed: Vec<String>,
    /// The highest version met in any place, given out or reserved.
    pub(super) highest: u64,
    /// The highest time met, in Unix milliseconds.
    pub(super) time_ms: u64,
}

/// What is known of a segment before it is read.
enum Standing {
    /// It has a footer, of which the manifest knows as well, if there is one.
    Sealed(Sealed),
    /// The log went on in it.
    Open,
    /// There is no manifest, and no footer either, though the log went on elsewhere.
    Unknown,
}

struct Source {
    segment: u32,
    store: StoreId,
    standing: Standing,
}

struct Survey<'a, V> {
    disk: &'a dyn Disk,
    visitor: &'a mut V,
    surveyed: Surveyed,
    /// No sequence in a sealed segment is above this one.
    sealed_sequence: u64,
    /// Highest sequence of the sealed log segments so far.
    reached: u64,
    done: u64,
    total: u64,
}

/// Reads the whole store, and tells `visitor` of it.
pub(super) fn survey(disk: &dyn Disk, visitor: &mut impl Visitor) -> Result<Surveyed> {
    let mut survey = Survey {
        disk,
        visitor,
        surveyed: Surveyed::default(),
        sealed_sequence: u64::MAX,
        reached: 0,
        done: 0,
        total: 0,
    };
    let names = list(disk)?;
    let mut files: Vec<u32> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    files.sort_unstable();
    let (sources, last) = match survey.manifest(&names)? {
        Some(manifest) => survey.named(&manifest, &files),
        None => (survey.unnamed(&files)?, None),
    };
    survey.run(&sources, last)?;
    Ok(survey.surveyed)
}

impl<V: Visitor> Survey<'_, V> {
    /// The manifest, if it can be read.
    fn manifest(&mut self, names: &[String]) -> Result<Option<Manifest>> {
        let what = if names.iter().any(|name| name == MANIFEST_FILE) {
            match Manifest::read(self.disk, MANIFEST_FILE) {
                Ok(manifest) => {
                    self.surveyed.has_manifest = true;
                    return Ok(Some(manifest));
                }
                Err(Error::Damaged { what, .. }) => what,
                Err(Error::Io { source, .. }) if is_of_the_disk(&source) => "it cannot be read",
                Err(error) => return Err(error),
            }
        } else {
            "it is missing, though there are segments of a store"
        };
        self.tell(MANIFEST_FILE, 0, None, what, None);
        Ok(None)
    }

    /// The segments by the manifest, and where the log goes on in the open ones.
    fn named(&mut self, manifest: &Manifest, files: &[u32]) -> (Vec<Source>, Option<Last>) {
        let sealed = manifest.sealed.iter().map(|sealed| Source {
            segment: sealed.segment,
            store: sealed.store,
            standing: Standing::Sealed(*sealed),
        });
        let open = manifest.open.iter().map(|segment| Source {
            segment: *segment,
            store: manifest.store,
            standing: Standing::Open,
        });
        // A made-up manifest may name one twice.
        let mut named = HashSet::new();
        let sources = sealed.chain(open).filter(|source| named.insert(source.segment)).collect();
        named.extend(&manifest.retired);
        self.surveyed.unnamed =
            files.iter().filter(|id| !named.contains(id)).map(|id| file_name(*id)).collect();
        if manifest.sealed.iter().any(|sealed| sealed.highest_sequence > manifest.sequence) {
            self.tell(MANIFEST_FILE, 0, None, "a sealed segment is newer than the store", None);
        }
        self.sealed_sequence = manifest.sequence;
        self.note_high(manifest.sequence.max(manifest.ceiling), manifest.time_ms);
        (sources, Some(Last { sequence: manifest.sequence, chain: manifest.chain }))
    }

    /// The segments by what they say themselves.
    fn unnamed(&mut self, files: &[u32]) -> Result<Vec<Source>> {
        let mut headers = Vec::new();
        for id in files {
            headers.push(self.header(*id)?);
        }
        // A header that is damaged does not keep the rest from being read: the others know the store's identity.
        let Some(known) = headers.iter().rev().flatten().next().copied() else {
            for id in files {
                let what = "no segment has an intact header, so nothing can be read";
                self.tell(&file_name(*id), 0, None, what, Some(Versions { first: 1, last: None }));
            }
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        let mut newest = None;
        for (id, header) in files.iter().zip(headers) {
            let header = header.unwrap_or(SegmentHeader { segment: *id, kind: SegmentKind::Log, ..known });
            let standing = match self.footer(&header)? {
                Some(sealed) => Standing::Sealed(sealed),
                None => {
                    newest = if self.has_frames(&header)? { Some(sources.len()) } else { newest };
                    Standing::Unknown
                }
            };
            sources.push(Source { segment: *id, store: header.store, standing });
        }
        if let Some(open) = newest.and_then(|newest| sources.get_mut(newest)) {
            open.standing = Standing::Open;
        }
        Ok(sources)
    }

    /// The header of a segment, if it is intact.
    fn header(&self, id: u32) -> Result<Option<SegmentHeader>> {
        let mut bytes = [0; HEADER_BYTES];
        self.read(id, &mut bytes, |_| 0)?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) => Ok(Some(header).filter(|header| header.segment == id)),
            Err(error @ HeaderError::Unsupported { .. }) => Err(unsupported(id, error)),
            Err(HeaderError::Damaged) => Ok(None),
        }
    }

    fn has_frames(&self, header: &SegmentHeader) -> Result<bool> {
        let mut bytes = [0; frame::HEADER_BYTES];
        self.read(header.segment, &mut bytes, |_| HEADER_LENGTH.into())?;
        let salt = Salt::new(header.store, header.segment);
        Ok(frame::Header::decode(&bytes, salt, HEADER_LENGTH).is_some())
    }

    /// What the footer at the end of a segment's file says, if there is one.
    fn footer(&self, header: &SegmentHeader) -> Result<Option<Sealed>> {
        let mut bytes = [0; FOOTER_BYTES];
        let length =
            self.read(header.segment, &mut bytes, |length| length.saturating_sub(FOOTER_BYTES as u64))?;
        let end = length.saturating_sub(FOOTER_BYTES as u64);
        let footer = Footer::decode(&bytes, Salt::new(header.store, header.segment), end);
        Ok(footer.map(|footer| Sealed {
            segment: header.segment,
            kind: header.kind,
            end,
            highest_sequence: footer.highest_sequence,
            chain: footer.chain,
            records: footer.records,
            store: header.store,
        }))
    }

    /// Reads at an offset that depends on the length of the file, and returns that. What the file does not have, or the
    /// disk does not give, reads as zeroes.
    fn read(&self, id: u32, buffer: &mut [u8], offset: impl Fn(u64) -> u64) -> Result<u64> {
        let Some(file) = self.open(id)? else { return Ok(0) };
        let failed = |error| Error::io(format!("read {}", file_name(id)), error);
        let length = file.len().map_err(failed)?;
        match read_exact_at(&*file, buffer, offset(length)) {
            Err(error) if is_of_the_disk(&error) || error.kind() == io::ErrorKind::UnexpectedEof => {
                buffer.fill(0);
                Ok(length)
            }
            result => result.map(|()| length).map_err(failed),
        }
    }

    fn run(&mut self, sources: &[Source], last: Option<Last>) -> Result<()> {
        let mut open = Vec::new();
        for source in sources {
            self.surveyed.segments.push((source.segment, source.store));
            let name = file_name(source.segment);
            let Some(file) = self.open(source.segment)? else { continue };
            let failed = |error| Error::io(format!("read {name}"), error);
            let length = file.data_len().map_err(failed)?;
            self.total += if matches!(source.standing, Standing::Open) { 2 * length } else { length };
        }
        for source in sources {
            match &source.standing {
                Standing::Sealed(sealed) => self.sealed(source, sealed)?,
                Standing::Unknown => self.unknown(source)?,
                Standing::Open => open.push(source),
            }
        }
        self.all_open(&open, last)
    }

    fn sealed(&mut self, source: &Source, sealed: &Sealed) -> Result<()> {
        let name = file_name(source.segment);
        let is_log = sealed.kind == SegmentKind::Log;
        let floor = if is_log { self.reached.saturating_add(1) } else { 1 };
        let all = Versions { first: floor, last: Some(sealed.highest_sequence) };
        self.note_high(sealed.highest_sequence, 0);
        if is_log {
            self.reached = self.reached.max(sealed.highest_sequence);
        }
        let length = sealed.end.saturating_add(FOOTER_BYTES as u64);
        let Some(content) = self.load(source.segment, Some(length))? else {
            self.tell(&name, 0, None, "the file is missing", Some(all));
            return Ok(());
        };
        self.check_header(source, Some(sealed.kind), content.bytes())?;
        let end = usize::try_from(sealed.end).unwrap_or(usize::MAX);
        let (bytes, footer) = content.bytes().split_at(end.min(content.bytes().len()));
        let footer = Footer::decode(footer, sealed.salt(), sealed.end);
        let lowest = footer.filter(|_| is_log).map_or(floor, |footer| footer.lowest_sequence);
        let scope = Scope {
            name: &name,
            segment: source.segment,
            salt: sealed.salt(),
            kind: sealed.kind,
            bytes,
            end: sealed.end,
            first_sequence: lowest.clamp(floor.min(sealed.highest_sequence), sealed.highest_sequence),
            last_sequence: Some(sealed.highest_sequence),
            previous: None,
            is_open: false,
        };
        let found = walk(&scope, self.visitor);
        self.absorb(&found, sealed.end);
        self.check_sealed(&name, sealed, footer.as_ref(), &found);
        if !is_log && found.records < sealed.records.into() {
            self.tell(&name, 0, None, "records of this segment are missing", Some(all));
        }
        Ok(())
    }

    /// Compares a sealed segment with what footer and manifest say.
    fn check_sealed(&mut self, name: &str, sealed: &Sealed, footer: Option<&Footer>, found: &Found) {
        let footer = footer.filter(|footer| footer.chain == sealed.chain);
        let Some(footer) = footer else {
            let what = "the footer is missing or not the one written";
            self.tell(name, sealed.end, Some(FOOTER_BYTES as u64), what, None);
            return;
        };
        self.note_high(footer.ceiling, footer.time_ms);
        let counts = (u64::from(footer.frames), u64::from(footer.records), u64::from(sealed.records));
        let is_other = (found.frames, found.records, found.records) != counts
            || found.chain.is_some_and(|chain| chain != footer.chain);
        // Where something is broken, it is no wonder that the counts are others.
        if found.broken == 0 && is_other {
            self.tell(name, sealed.end, Some(0), "the footer counts other frames than there are", None);
        }
        if found.highest_sequence > sealed.highest_sequence.min(self.sealed_sequence) {
            self.tell(name, sealed.end, Some(0), "a sealed frame is newer than the manifest says", None);
        }
    }

    /// A segment that was full, but of which no footer says where its frames end.
    fn unknown(&mut self, source: &Source) -> Result<()> {
        let name = file_name(source.segment);
        let Some(content) = self.load(source.segment, None)? else { return Ok(()) };
        let kind = self.check_header(source, None, content.bytes())?;
        let used = content.bytes().iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let scope = Scope {
            name: &name,
            segment: source.segment,
            salt: Salt::new(source.store, source.segment),
            kind,
            bytes: &content.bytes()[..used],
            end: used as u64,
            first_sequence: 1,
            last_sequence: None,
            previous: None,
            is_open: false,
        };
        let found = walk(&scope, self.visitor);
        self.absorb(&found, used as u64);
        if kind == SegmentKind::Compacted && found.broken > 0 {
            let versions = Versions { first: 1, last: None };
            self.tell(&name, 0, None, "records of this segment may be missing", Some(versions));
        }
        Ok(())
    }

    fn all_open(&mut self, open: &[&Source], last: Option<Last>) -> Result<()> {
        let mut marks = Vec::new();
        for source in open {
            let salt = Salt::new(source.store, source.segment);
            let content = self.load(source.segment, None)?;
            let read = content.map(|content| Marks::read(content.bytes(), salt)).unwrap_or_default();
            self.note_high(read.ceiling, read.time_ms);
            marks.push(read);
        }
        let mut ending = Ending::new(marks, last);
        let mut is_known = true;
        for (number, source) in open.iter().enumerate() {
            is_known = self.one_open(source, number, &mut ending, is_known)?;
        }
        Ok(())
    }

    /// One open segment; `is_known` if it is known with which frame it must begin. Returns the same of the next one.
    fn one_open(
        &mut self,
        source: &Source,
        number: usize,
        ending: &mut Ending,
        is_known: bool,
    ) -> Result<bool> {
        let name = file_name(source.segment);
        let Some(content) = self.load(source.segment, None)? else {
            let first = ending.last.map_or(1, |last| last.sequence.saturating_add(1));
            let last = ending.goes_on_with(number).map(|next| next.saturating_sub(1));
            // It may have been an empty one; if the next one follows the one before, it was.
            let versions = last.is_none_or(|last| last >= first).then_some(Versions { first, last });
            self.tell(&name, 0, None, "the file is missing", versions);
            return Ok(is_known && versions.is_none());
        };
        self.check_header(source, Some(SegmentKind::Log), content.bytes())?;
        let salt = Salt::new(source.store, source.segment);
        let before = ending.last;
        let Reach { end, loose, is_short } = ending.follow(number, content.bytes(), salt);
        let next = ending.goes_on_with(number).filter(|_| is_short);
        let reached = ending.last.map(|last| last.sequence).filter(|_| !is_short);
        let last_sequence = next.map(|next| next.saturating_sub(1)).or(reached);
        let scope = Scope {
            name: &name,
            segment: source.segment,
            salt,
            kind: SegmentKind::Log,
            bytes: content.bytes().get(..end).unwrap_or_default(),
            end: end as u64,
            first_sequence: before.map_or(1, |last| last.sequence.saturating_add(1)),
            last_sequence,
            previous: before.filter(|_| is_known).map(|last| last.chain),
            is_open: true,
        };
        let found = walk(&scope, self.visitor);
        if is_short && found.ends_whole {
            let first = ending.last.map_or(1, |last| last.sequence.saturating_add(1));
            let versions = Some(Versions { first, last: last_sequence });
            self.tell(&name, end as u64, None, "frames that were durable are missing", versions);
        }
        self.absorb(&found, end as u64);
        self.surveyed.loose_end_bytes += loose;
        Ok(!is_short)
    }

    /// Tells what is wrong with a segment's header. Returns what kind of segment it is.
    fn check_header(
        &mut self,
        source: &Source,
        kind: Option<SegmentKind>,
        bytes: &[u8],
    ) -> Result<SegmentKind> {
        let name = file_name(source.segment);
        let what = match SegmentHeader::decode(bytes) {
            Err(error @ HeaderError::Unsupported { .. }) => return Err(unsupported(source.segment, error)),
            Err(HeaderError::Damaged) => "the header does not match its checksum",
            Ok(header) if header.store != source.store || header.segment != source.segment => {
                "the file belongs to another store, or was renamed"
            }
            Ok(header) if kind.is_some_and(|kind| kind != header.kind) => "the segment is of another kind",
            Ok(header) => return Ok(header.kind),
        };
        self.tell(&name, 0, Some(HEADER_BYTES as u64), what, None);
        Ok(kind.unwrap_or(SegmentKind::Log))
    }

    fn open(&self, segment: u32) -> Result<Option<Arc<dyn DiskFile>>> {
        let name = file_name(segment);
        match self.disk.open(&name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("open {name}"), error)),
        }
    }

    /// The first bytes of a segment, or all that were written; `None` if there is no such file.
    fn load(&mut self, segment: u32, length: Option<u64>) -> Result<Option<Content>> {
        let Some(file) = self.open(segment)? else { return Ok(None) };
        let failed = |error| Error::io(format!("read {}", file_name(segment)), error);
        let length = length.map_or_else(|| file.data_len(), Ok).map_err(failed)?;
        let Survey { visitor, done, total, .. } = self;
        let mut progress = |bytes| {
            *done += bytes;
            visitor.progress(*done, (*total).max(*done));
        };
        Content::load(&*file, length, &mut progress).map(Some).map_err(failed)
    }

    fn absorb(&mut self, found: &Found, bytes: u64) {
        self.surveyed.frames += found.frames;
        self.surveyed.records += found.records;
        self.surveyed.unreadable_bytes += found.unreadable;
        self.surveyed.bytes += bytes;
        self.note_high(found.ceiling.max(found.highest_sequence), found.time_ms);
    }

    fn note_high(&mut self, version: u64, time_ms: u64) {
        self.surveyed.highest = self.surveyed.highest.max(version);
        self.surveyed.time_ms = self.surveyed.time_ms.max(time_ms);
    }

    fn tell(
        &mut self,
        file: &str,
        offset: u64,
        length: Option<u64>,
        what: &'static str,
        versions: Option<Versions>,
    ) {
        let file = file.to_owned();
        self.visitor.damage(Damage { file, offset, length, what, record: None, versions });
    }
}

fn unsupported(segment: u32, error: HeaderError) -> Error {
    match error {
        HeaderError::Unsupported { version, features } => {
            Error::Unsupported { file: file_name(segment), version, features }
        }
        HeaderError::Damaged => {
            Error::damaged(file_name(segment), 0, "the header does not match its checksum")
        }
    }
}

/// Whether an error is one of the medium, and not of asking for it.
fn is_of_the_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}
