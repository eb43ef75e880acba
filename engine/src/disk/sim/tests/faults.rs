//! What faults and a full disk do to the operations they strike.

use super::*;

#[test]
fn a_failed_sync_loses_the_data_and_the_next_one_says_nothing() {
    let (disk, file) = with_durable_file(1, 4 * SECTOR);
    file.write_at(&[2; 2 * SECTOR], 0).unwrap();
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    assert_eq!(disk.read_file("a").unwrap()[0], 2, "the running process still sees it");

    file.write_at(&[3; 1], SECTOR as u64).unwrap();
    file.sync().unwrap();
    for policy in Survival::ALL {
        let found = disk.crash(policy).read_file("a").unwrap();
        assert_eq!(found[..SECTOR], [1; SECTOR], "lost");
        assert_eq!(
            found[SECTOR..2 * SECTOR],
            [&[3][..], &[2; SECTOR - 1]].concat(),
            "written with its sector"
        );
    }
}

#[test]
fn a_failed_sync_of_the_directory_loses_the_names() {
    let (disk, _) = with_durable_file(1, 10);
    disk.rename("a", "b").unwrap();
    disk.fail_next(OpKind::SyncDir, Fault::Eio);
    disk.sync_dir().unwrap_err();
    disk.sync_dir().unwrap();
    assert_eq!(disk.file_names(), ["b"]);
    assert_eq!(disk.crash(Survival::Everything).file_names(), ["a"]);
}

#[test]
fn a_sync_can_fail_halfway() {
    let mut counts = BTreeSet::new();
    for seed in 0..50 {
        let (disk, file) = with_durable_file(seed, 8 * SECTOR);
        file.write_at(&[2; 8 * SECTOR], 0).unwrap();
        disk.fail_next(OpKind::Sync, Fault::EioPartly);
        file.sync().unwrap_err();
        let found = disk.crash(Survival::Everything).read_file("a").unwrap();
        counts.insert(sectors_of(&found, 2).iter().filter(|&&new| new).count());
    }
    assert!(counts.len() > 3, "{counts:?}");
}

#[test]
fn a_crash_during_a_write_tears_it_and_ends_everything() {
    let mut patterns = BTreeSet::new();
    for seed in 0..50 {
        let (disk, file) = with_durable_file(seed, 4 * SECTOR);
        let _owner = disk.lock().unwrap();
        disk.fail_at(disk.op_count(), Fault::Crash(When::During));
        file.write_at(&[2; 3 * SECTOR], 100).unwrap_err();
        assert!(disk.is_crashed());
        for result in [file.sync(), file.set_len(0), disk.sync_dir(), disk.list().map(drop), disk.remove("a")]
        {
            assert_eq!(kind_of(result), ErrorKind::Other);
        }
        let found = disk.crash(Survival::Everything);
        found.lock().unwrap();
        file.write_at(&[3; SECTOR], 0).unwrap_err();
        patterns.insert(
            found.read_file("a").unwrap().chunks(SECTOR).map(|sector| sector[200] == 2).collect::<Vec<_>>(),
        );
    }
    assert_eq!(patterns.len(), 8, "any subset of three sectors");
}

#[test]
fn a_crash_before_a_sync_leaves_it_undone_and_one_after_it_done() {
    for (when, survives) in [(When::Before, false), (When::After, true)] {
        let (disk, file) = with_durable_file(1, 10);
        file.write_at(&[2; 10], 0).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Crash(when));
        file.sync().unwrap_err();
        assert_eq!(disk.crash(Survival::Nothing).read_file("a").unwrap() == [2; 10], survives);
    }
}

#[test]
fn a_short_write_takes_less_but_something() {
    let disk = SimDisk::new(1);
    let file = disk.create("a").unwrap();
    for _ in 0..20 {
        disk.fail_next(OpKind::Write, Fault::ShortWrite);
        let count = file.write_at(&[2; 100], 0).unwrap();
        assert!((1..100).contains(&count));
    }
    disk.fail_next(OpKind::Write, Fault::ShortWrite);
    disk.fail_next(OpKind::Write, Fault::Interrupted);
    write_all_at(&*file, &[3; 100], 0).unwrap();
    assert_eq!(disk.read_file("a").unwrap(), [3; 100]);
}

#[test]
fn faults_strike_at_their_number_and_reads_count_apart() {
    let disk = SimDisk::new(1);
    let file = put(&disk, "a", b"bytes");
    assert_eq!((disk.op_count(), disk.read_count()), (2, 0));
    disk.fail_at(3, Fault::Enospc);
    disk.fail_read_at(1, Fault::Eio);
    assert_eq!(file.read_at(&mut [0; 5], 0).unwrap(), 5);
    file.read_at(&mut [0; 5], 0).unwrap_err();
    assert_eq!(file.len().unwrap(), 5);
    file.sync().unwrap();
    assert_eq!(kind_of(disk.create("b")), ErrorKind::StorageFull);
    disk.create("b").unwrap();
}

