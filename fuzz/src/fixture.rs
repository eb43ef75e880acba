//! Small stores to be damaged: written by the engine, with all that was ever in them kept beside.
//!
//! A store's identity is random, and with it every checksum. It is replaced by a fixed one, so that an input means
//! the same in every process.

use crate::layout::{self, Files, FrameSeen};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk};
use larder_engine::log::header::SegmentKind;
use larder_engine::log::manifest::Manifest;
use larder_engine::{Address, Clock, Condition, Durability, Options, Put, Stamp, Store, Tenant};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Tenant, namespace and key.
pub(crate) type Name = (u32, String, String);

/// What the entries of a store are, by version.
pub(crate) type Contents = BTreeMap<Name, u64>;

/// What was once written under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) value: Vec<u8>,
    pub(crate) description: Option<String>,
}

/// A small store, and what is known of it.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) files: Files,
    /// The contents after every change, with the change's version; the last are the newest.
    pub(crate) history: Vec<(u64, Contents)>,
    pub(crate) written: BTreeMap<(Name, u64), Written>,
    pub(crate) frames: BTreeMap<String, Vec<FrameSeen>>,
    pub(crate) manifest: Manifest,
}

/// A clock that stands still: nothing expires but what is meant to.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn boot_ms(&self) -> u64 {
        0
    }
}

/// How a store is opened here: without threads, so that the same always happens.
pub(crate) fn open(disk: &SimDisk) -> larder_engine::Result<Store> {
    let options = Options::new().durability(Durability::Durable).background(false).segment_bytes(0);
    let options = options.feed_retention_bytes(0);
    options.clock(Arc::new(StoppedClock)).open_on(Arc::new(disk.clone()))
}

/// The fixtures, made once per process.
pub(crate) fn fixtures() -> &'static [Fixture] {
    static FIXTURES: OnceLock<Vec<Fixture>> = OnceLock::new();
    FIXTURES.get_or_init(|| vec![killed(), closed(), rotated(), compacted()])
}

/// Two sealed segments and an open one.
fn killed() -> Fixture {
    let mut script = Script::default();
    let store = script.two_sessions_and_a_third();
    let fixture = script.finish(2, 1);
    drop(store);
    fixture
}

/// Three sealed segments, and nothing open.
fn closed() -> Fixture {
    let mut script = Script::default();
    script.two_sessions_and_a_third().close().expect("a store can be closed");
    script.finish(3, 0)
}

/// A sealed segment and three open ones: a frame that fills a segment of its own, and none could be sealed.
fn rotated() -> Fixture {
    let mut script = Script::default();
    let store = script.open();
    script.put(&store, "default", "a", 10);
    store.close().expect("a store can be closed");
    let store = script.open();
    script.put(&store, "default", "b", 10);
    // Sealing begins with cutting the file off, and is tried again by every write.
    (0..8).for_each(|_| script.disk.fail_next(OpKind::SetLen, Fault::Eio));
    script.put(&store, "default", "big", (1 << 20) - 64);
    script.put(&store, "default", "c", 10);
    script.put(&store, "other", "a", 10);
    script.finish(1, 3)
}

/// A compacted segment, two other sealed ones, and an open one.
fn compacted() -> Fixture {
    let mut script = Script::default();
    let store = script.two_sessions_and_a_third();
    store.compact().expect("there is room");
    script.put(&store, "default", "a", 30);
    script.delete(&store, "other", "b");
    store.close().expect("a store can be closed");
    let store = script.open();
    script.put(&store, "default", "c", 10);
    let fixture = script.finish(3, 1);
    assert!(fixture.manifest.sealed.iter().any(|sealed| sealed.kind == SegmentKind::Compacted));
    fixture
}

/// A store in the making.
struct Script {
    disk: SimDisk,
    history: Vec<(u64, Contents)>,
    written: BTreeMap<(Name, u64), Written>,
}

impl Default for Script {
    fn default() -> Script {
        Script { disk: SimDisk::new(1), history: vec![(0, Contents::new())], written: BTreeMap::new() }
    }
}

impl Script {
    fn open(&self) -> Store {
        open(&self.disk).expect("an intact store can be opened")
    }

