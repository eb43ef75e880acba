//! One record: a change to one entry, with all of the entry's fields.
//!
//! ```text
//!  0  head checksum    u32   over bytes 4..64, namespace and key, salted with the record's position
//!  4  body checksum    u32   over description and value, salted likewise
//!  8  kind             u8    1 put, 2 delete, 3 expire; 0 never, so that zeroes are no record
//!  9  tag              u8    type of the value
//! 10  namespace bytes  u16
//! 12  key bytes        u16
//! 14  description bytes u16  0: none
//! 16  value bytes      u32
//! 20  tenant           u32
//! 24  sequence         u64   the version
//! 32  deadline         u64   Unix milliseconds; all ones: never
//! 40  created at       u64   Unix milliseconds
//! 48  updated at       u64   Unix milliseconds
//! 56  creation         u64   sequence of the put that created the entry
//! 64  namespace, key, description, value
//! ```
//!
//! Head (header, namespace, key) and body (description, value) have a checksum each. So no length is trusted
//! unverified, an index can be built without reading a value, and a value that has rotted is known by its name. A
//! delete or expire record names the entry that it ended (deadline,
//! creation and creation time are that entry's) and has neither description nor value.

use super::format::{Fields, Salt, array_at, checksum};
use crate::address::{Address, KEY_BYTES_MAX, NAMESPACE_BYTES_MAX, Tenant};
use std::str;

/// Bytes of a record before its body.
pub const HEADER_BYTES: usize = 64;

/// What a record does to its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sets it, whole.
    Put,
    /// Removes it because somebody asked.
    Delete,
    /// Removes it because its deadline has passed.
    Expire,
}

impl Kind {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Kind::Put => 1,
            Kind::Delete => 2,
            Kind::Expire => 3,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::Put),
            2 => Some(Kind::Delete),
            3 => Some(Kind::Expire),
            _ => None,
        }
    }
}

/// A record, borrowing its variable parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it does.
    pub kind: Kind,
    /// Type of the value.
    pub tag: u8,
    /// Tenant, namespace and key.
    pub tenant: Tenant,
    /// Namespace.
    pub namespace: &'a str,
    /// Key.
    pub key: &'a str,
    /// Description, empty for none.
    pub description: &'a str,
    /// Value.
    pub value: &'a [u8],
    /// Sequence number, which is the version.
    pub sequence: u64,
    /// Deadline in Unix milliseconds, all ones for never.
    pub deadline: u64,
    /// Creation of the entry, in Unix milliseconds.
    pub created_at: u64,
    /// This change, in Unix milliseconds.
    pub updated_at: u64,
    /// Sequence of the put that created the entry.
    pub creation: u64,
}

/// A record as it is read for its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    pub(crate) kind: Kind,
    pub(crate) sequence: u64,
    pub(crate) value: &'a [u8],
    /// Length of all of it.
    pub(crate) length: usize,
}

/// A record as it is seen in passing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline<'a> {
    pub(crate) tenant: Tenant,
    pub(crate) namespace: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) sequence: u64,
    /// Length of all of it.
    pub(crate) length: usize,
}

