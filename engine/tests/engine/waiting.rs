//! Waiting: by threads and by tasks, for syncs that a test holds back; and what must not be told in the meantime.

use crate::support::{HandClock, RESERVE_BYTES, START_MS, at, dump, open, options};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::disk::{Disk, DiskFile, DiskLock, Map};
use larder_engine::{
    Address, Clock, Condition, Durability, Error, NamespaceScan, Options, Put, Refusal, Scan, Store, Tenant,
};
use std::io;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Where syncs of files are counted, and held back if a test wants it.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
    passed: usize,
}

/// Long after a test that hangs should have ended.
const WATCHDOG: Duration = Duration::from_secs(120);

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        state = self.changed.wait_while(state, |state| state.closed).unwrap();
        state.waiting -= 1;
    }

    fn passed(&self) {
        self.state.lock().unwrap().passed += 1;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    /// Waits until a sync is held back.
    fn until_held(&self) {
        let state = self.state.lock().unwrap();
        let (_state, timeout) =
            self.changed.wait_timeout_while(state, WATCHDOG, |state| state.waiting == 0).unwrap();
        assert!(!timeout.timed_out(), "nobody syncs");
    }

    fn count(&self) -> usize {
        self.state.lock().unwrap().passed
    }

    /// Waits until more than `count` syncs are done.
    fn until_passed(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let more = |state: &mut GateState| state.passed <= count;
        let (_state, timeout) = self.changed.wait_timeout_while(state, WATCHDOG, more).unwrap();
        assert!(!timeout.timed_out(), "nobody syncs");
    }
}

/// Opens the gate in the end, also when a test has failed: the store cannot be closed before.
struct Keeper(Arc<Gate>);

impl Deref for Keeper {
    type Target = Gate;
    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.open();
    }
}

/// A disk whose syncs go through a gate.
#[derive(Debug)]
struct GatedDisk {
    disk: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl GatedDisk {
    fn new(disk: &SimDisk) -> (Arc<GatedDisk>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (Arc::new(GatedDisk { disk: disk.clone(), gate: Arc::clone(&gate) }), gate)
    }

    fn gated(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(GatedFile { file, gate: Arc::clone(&self.gate) })
    }
}

impl Disk for GatedDisk {
    fn location(&self) -> String {
        self.disk.location()
    }
    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.gated(file))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name).map(|file| self.gated(file))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()?;
        self.gate.passed();
        Ok(())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn map(&self, length: u64) -> io::Result<Option<Map>> {
        self.file.map(length)
    }
}

fn threaded(durability: Durability, clock: &Arc<HandClock>) -> Options {
    options(durability, clock).background(true).sync_interval(Duration::from_secs(3600))
}

/// A store with threads of its own, behind a gate.
fn gated(disk: &SimDisk, options: Options) -> (Store, Keeper) {
    let (gated, gate) = GatedDisk::new(disk);
    let store = options.open_on(gated).unwrap();
    // The first manifest; then twice a segment and a manifest that names it, the second time by the first upkeep.
    // After that, nobody writes or syncs a file unasked.
    gate.until_passed(4);
    (store, Keeper(gate))
}

fn elsewhere(key: &str) -> Address<'_> {
    Address::new(Tenant(1), "elsewhere", key).unwrap()
}

#[test]
fn a_pending_is_a_future() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    for durability in [Durability::Durable, Durability::Buffered] {
        let store = threaded(durability, &clock).open_on(Arc::new(disk.clone())).unwrap();
        for number in 0..50_u8 {
            let stamp = block_on(store.write(|writer| writer.put(at("a"), &Put::new(&[number]))))
                .unwrap()
                .unwrap()
                .unwrap();
            let look = store
                .read(|view| view.get(at("a")))
                .map(|found, values| values.entry(&found.unwrap()).unwrap());
            let entry = block_on(look).unwrap();
            assert_eq!((entry.version, &*entry.value), (stamp.version, &[number][..]));
        }
        assert!(block_on(store.sync()).unwrap() >= 50);
        block_on(store.admission());
        store.close().unwrap();
    }
}

