//! Verify: silent about a store that is whole, also after a crash; exact about one that is not.

use crate::damage::{MANIFEST, segment, small_log, three_segments};
use crate::support::{HandClock, at, dump, open, options, value};
use crate::workload::{Change, Run, Step, put, random, small, transaction};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::Disk;
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival, When};
use larder_engine::{Damage, Error, Event, Put, VerifyReport, Versions, verify, verify_on};

/// Verifies, and collects what is told. Nothing on the disk may change by that.
pub(crate) fn examine(disk: &SimDisk) -> (VerifyReport, Vec<Damage>) {
    let (operations, mut told) = (disk.op_count(), Vec::new());
    let mut progress = 0;
    let report = verify_on(disk, &mut |event| match event {
        Event::Damage(damage) => told.push(damage.clone()),
        Event::Progress { done, total } => {
            assert!(progress <= done && done <= total);
            progress = done;
        }
        Event::Lost(lost) => panic!("{lost}"),
    })
    .unwrap();
    assert_eq!(disk.op_count(), operations, "nothing was changed");
    assert_eq!(report.damaged, told.len() as u64);
    assert_eq!(report.is_intact(), told.is_empty());
    (report, told)
}

pub(crate) fn covers(damage: &Damage, file: &str, offset: u64) -> bool {
    let length = damage.length.unwrap_or(u64::MAX - damage.offset);
    damage.file == file && (damage.offset..damage.offset + length).contains(&offset)
}

#[test]
fn an_intact_store_is_counted() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let (report, told) = examine(&log.disk);
    assert_eq!(told, []);
    let expected = VerifyReport {
        has_manifest: true,
        segments: 1,
        frames: 6,
        records: 6,
        puts: 5,
        deletes: 1,
        bytes: log.ends[5],
        ..VerifyReport::default()
    };
    assert_eq!(report, expected);
}

/// What any crash leaves is an interrupted write at most, and as long as the next open says.
#[test]
fn whatever_a_crash_leaves_is_no_damage() {
    for (durability, policy) in
        [(Durable, Survival::Random), (Buffered, Survival::Random), (Buffered, Survival::Prefix)]
    {
        for number in (0..).step_by(3) {
            let disk = SimDisk::new(number);
            disk.fail_at(number, Fault::Crash(When::During));
            let mut run = Run::new(&disk, durability);
            let finished = run.all(&small()).is_ok();
            if finished {
                break;
            }
            let found = disk.crash(policy);
            drop(run.store.take());
            if found.file_names().iter().all(|name| name != MANIFEST) {
                continue;
            }
            let (report, told) = examine(&found);
            assert_eq!(told, [], "operation {number}");
            let store = open(&found, durability, &run.clock).unwrap();
            assert_eq!(report.loose_end_bytes, store.report().cut_bytes, "operation {number}");
        }
    }
}

#[test]
fn an_open_segment_with_any_bit_flipped_is_damaged_where_an_open_would_refuse_it() {
    for (durability, synced) in [(Durable, 0), (Buffered, 3)] {
        let mut log = small_log(durability, synced);
        let disk = log.killed();
        for bit in 0..(log.ends[5] + 100) * 8 {
            let (offset, context) = (bit / 8, format!("{durability:?}, bit {bit}"));
            let bad = disk.crash(Survival::Nothing);
            bad.flip_bit(&segment(1), offset, u32::try_from(bit % 8).unwrap()).unwrap();
            let (report, told) = examine(&bad);
            match log.open(&bad) {
                Ok(store) => {
                    assert_eq!(told, [], "{context}");
                    assert_eq!(report.loose_end_bytes, store.report().cut_bytes, "{context}");
                }
                Err(Error::Damaged { .. }) => {
                    let is_there = matches!(&told[..], [damage] if covers(damage, &segment(1), offset));
                    assert!(is_there, "{context}: {told:#?}");
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }
}

/// In a sealed segment every byte counts, those of overwritten values too; and one flipped bit damages one record.
#[test]
fn a_sealed_segment_with_any_bit_flipped_is_damaged_there() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let length = log.disk.read_file(&segment(1)).unwrap().len() as u64;
    for bit in 0..length * 8 {
        let (offset, context) = (bit / 8, format!("bit {bit}"));
        let bad = log.disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, u32::try_from(bit % 8).unwrap()).unwrap();
        let (report, told) = examine(&bad);
        let [damage] = &told[..] else { panic!("{context}: {told:#?}") };
        assert!(covers(damage, &segment(1), offset), "{context}: {damage}");
        let frame = log.frames_below(offset);
        let start = if frame == 0 { 64 } else { log.ends[frame - 1] };
        let version = frame as u64 + 1;
        let (in_frame, in_value) = (offset.wrapping_sub(start), frame < 6 && offset >= log.bodies[frame]);
        let is_record = offset >= 64 && frame < 6 && in_frame >= 56;
        let named = damage.record.as_ref().map(|record| record.version);
        assert_eq!(named, (is_record && in_value).then_some(version), "{context}: {damage}");
        let missing = Versions { first: version, last: Some(version) };
        assert_eq!(damage.versions, (is_record && !in_value).then_some(missing), "{context}: {damage}");
        assert_eq!(report.records, 6 - u64::from(is_record && !in_value), "{context}");
    }
}

#[test]
fn a_manifest_with_any_bit_flipped_is_damaged_and_the_segments_are_read_without_it() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let length = log.disk.read_file(MANIFEST).unwrap().len() as u64;
    for bit in 0..length * 8 {
        let bad = log.disk.crash(Survival::Nothing);
        bad.flip_bit(MANIFEST, bit / 8, u32::try_from(bit % 8).unwrap()).unwrap();
        let (report, told) = examine(&bad);
        assert!(matches!(&told[..], [damage] if damage.file == MANIFEST), "bit {bit}: {told:#?}");
        assert!(!report.has_manifest && report.records == 6, "bit {bit}");
    }
}

