//! The log on disk: records in frames in segments, and the manifest that names the segments.
//!
//! `docs/log-format.md` describes every byte. Here, `format` holds the numbers, `record`, `frame`, `header` and
//! `manifest` encode and check (pure, no I/O), `segment` is an open segment file, and `catalog` the keeper of them all.
//! `check` reads a sealed segment from end to end.

pub(crate) mod catalog;
pub(crate) mod check;
pub mod format;
pub mod frame;
pub mod header;
pub mod manifest;
pub mod record;
pub(crate) mod segment;
