//! Opening a damaged store, and reading all that is left of it.
//!
//! Input: a byte that chooses the store (its highest bits: mend all checksums after the damage; leave the hint files out), then
//! the damage, edit by edit: what, in which file, where, and how much.
//!
//! Whatever was damaged, nothing panics and every value read is one that was written under its name and version. The
//! contents are those after some change, none of the later ones: and not before a change of which an intact frame
//! says that it was durable. Damage to values and descriptions of sealed segments costs these values alone. With
//! mended checksums the damage is not damage but another store, of which only the first of all this can be asked.

use crate::fixture::{Contents, Fixture, Name, address, fixtures, open};
use crate::input::Input;
use crate::layout::{self, FRAME_HEADER_BYTES, Files};
use larder_engine::disk::sim::SimDisk;
use larder_engine::{Address, Entry, Error, NamespaceScan, Put, Scan, Store, Tenant};

/// Mend the checksums after the damage.
const MEND: u8 = 0x80;
/// Leave the hint files out.
const WITHOUT_HINTS: u8 = 0x40;
/// Most edits of one input.
const EDITS_MAX: usize = 16;
/// Entries and namespaces on a page: few, so that there are several.
const PAGE: usize = 2;

/// Runs the target.
pub fn store(input: &[u8]) {
    let (disk, fixture, mended) = damaged_store(input);
    if mended { look(&disk) } else { check(&disk, fixture) }
}

/// The store that an input asks for, with its damage, and whether its checksums were mended.
pub(crate) fn damaged_store(input: &[u8]) -> (SimDisk, &'static Fixture, bool) {
    let mut input = Input::new(input);
    let choice = input.byte();
    let fixtures = fixtures();
    let fixture = &fixtures[usize::from(choice & !(MEND | WITHOUT_HINTS)) % fixtures.len()];
    let mut files = fixture.files.clone();
    if choice & WITHOUT_HINTS != 0 {
        files.retain(|name, _| !is_hint(name));
    }
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        edit(&mut files, &mut input);
    }
    let mended = choice & MEND != 0;
    if mended {
        layout::seal_store(&mut files, None);
    }
    let disk = SimDisk::new(0);
    files.iter().for_each(|(name, bytes)| disk.write_file(name, bytes));
    (disk, fixture, mended)
}

/// Does one edit: a kind, a file, an offset from either end, a length, and for some bytes of their own.
fn edit(files: &mut Files, input: &mut Input<'_>) {
    let [kind, file, length] = input.array();
    let offset = input.short();
    let length = usize::from(length) + 1;
    let source = nth(files, input_file(kind, input)).clone();
    let bytes = nth(files, file);
    let at = if file & 0x80 == 0 { offset.min(bytes.len()) } else { bytes.len().saturating_sub(offset) };
    let end = (at + length).min(bytes.len());
    match kind % 8 {
        0 | 1 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << (length % 8)),
        2 => {
            let new = input.take(end - at);
            bytes[at..at + new.len()].copy_from_slice(new);
        }
        3 => bytes[at..end].fill(0),
        4 => bytes.truncate(at),
        5 => bytes.extend(input.take(length)),
        6 => drop(bytes.drain(at..end)),
        _ => {
            let from = input.short().min(source.len());
            let piece = &source[from..(from + length).min(source.len())];
            let piece = &piece[..piece.len().min(bytes.len() - at)];
            bytes[at..at + piece.len()].copy_from_slice(piece);
        }
    }
}

/// Which file to copy from; only a copy spends input on it.
fn input_file(kind: u8, input: &mut Input<'_>) -> u8 {
    if kind % 8 == 7 { input.byte() } else { 0 }
}

fn nth(files: &mut Files, index: u8) -> &mut Vec<u8> {
    let index = usize::from(index & 0x7f) % files.len();
    files.values_mut().nth(index).expect("the index is below the number of files")
}

pub(crate) fn is_hint(name: &str) -> bool {
    name.ends_with(".hint")
}

/// Opens, reads and compacts a store of which nothing is known.
fn look(disk: &SimDisk) {
    let Ok(store) = open(disk) else { return };
    for (name, _) in contents(&store) {
        // Its entries need not be where the index of a made-up log says.
        let _ = store.get(address(&name));
    }
    let _ = store.put(new_name(), &Put::new(b"new"));
    if disk.file_names().iter().any(|name| is_hint(name)) {
        // With made-up hints the index holds another store than the segments do. An end in order would recount it.
        disk.kill();
        return;
    }
    let _ = store.compact();
    let _ = store.close();
}

fn check(disk: &SimDisk, fixture: &Fixture) {
    let damaged = fixture.files.keys().map(|name| (name.clone(), disk.read_file(name).unwrap_or_default()));
    let files = &damaged.collect::<Files>();
    let store = match open(disk) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
            assert!(!is_only_in_sealed_bodies(fixture, files), "values alone are damaged, and yet: {error}");
            return;
        }
    };
    let found = contents(&store);
    let state = fixture.history.iter().rev().find(|(_, contents)| *contents == found);
    let Some((version, _)) = state else { panic!("never was there {found:?} in {:?}", fixture.history) };
    let floor = known_durable(fixture, files);
    assert!(
        *version >= floor,
        "the contents are those at {version}, but {floor} is known to have been durable"
    );
    for (name, version) in &found {
        match store.get(address(name)) {
            Ok(Some(entry)) => check_entry(fixture, name, *version, &entry),
            Ok(None) => panic!("{name:?} is listed, but not there"),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error:?}"),
        }
    }
    go_on(store, disk, fixture, found);
}

