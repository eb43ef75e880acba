//! The expirer: ends entries whose deadline has passed, by records of their own.
//!
//! That an entry has expired is decided by whoever reads it, at the deadline to the millisecond (`clock::is_expired`).
//! What is left to do is to say so in the log, exactly once for each, and to let go of what the entry took. That is
//! done here, in portions, so that nobody waits for long:
//!
//! 1. The timers are turned towards now (exclusive lock, a bounded number of moves), and nothing else is done until they
//!    have caught up: a count has to look at what they are behind with. What is due stays a timer.
//! 2. The entries that have been due for longest are noted (shared lock).
//! 3. Their names are read from their records (no lock: this may wait for the disk).
//! 4. What they take in the index is brought into the processor's caches (shared lock), so that the next step does
//!    not wait for memory.
//! 5. Those that are still the same are ended: expire records into the log, the entries out of the index, and
//!    their timers with them (exclusive lock). If there is no room in the log, nothing is changed.
//!
//! Why each expiry is logged once: step 5 looks up, under the lock under which everything is written, that the
//! entry still has the sequence that was noted; a write to an overdue entry ends it under the same lock. And an entry
//! that is in the index when its time has come has a timer, through crashes and changes taken back too: the timers are
//! those of the index.

use crate::address::{Address, Tenant};
use crate::commit::Mark;
use crate::error::{Error, Result};
use crate::index::{DueEntry, Tag};
use crate::report::Times;
use crate::state::{Found, Glance, State, Values};
use crate::store::Inner;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::wheel::Progress;
use crate::writer::Writer;
use std::sync::PoisonError;
use std::time::Duration;

/// Entries that are ended while the state is locked once.
const ENTRIES_A_LOCK: usize = 128;
/// Moves of timers while the state is locked once.
const MOVES_A_LOCK: usize = 1024;

/// What the expirer keeps, besides the timers.
#[derive(Debug, Default)]
pub(crate) struct Expirer {
    /// Only one at a time: two would do the same.
    turn: Mutex<()>,
    /// When the thread looks again, by the engine's clock; 0 while it is at work. Set while the state is locked.
    looks_again_ms: AtomicU64,
    /// Entries ended.
    expired: AtomicU64,
    /// From the deadline to the record in the log.
    lags: Times,
}

/// How far a portion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// So many entries were ended, and there may be more to do.
    More(usize),
    /// There is nothing to do before this time, if ever.
    Idle(Option<u64>),
}

/// An entry that is to be ended, with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due<'n> {
    pub(crate) at: Address<'n>,
    pub(crate) tag: Tag,
    pub(crate) sequence: u64,
}

/// The names of a portion of entries.
#[derive(Debug, Default)]
struct Names {
    texts: String,
    entries: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    tenant: Tenant,
    sequence: u64,
    namespace_end: usize,
    end: usize,
}

impl Names {
    fn push(&mut self, at: Address<'_>, sequence: u64) {
        self.texts.push_str(at.namespace());
        let namespace_end = self.texts.len();
        self.texts.push_str(at.key());
        let end = self.texts.len();
        self.entries.push(Named { tenant: at.tenant(), sequence, namespace_end, end });
    }

    /// The addresses, with the sequences of their entries.
    fn addresses(&self) -> Vec<(Address<'_>, u64)> {
        let starts = std::iter::once(0).chain(self.entries.iter().map(|named| named.end));
        let addresses = self.entries.iter().zip(starts).filter_map(|(named, start)| {
            let (namespace, key) =
                (&self.texts[start..named.namespace_end], &self.texts[named.namespace_end..named.end]);
            Some((Address::new(named.tenant, namespace, key).ok()?, named.sequence))
        });
        addresses.collect()
    }
}

impl Expirer {
    /// Whether the thread would sleep through `time_ms`.
    pub(crate) fn sleeps_through(&self, time_ms: u64) -> bool {
        self.looks_again_ms.load(Ordering::Relaxed) > time_ms
    }

