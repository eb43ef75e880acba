//! Salvage: what is intact is there again, exactly; what is not is told; nothing older comes back unsaid.

use crate::damage::{MANIFEST, segment, small_log, three_segments};
use crate::support::{Chance, Contents, HandClock, Place, at, brief, dump, open, options, place, value};
use crate::verify::examine;
use crate::workload::{Run, delete, put, random};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::{
    Damage, Error, Event, LostEntry, Put, SalvageOptions, SalvageReport, Store, salvage, salvage_on, verify,
};
use std::sync::Arc;

/// A salvage, and what it told.
struct Outcome {
    report: SalvageReport,
    damage: Vec<Damage>,
    lost: Vec<LostEntry>,
    disk: SimDisk,
}

impl Outcome {
    fn open(&self, clock: &Arc<HandClock>) -> Store {
        open(&self.disk, Durable, clock).unwrap()
    }

    fn contents(&self) -> Contents {
        dump(&self.open(&HandClock::new())).unwrap()
    }

    /// Whether a version is among those of which it is told that they are missing.
    fn is_missing(&self, version: u64) -> bool {
        let versions = self.damage.iter().filter_map(|damage| damage.versions);
        versions
            .into_iter()
            .any(|range| version >= range.first && range.last.is_none_or(|last| version <= last))
    }

    fn is_lost(&self, at: &Place, version: u64) -> bool {
        self.lost.iter().any(|lost| {
            let entry = &lost.entry;
            (entry.tenant, &entry.namespace, &entry.key, entry.version) == (at.0, &at.1, &at.2, version)
        })
    }
}

fn salvaged_with(disk: &SimDisk, options: &SalvageOptions) -> Outcome {
    let (operations, to) = (disk.op_count(), SimDisk::new(99));
    let (mut damage, mut lost) = (Vec::new(), Vec::new());
    let report = salvage_on(disk, &to, options, &mut |event| match event {
        Event::Damage(told) => damage.push(told.clone()),
        Event::Lost(told) => lost.push(told.clone()),
        Event::Progress { .. } => {}
    })
    .unwrap();
    assert_eq!(disk.op_count(), operations, "the old store is as it was");
    assert_eq!((report.damaged, report.lost + report.older), (damage.len() as u64, lost.len() as u64));
    // It is durable, whole and no other's.
    let disk = to.crash(Survival::Nothing);
    let (verified, told) = examine(&disk);
    assert_eq!((told, verified.puts), (Vec::new(), report.saved));
    Outcome { report, damage, lost, disk }
}

fn salvaged(disk: &SimDisk) -> Outcome {
    salvaged_with(disk, &SalvageOptions::new().segment_bytes(0))
}

/// Checks a salvage of the log of `run`, which was in the state numbered `index` as far as it was not damaged.
#[track_caller]
fn check(outcome: &Outcome, run: &Run, index: usize, context: &str) {
    let found = dump(&outcome.open(&run.clock)).unwrap();
    let expected = run.history.states[index].live(run.now_ms());
    let lists = || format!("{context}\n{:#?}\n{:#?}\n{:#?}", outcome.damage, brief(&found), brief(&expected));
    for (place, entry) in &found {
        assert_eq!(
            run.history.written.get(&(place.clone(), entry.version)),
            Some(entry),
            "never was there: {}",
            lists()
        );
        match expected.get(place) {
            Some(newest) if newest == entry => {}
            Some(newest) => assert!(outcome.is_missing(newest.version), "an old version: {}", lists()),
            None => assert!(outcome.report.gaps > 0, "came back: {}", lists()),
        }
    }
    for (place, entry) in &expected {
        let is_told = outcome.is_missing(entry.version) || outcome.is_lost(place, entry.version);
        assert!(found.contains_key(place) || is_told, "{place:?} is gone unsaid: {}", lists());
    }
    if outcome.report.is_complete() {
        assert!(found == expected, "{}", lists());
    }
    let stale = found.iter().filter(|(place, entry)| expected.get(*place) != Some(entry)).count() as u64;
    assert!(stale <= outcome.report.doubtful, "{}", lists());
    let stamp = outcome.open(&run.clock).put(at("new"), &Put::new(b"1")).unwrap().unwrap();
    assert!(stamp.version > run.history.assigned.max(outcome.report.version), "{context}");
}

