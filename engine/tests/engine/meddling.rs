//! Writes and reads in the midst of a compaction, at each of its operations on the disk; and faults after them.
//!
//! Everything that a job does happens before or after some operation on the disk, and it holds no lock of the state
//! meanwhile. So writes that strike just before an operation strike between any two of the job's steps, always at the same
//! place.

use crate::aftermath::{TIMES, Tally};
use crate::support::{Contents, HandClock, at, brief, dump, options, value};
use larder_engine::Durability::Buffered;
use larder_engine::disk::sim::{Fault, SimDisk, Survival};
use larder_engine::disk::{Disk, DiskFile, DiskLock, Map};
use larder_engine::{Condition, Error, Put, Result, Store};
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is done just before an operation.
type Deed = Box<dyn FnOnce() + Send>;

/// A simulated disk that does something just before one of its operations.
#[derive(Clone)]
struct Meddler {
    disk: SimDisk,
    /// Operations so far, also those that only read.
    count: Arc<AtomicU64>,
    deed: Arc<Mutex<Option<(u64, Deed)>>>,
}

impl Meddler {
    fn new(disk: &SimDisk) -> Meddler {
        Meddler { disk: disk.clone(), count: Arc::default(), deed: Arc::default() }
    }

    fn operations(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Has `deed` done before the operation of that number.
    fn meddle(&self, number: u64, deed: impl FnOnce() + Send + 'static) {
        *self.deed.lock().unwrap() = Some((number, Box::new(deed)));
    }

    fn before_operation(&self) -> &SimDisk {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let deed = self.deed.lock().unwrap().take_if(|(wanted, _)| *wanted == number);
        if let Some((_, deed)) = deed {
            deed();
        }
        &self.disk
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(MeddledFile { meddler: self.clone(), file })
    }
}

impl Debug for Meddler {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

impl Disk for Meddler {
    fn location(&self) -> String {
        self.disk.location()
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.before_operation().list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.before_operation().create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.before_operation().open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.before_operation().rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.before_operation().remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.before_operation().sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

#[derive(Debug)]
struct MeddledFile {
    meddler: Meddler,
    file: Arc<dyn DiskFile>,
}

impl MeddledFile {
    fn before_operation(&self) -> &dyn DiskFile {
        self.meddler.before_operation();
        &*self.file
    }
}

impl DiskFile for MeddledFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.before_operation().read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.before_operation().write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.before_operation().sync()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.before_operation().set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.before_operation().allocate(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self, length: u64) -> io::Result<Option<Map>> {
        self.file.map(length)
    }
}

/// A store with something to compact: entries that stay, overwritten ones, tombstones with and without older puts.
struct Scene {
    disk: SimDisk,
    meddler: Meddler,
    clock: Arc<HandClock>,
    store: Store,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let (disk, clock) = (SimDisk::new(seed), HandClock::new());
        let meddler = Meddler::new(&disk);
        let store = open(Arc::new(meddler.clone()), &clock).unwrap();
        let put = |key: &str, seed: u64, size: usize| {
            store.put(at(key), &Put::new(&value(seed, size))).unwrap().unwrap();
        };
        for (seed, key) in (0..).zip(["stays", "overwritten", "deleted", "replaced", "gone"]) {
            put(key, seed, 600);
        }
        store.delete(at("gone"), Condition::Always).unwrap().unwrap().unwrap();
        put("stays", 10, 700);
        put("filler", 11, 1500);
        // The segment in use has room for all of the meddling.
        put("filler", 12, 1500);
        store.sync().wait().unwrap();
        Scene { disk, meddler, clock, store }
    }

