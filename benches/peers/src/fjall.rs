//! fjall.
//!
//! Its defaults, which give every write to the operating system and sync none; durable, each is followed by a `persist` as its
//! documentation says. Point reads are told to expect a hit, which is what that option is for.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use larder_benches::engines::{CACHE_BYTES, Candidate, Engine, Key, Opening, Result};

use crate::version;

pub fn candidate() -> Candidate {
    Candidate {
        name: "fjall",
        version: version::of("fjall").to_owned(),
        settings: "expect_point_read_hits, no compression; buffered: PersistMode::Buffer; durable: PersistMode::SyncData",
        openings: &[Opening::Buffered, Opening::Durable],
        open: |directory, opening| Ok(Box::new(Fjall::open(directory, opening)?)),
    }
}

struct Fjall {
    database: Database,
    entries: Keyspace,
    is_durable: bool,
}

impl Fjall {
    fn open(directory: &Path, opening: Opening) -> Result<Fjall> {
        let database = Database::builder(directory).cache_size(CACHE_BYTES as u64).open()?;
        let entries =
            database.keyspace("entries", || KeyspaceCreateOptions::default().expect_point_read_hits(true))?;
        Ok(Fjall { database, entries, is_durable: opening == Opening::Durable })
    }

    fn persist(&self) -> Result<()> {
        if self.is_durable {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Engine for Fjall {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.entries.insert(&key[..], value)?;
        self.persist()
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        let mut all = self.database.batch();
        for (key, value) in batch {
            all.insert(&self.entries, &key[..], *value);
        }
        all.commit()?;
        self.persist()
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let Some(found) = self.entries.get(key)? else { return Ok(false) };
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        values.clear();
        let mut count = 0;
        for entry in self.entries.prefix(prefix) {
            values.extend_from_slice(&entry.value()?);
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.entries.rotate_memtable_and_wait()?;
        Ok(self.entries.major_compact()?)
    }
}
