//! Bytes that are not what was written: told with file and position, or recognised as an interrupted end of the log.
//! Never a wrong value, never an older one, never a panic.

use crate::support::{Contents, HandClock, at, brief, dump, open, options, place, value};
use crate::workload::{Change, Run, Step, delete, put};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::Disk;
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::log::manifest::Manifest;
use larder_engine::{Address, Condition, Durability, Error, Expiry, Put, Result, Store, Tenant};
use std::sync::Arc;

pub(crate) const MANIFEST: &str = "MANIFEST";

pub(crate) fn segment(id: u32) -> String {
    format!("{id:010}.seg")
}

/// A small log with one frame per step, and where each frame ends in segment 1.
pub(crate) struct Log {
    pub(crate) run: Run,
    pub(crate) disk: SimDisk,
    pub(crate) ends: Vec<u64>,
    /// Where each frame's description and value begin.
    pub(crate) bodies: Vec<u64>,
}

pub(crate) fn small_log(durability: Durability, synced: usize) -> Log {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, durability);
    run.open().unwrap();
    disk.keep_trace();
    let steps = [put("a", 9), put("bb", 30), put("a", 12), delete("bb"), put("c", 5), put("a", 7)];
    let keys = [1, 2, 1, 2, 1, 1];
    for (number, step) in steps.iter().enumerate() {
        run.step(step).unwrap();
        if number + 1 == synced {
            run.step(&Step::Sync).unwrap();
        }
    }
    let writes = disk.trace().into_iter().filter(|op| op.kind == OpKind::Write && *op.name == *segment(1));
    // Zeroes ahead of the log are no frames.
    let zeroes = |length: u64| crc32fast::hash(&vec![0; usize::try_from(length).unwrap()]);
    let writes = writes.filter(|op| op.checksum != zeroes(op.length));
    let writes: Vec<(u64, u64)> = writes.map(|op| (op.offset, op.length)).collect();
    assert_eq!(writes.len(), steps.len());
    let bodies = writes.iter().zip(keys).map(|((start, _), key)| start + 56 + 64 + 7 + key).collect();
    Log { run, disk, ends: writes.iter().map(|(start, length)| start + length).collect(), bodies }
}

impl Log {
    /// Kills the process. The segment is cut down to a little behind its frames, so that reading it is quick.
    pub(crate) fn killed(&mut self) -> SimDisk {
        let disk = self.disk.kill();
        self.run.store = None;
        let bytes = disk.read_file(&segment(1)).unwrap();
        let end = usize::try_from(self.ends[self.ends.len() - 1]).unwrap();
        assert!(bytes[end..].iter().all(|byte| *byte == 0));
        disk.write_file(&segment(1), &bytes[..end + 100]);
        disk
    }

    /// How many of the frames lie wholly below `position`.
    pub(crate) fn frames_below(&self, position: u64) -> usize {
        self.ends.iter().filter(|end| **end <= position).count()
    }

    pub(crate) fn expected(&self, index: usize) -> Contents {
        self.run.history.states[index].live(self.run.now_ms())
    }

    pub(crate) fn open(&self, disk: &SimDisk) -> Result<Store> {
        open(disk, self.run.durability, &self.run.clock)
    }
}

#[track_caller]
fn assert_damaged(opened: Result<Store>, file: &str, context: &str) {
    match opened {
        Err(Error::Damaged { file: found, .. }) if found == file => {}
        other => panic!("{context}: {:?}", other.map(|store| dump(&store).map(|contents| brief(&contents)))),
    }
}

