//! Verifying and salvaging a damaged store, against opening it.
//!
//! Input: as of the target `store`.
//!
//! Neither ends in a panic, and neither changes the store. Verify finds damage where an open is refused for it; where an
//! open succeeds and everything can be read, there is none but in overwritten values, unless the checksums were mended:
//! verify reads what an open has no use for, and which can then be anything. A salvage makes a store that
//! opens and is intact. It holds nothing that was never written; and the same as the old store, if that opens and can
//! be read. All this is about opens without hint files: with them an open looks at less.

use crate::fixture::{Contents, Fixture, address, open};
use crate::store::{contents, damaged_store, is_hint};
use larder_engine::disk::sim::SimDisk;
use larder_engine::{Damage, Error, Event, SalvageOptions, SalvageReport, Store, salvage_on, verify_on};

/// Runs the target `verify`.
pub fn verify(input: &[u8]) {
    let (disk, _, mended) = damaged_store(input);
    let Some(told) = examined(&disk) else { return };
    match open_without_hints(&disk) {
        Ok(store) if is_readable(&store) => {
            let is_overwritten = |damage: &Damage| damage.record.is_some();
            assert!(mended || told.iter().all(is_overwritten), "it opens, and yet: {told:#?}");
        }
        Ok(_) => assert!(!told.is_empty(), "a value cannot be read"),
        Err(error @ Error::Damaged { .. }) => assert!(!told.is_empty(), "it does not open: {error}"),
        Err(_) => {}
    }
}

/// Runs the target `salvage`.
pub fn salvage(input: &[u8]) {
    let (disk, fixture, mended) = damaged_store(input);
    let to = SimDisk::new(1);
    let operations = disk.op_count();
    let mut told = Vec::new();
    let salvaged = salvage_on(&disk, &to, &SalvageOptions::new(), &mut |event| note(event, &mut told));
    assert_eq!(disk.op_count(), operations, "the old store is as it was");
    let report = match salvaged {
        Ok(report) => report,
        Err(error) => {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            return;
        }
    };
    assert_eq!(examined(&to), Some(Vec::new()));
    let store = open(&to).expect("what was salvaged can be opened");
    let found = contents(&store);
    if !mended {
        check(&store, fixture, &found, &report);
    }
    match open_without_hints(&disk) {
        Ok(old) if is_readable(&old) => {
            assert_eq!(found, contents(&old), "{told:#?}");
            assert_eq!(report.lost, 0);
        }
        _ => {}
    }
}

fn open_without_hints(disk: &SimDisk) -> larder_engine::Result<Store> {
    for name in disk.file_names().into_iter().filter(|name| is_hint(name)) {
        disk.remove_file(&name).expect("it is there");
    }
    open(disk)
}

/// What verify tells of; `None` if it cannot examine the store.
fn examined(disk: &SimDisk) -> Option<Vec<Damage>> {
    let operations = disk.op_count();
    let mut told = Vec::new();
    let verified = verify_on(disk, &mut |event| note(event, &mut told));
    assert_eq!(disk.op_count(), operations, "nothing was changed");
    match verified {
        Ok(report) => {
            assert_eq!(report.is_intact(), told.is_empty());
            Some(told)
        }
        Err(error) => {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            None
        }
    }
}

fn note(event: Event<'_>, told: &mut Vec<Damage>) {
    if let Event::Damage(damage) = event {
        assert!(!damage.to_string().is_empty());
        told.push(damage.clone());
    }
}

fn is_readable(store: &Store) -> bool {
    contents(store).keys().all(|name| matches!(store.get(address(name)), Ok(Some(_))))
}

/// Checks what was salvaged against all that was ever written.
fn check(store: &Store, fixture: &Fixture, found: &Contents, report: &SalvageReport) {
    for (name, version) in found {
        let entry = store.get(address(name)).expect("it is intact").expect("it is listed");
        let written = &fixture.written[&(name.clone(), *version)];
        assert!(entry.value == written.value, "{name:?} has a value that was never written there");
        assert_eq!(entry.description, written.description, "{name:?}");
    }
    assert!(report.version >= found.values().copied().max().unwrap_or(0));
}
