//! redb.
//!
//! Buffered, commits are of durability `None`, and one a second is `Immediate`, as Larder syncs once a second: redb has nothing
//! between the two, so what was not synced is lost with the process too. Every read is a transaction of its own.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use larder_benches::engines::{CACHE_BYTES, Candidate, Engine, Key, Opening, Result};
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition};

use crate::version;

pub fn candidate() -> Candidate {
    Candidate {
        name: "redb",
        version: version::of("redb").to_owned(),
        settings: "buffered: Durability::None, and Immediate once a second; durable: Durability::Immediate",
        openings: &[Opening::Buffered, Opening::Durable],
        open: |directory, opening| Ok(Box::new(Redb::open(directory, opening)?)),
    }
}

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

struct Redb {
    database: Database,
    /// When the last commit was one that is on the disk; `None` if all are to be.
    synced: Option<Mutex<Instant>>,
}

impl Redb {
    fn open(directory: &Path, opening: Opening) -> Result<Redb> {
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(directory.join("data.redb"))?;
        let synced = (opening != Opening::Durable).then(|| Mutex::new(Instant::now()));
        let redb = Redb { database, synced };
        redb.commit(Durability::Immediate, &[])?;
        Ok(redb)
    }

    fn durability(&self) -> Durability {
        let Some(synced) = &self.synced else { return Durability::Immediate };
        let mut synced = synced.lock().expect("nobody panics with it");
        if synced.elapsed() < SYNC_INTERVAL {
            return Durability::None;
        }
        *synced = Instant::now();
        Durability::Immediate
    }

    fn commit(&self, durability: Durability, batch: &[(Key, &[u8])]) -> Result<()> {
        let mut writing = self.database.begin_write()?;
        writing.set_durability(durability)?;
        let mut entries = writing.open_table(ENTRIES)?;
        for (key, value) in batch {
            entries.insert(&key[..], *value)?;
        }
        drop(entries);
        Ok(writing.commit()?)
    }
}

impl Engine for Redb {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.commit(self.durability(), &[(*key, value)])
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        self.commit(self.durability(), batch)
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let reading = self.database.begin_read()?;
        let Some(found) = reading.open_table(ENTRIES)?.get(&key[..])? else { return Ok(false) };
        value.extend_from_slice(found.value());
        Ok(true)
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        values.clear();
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        let mut count = 0;
        for entry in entries.range(prefix..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            values.extend_from_slice(value.value());
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        self.commit(Durability::Immediate, &[])
    }

    fn compact(&mut self) -> Result<()> {
        self.database.compact()?;
        Ok(())
    }
}