#[test]
fn many_threads_write_and_nothing_acknowledged_is_lost() {
    for durability in [Durability::Durable, Durability::Buffered] {
        for background in [true, false] {
            let (disk, clock) = (SimDisk::new(3), HandClock::new());
            let store = options(durability, &clock)
                .background(background)
                .sync_interval(Duration::from_millis(1))
                .open_on(Arc::new(disk.clone()))
                .unwrap();
            let newest = Mutex::new(std::collections::BTreeMap::new());
            thread::scope(|scope| {
                for number in 0..8_u64 {
                    let (store, newest) = (&store, &newest);
                    scope.spawn(move || {
                        let value = crate::support::value(number, 30_000);
                        for round in 0..40_u64 {
                            let key = format!("k{}", (number + round) % 12);
                            let value = &value[..usize::try_from(1 + round * 700).unwrap()];
                            let put = Put::new(value);
                            let stamp = if background && round % 2 == 0 {
                                block_on(store.write(|writer| writer.put(at(&key), &put)))
                                    .unwrap()
                                    .unwrap()
                                    .unwrap()
                            } else {
                                store.put(at(&key), &put).unwrap().unwrap()
                            };
                            let seen = store.get(at(&key)).unwrap().unwrap();
                            assert!(seen.version >= stamp.version, "one reads one's own writes");
                            let mut newest = newest.lock().unwrap();
                            let highest = newest.entry(key).or_insert((0, Vec::new()));
                            if stamp.version > highest.0 {
                                *highest = (stamp.version, value.to_owned());
                            }
                        }
                    });
                }
            });
            if durability == Durability::Buffered {
                store.sync().wait().unwrap();
            }
            let found = disk.crash(Survival::Nothing);
            drop(store);
            let store = open(&found, durability, &clock).unwrap();
            let newest = newest.into_inner().unwrap();
            assert_eq!(store.count(Tenant::DEFAULT, "default", "").unwrap(), newest.len() as u64);
            for (key, (version, value)) in newest {
                let entry = store.get(at(&key)).unwrap().unwrap();
                assert_eq!((entry.version, entry.value == value), (version, true), "{key}");
            }
        }
    }
}

#[test]
fn of_all_who_hold_a_version_one_wins() {
    let (disk, clock) = (SimDisk::new(3), HandClock::new());
    let store = threaded(Durability::Durable, &clock).open_on(Arc::new(disk)).unwrap();
    let mut version = store.put(at("a"), &Put::new(b"")).unwrap().unwrap().version;
    for round in 0..30 {
        let put = Put::new(b"").condition(Condition::Version(version));
        let won: Vec<u64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| store.put(at("a"), &put).unwrap())).collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap().ok())
                .map(|stamp| stamp.version)
                .collect()
        });
        assert_eq!(won.len(), 1, "round {round}");
        assert!(won[0] > version);
        version = won[0];
    }
}

#[test]
fn a_write_that_nobody_waits_for_still_gets_to_the_disk() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
    let count = gate.count();
    drop(store.write(|writer| writer.put(at("a"), &Put::new(b"1"))));
    gate.until_passed(count);
    let found = disk.crash(Survival::Nothing);
    drop(store);
    let store = open(&found, Durability::Durable, &clock).unwrap();
    assert!(store.get(at("a")).unwrap().is_some());

    // Without threads, it is the next who waits, or the close, that brings it there.
    drop(store.write(|writer| writer.put(at("b"), &Put::new(b"2"))));
    store.put(at("c"), &Put::new(b"3")).unwrap().unwrap();
    assert_eq!(
        dump(&open(&found.crash(Survival::Nothing), Durability::Durable, &clock).unwrap()).unwrap().len(),
        3
    );
}

#[test]
fn a_close_brings_everything_to_disk() {
    for durability in [Durability::Durable, Durability::Buffered] {
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let store = open(&disk, durability, &clock).unwrap();
        let other = store.clone();
        let key = format!("{durability:?}");
        let pending = store.write(|writer| writer.put(at(&key), &Put::new(b"1")).unwrap().unwrap());
        store.close().unwrap();
        assert!(pending.is_ready());
        assert!(matches!(other.get(at(&key)), Err(Error::Closed)));
        assert!(matches!(other.put(at(&key), &Put::new(b"2")), Err(Error::Closed)));
        assert!(matches!(other.sync().wait(), Err(Error::Closed)));
        pending.wait().unwrap();
        drop(other);
        let store = open(&disk.crash(Survival::Nothing), durability, &clock);
        assert!(store.unwrap().get(at(&key)).unwrap().is_some());
    }
}

