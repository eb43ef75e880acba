//! The simulated disk keeps what it must, loses what it may, and decides by nothing but its seed.

mod crash;
mod faults;

use super::*;
use crate::disk::{read_exact_at, write_all_at};
use std::collections::BTreeSet;
use std::io::ErrorKind;

const SECTOR: usize = contents::SECTOR;

fn put(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(name).unwrap();
    write_all_at(&*file, bytes, 0).unwrap();
    file
}

/// A disk with the file `a` of that many bytes 1, durable.
fn with_durable_file(seed: u64, length: usize) -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new(seed);
    let file = put(&disk, "a", &vec![1; length]);
    file.sync().unwrap();
    disk.sync_dir().unwrap();
    (disk, file)
}

/// Which sectors hold nothing but `byte`.
fn sectors_of(bytes: &[u8], byte: u8) -> Vec<bool> {
    bytes.chunks(SECTOR).map(|sector| sector.iter().all(|&found| found == byte)).collect()
}

fn kind_of<T: Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn open_files_outlive_their_names() {
    let disk = SimDisk::new(1);
    let first = put(&disk, "a", b"first");
    put(&disk, "b", b"second");
    disk.rename("b", "a").unwrap();
    let second = disk.open("a").unwrap();
    disk.remove("a").unwrap();
    disk.sync_dir().unwrap();
    for (file, bytes) in [(first, "first"), (second, "second")] {
        let mut found = vec![0; bytes.len()];
        read_exact_at(&*file, &mut found, 0).unwrap();
        assert_eq!(found, bytes.as_bytes());
    }
    assert_eq!(kind_of(disk.open("a")), ErrorKind::NotFound);
}

#[test]
fn one_owner_at_a_time() {
    let disk = SimDisk::new(1);
    let first = disk.lock().unwrap();
    assert_eq!(kind_of(disk.lock()), ErrorKind::WouldBlock);
    disk.steal_lock();
    let second = disk.lock().unwrap();
    drop(first);
    assert_eq!(kind_of(disk.lock()), ErrorKind::WouldBlock);
    drop(second);
    disk.lock().unwrap();
}

#[test]
fn rot_reaches_what_is_durable() {
    let (disk, file) = with_durable_file(1, 10);
    file.write_at(&[1; 1], 10).unwrap();
    disk.flip_bit("a", 3, 7).unwrap();
    assert_eq!(kind_of(disk.flip_bit("a", 11, 0)), ErrorKind::InvalidInput);
    assert_eq!(kind_of(disk.flip_bit("a", 0, 8)), ErrorKind::InvalidInput);
    assert_eq!(disk.read_file("a").unwrap()[3], 0x81);
    for policy in Survival::ALL {
        assert_eq!(disk.crash(policy).read_file("a").unwrap()[3], 0x81);
    }
}

#[test]
fn files_put_by_a_test_are_durable() {
    let (disk, _) = with_durable_file(1, 10);
    disk.remove("a").unwrap();
    disk.write_file("a", b"put");
    disk.write_file("b", b"put, too");
    disk.remove_file("b").unwrap();
    let disk = disk.crash(Survival::Nothing);
    assert_eq!(disk.file_names(), ["a"]);
    assert_eq!(disk.read_file("a").unwrap(), b"put");
}

#[test]
fn another_process_can_have_taken_the_lock_between_two_opens() {
    let disk = SimDisk::new(1);
    let first = disk.lock().unwrap();
    let thief = disk.take_lock();
    drop(first);
    assert_eq!(kind_of(disk.lock()), ErrorKind::WouldBlock);
    drop(thief);
    disk.lock().unwrap();
}

/// Some work with faults, limits and a crash in it, from one seed.
fn session(seed: u64) -> (u64, Vec<Op>, Option<Vec<u8>>) {
    let (disk, file) = with_durable_file(seed, 2000);
    disk.keep_trace();
    disk.fail_next(OpKind::Write, Fault::EioPartly);
    file.write_at(&[3; 4000], 0).unwrap_err();
    disk.fail_next(OpKind::Allocate, Fault::DiskFull);
    file.allocate(100_000).unwrap_err();
    disk.set_limits(Limits { files: 5, ..Limits::default() });
    disk.fail_next(OpKind::Write, Fault::ShortWrite);
    write_all_at(&*file, &[2; 4000], 0).unwrap();
    disk.fail_next(OpKind::Sync, Fault::Crash(When::During));
    file.sync().unwrap_err();
    let disk = disk.crash(Survival::Random);
    put(&disk, "b", &disk.read_file("a").unwrap_or_default());
    (disk.trace_hash(), disk.trace(), disk.crash(Survival::Random).read_file("a"))
}

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_disk() {
    assert_eq!(session(7), session(7));
    let outcomes: BTreeSet<_> = (0..20).map(|seed| session(seed).2).collect();
    assert!(outcomes.len() > 5);
    let trace = session(7).1;
    assert_eq!(trace[0].kind, OpKind::Create);
    assert_eq!((&*trace[1].name, trace[1].kind), ("b", OpKind::Write));
}

#[test]
fn a_linked_file_has_two_names_in_two_directories() {
    let (disk, file) = with_durable_file(1, 2000);
    let (other, used) = (disk.directory("other"), disk.used_bytes());
    other.link_from(&disk, "a").unwrap();
    assert_eq!((disk.file_names(), other.file_names()), (vec!["a".to_owned()], vec!["a".to_owned()]));
    assert_eq!(other.used_bytes(), used);
    assert_eq!(kind_of(other.link_from(&disk, "a")), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(other.link_from(&disk, "b")), ErrorKind::NotFound);
    assert_eq!(kind_of(SimDisk::new(2).link_from(&disk, "a")), ErrorKind::CrossesDevices);
    write_all_at(&*file, &[2; 10], 0).unwrap();
    drop(file);
    disk.remove("a").unwrap();
    assert_eq!(other.read_file("a").unwrap()[..11], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    assert_eq!(disk.used_bytes(), used);
    other.remove("a").unwrap();
    assert_eq!(disk.used_bytes(), 0);
    let (first, second) = (disk.lock().unwrap(), other.lock().unwrap());
    assert_eq!(kind_of(other.lock()), ErrorKind::WouldBlock);
    drop((first, second));
}

#[test]
fn each_directory_is_durable_by_its_own_sync() {
    let (disk, _file) = with_durable_file(1, 2000);
    let other = disk.directory("other");
    other.link_from(&disk, "a").unwrap();
    disk.remove("a").unwrap();
    disk.sync_dir().unwrap();
    let found = disk.crash(Survival::Nothing);
    assert_eq!((found.file_names().len(), found.directory("other").file_names().len()), (0, 0));
    // A file that only a name not yet durable leads to is not lost before that name is.
    let found = disk.crash(Survival::Everything).directory("other");
    assert_eq!(found.read_file("a").unwrap(), [1; 2000]);

    let (disk, _file) = with_durable_file(1, 2000);
    let other = disk.directory("other");
    other.link_from(&disk, "a").unwrap();
    other.sync_dir().unwrap();
    disk.remove("a").unwrap();
    let found = disk.crash(Survival::Nothing);
    assert_eq!(
        (found.file_names(), found.directory("other").file_names()),
        (vec!["a".to_owned()], vec!["a".to_owned()])
    );
    disk.sync_dir().unwrap_err();
}
