//! After a crash: opening what it left, and holding it against what was promised.

use crate::support::{Contents, assert_same, dump, options};
use crate::workload::{Run, Step, delete, put, put_for};
use larder_engine::disk::Disk;
use larder_engine::disk::sim::{Fault, SimDisk, Survival, When};
use larder_engine::log::frame::{Frame, HEADER_BYTES as FRAME_HEADER_BYTES, Verify};
use larder_engine::log::header::{Footer, HEADER_BYTES as SEGMENT_HEADER_BYTES, SegmentKind};
use larder_engine::log::manifest::{MANIFEST_FILE, Manifest};
use larder_engine::log::record::Kind;
use larder_engine::{Durability, Error, restore_on};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The times at which an operation is cut.
pub(crate) const TIMES: [When; 3] = [When::Before, When::During, When::After];

/// How many seeds tests go through, for one of a short run: more in the longer tier.
pub(crate) fn seeds(short: u64) -> u64 {
    let is_long = std::env::var_os("LARDER_LONG_TESTS").is_some();
    if is_long { short * 25 } else { short }
}

/// Recoveries of all tests of this process.
static RECOVERIES: AtomicU64 = AtomicU64::new(0);

/// Counts a test's recoveries, and tells how many there were in the end, past the capture of what tests print.
pub(crate) struct Tally {
    what: String,
    recoveries: u64,
}

impl Tally {
    /// Of the test that `what` names, with its seeds.
    pub(crate) fn of(what: impl Into<String>) -> Tally {
        Tally { what: what.into(), recoveries: 0 }
    }

    /// So many recoveries more.
    pub(crate) fn count(&mut self, recoveries: u64) {
        self.recoveries += recoveries;
    }

    /// Opens what a crash left, and settles on the state that it is in: at least the one that nothing may take away.
    pub(crate) fn look(&mut self, crashed: &Run, disk: &SimDisk, context: &str) -> Run {
        let mut run = crashed.goes_on(disk, crashed.history.last());
        run.open().unwrap_or_else(|error| panic!("{context}: {error}"));
        self.recoveries += 1;
        assert_eq!(run.store().report().set_aside, [""; 0], "{context}: every file is accounted for");
        run.state(crashed.history.floor, context);
        let (found, now_ms) = (dump(run.store()).unwrap(), run.now_ms());
        // Of several states that look the same, the one that takes the least for granted.
        let index = run.history.find_oldest(&found, crashed.history.floor, now_ms).unwrap();
        run.history.settle_on(index);
        check_feed(&run, context);
        check_expired(&run, context);
        run
    }

    /// Cuts the power once more. Nothing may come of that.
    fn again(&mut self, run: Run, survival: Survival, context: &str) -> Run {
        let disk = run.disk.kill().crash(survival);
        let again = self.look(&run, &disk, context);
        assert_eq!(again.history.last(), run.history.last(), "{context}");
        again
    }

    /// Opens what a crash left, again and again, and goes on from there: writes, compacts, closes. `turn` is what varies.
    pub(crate) fn follow(&mut self, crashed: &Run, disk: &SimDisk, turn: u64, context: &str) {
        self.check_backups(crashed, disk, context);
        let survival = |number: u64| Survival::ALL[usize::try_from((turn + number) % 4).unwrap()];
        let run = self.look(crashed, disk, context);
        // What was once told must last, whatever happens next, and opening alone changes nothing.
        let run = self.again(run, Survival::Nothing, &format!("{context}: second open"));
        let mut run = self.again(run, survival(0), &format!("{context}: third open"));

        // A wrong account of what there is would show in the next job, or in the one after it.
        let steps = after(turn);
        steps.iter().for_each(|step| run.step(step).unwrap_or_else(|error| panic!("{context}: {error}")));
        assert_newest(&run, context);
        let mut run = self.again(run, survival(1), &format!("{context}: fourth open"));
        assert_eq!(run.store().report().cut_bytes, 0, "{context}: a synced log has no loose end");
        compact_all(&mut run, context);
        run.close().unwrap_or_else(|error| panic!("{context}: close: {error}"));

        let mut run = self.again(run, survival(2), &format!("{context}: fifth open"));
        assert!(run.store().report().clean, "{context}");
        compact_all(&mut run, context);
    }