#[test]
fn an_open_segment_with_any_bit_flipped() {
    let mut log = small_log(Durable, 0);
    let disk = log.killed();
    let frames = log.ends.len();
    for bit in 0..(log.ends[frames - 1] + 100) * 8 {
        let (offset, context) = (bit / 8, format!("bit {bit}"));
        let bad = disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, u32::try_from(bit % 8).unwrap()).unwrap();
        let opened = log.open(&bad);
        if offset < log.ends[frames - 2] {
            // Later frames know it to have been durable.
            assert_damaged(opened, &segment(1), &context);
            continue;
        }
        // The last frame looks interrupted; what is behind it never counted.
        let index = if offset < log.ends[frames - 1] { frames - 1 } else { frames };
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(dump(&store).unwrap() == log.expected(index), "{context}");
        assert!(store.report().cut_bytes > 0, "{context}");
    }
}

#[test]
fn an_open_segment_cut_at_any_byte() {
    for durability in [Durable, Buffered] {
        let mut log = small_log(durability, 0);
        let disk = log.killed();
        let bytes = disk.read_file(&segment(1)).unwrap();
        for length in 0..bytes.len() {
            let bad = disk.crash(Survival::Nothing);
            bad.write_file(&segment(1), &bytes[..length]);
            let opened = log.open(&bad);
            if length < 64 {
                assert_damaged(opened, &segment(1), &format!("{length} bytes"));
                continue;
            }
            let store = opened.unwrap_or_else(|error| panic!("{length} bytes: {error}"));
            let index = log.frames_below(length as u64);
            assert!(dump(&store).unwrap() == log.expected(index), "{length} bytes");
        }
    }
}

/// At level buffered only the frames below a sync are known to have been durable; those behind it can be an interrupted
/// write, and are cut off.
#[test]
fn damage_is_told_from_an_interrupted_write_by_what_was_synced() {
    let mut log = small_log(Buffered, 3);
    let disk = log.killed();
    for offset in 64..log.ends[5] {
        let bad = disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, 3).unwrap();
        let opened = log.open(&bad);
        if offset < log.ends[2] {
            assert_damaged(opened, &segment(1), &format!("byte {offset}"));
        } else {
            let index = log.frames_below(offset);
            assert!(dump(&opened.unwrap()).unwrap() == log.expected(index), "byte {offset}");
        }
    }
}

/// Two open segments: the second one's frames know the first to have been durable, to its last byte.
#[test]
fn a_later_segment_proves_what_an_earlier_one_has_lost() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 100), put("b", 1500)]).unwrap();
    (0..10).for_each(|_| disk.fail_next(OpKind::SetLen, Fault::Eio));
    disk.keep_trace();
    for step in [put("c", 1500), put("d", 2300), put("e", 10)] {
        run.step(&step).unwrap();
    }
    let last =
        disk.trace().into_iter().rfind(|op| op.kind == OpKind::Write && *op.name == *segment(1)).unwrap();
    let end = last.offset + last.length;
    let disk = disk.kill();
    run.store = None;
    let manifest = Manifest::decode(&disk.read_file(MANIFEST).unwrap()).unwrap();
    assert_eq!((manifest.sealed.len(), manifest.open), (0, vec![1, 2]));
    let bytes = disk.read_file(&segment(1)).unwrap();

    let mut chance = crate::support::Chance::new(9);
    let heads = (64..330).chain(last.offset..last.offset + 130);
    for offset in heads.chain((0..150).map(|_| 64 + chance.below(end - 64))) {
        let bad = disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, u32::try_from(offset % 8).unwrap()).unwrap();
        assert_damaged(open(&bad, Durable, &run.clock), &segment(1), &format!("byte {offset}"));
        let bad = disk.crash(Survival::Nothing);
        bad.write_file(&segment(1), &bytes[..usize::try_from(offset).unwrap()]);
        let opened = open(&bad, Durable, &run.clock);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "cut at byte {offset}");
    }
    let clean = disk.crash(Survival::Nothing);
    let store = open(&clean, Durable, &run.clock).unwrap();
    assert!(dump(&store).unwrap() == run.history.states[run.history.last()].live(run.now_ms()));
}