#[test]
fn a_buffered_write_is_acknowledged_before_it_is_synced() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Buffered, &clock));
    gate.close();
    let stamp = store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    block_on(store.write(|writer| writer.put(at("b"), &Put::new(b"2")))).unwrap().unwrap().unwrap();
    assert!(store.read(|view| view.get(at("a"))).is_ready());
    let mut synced = store.sync();
    assert!(!synced.is_ready());
    let count = Arc::new(Count::default());
    assert!(poll_once(&mut synced, &Waker::from(Arc::clone(&count))).is_pending());
    gate.until_held();
    assert_eq!((count.0.load(Ordering::SeqCst), synced.is_ready()), (0, false));
    gate.open();
    assert_eq!(block_on(synced).unwrap(), stamp.version + 1);
    let found = disk.crash(Survival::Nothing);
    drop(store);
    assert_eq!(dump(&open(&found, Durability::Buffered, &clock).unwrap()).unwrap().len(), 2);
}

/// At level durable nothing gets out that depends on what a power cut could still take away.
#[test]
fn no_answer_reveals_what_is_not_durable() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
    for key in ["old", "replaced", "deleted", "touched"] {
        store.put(at(key), &Put::new(b"1")).unwrap().unwrap();
    }
    store.put(elsewhere("old"), &Put::new(b"1")).unwrap().unwrap();
    store.put(at("overdue"), &Put::new(b"1").expires_at(START_MS + 10)).unwrap().unwrap();
    clock.pass(10);

    gate.close();
    let mut written = store.write(|writer| {
        let new = writer.put(at("new"), &Put::new(b"2")).unwrap().unwrap();
        writer.put(at("replaced"), &Put::new(b"2")).unwrap().unwrap();
        writer.delete(at("deleted"), Condition::Always).unwrap().unwrap();
        writer.touch(at("touched"), larder_engine::Expiry::At(START_MS + 1000)).unwrap().unwrap();
        writer.put(at("overdue"), &Put::new(b"2")).unwrap().unwrap();
        new
    });
    let scan = Scan { namespace: "default", prefix: "", after: None, reverse: false, limit: 10 };
    let all = NamespaceScan { prefix: "", after: None, limit: 10 };
    let elsewhere_scan = Scan { namespace: "elsewhere", ..scan };

    let values: Vec<_> = ["new", "replaced", "deleted", "touched", "overdue"]
        .into_iter()
        .map(|key| (key, store.read(|view| view.get(at(key)).map(|found| found.version()))))
        .collect();
    let stamp = store.read(|view| view.stamp(at("touched")));
    let exists =
        store.write(|writer| writer.put(at("new"), &Put::new(b"3").condition(Condition::Absent)).unwrap());
    let absent = store
        .write(|writer| writer.put(at("deleted"), &Put::new(b"3").condition(Condition::Present)).unwrap());
    let nothing = store.write(|writer| writer.delete(at("deleted"), Condition::Always).unwrap().unwrap());
    let refused = store.write(|writer| {
        writer.transaction(|batch| {
            let seen = batch.get(at("new")).is_some();
            if seen { Err(Error::Closed) } else { Ok(()) }
        })
    });
    let count = store.read(|view| view.count(Tenant::DEFAULT, "default", "n"));
    let page = store.read(|view| view.scan(Tenant::DEFAULT, &scan).items.len());
    let namespaces = store.read(|view| view.namespaces(Tenant::DEFAULT, &all).items.len());
    assert!(values.iter().all(|(_, value)| !value.is_ready()));
    assert!(!written.is_ready() && !stamp.is_ready() && !exists.is_ready() && !absent.is_ready());
    assert!(!nothing.is_ready() && !refused.is_ready());
    assert!(!count.is_ready() && !page.is_ready() && !namespaces.is_ready());

    // What does not depend on it is told at once.
    assert_eq!(store.get(at("old")).unwrap().unwrap().value, b"1");
    assert_eq!(store.get(elsewhere("old")).unwrap().unwrap().value, b"1");
    assert!(store.get(elsewhere("none")).unwrap().is_none());
    assert_eq!(store.count(Tenant(1), "elsewhere", "").unwrap(), 1);
    assert_eq!(store.scan(Tenant(1), &elsewhere_scan).unwrap().items.len(), 1);
    let refusal = store.put(at("old"), &Put::new(b"3").condition(Condition::Absent)).unwrap();
    assert!(matches!(refusal, Err(Refusal::Exists { .. })));
    assert!(matches!(
        store.delete(elsewhere("old"), Condition::Version(1)).unwrap(),
        Err(Refusal::Version { .. })
    ));

    let waker = Waker::from(Arc::new(Count::default()));
    assert!(poll_once(&mut written, &waker).is_pending());
    gate.until_held();
    assert!(!written.is_ready() && values.iter().all(|(_, value)| !value.is_ready()));
    gate.open();
    let version = block_on(written).unwrap().version;
    for (key, value) in values {
        assert_eq!(value.wait().unwrap().is_some(), key != "deleted", "{key}");
    }
    assert_eq!(exists.wait().unwrap(), Err(Refusal::Exists { version }));
    assert_eq!(absent.wait().unwrap(), Err(Refusal::Absent));
    assert!(nothing.wait().unwrap().is_none() && refused.wait().unwrap().is_err());
    assert_eq!(stamp.wait().unwrap().unwrap().expires_at, Some(START_MS + 1000));
    assert_eq!((count.wait().unwrap(), page.wait().unwrap(), namespaces.wait().unwrap()), (1, 5, 1));
}

