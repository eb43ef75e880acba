//! The simulated disk's operations on its directory.

use super::{BLOCK_U64, Extent, Op, OpKind, State, Verdict, not_found};
use crate::disk::sim::contents::Contents;
use crate::disk::sim::inode::Inode;
use rustix::io::Errno;
use std::io;
use std::sync::Arc;

impl State {
    pub(in crate::disk::sim) fn list(&mut self, directory: &str) -> io::Result<Vec<String>> {
        self.run(Op::new(OpKind::List, directory.into()), |state| Ok(state.names(directory)))
    }

    pub(in crate::disk::sim) fn free_bytes(&mut self) -> io::Result<u64> {
        self.run(Op::new(OpKind::FreeBytes, "".into()), |state| Ok(state.free()))
    }

    pub(in crate::disk::sim) fn open(&mut self, name: &str) -> io::Result<u64> {
        self.run(Op::new(OpKind::Open, name.into()), |state| {
            state.check_descriptors()?;
            state.find(name)
        })
    }

    pub(in crate::disk::sim) fn create(&mut self, name: Arc<str>) -> io::Result<u64> {
        self.run(Op::new(OpKind::Create, Arc::clone(&name)), |state| {
            if state.directory.current().contains_key(&name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.check_descriptors()?;
            if state.free() < BLOCK_U64 || state.file_count() >= state.limits.files {
                return Err(Errno::NOSPC.into());
            }
            Ok(state.insert(name, Contents::default()))
        })
    }

    pub(in crate::disk::sim) fn rename(&mut self, from: Arc<str>, to: Arc<str>) -> io::Result<()> {
        let op = Op { to: Some(Arc::clone(&to)), ..Op::new(OpKind::Rename, Arc::clone(&from)) };
        self.run(op, |state| {
            let number = state.find(&from)?;
            if from == to {
                return Ok(());
            }
            let replaced = state.directory.current().get(&to).copied();
            let sequence = state.next_sequence();
            state.directory.rename(sequence, from, Arc::clone(&to), number);
            state.inode_mut(number)?.name = to;
            replaced.map_or(Ok(()), |replaced| state.unlink(replaced))
        })
    }

    pub(in crate::disk::sim) fn link(&mut self, from: Arc<str>, to: Arc<str>) -> io::Result<()> {
        let op = Op { to: Some(Arc::clone(&to)), ..Op::new(OpKind::Link, Arc::clone(&from)) };
        self.run(op, |state| {
            let number = state.find(&from)?;
            if state.directory.current().contains_key(&to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let sequence = state.next_sequence();
            state.directory.insert(sequence, to, number);
            state.inode_mut(number)?.links += 1;
            Ok(())
        })
    }

    pub(in crate::disk::sim) fn remove(&mut self, name: Arc<str>) -> io::Result<()> {
        self.run(Op::new(OpKind::Remove, Arc::clone(&name)), |state| {
            let number = state.find(&name)?;
            let sequence = state.next_sequence();
            state.directory.remove(sequence, name);
            state.unlink(number)
        })
    }

    pub(in crate::disk::sim) fn sync_dir(&mut self, directory: &str) -> io::Result<()> {
        match self.begin(Op::new(OpKind::SyncDir, directory.into()))? {
            Verdict::Proceed | Verdict::ProceedShort => {
                self.settle_directory(directory);
                Ok(())
            }
            Verdict::Fail(extent, failure) => {
                match extent {
                    Extent::Nothing => {}
                    Extent::Partly => self.directory.sync_partly(directory, &mut self.random),
                    Extent::Whole => self.directory.sync(directory),
                }
                if failure.loses_dirty_data() {
                    self.directory.forget_pending(directory);
                }
                Err(self.fail(failure))
            }
        }
    }

    pub(super) fn settle_directory(&mut self, directory: &str) {
        self.directory.sync(directory);
        let kept = self.directory.recoverable_inodes();
        self.inodes.retain(|number, inode| inode.links > 0 || inode.handles > 0 || kept.contains(number));
    }

    pub(super) fn find(&self, name: &str) -> io::Result<u64> {
        self.directory.current().get(name).copied().ok_or_else(not_found)
    }

    pub(super) fn insert(&mut self, name: Arc<str>, contents: Contents) -> u64 {
        self.inodes_created += 1;
        let number = self.inodes_created;
        self.adopt(number, Inode::new(Arc::clone(&name), contents));
        let sequence = self.next_sequence();
        self.directory.insert(sequence, name, number);
        number
    }

    pub(super) fn unlink(&mut self, number: u64) -> io::Result<()> {
        self.inode_mut(number)?.links -= 1;
        self.release_if_unused(number);
        Ok(())
    }

    /// Gives back the space of a file without name and handle. Its bytes stay until a `sync_dir`, because a crash
    /// before may bring the name back.
    pub(super) fn release_if_unused(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number)
            && inode.links == 0
            && inode.handles == 0
        {
            self.used -= inode.allocated + BLOCK_U64;
            inode.allocated = 0;
        }
    }
}