#[test]
fn an_intact_store_is_copied_exactly() {
    for seed in 0..30 {
        let disk = SimDisk::new(seed);
        let mut run = Run::new(&disk, if seed % 2 == 0 { Durable } else { Buffered });
        run.all(&random(seed, 30)).unwrap();
        let now_ms = run.now_ms();
        let expected = run.history.states[run.history.last()].live(now_ms);
        if seed % 3 == 0 {
            run.close().unwrap();
        }
        let killed = disk.kill();
        drop(run.store.take());
        let outcome = salvaged(&killed);
        assert!(
            outcome.report.is_complete() && outcome.damage.is_empty(),
            "seed {seed}: {:?}",
            outcome.report
        );
        let store = open(&outcome.disk, Durable, &run.clock).unwrap();
        let found = dump(&store).unwrap();
        assert!(found == expected, "seed {seed}\n{:#?}\n{:#?}", brief(&found), brief(&expected));
        let stamp = store.put(at("new"), &Put::new(b"1")).unwrap().unwrap();
        assert!(stamp.version > run.history.assigned, "seed {seed}");
    }
}

/// One flipped bit costs one record at most, and that one is told.
#[test]
fn any_bit_flipped() {
    for close in [true, false] {
        let mut log = small_log(Durable, 0);
        let disk = if close {
            log.run.close().unwrap();
            log.disk.clone()
        } else {
            log.killed()
        };
        for file in [segment(1), MANIFEST.to_owned()] {
            let length = disk.read_file(&file).unwrap().len() as u64;
            // Each byte, with each of its bits in turn: all bits take eight times as long, and find nothing more.
            for offset in 0..length {
                let bit = u32::try_from(offset % 8).unwrap();
                let context = format!("{file}, byte {offset}, bit {bit}, closed: {close}");
                let bad = disk.crash(Survival::Nothing);
                bad.flip_bit(&file, offset, bit).unwrap();
                let outcome = salvaged(&bad);
                // The last frame of an open log looks interrupted.
                let is_cut = !close && file == segment(1) && (log.ends[4]..log.ends[5]).contains(&offset);
                check(&outcome, &log.run, if is_cut { 5 } else { 6 }, &context);
                let ranges = outcome.damage.iter().filter_map(|damage| damage.versions);
                let missing: u64 = ranges.map(|range| range.last.unwrap() - range.first + 1).sum();
                let rotten = outcome.damage.iter().filter(|damage| damage.record.is_some()).count() as u64;
                assert!(missing + rotten <= 1, "{context}: {:#?}", outcome.damage);
                assert!(outcome.report.lost <= rotten, "{context}");
            }
        }
    }
}

/// What a salvage writes is a compacted segment: its records stand in any order, and so it is only known how many are
/// missing, and between which versions.
#[test]
fn any_bit_flipped_in_a_compacted_segment() {
    let mut log = small_log(Durable, 0);
    log.run.step(&put("d", 40)).unwrap();
    log.run.close().unwrap();
    let disk = salvaged(&log.disk).disk;
    let length = disk.read_file(&segment(1)).unwrap().len() as u64;
    for offset in 0..length {
        let context = format!("byte {offset}");
        let bad = disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, u32::try_from(offset % 8).unwrap()).unwrap();
        let outcome = salvaged(&bad);
        assert!(!outcome.damage.is_empty(), "{context}");
        check(&outcome, &log.run, 7, &context);
        assert!(outcome.report.saved >= 2, "{context}");
        let opened = open(&bad, Durable, &log.run.clock).and_then(|store| dump(&store));
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{context}");
    }
}

#[test]
fn a_segment_cut_at_any_byte() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let bytes = log.disk.read_file(&segment(1)).unwrap();
    for length in 0..bytes.len() {
        let bad = log.disk.crash(Survival::Nothing);
        bad.write_file(&segment(1), &bytes[..length]);
        check(&salvaged(&bad), &log.run, 6, &format!("{length} bytes"));
    }
}

