//! A disk without mappings: the engine then reads by system calls, and the two ways can be compared.

use larder_engine::disk::{Disk, DiskFile, DiskLock, Map, RealDisk};
use std::io;
use std::sync::Arc;

/// A real disk whose files cannot be mapped.
#[derive(Debug)]
pub struct UnmappedDisk(pub RealDisk);

#[derive(Debug)]
struct UnmappedFile(Arc<dyn DiskFile>);

impl Disk for UnmappedDisk {
    fn location(&self) -> String {
        self.0.location()
    }
    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        self.0.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnmappedFile(self.0.create(name)?)))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnmappedFile(self.0.open(name)?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
    fn overwrites_in_place(&self) -> bool {
        self.0.overwrites_in_place()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}

impl DiskFile for UnmappedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn sync_overwritten(&self) -> io::Result<()> {
        self.0.sync_overwritten()
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn data_len(&self) -> io::Result<u64> {
        self.0.data_len()
    }
    fn map(&self, _length: u64) -> io::Result<Option<Map>> {
        Ok(None)
    }
}
