//! What the replies of a run add up to: counts by kind, and the latencies.

use hdrhistogram::Histogram;

use crate::Error;
use crate::dialect::{Operation, Reply};

/// Latencies are kept from 100 ns to 60 s with three significant digits; what is outside counts as the nearest.
const LATENCY_NS_MIN: u64 = 100;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// Counts and latencies of one run.
#[derive(Debug)]
pub struct Tally {
    /// Replies in all.
    pub replies: u64,
    /// Reads answered with a value of the size that was stored.
    pub values: u64,
    /// Reads that found nothing.
    pub nils: u64,
    /// Writes done.
    pub done: u64,
    /// Writes whose condition did not hold.
    pub refused: u64,
    /// Scans, whatever they found.
    pub scans: u64,
    /// Entries that scans found.
    pub scanned: u64,
    /// Error replies.
    pub errors: u64,
    /// Replies that do not answer the request: another kind, or a value of another size.
    pub wrong: u64,
    /// The first reply that counted as error or wrong.
    pub first_fault: Option<String>,
    /// Nanoseconds to each reply: in a closed loop from the write of its batch, in an open one from the time at which the
    /// request was due.
    pub latency_ns: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency_ns = Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
            .expect("the bounds are constants in range");
        Self {
            replies: 0,
            values: 0,
            nils: 0,
            done: 0,
            refused: 0,
            scans: 0,
            scanned: 0,
            errors: 0,
            wrong: 0,
            first_fault: None,
            latency_ns,
        }
    }
}

impl Tally {
    /// Counts one reply, of which `text` is all bytes; a value is expected to have `value_bytes`.
    pub(crate) fn count(&mut self, asked: Operation, reply: Reply, value_bytes: usize, text: &[u8]) {
        self.replies += 1;
        let counter = match (asked, reply) {
            (Operation::Get | Operation::GetToSwap, Reply::Value { bytes, .. }) if bytes == value_bytes => {
                &mut self.values
            }
            (Operation::Get | Operation::GetToSwap, Reply::Nil) => &mut self.nils,
            (Operation::Set | Operation::Add | Operation::Swap, Reply::Done) => &mut self.done,
            // What was read may have been changed since, or be gone.
            (Operation::Add | Operation::Swap, Reply::Refused) | (Operation::Swap, Reply::Nil) => {
                &mut self.refused
            }
            (Operation::Scan, Reply::Entries(count)) => {
                self.scanned += count;
                &mut self.scans
            }
            (_, fault) => {
                self.first_fault.get_or_insert_with(|| format!("{asked:?} answered {:?}", excerpt(text)));
                if fault == Reply::Error { &mut self.errors } else { &mut self.wrong }
            }
        };
        *counter += 1;
    }

    /// Fails if any reply was an error or wrong.
    pub fn require_faultless(&self) -> Result<(), Error> {
        match &self.first_fault {
            None => Ok(()),
            Some(first) => Err(Error::Faults { count: self.errors + self.wrong, first: first.clone() }),
        }
    }
}

/// The start of a reply, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const EXCERPT_BYTES: usize = 120;
    String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_BYTES)]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_by_what_was_asked() {
        let mut tally = Tally::default();
        let value = |bytes| Reply::Value { bytes, version: 0 };
        tally.count(Operation::Get, value(5), 5, b"");
        tally.count(Operation::GetToSwap, value(5), 5, b"");
        tally.count(Operation::Get, Reply::Nil, 5, b"");
        for write in [Operation::Set, Operation::Add, Operation::Swap] {
            tally.count(write, Reply::Done, 5, b"");
        }
        tally.count(Operation::Add, Reply::Refused, 5, b"");
        tally.count(Operation::Swap, Reply::Nil, 5, b"");
        tally.count(Operation::Scan, Reply::Entries(7), 5, b"");
        assert_eq!((tally.values, tally.nils, tally.done, tally.refused), (2, 1, 3, 2));
        assert_eq!((tally.scans, tally.scanned), (1, 7));
        assert!(tally.require_faultless().is_ok());

        tally.count(Operation::Get, value(4), 5, b"VAL 1 - 1234\n");
        tally.count(Operation::Set, Reply::Nil, 5, b"NIL\n");
        tally.count(Operation::Set, Reply::Refused, 5, b"NO EXISTS 3\n");
        tally.count(Operation::Set, Reply::Error, 5, b"ERR QUOTA full\n");
        assert_eq!((tally.wrong, tally.errors, tally.replies), (3, 1, 13));
        assert_eq!(tally.first_fault.as_deref(), Some(r#"Get answered "VAL 1 - 1234""#));
        assert!(matches!(tally.require_faultless(), Err(Error::Faults { count: 4, .. })));
    }
}
