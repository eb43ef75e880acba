//! RocksDB, by its bindings `rocksdb`.
//!
//! Set up by the *RocksDB Tuning Guide* and *Setup Options and Basic Tuning* of its wiki, for data that fits into memory: a Bloom
//! filter of ten bits a key, hash indexes in data blocks, a block cache with room for everything, write buffers of 128 MiB, as many
//! background jobs as there are cores.

use std::path::Path;
use std::thread::available_parallelism;

use larder_benches::engines::{CACHE_BYTES, Candidate, Engine, Key, Opening, Result};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, Options, PrefixRange, ReadOptions,
    WaitForCompactOptions, WriteBatch, WriteOptions,
};

use crate::version;

pub fn candidate() -> Candidate {
    Candidate {
        name: "rocksdb",
        version: format!("{} by {}", version::of("librocksdb-sys"), version::of("rocksdb")),
        settings: "Bloom filter of 10 bits a key, hash index in data blocks, write buffers of 4 × 128 MiB, no compression; \
                   buffered: sync = false; durable: sync = true",
        openings: &[Opening::Buffered, Opening::Durable],
        open: |directory, opening| Ok(Box::new(RocksDb::open(directory, opening)?)),
    }
}

struct RocksDb {
    db: DB,
    writing: WriteOptions,
}

impl RocksDb {
    fn open(directory: &Path, opening: Opening) -> Result<RocksDb> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        blocks.set_bloom_filter(10.0, false);
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::None);
        options.set_write_buffer_size(128 << 20);
        options.set_max_write_buffer_number(4);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_bytes_per_sync(1 << 20);
        let cores = available_parallelism()?.get();
        options.increase_parallelism(i32::try_from(cores)?);
        let mut writing = WriteOptions::default();
        writing.set_sync(opening == Opening::Durable);
        Ok(RocksDb { db: DB::open(&options, directory)?, writing })
    }
}

impl Engine for RocksDb {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.writing)?)
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        let mut all = WriteBatch::default();
        for (key, value) in batch {
            all.put(key, value);
        }
        Ok(self.db.write_opt(all, &self.writing)?)
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let Some(found) = self.db.get_pinned(key)? else { return Ok(false) };
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        values.clear();
        let mut reading = ReadOptions::default();
        reading.set_iterate_range(PrefixRange(prefix));
        let mut cursor = self.db.raw_iterator_opt(reading);
        cursor.seek_to_first();
        let mut count = 0;
        while let Some(value) = cursor.value() {
            values.extend_from_slice(value);
            count += 1;
            cursor.next();
        }
        cursor.status()?;
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.db.wait_for_compact(&WaitForCompactOptions::default())?)
    }

    fn compact(&mut self) -> Result<()> {
        self.db.flush()?;
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }
}
