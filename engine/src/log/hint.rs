//! Hints: what the index has to know of each record of a segment, without the values.
//!
//! A sealed segment may have a hint file beside it, with its records in the order of tenant, namespace and key, so that
//! the ordered maps are built from sorted runs. It is an accelerator and nothing else: one that is missing, cut off,
//! damaged or of another segment is made anew from the segment, and never synced.
//!
//! ```text
//! header, 64 bytes                              record
//!  0  magic          8   "LARDHNT\n"             0  kind             u8   as in the log's record
//!  8  version        u16                         1  0                u8
//! 10  0              2                           2  namespace bytes  u16
//! 12  features       u32                         4  key bytes        u16
//! 16  store id       16  of the segment          6  0                2
//! 32  segment        u32                         8  tenant           u32
//! 36  records        u32                        12  position         u32  in the segment
//! 40  end            u64 of the segment         16  length           u32
//! 48  chain          u32 of the segment         20  0                4
//! 52  body checksum  u32 over all records       24  sequence         u64
//! 56  0              4                          32  creation         u64
//! 60  checksum       u32 over bytes 0..60       40  created at       u64
//! 64  records                                   48  deadline         u64
//!                                               56  namespace, key
//! ```

use super::format::{FEATURES, FORMAT_VERSION, Fields, VERSION_MAX, array_at};
use super::header::HEADER_BYTES as SEGMENT_HEADER_BYTES;
use super::manifest::Sealed;
use super::record::{self, Kind, Record};
use super::window::read_start;
use crate::address::{Address, KEY_BYTES_MAX, NAMESPACE_BYTES_MAX, Tenant};
use crate::disk::{Disk, write_all_at};
use std::{io, str};

const MAGIC: [u8; 8] = *b"LARDHNT\n";
const HEADER_BYTES: usize = 64;
const RECORD_BYTES: usize = 56;
/// A hint that turns out to need more grows.
const NAME_BYTES_USUAL: usize = 40;

/// The name of the hint file of segment `id`.
pub(crate) fn file_name(id: u32) -> String {
    format!("{id:010}.hint")
}

/// The number of the segment whose hint file is called `name`.
pub(crate) fn parse_file_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".hint")?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// What a hint tells of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HintRecord<'a> {
    pub(crate) kind: Kind,
    pub(crate) tenant: Tenant,
    pub(crate) namespace: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) position: u32,
    pub(crate) length: u32,
    pub(crate) sequence: u64,
    pub(crate) creation: u64,
    pub(crate) created_at: u64,
    pub(crate) deadline: u64,
}

/// The hint of a segment.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) segment: u32,
    pub(crate) records: u32,
    bytes: Vec<u8>,
    /// Where the records start in `bytes`.
    start: usize,
    /// Where every so many-th record starts, if they are in order.
    marks: Option<Vec<usize>>,
}

/// Records from one mark of a hint to the next.
pub(crate) const MARK_RECORDS: usize = 128;

impl Hint {
    /// The hint of `segment` with no records yet, and room for so many with names of usual length.
    pub(crate) fn with_capacity(segment: u32, records: usize) -> Hint {
        let bytes = Vec::with_capacity(records * (RECORD_BYTES + NAME_BYTES_USUAL));
        Hint { segment, records: 0, bytes, start: 0, marks: None }
    }

    /// Adds a record of the log that stands at `position`.
    pub(crate) fn push(&mut self, record: &Record<'_>, position: u32) {
        let record = HintRecord {
            kind: record.kind,
            tenant: record.tenant,
            namespace: record.namespace.as_bytes(),
            key: record.key.as_bytes(),
            position,
            length: u32::try_from(record.encoded_len()).unwrap_or(u32::MAX),
            sequence: record.sequence,
            creation: record.creation,
            created_at: record.created_at,
            deadline: record.deadline,
        };
        record.encode(&mut self.bytes);
        self.records += 1;
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = HintRecord<'_>> {
        self.records_from(self.start)
    }