/// Does a few kinds of harm to a store's files, by chance.
pub(crate) fn damage(disk: &SimDisk, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        let names: Vec<String> = disk
            .file_names()
            .into_iter()
            .filter(|name| *name == *MANIFEST || name.ends_with(".seg"))
            .collect();
        let Some(name) = names.get(usize::try_from(chance.below(names.len().max(1) as u64)).unwrap()) else {
            return;
        };
        let mut bytes = disk.read_file(name).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1);
        let from = usize::try_from(chance.below(used)).unwrap();
        let to = bytes.len().min(from + usize::try_from(chance.below(2000)).unwrap());
        match chance.below(12) {
            0 => bytes.truncate(from),
            1..=3 => bytes[from..to].fill(0),
            4..=5 => bytes[from..to].copy_from_slice(&value(chance.next(), to - from)),
            6 => {
                disk.remove_file(name).unwrap();
                continue;
            }
            _ if bytes.is_empty() => {}
            _ => bytes[from] ^= 1 << chance.below(8),
        }
        disk.write_file(name, &bytes);
    }
}

#[test]
fn damage_by_chance() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        // Nothing is cut off at this level: what was answered was durable.
        let mut run = Run::new(&disk, Durable);
        run.all(&random(seed, 25)).unwrap();
        run.close().unwrap();
        for part in 0..6 {
            let bad = disk.crash(Survival::Everything);
            let mut chance = Chance::new(seed * 100 + part);
            damage(&bad, &mut chance);
            let context = format!("seed {seed}, part {part}");
            if bad.file_names().iter().all(|name| *name != *MANIFEST && !name.ends_with(".seg")) {
                continue;
            }
            let outcome = salvaged(&bad);
            if outcome.report.has_manifest {
                check(&outcome, &run, run.history.last(), &context);
            }
        }
    }
}

#[test]
fn an_older_version_is_kept_only_where_that_is_asked_for() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    // The newest version of "a" rots: 1, 3 and 6 are its versions.
    log.disk.flip_bit(&segment(1), log.bodies[5], 0).unwrap();
    let outcome = salvaged(&log.disk);
    assert_eq!(outcome.contents().into_keys().collect::<Vec<_>>(), [place("c")]);
    assert!(outcome.is_lost(&place("a"), 6) && outcome.lost[0].kept.is_none());
    assert_eq!((outcome.report.lost, outcome.report.gaps, outcome.report.doubtful), (1, 0, 0));
    let outcome = salvaged_with(&log.disk, &SalvageOptions::new().keep_older(true));
    let a = &outcome.contents()[&place("a")];
    assert_eq!((a.version, outcome.lost[0].kept, a.creation), (3, Some(3), 1));
    assert_eq!((outcome.report.lost, outcome.report.older), (0, 1));
    assert!(!outcome.report.is_complete());
    // What was deleted stays deleted: "bb" was put as version 2, and that put rots too.
    log.disk.flip_bit(&segment(1), log.bodies[1], 0).unwrap();
    let outcome = salvaged_with(&log.disk, &SalvageOptions::new().keep_older(true));
    assert!(!outcome.contents().contains_key(&place("bb")) && outcome.lost.len() == 1);
}

#[test]
fn a_delete_that_cannot_be_read_is_told_as_doubt() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    log.disk.flip_bit(&segment(1), log.ends[2] + 60, 0).unwrap();
    let outcome = salvaged(&log.disk);
    assert!(outcome.contents().contains_key(&place("bb")), "nobody can know that it was deleted");
    assert!(outcome.is_missing(4) && !outcome.report.is_complete());
    assert_eq!(outcome.report.doubtful, 1, "only what is older than the version that is missing");
}

