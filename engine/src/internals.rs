//! Parts of the engine by themselves, for benchmarks of them (`benches/micro`). With the feature `internals` alone, and no part of
//! what the engine promises.

use crate::address::{Address, Tenant};
use crate::clock::NEVER;
use crate::index::{self, KeyRange, Slot, Tagger};
use crate::log::format::Salt;
use crate::log::record::{self, Record};

/// Appends a record as it would stand at the start of a segment, checksums included.
pub fn encode_record(record: &Record<'_>, salt: Salt, out: &mut Vec<u8>) {
    let start = out.len();
    record.encode(out);
    record::seal(&mut out[start..], salt, 0);
}

/// An index of one namespace, without deadlines.
#[derive(Debug)]
pub struct Index(index::Index);

const NAMESPACE: &str = "default";

impl Index {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "nobody needs one by default")]
    pub fn new() -> Index {
        Index(index::Index::new(Tagger::new(), 0))
    }

    /// Enters a put of a valid key.
    pub fn put(&mut self, key: &str, sequence: u64) {
        let (creation, created_at, deadline) = (sequence, 0, NEVER);
        let slot = Slot { sequence, creation, created_at, deadline, segment: 1, position: 0, length: 285 };
        if let Some(at) = address(key) {
            self.0.put(at, slot);
        }
    }

    /// The sequence of a key's newest put.
    pub fn get(&self, key: &str) -> Option<u64> {
        self.0.get(address(key)?).map(|slot| slot.sequence)
    }

    /// Looks at all entries under a prefix. How many there are.
    pub fn scan(&self, prefix: &str) -> usize {
        let namespace = self.0.namespace(Tenant::DEFAULT, NAMESPACE);
        namespace.map_or(0, |namespace| {
            self.0.range(namespace, &KeyRange::prefix(prefix)).map(std::hint::black_box).count()
        })
    }
}

fn address(key: &str) -> Option<Address<'_>> {
    Address::new(Tenant::DEFAULT, NAMESPACE, key).ok()
}
