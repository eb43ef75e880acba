//! When entries expire: a timer for each entry that has a deadline, and how many of each namespace are overdue.
//!
//! The deadline of an entry stands in its timer, and nowhere else. So a timer is there exactly as long as its entry has
//! that deadline, through overwrites, removals and changes taken back: none is ever stale, and none is missing.

use super::Namespace;
use crate::address::Tenant;
use crate::clock::{NEVER, TIME_MAX_MS};
use crate::wheel::{Progress, Timer, Wheel};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The entry that a timer is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) node: u32,
    /// Its namespace's number.
    pub(super) namespace: u32,
}

/// Bytes of memory that a timer takes.
pub(super) const TIMER_BYTES: u64 = (16 + size_of::<Owner>()) as u64;

/// What is overdue of a namespace.
#[derive(Debug)]
struct Account {
    /// Whose namespace it is.
    tenant: Tenant,
    /// How many of its entries are overdue by the wheel.
    overdue: u64,
}

/// The timers of all entries.
#[derive(Debug)]
pub(super) struct Timers {
    wheel: Wheel<Owner>,
    accounts: Accounts,
    /// Numbers below that are not in use.
    free: Vec<u32>,
    was_ever_set: bool,
}

/// What is overdue by the wheel: of each namespace, by its number, and of each tenant that has anything overdue.
#[derive(Debug, Default)]
struct Accounts {
    namespaces: Vec<Account>,
    tenants: BTreeMap<Tenant, u64>,
}

impl Accounts {
    fn add(&mut self, namespace: u32) {
        let account = &mut self.namespaces[namespace as usize];
        account.overdue += 1;
        *self.tenants.entry(account.tenant).or_default() += 1;
    }

    fn take_off(&mut self, namespace: u32) {
        let account = &mut self.namespaces[namespace as usize];
        account.overdue -= 1;
        if let Entry::Occupied(mut overdue) = self.tenants.entry(account.tenant) {
            *overdue.get_mut() -= 1;
            if *overdue.get() == 0 {
                overdue.remove();
            }
        }
    }
}

impl Timers {
    pub(super) fn new(now_ms: u64) -> Timers {
        Timers {
            wheel: Wheel::new(now_ms),
            accounts: Accounts::default(),
            free: Vec::new(),
            was_ever_set: false,
        }
    }

    /// A number for a namespace of a tenant.
    pub(super) fn take_number(&mut self, tenant: Tenant) -> u32 {
        let accounts = &mut self.accounts.namespaces;
        let account = Account { tenant, overdue: 0 };
        if let Some(number) = self.free.pop() {
            accounts[number as usize] = account;
            return number;
        }
        accounts.push(account);
        // Each has a name and an entry: memory ends long before the numbers do.
        u32::try_from(accounts.len() - 1).expect("fewer than 2^32 namespaces")
    }

    /// Takes the number of a namespace back that has no entries any more.
    pub(super) fn give_back(&mut self, number: u32) {
        debug_assert_eq!(self.accounts.namespaces[number as usize].overdue, 0, "all of its timers are gone");
        self.free.push(number);
    }

    /// Estimated memory, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.wheel.len() as u64 * TIMER_BYTES
    }

    /// Whether there has ever been a timer.
    pub(super) fn was_ever_set(&self) -> bool {
        self.was_ever_set
    }

    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }

    /// The deadline that an entry's timer says.
    pub(super) fn deadline(&self, timer: Option<Timer>) -> u64 {
        timer.map_or(NEVER, |timer| self.wheel.deadline_ms(timer))
    }

    /// Changes an entry's timer to a deadline, from or to none as the case may be. Returns the timer it has then.
    pub(super) fn set(&mut self, timer: Option<Timer>, deadline: u64, owner: Owner) -> Option<Timer> {
        let deadline = if deadline == NEVER { NEVER } else { deadline.min(TIME_MAX_MS) };
        if self.deadline(timer) == deadline {
            return timer;
        }
        let Some(timer) = timer else {
            self.was_ever_set = true;
            let timer = self.wheel.insert(deadline, owner);
            if self.wheel.is_overdue(timer) {
                self.accounts.add(owner.namespace);
            }
            return Some(timer);
        };
        if self.wheel.is_overdue(timer) {
            self.accounts.take_off(owner.namespace);
        }
        if deadline == NEVER {
            self.wheel.cancel(timer);
            return None;
        }
        self.wheel.reschedule(timer, deadline);
        if self.wheel.is_overdue(timer) {
            self.accounts.add(owner.namespace);
        }
        Some(timer)
    }

    /// Turns the wheel, see [`Wheel::advance`].
    pub(super) fn turn(&mut self, now_ms: u64, budget: usize) -> Progress {
        let Timers { wheel, accounts, .. } = self;
        wheel.advance(now_ms, budget, |owner| accounts.add(owner.namespace))
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.wheel.wake_at_ms()
    }

    /// Whether any entry is to be expired.
    pub(super) fn is_any_due(&self) -> bool {
        self.wheel.first_due().is_some()
    }

    /// The nodes of the entries that are to be expired, longest overdue first.
    pub(super) fn due(&self) -> impl Iterator<Item = u32> {
        self.wheel.due().map(|timer| self.wheel.payload(timer).node)
    }

    /// How many entries are overdue, as far as the wheel has been turned.
    pub(super) fn overdue(&self) -> u64 {
        self.accounts.tenants.values().sum()
    }

    /// Leaves an entry that is due out of those that are to be expired.
    pub(super) fn set_aside(&mut self, timer: Timer) {
        if self.wheel.is_overdue(timer) {
            self.wheel.set_aside(timer);
        }
    }
}

/// How many entries of each namespace, and of each tenant, are past their deadline at one time.
#[derive(Debug)]
pub(crate) struct Overdue<'t> {
    timers: &'t Timers,
    /// Those that the wheel has not come to yet, by the namespace's number.
    late: BTreeMap<u32, u64>,
}

impl<'t> Overdue<'t> {
    pub(super) fn at(timers: &'t Timers, now_ms: u64) -> Overdue<'t> {
        let mut late = BTreeMap::new();
        if timers.wake_at_ms().is_some_and(|wake| wake <= now_ms) {
            timers.wheel.late(now_ms).for_each(|owner| *late.entry(owner.namespace).or_default() += 1);
        }
        Overdue { timers, late }
    }

    /// How many of this namespace.
    pub(crate) fn of(&self, namespace: &Namespace) -> u64 {
        let late = self.late.get(&namespace.number).copied().unwrap_or(0);
        self.timers.accounts.namespaces[namespace.number as usize].overdue + late
    }

    /// How many of this tenant.
    pub(crate) fn of_tenant(&self, tenant: Tenant) -> u64 {
        let Accounts { namespaces, tenants } = &self.timers.accounts;
        let late = self.late.iter().filter(|(number, _)| namespaces[**number as usize].tenant == tenant);
        tenants.get(&tenant).copied().unwrap_or(0) + late.map(|(_, late)| late).sum::<u64>()
    }
}