fn check_entry(fixture: &Fixture, name: &Name, version: u64, entry: &Entry) {
    let written = &fixture.written[&(name.clone(), version)];
    assert_eq!(entry.version, version, "{name:?}");
    assert!(entry.value == written.value, "{name:?} has a value that was never written there");
    assert_eq!(entry.description, written.description, "{name:?}");
}

/// A store that opens also takes writes, under versions that were never answered before, and keeps them.
fn go_on(store: Store, disk: &SimDisk, fixture: &Fixture, mut found: Contents) {
    let stamp =
        store.put(new_name(), &Put::new(b"new")).expect("there is room").expect("there is no condition");
    let answered = fixture.history.last().map_or(0, |(version, _)| *version);
    assert!(stamp.version > answered, "version {} may have been answered before", stamp.version);
    store.close().expect("what was opened can be closed");
    found.insert((0, "new".to_owned(), "new".to_owned()), stamp.version);
    let store = open(disk).expect("what was closed can be opened");
    assert!(store.report().clean && store.report().cut_bytes == 0, "{:?}", store.report());
    assert_eq!(contents(&store), found);
}

fn new_name() -> Address<'static> {
    Address::new(Tenant(0), "new", "new").expect("the name is valid")
}

/// All entries by name, page by page.
pub(crate) fn contents(store: &Store) -> Contents {
    let mut contents = Contents::new();
    for tenant in [0, 7] {
        let mut last = None;
        loop {
            let scan = NamespaceScan { prefix: "", after: last.as_deref(), limit: PAGE };
            let page = store.namespaces(Tenant(tenant), &scan).expect("the store is open");
            for (namespace, count) in &page.items {
                let before = contents.len();
                list(store, tenant, namespace, &mut contents);
                assert_eq!((contents.len() - before) as u64, *count);
            }
            if !page.more {
                break;
            }
            last = page.items.last().map(|(namespace, _)| namespace.clone());
        }
    }
    contents
}

fn list(store: &Store, tenant: u32, namespace: &str, contents: &mut Contents) {
    let mut last = None;
    loop {
        let scan = Scan { namespace, prefix: "", after: last.as_deref(), reverse: false, limit: PAGE };
        let page = store.scan(Tenant(tenant), &scan).expect("the store is open");
        for (key, found) in &page.items {
            contents.insert((tenant, namespace.to_owned(), key.to_string()), found.version());
        }
        if !page.more {
            return;
        }
        last = page.items.last().map(|(key, _)| key.to_string());
    }
}

/// The version up to which the files tell that everything was durable.
fn known_durable(fixture: &Fixture, files: &Files) -> u64 {
    let open = fixture.manifest.open.iter().map(|number| format!("{number:010}.seg"));
    let marks = open.flat_map(|name| {
        let (bytes, pristine) = (&files[&name], &fixture.files[&name]);
        fixture.frames[&name].iter().filter_map(move |frame| {
            let header = frame.start..frame.start + FRAME_HEADER_BYTES;
            (bytes.get(header.clone()) == pristine.get(header)).then_some(frame.durable)
        })
    });
    let sealed = fixture.manifest.sealed.iter().map(|sealed| sealed.highest_sequence);
    marks.chain(sealed).max().unwrap_or(0)
}

/// Whether nothing but bodies of records in sealed segments was changed.
fn is_only_in_sealed_bodies(fixture: &Fixture, files: &Files) -> bool {
    fixture.files.iter().filter(|(name, _)| !is_hint(name)).all(|(name, pristine)| {
        let bytes = &files[name];
        let sealed = |number: u32| *name == format!("{number:010}.seg");
        let is_sealed = fixture.manifest.sealed.iter().any(|entry| sealed(entry.segment));
        if !is_sealed || bytes.len() != pristine.len() {
            return bytes == pristine;
        }
        let in_body = |at: usize| {
            fixture.frames[name].iter().any(|frame| frame.bodies.iter().any(|body| body.contains(&at)))
        };
        (0..bytes.len()).all(|at| bytes[at] == pristine[at] || in_body(at))
    })
}

/// Valid inputs to begin with: each store as it is, and with a little damage of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in 0..4 {
        for choice in [choice, choice | MEND, choice | WITHOUT_HINTS, choice | MEND | WITHOUT_HINTS] {
            seeds.push(vec![choice]);
            for kind in 0..8 {
                for (file, offset) in [(0, 40), (1, 100), (0x82, 90), (0x83, 20)] {
                    seeds.push(vec![choice, kind, file, 7, offset, 0, 1, 200, 0, 0xff, 0x80]);
                }
            }
        }
    }
    // Each file replaced by bytes of the input.
    for file in 0..8 {
        seeds.push([&[0, 4, file, 0, 0, 0, 5, file, 99, 0, 0][..], &[0x5a; 100]].concat());
    }
    // Each field of the manifest at its largest.
    let manifest = fixtures()[0].files.keys().position(|name| name == "MANIFEST");
    let manifest = manifest.and_then(|index| u8::try_from(index).ok()).expect("there are few files");
    for offset in (8..layout::MANIFEST_HEADER_BYTES).step_by(4) {
        let offset = u8::try_from(offset).expect("the header is short");
        seeds.push([&[MEND, 2, manifest, 7, offset, 0][..], &[0xff; 8]].concat());
    }
    seeds
}
