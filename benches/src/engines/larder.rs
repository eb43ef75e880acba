//! Larder's engine as a [`Candidate`], and the same with positioned reads in place of a mapping.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use larder_engine::disk::{Disk, RealDisk};
use larder_engine::{Address, Decision, Durability, Options, Pending, Put, Scan, Stamp, Store, Tenant};

use super::{Candidate, Engine, Key, Opening, Result};
use crate::key::key;
use crate::unmapped::UnmappedDisk;

const NAMESPACE: &str = "default";

/// Larder.
#[must_use]
pub fn candidate() -> Candidate {
    Candidate {
        name: "larder",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: "defaults, but for no retention for a change feed, which the others do not have",
        openings: &[Opening::Buffered, Opening::Timed, Opening::Durable],
        open: |directory, opening| open(Arc::new(RealDisk::open(directory, true)?), opening),
    }
}

/// Larder without mappings: what is read is read by a system call.
#[must_use]
pub fn positioned() -> Candidate {
    Candidate {
        name: "larder-positioned",
        settings: "as larder, with positioned reads in place of the mapped log",
        openings: &[Opening::Buffered],
        open: |directory, opening| open(Arc::new(UnmappedDisk(RealDisk::open(directory, true)?)), opening),
        ..candidate()
    }
}

fn open(disk: Arc<dyn Disk>, opening: Opening) -> Result<Box<dyn Engine>> {
    let durability = match opening {
        Opening::Buffered | Opening::Timed => Durability::Buffered,
        Opening::Durable => Durability::Durable,
    };
    let store = Options::new().durability(durability).feed_retention_bytes(0).open_on(disk)?;
    let deadline_ms = (opening == Opening::Timed).then(|| store.now_ms() + DAY_MS);
    Ok(Box::new(Larder { store, deadline_ms }))
}

const DAY_MS: u64 = 86_400_000;

struct Larder {
    store: Store,
    deadline_ms: Option<u64>,
}

type PendingPut = Pending<larder_engine::Result<Decision<Stamp>>>;

impl Larder {
    fn what<'v>(&self, value: &'v [u8]) -> Put<'v> {
        let put = Put::new(value);
        self.deadline_ms.map_or(put, |deadline_ms| put.expires_at(deadline_ms))
    }

    fn begin_put(&self, key: &Key, value: &[u8]) -> Result<PendingPut> {
        let at = address(key)?;
        Ok(self.store.write(|writer| writer.put(at, &self.what(value))))
    }
}

fn address(key: &Key) -> Result<Address<'_>> {
    Ok(Address::new(Tenant::DEFAULT, NAMESPACE, std::str::from_utf8(key)?)?)
}

fn done(put: larder_engine::Result<larder_engine::Result<Decision<Stamp>>>) -> Result<()> {
    put??.map_err(|refusal| format!("a put without condition was refused: {refusal:?}"))?;
    Ok(())
}

impl Engine for Larder {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.store.admission().wait();
        done(self.begin_put(key, value)?.wait())
    }

    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()> {
        self.store.transaction(|transaction| {
            for (key, value) in batch {
                done(Ok(transaction.put(address(key)?, &self.what(value))))?;
            }
            Ok(())
        })
    }

    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        let at = address(key)?;
        let found = self.store.read(|view| view.get(at));
        let copied = found.map(|found, values| -> Result<bool> {
            value.clear();
            let Some(found) = found else { return Ok(false) };
            let mut scratch = Vec::new();
            value.extend_from_slice(values.value(&found, &mut scratch)?);
            Ok(true)
        });
        copied.wait()?
    }

    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize> {
        let prefix = std::str::from_utf8(prefix)?;
        let scan = Scan { namespace: NAMESPACE, prefix, after: None, reverse: false, limit: usize::MAX };
        let page = self.store.read(|view| view.scan(Tenant::DEFAULT, &scan));
        let copied = page.map(|page, stored| -> Result<usize> {
            values.clear();
            stored.preload(page.items.iter().map(|(_, found)| found));
            let mut scratch = Vec::new();
            for (_, found) in &page.items {
                values.extend_from_slice(stored.value(found, &mut scratch)?);
            }
            Ok(page.items.len())
        });
        copied.wait()?
    }

    fn settle(&self) -> Result<()> {
        self.store.sync().wait()?;
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.store.compact()?;
        Ok(())
    }

    /// Callers who await on one thread, each with one write under way, and each polled when it is woken.
    fn put_by(&self, callers: u64, time: Duration, value: &[u8]) -> Result<u64> {
        let woken = Arc::new(Woken { numbers: Mutex::default(), thread: thread::current() });
        let callers = usize::try_from(callers)?;
        let wakers: Vec<Waker> = (0..callers)
            .map(|number| Arc::new(Caller { number, woken: Arc::clone(&woken) }).into())
            .collect();
        let begin = |number: u64| self.begin_put(&key(number), value);
        let mut pending: Vec<PendingPut> = (0..callers as u64).map(begin).collect::<Result<_>>()?;
        let mut turn: Vec<usize> = (0..callers).collect();
        let (mut finished, started) = (0, Instant::now());
        while started.elapsed() < time {
            for number in turn.drain(..) {
                let mut context = Context::from_waker(&wakers[number]);
                while let Poll::Ready(result) = Pin::new(&mut pending[number]).poll(&mut context) {
                    done(result)?;
                    finished += 1;
                    pending[number] = begin(callers as u64 + finished)?;
                }
            }
            woken.wait(&mut turn);
        }
        Ok(finished)
    }
}

/// Who is to be polled, as an executor keeps it.
struct Woken {
    numbers: Mutex<Vec<usize>>,
    thread: Thread,
}

impl Woken {
    fn numbers(&self) -> MutexGuard<'_, Vec<usize>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all who are to be polled; if nobody is, once somebody may be, or after a while.
    fn wait(&self, turn: &mut Vec<usize>) {
        std::mem::swap(&mut *self.numbers(), turn);
        if turn.is_empty() {
            thread::park_timeout(Duration::from_millis(10));
            std::mem::swap(&mut *self.numbers(), turn);
        }
    }
}

struct Caller {
    number: usize,
    woken: Arc<Woken>,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        let mut numbers = self.woken.numbers();
        numbers.push(self.number);
        if numbers.len() == 1 {
            self.woken.thread.unpark();
        }
    }
}
