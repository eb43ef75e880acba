//! The decoders of the log: headers, footers, manifests, records, frames.
//!
//! Input: a byte that chooses the decoder (its highest bit: mend the checksums first), four bytes of position, then
//! what is to be decoded. Nothing may panic, and whatever is decoded must encode to the bytes that it came from.

use crate::input::Input;
use crate::layout;
use larder_engine::Tenant;
use larder_engine::log::format::{Salt, StoreId};
use larder_engine::log::frame::{self, Frame, Verify};
use larder_engine::log::header::{Footer, SegmentHeader, SegmentKind};
use larder_engine::log::manifest::{Manifest, Sealed};
use larder_engine::log::record::{Kind, Record};

const STORE: [u8; 16] = [7; 16];
const SEGMENT: u32 = 3;

/// Mend the checksums before decoding.
const MEND: u8 = 0x80;

/// Runs the target.
pub fn log(input: &[u8]) {
    let mut input = Input::new(input);
    let choice = input.byte();
    let position = u32::from_le_bytes(input.array());
    let mut bytes = input.rest().to_vec();
    let mend = choice & MEND != 0;
    match (choice & !MEND) % 6 {
        0 => segment_header(&mut bytes, mend),
        1 => footer(&mut bytes, position, mend),
        2 => manifest(&mut bytes, mend),
        3 => record(&mut bytes, position, mend),
        4 => frame_header(&mut bytes, position, mend),
        _ => frame(&mut bytes, position, mend),
    }
}

fn salts() -> (Salt, u32) {
    (Salt::new(StoreId(STORE), SEGMENT), layout::salt(&STORE, SEGMENT))
}

fn segment_header(bytes: &mut [u8], mend: bool) {
    if mend {
        layout::seal_header(bytes);
    }
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        // Reserved bytes are not looked at, and written as zeroes.
        for reserved in [11..12, 36..40, 48..60] {
            bytes[reserved].fill(0);
        }
        layout::seal_header(bytes);
        assert_eq!(header.encode(), bytes[..layout::SEGMENT_HEADER_BYTES]);
    }
}

fn footer(bytes: &mut [u8], position: u32, mend: bool) {
    let (salt, layout_salt) = salts();
    if mend {
        layout::seal_footer(bytes, layout_salt, position);
    }
    if let Some(footer) = Footer::decode(bytes, salt, position.into()) {
        assert_eq!(
            layout::encode_footer(&footer, layout_salt, position),
            bytes[..layout::FOOTER_BYTES],
            "{footer:?}"
        );
    }
}

fn manifest(bytes: &mut [u8], mend: bool) {
    if mend {
        layout::seal_manifest(bytes);
    }
    if let Ok(manifest) = Manifest::decode(bytes) {
        let encoded = manifest.encode();
        assert_eq!(encoded.len(), bytes.len());
        assert_eq!(Manifest::decode(&encoded), Ok(manifest.clone()));
        bytes[10] = u8::from(manifest.clean);
        bytes[11] = 0;
        bytes[92..96].fill(0);
        for index in 0..manifest.sealed.len() {
            let entry = layout::MANIFEST_HEADER_BYTES + index * layout::SEALED_BYTES;
            bytes[entry + 5..entry + 8].fill(0);
        }
        layout::seal_manifest(bytes);
        assert_eq!(encoded, bytes);
    }
}

fn record(bytes: &mut [u8], position: u32, mend: bool) {
    let (salt, layout_salt) = salts();
    if mend {
        layout::seal_record(bytes, layout_salt, position);
    }
    if let Ok(record) = Record::decode(bytes, salt, position) {
        let encoded = layout::encode_record(&record, layout_salt, position);
        assert_eq!(encoded.len(), record.encoded_len());
        assert_eq!(encoded, bytes[..encoded.len()], "{record:?}");
    }
}

fn frame_header(bytes: &mut [u8], position: u32, mend: bool) {
    let (salt, layout_salt) = salts();
    if mend {
        layout::seal_frame(bytes, layout_salt, position);
    }
    if let Some(header) = frame::Header::decode(bytes, salt, position) {
        let encoded = [
            &b"LFR1"[..],
            &bytes[4..8],
            &header.payload_bytes.to_le_bytes(),
            &header.records.to_le_bytes(),
            &header.first_sequence.to_le_bytes(),
            &header.durable.to_le_bytes(),
            &header.ceiling.to_le_bytes(),
            &header.time_ms.to_le_bytes(),
            &header.previous.to_le_bytes(),
            &header.checksum.to_le_bytes(),
        ];
        assert_eq!(encoded.concat(), bytes[..frame::HEADER_BYTES]);
    }
}