#[test]
fn without_a_manifest_or_a_segment() {
    let (disk, run) = three_segments(1);
    let bad = disk.crash(Survival::Nothing);
    bad.remove_file(MANIFEST).unwrap();
    let outcome = salvaged(&bad);
    assert!(!outcome.report.is_complete(), "nobody knows whether that is all");
    check(&outcome, &run, 3, "no manifest");
    assert_eq!(outcome.report.saved, 3);
    for id in 1..=3 {
        let bad = disk.crash(Survival::Nothing);
        bad.remove_file(&segment(id)).unwrap();
        let outcome = salvaged(&bad);
        assert_eq!(outcome.report.saved, 2);
        assert!(outcome.damage.len() == 1 && !outcome.report.is_complete(), "{id}");
        check(&outcome, &run, 3, "a segment is missing");
    }
}

#[test]
fn the_new_directory_must_be_empty_and_is_left_empty_by_a_failure() {
    let (disk, run) = three_segments(1);
    let (ignore, options) = (&mut |_: Event<'_>| {}, SalvageOptions::new());
    let to = SimDisk::new(2);
    to.write_file("notes.txt", b"mine");
    let refused = salvage_on(&disk, &to, &options, ignore);
    assert!(matches!(refused, Err(Error::NotEmpty { found, .. }) if found == "notes.txt"));
    assert!(matches!(
        salvage_on(&disk, &disk, &options, ignore),
        Err(Error::InUse { .. } | Error::NotEmpty { .. })
    ));
    let to = SimDisk::new(2);
    to.set_capacity(1 << 20);
    assert!(matches!(salvage_on(&disk, &to, &options, ignore), Err(Error::NoSpace { .. })));
    assert_eq!(to.file_names(), [""; 0]);
    for number in 0.. {
        let to = SimDisk::new(number);
        to.fail_at(number, Fault::Eio);
        match salvage_on(&disk, &to, &options, ignore) {
            Err(Error::Io { .. }) => assert_eq!(to.file_names(), [""; 0], "operation {number}"),
            Err(error) => panic!("operation {number}: {error}"),
            Ok(_) => break,
        }
    }
    let store = open(&disk, Durable, &run.clock).unwrap();
    assert!(matches!(salvage_on(&disk, &to, &options, ignore), Err(Error::InUse { .. })));
    drop(store);
}

/// A lost put that was overwritten or deleted later is no loss.
#[test]
fn what_was_overwritten_is_not_missed() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    disk.keep_trace();
    run.all(&[put("a", 100), put("b", 100), put("a", 50), delete("b")]).unwrap();
    run.close().unwrap();
    let file = disk.read_file(&segment(1)).unwrap();
    let writes: Vec<u64> = disk
        .trace()
        .into_iter()
        .filter(|op| op.kind == OpKind::Write && *op.name == *segment(1))
        .map(|op| op.offset + op.length)
        .filter(|end| *end > 64 && *end < file.len() as u64)
        .collect();
    for end in &writes[..2] {
        disk.flip_bit(&segment(1), end - 1, 0).unwrap();
    }
    let outcome = salvaged(&disk);
    assert_eq!((outcome.damage.len(), outcome.lost.len()), (2, 0));
    assert!(outcome.report.is_complete());
    check(&outcome, &run, 4, "overwritten");
}

/// The same on the real disk, into a directory that does not exist yet, with a loss.
#[test]
fn a_real_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("store"), directory.path().join("deep").join("new"));
    let clock = HandClock::new();
    let store = options(Durable, &clock).open(&from).unwrap();
    for key in ["a", "b", "c"] {
        store.put(at(key), &Put::new(&value(1, 900_000))).unwrap().unwrap();
    }
    let mut expected = dump(&store).unwrap();
    store.close().unwrap();
    let file = from.join(segment(1));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut lost = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Lost(entry) = event {
            lost.push(entry.to_string());
        }
    };
    let options = SalvageOptions::new().segment_bytes(1 << 20);
    let report = salvage(&from, &to, &options, &mut watch).unwrap();
    assert_eq!(lost, [r#"lost: namespace "default", key "a", version 1"#]);
    assert_eq!((report.saved, report.lost), (2, 1));
    assert!(verify(&to, &mut |_| {}).unwrap().is_intact());
    expected.remove(&place("a"));
    let store = crate::support::options(Durable, &clock).open(&to).unwrap();
    assert!(dump(&store).unwrap() == expected);
}