impl<'a> Record<'a> {
    /// The length when encoded, in bytes.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.namespace.len() + self.key.len() + self.description.len() + self.value.len()
    }

    /// Appends the record, with its checksums still zero: they depend on where it will stand, see [`seal`].
    ///
    /// The caller has checked all lengths against the limits, which are far below what the fields can hold.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.namespace.len() <= NAMESPACE_BYTES_MAX && self.key.len() <= KEY_BYTES_MAX);
        debug_assert!(
            u16::try_from(self.description.len()).is_ok() && u32::try_from(self.value.len()).is_ok()
        );
        let mut header = [0; HEADER_BYTES];
        header[8] = self.kind.to_byte();
        header[9] = self.tag;
        header[10..12].copy_from_slice(&length_u16(self.namespace.len()).to_le_bytes());
        header[12..14].copy_from_slice(&length_u16(self.key.len()).to_le_bytes());
        header[14..16].copy_from_slice(&length_u16(self.description.len()).to_le_bytes());
        header[16..20].copy_from_slice(&u32::try_from(self.value.len()).unwrap_or(u32::MAX).to_le_bytes());
        header[20..24].copy_from_slice(&self.tenant.0.to_le_bytes());
        header[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        header[32..40].copy_from_slice(&self.deadline.to_le_bytes());
        header[40..48].copy_from_slice(&self.created_at.to_le_bytes());
        header[48..56].copy_from_slice(&self.updated_at.to_le_bytes());
        header[56..64].copy_from_slice(&self.creation.to_le_bytes());
        out.reserve(self.encoded_len());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.namespace.as_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(self.description.as_bytes());
        out.extend_from_slice(self.value);
    }

    /// Decodes the record at the start of `bytes`, which stand at `position` of a segment, and verifies both
    /// checksums. Bytes after the record are ignored.
    pub fn decode(bytes: &'a [u8], salt: Salt, position: u32) -> Result<Record<'a>, RecordError> {
        let header = Header::decode(bytes, salt, position)?;
        let record = header.record(bytes)?;
        let body = bytes.get(header.head_bytes()..header.record_bytes()).ok_or(RecordError::CutOff)?;
        let is_text = record.description.len() == header.description_bytes;
        if !is_text || checksum(salt, position, body) != header.body_checksum {
            return Err(RecordError::Body);
        }
        Ok(record)
    }

    /// As [`Record::decode`], of what a read needs: the texts are verified, and not looked at any further.
    pub(crate) fn decode_value(
        bytes: &'a [u8],
        salt: Salt,
        position: u32,
    ) -> Result<Stored<'a>, RecordError> {
        let header = Header::decode(bytes, salt, position)?;
        let body = bytes.get(header.head_bytes()..header.record_bytes()).ok_or(RecordError::CutOff)?;
        if checksum(salt, position, body) != header.body_checksum {
            return Err(RecordError::Body);
        }
        let value = body.get(header.description_bytes..).ok_or(RecordError::Body)?;
        let (kind, sequence, length) = (header.kind, header.sequence, header.record_bytes());
        Ok(Stored { kind, sequence, value, length })
    }

    /// As [`Record::decode`], but without verifying description and value, which may then be anything.
    pub(crate) fn decode_head(bytes: &'a [u8], salt: Salt, position: u32) -> Result<Record<'a>, RecordError> {
        Header::decode(bytes, salt, position)?.record(bytes)
    }

    /// As [`Record::decode_head`], of a record whose body is not all there: it is given without one.
    pub(crate) fn decode_cut_off(
        bytes: &'a [u8],
        salt: Salt,
        position: u32,
    ) -> Result<Record<'a>, RecordError> {
        let header = Header::decode(bytes, salt, position)?;
        Header { description_bytes: 0, value_bytes: 0, ..header }.record(bytes)
    }

    /// What the record at the start of `bytes` says that it is, if those are enough for one. No checksum is looked at.
    pub(crate) fn outline(bytes: &'a [u8]) -> Option<Outline<'a>> {
        let header = Header::parse(array_at(bytes, 0)?)?;
        let address = bytes.get(HEADER_BYTES..header.head_bytes())?;
        let (namespace, key) = address.split_at(header.namespace_bytes);
        let (tenant, sequence, length) = (header.tenant, header.sequence, header.record_bytes());
        (length <= bytes.len()).then_some(Outline { tenant, namespace, key, sequence, length })
    }

    /// Reads a record from memory that the engine itself has just encoded; no checksum is looked at.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Option<Record<'a>> {
        Header::parse(array_at(bytes, 0)?)?.record(bytes).ok()
    }

    /// The address; records only ever hold checked ones.
    pub(crate) fn address(&self) -> Option<Address<'a>> {
        Address::new(self.tenant, self.namespace, self.key).ok()
    }
}