/// A namespace that was emptied is forgotten; an answer about it still depends on what emptied it.
#[test]
fn a_miss_in_a_forgotten_namespace_waits_for_the_delete() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
    store.put(elsewhere("only"), &Put::new(b"1")).unwrap().unwrap();
    gate.close();
    let deleted = store.write(|writer| writer.delete(elsewhere("only"), Condition::Always).unwrap().unwrap());
    let miss = store.read(|view| view.get(elsewhere("only")).is_none());
    let count = store.read(|view| view.count(Tenant(1), "elsewhere", ""));
    assert!(!miss.is_ready() && !count.is_ready());
    drop(store.write(|writer| writer.put(elsewhere("another"), &Put::new(b"2")).unwrap().unwrap()));
    let again = store.read(|view| view.get(elsewhere("only")).is_none());
    assert!(!again.is_ready());
    gate.open();
    assert!(deleted.wait().unwrap().is_some() && miss.wait().unwrap() && again.wait().unwrap());
    assert_eq!(count.wait().unwrap(), 0);
}

#[test]
fn admission_holds_back_and_opens_again() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock).pending_bytes_max(10_000));
    gate.close();
    let value = vec![1; 6000];
    let one = store.write(|writer| writer.put(at("a"), &Put::new(&value)).unwrap());
    assert!(poll_once(&mut store.admission(), Waker::noop()).is_ready());
    let two = store.write(|writer| writer.put(at("b"), &Put::new(&value)).unwrap());
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut admission = store.admission();
    for _ in 0..3 {
        assert!(poll_once(&mut admission, &Waker::from(Arc::clone(&first))).is_pending());
    }
    let mut other = store.admission();
    assert!(poll_once(&mut other, &Waker::from(Arc::clone(&second))).is_pending());
    gate.until_held();
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            let store = store.clone();
            thread::spawn(move || match number {
                0 => store.admission().wait(),
                1 => block_on(store.admission()),
                _ => drop(store.put(at("c"), &Put::new(b"3")).unwrap().unwrap()),
            })
        })
        .collect();
    assert!(poll_once(&mut admission, &Waker::from(Arc::clone(&first))).is_pending());
    let (wakes, other_wakes) = (first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst));
    assert!(wakes <= 1 && other_wakes <= 1, "woken once, however often it was polled");
    gate.open();
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
    block_on(admission);
    block_on(other);
    one.wait().unwrap().unwrap();
    two.wait().unwrap().unwrap();
}

/// Frames that were acknowledged stay in memory for a while; that must not count against a small limit for ever.
#[test]
fn the_smallest_limit_on_pending_bytes_lets_writes_through() {
    for durability in [Durability::Durable, Durability::Buffered] {
        for background in [true, false] {
            let (disk, clock) = (SimDisk::new(1), HandClock::new());
            let options = options(durability, &clock).background(background).pending_bytes_max(1);
            let store = options.open_on(Arc::new(disk)).unwrap();
            for _ in 0..20 {
                store.put(at("a"), &Put::new(&[1; 1000])).unwrap().unwrap();
                if background {
                    block_on(store.admission());
                }
            }
        }
    }
}

