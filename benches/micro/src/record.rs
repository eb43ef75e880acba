//! Records of the log: encoded with their checksums, and decoded with all of it verified.

use std::hint::black_box;

use larder_engine::Tenant;
use larder_engine::internals::encode_record;
use larder_engine::log::format::{Salt, StoreId};
use larder_engine::log::record::{Kind, Record};

use crate::Path;
use crate::data::{key, value};

const RECORDS: usize = 64;

fn salt() -> Salt {
    Salt::new(StoreId([7; 16]), 3)
}

fn record<'a>(number: usize, key: &'a str, value: &'a [u8]) -> Record<'a> {
    Record {
        kind: Kind::Put,
        tag: 1,
        tenant: Tenant::DEFAULT,
        namespace: "default",
        key,
        description: "",
        value,
        sequence: 1 + number as u64,
        deadline: u64::MAX,
        created_at: 1_700_000_000_000,
        updated_at: 1_700_000_000_000,
        creation: 1 + number as u64,
    }
}

pub(crate) fn encode() -> Path {
    let entries: Vec<(String, String)> = (0..RECORDS).map(|number| (key(number), value(number))).collect();
    let mut out = Vec::with_capacity(64 << 10);
    Path::new(RECORDS, move || {
        out.clear();
        for (number, (key, value)) in entries.iter().enumerate() {
            encode_record(&record(number, key, value.as_bytes()), salt(), &mut out);
        }
        black_box(&out);
    })
}

pub(crate) fn decode() -> Path {
    let encoded: Vec<Vec<u8>> = (0..RECORDS)
        .map(|number| {
            let mut out = Vec::new();
            let (key, value) = (key(number), value(number));
            encode_record(&record(number, &key, value.as_bytes()), salt(), &mut out);
            out
        })
        .collect();
    Path::new(RECORDS, move || {
        for bytes in &encoded {
            black_box(Record::decode(bytes, salt(), 0).expect("an intact record"));
        }
    })
}
