//! The log format once more, written from `docs/log-format.md` and not from the engine.
//!
//! As a second opinion it encodes what the engine has decoded: both must come to the same bytes. And it mends the
//! checksums of damaged bytes, as far as there is a structure left in them.

use crc32fast::Hasher;
use larder_engine::log::frame::Header;
use larder_engine::log::header::Footer;
use larder_engine::log::record::{Kind, Record};
use std::collections::BTreeMap;
use std::ops::Range;

/// The files of a store by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a segment's footer.
pub const FOOTER_BYTES: usize = 64;
/// Bytes of a frame before its records.
pub const FRAME_HEADER_BYTES: usize = 56;
/// Bytes of a record before its namespace.
pub const RECORD_HEADER_BYTES: usize = 64;

/// Bytes of a manifest before its list of segments.
pub const MANIFEST_HEADER_BYTES: usize = 96;
/// Bytes of a sealed segment in a manifest.
pub const SEALED_BYTES: usize = 48;
const OPEN_BYTES: usize = 4;
const HINT_HEADER_BYTES: usize = 64;
/// The kind of a segment of copied records.
const COMPACTED: u8 = 2;

/// The salt of a segment.
pub fn salt(store: &[u8; 16], segment: u32) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(store);
    hasher.update(&segment.to_le_bytes());
    hasher.finalize()
}

/// The checksum of `bytes` at `position` of a segment.
pub fn checksum(salt: u32, position: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt ^ position.wrapping_mul(0x9e37_79b1));
    hasher.update(bytes);
    hasher.finalize()
}

/// Encodes a record for `position`.
pub fn encode_record(record: &Record<'_>, salt: u32, position: u32) -> Vec<u8> {
    let kind = match record.kind {
        Kind::Put => 1,
        Kind::Delete => 2,
        Kind::Expire => 3,
    };
    let mut bytes = vec![0; 8];
    bytes.extend([kind, record.tag]);
    for text in [record.namespace, record.key, record.description] {
        bytes.extend(u16::try_from(text.len()).expect("a text has at most 65,535 bytes").to_le_bytes());
    }
    bytes.extend(u32::try_from(record.value.len()).expect("a value is shorter than 4 GiB").to_le_bytes());
    bytes.extend(record.tenant.0.to_le_bytes());
    for number in [record.sequence, record.deadline, record.created_at, record.updated_at, record.creation] {
        bytes.extend(number.to_le_bytes());
    }
    for part in
        [record.namespace.as_bytes(), record.key.as_bytes(), record.description.as_bytes(), record.value]
    {
        bytes.extend(part);
    }
    seal_record(&mut bytes, salt, position);
    bytes
}