#[test]
fn a_sealed_segment_with_any_bit_flipped() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let length = log.disk.read_file(&segment(1)).unwrap().len() as u64;
    assert_eq!(length, log.ends[5] + 64);
    let all = log.expected(6);
    let keys = ["a", "bb", "a", "bb", "c", "a"];
    let newest = [false, false, false, false, true, true];
    for bit in 0..length * 8 {
        let (offset, context) = (bit / 8, format!("bit {bit}"));
        let bad = log.disk.crash(Survival::Nothing);
        bad.flip_bit(&segment(1), offset, u32::try_from(bit % 8).unwrap()).unwrap();
        let frame = log.frames_below(offset);
        let in_value = offset >= 64 && frame < 6 && offset >= log.bodies[frame];
        let opened = log.open(&bad);
        if !in_value {
            assert_damaged(opened, &segment(1), &context);
            continue;
        }
        // A value that has rotted costs this value, and no other.
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(store.count(Tenant::DEFAULT, "default", "").unwrap(), 2, "{context}");
        for key in ["a", "bb", "c"] {
            let found = store.get(at(key));
            if newest[frame] && keys[frame] == key {
                assert!(matches!(found, Err(Error::Damaged { .. })), "{context}: {found:?}");
                if bit % 8 == 0 {
                    check_rotten(&store, key);
                }
            } else {
                assert_eq!(found.unwrap().as_ref(), all.get(&place(key)), "{context}");
            }
        }
    }
}

/// What can and cannot be done to an entry whose value is lost.
fn check_rotten(store: &Store, key: &str) {
    let touched = store.write(|writer| writer.touch(at(key), Expiry::Never)).wait().unwrap();
    assert!(matches!(touched, Err(Error::Damaged { .. })));
    let done: Result<()> = store.transaction(|batch| {
        batch.put(at("other"), &Put::new(b"1"))?.unwrap();
        batch.touch(at(key), Expiry::Never)?.unwrap();
        Ok(())
    });
    assert!(matches!(done, Err(Error::Damaged { .. })));
    assert!(store.get(at("other")).unwrap().is_none());
    if key == "a" {
        store.put(at(key), &Put::new(b"new")).unwrap().unwrap();
        assert_eq!(store.get(at(key)).unwrap().unwrap().value, b"new");
    } else {
        store.delete(at(key), Condition::Always).unwrap().unwrap();
        assert!(store.get(at(key)).unwrap().is_none());
    }
}

#[test]
fn a_sealed_segment_cut_at_any_byte() {
    let mut log = small_log(Durable, 0);
    log.run.close().unwrap();
    let bytes = log.disk.read_file(&segment(1)).unwrap();
    for length in 0..bytes.len() {
        let bad = log.disk.crash(Survival::Nothing);
        bad.write_file(&segment(1), &bytes[..length]);
        assert_damaged(log.open(&bad), &segment(1), &format!("{length} bytes"));
    }
    // Longer is no harm: nothing behind the footer was ever part of it.
    let longer = log.disk.crash(Survival::Nothing);
    longer.write_file(&segment(1), &[&bytes[..], &bytes[..]].concat());
    assert!(dump(&log.open(&longer).unwrap()).unwrap() == log.expected(6));
}

#[test]
fn a_manifest_with_any_bit_flipped_or_cut_at_any_byte() {
    let mut log = small_log(Durable, 0);
    let disk = log.killed();
    let bytes = disk.read_file(MANIFEST).unwrap();
    for bit in 0..bytes.len() as u64 * 8 {
        let bad = disk.crash(Survival::Nothing);
        bad.flip_bit(MANIFEST, bit / 8, u32::try_from(bit % 8).unwrap()).unwrap();
        assert_damaged(log.open(&bad), MANIFEST, &format!("bit {bit}"));
    }
    for length in 0..bytes.len() {
        let bad = disk.crash(Survival::Nothing);
        bad.write_file(MANIFEST, &bytes[..length]);
        assert_damaged(log.open(&bad), MANIFEST, &format!("{length} bytes"));
    }
    for other in [vec![0; bytes.len()], [&bytes[..], &[0]].concat(), value(1, 5000)] {
        let bad = disk.crash(Survival::Nothing);
        bad.write_file(MANIFEST, &other);
        assert_damaged(log.open(&bad), MANIFEST, "other contents");
    }
    let bad = disk.crash(Survival::Nothing);
    bad.remove_file(MANIFEST).unwrap();
    assert_damaged(log.open(&bad), MANIFEST, "missing");
    assert_eq!(bad.file_names(), [&segment(1), "RESERVE"], "nothing was changed");
}