#[test]
fn the_capacity_holds_and_healing_is_possible() {
    let disk = SimDisk::new(1);
    let file = disk.create("a").unwrap();
    disk.set_capacity(disk.used_bytes() + 8192);
    assert_eq!(disk.free_bytes().unwrap(), 8192);
    assert_eq!(kind_of(file.allocate(8193)), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 0);
    file.allocate(8192).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 0);
    assert_eq!(kind_of(disk.create("b")), ErrorKind::StorageFull);
    assert_eq!(
        file.write_at(&[1; 100], 8100).unwrap(),
        92,
        "allocated space is there, the next block is not"
    );
    assert_eq!(kind_of(file.write_at(&[1; 8], 8192)), ErrorKind::StorageFull);

    disk.set_capacity(disk.used_bytes() + 8192);
    assert_eq!(file.write_at(&[1; 8], 8192).unwrap(), 8);
    disk.create("b").unwrap();
    assert_eq!(disk.crash(Survival::Everything).used_bytes(), disk.used_bytes());

    let disk = disk.crash(Survival::Everything);
    let file = disk.open("a").unwrap();
    disk.remove("a").unwrap();
    disk.remove("b").unwrap();
    assert_eq!(disk.used_bytes(), 16384, "an open file keeps its space");
    drop(file);
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn a_lost_length_comes_with_the_next_sync_but_without_the_bytes() {
    let (disk, file) = with_durable_file(1, 10);
    file.write_at(&[2; 1000], 10).unwrap();
    disk.fail_next(OpKind::Sync, Fault::Enospc);
    assert_eq!(kind_of(file.sync()), ErrorKind::StorageFull);
    assert_eq!(disk.crash(Survival::Everything).read_file("a").unwrap().len(), 10);

    let (disk, file) = with_durable_file(1, 10);
    file.write_at(&[2; 1000], 10).unwrap();
    disk.fail_next(OpKind::Sync, Fault::Eio);
    file.sync().unwrap_err();
    file.sync().unwrap();
    let found = disk.crash(Survival::Nothing).read_file("a").unwrap();
    assert_eq!(found, [&[1; 10][..], &[0; 1000]].concat());
}

#[test]
fn a_removal_lost_by_a_failed_sync_brings_back_the_file() {
    let (disk, file) = with_durable_file(1, 10);
    drop(file);
    disk.remove("a").unwrap();
    disk.fail_next(OpKind::SyncDir, Fault::Eio);
    disk.sync_dir().unwrap_err();
    disk.sync_dir().unwrap();
    assert_eq!(disk.crash(Survival::Nothing).read_file("a").unwrap(), [1; 10]);
}

#[test]
fn a_crash_during_a_sync_takes_no_sector_back_to_an_older_version() {
    for seed in 0..20 {
        let (disk, file) = with_durable_file(seed, 4 * SECTOR);
        file.write_at(&[2; 4 * SECTOR], 0).unwrap();
        file.write_at(&[3; 4 * SECTOR], 0).unwrap();
        file.set_len(3 * SECTOR as u64).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Crash(When::During));
        file.sync().unwrap_err();
        assert_eq!(disk.crash(Survival::Everything).read_file("a").unwrap(), [3; 3 * SECTOR]);
        let found = disk.crash(Survival::Random).read_file("a").unwrap();
        assert!(!found.contains(&2));
    }
}

#[test]
fn limits_are_told_by_the_right_error_and_can_be_raised() {
    let errno = |result: io::Result<()>| rustix::io::Errno::from_io_error(&result.unwrap_err()).unwrap();
    let disk = SimDisk::new(1);
    let file = put(&disk, "a", &[1; 100]);
    disk.set_limits(Limits { files: 1, ..Limits::default() });
    assert_eq!(errno(disk.create("b").map(drop)), rustix::io::Errno::NOSPC);
    assert!(disk.free_bytes().unwrap() > 1 << 30);
    disk.remove("a").unwrap();
    assert_eq!((disk.file_count(), errno(disk.create("b").map(drop))), (1, rustix::io::Errno::NOSPC));
    drop(file);
    let file = disk.create("b").unwrap();

    disk.set_limits(Limits { descriptors: 1, ..Limits::default() });
    assert_eq!(disk.open_count(), 1);
    assert_eq!(errno(disk.open("b").map(drop)), rustix::io::Errno::MFILE);
    assert_eq!(errno(disk.create("c").map(drop)), rustix::io::Errno::MFILE);
    file.write_at(&[2; 1000], 0).unwrap();

    disk.set_limits(Limits { file_bytes: 1500, ..Limits::default() });
    assert_eq!(file.write_at(&[2; 1000], 1000).unwrap(), 500);
    assert_eq!(errno(file.write_at(&[2; 1], 1500).map(drop)), rustix::io::Errno::FBIG);
    assert_eq!(errno(file.allocate(1501)), rustix::io::Errno::FBIG);
    disk.set_limits(Limits::default());
    file.allocate(1501).unwrap();

    for (fault, expected) in [
        (Fault::Edquot, rustix::io::Errno::DQUOT),
        (Fault::Emfile, rustix::io::Errno::MFILE),
        (Fault::Erofs, rustix::io::Errno::ROFS),
    ] {
        disk.fail_next(OpKind::Create, fault);
        assert_eq!(errno(disk.create("d").map(drop)), expected);
    }
}

#[test]
fn a_disk_gets_full_at_an_operation_and_has_room_again() {
    let disk = SimDisk::new(1);
    let file = disk.create("a").unwrap();
    disk.fail_at(1, Fault::DiskFull);
    assert_eq!(kind_of(file.write_at(&[1; 10], 0)), ErrorKind::StorageFull);
    assert_eq!(kind_of(disk.create("b")), ErrorKind::StorageFull);
    disk.set_capacity(1 << 20);
    file.write_at(&[1; 10], 0).unwrap();
}
