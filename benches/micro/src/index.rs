//! The index by itself.

use std::hint::black_box;

use larder_engine::internals::Index;

use crate::Path;
use crate::data::{ENTRIES, key, shuffled};

/// Keys of all entries, in random order.
fn keys() -> Vec<String> {
    shuffled().map(key).collect()
}

fn filled(keys: &[String]) -> Index {
    let mut index = Index::new();
    put_all(&mut index, keys);
    index
}

fn put_all(index: &mut Index, keys: &[String]) {
    for (sequence, key) in (1..).zip(keys) {
        index.put(key, sequence);
    }
}

pub(crate) fn get() -> Path {
    let keys = keys();
    let index = filled(&keys);
    Path::new(ENTRIES, move || {
        let found = keys.iter().rev().filter_map(|key| index.get(key)).count();
        assert_eq!(found, ENTRIES);
    })
}

/// Into an index that begins empty; it is dropped with it.
pub(crate) fn insert() -> Path {
    let keys = keys();
    Path::new(ENTRIES, move || {
        black_box(filled(&keys));
    })
}

pub(crate) fn overwrite() -> Path {
    let keys = keys();
    let mut index = filled(&keys);
    Path::new(ENTRIES, move || put_all(&mut index, &keys))
}

/// A hundred entries at a time.
pub(crate) fn scan() -> Path {
    let index = filled(&keys());
    let prefixes: Vec<String> = (0..ENTRIES).step_by(100).map(|first| key(first)[..22].to_owned()).collect();
    Path::new(ENTRIES, move || {
        let found: usize = prefixes.iter().map(|prefix| index.scan(prefix)).sum();
        assert_eq!(found, ENTRIES);
    })
}
