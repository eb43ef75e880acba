//! The engine as its users have it: a store on the disk, without threads of its own, at level buffered. Its clock stands still: the
//! engine's own asks the kernel in a way that valgrind does not know.

use std::hint::black_box;
use std::sync::Arc;

use larder_engine::{Address, Clock, Durability, Options, Put, Scan, Store, Tenant};
use tempfile::TempDir;

use crate::Path;
use crate::data::{ENTRIES, key, shuffled, value};

/// Commands in a turn of the server under a pipeline.
const BATCH: usize = 16;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn wall_ms(&self) -> u64 {
        1_800_000_000_000
    }

    fn boot_ms(&self) -> u64 {
        1_000_000
    }
}

/// A store with all entries, and their keys and values in random order.
struct Filled {
    store: Store,
    entries: Vec<(String, String)>,
    /// Goes when the store has gone.
    _directory: TempDir,
}

impl Filled {
    fn new() -> Filled {
        let directory = tempfile::tempdir().expect("a directory for a while");
        let options =
            Options::new().durability(Durability::Buffered).background(false).clock(Arc::new(Stopped));
        let store = options.open(directory.path()).expect("an empty directory becomes a store");
        let entries = shuffled().map(|number| (key(number), value(number))).collect();
        let filled = Filled { store, entries, _directory: directory };
        filled.set_all();
        filled
    }

    fn set_all(&self) {
        for batch in self.entries.chunks(BATCH) {
            let written = self.store.write(|writer| {
                writer.preload(batch.iter().map(|(key, _)| at(key)));
                for (key, value) in batch {
                    writer
                        .put(at(key), &Put::new(value.as_bytes()))
                        .expect("a healthy disk")
                        .expect("no condition");
                }
            });
            written.wait().expect("a healthy disk");
        }
    }
}

fn at(key: &str) -> Address<'_> {
    Address::new(Tenant::DEFAULT, "default", key).expect("a valid key")
}

pub(crate) fn get() -> Path {
    let filled = Filled::new();
    Path::new(ENTRIES, move || {
        let mut scratch = Vec::new();
        for (key, value) in filled.entries.iter().rev() {
            let found = filled.store.read(|view| view.get(at(key)));
            let found = found.map(|found, values| {
                let found = found.expect("it was set");
                assert_eq!(values.value(&found, &mut scratch).expect("an intact value").len(), value.len());
            });
            found.wait().expect("a healthy disk");
        }
    })
}

/// As the server does it for a pipeline.
pub(crate) fn get_in_batches() -> Path {
    let filled = Filled::new();
    Path::new(ENTRIES, move || {
        let mut scratch = Vec::new();
        for batch in filled.entries.chunks(BATCH) {
            let found = filled.store.read(|view| {
                view.preload(batch.iter().map(|(key, _)| at(key)));
                let found = batch.iter().map(|(key, _)| view.get(at(key)).expect("it was set"));
                found.collect::<Vec<_>>()
            });
            let copied = found.map(|found, values| {
                values.preload(found.iter());
                for found in &found {
                    black_box(values.value(found, &mut scratch).expect("an intact value"));
                }
            });
            copied.wait().expect("a healthy disk");
        }
    })
}

pub(crate) fn set_in_batches() -> Path {
    let filled = Filled::new();
    Path::new(ENTRIES, move || filled.set_all())
}

/// A hundred entries at a time.
pub(crate) fn scan() -> Path {
    let filled = Filled::new();
    let prefixes: Vec<String> = (0..ENTRIES).step_by(100).map(|first| key(first)[..22].to_owned()).collect();
    Path::new(ENTRIES, move || {
        let mut scratch = Vec::new();
        for prefix in &prefixes {
            let scan = Scan { namespace: "default", prefix, after: None, reverse: false, limit: 1000 };
            let page = filled.store.read(|view| view.scan(Tenant::DEFAULT, &scan));
            let copied = page.map(|page, values| {
                assert_eq!(page.items.len(), 100);
                values.preload(page.items.iter().map(|(_, found)| found));
                for (_, found) in &page.items {
                    black_box(values.value(found, &mut scratch).expect("an intact value"));
                }
            });
            copied.wait().expect("a healthy disk");
        }
    })
}
