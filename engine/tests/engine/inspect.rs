//! A look from outside: at open, closed and damaged stores, without a trace.

use larder_engine::{Address, Condition, Error, Options, Put, Store, Tenant, inspect};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A store of several segments, each with its hint.
fn filled(directory: &Path) -> Store {
    let store = Options::new().segment_bytes(1 << 20).open(directory).unwrap();
    for number in 0..40 {
        let key = format!("key:{number}");
        let address = Address::new(Tenant::DEFAULT, "n", &key).unwrap();
        store.put(address, &Put::new(&[b'x'; 100_000])).unwrap().unwrap();
    }
    let gone = Address::new(Tenant::DEFAULT, "n", "key:0").unwrap();
    store.delete(gone, Condition::Always).unwrap().unwrap();
    store
}

/// All files with their contents.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    fs::read_dir(directory).unwrap().map(entry).collect()
}

#[test]
fn an_open_store_and_a_closed_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = filled(&data);
    let open = inspect(&data).unwrap();
    assert_eq!(open.owner, Some(std::process::id().to_string()));
    assert!(!open.clean && open.damage.is_empty(), "{open:?}");
    store.close().unwrap();
    let before = contents(&data);
    let closed = inspect(&data).unwrap();
    assert_eq!(contents(&data), before);
    assert_eq!((closed.owner, closed.clean, closed.damage), (None, true, vec![]));
    assert!(closed.segments > 2 && closed.records == 41 && closed.bytes > 4_000_000);
    assert!(closed.time_ms > 1_600_000_000_000);
    // Nobody was kept out, and nobody is.
    Store::open(&data).unwrap().close().unwrap();
}

#[test]
fn what_is_missing_or_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    filled(&data).close().unwrap();
    for name in contents(&data).into_keys().filter(|name| name.ends_with(".hint")) {
        fs::remove_file(data.join(name)).unwrap();
    }
    let segments = contents(&data).into_keys().filter(|name| name.ends_with(".seg")).collect::<Vec<_>>();
    let inspection = inspect(&data).unwrap();
    assert_eq!(inspection.missing_hints.len(), segments.len());
    assert_eq!(inspection.damage, []);

    fs::remove_file(data.join(&segments[0])).unwrap();
    let second = fs::OpenOptions::new().write(true).open(data.join(&segments[1])).unwrap();
    second.set_len(5_000).unwrap();
    let mut third = fs::read(data.join(&segments[2])).unwrap();
    third[20] ^= 1;
    fs::write(data.join(&segments[2]), third).unwrap();
    let damage = inspect(&data).unwrap().damage;
    let told: Vec<_> = damage.iter().map(|damage| (damage.file.as_str(), damage.what)).collect();
    assert_eq!(
        told,
        [
            (segments[0].as_str(), "the file is missing"),
            (segments[1].as_str(), "the file is shorter than it was"),
            (segments[2].as_str(), "the header does not match its checksum"),
        ]
    );

    let mut manifest = fs::read(data.join("MANIFEST")).unwrap();
    manifest[40] ^= 1;
    fs::write(data.join("MANIFEST"), manifest).unwrap();
    assert!(matches!(inspect(&data), Err(Error::Damaged { .. })));
    fs::remove_file(data.join("MANIFEST")).unwrap();
    assert!(matches!(inspect(&data), Err(Error::Damaged { .. })));
}

#[test]
fn what_is_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    assert!(matches!(inspect(path("nowhere")), Err(Error::Missing { .. })));
    fs::create_dir(path("empty")).unwrap();
    assert!(matches!(inspect(path("empty")), Err(Error::Missing { .. })));
    assert_eq!(fs::read_dir(path("empty")).unwrap().count(), 0);
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other").join("notes.txt"), "mine").unwrap();
    assert!(matches!(inspect(path("other")), Err(Error::NotAStore { .. })));
    let store = filled(&path("data"));
    store.backup(path("backup")).unwrap();
    assert!(matches!(inspect(path("backup")), Err(Error::IsBackup { .. })));
}