#[test]
fn a_close_while_others_wait_ends_well_for_all() {
    for round in 0..10 {
        let (disk, clock) = (SimDisk::new(round), HandClock::new());
        let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
        gate.close();
        let results: Vec<(String, Result<(), Error>)> = thread::scope(|scope| {
            let put = |number: usize| {
                let store = store.clone();
                let key = format!("k{number}");
                scope.spawn(move || {
                    let done = match number % 2 {
                        0 => store.put(at(&key), &Put::new(b"1")).map(drop),
                        _ => block_on(store.write(|writer| writer.put(at(&key), &Put::new(b"1")))).map(drop),
                    };
                    (key, done)
                })
            };
            let mut threads: Vec<_> = (0..4).map(put).collect();
            gate.until_held();
            let closing = store.clone();
            let closed = scope.spawn(move || closing.close());
            threads.extend((4..8).map(put));
            gate.open();
            let results = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            closed.join().unwrap().unwrap();
            results
        });
        let found = disk.crash(Survival::Nothing);
        drop(store);
        let store = open(&found, Durability::Durable, &clock).unwrap();
        assert!(store.report().clean);
        let mut held = 0;
        for (key, done) in results {
            match done {
                Ok(()) => {
                    held += 1;
                    assert!(store.get(at(&key)).unwrap().is_some(), "{key}");
                }
                Err(error) => {
                    assert!(matches!(error, Error::Closed), "{key}: {error}");
                    assert!(store.get(at(&key)).unwrap().is_none(), "{key}");
                }
            }
        }
        assert!(held > 0);
    }
}

/// A failure takes back what was not acknowledged; nobody sees it before, during or after that, and nobody who reads
/// is told of the failure.
#[test]
fn readers_see_the_acknowledged_state_while_the_log_fails() {
    for round in 0..100 {
        let (disk, clock) = (SimDisk::new(round), HandClock::new());
        let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
        store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
        gate.close();
        let doubtful = store.write(|writer| {
            writer.put(at("a"), &Put::new(b"2")).unwrap().unwrap();
            writer.put(at("b"), &Put::new(b"2")).unwrap().unwrap();
        });
        let kind = if round % 2 == 0 { OpKind::Write } else { OpKind::Sync };
        disk.fail_next(kind, Fault::Eio);
        thread::scope(|scope| {
            for number in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert_eq!(store.get(at("a")).unwrap().unwrap().value, b"1");
                        assert!(store.get(at("b")).unwrap().is_none());
                        if number == 0 {
                            assert_eq!(store.count(Tenant::DEFAULT, "default", "").unwrap(), 1);
                        }
                    }
                });
            }
            scope.spawn(|| assert!(matches!(block_on(doubtful), Err(Error::InDoubt { .. }))));
            gate.open();
        });
        assert!(matches!(store.put(at("a"), &Put::new(b"3")), Err(Error::Failed { .. })));
        block_on(store.admission());
        store.close().unwrap_err();
    }
}

/// Whoever learns of a failure finds the state gone back: while it cannot go back, nobody learns of it.
#[test]
fn a_failure_is_known_only_once_its_changes_are_taken_back() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let (store, gate) = gated(&disk, threaded(Durability::Durable, &clock));
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    gate.close();
    let mut doubtful = store.write(|writer| writer.put(at("a"), &Put::new(b"2")).unwrap().unwrap());
    assert!(poll_once(&mut doubtful, Waker::noop()).is_pending());
    gate.until_held();
    disk.fail_next(OpKind::Sync, Fault::Eio);
    // A look holds on to the state while the sync fails.
    let seen = store.read(|view| {
        gate.open();
        for _ in 0..2000 {
            assert!(poll_once(&mut doubtful, Waker::noop()).is_pending());
            thread::yield_now();
        }
        view.get(at("a")).map(|found| found.version())
    });
    assert!(matches!(block_on(doubtful), Err(Error::InDoubt { .. })));
    assert!(matches!(seen.wait(), Err(Error::Failed { .. })));
    assert_eq!(store.get(at("a")).unwrap().unwrap().value, b"1");
}

