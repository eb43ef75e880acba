//! LMDB, by its bindings `heed`.
//!
//! Buffered it runs with `MDB_NOSYNC`, of which its documentation says that a crash of the system then loses the last transactions
//! and nothing else, where the file system keeps the order of writes; and so without `MDB_WRITEMAP`, with which that would not hold.
//! Every read is a transaction of its own, as one that is held on to reads the past.
#![expect(unsafe_code, reason = "heed opens environments by an unsafe function alone")]

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CompactionOption, Database, Env, EnvFlags, EnvOpenOptions};
use larder_benches::engines::{Candidate, Engine, Key, Opening, Result};

use crate::version;

pub fn candidate() -> Candidate {
    Candidate {
        name: "lmdb",
        version: format!("{} by heed {}", version::of("lmdb-master-sys"), version::of("heed")),
        settings: "a map of 16 GiB, compaction by a compacting copy; buffered: MDB_NOSYNC; durable: no flags",
        openings: &[Opening::Buffered, Opening::Durable],
        open: |directory, opening| {
            let flags = if opening == Opening::Durable { EnvFlags::empty() } else { EnvFlags::NO_SYNC };
            Ok(Box::new(Lmdb::open(directory.to_owned(), flags)?))
        },
    }
}

const MAP_BYTES: usize = 16 << 30;
/// More than there are callers.
const READERS: u32 = 512;

struct Lmdb {
    directory: PathBuf,
    flags: EnvFlags,
    env: Env,
    entries: Database<Bytes, Bytes>,
}

impl Lmdb {
    fn open(directory: PathBuf, flags: EnvFlags) -> Result<Lmdb> {
        let env = environment(&directory, flags)?;
        let mut writing = env.write_txn()?;
        let entries = env.create_database(&mut writing, None)?;
        writing.commit()?;
        Ok(Lmdb { directory, flags, env, entries })
    }
}

fn environment(directory: &Path, flags: EnvFlags) -> Result<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(READERS);
    // SAFETY: the flags take no lock away, and the directory is this process's own: nobody else changes the file that is mapped.
    Ok(unsafe { options.flags(flags).open(directory) }?)
}

impl Engine for Lmdb {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let mut writing = self.env.write_txn()?;
        self.entries.put(&mut writing, key, value)?;
        Ok(writing.commit()?)
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        let mut writing = self.env.write_txn()?;
        for (key, value) in batch {
            self.entries.put(&mut writing, key, value)?;
        }
        Ok(writing.commit()?)
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let reading = self.env.read_txn()?;
        let Some(found) = self.entries.get(&reading, key)? else { return Ok(false) };
        value.extend_from_slice(found);
        Ok(true)
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        values.clear();
        let reading = self.env.read_txn()?;
        let mut count = 0;
        for entry in self.entries.prefix_iter(&reading, prefix)? {
            values.extend_from_slice(entry?.1);
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    /// A compacting copy, which is opened in place of the original.
    fn compact(&mut self) -> Result<()> {
        let directory = self.directory.join("compacted");
        std::fs::create_dir(&directory)?;
        self.env.copy_to_path(directory.join("data.mdb"), CompactionOption::Enabled)?;
        *self = Lmdb::open(directory, self.flags)?;
        Ok(())
    }
}