fn frame(bytes: &mut [u8], position: u32, mend: bool) {
    let (salt, layout_salt) = salts();
    if mend {
        layout::seal_frame(bytes, layout_salt, position);
    }
    let any_order = Frame::decode(bytes, salt, position, SegmentKind::Compacted, Verify::Everything);
    let heads = Frame::decode(bytes, salt, position, SegmentKind::Log, Verify::Heads);
    let Ok(frame) = Frame::decode(bytes, salt, position, SegmentKind::Log, Verify::Everything) else {
        return;
    };
    assert!(any_order.is_ok(), "what is in order is in any order");
    assert!(heads.is_ok(), "what is intact as a whole has intact heads");
    let mut payload = Vec::new();
    let records: Vec<_> =
        frame.records(salt, Verify::Everything).map(|record| record.expect("it was just verified")).collect();
    for (at, record) in &records {
        payload.extend(layout::encode_record(record, layout_salt, *at));
    }
    assert_eq!(records.len(), frame.header.records as usize);
    let encoded = layout::encode_frame(&frame.header, &payload, layout_salt, position);
    assert_eq!(encoded, bytes[..encoded.len()]);
    let heads: Vec<_> = frame.records(salt, Verify::Heads).map(Result::ok).collect();
    assert_eq!(heads, records.into_iter().map(Some).collect::<Vec<_>>());
}

/// Valid inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    const POSITION: u32 = 64;
    let salt = layout::salt(&STORE, SEGMENT);
    let header = SegmentHeader {
        store: StoreId(STORE),
        segment: SEGMENT,
        kind: SegmentKind::Log,
        created_at: 1_700_000_000_000,
    };
    let footer = Footer {
        frames: 2,
        records: 5,
        lowest_sequence: 1,
        highest_sequence: 5,
        end: POSITION.into(),
        ceiling: 1 << 20,
        time_ms: 1_700_000_000_000,
        chain: 0x1234_5678,
    };
    let sealed = Sealed {
        segment: 1,
        kind: SegmentKind::Compacted,
        end: 4096,
        highest_sequence: 3,
        chain: 0x8765_4321,
        records: 3,
        store: StoreId([9; 16]),
    };
    let manifest = Manifest {
        store: StoreId(STORE),
        clean: false,
        generation: 4,
        sequence: 3,
        ceiling: 1 << 20,
        time_ms: 1_700_000_000_000,
        feed_floor: 0,
        next_segment: 4,
        chain: 0x8765_4321,
        sealed: vec![sealed, Sealed { segment: 2, kind: SegmentKind::Log, ..sealed }],
        open: vec![3],
        retired: vec![1, 5],
    };
    let put = Record {
        kind: Kind::Put,
        tag: 4,
        tenant: Tenant(9),
        namespace: "default",
        key: "user:1",
        description: "a nöte",
        value: b"{\"a\":1}",
        sequence: 17,
        deadline: u64::MAX,
        created_at: 1_700_000_000_000,
        updated_at: 1_700_000_000_001,
        creation: 17,
    };
    let delete = Record { kind: Kind::Delete, tag: 0, description: "", value: b"", sequence: 18, ..put };
    let first = POSITION + length_u32(frame::HEADER_BYTES);
    let mut payload = layout::encode_record(&put, salt, first);
    payload.extend(layout::encode_record(&delete, salt, first + length_u32(payload.len())));
    let frame_header = frame::Header {
        payload_bytes: length_u32(payload.len()),
        records: 2,
        first_sequence: 17,
        durable: 16,
        ceiling: 1 << 20,
        time_ms: 1_700_000_000_001,
        previous: 0x1234_5678,
        checksum: 0,
    };
    let frame = layout::encode_frame(&frame_header, &payload, salt, POSITION);
    let seeds = [
        header.encode().to_vec(),
        layout::encode_footer(&footer, salt, POSITION),
        manifest.encode(),
        layout::encode_record(&put, salt, POSITION),
        frame.clone(),
        frame,
    ];
    let seed = |choice: u8, bytes: &[u8]| [&[choice], &POSITION.to_le_bytes()[..], bytes].concat();
    (0..).zip(&seeds).flat_map(|(choice, bytes)| [seed(choice, bytes), seed(choice | MEND, bytes)]).collect()
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("seeds are short")
}