/// At level buffered a power cut costs one interval, whether or not there is room for the next segment.
#[test]
fn buffered_writes_are_synced_on_a_full_disk_too() {
    let clock = HandClock::new();
    let disk = SimDisk::new(1);
    // Room for what an open needs, but not for a second segment.
    disk.set_capacity((1 << 20) + RESERVE_BYTES + 20 * 4096);
    let (gated, gate) = GatedDisk::new(&disk);
    let options =
        options(Durability::Buffered, &clock).background(true).sync_interval(Duration::from_millis(1));
    let store = options.open_on(gated).unwrap();
    let count = gate.count();
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    gate.until_passed(count);
    let found = disk.crash(Survival::Nothing);
    drop(store);
    found.set_capacity(1 << 30);
    assert!(open(&found, Durability::Buffered, &clock).unwrap().get(at("a")).unwrap().is_some());
}

/// Time that a test moves from other threads.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn wall_ms(&self) -> u64 {
        START_MS
    }
    fn boot_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// One look is at one instant: what is counted, listed and found agrees, however time passes meanwhile.
#[test]
fn one_look_is_at_one_instant() {
    let disk = SimDisk::new(1);
    let options = Options::new().background(false).segment_bytes(1 << 20).clock(Arc::new(Ticking::default()));
    let store = options.open_on(Arc::new(disk)).unwrap();
    store
        .write(|writer| {
            for number in 0..200_u64 {
                let deadline = writer.now_ms() + 1 + number;
                writer
                    .put(at(&format!("k{number:03}")), &Put::new(b"1").expires_at(deadline))
                    .unwrap()
                    .unwrap();
            }
        })
        .wait()
        .unwrap();
    let scan = Scan { namespace: "default", prefix: "", after: None, reverse: false, limit: usize::MAX };
    let mut before = u64::MAX;
    while before > 0 {
        let look = store.read(|view| {
            let count = view.count(Tenant::DEFAULT, "default", "");
            let page = view.scan(Tenant::DEFAULT, &scan);
            assert_eq!(page.items.len() as u64, count);
            for (key, found) in &page.items {
                assert_eq!(view.get(at(key)).map(|found| found.version()), Some(found.version()));
            }
            count
        });
        let count = look.wait().unwrap();
        assert!(count < before, "time passes");
        before = count;
    }
}

/// A waker that holds a handle of the store, and drops it when woken.
struct Owner {
    store: Mutex<Option<Store>>,
    dropped: mpsc::Sender<()>,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        drop(self.store.lock().unwrap().take());
        self.dropped.send(()).unwrap();
    }
}

/// A waker runs on the thread that moves the mark. It may be the last to let go of the store, with other writes still
/// to be brought to disk: that closes the store, and neither waits for itself nor for what its own thread is at.
#[test]
fn a_waker_may_drop_the_last_handle() {
    for fails in [false, true] {
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let (gated, gate) = GatedDisk::new(&disk);
        let store = options(Durability::Durable, &clock).background(true).open_on(gated).unwrap();
        // The spare segment is there, and so nothing but the log's thread syncs.
        gate.until_passed(4);
        gate.close();
        let gate = Keeper(gate);
        let (dropped, done) = mpsc::channel();
        let owner = Arc::new(Owner { store: Mutex::new(Some(store.clone())), dropped });
        let waker = Waker::from(owner);
        let mut first = store.write(|writer| writer.put(at("a"), &Put::new(b"1")).unwrap().unwrap());
        assert!(poll_once(&mut first, &waker).is_pending());
        gate.until_held();
        let second = store.write(|writer| writer.put(at("b"), &Put::new(b"2")).unwrap().unwrap());
        drop(store);
        if fails {
            disk.fail_next(OpKind::Sync, Fault::Eio);
        }
        gate.open();
        done.recv_timeout(WATCHDOG).expect("the store is closed");
        let outcome = poll_once(&mut first, Waker::noop());
        assert!(matches!(outcome, Poll::Ready(result) if result.is_err() == fails));
        drop((first, second));
        let found = open(&disk, Durability::Durable, &clock).unwrap();
        assert_eq!(found.report().clean, !fails);
        if !fails {
            assert_eq!(dump(&found).unwrap().len(), 2);
        }
    }
}

