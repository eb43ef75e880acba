//! What a crash leaves, under every policy.

use super::*;

#[test]
fn what_was_synced_survives_every_policy() {
    for seed in 0..50 {
        for policy in Survival::ALL {
            let (disk, file) = with_durable_file(seed, 5000);
            file.write_at(&[2; 100], 5000).unwrap();
            let found = disk.crash(policy).read_file("a").unwrap();
            assert!(found.len() >= 5000);
            assert_eq!(found[..5000], [1; 5000]);
        }
    }
}

#[test]
fn what_was_not_synced_is_gone_under_nothing_and_there_under_everything() {
    let (disk, file) = with_durable_file(1, 1000);
    file.write_at(&[2; 1000], 500).unwrap();
    put(&disk, "b", b"unsynced name").sync().unwrap();
    disk.rename("a", "c").unwrap();

    let nothing = disk.crash(Survival::Nothing);
    assert_eq!(nothing.file_names(), ["a"]);
    assert_eq!(nothing.read_file("a").unwrap(), [1; 1000]);

    let everything = disk.crash(Survival::Everything);
    assert_eq!(everything.file_names(), ["b", "c"]);
    assert_eq!(everything.read_file("c").unwrap(), [[1; 500].as_slice(), &[2; 1000]].concat());
}

#[test]
fn a_name_survives_without_the_bytes_of_its_file() {
    let disk = SimDisk::new(1);
    put(&disk, "a", &[7; 2000]);
    disk.sync_dir().unwrap();
    assert_eq!(disk.crash(Survival::Nothing).read_file("a").unwrap(), []);
}

#[test]
fn a_rename_is_never_half_done() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let (disk, _) = with_durable_file(seed, 10);
        disk.write_file("b", b"replaced");
        disk.rename("a", "b").unwrap();
        let disk = disk.crash(Survival::Random);
        let done = disk.file_names() == ["b"];
        assert!(done || disk.file_names() == ["a", "b"]);
        assert_eq!(disk.read_file("b").unwrap(), if done { &[1; 10][..] } else { b"replaced" });
        outcomes.insert(done);
    }
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn operations_on_one_name_survive_in_order() {
    for seed in 0..200 {
        let (disk, _) = with_durable_file(seed, 10);
        disk.remove("a").unwrap();
        put(&disk, "new", b"").sync().unwrap();
        disk.rename("new", "a").unwrap();
        disk.rename("a", "b").unwrap();
        let names = disk.crash(Survival::Random).file_names();
        let possible: [&[&str]; 6] = [&["a"], &[], &["a", "new"], &["new"], &["a"], &["b"]];
        assert!(possible.iter().any(|possible| *possible == names), "{names:?}");
    }
}

#[test]
fn different_seeds_lose_different_sectors() {
    let mut patterns = BTreeSet::new();
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let (disk, file) = with_durable_file(seed, 8 * SECTOR);
        file.write_at(&[2; 8 * SECTOR], 0).unwrap();
        file.write_at(&[3; 100], 9 * SECTOR as u64).unwrap();
        let found = disk.crash(Survival::Random).read_file("a").unwrap();
        let (old, new) = (sectors_of(&found[..8 * SECTOR], 1), sectors_of(&found[..8 * SECTOR], 2));
        assert!(old.iter().zip(&new).all(|(old, new)| old != new), "a sector is torn");
        assert!(found[8 * SECTOR..].iter().all(|byte| [0, 3].contains(byte)));
        patterns.insert(new);
        lengths.insert(found.len());
    }
    assert!(patterns.len() > 20, "{}", patterns.len());
    assert!(patterns.contains(&vec![false; 8]) && patterns.contains(&vec![true; 8]));
    assert!(lengths.len() > 10, "{}", lengths.len());
    assert!(lengths.contains(&(8 * SECTOR)) && lengths.contains(&(9 * SECTOR + 100)));
}

#[test]
fn a_prefix_has_no_gap() {
    let mut counts = BTreeSet::new();
    for seed in 0..100 {
        let (disk, file) = with_durable_file(seed, 8 * SECTOR);
        for half in 0..2 {
            file.write_at(&[2; 4 * SECTOR], half * 4 * SECTOR as u64).unwrap();
        }
        put(&disk, "b", b"");
        let disk = disk.crash(Survival::Prefix);
        let new = sectors_of(&disk.read_file("a").unwrap(), 2);
        assert!(new.is_sorted_by(|one, other| one >= other), "{new:?}");
        let count = new.iter().filter(|&&new| new).count();
        assert!(count == 8 || disk.read_file("b").is_none());
        counts.insert(count);
    }
    assert_eq!(counts.len(), 9, "{counts:?}");
}

