//! What the replies of a run add up to: counts by kind, and the latencies.

use hdrhistogram::Histogram;

use crate::Error;
use crate::dialect::Reply;
use crate::workload::Operation;

/// Latencies are kept from 100 ns to 60 s with three significant digits; what is outside counts as the nearest.
const LATENCY_NS_MIN: u64 = 100;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// Counts and latencies of one run.
#[derive(Debug)]
pub struct Tally {
    /// Replies in all.
    pub replies: u64,
    /// GETs answered with a value of the size that was stored.
    pub values: u64,
    /// GETs that found nothing.
    pub nils: u64,
    /// SETs done.
    pub done: u64,
    /// Error replies.
    pub errors: u64,
    /// Replies that do not answer the request: another kind, or a value of another size.
    pub wrong: u64,
    /// The first reply that counted as error or wrong.
    pub first_fault: Option<String>,
    /// Nanoseconds from the write of a batch to each reply of it.
    pub latency_ns: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency_ns = Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
            .expect("the bounds are constants in range");
        Self { replies: 0, values: 0, nils: 0, done: 0, errors: 0, wrong: 0, first_fault: None, latency_ns }
    }
}

impl Tally {
    /// Counts one reply, of which `text` is all bytes; a value is expected to have `value_bytes`.
    pub(crate) fn count(&mut self, asked: Operation, reply: Reply, value_bytes: usize, text: &[u8]) {
        self.replies += 1;
        let counter = match (asked, reply) {
            (Operation::Get, Reply::Value(bytes)) if bytes == value_bytes => &mut self.values,
            (Operation::Get, Reply::Nil) => &mut self.nils,
            (Operation::Set, Reply::Done) => &mut self.done,
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
        tally.count(Operation::Get, Reply::Value(5), 5, b"");
        tally.count(Operation::Get, Reply::Nil, 5, b"");
        tally.count(Operation::Set, Reply::Done, 5, b"");
        assert_eq!((tally.values, tally.nils, tally.done), (1, 1, 1));
        assert!(tally.require_faultless().is_ok());

        tally.count(Operation::Get, Reply::Value(4), 5, b"VAL 1 - 1234\n");
        tally.count(Operation::Set, Reply::Nil, 5, b"NIL\n");
        tally.count(Operation::Set, Reply::Error, 5, b"ERR QUOTA full\n");
        assert_eq!((tally.wrong, tally.errors, tally.replies), (2, 1, 6));
        assert_eq!(tally.first_fault.as_deref(), Some(r#"Get answered "VAL 1 - 1234""#));
        assert!(matches!(tally.require_faultless(), Err(Error::Faults { count: 3, .. })));
    }
}
