//! Faults that a test orders, and what they do to the operation they hit.

use super::trace::OpKind;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;

/// Something that goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It fails with an input/output error and has no effect. A sync behaves as on Linux: what it should have
    /// written counts as clean afterwards, so that the next sync succeeds although the data is lost.
    Eio,
    /// As [`Fault::Eio`], but any part of it has taken effect: some sectors of a write, some of what a sync should
    /// have made durable; anything else wholly or not at all.
    EioPartly,
    /// It fails for want of space and has no effect; a sync loses its data as with [`Fault::Eio`].
    Enospc,
    /// It fails for want of quota; otherwise as [`Fault::Enospc`].
    Edquot,
    /// It fails because the process has no descriptor left, and has no effect.
    Emfile,
    /// It fails because the file system was remounted for reading only, and has no effect.
    Erofs,
    /// It is interrupted by a signal and has no effect.
    Interrupted,
    /// A write takes fewer bytes than it was given (but at least one); nothing else is affected.
    ShortWrite,
    /// From this operation on, and for itself already, the disk is full, until it is given a capacity anew.
    DiskFull,
    /// The power fails. This operation and all later ones fail; [`super::SimDisk::crash`] tells what is found.
    Crash(When),
}

/// When during an operation the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// Before it has had any effect.
    Before,
    /// Halfway: some sectors of a write have reached the operating system, a sync has made some of its sectors or
    /// directory entries durable; anything else has happened or not.
    During,
    /// After it took effect, but before the caller was told.
    After,
}

/// What becomes of an operation.
#[derive(Debug)]
pub(super) enum Verdict {
    Proceed,
    ProceedShort,
    Fail(Extent, Failure),
}

/// How much of a failing operation takes effect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    Nothing,
    Partly,
    Whole,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Device,
    NoSpace,
    NoQuota,
    NoDescriptor,
    ReadOnly,
    Interrupted,
    PowerCut,
}

impl Failure {
    /// Whether a sync that fails like this takes the dirty data for written.
    pub(super) fn loses_dirty_data(self) -> bool {
        matches!(self, Failure::Device | Failure::NoSpace | Failure::NoQuota)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        match failure {
            Failure::Device => Errno::IO.into(),
            Failure::NoSpace => Errno::NOSPC.into(),
            Failure::NoQuota => Errno::DQUOT.into(),
            Failure::NoDescriptor => Errno::MFILE.into(),
            Failure::ReadOnly => Errno::ROFS.into(),
            Failure::Interrupted => Errno::INTR.into(),
            Failure::PowerCut => io::Error::other("the simulated disk has lost its power"),
        }
    }
}

impl Fault {
    fn verdict(self) -> Verdict {
        match self {
            Fault::Eio => Verdict::Fail(Extent::Nothing, Failure::Device),
            Fault::EioPartly => Verdict::Fail(Extent::Partly, Failure::Device),
            Fault::Enospc => Verdict::Fail(Extent::Nothing, Failure::NoSpace),
            Fault::Edquot => Verdict::Fail(Extent::Nothing, Failure::NoQuota),
            Fault::Emfile => Verdict::Fail(Extent::Nothing, Failure::NoDescriptor),
            Fault::Erofs => Verdict::Fail(Extent::Nothing, Failure::ReadOnly),
            Fault::Interrupted => Verdict::Fail(Extent::Nothing, Failure::Interrupted),
            Fault::ShortWrite => Verdict::ProceedShort,
            Fault::DiskFull => Verdict::Proceed,
            Fault::Crash(When::Before) => Verdict::Fail(Extent::Nothing, Failure::PowerCut),
            Fault::Crash(When::During) => Verdict::Fail(Extent::Partly, Failure::PowerCut),
            Fault::Crash(When::After) => Verdict::Fail(Extent::Whole, Failure::PowerCut),
        }
    }
}

impl From<Option<Fault>> for Verdict {
    fn from(fault: Option<Fault>) -> Verdict {
        fault.map_or(Verdict::Proceed, Fault::verdict)
    }
}

/// The faults to come, and the counts of operations that bring them on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    changes: Series,
    reads: Series,
    next: Vec<(OpKind, Fault)>,
}

/// Operations counted together, with the faults ordered at some of their numbers.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) count: u64,
    pub(super) faults: BTreeMap<u64, Fault>,
}

impl Faults {
    pub(super) fn changes(&mut self) -> &mut Series {
        &mut self.changes
    }

    pub(super) fn reads(&mut self) -> &mut Series {
        &mut self.reads
    }

    pub(super) fn order_next(&mut self, kind: OpKind, fault: Fault) {
        self.next.push((kind, fault));
    }

    /// Counts an operation and takes the fault that hits it.
    pub(super) fn strike(&mut self, kind: OpKind) -> Option<Fault> {
        let series = if kind.is_read() { &mut self.reads } else { &mut self.changes };
        let number = series.count;
        series.count += 1;
        series.faults.remove(&number).or_else(|| {
            let position = self.next.iter().position(|(wanted, _)| *wanted == kind)?;
            Some(self.next.remove(position).1)
        })
    }
}