#[test]
fn a_segment_cut_at_any_byte() {
    for close in [false, true] {
        let mut log = small_log(Durable, 0);
        let disk = if close {
            log.run.close().unwrap();
            log.disk.clone()
        } else {
            log.killed()
        };
        let bytes = disk.read_file(&segment(1)).unwrap();
        for length in 0..bytes.len() {
            let bad = disk.crash(Survival::Nothing);
            bad.write_file(&segment(1), &bytes[..length]);
            let (report, told) = examine(&bad);
            assert_eq!(log.open(&bad).is_ok(), told.is_empty(), "{length} bytes: {told:#?}");
            if close {
                let whole = log.frames_below(length as u64) as u64;
                let missing = told.iter().find_map(|damage| damage.versions);
                let expected = Versions { first: whole + 1, last: Some(6) };
                // A record whose head is there is known by its name.
                let named = told.iter().filter(|damage| damage.record.is_some()).count() as u64;
                let expected = Versions { first: expected.first + named, ..expected };
                assert_eq!(missing, (expected.first <= 6).then_some(expected), "{length} bytes: {told:#?}");
                assert_eq!(report.records, whole + named, "{length} bytes");
            }
        }
    }
}

#[test]
fn files_that_are_missing() {
    let (disk, run) = three_segments(1);
    assert_eq!(examine(&disk).1, []);
    for id in 1..=3 {
        let bad = disk.crash(Survival::Nothing);
        bad.remove_file(&segment(id)).unwrap();
        let (_, told) = examine(&bad);
        let [damage] = &told[..] else { panic!("{told:#?}") };
        assert_eq!((&damage.file, damage.what), (&segment(id), "the file is missing"));
        assert!(open(&bad, Durable, &run.clock).is_err());
    }
    let bad = disk.crash(Survival::Nothing);
    bad.remove_file(MANIFEST).unwrap();
    let (report, told) = examine(&bad);
    assert!(matches!(&told[..], [damage] if damage.file == MANIFEST), "{told:#?}");
    assert_eq!((report.segments, report.puts), (3, 3));
    // Without the manifest, and with the header of one segment gone: the others tell how to read it.
    bad.flip_bit(&segment(2), 20, 0).unwrap();
    let (report, told) = examine(&bad);
    assert_eq!((report.puts, told.len()), (3, 2), "{told:#?}");
    (1..=3).for_each(|id| bad.flip_bit(&segment(id), 50, 0).unwrap());
    let (report, told) = examine(&bad);
    assert_eq!((report.puts, told.len()), (0, 4), "{told:#?}");
}

/// A place that the disk itself cannot read any more is damage there, and no end of the examination.
#[test]
fn what_the_disk_cannot_read_is_damage() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    let changes = [("a", 100), ("b", 30_000), ("c", 100)].map(|(key, size)| Change::Put(key, size, None));
    run.all(&[transaction(changes.to_vec())]).unwrap();
    run.close().unwrap();
    disk.keep_trace();
    examine(&disk);
    let trace = disk.trace();
    let reads = trace.iter().filter(|op| op.kind.is_read());
    let first = reads.clone().count();
    let whole = reads.clone().position(|op| op.kind == OpKind::Read && *op.name == *segment(2)).unwrap();
    // The whole file cannot be read at once, nor its third and fourth page.
    let before = disk.read_count();
    for number in [whole, whole + 3, whole + 4] {
        disk.fail_read_at(before + number as u64, Fault::Eio);
    }
    let (report, told) = examine(&disk);
    assert_eq!(told.len(), 1, "{first} reads: {told:#?}");
    assert_eq!(told[0].record.as_ref().map(|record| &*record.key), Some("b"));
    assert_eq!((report.records, report.puts), (3, 3));
}