fn crc(initial: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(initial);
    hasher.update(bytes);
    hasher.finalize()
}

#[test]
fn files_of_a_newer_release_are_told_apart_from_damage() {
    let mut log = small_log(Durable, 0);
    let disk = log.killed();
    for (at, feature) in [(8, false), (12, true)] {
        let bad = disk.crash(Survival::Nothing);
        let mut bytes = bad.read_file(MANIFEST).unwrap();
        bytes[at] ^= 2;
        let body = bytes.len() - 4;
        let sum = crc32fast::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(&sum.to_le_bytes());
        bad.write_file(MANIFEST, &bytes);
        let Err(Error::Unsupported { file, version, features }) = log.open(&bad) else { panic!("byte {at}") };
        assert_eq!((&*file, version == 3, features == 2), (MANIFEST, !feature, feature));

        let bad = disk.crash(Survival::Nothing);
        let mut bytes = bad.read_file(&segment(1)).unwrap();
        bytes[at] ^= 2;
        let salt = crc32fast::hash(&bytes[16..36]);
        let sum = crc(salt, &bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bad.write_file(&segment(1), &bytes);
        let Err(Error::Unsupported { file, version, features }) = log.open(&bad) else { panic!("byte {at}") };
        assert_eq!((file, version == 3, features == 2), (segment(1), !feature, feature));
    }
}

/// The checksum of `bytes` at `position` of a segment whose file starts with `header`.
fn salted(header: &[u8], position: u32, bytes: &[&[u8]]) -> [u8; 4] {
    let salt = crc32fast::hash(&header[16..36]);
    crc(salt ^ position.wrapping_mul(0x9e37_79b1), &bytes.concat()).to_le_bytes()
}

/// Versions were reserved up to the ceiling of a frame: they are used up, be the frame whole or cut off.
#[test]
fn no_version_below_a_ceiling_in_the_log_is_given_out_again() {
    const CEILING: u64 = 123_456_789_012;
    for cut_off in [false, true] {
        let mut log = small_log(Buffered, 0);
        let disk = log.killed();
        let mut bytes = disk.read_file(&segment(1)).unwrap();
        let (start, end) = (usize::try_from(log.ends[4]).unwrap(), usize::try_from(log.ends[5]).unwrap());
        let header = bytes[..64].to_vec();
        let position = u32::try_from(start).unwrap();
        let frame = &mut bytes[start..end];
        frame[32..40].copy_from_slice(&CEILING.to_le_bytes());
        let sum = salted(&header, position, &[&frame[8..52], &frame[56..60]]);
        frame[52..56].copy_from_slice(&sum);
        let sum = salted(&header, position, &[&frame[8..56]]);
        frame[4..8].copy_from_slice(&sum);
        if cut_off {
            bytes[end - 1] ^= 1;
        }
        disk.write_file(&segment(1), &bytes);
        let store = log.open(&disk).unwrap();
        assert!(dump(&store).unwrap() == log.expected(if cut_off { 5 } else { 6 }));
        let stamp = store.put(at("new"), &Put::new(b"1")).unwrap().unwrap();
        assert!(stamp.version > CEILING, "{}", stamp.version);
    }
}

/// A store with two sealed segments and an open one.
pub(crate) fn three_segments(seed: u64) -> (SimDisk, Run) {
    let disk = SimDisk::new(seed);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 10), Step::Reopen, put("b", 10), Step::Reopen, put("c", 10)]).unwrap();
    let disk = disk.kill();
    run.store = None;
    let manifest = Manifest::decode(&disk.read_file(MANIFEST).unwrap()).unwrap();
    let sealed: Vec<u32> = manifest.sealed.iter().map(|sealed| sealed.segment).collect();
    assert_eq!((&sealed[..], &manifest.open[..]), (&[1, 2][..], &[3][..]));
    (disk, run)
}