/// Encodes a frame for `position`, with `payload` its records and checksums left to be filled in.
pub fn encode_frame(header: &Header, payload: &[u8], salt: u32, position: u32) -> Vec<u8> {
    let mut bytes = b"LFR1\0\0\0\0".to_vec();
    bytes.extend(header.payload_bytes.to_le_bytes());
    bytes.extend(header.records.to_le_bytes());
    for number in [header.first_sequence, header.durable, header.ceiling, header.time_ms] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(header.previous.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    seal_frame(&mut bytes, salt, position);
    bytes
}

/// Encodes a footer.
pub fn encode_footer(footer: &Footer, salt: u32, position: u32) -> Vec<u8> {
    let mut bytes = b"LARDEND\n".to_vec();
    bytes.extend(footer.frames.to_le_bytes());
    bytes.extend(footer.records.to_le_bytes());
    for number in
        [footer.lowest_sequence, footer.highest_sequence, footer.end, footer.ceiling, footer.time_ms]
    {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(footer.chain.to_le_bytes());
    bytes.extend([0; 4]);
    seal_footer(&mut bytes, salt, position);
    bytes
}

/// Mends the checksum of the segment header at the start of `bytes`.
pub fn seal_header(bytes: &mut [u8]) {
    if let Some(header) = bytes.first_chunk_mut::<SEGMENT_HEADER_BYTES>() {
        let salt = salt_of(header);
        let sum = checksum(salt, 0, &header[..60]);
        put_u32(header, 60, sum);
    }
}

/// Mends the checksum of the footer at the start of `bytes`.
pub fn seal_footer(bytes: &mut [u8], salt: u32, position: u32) {
    if let Some(footer) = bytes.first_chunk_mut::<FOOTER_BYTES>() {
        let sum = checksum(salt, position, &footer[..60]);
        put_u32(footer, 60, sum);
    }
}

/// Mends the checksum of a manifest.
pub fn seal_manifest(bytes: &mut [u8]) {
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>() {
        *sum = crc32fast::hash(body).to_le_bytes();
    }
}

/// Mends the checksums of the record at the start of `bytes`. Gives its head's checksum, and where head and record
/// end; nothing if the record is cut off.
pub fn seal_record(bytes: &mut [u8], salt: u32, position: u32) -> Option<(u32, Range<usize>)> {
    let address_bytes = u16_at(bytes, 10)? + u16_at(bytes, 12)?;
    let body = RECORD_HEADER_BYTES + address_bytes;
    let end = body + u16_at(bytes, 14)? + u32_at(bytes, 16)? as usize;
    let body_checksum = checksum(salt, position, bytes.get(body..end)?);
    put_u32(bytes, 4, body_checksum);
    let head_checksum = checksum(salt, position, &bytes[4..body]);
    put_u32(bytes, 0, head_checksum);
    Some((head_checksum, body..end))
}

/// A frame that was mended, or walked over.
#[derive(Debug, Clone)]
pub struct FrameSeen {
    /// Where it starts.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Its mark of what was durable.
    pub durable: u64,
    /// Its checksum.
    pub checksum: u32,
    /// Where the bodies of its records are.
    pub bodies: Vec<Range<usize>>,
}

/// Mends the checksums of the frame at the start of `bytes`, those of its records included. Nothing if the frame is
/// cut off; its header is mended all the same.
pub fn seal_frame(bytes: &mut [u8], salt: u32, position: u32) -> Option<FrameSeen> {
    let end = FRAME_HEADER_BYTES + u32_at(bytes, 8)? as usize;
    let fits = end <= bytes.len();
    let mut covered = bytes.get(..FRAME_HEADER_BYTES)?[8..52].to_vec();
    let mut bodies = Vec::new();
    let mut at = FRAME_HEADER_BYTES;
    while let Some(record) = bytes.get_mut(at..end) {
        let offset = u32::try_from(at).ok()?;
        let Some((sum, body)) = seal_record(record, salt, position.wrapping_add(offset)) else { break };
        covered.extend(sum.to_le_bytes());
        bodies.push(at + body.start..at + body.end);
        at += body.end;
    }
    let checksum_of_frame = checksum(salt, position, &covered);
    put_u32(bytes, 52, checksum_of_frame);
    let header_checksum = checksum(salt, position, &bytes[8..FRAME_HEADER_BYTES]);
    put_u32(bytes, 4, header_checksum);
    let durable = u64::from_le_bytes(bytes[24..32].try_into().ok()?);
    fits.then_some(FrameSeen { start: 0, end, durable, checksum: checksum_of_frame, bodies })
}

/// Mends the checksums of a hint, and has it name `store`, if any, and `chain`.
pub fn seal_hint(bytes: &mut [u8], store: Option<[u8; 16]>, chain: u32) {
    if let (Some(store), Some(id)) = (store, bytes.get_mut(16..32)) {
        id.copy_from_slice(&store);
    }
    put_u32(bytes, 48, chain);
    if let Some((header, body)) = bytes.split_first_chunk_mut::<HINT_HEADER_BYTES>() {
        put_u32(header, 52, crc32fast::hash(body));
        let sum = crc32fast::hash(&header[..60]);
        put_u32(header, 60, sum);
    }
}

/// Mends all checksums of a store, hints included, and the chain through its frames, in the order of the manifest. With
/// `store`, gives it that identity. Returns the frames of each segment.
pub fn seal_store(files: &mut Files, store: Option<[u8; 16]>) -> BTreeMap<String, Vec<FrameSeen>> {
    let mut frames = BTreeMap::new();
    let Some(mut manifest) = files.remove("MANIFEST") else { return frames };
    if let (Some(store), Some(id)) = (store, manifest.get_mut(16..32)) {
        id.copy_from_slice(&store);
    }
    let first_chain = crc32fast::hash(manifest.get(16..32).unwrap_or_default());
    let mut chain = first_chain;
    let sealed = u32_at(&manifest, 80).unwrap_or(0) as usize;
    let open = u32_at(&manifest, 84).unwrap_or(0) as usize;
    let sealed_entries = (0..sealed).map(|index| (MANIFEST_HEADER_BYTES + index * SEALED_BYTES, true));
    let open_start = MANIFEST_HEADER_BYTES + sealed * SEALED_BYTES;
    let open_entries = (0..open).map(|index| (open_start + index * OPEN_BYTES, false));
    put_u32(&mut manifest, 76, chain);
    for (entry, is_sealed) in sealed_entries.chain(open_entries) {
        // The counts may be as damaged as all else.
        let Some(number) = u32_at(&manifest, entry) else { break };
        let name = format!("{number:010}.seg");
        let is_compacted = is_sealed && manifest.get(entry + 4) == Some(&COMPACTED);
        // A compacted segment is a chain of its own, which begins as a new store's.
        let mut own_chain = first_chain;
        let chain = if is_compacted { &mut own_chain } else { &mut chain };
        if let Some(bytes) = files.get_mut(&name) {
            frames.insert(name, seal_segment(bytes, store, chain));
        }
        if is_sealed {
            put_u32(&mut manifest, entry + 24, *chain);
            if !is_compacted {
                put_u32(&mut manifest, 76, *chain);
            }
            if let Some(hint) = files.get_mut(&format!("{number:010}.hint")) {
                seal_hint(hint, store, *chain);
            }
            if let (Some(store), Some(id)) = (store, manifest.get_mut(entry + 32..entry + 48)) {
                id.copy_from_slice(&store);
            }
        }
    }
    seal_manifest(&mut manifest);
    files.insert("MANIFEST".to_owned(), manifest);
    frames
}

fn seal_segment(bytes: &mut [u8], store: Option<[u8; 16]>, chain: &mut u32) -> Vec<FrameSeen> {
    let mut frames = Vec::new();
    if let (Some(store), Some(id)) = (store, bytes.get_mut(16..32)) {
        id.copy_from_slice(&store);
    }
    seal_header(bytes);
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else { return frames };
    let salt = salt_of(header);
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(rest) = bytes.get_mut(at..) {
        let Ok(position) = u32::try_from(at) else { break };
        if rest.starts_with(b"LARDEND\n") {
            put_u32(rest, 56, *chain);
            seal_footer(rest, salt, position);
            break;
        }
        if !rest.starts_with(b"LFR1") {
            break;
        }
        put_u32(rest, 48, *chain);
        let Some(frame) = seal_frame(rest, salt, position) else { break };
        *chain = frame.checksum;
        let shifted = frame.bodies.iter().map(|body| at + body.start..at + body.end).collect();
        let end = at + frame.end;
        frames.push(FrameSeen { start: at, end, bodies: shifted, ..frame });
        at = end;
    }
    frames
}

fn salt_of(header: &[u8; SEGMENT_HEADER_BYTES]) -> u32 {
    let mut store = [0; 16];
    store.copy_from_slice(&header[16..32]);
    salt(&store, u32::from_le_bytes([header[32], header[33], header[34], header[35]]))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(field) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = number.to_le_bytes();
    }
}