    /// The records from the place of one of them on.
    pub(crate) fn records_from(&self, place: usize) -> impl Iterator<Item = HintRecord<'_>> {
        let mut rest = self.bytes.get(place..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (record, behind) = HintRecord::split(rest)?;
            rest = behind;
            Some(record)
        })
    }

    /// The records, and the place of each.
    pub(crate) fn placed_records(&self) -> impl Iterator<Item = (usize, HintRecord<'_>)> {
        let mut place = self.start;
        std::iter::from_fn(move || {
            let (record, behind) = self.record_at(place)?;
            Some((std::mem::replace(&mut place, behind), record))
        })
    }

    /// The records at some places of this hint, which are in the order of their names.
    pub(crate) fn select(&self, places: &[usize]) -> Hint {
        let mut selected = Hint::with_capacity(self.segment, places.len());
        let mut marks = Vec::new();
        for place in places.iter().copied() {
            let Some((_, behind)) = self.record_at(place) else { continue };
            if (selected.records as usize).is_multiple_of(MARK_RECORDS) {
                marks.push(selected.bytes.len());
            }
            selected.bytes.extend_from_slice(&self.bytes[place..behind]);
            selected.records += 1;
        }
        Hint { marks: Some(marks), ..selected }
    }

    /// The record at a place in the hint, and the place behind it; nothing at the end.
    pub(crate) fn record_at(&self, place: usize) -> Option<(HintRecord<'_>, usize)> {
        let rest = self.bytes.get(place..)?;
        let (record, behind) = HintRecord::split(rest)?;
        Some((record, place + (rest.len() - behind.len())))
    }

    /// Where the first record is and then each [`MARK_RECORDS`]-th, if the records are in the order of their names.
    pub(crate) fn marks(&self) -> Option<&[usize]> {
        self.marks.as_deref()
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Reads the hint file of a sealed segment, if there is one and it is of use.
    pub(crate) fn read(disk: &dyn Disk, sealed: &Sealed) -> Option<Hint> {
        let name = file_name(sealed.segment);
        let file = disk.open(&name).ok()?;
        let length = file.len().ok()?;
        let longest = u64::from(sealed.records) * (RECORD_BYTES + NAMESPACE_BYTES_MAX + KEY_BYTES_MAX) as u64;
        if length > HEADER_BYTES as u64 + longest {
            return None;
        }
        let bytes = read_start(&*file, &name, length, 1).ok()?;
        let header: &[u8; HEADER_BYTES] = array_at(&bytes, 0)?;
        let body = bytes.get(HEADER_BYTES..)?;
        if *header != encode_header(sealed, body) {
            return None;
        }
        let (segment, records) = (sealed.segment, sealed.records);
        let mut hint = Hint { segment, records, bytes, start: HEADER_BYTES, marks: None };
        let (mut marks, mut is_ordered) = (Vec::new(), true);
        let is_sound = hint.is_sound(sealed, &mut marks, &mut is_ordered);
        hint.marks = is_ordered.then_some(marks);
        is_sound.then_some(hint)
    }

    /// Whether every record is one that the segment could hold. Notes where the marks are, and whether there is an order.
    fn is_sound(&self, sealed: &Sealed, marks: &mut Vec<usize>, is_ordered: &mut bool) -> bool {
        let (mut rest, mut records) = (self.body(), 0);
        let mut before = None;
        while let Some((record, behind)) = HintRecord::split(rest) {
            if (records as usize).is_multiple_of(MARK_RECORDS) {
                marks.push(self.bytes.len() - rest.len());
            }
            *is_ordered &= before <= Some(record.name());
            before = Some(record.name());
            (rest, records) = (behind, records + 1);
            let end = u64::from(record.position) + u64::from(record.length);
            let shortest = record::HEADER_BYTES + record.namespace.len() + record.key.len();
            let is_possible = record.sequence.max(record.creation) <= VERSION_MAX
                && record.sequence <= sealed.highest_sequence
                && end <= sealed.end
                && record.position as usize >= SEGMENT_HEADER_BYTES
                && record.length as usize >= shortest
                && record.address().is_some();
            if !is_possible {
                return false;
            }
        }
        rest.is_empty() && records == sealed.records
    }

    /// Writes the hint file of a sealed segment.
    pub(crate) fn write(&self, disk: &dyn Disk, sealed: &Sealed) -> io::Result<()> {
        let mut order: Vec<_> = self.records().collect();
        order.sort_unstable_by_key(|record| (record.name(), record.sequence));
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.body().len());
        bytes.resize(HEADER_BYTES, 0);
        order.iter().for_each(|record| record.encode(&mut bytes));
        let header = encode_header(sealed, &bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        let name = file_name(sealed.segment);
        match disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        write_all_at(&*disk.create(&name)?, &bytes, 0)
    }
}

fn encode_header(sealed: &Sealed, body: &[u8]) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&FEATURES.to_le_bytes());
    bytes[16..32].copy_from_slice(&sealed.store.0);
    bytes[32..36].copy_from_slice(&sealed.segment.to_le_bytes());
    bytes[36..40].copy_from_slice(&sealed.records.to_le_bytes());
    bytes[40..48].copy_from_slice(&sealed.end.to_le_bytes());
    bytes[48..52].copy_from_slice(&sealed.chain.to_le_bytes());
    bytes[52..56].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// How many records there can be in so many bytes of a segment, of so many that are said to be there.
pub(crate) fn records_max(said: u32, bytes: u64) -> usize {
    let possible = usize::try_from(bytes).unwrap_or(usize::MAX) / record::HEADER_BYTES;
    possible.min(said as usize)
}

/// What the records of a hint are ordered by: tenant, namespace and key.
pub(crate) type Name<'a> = (Tenant, &'a [u8], &'a [u8]);