/// Puts the checksums into a record that was encoded into `bytes`, for `position`. Returns the head's checksum,
/// which stands for the record in its frame's checksum.
pub(crate) fn seal(bytes: &mut [u8], salt: Salt, position: u32) -> u32 {
    let address_bytes = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]))
        + usize::from(u16::from_le_bytes([bytes[12], bytes[13]]));
    let (head, body) = bytes.split_at_mut(HEADER_BYTES + address_bytes);
    head[4..8].copy_from_slice(&checksum(salt, position, body).to_le_bytes());
    let sum = checksum(salt, position, &head[4..]);
    head[..4].copy_from_slice(&sum.to_le_bytes());
    sum
}

/// Whether the record encoded at the start of `bytes` is one of the entry at `at`.
pub(crate) fn is_of(bytes: &[u8], at: Address<'_>) -> bool {
    let Some(header) = array_at::<HEADER_BYTES>(bytes, 0) else { return false };
    let address = bytes[HEADER_BYTES..].split_at_checked(at.namespace().len());
    header.u32_at(20) == at.tenant().0
        && usize::from(header.u16_at(10)) == at.namespace().len()
        && usize::from(header.u16_at(12)) == at.key().len()
        && address.is_some_and(|(namespace, rest)| {
            namespace == at.namespace().as_bytes() && rest.starts_with(at.key().as_bytes())
        })
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: Kind,
    tag: u8,
    body_checksum: u32,
    namespace_bytes: usize,
    key_bytes: usize,
    description_bytes: usize,
    value_bytes: usize,
    tenant: Tenant,
    sequence: u64,
    deadline: u64,
    created_at: u64,
    updated_at: u64,
    creation: u64,
}

impl Header {
    /// Decodes the header at the start of `bytes`, and verifies the whole head.
    fn decode(bytes: &[u8], salt: Salt, position: u32) -> Result<Header, RecordError> {
        let fixed: &[u8; HEADER_BYTES] = array_at(bytes, 0).ok_or(RecordError::CutOff)?;
        let header = Header::parse(fixed).ok_or(RecordError::Head)?;
        // These lengths are not verified yet; a bound keeps the checksum from running over just anything.
        if header.namespace_bytes > NAMESPACE_BYTES_MAX || header.key_bytes > KEY_BYTES_MAX {
            return Err(RecordError::Head);
        }
        let head = bytes.get(4..header.head_bytes()).ok_or(RecordError::CutOff)?;
        if checksum(salt, position, head) != fixed.u32_at(0) {
            return Err(RecordError::Head);
        }
        Ok(header)
    }

    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        Some(Header {
            kind: Kind::from_byte(bytes[8])?,
            tag: bytes[9],
            body_checksum: bytes.u32_at(4),
            namespace_bytes: bytes.u16_at(10).into(),
            key_bytes: bytes.u16_at(12).into(),
            description_bytes: bytes.u16_at(14).into(),
            value_bytes: usize::try_from(bytes.u32_at(16)).ok()?,
            tenant: Tenant(bytes.u32_at(20)),
            sequence: bytes.u64_at(24),
            deadline: bytes.u64_at(32),
            created_at: bytes.u64_at(40),
            updated_at: bytes.u64_at(48),
            creation: bytes.u64_at(56),
        })
    }

    /// Length of header, namespace and key.
    fn head_bytes(&self) -> usize {
        HEADER_BYTES + self.namespace_bytes + self.key_bytes
    }

    /// Length of the whole record.
    fn record_bytes(&self) -> usize {
        self.head_bytes() + self.description_bytes + self.value_bytes
    }

    /// Cuts `bytes`, which start with this header, into the record's parts. A description that is not UTF-8 has rotted;
    /// its bytes count as part of the value here, so that the record keeps its length.
    fn record<'a>(&self, bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let variable = bytes.get(HEADER_BYTES..self.record_bytes()).ok_or(RecordError::CutOff)?;
        let (namespace, rest) = variable.split_at(self.namespace_bytes);
        let (key, rest) = rest.split_at(self.key_bytes);
        let (description, value) = rest.split_at(self.description_bytes);
        let (description, value) = str::from_utf8(description).map_or(("", rest), |text| (text, value));
        Ok(Record {
            kind: self.kind,
            tag: self.tag,
            tenant: self.tenant,
            namespace: str::from_utf8(namespace).map_err(|_| RecordError::Head)?,
            key: str::from_utf8(key).map_err(|_| RecordError::Head)?,
            description,
            value,
            sequence: self.sequence,
            deadline: self.deadline,
            created_at: self.created_at,
            updated_at: self.updated_at,
            creation: self.creation,
        })
    }
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// They end before the record does.
    CutOff,
    /// Header, namespace or key are not what was written.
    Head,
    /// Description or value are not what was written.
    Body,
}