#[test]
fn files_that_are_missing_swapped_foreign_or_emptied() {
    let (disk, run) = three_segments(1);
    let (other, _) = three_segments(2);
    for id in 1..=3 {
        let name = segment(id);
        let length = disk.read_file(&name).unwrap().len();
        let bad = disk.crash(Survival::Nothing);
        bad.remove_file(&name).unwrap();
        assert_damaged(open(&bad, Durable, &run.clock), &name, "missing");

        let others =
            (1..=3).filter(|other| *other != id).map(|other| disk.read_file(&segment(other)).unwrap());
        let foreign = other.read_file(&name).unwrap();
        for bytes in others.chain([foreign, vec![0; length], value(1, length), Vec::new()]) {
            let bad = disk.crash(Survival::Nothing);
            bad.write_file(&name, &bytes);
            assert_damaged(open(&bad, Durable, &run.clock), &name, "other contents");
        }
    }
    // The manifest of another store names the same numbers.
    let bad = disk.crash(Survival::Nothing);
    bad.write_file(MANIFEST, &other.read_file(MANIFEST).unwrap());
    assert_damaged(open(&bad, Durable, &run.clock), &segment(1), "another manifest");
    // And after all that, it is whole.
    let store = open(&disk.crash(Survival::Nothing), Durable, &run.clock).unwrap();
    assert!(dump(&store).unwrap() == run.history.states[run.history.last()].live(run.now_ms()));
}

#[test]
fn files_that_nobody_names_are_set_aside_or_removed() {
    let (disk, run) = three_segments(1);
    // An orphan: its number was given out, and the manifest does not name it.
    let manifest = Manifest::decode(&disk.read_file(MANIFEST).unwrap()).unwrap();
    let sealed = manifest.sealed.iter().copied().filter(|sealed| sealed.segment != 1).collect();
    disk.write_file(MANIFEST, &Manifest { sealed, ..manifest }.encode());
    // Segment 4 would be the next one. A file that is no segment is none of the engine's business.
    for name in ["MANIFEST.new", "notes.txt", "0000000009.seg", "0000000004.seg", "0000000001.hint"] {
        disk.write_file(name, b"whatever");
    }
    let store = open(&disk, Durable, &run.clock).unwrap();
    assert_eq!(store.report().set_aside, [segment(1)]);
    let keys: Vec<String> = dump(&store).unwrap().into_keys().map(|place| place.2).collect();
    assert_eq!(keys, ["b", "c"], "an orphan is not read");
    let names = disk.file_names();
    assert_eq!(
        names,
        [
            "0000000001.seg.orphan",
            "0000000002.hint",
            "0000000002.seg",
            "0000000003.seg",
            "0000000004.seg",
            "MANIFEST",
            "RESERVE",
            "notes.txt"
        ]
    );
    assert_eq!(disk.read_file("notes.txt").unwrap(), b"whatever");
    assert_ne!(disk.read_file(&segment(4)).unwrap(), b"whatever", "a new one");
    drop(store);
    assert_eq!(open(&disk, Durable, &run.clock).unwrap().report().set_aside, [""; 0], "once");
}

/// A segment that was prepared and not needed can outlive the manifest that named it. There is nothing in it to keep.
#[test]
fn a_blank_segment_that_nobody_names_is_removed() {
    let (disk, run) = three_segments(1);
    let manifest = Manifest::decode(&disk.read_file(MANIFEST).unwrap()).unwrap();
    let sealed = manifest.sealed.iter().copied().filter(|sealed| sealed.segment != 1).collect();
    disk.write_file(MANIFEST, &Manifest { sealed, ..manifest }.encode());
    let mut blank = disk.read_file(&segment(1)).unwrap();
    blank[64..].fill(0);
    disk.write_file(&segment(1), &blank);
    let store = open(&disk, Durable, &run.clock).unwrap();
    assert_eq!(store.report().set_aside, [""; 0]);
    assert!(!disk.file_names().iter().any(|name| name.starts_with("0000000001")), "{:?}", disk.file_names());
}