impl<'a> HintRecord<'a> {
    pub(crate) fn name(&self) -> Name<'a> {
        (self.tenant, self.namespace, self.key)
    }

    /// Nothing if the names are none that an entry can have.
    fn address(&self) -> Option<Address<'a>> {
        let (namespace, key) = (str::from_utf8(self.namespace).ok()?, str::from_utf8(self.key).ok()?);
        Address::new(self.tenant, namespace, key).ok()
    }

    /// Cuts the first record off.
    fn split(bytes: &'a [u8]) -> Option<(HintRecord<'a>, &'a [u8])> {
        let header: &[u8; RECORD_BYTES] = array_at(bytes, 0)?;
        let (namespace_bytes, key_bytes) = (header.u16_at(2).into(), header.u16_at(4).into());
        let (namespace, rest) = bytes.get(RECORD_BYTES..)?.split_at_checked(namespace_bytes)?;
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        let record = HintRecord {
            kind: Kind::from_byte(header[0])?,
            tenant: Tenant(header.u32_at(8)),
            namespace,
            key,
            position: header.u32_at(12),
            length: header.u32_at(16),
            sequence: header.u64_at(24),
            creation: header.u64_at(32),
            created_at: header.u64_at(40),
            deadline: header.u64_at(48),
        };
        Some((record, rest))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut header = [0; RECORD_BYTES];
        header[0] = self.kind.to_byte();
        header[2..4].copy_from_slice(&length_u16(self.namespace).to_le_bytes());
        header[4..6].copy_from_slice(&length_u16(self.key).to_le_bytes());
        header[8..12].copy_from_slice(&self.tenant.0.to_le_bytes());
        header[12..16].copy_from_slice(&self.position.to_le_bytes());
        header[16..20].copy_from_slice(&self.length.to_le_bytes());
        header[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        header[32..40].copy_from_slice(&self.creation.to_le_bytes());
        header[40..48].copy_from_slice(&self.created_at.to_le_bytes());
        header[48..56].copy_from_slice(&self.deadline.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.namespace);
        out.extend_from_slice(self.key);
    }
}

/// Namespaces and keys are far shorter than 64 KiB.
fn length_u16(text: &[u8]) -> u16 {
    u16::try_from(text.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NEVER;
    use crate::disk::sim::SimDisk;
    use crate::log::format::StoreId;
    use crate::log::header::SegmentKind;

    impl Hint {
        fn sealed(&self) -> Sealed {
            Sealed {
                segment: self.segment,
                kind: SegmentKind::Log,
                end: u64::from(u32::MAX) * 2,
                highest_sequence: VERSION_MAX,
                chain: 0,
                records: self.records,
                store: StoreId([1; 16]),
            }
        }

        /// The same hint as it comes from a file.
        pub(crate) fn filed(&self) -> Hint {
            let disk = SimDisk::new(1);
            self.write(&disk, &self.sealed()).unwrap();
            Hint::read(&disk, &self.sealed()).unwrap()
        }

        /// What is read of a file with these records as they stand.
        fn filed_as_it_is(&self) -> Option<Hint> {
            let disk = SimDisk::new(1);
            let sealed = self.sealed();
            let bytes = [&encode_header(&sealed, self.body()), self.body()].concat();
            disk.write_file(&file_name(self.segment), &bytes);
            Hint::read(&disk, &sealed)
        }
    }

    fn record(key: &str) -> HintRecord<'_> {
        HintRecord {
            kind: Kind::Put,
            tenant: Tenant(0),
            namespace: b"n",
            key: key.as_bytes(),
            position: 100,
            length: 70,
            sequence: 1,
            creation: 1,
            created_at: 0,
            deadline: NEVER,
        }
    }

    fn hint(records: &[HintRecord<'_>]) -> Hint {
        let mut hint = Hint::with_capacity(1, records.len());
        for record in records {
            record.encode(&mut hint.bytes);
            hint.records += 1;
        }
        hint
    }

    #[test]
    fn places_are_known_of_what_is_in_order_alone() {
        let keys: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
        let ordered = hint(&keys.iter().map(|key| record(key)).collect::<Vec<_>>());
        let read = ordered.filed_as_it_is().unwrap();
        let marks = read.marks().unwrap();
        assert_eq!(marks.len(), 1000_usize.div_ceil(MARK_RECORDS));
        for (mark, place) in marks.iter().enumerate() {
            let (found, _) = read.record_at(*place).unwrap();
            assert_eq!(found.key, keys[mark * MARK_RECORDS].as_bytes());
        }
        let backwards = hint(&keys.iter().rev().map(|key| record(key)).collect::<Vec<_>>());
        let read = backwards.filed_as_it_is().unwrap();
        assert_eq!((read.marks(), read.records().count()), (None, 1000));
    }

    #[test]
    fn what_no_segment_could_hold_is_no_hint() {
        assert!(hint(&[record("key")]).filed_as_it_is().is_some());
        for impossible in [
            HintRecord { length: 0, ..record("key") },
            HintRecord { length: 67, ..record("key") },
            HintRecord { position: 63, ..record("key") },
            HintRecord { sequence: VERSION_MAX + 1, ..record("key") },
            HintRecord { key: b"\xff", ..record("key") },
        ] {
            assert!(hint(&[record("key"), impossible]).filed_as_it_is().is_none());
        }
    }
}