    /// Notes that the thread is at work.
    pub(crate) fn wakes(&self) {
        self.looks_again_ms.store(0, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    pub(crate) fn lags(&self) -> &Times {
        &self.lags
    }
}

impl Inner {
    /// Ends all entries whose deadline has passed, and waits until that is acknowledged. Returns how many.
    pub(crate) fn expire_due(&self) -> Result<u64> {
        let mut expired = 0;
        let ended = loop {
            match self.expire_portion() {
                Ok(Round::More(count)) => expired += count as u64,
                Ok(Round::Idle(_)) => break Ok(()),
                Err(error) => break Err(error),
            }
            self.wait_for_room();
        };
        // Also where there was no room for all of them.
        if expired > 0 {
            self.drive(Mark::Acknowledged, self.last_sequence());
        }
        match self.progress.failure() {
            Some(cause) if expired > 0 => Err(Error::InDoubt { cause }),
            Some(cause) => Err(Error::Failed { cause }),
            None if self.state().closed => Err(Error::Closed),
            None => ended.map(|()| expired),
        }
    }

    /// Turns the timers, and ends some of the entries that are due.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: what is due stays due.
    pub(crate) fn expire_portion(&self) -> Result<Round> {
        let round = {
            let _turn = self.expirer.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.take_portion()
        };
        self.stop_if_in_doubt();
        round
    }

    fn take_portion(&self) -> Result<Round> {
        if self.turn_timers() == Progress::More {
            return Ok(Round::More(0));
        }
        let (due, values) = {
            let state = self.state();
            if state.failed || state.closed {
                return Ok(Round::Idle(None));
            }
            let due = note_due(&state);
            if due.is_empty() {
                let next = state.index.expiry_at_ms();
                self.expirer.looks_again_ms.store(next.unwrap_or(u64::MAX), Ordering::Relaxed);
                return Ok(Round::Idle(next));
            }
            (due, Values::new(&state))
        };
        let names = self.read_names(&due, &values);
        self.end(&self.touch(&names.addresses())).map(Round::More)
    }

    fn turn_timers(&self) -> Progress {
        let now_ms = self.clock.now_ms();
        let is_behind = self.state().index.turn_at_ms().is_some_and(|turn_at| turn_at <= now_ms);
        if is_behind { self.state_mut().index.turn(now_ms, MOVES_A_LOCK) } else { Progress::Done }
    }

    fn read_names(&self, due: &[(DueEntry, Found)], values: &Values) -> Names {
        let (mut names, mut unreadable, mut scratch) = (Names::default(), Vec::new(), Vec::new());
        for (entry, found) in due {
            match values.address(found, &mut scratch) {
                Ok(at) => names.push(at, entry.slot.sequence),
                Err(_) => unreadable.push(*entry),
            }
        }
        if !unreadable.is_empty() {
            // Which entries they are stands nowhere else. They stay expired for those who read, and a write or the next
            // open comes back to them; `verify` tells what is wrong.
            let mut state = self.state_mut();
            unreadable.iter().for_each(|entry| state.index.set_aside(entry));
        }
        names
    }

    fn touch<'n>(&self, addresses: &[(Address<'n>, u64)]) -> Vec<Due<'n>> {
        let tags = self.state().index.touch(addresses.iter().map(|(at, _)| *at));
        addresses
            .iter()
            .zip(tags)
            .map(|((at, sequence), tag)| Due { at: *at, tag, sequence: *sequence })
            .collect()
    }

    /// Ends those entries of a portion that are still the same. Returns how many.
    fn end(&self, due: &[Due<'_>]) -> Result<usize> {
        let mut state = self.state_mut();
        if state.failed || state.closed {
            return Ok(0);
        }
        let now_ms = self.clock.now_ms();
        let mut writer = Writer::new(&mut state, self.means(), Glance::at(now_ms));
        let ended = writer.expire(due);
        let (sequence, logged_bytes) = (writer.glance.observed, writer.logged_bytes);
        self.after_write(state, logged_bytes);
        let ended = ended?;
        for deadline in &ended {
            self.expirer.lags.record(Duration::from_millis(now_ms.saturating_sub(*deadline)));
        }
        self.expirer.expired.fetch_add(ended.len() as u64, Ordering::Relaxed);
        if self.background && !ended.is_empty() {
            self.request(Mark::Acknowledged, sequence);
        }
        Ok(ended.len())
    }
}

