//! sled.
//!
//! Buffered, its thread flushes once a second, as Larder syncs: what was not flushed is lost with the process too. It has no
//! compaction to be asked for.

use std::path::Path;

use larder_benches::engines::{CACHE_BYTES, Candidate, Engine, Key, Opening, Result};
use sled::{Batch, Config, Db, Mode};

use crate::version;

pub fn candidate() -> Candidate {
    Candidate {
        name: "sled",
        version: version::of("sled").to_owned(),
        settings: "Mode::HighThroughput; buffered: flush_every_ms = 1000; durable: flush after each put",
        openings: &[Opening::Buffered, Opening::Durable],
        open: |directory, opening| Ok(Box::new(Sled::open(directory, opening)?)),
    }
}

const SYNC_INTERVAL_MS: u64 = 1000;

struct Sled {
    db: Db,
    is_durable: bool,
}

impl Sled {
    fn open(directory: &Path, opening: Opening) -> Result<Sled> {
        let is_durable = opening == Opening::Durable;
        let config =
            Config::new().path(directory).mode(Mode::HighThroughput).cache_capacity(CACHE_BYTES as u64);
        let flush = (!is_durable).then_some(SYNC_INTERVAL_MS);
        Ok(Sled { db: config.flush_every_ms(flush).open()?, is_durable })
    }

    fn flush(&self) -> Result<()> {
        if self.is_durable {
            self.db.flush()?;
        }
        Ok(())
    }
}

impl Engine for Sled {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.db.insert(key, value)?;
        self.flush()
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        let mut all = Batch::default();
        for (key, value) in batch {
            all.insert(&key[..], *value);
        }
        self.db.apply_batch(all)?;
        self.flush()
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let Some(found) = self.db.get(key)? else { return Ok(false) };
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        values.clear();
        let mut count = 0;
        for entry in self.db.scan_prefix(prefix) {
            values.extend_from_slice(&entry?.1);
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        Ok(())
    }
}