#[test]
fn segments_that_an_old_manifest_does_not_know_are_kept() {
    let (disk, run) = three_segments(1);
    let old = disk.read_file(MANIFEST).unwrap();
    let store = open(&disk, Durable, &run.clock).unwrap();
    store.put(Address::new(Tenant::DEFAULT, "default", "late").unwrap(), &Put::new(b"1")).unwrap().unwrap();
    store.close().unwrap();
    let newest = segment(4);
    let bytes = disk.read_file(&newest).unwrap();
    disk.write_file(MANIFEST, &old);
    let store = open(&disk, Durable, &run.clock).unwrap();
    assert_eq!(store.report().set_aside, std::slice::from_ref(&newest));
    assert_eq!(disk.read_file(&format!("{newest}.orphan")), Some(bytes), "nothing in it was thrown away");
}

#[test]
fn what_is_no_store_is_left_alone() {
    let clock = HandClock::new();
    let disk = SimDisk::new(1);
    disk.write_file("notes.txt", b"mine");
    let Err(Error::NotAStore { found, .. }) = open(&disk, Durable, &clock) else { panic!("it is no store") };
    assert_eq!((found, disk.file_names()), ("notes.txt".to_owned(), vec!["notes.txt".to_owned()]));

    let disk = SimDisk::new(1);
    let missing = options(Durable, &clock).create(false).open_on(Arc::new(disk.clone()));
    assert!(matches!(missing, Err(Error::Missing { .. })));
    assert_eq!(disk.file_names(), [""; 0]);

    // What an interrupted creation leaves is no obstacle.
    disk.write_file("MANIFEST.new", b"half");
    disk.write_file("lost+found", b"");
    let store = open(&disk, Durable, &clock).unwrap();
    assert!(store.report().created && store.report().clean);
    let second = open(&disk, Durable, &clock);
    assert!(matches!(second, Err(Error::InUse { .. })));
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    store.close().unwrap();
    let store = options(Durable, &clock).create(false).open_on(Arc::new(disk)).unwrap();
    assert!(!store.report().created && store.get(at("a")).unwrap().is_some());
}

/// The bytes of the log itself, stored as a value, are never taken for frames of it.
#[test]
fn a_value_that_looks_like_the_log_is_no_proof_of_anything() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 100), put("b", 100), put("c", 100)]).unwrap();
    let log = disk.read_file(&segment(1)).unwrap();
    let store = run.store.take().unwrap();
    disk.keep_trace();
    store.put(at("log"), &Put::new(&log[..700])).unwrap().unwrap();
    let write = disk.trace().into_iter().find(|op| op.kind == OpKind::Write).unwrap();
    let disk = disk.kill();
    drop(store);
    let whole = disk.read_file(&segment(1)).unwrap();
    let expected = run.history.states[3].live(run.now_ms());
    for length in (write.offset..write.offset + write.length).step_by(7) {
        // The file has its length, the rest of the frame never reached the disk.
        let torn = disk.crash(Survival::Nothing);
        let mut bytes = whole.clone();
        bytes[usize::try_from(length).unwrap()..].fill(0);
        torn.write_file(&segment(1), &bytes);
        assert!(dump(&open(&torn, Durable, &run.clock).unwrap()).unwrap() == expected, "{length} bytes");
        // Nor does the beginning of it missing make the rest count.
        let torn = disk.crash(Survival::Nothing);
        let mut bytes = whole.clone();
        bytes[usize::try_from(write.offset).unwrap()..usize::try_from(length + 1).unwrap()].fill(0);
        torn.write_file(&segment(1), &bytes);
        assert!(dump(&open(&torn, Durable, &run.clock).unwrap()).unwrap() == expected, "from byte {length}");
    }
}