    /// Each backup that was begun is whole, and holds exactly its state, or is known not to be a backup.
    pub(crate) fn check_backups(&mut self, crashed: &Run, disk: &SimDisk, context: &str) {
        for (name, index, is_reported) in &crashed.history.backups {
            let (backup, target) = (disk.directory(name), disk.directory(&format!("restored-{name}")));
            let context = format!("{context}: backup {name}");
            match restore_on(&shared(&backup), &shared(&target), |_| ()) {
                Ok(_) => {
                    let found = restored(crashed, &target, &context);
                    self.recoveries += 1;
                    assert_same(&found, &crashed.history.states[*index].live(crashed.now_ms()), &context);
                }
                Err(Error::NotABackup { .. }) if !is_reported => {}
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }

    /// Runs `check` on what may be found after the crash of `run`: nothing of what was not synced, all of it, a prefix,
    /// and so many random parts.
    pub(crate) fn survivors(
        &mut self,
        run: &Run,
        randoms: usize,
        mut check: impl FnMut(&mut Tally, &SimDisk, u64, &str),
    ) {
        let policies = [Survival::Nothing, Survival::Everything, Survival::Prefix];
        let policies = policies.into_iter().chain(std::iter::repeat_n(Survival::Random, randoms));
        for (number, policy) in (0..).zip(policies) {
            check(self, &run.disk.crash(policy), number, &format!("{policy:?} {number}"));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let all = RECOVERIES.fetch_add(self.recoveries, Ordering::Relaxed) + self.recoveries;
        let line = format!("{}: {} recoveries; {all} so far\n", self.what, self.recoveries);
        // As a whole, among what others print. It is no reason to fail if nobody can be told.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// What a store goes through after a crash: changes to what it may hold, and one of the two kinds of compaction.
fn after(turn: u64) -> Vec<Step> {
    const KEYS: [&str; 6] = ["a", "b", "c", "t", "x", "z"];
    let key = |number: u64| KEYS[usize::try_from((turn + number) % 6).unwrap()];
    let first = if turn.is_multiple_of(2) { Step::Tidy } else { Step::Compact };
    let change = [put("probe", 5), delete(key(0)), put_for(key(2), 700, 300)];
    let expire =
        [Step::Expire, Step::Tidy, Step::Pass(turn % 3 * 150), delete(key(1)), Step::Expire, Step::Sync];
    [first].into_iter().chain(change).chain(expire).collect()
}

#[track_caller]
fn assert_newest(run: &Run, context: &str) {
    let last = run.history.last();
    assert_eq!(run.state(last, context), last, "{context}");
}

/// Every version above the feed floor is in the log as it was written: the change feed may go on from there.
fn check_feed(run: &Run, context: &str) {
    let manifest = Manifest::decode(&run.disk.read_file(MANIFEST_FILE).unwrap()).unwrap();
    let ranges: Vec<_> = manifest
        .sealed
        .iter()
        .filter(|sealed| sealed.kind == SegmentKind::Log)
        .map(|sealed| {
            let bytes = run.disk.read_file(&format!("{:010}.seg", sealed.segment)).unwrap();
            let footer = &bytes[usize::try_from(sealed.end).unwrap()..];
            let footer = Footer::decode(footer, sealed.salt(), sealed.end).unwrap();
            footer.lowest_sequence..=footer.highest_sequence
        })
        .collect();
    for (_, version) in run.history.written.keys().filter(|(_, version)| *version > manifest.feed_floor) {
        let is_there = ranges.iter().any(|range| range.contains(version));
        assert!(is_there, "{context}: {version} is above the feed floor {}", manifest.feed_floor);
    }
}

/// Each life of an entry ends once, and by an expire record only when it was due.
fn check_expired(run: &Run, context: &str) {
    let manifest = Manifest::decode(&run.disk.read_file(MANIFEST_FILE).unwrap()).unwrap();
    let mut ended = BTreeSet::new();
    for sealed in &manifest.sealed {
        let bytes = run.disk.read_file(&format!("{:010}.seg", sealed.segment)).unwrap();
        let mut rest = &bytes[SEGMENT_HEADER_BYTES..usize::try_from(sealed.end).unwrap()];
        while !rest.is_empty() {
            let position = u32::try_from(usize::try_from(sealed.end).unwrap() - rest.len()).unwrap();
            let frame = Frame::decode(rest, sealed.salt(), position, sealed.kind, Verify::Heads).unwrap();
            for (_, record) in frame.records(sealed.salt(), Verify::Heads).map(Result::unwrap) {
                let is_due = record.kind != Kind::Expire || record.deadline <= record.updated_at;
                assert!(is_due, "{context}: {} expired early: {record:?}", record.key);
                let life = (record.namespace.to_owned(), record.key.to_owned(), record.creation);
                let is_first = record.kind == Kind::Put || ended.insert(life);
                assert!(is_first, "{context}: {} ended twice: {record:?}", record.key);
            }
            let payload = usize::try_from(frame.header.payload_bytes).unwrap();
            rest = &rest[FRAME_HEADER_BYTES + payload..];
        }
    }
}

/// With nothing retained, nothing dead is left after all was compacted.
fn compact_all(run: &mut Run, context: &str) {
    run.step(&Step::Compact).unwrap_or_else(|error| panic!("{context}: {error}"));
    let stats = run.store().stats();
    let dead: u64 = stats.segments.iter().map(|segment| segment.dead_bytes).sum();
    assert_eq!((dead, stats.tombstones), (0, 0), "{context}: {stats:?}");
    assert_newest(run, context);
}

fn restored(crashed: &Run, target: &SimDisk, context: &str) -> Contents {
    let options = options(crashed.durability, &crashed.clock).create(false);
    let store = options.open_on(shared(target)).unwrap_or_else(|error| panic!("{context}: {error}"));
    dump(&store).unwrap_or_else(|error| panic!("{context}: {error}"))
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// How many operations the workload takes without a crash.
pub(crate) fn operations(seed: u64, durability: Durability, steps: &[Step]) -> u64 {
    let disk = SimDisk::new(seed);
    let mut run = Run::new(&disk, durability);
    run.all(steps).unwrap();
    run.state(run.history.last(), "without a crash");
    run.close().unwrap();
    disk.op_count()
}

/// Runs the workload with the power cut at operation `number`.
pub(crate) fn cut(seed: u64, durability: Durability, steps: &[Step], number: u64, when: When) -> Run {
    let disk = SimDisk::new(seed);
    disk.fail_at(number, Fault::Crash(when));
    let mut run = Run::new(&disk, durability);
    let ended = run.all(steps).and_then(|()| run.close());
    assert!(ended.is_err() || disk.is_crashed(), "operation {number} is part of the workload");
    run.store = None;
    run
}