/// A waker that closes the store.
struct Closer(Mutex<Option<Store>>);

impl Wake for Closer {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().take().unwrap().close().unwrap();
    }
}

/// Compaction and backups bring the log to disk while they keep each other, and a close, from changing the segments. Who
/// gets due by that is woken when they have let go.
#[test]
fn a_waker_may_close_the_store_during_a_compaction_or_a_backup() {
    let compact = |store: &Store| store.compact().map(drop);
    let backup = |store: &Store| {
        let target: Arc<dyn Disk> = Arc::new(SimDisk::new(2));
        store.backup_on(&target, |_| ()).map(drop)
    };
    for work in [compact, Store::compact_as_needed, backup] as [fn(&Store) -> _; 3] {
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let options = options(Durability::Durable, &clock).segment_bytes(4096);
        let store = options.open_on(Arc::new(disk.clone())).unwrap();
        for round in 0..20 {
            store.put(at("a"), &Put::new(&[round; 1000])).unwrap().unwrap();
        }
        let mut pending = store.write(|writer| writer.put(at("b"), &Put::new(b"1")).unwrap().unwrap());
        let waker = Waker::from(Arc::new(Closer(Mutex::new(Some(store.clone())))));
        assert!(poll_once(&mut pending, &waker).is_pending());
        let (done, ended) = mpsc::channel();
        let worker = store.clone();
        thread::spawn(move || done.send(work(&worker)).unwrap());
        ended.recv_timeout(WATCHDOG).expect("it ends").unwrap();
        assert!(matches!(store.get(at("a")), Err(Error::Closed)));
        pending.wait().unwrap();
        let found = open(&disk, Durability::Durable, &clock).unwrap();
        assert!(found.report().clean && found.get(at("b")).unwrap().is_some());
    }
}

/// A closed store has let go of its directory: whatever handles are left, it changes nothing there any more.
#[test]
fn a_closed_store_leaves_the_disk_to_the_next_owner() {
    for fails in [false, true] {
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let small = || options(Durability::Durable, &clock).segment_bytes(4096);
        let store = small().open_on(Arc::new(disk.clone())).unwrap();
        for round in 0..20 {
            store.put(at("a"), &Put::new(&[round; 1000])).unwrap().unwrap();
        }
        let other = store.clone();
        if fails {
            disk.fail_next(OpKind::Sync, Fault::Eio);
            assert!(store.put(at("a"), &Put::new(b"1")).is_err());
        }
        assert_eq!(store.close().is_err(), fails);
        let next = small().open_on(Arc::new(disk.clone())).unwrap();
        let operations = disk.op_count();
        assert!(matches!(other.compact(), Err(Error::Closed)));
        assert!(matches!(other.compact_as_needed(), Err(Error::Closed)));
        let target: Arc<dyn Disk> = Arc::new(SimDisk::new(2));
        assert!(matches!(other.backup_on(&target, |_| ()), Err(Error::Closed)));
        other.admission().wait();
        assert!(matches!(other.put(at("a"), &Put::new(b"2")), Err(Error::Closed)));
        drop(other);
        assert_eq!(disk.op_count(), operations, "nothing was changed: {:?}", disk.trace());
        next.close().unwrap();
    }
}

/// However many have found a record that is not in the file yet, there is one copy of it; and none is needed after the wait.
#[test]
fn what_is_pending_is_copied_once_for_all() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durability::Durable, &clock).unwrap();
    let value = vec![b'7'; 100_000];
    let put = store.write(|writer| writer.put(at("k"), &Put::new(&value)));
    let find = || {
        store.read(|view| view.get(at("k"))).map(|found, values| {
            let found = found.unwrap();
            let place = values.value(&found, &mut Vec::new()).unwrap().as_ptr();
            (found, values.clone(), place)
        })
    };
    let (first, second) = (find(), find());
    assert!(!first.is_ready() && !second.is_ready());
    put.wait().unwrap().unwrap().unwrap();
    let ((mut found, values, place), (_, _, other)) = (first.wait().unwrap(), second.wait().unwrap());
    assert_eq!(place, other);
    found.release();
    assert_eq!(values.value(&found, &mut Vec::new()).unwrap(), value);
}