/// The rest of the log does not follow if something in its middle is replaced by older, intact frames.
#[test]
fn a_stale_copy_of_an_open_segment_is_damage() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 100), put("b", 1500)]).unwrap();
    let stale = disk.read_file(&segment(1)).unwrap();
    (0..10).for_each(|_| disk.fail_next(OpKind::SetLen, Fault::Eio));
    run.step(&put("a", 200)).unwrap();
    run.step(&Step::Write(vec![vec![Change::Put("c", 2800, None)], vec![Change::Delete("b")]])).unwrap();
    run.step(&put("d", 1)).unwrap();
    let disk = disk.kill();
    run.store = None;
    let whole = disk.crash(Survival::Everything);
    assert!(open(&whole, Durable, &run.clock).is_ok());
    let bad = disk.crash(Survival::Everything);
    bad.write_file(&segment(1), &stale);
    let opened = open(&bad, Durable, &run.clock);
    assert!(matches!(opened, Err(Error::Damaged { .. })));
}

/// The same on the real disk, where segments are mapped and the lock is the system's.
#[test]
fn a_real_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep").join("store");
    let clock = HandClock::new();
    let missing = options(Durable, &clock).create(false).open(&path);
    assert!(matches!(missing, Err(Error::Missing { .. })));
    assert!(!path.exists());
    let store = options(Durable, &clock).open(&path).unwrap();
    assert!(matches!(options(Durable, &clock).open(&path), Err(Error::InUse { .. })));
    let (long, short) = (value(1, 900_000), value(2, 5000));
    for key in ["a", "b", "c"] {
        store.put(at(key), &Put::new(&long)).unwrap().unwrap();
    }
    store.put(at("short"), &Put::new(&short)).unwrap().unwrap();
    let expected = dump(&store).unwrap();
    // What a killed process would leave: all files as they are, preallocated and open.
    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let recovered = options(Durable, &clock).open(&copy).unwrap();
    assert!(dump(&recovered).unwrap() == expected && !recovered.report().clean);
    drop(recovered);
    store.close().unwrap();
    // The lock file stays behind, and is no lock.
    assert!(path.join("LOCK").exists());
    let store: Store = options(Durable, &clock).background(true).open(&path).unwrap();
    assert!(dump(&store).unwrap() == expected && store.report().clean);
    drop(store);

    let file = path.join(segment(1));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let store = options(Durable, &clock).open(&path).unwrap();
    let Err(Error::Damaged { file: damaged, .. }) = store.get(at("a")) else { panic!("a wrong value") };
    assert_eq!(damaged, segment(1));
    assert_eq!(store.get(at("short")).unwrap().as_ref(), expected.get(&place("short")));
    drop(store);
    bytes.truncate(5000);
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(options(Durable, &clock).open(&path), Err(Error::Damaged { .. })));

    let file = directory.path().join("file");
    std::fs::write(&file, b"mine").unwrap();
    assert!(matches!(options(Durable, &clock).open(&file), Err(Error::Io { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

/// An open that fails lets go of the lock, and changes nothing that a later one needs.
#[test]
fn a_refused_open_leaves_the_store_as_it_was() {
    let mut log = small_log(Durable, 0);
    let disk = log.killed();
    let good = disk.read_file(&segment(1)).unwrap();
    disk.flip_bit(&segment(1), 100, 1).unwrap();
    let names = disk.file_names();
    for _ in 0..3 {
        assert_damaged(log.open(&disk), &segment(1), "refused");
        assert_eq!(disk.file_names(), names);
    }
    assert!(Disk::lock(&disk).is_ok(), "the lock is free");
    disk.write_file(&segment(1), &good);
    assert!(dump(&log.open(&disk).unwrap()).unwrap() == log.expected(6));
}