    /// Compacts, with the meddling just before the job's operation of that number. Gives how many changing operations the
    /// disk had seen by then.
    fn compact(&self, number: u64) -> Result<u64> {
        let seen = Arc::new(AtomicU64::new(0));
        let (store, disk, noted) = (self.store.clone(), self.disk.clone(), Arc::clone(&seen));
        self.meddler.meddle(self.meddler.operations() + number, move || {
            // Readers find everything, at every step.
            assert_eq!(brief(&dump(&store).unwrap()).len(), 5);
            noted.store(disk.op_count(), Ordering::SeqCst);
            meddle(&store);
        });
        self.store.compact()?;
        self.store.sync().wait()?;
        Ok(seen.load(Ordering::SeqCst))
    }
}

fn open(disk: Arc<dyn Disk>, clock: &Arc<HandClock>) -> Result<Store> {
    options(Buffered, clock).segment_bytes(4096).open_on(disk)
}

/// A transaction that nobody waits for, over all kinds of entries that the job deals with.
fn meddle(store: &Store) {
    let pending = store.write(|writer| {
        writer.transaction(|batch| {
            batch.put(at("overwritten"), &Put::new(b"anew"))?.unwrap();
            batch.delete(at("deleted"), Condition::Always)?.unwrap();
            batch.delete(at("replaced"), Condition::Always)?.unwrap();
            batch.put(at("replaced"), &Put::new(b"replaced"))?.unwrap();
            batch.put(at("gone"), &Put::new(b"back"))?.unwrap();
            Ok::<_, Error>(())
        })
    });
    drop(pending);
}

/// What the store is before the meddling, and after it; and how many operations a job has.
fn expected() -> ([Contents; 2], u64) {
    let scene = Scene::new(1);
    let before = dump(&scene.store).unwrap();
    meddle(&scene.store);
    scene.store.sync().wait().unwrap();
    let after = dump(&scene.store).unwrap();
    let scene = Scene::new(1);
    let first = scene.meddler.operations();
    scene.store.compact().unwrap();
    ([before, after], scene.meddler.operations() - first)
}

/// Reads everything: which of the two is it?
#[track_caller]
fn which(store: &Store, expected: &[Contents; 2], context: &str) -> usize {
    let found = dump(store).unwrap_or_else(|error| panic!("{context}: {error}"));
    let index = expected.iter().position(|contents| *contents == found);
    index.unwrap_or_else(|| panic!("{context}: it is {:#?}", brief(&found)))
}

/// Opens what is left, compacts, and opens again: all the same, and not older than `floor`.
fn reopen(
    tally: &mut Tally,
    disk: &SimDisk,
    clock: &Arc<HandClock>,
    expected: &[Contents; 2],
    floor: usize,
    context: &str,
) {
    let reopened = |disk: &SimDisk| {
        open(Arc::new(disk.clone()), clock).unwrap_or_else(|error| panic!("{context}: {error}"))
    };
    let store = reopened(disk);
    assert_eq!(store.report().set_aside, [""; 0], "{context}");
    let found = which(&store, expected, context);
    assert!(found >= floor, "{context}: it was durable");
    store.compact().unwrap();
    assert_eq!(which(&store, expected, context), found, "{context}");
    store.close().unwrap();
    assert_eq!(which(&reopened(disk), expected, context), found, "{context}");
    tally.count(2);
}

#[test]
fn writes_in_the_midst_of_a_job_are_kept() {
    let (expected, operations) = expected();
    let mut tally = Tally::of(format!("writes before each of {operations} operations of a job, seed 1"));
    for number in 0..operations {
        let context = format!("before operation {number}");
        let scene = Scene::new(1);
        scene.compact(number).unwrap();
        assert_eq!(which(&scene.store, &expected, &context), 1);
        scene.store.close().unwrap();
        reopen(&mut tally, &scene.disk, &scene.clock, &expected, 1, &context);
    }
}

/// After a failure the store goes back to what was acknowledged, wherever compaction has brought that in the meantime.
#[test]
fn a_fault_after_writes_in_the_midst_of_a_job() {
    let (expected, operations) = expected();
    let mut tally = Tally::of(format!("a fault after writes before each of {operations} operations, seed 1"));
    for number in 0..operations {
        let scene = Scene::new(1);
        let meddled = scene.compact(number).unwrap();
        for fault_at in meddled..scene.disk.op_count() {
            let context = format!("writes before operation {number}, fault at {fault_at}");
            let scene = Scene::new(1);
            scene.disk.fail_at(fault_at, Fault::Eio);
            let floor = usize::from(scene.compact(number).is_ok());
            let told = which(&scene.store, &expected, &context);
            assert!(told >= floor, "{context}");
            let disk = scene.disk.kill();
            drop(scene.store);
            // At this level a failed sync can take acknowledged writes along.
            for survival in Survival::ALL {
                let context = format!("{context}, {survival:?}");
                reopen(&mut tally, &disk.crash(survival), &scene.clock, &expected, floor, &context);
            }
        }
    }
}

#[test]
fn a_power_cut_after_writes_in_the_midst_of_a_job() {
    let (expected, operations) = expected();
    let mut tally =
        Tally::of(format!("power cuts after writes before each of {operations} operations, seed 1"));
    for number in 0..operations {
        let scene = Scene::new(1);
        let meddled = scene.compact(number).unwrap();
        for cut_at in meddled..scene.disk.op_count() {
            for when in TIMES {
                let context = format!("writes before operation {number}, {when:?} operation {cut_at}");
                let scene = Scene::new(1);
                scene.disk.fail_at(cut_at, Fault::Crash(when));
                let floor = usize::from(scene.compact(number).is_ok());
                drop(scene.store);
                for survival in Survival::ALL {
                    let context = format!("{context}, {survival:?}");
                    reopen(&mut tally, &scene.disk.crash(survival), &scene.clock, &expected, floor, &context);
                }
            }
        }
    }
}