/// Random writes and truncations against a list of all the states since the last sync: what a crash leaves is, sector
/// by sector, one of them.
#[test]
fn every_sector_found_is_one_that_was_there() {
    for seed in 0..300 {
        let mut random = random::Random::new(seed);
        let (disk, file) = with_durable_file(seed, 3000);
        let mut states = vec![disk.read_file("a").unwrap()];
        for step in 2..20 {
            match random.below(8) {
                0 => file.set_len(random.below(6000)).unwrap(),
                1 => file.allocate(1 + random.below(9000)).unwrap(),
                2 => {
                    file.sync().unwrap();
                    states.clear();
                }
                _ => write_all_at(&*file, &vec![step; random.index(1500)], random.below(6000)).unwrap(),
            }
            states.push(disk.read_file("a").unwrap());
            let mut now = vec![9; states[states.len() - 1].len()];
            read_exact_at(&*file, &mut now, 0).unwrap();
            assert_eq!(now, states[states.len() - 1]);
        }
        assert_eq!(disk.crash(Survival::Everything).read_file("a").as_ref(), states.last());
        assert_eq!(disk.crash(Survival::Nothing).read_file("a").as_ref(), states.first());
        let found = disk.crash(Survival::Random).read_file("a").unwrap();
        let longest = states.iter().map(Vec::len).max().unwrap();
        states.iter_mut().for_each(|state| state.resize(longest, 0));
        assert!(found.len() <= longest);
        for (number, sector) in found.chunks(SECTOR).enumerate() {
            let start = number * SECTOR;
            let known = states.iter().any(|state| state[start..start + sector.len()] == *sector);
            assert!(known, "seed {seed}, sector {number}");
        }
    }
}

#[test]
fn a_found_disk_has_zeroes_past_the_end_of_its_files() {
    for seed in 0..100 {
        let (disk, file) = with_durable_file(seed, 100);
        file.write_at(&[2; 3000], 0).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Crash(When::During));
        file.sync().unwrap_err();
        let disk = disk.crash(if seed % 2 == 0 { Survival::Nothing } else { Survival::Random });
        let length = disk.read_file("a").unwrap().len();
        disk.open("a").unwrap().set_len(4000).unwrap();
        assert!(disk.read_file("a").unwrap()[length..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_killed_process_leaves_all_it_wrote_but_durable_only_what_it_synced() {
    let (disk, file) = with_durable_file(1, 10);
    let _owner = disk.lock().unwrap();
    file.write_at(&[2; 10], 0).unwrap();
    let removed = put(&disk, "removed", &[0; 10]);
    disk.remove("removed").unwrap();
    let next = disk.kill();
    assert!(disk.is_crashed() && !next.is_crashed());
    assert_eq!(kind_of(file.write_at(&[3; 10], 0)), ErrorKind::Other);
    drop(removed);
    assert_eq!(next.used_bytes(), 8192, "the removed file has lost its last handle");
    next.lock().unwrap();
    assert_eq!(next.read_file("a").unwrap(), [2; 10]);
    assert_eq!(next.crash(Survival::Nothing).read_file("a").unwrap(), [1; 10]);
    next.kill().sync_dir().unwrap_err();
}

#[test]
fn what_was_cut_off_is_found_cut_off_or_as_it_was_sector_by_sector() {
    let mut patterns = BTreeSet::new();
    for seed in 0..100 {
        let (disk, file) = with_durable_file(seed, 4 * SECTOR);
        file.set_len(100).unwrap();
        file.set_len(4 * SECTOR as u64).unwrap();
        let found = disk.crash(Survival::Random).read_file("a").unwrap();
        assert_eq!(found[..100], [1; 100]);
        assert!(found[100..].iter().all(|byte| [0, 1].contains(byte)));
        if found.len() == 4 * SECTOR {
            patterns.insert(sectors_of(&found, 1));
        }
    }
    assert!(patterns.len() > 5, "{patterns:?}");
}

#[test]
fn files_created_after_a_crash_are_others() {
    let (disk, _) = with_durable_file(1, 10);
    let disk = disk.crash(Survival::Random);
    put(&disk, "b", &[2; 10]);
    assert_eq!(disk.read_file("a").unwrap(), [1; 10]);
    assert_eq!(disk.read_file("b").unwrap(), [2; 10]);
}

#[test]
fn a_sync_of_what_is_overwritten_leaves_first_writes_unsynced() {
    let found = |everything: bool| {
        let (disk, file) = with_durable_file(1, 2 * SECTOR);
        file.allocate(4 * SECTOR as u64).unwrap();
        write_all_at(&*file, &[2; 2 * SECTOR], SECTOR as u64).unwrap();
        file.sync_overwritten().unwrap();
        if everything {
            file.sync().unwrap();
            write_all_at(&*file, &[3; SECTOR], 2 * SECTOR as u64).unwrap();
            file.sync_overwritten().unwrap();
        }
        let bytes = disk.crash(Survival::Nothing).read_file("a").unwrap();
        bytes.chunks(SECTOR).map(|sector| sector[0]).collect::<Vec<_>>()
    };
    assert_eq!(found(false), [1, 2]);
    assert_eq!(found(true), [1, 2, 3, 0]);
}

#[test]
fn what_was_cut_off_is_no_longer_overwritten() {
    let (disk, file) = with_durable_file(1, 2 * SECTOR);
    file.set_len(SECTOR as u64).unwrap();
    file.allocate(2 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    write_all_at(&*file, &[2; SECTOR], SECTOR as u64).unwrap();
    file.sync_overwritten().unwrap();
    assert_eq!(disk.crash(Survival::Nothing).read_file("a").unwrap()[SECTOR], 0);
}