impl RecordError {
    /// What is wrong, in words.
    pub fn describe(self) -> &'static str {
        match self {
            RecordError::CutOff => "a record is cut off",
            RecordError::Head => "a record's head does not match its checksum",
            RecordError::Body => "a value does not match its checksum",
        }
    }
}

fn length_u16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::format::StoreId;
    use super::*;
    use proptest::prelude::*;

    fn salt() -> Salt {
        Salt::new(StoreId([7; 16]), 3)
    }

    fn sealed(record: &Record<'_>, position: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes.len(), record.encoded_len());
        seal(&mut bytes, salt(), position);
        bytes
    }

    fn sample() -> Record<'static> {
        Record {
            kind: Kind::Put,
            tag: 4,
            tenant: Tenant(9),
            namespace: "default",
            key: "user:1",
            description: "a note",
            value: b"{\"a\":1}",
            sequence: 17,
            deadline: 99,
            created_at: 5,
            updated_at: 6,
            creation: 16,
        }
    }

    proptest! {
        #[test]
        fn round_trip(kind in 1u8..=3, tag: u8, tenant: u32, namespace in "\\PC{1,20}", key in "\\PC{1,20}",
                      description in "\\PC{0,20}", value: Vec<u8>, numbers: [u64; 5], position: u32) {
            let record = Record {
                kind: Kind::from_byte(kind).unwrap(), tag, tenant: Tenant(tenant), namespace: &namespace, key: &key,
                description: &description, value: &value, sequence: numbers[0], deadline: numbers[1],
                created_at: numbers[2], updated_at: numbers[3], creation: numbers[4],
            };
            let bytes = sealed(&record, position);
            prop_assert_eq!(Record::decode(&bytes, salt(), position), Ok(record));
            prop_assert_eq!(Record::trusted(&bytes), Some(record));
            let stored = Stored { kind: record.kind, sequence: numbers[0], value: &value, length: bytes.len() };
            prop_assert_eq!(Record::decode_value(&bytes, salt(), position), Ok(stored));
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = sealed(&sample(), 1000);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bad, salt(), 1000).is_err(), "bit {bit}");
            assert!(Record::decode_value(&bad, salt(), 1000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn valid_at_its_own_place_only() {
        let bytes = sealed(&sample(), 1000);
        assert_eq!(Record::decode(&bytes, salt(), 1064), Err(RecordError::Head));
        assert_eq!(Record::decode(&bytes, Salt::new(StoreId([7; 16]), 4), 1000), Err(RecordError::Head));
        assert_eq!(Record::decode(&bytes, Salt::new(StoreId([8; 16]), 3), 1000), Err(RecordError::Head));
    }

    #[test]
    fn a_description_that_rots_to_no_text_leaves_the_head_and_the_length() {
        let mut bytes = sealed(&sample(), 1000);
        let length = bytes.len();
        bytes[length - sample().value.len() - 1] = 0xff;
        let head = Record::decode_head(&bytes, salt(), 1000).unwrap();
        assert_eq!((head.key, head.encoded_len()), ("user:1", length));
        assert_eq!(Record::decode(&bytes, salt(), 1000), Err(RecordError::Body));
    }

    #[test]
    fn cut_off_at_any_length_is_noticed() {
        let bytes = sealed(&sample(), 0);
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length], salt(), 0), Err(RecordError::CutOff));
            assert_eq!(Record::decode_value(&bytes[..length], salt(), 0), Err(RecordError::CutOff));
        }
    }

    #[test]
    fn zeroes_are_no_record() {
        assert!(Record::decode(&[0; 256], salt(), 0).is_err());
    }
}