    fn two_sessions_and_a_third(&mut self) -> Store {
        let store = self.open();
        for key in ["a", "b", "c", "d"] {
            self.put(&store, "default", key, 20);
        }
        self.put(&store, "other", "a", 300);
        store.close().expect("a store can be closed");
        let store = self.open();
        self.put(&store, "default", "a", 40);
        self.delete(&store, "default", "b");
        self.transaction(&store);
        store.close().expect("a store can be closed");
        let store = self.open();
        self.put(&store, "default", "b", 5);
        self.put(&store, "default", "c", 60);
        self.delete(&store, "default", "d");
        self.transaction(&store);
        self.put(&store, "other", "b", 0);
        store
    }

    fn put(&mut self, store: &Store, namespace: &str, key: &str, filler: usize) {
        let (name, written) = self.entry(0, namespace, key, filler);
        let stamp = store.put(address(&name), &put(&written)).expect("there is room");
        self.note([(name, stamp.expect("there is no condition"), written)]);
    }

    /// Two changes in one frame, of another tenant.
    fn transaction(&mut self, store: &Store) {
        let entries = ["x", "y"].map(|key| self.entry(7, "default", key, 8));
        let stamps = store.transaction(|batch| {
            let mut stamps = Vec::new();
            for (name, written) in &entries {
                stamps.push(batch.put(address(name), &put(written))?);
            }
            Ok::<_, larder_engine::Error>(stamps)
        });
        let stamps =
            stamps.expect("there is room").into_iter().map(|stamp| stamp.expect("there is no condition"));
        let changes: Vec<_> =
            entries.into_iter().zip(stamps).map(|((name, written), stamp)| (name, stamp, written)).collect();
        self.note(changes);
    }

    fn delete(&mut self, store: &Store, namespace: &str, key: &str) {
        let name = (0, namespace.to_owned(), key.to_owned());
        let deleted = store.delete(address(&name), Condition::Always).expect("a delete needs no room");
        let version = deleted.expect("there is no condition").expect("it is there").version;
        let mut contents = self.newest();
        contents.remove(&name);
        self.history.push((version, contents));
    }

    fn newest(&self) -> Contents {
        self.history.last().map(|(_, contents)| contents.clone()).unwrap_or_default()
    }

    /// A value that says where it belongs.
    fn entry(&self, tenant: u32, namespace: &str, key: &str, filler: usize) -> (Name, Written) {
        let number = self.written.len();
        let mut value = format!("{tenant}/{namespace}/{key}#{number} ").into_bytes();
        value.resize(value.len() + filler, b'.');
        let description = number.is_multiple_of(2).then(|| format!("note {number} on {key}"));
        ((tenant, namespace.to_owned(), key.to_owned()), Written { value, description })
    }

    fn note(&mut self, changes: impl IntoIterator<Item = (Name, Stamp, Written)>) {
        let mut contents = self.newest();
        let mut version = 0;
        for (name, stamp, written) in changes {
            version = stamp.version;
            contents.insert(name.clone(), version);
            self.written.insert((name, version), written);
        }
        self.history.push((version, contents));
    }

    /// What is on the disk now: so many sealed segments and so many open ones.
    fn finish(self, sealed: usize, open: usize) -> Fixture {
        let names = self.disk.file_names();
        let mut files: Files =
            names.into_iter().filter_map(|name| Some((name.clone(), self.disk.read_file(&name)?))).collect();
        files.values_mut().for_each(trim);
        let frames = layout::seal_store(&mut files, Some([7; 16]));
        let manifest = Manifest::decode(&files["MANIFEST"]).expect("an intact store has a manifest");
        assert_eq!((manifest.sealed.len(), manifest.open.len()), (sealed, open));
        Fixture { files, history: self.history, written: self.written, frames, manifest }
    }
}

/// Leaves a few of the zeroes that a segment was allocated with: a mebibyte of them would only take time.
fn trim(bytes: &mut Vec<u8>) {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used + 64);
}

fn put(written: &Written) -> Put<'_> {
    Put { description: written.description.as_deref(), ..Put::new(&written.value) }
}

pub(crate) fn address((tenant, namespace, key): &Name) -> Address<'_> {
    Address::new(Tenant(*tenant), namespace, key).expect("the names are valid")
}
