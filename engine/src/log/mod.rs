//! The log on disk: records in frames in segments, and the manifest that names the segments.
//!
//! `docs/log-format.md` describes every byte. Here, `format` holds the numbers, `record`, `frame`, `header` and
//! `manifest` encode and check (pure, no I/O), `segment` is an open segment file, `scan` reads a sealed one and `check`
//! verifies it, `window` reads files from end to end for both, `hint` is a segment's digest, `writer` writes a compacted
//! one, `fill` writes zeroes ahead of the log, `reserve` is the room kept for a full disk, `mark` the highest time seen, and
//! `catalog` the keeper of them all.

pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod fill;
pub mod format;
pub mod frame;
pub mod header;
pub(crate) mod hint;
pub mod manifest;
pub(crate) mod mark;
pub mod record;
pub(crate) mod reserve;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod window;
pub(crate) mod writer;
