//! The hot paths of Larder, each by itself: what `cargo bench` times, and whose instructions `larder-instructions` counts.
//!
//! A path is made once, with all that it needs, and can then be walked again and again at the same cost. Everything that it
//! works on follows from constants; what cannot be fixed, the secret key of the engine's hashes, is averaged over thousands of
//! operations.

mod codec;
mod data;
mod index;
mod record;
mod store;
mod wheel;

/// A hot path, ready to be walked.
pub struct Path {
    /// How many operations a walk makes.
    pub operations: u32,
    /// Walks it.
    pub walk: Box<dyn FnMut()>,
}

impl Path {
    fn new(operations: usize, walk: impl FnMut() + 'static) -> Path {
        let operations = u32::try_from(operations).expect("some thousands");
        Path { operations, walk: Box::new(walk) }
    }
}

/// Makes a path.
pub type Make = fn() -> Path;

/// All hot paths, by the names that they are known under.
pub const PATHS: &[(&str, Make)] = &[
    ("codec: cut lines", codec::cut),
    ("codec: parse a GET", codec::parse_get),
    ("codec: parse a SET", codec::parse_set),
    ("codec: parse a SET with options", codec::parse_set_with_options),
    ("codec: write VAL", codec::write_val),
    ("codec: write OK with a version", codec::write_ok),
    ("record: encode", record::encode),
    ("record: decode", record::decode),
    ("index: get", index::get),
    ("index: insert", index::insert),
    ("index: overwrite", index::overwrite),
    ("index: scan, an entry", index::scan),
    ("store: get", store::get),
    ("store: get in batches of 16", store::get_in_batches),
    ("store: set in batches of 16", store::set_in_batches),
    ("store: scan with values, an entry", store::scan),
    ("wheel: insert and cancel", wheel::insert_and_cancel),
    ("wheel: insert, and advance until due", wheel::insert_and_advance),
];

/// Walks a path. By itself, so that its instructions can be told from those of what was before and comes after.
#[inline(never)]
pub fn counted(walk: &mut dyn FnMut()) {
    walk();
}