/// The entries that have been due for longest, and where their records are.
fn note_due(state: &State) -> Vec<(DueEntry, Found)> {
    let mut glance = Glance::at(0);
    let due = state.index.due(ENTRIES_A_LOCK).into_iter();
    due.map(|entry| (entry, glance.found(state, entry.slot))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::{Clock, Options, Put, Store};
    use std::sync::Arc;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn wall_ms(&self) -> u64 {
            1_000_000 + self.boot_ms()
        }
        fn boot_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn at(key: &str) -> Address<'_> {
        Address::new(Tenant::DEFAULT, "n", key).unwrap()
    }

    fn key(number: usize) -> String {
        format!("k{number}")
    }

    fn open(disk: &SimDisk, hand: &Arc<Hand>) -> Store {
        let clock: Arc<dyn Clock> = Arc::<Hand>::clone(hand);
        Options::new().background(false).clock(clock).open_on(Arc::new(disk.clone())).unwrap()
    }

    /// So many entries that are due in the same second, and that second passed: while the store runs, or before it is opened
    /// again.
    fn due_at_once(entries: usize, is_reopened: bool) -> Store {
        let (disk, hand) = (SimDisk::new(1), Arc::new(Hand::default()));
        let store = open(&disk, &hand);
        let fill = store.write(|writer| {
            for number in 0..entries {
                let deadline = 1_002_000 + number as u64 % 1000;
                writer.put(at(&key(number)), &Put::new(b"1").expires_at(deadline)).unwrap().unwrap();
            }
        });
        fill.wait().unwrap();
        let pass = || hand.0.store(3000, Ordering::Relaxed);
        if !is_reopened {
            pass();
            return store;
        }
        store.close().unwrap();
        pass();
        open(&disk, &hand)
    }

    #[test]
    fn many_due_at_once_go_in_portions_between_which_everybody_has_a_turn() {
        for is_reopened in [false, true] {
            go_in_portions(&due_at_once(ENTRIES, is_reopened));
        }
    }

    const ENTRIES: usize = 20_000;

    fn go_in_portions(store: &Store) {
        let (mut ended, mut rounds) = (0, 0);
        while let Round::More(count) = store.inner.expire_portion().unwrap() {
            // Nothing is locked now, and all that is told is exact.
            assert!(count <= ENTRIES_A_LOCK);
            ended += count;
            rounds += 1;
            assert!(store.inner.state.try_write().is_ok());
            assert_eq!(store.read(|view| view.count(Tenant::DEFAULT, "n", "")).wait().unwrap(), 0);
            assert_eq!(store.stats().entries, (ENTRIES - ended) as u64);
        }
        assert_eq!(ended, ENTRIES);
        // Each timer moves a few times, and each entry is ended once.
        assert!(rounds <= ENTRIES * 8 / MOVES_A_LOCK + ENTRIES / ENTRIES_A_LOCK + 10, "{rounds} rounds");
    }

    /// Without the expire record the entry would be as absent. Answers do not wait for the disk because of it.
    #[test]
    fn nobody_waits_for_expirations_to_be_on_disk() {
        let store = due_at_once(1000, false);
        while store.inner.expire_portion().unwrap() != Round::Idle(None) {}
        assert_eq!((store.stats().entries, store.stats().acknowledged_sequence), (0, 1000));
        assert!(store.read(|view| view.get(at("k1")).is_some()).is_ready());
        assert!(store.read(|view| view.count(Tenant::DEFAULT, "n", "k")).is_ready());
        let written = store.write(|writer| writer.put(at("k1"), &Put::new(b"2")));
        assert!(!written.is_ready());
        // A delete has to be there before anybody may be told that something is gone.
        written.wait().unwrap().unwrap().unwrap();
        let deleted = store.write(|writer| writer.delete(at("k1"), crate::Condition::Always));
        let missed = store.read(|view| view.get(at("k1")).is_some());
        assert!(!deleted.is_ready() && !missed.is_ready());
        assert!(!missed.wait().unwrap());
        drop(deleted);
    }

    #[test]
    fn what_changes_between_noting_and_ending_is_left_alone() {
        let store = due_at_once(3, false);
        let inner = &store.inner;
        assert_eq!(inner.turn_timers(), Progress::Done);
        let due = note_due(&inner.state());
        let names = inner.read_names(&due, &Values::new(&inner.state()));
        store.put(at("k1"), &Put::new(b"2")).unwrap().unwrap();
        let addresses = names.addresses();
        let due = inner.touch(&addresses);
        assert_eq!(inner.end(&due).unwrap(), 2);
        assert_eq!(inner.end(&due).unwrap(), 0);
        assert_eq!(store.get(at("k1")).unwrap().unwrap().value, b"2");
        // One expire record for each of three, and the second put.
        assert_eq!(store.stats().sequence, 3 + 3 + 1);
    }
}