/// Damage by chance in logs by chance: what opens and can be read throughout, or cannot, is what verify says.
#[test]
fn verify_agrees_with_an_open() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let mut run = Run::new(&disk, if seed % 2 == 0 { Durable } else { Buffered });
        run.all(&random(seed, 25)).unwrap();
        if seed % 3 == 0 {
            run.close().unwrap();
        }
        let killed = disk.kill();
        drop(run.store.take());
        for part in 0..12 {
            let bad = killed.crash(Survival::Everything);
            let mut chance = crate::support::Chance::new(seed * 100 + part);
            crate::salvage::damage(&bad, &mut chance);
            let context = format!("seed {seed}, part {part}");
            let (_, told) = examine(&bad);
            // With its hint an open looks at less of a segment.
            for hint in bad.file_names().iter().filter(|name| name.ends_with(".hint")) {
                bad.remove_file(hint).unwrap();
            }
            let opened = open(&bad, run.durability, &run.clock);
            match opened.and_then(|store| dump(&store)) {
                Ok(_) => assert!(told.iter().all(|damage| damage.record.is_some()), "{context}: {told:#?}"),
                Err(Error::Damaged { .. }) => assert!(!told.is_empty(), "{context}"),
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }
}

/// Its checksum is right, but what it says cannot be: an open refuses it, and so verify says why.
#[test]
fn a_manifest_that_is_older_than_its_segments() {
    let (disk, _) = three_segments(1);
    let mut manifest = disk.read_file(MANIFEST).unwrap();
    manifest[40..48].copy_from_slice(&1_u64.to_le_bytes());
    let body = manifest.len() - 4;
    let checksum = crc32fast::hash(&manifest[..body]).to_le_bytes();
    manifest[body..].copy_from_slice(&checksum);
    let bad = disk.crash(Survival::Everything);
    bad.write_file(MANIFEST, &manifest);
    let opened = open(&bad, Durable, &HandClock::new());
    assert!(matches!(opened, Err(Error::Damaged { file, .. }) if file == MANIFEST));
    let (_, told) = examine(&bad);
    assert!(told.iter().any(|damage| damage.file == MANIFEST), "{told:#?}");
}

#[test]
fn what_cannot_be_examined() {
    let (clock, disk) = (HandClock::new(), SimDisk::new(1));
    let ignore = &mut |_: Event<'_>| {};
    assert!(matches!(verify_on(&disk, ignore), Err(Error::Missing { .. })));
    disk.write_file("notes.txt", &value(1, 10));
    assert!(matches!(verify_on(&disk, ignore), Err(Error::NotAStore { .. })));
    disk.remove_file("notes.txt").unwrap();
    let store = open(&disk, Durable, &clock).unwrap();
    assert!(matches!(verify_on(&disk, ignore), Err(Error::InUse { .. })));
    store.close().unwrap();
    assert!(Disk::lock(&disk).is_ok(), "nobody holds it");
    disk.fail_next(OpKind::List, Fault::Eio);
    assert!(matches!(verify_on(&disk, ignore), Err(Error::Io { .. })));
    assert!(verify_on(&disk, ignore).unwrap().is_intact());
}

/// The same on the real disk, where segments are mapped.
#[test]
fn a_real_directory() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let path = directory.path().join("store");
    let ignore = &mut |_: Event<'_>| {};
    assert!(matches!(verify(&path, ignore), Err(Error::Missing { .. })));
    assert!(!path.exists());
    let store = options(Durable, &clock).open(&path).unwrap();
    for key in ["a", "b", "c"] {
        store.put(at(key), &Put::new(&value(1, 900_000))).unwrap().unwrap();
    }
    assert!(matches!(verify(&path, ignore), Err(Error::InUse { .. })));
    store.close().unwrap();
    let report = verify(&path, ignore).unwrap();
    assert!(report.is_intact() && report.puts == 3, "{report:?}");
    let file = path.join(segment(1));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let report = verify(&path, ignore).unwrap();
    assert_eq!((report.damaged, report.puts), (3, 3), "{report:?}");
}

/// A step that fails leaves the store to be examined again.
#[test]
fn closing_in_order_leaves_no_loose_end() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Buffered);
    run.all(&[put("a", 10), Step::Reopen, put("b", 10)]).unwrap();
    run.close().unwrap();
    let (report, told) = examine(&disk);
    assert_eq!((told.len(), report.loose_end_bytes, report.segments), (0, 0, 2));
}
