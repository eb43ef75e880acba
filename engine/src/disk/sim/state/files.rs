//! The simulated disk's operations on open files.

use super::{BLOCK_U64, Extent, Op, OpKind, State, Verdict};
use crate::disk::sim::inode::{Reach, sector_pieces};
use rustix::io::Errno;
use std::io;

impl State {
    /// Ends all handles of a file at once, as the end of a process does.
    pub(in crate::disk::sim) fn close(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles = 0;
        }
        self.release_if_unused(number);
    }

    pub(in crate::disk::sim) fn add_handle(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles += 1;
        }
    }

    pub(in crate::disk::sim) fn drop_handle(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles -= 1;
        }
        self.release_if_unused(number);
    }

    pub(in crate::disk::sim) fn len(&mut self, number: u64) -> io::Result<u64> {
        let op = self.op(OpKind::Len, number)?;
        self.run(op, |state| Ok(state.inode(number)?.current().len()))
    }

    pub(in crate::disk::sim) fn read_at(
        &mut self,
        number: u64,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let op = Op { offset, length: buffer.len() as u64, ..self.op(OpKind::Read, number)? };
        self.run(op, |state| Ok(state.inode(number)?.current().read(buffer, offset)))
    }

    pub(in crate::disk::sim) fn write_at(
        &mut self,
        number: u64,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<usize> {
        let checksum = crc32fast::hash(bytes);
        let op = Op { offset, length: bytes.len() as u64, checksum, ..self.op(OpKind::Write, number)? };
        match self.begin(op)? {
            Verdict::Proceed => self.write(number, bytes, offset),
            Verdict::ProceedShort => {
                let count = bytes.len().min(1 + self.random.index(bytes.len().saturating_sub(1)));
                self.write(number, &bytes[..count], offset)
            }
            Verdict::Fail(extent, failure) => {
                match extent {
                    Extent::Nothing => {}
                    Extent::Partly => self.write_some_sectors(number, bytes, offset),
                    Extent::Whole => drop(self.write(number, bytes, offset)),
                }
                Err(self.fail(failure))
            }
        }
    }

    fn write_some_sectors(&mut self, number: u64, bytes: &[u8], offset: u64) {
        if self.end_of(offset, bytes.len() as u64).is_err() {
            return;
        }
        for range in sector_pieces(offset, bytes.len()) {
            if self.random.coin() {
                let start = offset + range.start as u64;
                drop(self.write(number, &bytes[range], start));
            }
        }
    }

    /// Writes as many of the bytes as there is room for.
    fn write(&mut self, number: u64, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // As many as the file may have.
        let most = self.limits.file_bytes.saturating_sub(offset).min(bytes.len() as u64);
        let end = self.end_of(offset, most.max(1))?;
        let room = self.inode(number)?.allocated + self.free() / BLOCK_U64 * BLOCK_U64;
        let count = usize::try_from(end.min(room).saturating_sub(offset)).unwrap_or(usize::MAX);
        if count == 0 {
            return Err(Errno::NOSPC.into());
        }
        self.reserve(number, offset + count as u64)?;
        let sequence = self.next_sequence();
        self.inode_mut(number)?.write(sequence, &bytes[..count], offset);
        Ok(count)
    }

    /// Where `length` bytes from `offset` end.
    fn end_of(&self, offset: u64, length: u64) -> io::Result<u64> {
        let end = offset.checked_add(length).filter(|end| *end <= self.limits.file_bytes);
        end.ok_or_else(|| Errno::FBIG.into())
    }

    /// Takes the space for a file's first `end` bytes: files are counted as if they had no holes.
    fn reserve(&mut self, number: u64, end: u64) -> io::Result<()> {
        let free = self.free();
        let inode = self.inode_mut(number)?;
        let more = end.next_multiple_of(BLOCK_U64).saturating_sub(inode.allocated);
        if more > free {
            return Err(Errno::NOSPC.into());
        }
        inode.allocated += more;
        self.used += more;
        Ok(())
    }

    pub(in crate::disk::sim) fn set_len(&mut self, number: u64, length: u64) -> io::Result<()> {
        let op = Op { length, ..self.op(OpKind::SetLen, number)? };
        self.run(op, |state| {
            state.end_of(0, length)?;
            let sequence = state.next_sequence();
            let inode = state.inode_mut(number)?;
            inode.set_len(sequence, length);
            let surplus = inode.allocated.saturating_sub(length.next_multiple_of(BLOCK_U64));
            inode.allocated -= surplus;
            state.used -= surplus;
            Ok(())
        })
    }

    pub(in crate::disk::sim) fn allocate(&mut self, number: u64, length: u64) -> io::Result<()> {
        let op = Op { length, ..self.op(OpKind::Allocate, number)? };
        self.run(op, |state| {
            if length == 0 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            state.end_of(0, length)?;
            state.reserve(number, length)?;
            let sequence = state.next_sequence();
            let inode = state.inode_mut(number)?;
            if length > inode.current().len() {
                inode.set_len(sequence, length);
            }
            Ok(())
        })
    }

    pub(in crate::disk::sim) fn sync(&mut self, number: u64, reach: Reach) -> io::Result<()> {
        let op = self.op(OpKind::Sync, number)?;
        let verdict = self.begin(op)?;
        let mut random = self.random.fork();
        let inode = self.inode_mut(number)?;
        let (extent, failure) = match verdict {
            Verdict::Proceed | Verdict::ProceedShort => (Extent::Whole, None),
            Verdict::Fail(extent, failure) => (extent, Some(failure)),
        };
        match extent {
            Extent::Nothing => {}
            Extent::Partly => inode.sync_partly(&mut random),
            Extent::Whole => inode.sync(reach),
        }
        let Some(failure) = failure else { return Ok(()) };
        if failure.loses_dirty_data() {
            inode.forget_pending();
        }
        Err(self.fail(failure))
    }
}
